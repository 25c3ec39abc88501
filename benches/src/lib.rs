//! Owns what the benchmarks share: measuring, the raw disk, and what is compared with: the JSONL
//! replay, and SQLite. It must not be used by the product.

#[cfg(feature = "sqlite")]
pub mod beside_sqlite;
pub mod measure;
pub mod raw;
pub mod replay;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod work;
