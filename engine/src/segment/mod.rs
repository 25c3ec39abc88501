//! Owns segment files: writing them whole, opening them, reading and verifying their blocks. It
//! must not know which records belong in which segment.

mod cache;
mod inflate;
mod open;
mod read;
mod scan;
mod write;

pub(crate) use cache::Segments;
pub(crate) use read::{Block, OpenSegment};
pub(crate) use write::{Sealed, SegmentWriter};
