//! Owns what the benchmarks share: measuring, the raw disk, and the JSONL replay that is compared
//! with. It must not be used by the product.

pub mod measure;
pub mod raw;
pub mod replay;
pub mod work;
