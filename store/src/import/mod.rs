//! Owns imports: from the bytes of a rollout to records, resumable and idempotent. It must not know
//! where sources come from: the caller opens, unpacks and names them.
//!
//! A source is compared with what the store holds of its thread from the first byte on. What is
//! equal is passed by, what comes behind is added, and where they differ nothing is touched: two
//! files then claim one thread, and the caller learns where. What a repair gave up stays given up,
//! and the caller learns that the source has it.

mod compare;
mod group;
mod identify;
mod lines;
mod names;
mod preview;
mod sink;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::ops::Range;

use turnleaf_engine::format::{Ordinal, ThreadId, ThreadNumber};
use turnleaf_engine::{AppendError, State, ThreadFact};
use turnleaf_projector::payload::HeadLack;
use turnleaf_projector::uuid::{uuid, uuid_text};

use crate::append::name_patch;
use crate::error::Error;
use crate::open::Store;

use compare::{Compared, Known};
use group::Group;
use identify::{Head, identify};
use lines::Lines;
pub use names::KnownName;
pub use preview::{Preview, Previewer};
use sink::Sink;

/// A rollout to be imported.
pub struct ImportSource<'a> {
    /// Names the source in reports.
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

/// Why a source was not imported, or not to its end. What was imported before stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// It has no bytes, or blank lines only.
    Empty,
    /// No line of its beginning is a record of a rollout.
    NotARollout,
    /// Its head asks for a history mode that is not known.
    HistoryMode(String),
    /// Neither its head nor its name says which thread it is.
    NoThread {
        /// It has a `session_meta`, but one without an id.
        has_meta: bool,
    },
    /// What it calls a thread id is none.
    BadThreadId(String),
    /// Its thread was deleted here.
    Deleted(String),
    /// The store holds other bytes for the same thread.
    Differs {
        /// The thread.
        thread: String,
        /// First plain byte that differs.
        at: u64,
    },
    /// It has records that a repair gave up; the thread's chain proves them. They cannot be put
    /// back in their place. The rest is imported.
    HasLost {
        /// The thread.
        thread: String,
        /// Their ordinals, ascending.
        ordinals: Vec<Range<Ordinal>>,
        /// What was imported.
        imported: Imported,
    },
    /// It has lines where a repair gave records up, and it cannot be told whether they are those.
    /// Nothing was imported.
    MayHaveLost {
        /// The thread.
        thread: String,
        /// The ordinals that were given up.
        ordinals: Range<Ordinal>,
    },
    /// It could not be read to its end.
    Broken {
        /// Plain bytes that were read.
        after: u64,
        /// What the reader said.
        why: String,
        /// What they came to; `None` where it broke before there was anything to add.
        imported: Option<Imported>,
    },
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skip::Empty => f.write_str("the file is empty"),
            Skip::NotARollout => {
                f.write_str("not a rollout: no line of its beginning is a record; leave it out")
            }
            Skip::HistoryMode(mode) => {
                write!(
                    f,
                    "unknown history mode {mode:?}; a newer version may know it"
                )
            }
            Skip::NoThread { has_meta } => {
                let head = if *has_meta {
                    "its session_meta has no payload.id"
                } else {
                    "it has no session_meta"
                };
                write!(
                    f,
                    "{head}, and there is no id in its name: to import it, call it \
                     rollout-<time>-<id>.jsonl"
                )
            }
            Skip::BadThreadId(id) => write!(
                f,
                "{id:?} is not a thread id (1 to 128 letters, digits, '-' or '_'): keep the file \
                 where it is"
            ),
            Skip::Deleted(id) => write!(
                f,
                "thread {id} was deleted from the store; to have it again, import it into another \
                 store"
            ),
            Skip::Differs { thread, at } => write!(
                f,
                "the store holds other history for thread {thread}: it differs at byte {at}; \
                 nothing was changed: keep the file, and import it into another store to read it \
                 there"
            ),
            Skip::HasLost {
                thread, ordinals, ..
            } => write!(
                f,
                "it has {} of thread {thread}, which a repair gave up; they cannot be put back in \
                 their place: keep the file, and import it into another store to read them there; \
                 the rest of it is imported",
                Ranges(ordinals)
            ),
            Skip::MayHaveLost { thread, ordinals } => write!(
                f,
                "a repair gave up {} of thread {thread}, and what the file has there cannot be \
                 proven to be those: keep the file, and import it into another store to read it \
                 there; nothing was changed",
                Ranges(std::slice::from_ref(ordinals))
            ),
            Skip::Broken { after: 0, why, .. } => {
                write!(
                    f,
                    "cannot be read: {why}; import it again once it can be read"
                )
            }
            Skip::Broken { after, why, .. } => write!(
                f,
                "cannot be read beyond byte {after} of its plain text ({why}); what came before \
                 is imported: import it again once it can be read"
            ),
        }
    }
}

/// Ordinals as people read them.
struct Ranges<'a>(&'a [Range<Ordinal>]);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, lost) in self.0.iter().enumerate() {
            let before = if at == 0 { "records " } else { ", " };
            write!(f, "{before}{} to {}", lost.start, lost.end.0 - 1)?;
        }
        Ok(())
    }
}

/// What an import came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// The thread.
    pub thread: String,
    /// Records that the thread's log has now. [`Store::counts`] tells how many of them are lines of
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
        })
    }

    /// Plain bytes that a source had at its last import, where that is more than it has now.
    fn shrank_from(&self, thread: ThreadNumber, path: &str, bytes: u64) -> Option<u64> {
        self.source.with(|state| {
            let fact = state.thread(thread).filter(|fact| is_from(fact, path))?;
            let before = fact.import.as_ref()?.source_bytes;
            (before > bytes).then_some(before)
        })
    }

    /// Where a thread was imported from last.
    fn place_of(&self, thread: ThreadNumber) -> Option<String> {
        self.source.with(|state| {
            let import = state.thread(thread)?.import.as_ref()?;
            Some(import.path.clone())
        })
    }
}

/// Imports sources one after the other. What a source added is durable when
/// [`Importer::finish`] returned; of an importer that is dropped without it, what the newest
/// sources added may be missing, and they are not called imported then.
#[must_use]
pub struct Importer<'s> {
    store: &'s Store,
    group: Group<'s>,
    /// Where threads were imported from last, as hashes: what they lead to is looked at again.
    known: HashMap<u64, ThreadNumber>,
    /// Where sources of this import lie, as hashes.
    places: HashSet<u64>,
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

    /// Whether the source was imported as it stands, judged by name, length and modification time:
    /// then it need not be read. Where a repair gave up records of its thread it may have those,
    /// and is read.
    #[must_use]
    pub fn is_current(&self, path: &str, file_bytes: u64, modified_ns: i64) -> Option<Imported> {
        let number = *self.known.get(&hash(path))?;
        if self.group.holds(number) {
            // What waits for a sync may say otherwise.
            return None;
        }
        let look = |state: &State| current(state, number, path, file_bytes, modified_ns);
        self.store.source.with(look)
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
        let parsed = ThreadId::parse(id).map_err(|_| Error::BadThreadId(id.to_owned()))?;
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
        let (id, head_lacks) = match identify(&mut lines, source.thread_hint) {
            Ok(Head::Thread(id, lacks)) => (id, lacks),
            Ok(Head::Skip(skip)) => return Ok(ImportOutcome::Skipped(skip)),
            Err(error) => {
                return Ok(ImportOutcome::Skipped(broken(&lines, error.to_string())));
            }
        };
        let id = self.store.as_known(id);
        let (number, is_new) = match self.group.thread(&id) {
            Err(Error::Append {
                reason: AppendError::Deleted,
                thread,
            }) => return Ok(ImportOutcome::Skipped(Skip::Deleted(thread))),
            found => found?,
        };
        let known = if is_new {
            Known::default()
        } else {
            match self.store.compare(number, &id, &mut lines, progress)? {
                Compared::Prefix(known) => {
                    self.group.arrived(number, &id)?;
                    known
                }
                Compared::Skip(skip) => return Ok(ImportOutcome::Skipped(skip)),
            }
        };
        let place = self.store.place_of(number);
        let is_moved = place.as_deref() != Some(source.path);
        let is_known_elsewhere =
            is_moved && place.is_some_and(|place| self.places.contains(&hash(&place)));
        let end = Ordinal(known.records);
        let mut sink = Sink::new(&mut self.group, number, &id, end, source.path);
        sink.describe(source.file_bytes, source.modified_ns);
        if is_moved {
            sink.moved(source.archived, is_known_elsewhere);
        }
        let broken = add(&mut lines, &mut sink, known.unterminated, progress);
        let (after, ended) = (lines.at(), self.store.noting(broken)?);
        let shrank_from = self.store.shrank_from(number, source.path, after);
        let finished = sink.finish(after, ended.is_none());
        let (appended, continued) = self.store.noting(finished)?;
        let imported = Imported {
            thread: id.to_string(),
            records: known.records + appended,
            bytes: after,
            added_records: appended - continued,
            head_lacks,
            shrank_from: shrank_from.filter(|_| ended.is_none()),
        };
        Ok(match ended {
            None if !known.lost.is_empty() => ImportOutcome::Skipped(Skip::HasLost {
                thread: id.to_string(),
                ordinals: known.lost,
                imported,
            }),
            None => ImportOutcome::Done(imported),
            Some(why) => ImportOutcome::Skipped(Skip::Broken {
                after,
                why,
                imported: Some(imported),
            }),
        })
    }

    /// Makes durable what is not yet.
    ///
    /// # Errors
    /// I/O; [`crate::ErrorKind::Stopped`]. What was not made durable is not called imported.
    pub fn finish(mut self) -> Result<(), Error> {
        self.group.settle()
    }
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

/// Where threads were imported from last, as hashes.
fn places(state: &State) -> HashMap<u64, ThreadNumber> {
    let place = |(number, fact): (ThreadNumber, &ThreadFact)| {
        let import = fact.import.as_ref()?;
        Some((hash(&import.path), number))
    };
    state.threads().filter_map(place).collect()
}

/// What the store holds of a source that was imported as it stands.
fn current(
    state: &State,
    number: ThreadNumber,
    path: &str,
    file_bytes: u64,
    modified_ns: i64,
) -> Option<Imported> {
    let fact = state.thread(number).filter(|fact| is_from(fact, path))?;
    let import = fact.import.as_ref()?;
    let same_time = import.modified_ns == modified_ns && modified_ns != 0;
    let reader = state.reader(number)?;
    if import.file_bytes != file_bytes || !same_time || !reader.given_up().is_empty() {
        return None;
    }
    Some(Imported {
        thread: fact.id.to_string(),
        records: reader.end().0,
        bytes: import.source_bytes,
        added_records: 0,
        ..Imported::default()
    })
}

/// Whether a thread was imported from this place last.
fn is_from(fact: &ThreadFact, path: &str) -> bool {
    fact.import
        .as_ref()
        .is_some_and(|import| import.path == path)
}

fn hash(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// A source that broke before there was anything to add.
fn broken(lines: &Lines<'_>, why: String) -> Skip {
    Skip::Broken {
        after: lines.at(),
        why,
        imported: None,
    }
}

#[cfg(test)]
mod tests;
