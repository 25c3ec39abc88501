//! Owns the notes that a run of a segment carries: made when it is sealed or imported, packed, and
//! read when an index is rebuilt.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use turnleaf_engine::format::Ordinal;
use turnleaf_engine::{Reader, RunNotes};
use turnleaf_projector::notes::Notes;

use crate::lines::decoded;

/// zstd level of notes: they are small, and read as a whole.
const LEVEL: i32 = 3;
/// Largest notes that are read, inflated; a segment bounds its records to a fraction of this.
const NOTES_BYTES_MAX: usize = 256 << 20;

/// Packs the notes of a run; none when they cannot be.
pub(crate) fn pack(notes: Notes) -> Vec<u8> {
    zstd::bulk::compress(&notes.finish(), LEVEL).unwrap_or_default()
}

/// The notes of the records `from..end`; none when one of them cannot be read.
pub(crate) fn make(reader: &Reader, from: Ordinal, end: Ordinal) -> Vec<u8> {
    let mut notes = Notes::default();
    if add(&mut notes, reader, from, end) {
        pack(notes)
    } else {
        Vec::new()
    }
}

/// The notes of the run that begins at `from`, inflated, and where the run ends; `None` where there
/// are none that can be used.
pub(crate) fn unpacked(reader: &Reader, from: Ordinal) -> Option<(RunNotes, Vec<u8>)> {
    let run = reader.notes_at(from).ok()??;
    let size = zstd::bulk::Decompressor::upper_bound(&run.bytes)?.min(NOTES_BYTES_MAX);
    let bytes = zstd::bulk::decompress(&run.bytes, size).ok()?;
    Some((run, bytes))
}

/// Adds the records `from..end` to notes; says whether all of them could be. A record over which
/// the decoder panics costs the notes, and no seal.
pub(crate) fn add(notes: &mut Notes, reader: &Reader, from: Ordinal, end: Ordinal) -> bool {
    let mut whole = true;
    let read = catch_unwind(AssertUnwindSafe(|| {
        reader.records(from, end, &mut |record| {
            whole &= decoded(reader, record, |decoded| notes.push(decoded)).is_ok();
            ControlFlow::Continue(())
        })
    }));
    whole && matches!(read, Ok(Ok(())))
}
