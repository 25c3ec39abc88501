//! Owns imports: from the bytes of a rollout to records, resumable and idempotent. It must not know
//! where sources come from: the caller opens, unpacks and names them.
//!
//! A source is one rollout of a thread, by its name and its head. It is compared with what the
//! store holds of the rollouts of that name, from the first byte on: what is equal is passed by,
//! and what comes behind is added. A source that differs from all of them was written anew and is a
//! further rollout; the ones before are kept. What a repair gave up stays given up, and the caller
//! learns that the source has it. What a rollout goes on from may come later: it is looked for at
//! the end of each import.

mod bases;
mod compare;
mod current;
mod cut;
mod group;
mod identify;
mod lines;
mod names;
mod preview;
mod replay;
mod sink;
mod skip;
mod target;
pub(crate) mod unfit;

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

use turnleaf_engine::format::catalogue::Awaited;
use turnleaf_engine::format::{Ordinal, ThreadId, ThreadNumber};
use turnleaf_engine::{AppendError, State};
use turnleaf_projector::payload::HeadLack;
use turnleaf_projector::uuid::{uuid, uuid_text};

use crate::append::name_patch;
use crate::error::Error;
use crate::open::Store;
use crate::source::thread_id;

pub use bases::{AwaitedBase, Imports, NoBase};
use group::Group;
use identify::{Head, identify, rollout_of};
use lines::Lines;
pub use names::KnownName;
pub use preview::{Preview, Previewer};
use sink::Sink;
pub use skip::Skip;
use skip::broken;
use target::Target;

/// A rollout to be imported.
pub struct ImportSource<'a> {
    /// Names the source in reports; its last part says which rollout it is:
    /// `rollout-<time>-<thread>_<rollout>.jsonl`, and any other name that it is the first one.
    pub path: &'a str,
    /// The thread's id by the source's name; what its first `session_meta` says wins.
    pub thread_hint: Option<&'a str>,
    /// The plain bytes from the beginning.
    pub plain: &'a mut dyn Read,
    /// Length of the source as it is stored, bytes; compared by [`Importer::is_current`].
    pub file_bytes: u64,
    /// When it was changed last, Unix nanoseconds; compared likewise. It must change with every
    /// change of the bytes, so of a file it is the time that no program can set (`ctime`). 0 where
    /// nothing can be relied on: the source is then read again.
    pub modified_ns: i64,
    /// Whether it lies among archived ones: then its thread is archived. A source that was imported
    /// from the same place before changes nothing about that.
    pub archived: bool,
}

impl fmt::Debug for ImportSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportSource")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A name of a thread, as a list of names has it.
#[derive(Debug, Clone, Copy)]
pub struct ListedName<'a> {
    /// The thread's id.
    pub thread: &'a str,
    /// Its name; an empty one takes the name away.
    pub name: &'a str,
    /// Since when it has it, Unix milliseconds.
    pub named_at_ms: i64,
    /// The list: its path and its length in bytes.
    pub list: (&'a str, u64),
}

/// What an import came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// The thread.
    pub thread: String,
    /// The id of its rollout that the source is.
    pub rollout: String,
    /// Records that the rollout has now. [`Store::counts`] tells how many of them are lines of
    /// its files, which our own are not, and what only goes on with a line.
    pub records: u64,
    /// Plain bytes of the source.
    pub bytes: u64,
    /// Records that this import added: lines that were not there, not even their beginning.
    pub added_records: u64,
    /// What its `session_meta` lacks: that line is no record, and is kept.
    pub head_lacks: Option<HeadLack>,
    /// Plain bytes that the source had when it was imported last, where it has fewer now. What it
    /// lost is kept.
    pub shrank_from: Option<u64>,
    /// The source differs from what was imported of this rollout before.
    pub written_anew: Option<WrittenAnew>,
}

/// A source that differs from what the store holds of its rollout. Both are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenAnew {
    /// Number of the newest rollout that holds what was there before.
    pub kept: ThreadNumber,
    /// Number of the rollout that holds the source.
    pub now: ThreadNumber,
    /// Whether the thread shows the source.
    pub is_shown: bool,
}

impl fmt::Display for WrittenAnew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kept, now) = (self.kept.0, self.now.0);
        if self.is_shown {
            write!(
                f,
                "its file was written anew; the history before is kept as rollout {kept}"
            )
        } else {
            write!(
                f,
                "its file has other history than rollout {kept}; it is kept as rollout {now}, \
                 which the thread does not show"
            )
        }
    }
}

/// What became of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportOutcome<T = Imported> {
    /// It was imported to its end; for a preview, it would be.
    Done(T),
    /// It was not, or not to its end. That is no failure of the store.
    Skipped(Skip),
}

impl<T> ImportOutcome<T> {
    /// The same for callers to whom a source that is skipped is a failure.
    ///
    /// # Errors
    /// Why it was skipped.
    pub fn done(self) -> Result<T, Skip> {
        match self {
            ImportOutcome::Done(done) => Ok(done),
            ImportOutcome::Skipped(skip) => Err(skip),
        }
    }
}

/// Told the plain bytes of the source that have been read so far.
pub type ImportProgress<'a> = &'a mut dyn FnMut(u64);

impl Store {
    /// An id as threads are told apart by it: UUIDs in lower case, as the runtime reads and writes
    /// them. One that the store knows as it stands stays.
    fn as_known(&self, id: ThreadId) -> ThreadId {
        let usual = uuid(id.as_str()).map(uuid_text);
        let usual = usual.and_then(|usual| ThreadId::parse(&usual).ok());
        match usual {
            Some(usual) if !self.source.with(|state| state.thread_number(&id).is_some()) => usual,
            _ => id,
        }
    }

    /// Imports a source. Every line is kept, exact bytes, whatever it is; an error is about the
    /// store, a [`Skip`] about the source. What the source added is durable when this
    /// returns. A source that grew since its last import adds its new lines alone.
    ///
    /// Cost: reads the source once, and what the store holds of its thread to compare; memory does
    /// not grow with either. Whoever imports many sources takes [`Store::importer`], which shares
    /// syncs among them.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// use turnleaf::ImportOutcome;
    /// // Where the bytes come from is the caller's business: a file, a pipe, a decompressor.
    /// let (path, bytes) = ("rollout.jsonl", b"{\"timestamp\":...}\n");
    /// let source = turnleaf::ImportSource {
    ///     path,
    ///     thread_hint: None,
    ///     plain: &mut &bytes[..],
    ///     file_bytes: bytes.len() as u64,
    ///     modified_ns: 0,
    ///     archived: false,
    /// };
    /// match store.import(source, &mut |_| {})? {
    ///     ImportOutcome::Done(done) => println!("{}: {} new", done.thread, done.added_records),
    ///     ImportOutcome::Skipped(skip) => eprintln!("{path}: {skip}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Failures of the store; [`crate::ErrorKind::Busy`] when another import has the thread, or
    /// others appended to it meanwhile. What was imported before stays.
    pub fn import(
        &self,
        source: ImportSource<'_>,
        progress: ImportProgress<'_>,
    ) -> Result<ImportOutcome, Error> {
        let mut importer = self.importer()?;
        let imported = importer.import(source, progress)?;
        importer.finish()?;
        Ok(imported)
    }

    /// Imports one source after the other; small ones share a sync. What they added is durable when
    /// [`Importer::finish`] returned.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let mut importer = store.importer()?;
    /// importer.name(turnleaf::ListedName {
    ///     thread: "019c0000-0000-7000-8000-000000000001",
    ///     name: "The teapot",
    ///     named_at_ms: 1_772_442_000_000,
    ///     list: ("session_index.jsonl", 120),
    /// })?;
    /// importer.finish()?;
    /// store.seal_all()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] for a store open for reading.
    pub fn importer(&self) -> Result<Importer<'_>, Error> {
        let committer = self.source.owner()?;
        Ok(Importer {
            store: self,
            group: Group::new(committer),
            known: self.source.with(places),
            places: HashSet::new(),
            keeps_old: false,
            touched: HashSet::new(),
        })
    }

    /// Plain bytes that a source had at its last import, where that is more than it has now.
    fn shrank_from(&self, rollout: ThreadNumber, path: &str, bytes: u64) -> Option<u64> {
        self.source.with(|state| {
            let import = state.import_of(rollout)?;
            let before = import.source_bytes;
            (import.path == path && before > bytes).then_some(before)
        })
    }

    /// Where a rollout was imported from last.
    fn place_of(&self, rollout: ThreadNumber) -> Option<String> {
        let look = |state: &State| Some(state.import_of(rollout)?.path.clone());
        self.source.with(look)
    }
}

/// Imports sources one after the other. What a source added is durable when
/// [`Importer::finish`] returned; of an importer that is dropped without it, what the newest
/// sources added may be missing, and they are not called imported then.
#[must_use]
pub struct Importer<'s> {
    store: &'s Store,
    group: Group<'s>,
    known: Places,
    /// Where sources of this import lie, as hashes.
    places: HashSet<u64>,
    keeps_old: bool,
    /// Rollouts whose sources were read.
    touched: HashSet<ThreadNumber>,
}

impl fmt::Debug for Importer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Importer").finish_non_exhaustive()
    }
}

impl Importer<'_> {
    /// Says where the sources of this import lie. A thread of which one of these places was
    /// imported last has not moved: another place with the same bytes is a copy, and changes
    /// nothing.
    pub fn of_places<'p>(mut self, paths: impl IntoIterator<Item = &'p str>) -> Self {
        self.places.extend(paths.into_iter().map(hash));
        self
    }

    /// Lets threads go on showing what they show where a source was written anew.
    pub fn keeping_old(mut self, keeps_old: bool) -> Self {
        self.keeps_old = keeps_old;
        self
    }

    /// Imports the sources of threads that were deleted, as those of new threads, instead of
    /// skipping them. Nothing of what was deleted comes back but by these sources: no name, no
    /// archive, no fork.
    pub fn again(mut self, again: bool) -> Self {
        self.group.again = again;
        self
    }

    /// Whether the source was imported as it stands, judged by name, length and modification time:
    /// then it need not be read. Where a repair gave up records of its thread it may have those,
    /// and is read.
    #[must_use]
    pub fn is_current(&self, path: &str, file_bytes: u64, modified_ns: i64) -> Option<Imported> {
        // What waits for a sync may say otherwise.
        let known = self.known.of(path);
        let mut known = known.filter(|rollout| !self.group.holds(*rollout));
        known.find_map(|rollout| {
            let look = |state: &State| current(state, rollout, path, file_bytes, modified_ns);
            self.store.source.with(look)
        })
    }

    /// Names a thread as a list of names says. A name of a thread that does not exist is kept for
    /// it: it has that name once it is created or its records are imported, and nobody is shown it
    /// before.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for an id that is none or was that of a thread that is
    /// deleted; [`crate::ErrorKind::Damaged`] for a thread in quarantine; failures of the store.
    pub fn name(&mut self, listed: ListedName<'_>) -> Result<(), Error> {
        let id = listed.thread;
        let parsed = thread_id(id)?;
        let parsed = self.store.as_known(parsed);
        let patch = name_patch(listed.name, listed.named_at_ms);
        self.group.name(&parsed, listed.list, &patch)
    }

    /// As [`Store::import`], but what a small source adds may not be durable yet.
    ///
    /// # Errors
    /// As [`Store::import`]; also failures to make durable what earlier sources added.
    pub fn import(
        &mut self,
        source: ImportSource<'_>,
        progress: ImportProgress<'_>,
    ) -> Result<ImportOutcome, Error> {
        let mut lines = Lines::new(source.plain);
        let head = match identify(&mut lines, source.thread_hint) {
            Ok(Head::Thread(head)) => head,
            Ok(Head::Skip(skip)) => return Ok(ImportOutcome::Skipped(skip)),
            Err(error) => {
                return Ok(ImportOutcome::Skipped(broken(&lines, error.to_string())));
            }
        };
        let id = self.store.as_known(head.thread.clone());
        let rollout_id = rollout_of(source.path, &id);
        let names = (&id, &rollout_id);
        let place = match self.place(names, head.base, &mut lines, progress)? {
            ImportOutcome::Done(place) => place,
            ImportOutcome::Skipped(skip) => return Ok(ImportOutcome::Skipped(skip)),
        };
        let (rollout, known) = (place.rollout, &place.target.known);
        let before = self.store.place_of(rollout);
        let is_moved = before.as_deref() != Some(source.path);
        let is_known_elsewhere =
            is_moved && before.is_some_and(|before| self.places.contains(&hash(&before)));
        let end = Ordinal(known.records);
        let of_thread = (place.thread, &id);
        let of_rollout = (rollout, &rollout_id);
        let mut sink = Sink::new(&mut self.group, of_thread, of_rollout, end, source.path);
        sink.describe(source.file_bytes, source.modified_ns);
        sink.lies(source.archived, is_moved, is_known_elsewhere);
        let added = add(&mut lines, &mut sink, known.unterminated, progress);
        let (after, ended) = (lines.at(), self.store.noting(added)?);
        let shrank_from = self.store.shrank_from(rollout, source.path, after);
        let (places, keeps_old) = (&self.places, self.keeps_old);
        let is_another_source = |place: &str| place != source.path && places.contains(&hash(place));
        let stays = |place: Option<&str>| keeps_old || place.is_some_and(is_another_source);
        let finished = sink.finish((after, ended.is_none()), stays);
        let done = self.store.noting(finished)?;
        self.touched.insert(rollout);
        let kept = place.target.namesakes.first();
        let written_anew = kept.filter(|_| place.target.rollout.is_none());
        let imported = Imported {
            thread: id.to_string(),
            rollout: rollout_id.to_string(),
            records: known.records + done.added,
            bytes: after,
            added_records: done.added - done.continued,
            head_lacks: head.lacks,
            shrank_from: shrank_from.filter(|_| ended.is_none()),
            written_anew: written_anew.map(|kept| WrittenAnew {
                kept: *kept,
                now: rollout,
                is_shown: done.is_shown,
            }),
        };
        Ok(match ended {
            None if !known.lost.is_empty() => ImportOutcome::Skipped(Skip::HasLost {
                thread: id.to_string(),
                ordinals: place.target.known.lost,
                imported: Box::new(imported),
            }),
            None => ImportOutcome::Done(imported),
            Some(why) => ImportOutcome::Skipped(Skip::Broken {
                after,
                why,
                imported: Some(Box::new(imported)),
            }),
        })
    }

    /// Finds or makes the rollout of a source, and passes by what the store holds of it.
    fn place(
        &mut self,
        (id, rollout_id): (&ThreadId, &ThreadId),
        base: Option<Awaited>,
        lines: &mut Lines<'_>,
        progress: ImportProgress<'_>,
    ) -> Result<ImportOutcome<Place>, Error> {
        let of_first = base.as_ref().filter(|_| id == rollout_id);
        let (thread, is_new) = match self.group.thread(id, of_first) {
            Err(Error::Append {
                reason: AppendError::Deleted,
                thread,
            }) => return Ok(ImportOutcome::Skipped(Skip::Deleted(thread))),
            found => found?,
        };
        let target = if is_new && id == rollout_id {
            Target::empty(Some(thread))
        } else {
            if is_new {
                self.group.settle()?;
            }
            let found = self
                .store
                .target((thread, id), rollout_id, lines, progress)?;
            let target = match found {
                ImportOutcome::Done(target) => target,
                ImportOutcome::Skipped(skip) => return Ok(ImportOutcome::Skipped(skip)),
            };
            self.group.arrived(thread, id)?;
            target
        };
        let of = (thread, id);
        let rollout = match (target.rollout, base) {
            (None, base) => self
                .group
                .rollout(of, rollout_id, base, &target.namesakes)?,
            (Some(rollout), Some(base)) if !is_new => {
                self.group.awaits(of, rollout, base)?;
                rollout
            }
            (Some(rollout), _) => rollout,
        };
        Ok(ImportOutcome::Done(Place {
            thread,
            rollout,
            target,
        }))
    }

    /// Makes durable what is not yet, and gives rollouts what they go on from where that is here by
    /// now. Says of which it is not, as far as sources of this import have to do with it.
    ///
    /// Cost: where rollouts wait for what they go on from, reads of that as much as they inherit.
    ///
    /// # Errors
    /// I/O; [`crate::ErrorKind::Stopped`]. What was not made durable is not called imported.
    pub fn finish(mut self) -> Result<Imports, Error> {
        self.group.settle()?;
        self.store.find_bases(&self.touched)
    }
}

/// Where a source belongs.
struct Place {
    thread: ThreadNumber,
    rollout: ThreadNumber,
    target: Target,
}

/// Adds the rest of the source; returns why it broke off, if it did.
fn add(
    lines: &mut Lines<'_>,
    sink: &mut Sink<'_, '_>,
    mut continues: bool,
    progress: ImportProgress<'_>,
) -> Result<Option<String>, Error> {
    let mut told = lines.at();
    loop {
        match lines.next_line() {
            Ok(None) => return Ok(None),
            Ok(Some(line)) => {
                sink.push(&line, continues)?;
                continues = false;
                lines.give_back(line);
            }
            Err(error) => return Ok(Some(error.to_string())),
        }
        if lines.at() - told > (1 << 20) {
            told = lines.at();
            progress(told);
        }
    }
}

/// Where rollouts were imported from last, as hashes: what they lead to is looked at again.
#[derive(Default)]
struct Places(Vec<(u64, ThreadNumber)>);

impl Places {
    fn of(&self, path: &str) -> impl Iterator<Item = ThreadNumber> {
        let hash = hash(path);
        let first = self.0.partition_point(|(at, _)| *at < hash);
        let here = self.0[first..]
            .iter()
            .take_while(move |(at, _)| *at == hash);
        here.map(|(_, rollout)| *rollout)
    }
}

fn places(state: &State) -> Places {
    let rollouts = state
        .threads()
        .flat_map(|(thread, _)| state.rollouts_of(thread));
    let place = |rollout| Some((hash(&state.import_of(rollout)?.path), rollout));
    let mut places: Vec<_> = rollouts.filter_map(place).collect();
    places.sort_unstable();
    Places(places)
}

/// What the store holds of a source that was imported as it stands.
fn current(
    state: &State,
    rollout: ThreadNumber,
    path: &str,
    file_bytes: u64,
    modified_ns: i64,
) -> Option<Imported> {
    let thread = state.thread(state.thread_of(rollout)?)?;
    let import = state.import_of(rollout)?;
    let own = state.own_records(rollout)?;
    let same_time = import.modified_ns == modified_ns && modified_ns != 0;
    let is_same = import.path == path && import.file_bytes == file_bytes && same_time;
    if !is_same || !own.given_up().is_empty() {
        return None;
    }
    Some(Imported {
        thread: thread.id.to_string(),
        rollout: state.rollout_id(rollout)?.to_string(),
        records: own.end().0,
        bytes: import.source_bytes,
        ..Imported::default()
    })
}

fn hash(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
