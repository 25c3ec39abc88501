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
mod version;

pub use bytes::{DecodeError, Problem};
pub use chain::{JournalChain, ThreadChain};
pub use ids::{Generation, InvalidThreadId, Ordinal, SegmentId, StoreId, ThreadId, ThreadNumber};
pub use version::{Format, Version};

/// Format number that this build writes into every header. [S:version-1]
/// What asks for a newer one is refused. [S:version-2]
pub const FORMAT_WRITTEN_BY: Format = Format(2);
