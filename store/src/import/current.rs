//! Owns the question whether a thread shows another rollout behind an import, and the name that it
//! takes along.

use std::ops::ControlFlow;

use turnleaf_engine::format::record::Kind;
use turnleaf_engine::format::{Ordinal, ThreadId, ThreadNumber};
use turnleaf_engine::{ReadError, Reader, State};
use turnleaf_projector::notes::NotesReader;
use turnleaf_projector::payload::{self, Effect};
use turnleaf_projector::uuid::uuid;

use crate::notes;

/// A rollout that lines were imported into.
pub(super) struct Imported<'a> {
    pub(super) thread: ThreadNumber,
    pub(super) rollout: ThreadNumber,
    pub(super) id: &'a ThreadId,
    /// Plain bytes of its source that are records now.
    pub(super) source_bytes: u64,
    /// Where the source lies.
    pub(super) path: &'a str,
    /// Length and time that identify it as it stands.
    pub(super) identity: (u64, i64),
}

/// Whether the thread shows the rollout from now on, and did not before. It does where the source
/// has grown, and the rollout is newer than what is shown; or the source took the place of one of
/// the same id that is shown. `yields` is asked where both have one id: whether the rollout that
/// is shown, imported last from this place, stays.
pub(super) fn takes_over(
    state: &State,
    imported: &Imported<'_>,
    yields: impl FnOnce(Option<&str>) -> bool,
) -> bool {
    let shown = state.current(imported.thread);
    if shown == imported.rollout {
        return false;
    }
    // What was imported to its end, and has not grown, was judged then; what was set since stays.
    let before = state.import_of(imported.rollout);
    let is_judged = |bytes, length| length > 0 && bytes >= imported.source_bytes;
    if before.is_some_and(|before| is_judged(before.source_bytes, before.file_bytes))
        && !took_the_place(state, imported, shown)
    {
        return false;
    }
    if shown == imported.thread && is_blank(state, shown) {
        return true;
    }
    let Some(shown_id) = state.rollout_id(shown) else {
        return true;
    };
    if shown_id == imported.id {
        let place = state.import_of(shown).map(|import| import.path.as_str());
        return !yields(place);
    }
    match (in_time(imported.id), in_time(shown_id)) {
        (Some(new), Some(old)) if new != old => new > old,
        _ => imported.rollout > shown,
    }
}

/// Whether the file of the rollout that is shown was changed back to what the imported one holds.
fn took_the_place(state: &State, imported: &Imported<'_>, shown: ThreadNumber) -> bool {
    let is_there = |rollout| {
        state
            .import_of(rollout)
            .filter(|at| at.path == imported.path)
    };
    let before = state.import_of(imported.rollout);
    let is_known = before.is_some_and(|before| {
        let identity = (before.file_bytes, before.modified_ns);
        before.path == imported.path && identity == imported.identity && identity.1 != 0
    });
    state.rollout_id(shown) == Some(imported.id) && is_there(shown).is_some() && !is_known
}

/// Whether the first rollout of a thread waits for its file.
fn is_blank(state: &State, rollout: ThreadNumber) -> bool {
    if state.origin(rollout).is_some() {
        return false;
    }
    let Some(own) = state.own_records(rollout) else {
        return true;
    };
    let mut is_blank = true;
    let read = own.entries(Ordinal(0), own.end(), &mut |_, entry| {
        is_blank = entry.kind != Kind::LINE;
        if is_blank {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    read.is_ok() && is_blank
}

/// A UUIDv7, whose bytes are in the order of time; two that were made at once have one order,
/// whatever that of their files.
fn in_time(id: &ThreadId) -> Option<[u8; 16]> {
    let bytes = uuid(id.as_str())?;
    (bytes[6] >> 4 == 7).then_some(bytes)
}

/// A record that names a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameRecord {
    pub(super) timestamp_ms: i64,
    pub(super) bytes: Vec<u8>,
}

/// The record that gives a thread its name: the last one that names it. Names of threads that it
/// was forked from are not its own.
///
/// Cost: reads what has no notes, and those runs that hold records of our own.
pub(super) fn newest_name(reader: &Reader) -> Result<Option<NameRecord>, ReadError> {
    let (mut newest, mut at): (Option<NameRecord>, _) = (None, reader.own_thread_from());
    while at < reader.end() {
        let mut end = reader.next_run(at).unwrap_or(reader.end());
        let noted = noted(reader, at);
        if let Some((noted_end, _)) = noted {
            end = noted_end;
        }
        if noted.is_none_or(|(_, has_own)| has_own) {
            reader.entries(at, end, &mut |_, entry| {
                if entry.kind == Kind::METADATA && entry.begins() && entry.completes() {
                    newest = name_of(entry.bytes, entry.timestamp_ms).or(newest.take());
                }
                ControlFlow::Continue(())
            })?;
        }
        at = end;
    }
    Ok(newest)
}

fn name_of(bytes: &[u8], timestamp_ms: i64) -> Option<NameRecord> {
    match payload::decode_metadata(bytes, timestamp_ms).effect {
        Effect::Metadata(head) if head.name.is_some() => Some(NameRecord {
            timestamp_ms,
            bytes: bytes.to_vec(),
        }),
        _ => None,
    }
}

/// Where the run that begins at `first` ends, and whether it holds records of our own, by its
/// notes.
fn noted(reader: &Reader, first: Ordinal) -> Option<(Ordinal, bool)> {
    let (run, bytes) = notes::unpacked(reader, first)?;
    let mut notes = NotesReader::open(&bytes, run.end.0 - first.0)?;
    for _ in first.0..run.end.0 {
        if notes.next_record()?.is_uncounted() {
            return Some((run.end, true));
        }
    }
    Some((run.end, false))
}
