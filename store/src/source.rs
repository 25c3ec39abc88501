//! Owns the two ways a store is open: as its writer, or for reading alone; and which threads exist
//! for those who read.

use std::ops::ControlFlow;
use std::sync::PoisonError;

use turnleaf_engine::format::record::Kind;
use turnleaf_engine::format::{Ordinal, StoreId, ThreadId, ThreadNumber};
use turnleaf_engine::{Reader, Snapshot, State};

use crate::commit::Shared;
use crate::error::Error;

/// Tells the time as Unix milliseconds. What it says is data: nothing is decided by it.
pub type Clock = fn() -> i64;

/// What the log says of a thread, without the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadSummary {
    /// The thread's id.
    pub id: String,
    /// Its number in this store.
    pub number: u64,
    /// Records that it holds.
    pub records: u64,
    /// The thread chain at its end.
    pub chain: u64,
    /// When it was created here, Unix milliseconds.
    pub created_ms: i64,
    /// Whether it is archived.
    pub archived: bool,
    /// Where it was imported from last.
    pub imported_from: Option<String>,
}

/// Where records come from.
#[derive(Debug)]
pub(crate) enum Source {
    Owner(std::sync::Arc<Shared>),
    Reader(Box<Snapshot>),
}

impl Source {
    /// Looks at the state of the log.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        match self {
            Source::Owner(shared) => look(shared.lock().state()),
            Source::Reader(snapshot) => look(snapshot.state()),
        }
    }

    pub(crate) fn store(&self) -> StoreId {
        self.with(State::store)
    }

    /// The shared log, for writing.
    pub(crate) fn owner(&self) -> Result<&std::sync::Arc<Shared>, Error> {
        match self {
            Source::Owner(shared) => Ok(shared),
            Source::Reader(_) => Err(Error::ReadOnly),
        }
    }

    /// A thread by the id that a caller gave. One that has nothing but names is not there yet.
    pub(crate) fn find(&self, id: &str) -> Result<(ThreadNumber, Reader), Error> {
        let (number, reader) = self.find_any(id)?;
        if self.has_names_only(number, &reader) {
            return Err(Error::NoThread(id.to_owned()));
        }
        Ok((number, reader))
    }

    /// As [`Source::find`], also a thread that has nothing but names.
    pub(crate) fn find_any(&self, id: &str) -> Result<(ThreadNumber, Reader), Error> {
        let parsed = ThreadId::parse(id).map_err(|_| Error::BadThreadId(id.to_owned()))?;
        self.with(|state| {
            let number = state.thread_number(&parsed)?;
            Some((number, state.reader(number)?))
        })
        .ok_or_else(|| Error::NoThread(id.to_owned()))
    }

    /// Threads that have nothing but names.
    pub(crate) fn named_only(&self) -> u64 {
        let threads: Vec<(ThreadNumber, Reader)> = self.with(|state| {
            let all = state.threads();
            let never_imported = all.filter(|(_, fact)| fact.import.is_none());
            never_imported
                .filter_map(|(number, _)| Some((number, state.reader(number)?)))
                .collect()
        });
        let named = threads.iter();
        named
            .filter(|(number, reader)| self.has_names_only(*number, reader))
            .count() as u64
    }

    /// Whether a thread has nothing but names, which were given before its records came. Who reads
    /// is told of it once it has a line.
    fn has_names_only(&self, number: ThreadNumber, reader: &Reader) -> bool {
        let known = match self {
            Source::Owner(shared) => Some(&shared.with_lines),
            Source::Reader(_) => None,
        };
        let known = known.map(|known| known.lock().unwrap_or_else(PoisonError::into_inner));
        if known.is_some_and(|known| known.contains(&number)) {
            return false;
        }
        if has_names_only(reader) {
            return true;
        }
        if let Source::Owner(shared) = self {
            let known = shared.with_lines.lock();
            known.unwrap_or_else(PoisonError::into_inner).insert(number);
        }
        false
    }

    /// All threads, by number, also those that have nothing but names.
    pub(crate) fn summaries(&self) -> Vec<ThreadSummary> {
        self.with(|state| {
            let summary = |(number, fact): (ThreadNumber, &turnleaf_engine::ThreadFact)| {
                let reader = state.reader(number);
                ThreadSummary {
                    id: fact.id.to_string(),
                    number: number.0,
                    records: reader.as_ref().map_or(0, |reader| reader.end().0),
                    chain: reader.as_ref().map_or(0, |reader| reader.chain().0),
                    created_ms: fact.created_ms,
                    archived: fact.archived,
                    imported_from: fact.import.as_ref().map(|import| import.path.clone()),
                }
            };
            state.threads().map(summary).collect()
        })
    }
}

/// Whether all records are names. A thread of which anything was lost, or cannot be read, may have
/// had others; one without records is there.
pub(crate) fn has_names_only(reader: &Reader) -> bool {
    if reader.end() == Ordinal(0) || !reader.losses().is_empty() {
        return false;
    }
    let mut only = true;
    let read = reader.entries(Ordinal(0), reader.end(), &mut |_, entry| {
        only = entry.kind == Kind::METADATA;
        if only {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    read.is_ok() && only
}
