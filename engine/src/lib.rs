//! Owns the log of a turnleaf store: journal, segments, catalogue, recovery and readers. It must not
//! know turns, JSON or the index.

pub mod disk;

pub use turnleaf_format as format;
