//! Owns the bytes of a turnleaf store and their meaning; it must not know files, threads of
//! execution or JSON.
//!
//! Every codec is total: any input gives a value or a [`DecodeError`], never a panic, and no length
//! is believed before the checksum that covers it. The normative text is `SPEC.md` beside this
//! crate; items cite its ids as `[S:...]`.

mod bytes;
pub mod catalogue;
mod chain;
pub mod checkpoint;
pub mod frame;
mod ids;
pub mod journal;
pub mod record;
pub mod segment;
#[cfg(test)]
mod testing;

pub use bytes::{DecodeError, Problem};
pub use chain::{JournalChain, ThreadChain};
pub use ids::{Generation, InvalidThreadId, Ordinal, SegmentId, StoreId, ThreadId, ThreadNumber};

/// Format number that this build writes into every header. [S:version-1]
pub const FORMAT_WRITTEN_BY: u8 = 1;
/// Oldest reader that understands what this build writes; a header that asks for more than
/// [`FORMAT_WRITTEN_BY`] is refused. [S:version-2]
pub const FORMAT_READABLE_BY: u8 = 1;
