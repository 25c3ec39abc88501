//! Owns what records mean: the fold from lines to turns and items, the redb index and its queries.
//! It must not know files or segments.
//!
//! RECORDS.md beside the manifest says what each kind of record changes, by which rule, and which
//! test shows it.

pub mod codec;
pub mod context;
pub mod fold;
pub mod index;
pub mod notes;
pub mod payload;
pub mod render;
pub mod rows;
pub mod uuid;
pub mod world_state;

pub use turnleaf_format as format;
