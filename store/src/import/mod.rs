//! Owns imports: from the bytes of a rollout to records, resumable and idempotent. It must not know
//! where sources come from: the caller opens, unpacks and names them.
//!
//! A source is compared with what the store holds of its thread from the first byte on. What is
//! equal is passed by, what comes behind is added, and where they differ nothing is touched: two
//! files then claim one thread, and the caller learns where. What a repair gave up stays given up,
//! and the caller learns that the source has it.

mod compare;
mod identify;
mod lines;
mod sink;

use std::fmt;
use std::io::Read;

use turnleaf_engine::AppendError;
use turnleaf_engine::format::catalogue::CatalogueRecord;
use turnleaf_engine::format::{Ordinal, ThreadNumber};

use crate::commit::{Shared, find_or_create, settle};
use crate::error::Error;
use crate::open::Store;

use compare::Compared;
use identify::{Head, identify};
pub(crate) use lines::LINE_BYTES_MAX;
use lines::Lines;
use sink::Sink;

/// A rollout to be imported.
pub struct ImportSource<'a> {
    /// Names the source in reports.
    pub path: &'a str,
    /// The thread's id by the source's name; what its first `session_meta` says wins.
    pub thread_hint: Option<&'a str>,
    /// The plain bytes from the beginning.
    pub plain: &'a mut dyn Read,
    /// Length of the source as it is stored, bytes; compared by [`Store::import_is_current`].
    pub file_bytes: u64,
    /// Its modification time, Unix nanoseconds; compared likewise.
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
    NoThread,
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
        /// Their ordinals, ascending: first and one past the last.
        ordinals: Vec<(u64, u64)>,
        /// What was imported.
        imported: Imported,
    },
    /// It has lines where a repair gave records up, and it cannot be told whether they are those.
    /// Nothing was imported.
    MayHaveLost {
        /// The thread.
        thread: String,
        /// The ordinals that were given up: first and one past the last.
        ordinals: (u64, u64),
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
            Skip::NotARollout => f.write_str("not a rollout: no line of its beginning is a record"),
            Skip::HistoryMode(mode) => {
                write!(
                    f,
                    "unknown history mode {mode:?}; a newer version may know it"
                )
            }
            Skip::NoThread => f.write_str("no session_meta and no id in the name: whose is it?"),
            Skip::BadThreadId(id) => write!(f, "{id:?} is not a thread id"),
            Skip::Deleted(id) => write!(
                f,
                "thread {id} was deleted from the store; to have it again, import it into another \
                 store"
            ),
            Skip::Differs { thread, at } => write!(
                f,
                "the store holds other history for thread {thread}: it differs at byte {at}; \
                 nothing was changed"
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
                Ranges(&[*ordinals])
            ),
            Skip::Broken { after: 0, why, .. } => write!(f, "cannot be read: {why}"),
            Skip::Broken { after, why, .. } => write!(
                f,
                "cannot be read beyond byte {after} of its plain text ({why}); what came before \
                 is imported"
            ),
        }
    }
}

/// Ordinals as people read them.
struct Ranges<'a>(&'a [(u64, u64)]);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, end)) in self.0.iter().enumerate() {
            let before = if at == 0 { "records " } else { ", " };
            write!(f, "{before}{first} to {}", end - 1)?;
        }
        Ok(())
    }
}

/// What an import came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// The thread.
    pub thread: String,
    /// Records of the thread now.
    pub records: u64,
    /// Plain bytes of the source.
    pub bytes: u64,
    /// Records that this import added.
    pub added_records: u64,
}

/// Told the plain bytes of the source that have been read so far.
pub type ImportProgress<'a> = &'a mut dyn FnMut(u64);

impl Store {
    /// Whether the source was imported as it stands, judged by name, length and modification time:
    /// then it need not be read. Where a repair gave up records of its thread it may have those,
    /// and is read.
    #[must_use]
    pub fn import_is_current(
        &self,
        path: &str,
        file_bytes: u64,
        modified_ns: i64,
    ) -> Option<Imported> {
        self.source.with(|state| {
            let same = |fact: &turnleaf_engine::ImportFact| {
                let same_time = fact.modified_ns == modified_ns;
                #[cfg(turnleaf_bugs)]
                let same_time = same_time || crate::bugs::SourceTimeIgnored.planted();
                fact.path == path && fact.file_bytes == file_bytes && same_time
            };
            let (number, fact) = state
                .threads()
                .find(|(_, fact)| fact.import.as_ref().is_some_and(same))?;
            let reader = state.reader(number)?;
            if !reader.given_up().is_empty() {
                return None;
            }
            let records = reader.end().0;
            let bytes = fact.import.as_ref().map_or(0, |import| import.source_bytes);
            Some(Imported {
                thread: fact.id.to_string(),
                records,
                bytes,
                added_records: 0,
            })
        })
    }

    /// Imports a source. Every line is kept, exact bytes, whatever it is; the outer result is about
    /// the store, the inner one about the source.
    ///
    /// # Errors
    /// Failures of the store; [`crate::ErrorKind::Busy`] when another import has the thread, or
    /// others appended to it meanwhile. What was imported before stays.
    pub fn import(
        &self,
        source: ImportSource<'_>,
        progress: ImportProgress<'_>,
    ) -> Result<Result<Imported, Skip>, Error> {
        let mut lines = Lines::new(source.plain);
        let id = match identify(&mut lines, source.thread_hint) {
            Ok(Head::Thread(id)) => id,
            Ok(Head::Skip(skip)) => return Ok(Err(skip)),
            Err(error) => {
                return Ok(Err(broken(&lines, error.to_string())));
            }
        };
        let shared = self.source.owner()?;
        let number = match find_or_create(shared, &id) {
            Err(Error::Append {
                reason: AppendError::Deleted,
                thread,
            }) => return Ok(Err(Skip::Deleted(thread))),
            found => found?,
        };
        let known = match self.compare(number, &id, &mut lines, progress)? {
            Compared::Prefix(known) => known,
            Compared::Skip(skip) => return Ok(Err(skip)),
        };
        let end = Ordinal(known.records);
        let mut sink = Sink::new(shared, number, &id, end, source.path);
        sink.describe(source.file_bytes, source.modified_ns);
        if !self.was_imported_from(number, source.path) {
            sink.moved(source.archived);
        }
        let broken = self.add(&mut lines, &mut sink, known.unterminated, progress);
        let (after, ended) = (lines.at(), self.noting(broken)?);
        let added_records = self.noting(sink.finish(after, ended.is_none()))?;
        let imported = Imported {
            thread: id.to_string(),
            records: known.records + added_records,
            bytes: after,
            added_records,
        };
        Ok(match ended {
            None if !known.lost.is_empty() => Err(Skip::HasLost {
                thread: id.to_string(),
                ordinals: known.lost,
                imported,
            }),
            None => Ok(imported),
            Some(why) => Err(Skip::Broken {
                after,
                why,
                imported: Some(imported),
            }),
        })
    }

    /// Whether the newest import into a thread was from the same place.
    fn was_imported_from(&self, thread: ThreadNumber, path: &str) -> bool {
        self.source.with(|state| {
            let import = state.thread(thread).and_then(|fact| fact.import.as_ref());
            import.is_some_and(|import| import.path == path)
        })
    }

    /// Adds the rest of the source; returns why it broke off, if it did.
    fn add(
        &self,
        lines: &mut Lines<'_>,
        sink: &mut Sink<'_>,
        mut continues: bool,
        progress: ImportProgress<'_>,
    ) -> Result<Option<String>, Error> {
        #[cfg(turnleaf_bugs)]
        if lines.at() > 0 && crate::bugs::ImportSkipsLine.planted() {
            let _ = lines.next_line();
        }
        #[cfg(turnleaf_bugs)]
        if crate::bugs::ImportForgetsOpenLine.planted() {
            continues = false;
        }
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
}

/// A source that broke before there was anything to add.
fn broken(lines: &Lines<'_>, why: String) -> Skip {
    Skip::Broken {
        after: lines.at(),
        why,
        imported: None,
    }
}

/// Stages a catalogue fact and waits until it is durable.
fn announce(shared: &Shared, fact: CatalogueRecord) -> Result<(), Error> {
    let mut log = shared.lock();
    let ticket = log.stage_catalogue(&[fact]);
    settle(shared, log, ticket)
}

#[cfg(test)]
mod tests;
