//! Owns the two ways a store is open: as its writer, or for reading alone.

use turnleaf_engine::format::{StoreId, ThreadChain, ThreadId, ThreadNumber};
use turnleaf_engine::{Reader, Snapshot, State, ThreadFact};

use crate::commit::Committer;
use crate::error::Error;

/// What the log says of a thread, without the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadSummary {
    /// The thread's id.
    pub id: String,
    /// Its number in this store.
    pub number: ThreadNumber,
    /// Records that it shows, those included that it goes on from.
    pub records: u64,
    /// The thread chain at its end.
    pub chain: ThreadChain,
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
    Owner(std::sync::Arc<Committer>),
    Reader(Box<Snapshot>),
}

impl Source {
    /// Looks at the state of the log.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        match self {
            Source::Owner(committer) => look(committer.lock().state()),
            Source::Reader(snapshot) => look(snapshot.state()),
        }
    }

    pub(crate) fn store(&self) -> StoreId {
        self.with(State::store)
    }

    /// The committer of the log, for writing.
    pub(crate) fn owner(&self) -> Result<&std::sync::Arc<Committer>, Error> {
        match self {
            Source::Owner(committer) => Ok(committer),
            Source::Reader(_) => Err(Error::ReadOnly),
        }
    }

    /// The number of a thread by the id that a caller gave. One that is announced is not there yet.
    pub(crate) fn find_thread(&self, id: &str) -> Result<ThreadNumber, Error> {
        let parsed = thread_id(id)?;
        let find = |state: &State| {
            let thread = state.thread_number(&parsed)?;
            (!state.is_announced(thread)).then_some(thread)
        };
        self.with(find)
            .ok_or_else(|| Error::NoThread(id.to_owned()))
    }

    /// The rollout that a thread shows, by the id that a caller gave, and its lineage. A thread
    /// that is announced is not there yet.
    pub(crate) fn find(&self, id: &str) -> Result<(ThreadNumber, Reader), Error> {
        self.find_where(id, |state, number| !state.is_announced(number))
    }

    /// As [`Source::find`], also a thread of which only a name was imported.
    pub(crate) fn find_any(&self, id: &str) -> Result<(ThreadNumber, Reader), Error> {
        self.find_where(id, |_, _| true)
    }

    fn find_where(
        &self,
        id: &str,
        is_there: impl Fn(&State, ThreadNumber) -> bool,
    ) -> Result<(ThreadNumber, Reader), Error> {
        let parsed = thread_id(id)?;
        self.with(|state| {
            let thread = state.thread_number(&parsed)?;
            let rollout = state.current(thread);
            let reader = state.reader(rollout)?;
            is_there(state, thread).then_some((rollout, reader))
        })
        .ok_or_else(|| Error::NoThread(id.to_owned()))
    }

    /// All threads that are there, by number.
    pub(crate) fn summaries(&self) -> Vec<ThreadSummary> {
        self.with(|state| {
            let summary = |(number, fact): (ThreadNumber, &ThreadFact)| {
                let current = state.current(number);
                let reader = state.reader(current);
                let import = state.import_of(current);
                ThreadSummary {
                    id: fact.id.to_string(),
                    number,
                    records: reader.as_ref().map_or(0, |reader| reader.end().0),
                    chain: reader
                        .as_ref()
                        .map_or(ThreadChain(0), |reader| reader.chain()),
                    created_ms: fact.created_ms,
                    archived: fact.archived,
                    imported_from: import.map(|import| import.path.clone()),
                }
            };
            shown(state).map(summary).collect()
        })
    }
}

/// The id of a thread from a caller's text.
pub(crate) fn thread_id(text: &str) -> Result<ThreadId, Error> {
    ThreadId::parse(text).map_err(|_| Error::BadThreadId(text.to_owned()))
}

/// All threads that are there, by number: those of which only a name was imported are not.
pub(crate) fn shown(state: &State) -> impl Iterator<Item = (ThreadNumber, &ThreadFact)> {
    let all = state.threads();
    all.filter(|(number, _)| !state.is_announced(*number))
}
