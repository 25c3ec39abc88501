//! Owns the question what an import of a source would come to. It writes nothing.

use std::fmt;
use std::io;
use std::ops::ControlFlow;

use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::format::{Ordinal, ThreadId, ThreadNumber};
use turnleaf_engine::{Reader, State};
use turnleaf_projector::notes::NotesReader;
use turnleaf_projector::payload::{self, Decoded, Effect};

use super::compare::Known;
use super::identify::{Head, identify, rollout_of};
use super::lines::Lines;
use super::{
    ImportOutcome, ImportProgress, ImportSource, Imported, Places, Skip, broken, current, places,
};
use crate::error::Error;
use crate::notes;
use crate::open::Store;

/// What an import would come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The thread.
    pub thread: String,
    /// The id of its rollout that the source is.
    pub rollout: String,
    /// The store has no such thread.
    pub is_new: bool,
    /// The source differs from what the store holds of the rollout, and would be kept beside it.
    pub is_written_anew: bool,
    /// Records that the rollout would have, as [`Store::counts`] counts them.
    pub records: u64,
    /// Records that would be added, as an import counts them.
    pub added_records: u64,
    /// It goes on with a line whose beginning is in the store, and counts as a record already.
    pub continues: bool,
    /// Plain bytes of the source; where it has become shorter since its last import, those that it
    /// had then, which are kept.
    pub bytes: u64,
}

/// Says of sources what an import of them would come to, each by itself.
pub struct Previewer<'s> {
    /// `None` where there is no store yet.
    pub(super) store: Option<&'s Store>,
    known: Places,
    again: bool,
}

impl fmt::Debug for Previewer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Previewer").finish_non_exhaustive()
    }
}

impl<'s> Previewer<'s> {
    /// Looks into a store, however it is open; `None` stands for an empty one.
    #[must_use]
    pub fn new(store: Option<&'s Store>) -> Previewer<'s> {
        let known = store.map(|store| store.source.with(places));
        let known = known.unwrap_or_default();
        Previewer {
            store,
            known,
            again: false,
        }
    }

    /// Looks at sources of threads that were deleted as [`super::Importer::again`] imports them.
    #[must_use]
    pub fn again(mut self, again: bool) -> Self {
        self.again = again;
        self
    }

    /// What would become of a source.
    ///
    /// # Errors
    /// As [`Store::import`], but nothing is written.
    pub fn preview(
        &self,
        source: ImportSource<'_>,
        progress: ImportProgress<'_>,
    ) -> Result<ImportOutcome<Preview>, Error> {
        if let Some(current) = self.current(&source) {
            return Ok(ImportOutcome::Done(current));
        }
        let mut lines = Lines::new(source.plain);
        let id = match identify(&mut lines, source.thread_hint) {
            Ok(Head::Thread(head)) => head.thread,
            Ok(Head::Skip(skip)) => return Ok(ImportOutcome::Skipped(skip)),
            Err(error) => return Ok(ImportOutcome::Skipped(broken(&lines, error.to_string()))),
        };
        let id = match self.store {
            Some(store) => store.as_known(id),
            None => id,
        };
        let rollout = rollout_of(source.path, &id);
        let Found {
            known,
            is_new,
            rollout: found,
            uncounted,
        } = match self.known((&id, &rollout), &mut lines, progress)? {
            ImportOutcome::Done(found) => found,
            ImportOutcome::Skipped(skip) => return Ok(ImportOutcome::Skipped(skip)),
        };
        let (added_records, continues) = match rest(&mut lines, known.unterminated) {
            Ok(counted) => counted,
            Err(error) => return Ok(ImportOutcome::Skipped(broken(&lines, error.to_string()))),
        };
        let (thread, records) = (id.to_string(), known.records - uncounted + added_records);
        if !known.lost.is_empty() {
            let imported = Imported {
                thread: thread.clone(),
                rollout: rollout.to_string(),
                records,
                bytes: lines.at(),
                added_records,
                ..Imported::default()
            };
            return Ok(ImportOutcome::Skipped(Skip::HasLost {
                thread,
                ordinals: known.lost,
                imported: Box::new(imported),
            }));
        }
        let is_written_anew = matches!(found, Place::Anew);
        let bytes = self.bytes_kept(&found, source.path, lines.at());
        Ok(ImportOutcome::Done(Preview {
            thread,
            rollout: rollout.to_string(),
            is_new,
            is_written_anew,
            records,
            added_records,
            continues,
            bytes,
        }))
    }

    /// What the store holds of a source that was imported as it stands.
    fn current(&self, source: &ImportSource<'_>) -> Option<Preview> {
        let store = self.store?;
        let (bytes, modified_ns) = (source.file_bytes, source.modified_ns);
        let mut known = self.known.of(source.path);
        let (current, own) = known.find_map(|rollout| {
            store.source.with(|state| {
                let current = current(state, rollout, source.path, bytes, modified_ns)?;
                Some((current, state.own_records(rollout)?))
            })
        })?;
        Some(Preview {
            thread: current.thread,
            rollout: current.rollout,
            is_new: false,
            is_written_anew: false,
            records: own.end().0 - uncounted(&own),
            added_records: 0,
            continues: false,
            bytes: current.bytes,
        })
    }

    /// Plain bytes of a source of which some may be in the store alone.
    fn bytes_kept(&self, found: &Place, path: &str, bytes: u64) -> u64 {
        let before = match (self.store, found) {
            (Some(store), Place::Known(rollout)) => store.shrank_from(*rollout, path, bytes),
            _ => None,
        };
        before.unwrap_or(bytes)
    }

    /// Whether a thread with this id was deleted from the store.
    pub(super) fn is_deleted(&self, id: &ThreadId) -> bool {
        let is_deleted = |state: &State| state.was_deleted(id);
        self.store
            .is_some_and(|store| store.source.with(is_deleted))
    }

    /// What the store holds of the source of a thread.
    fn known(
        &self,
        (id, rollout_id): (&ThreadId, &ThreadId),
        lines: &mut Lines<'_>,
        progress: ImportProgress<'_>,
    ) -> Result<ImportOutcome<Found>, Error> {
        let new = Found {
            known: Known::default(),
            is_new: true,
            rollout: Place::New,
            uncounted: 0,
        };
        let Some(store) = self.store else {
            return Ok(ImportOutcome::Done(new));
        };
        let Some(thread) = store.source.with(|state| state.thread_number(id)) else {
            return Ok(if self.is_deleted(id) && !self.again {
                ImportOutcome::Skipped(Skip::Deleted(id.to_string()))
            } else {
                ImportOutcome::Done(new)
            });
        };
        let is_new = store.source.with(|state| state.is_announced(thread));
        let target = match store.target((thread, id), rollout_id, lines, progress)? {
            ImportOutcome::Done(target) => target,
            ImportOutcome::Skipped(skip) => return Ok(ImportOutcome::Skipped(skip)),
        };
        let own = |rollout| store.source.with(|state| state.own_records(rollout));
        let own = target.rollout.and_then(own);
        let uncounted = own.map_or(0, |own| uncounted(&own));
        Ok(ImportOutcome::Done(Found {
            // It may have grown since.
            uncounted: uncounted.min(target.known.records),
            is_new,
            rollout: match target.rollout {
                Some(rollout) => Place::Known(rollout),
                None if target.namesakes.is_empty() => Place::New,
                None => Place::Anew,
            },
            known: target.known,
        }))
    }
}

/// Lines of the rest of a source, and whether it goes on with the one before it.
fn rest(lines: &mut Lines<'_>, unterminated: bool) -> io::Result<(u64, bool)> {
    let (mut added_records, mut continues) = (0, unterminated);
    let mut is_continued = false;
    while let Some(piece) = lines.next_line()? {
        // A line may come in pieces, and the first may go on with one that is there.
        added_records += u64::from(!piece.more && !continues);
        is_continued |= continues;
        continues &= piece.more;
        lines.give_back(piece);
    }
    Ok((added_records, is_continued))
}

/// Which rollout a source would be.
enum Place {
    Known(ThreadNumber),
    New,
    /// A new one, beside others of its id.
    Anew,
}

/// What the store holds of the source of a thread.
struct Found {
    known: Known,
    /// The thread is not there; a name may wait for it.
    is_new: bool,
    rollout: Place,
    /// Those of the known records that are no lines by themselves.
    uncounted: u64,
}

/// Records of a thread that totals leave out: our own, which came from no source, and those that go
/// on with a line. What is sealed is counted by its notes, and not read. What cannot be read counts
/// as lines.
fn uncounted(reader: &Reader) -> u64 {
    each_own(reader, &mut |_, _| ())
}

/// As [`uncounted`], and hands on our own records.
pub(super) fn each_own(reader: &Reader, take: &mut dyn FnMut(Ordinal, &Decoded<'_>)) -> u64 {
    let (mut uncounted, mut at) = (0, Ordinal(0));
    while at < reader.end() {
        if let Some((end, noted)) = noted(reader, at, take) {
            (uncounted, at) = (uncounted + noted, end);
            continue;
        }
        let end = reader.next_run(at).unwrap_or(reader.end());
        let read = reader.entries(at, end, &mut |ordinal, entry| {
            let is_no_line = match entry.kind {
                Kind::METADATA => true,
                Kind::LINE => entry.flags.has(Flags::CONTINUES),
                _ => false,
            };
            uncounted += u64::from(entry.completes() && is_no_line);
            // No name is so long that it comes in chunks.
            if entry.kind == Kind::METADATA && entry.whole().is_some() {
                let at_ms = entry.timestamp_ms;
                take(ordinal, &payload::decode_metadata(entry.bytes, at_ms));
            }
            ControlFlow::Continue(())
        });
        if read.is_err() {
            tracing::debug!("records of a damaged thread are taken for those of its source");
        }
        at = end;
    }
    uncounted
}

/// Where the run that begins at `first` ends, and how many of its records totals leave out, by its
/// notes, which hand on our own.
fn noted(
    reader: &Reader,
    first: Ordinal,
    take: &mut dyn FnMut(Ordinal, &Decoded<'_>),
) -> Option<(Ordinal, u64)> {
    let (run, bytes) = notes::unpacked(reader, first)?;
    let (mut uncounted, mut own) = (0, Vec::new());
    let mut notes = NotesReader::open(&bytes, run.end.0 - first.0)?;
    for ordinal in first.0..run.end.0 {
        let record = notes.next_record()?;
        uncounted += u64::from(record.is_uncounted());
        if matches!(record.effect, Effect::Metadata(_)) {
            own.push((Ordinal(ordinal), record));
        }
    }
    own.iter()
        .for_each(|(ordinal, record)| take(*ordinal, record));
    Some((run.end, uncounted))
}
