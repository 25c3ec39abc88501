//! Owns the one error of the facade and what a caller can do about it.

use std::sync::Arc;
use std::{fmt, io};

use turnleaf_engine::{AppendError, Damage, DiskFailure, OpenError, Owner, ReadError, Refusal};
use turnleaf_projector::index::{IndexError, InvalidToken};

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such store, thread, turn or item.
    NotFound,
    /// The request cannot be answered as it stands.
    Invalid,
    /// Bytes that are needed for the answer are damaged.
    Damaged,
    /// Another process owns the store, or others write to the thread that an import is for.
    Busy,
    /// The store was written by a newer version, or the request is beyond this one.
    Unsupported,
    /// The system refused.
    Io,
    /// A part of this process panicked; opening the store anew may help.
    Stopped,
}

/// What of a store works for all its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A commit: nothing is written any more.
    Commit,
    /// The thread that seals: no more than the journal has room for is written.
    Sealer,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Commit => "a commit of this process",
            Part::Sealer => "the sealer of this process, and the journal is full,",
        })
    }
}

/// A failure of a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no store in the directory.
    #[error("there is no store in {0}")]
    NoStore(String),
    /// There is no such thread.
    #[error("there is no thread {0} in the store")]
    NoThread(String),
    /// Other threads go on from records of it.
    #[error(
        "thread {thread} is not deleted: other threads go on from it ({}); delete them before it",
        forks.join(", ")
    )]
    IsBase {
        /// The thread.
        thread: String,
        /// The others.
        forks: Vec<String>,
    },
    /// The thread has no such rollout.
    #[error("thread {thread} has no rollout {rollout}; `turnleaf show` lists those that it has")]
    NoRollout {
        /// The thread.
        thread: String,
        /// The number that was asked for.
        rollout: u64,
    },
    /// There is no such turn.
    #[error("thread {thread} has no turn {turn}")]
    NoTurn {
        /// The thread.
        thread: String,
        /// The turn that was asked for.
        turn: String,
    },
    /// A text is not a thread id.
    #[error("{0:?} is not a thread id: 1 to 128 letters, digits, '-' or '_'")]
    BadThreadId(String),
    /// A cursor is mangled, or of another store, thread or list.
    #[error("invalid cursor {0:?}: take it from a page of the same thread and list")]
    BadCursor(String),
    /// An argument is out of bounds.
    #[error("{0}")]
    BadArgument(&'static str),
    /// The store was opened for reading.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// The store could not be opened.
    #[error("cannot open the store: {0}")]
    Open(OpenError),
    /// A batch was refused.
    #[error("thread {thread}: {reason}")]
    Append {
        /// The thread.
        thread: String,
        /// Why.
        reason: AppendError,
    },
    /// Others appended to a thread while a source was imported into it.
    #[error("thread {0}: others appended to it during the import; import the source again")]
    Overtaken(String),
    /// A batch was not acknowledged: the store does not show it. Where a sync failed or the store
    /// was moved meanwhile it is not known whether the disk has it; then the next owner, or the
    /// moved store, may show it, whole. An append with an expected end can be sent again.
    #[error("the batch is not acknowledged: {0}")]
    NotDurable(Arc<DiskFailure>),
    /// A part of this process panicked, and without it the request cannot be done. What was
    /// acknowledged stays; open the store anew.
    #[error("{0} panicked; open the store anew")]
    Stopped(Part),
    /// Needed bytes are damaged.
    #[error("thread {thread}: {damage}")]
    Damaged {
        /// The thread.
        thread: String,
        /// Where and why.
        damage: Box<Damage>,
    },
    /// The system refused an operation on the store.
    #[error(transparent)]
    Disk(#[from] DiskFailure),
    /// The system refused to read the source of an import.
    #[error("cannot read {path}: {source}")]
    Source {
        /// The source.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The index cannot take a record, and cannot pass it by either: a mistake of this version.
    #[error("the index cannot take record {0}")]
    NotIndexed(u64),
    /// The index failed, also after it was rebuilt.
    #[error("the index cannot be used: {0}")]
    Index(#[from] IndexError),
}

impl Error {
    /// Of an output that refuses what is written to it.
    pub(crate) fn of_output(source: io::Error) -> Error {
        Error::Source {
            path: "the output".into(),
            source,
        }
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::NoStore(_)
            | Error::NoThread(_)
            | Error::NoRollout { .. }
            | Error::NoTurn { .. } => ErrorKind::NotFound,
            Error::BadThreadId(_)
            | Error::BadCursor(_)
            | Error::BadArgument(_)
            | Error::IsBase { .. } => ErrorKind::Invalid,
            Error::ReadOnly => ErrorKind::Unsupported,
            Error::Open(OpenError::Owned(_)) => ErrorKind::Busy,
            Error::Open(OpenError::Refused(Refusal::NoStore)) => ErrorKind::NotFound,
            Error::Open(OpenError::Refused(Refusal::Newer { .. })) => ErrorKind::Unsupported,
            Error::Open(OpenError::Refused(Refusal::Mixed { .. } | Refusal::Headless { .. })) => {
                ErrorKind::Damaged
            }
            Error::Open(OpenError::Damaged(_)) => ErrorKind::Damaged,
            Error::Open(OpenError::Options(_)) => ErrorKind::Invalid,
            Error::Open(OpenError::Refused(Refusal::Unreadable(_))) => ErrorKind::Io,
            Error::Open(OpenError::Disk(_) | OpenError::NotWritable(_)) => ErrorKind::Io,
            Error::Append { reason, .. } => append_kind(reason),
            Error::Overtaken(_) => ErrorKind::Busy,
            Error::Stopped(_) => ErrorKind::Stopped,
            Error::NotDurable(_) | Error::Disk(_) | Error::Source { .. } => ErrorKind::Io,
            Error::Damaged { .. } => ErrorKind::Damaged,
            Error::NotIndexed(_) | Error::Index(IndexError::RowTooLarge { .. }) => {
                ErrorKind::Unsupported
            }
            Error::Index(IndexError::Overtaken(_) | IndexError::OfBase(_)) => ErrorKind::Busy,
            Error::Index(IndexError::Io { .. }) => ErrorKind::Io,
            Error::Index(_) => ErrorKind::Damaged,
        }
    }

    /// The thread that the failure is about, if it is about one.
    #[must_use]
    pub fn thread(&self) -> Option<&str> {
        match self {
            Error::NoThread(thread)
            | Error::NoTurn { thread, .. }
            | Error::NoRollout { thread, .. }
            | Error::IsBase { thread, .. }
            | Error::Append { thread, .. }
            | Error::Overtaken(thread)
            | Error::Damaged { thread, .. } => Some(thread),
            _ => None,
        }
    }

    /// Who owns the store, if that is the failure and it could be read.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        match self {
            Error::Open(OpenError::Owned(owner)) => owner.as_ref(),
            _ => None,
        }
    }

    /// The damage, if that is the failure.
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        match self {
            Error::Damaged { damage, .. } | Error::Open(OpenError::Damaged(damage)) => Some(damage),
            _ => None,
        }
    }

    pub(crate) fn of_read(thread: &str) -> impl FnOnce(ReadError) -> Error {
        let thread = thread.to_owned();
        move |error| match error {
            ReadError::Disk(failure) => Error::Disk(failure),
            ReadError::Damaged(damage) => Error::Damaged { thread, damage },
        }
    }

    pub(crate) fn of_cursor(text: &str) -> impl FnOnce(InvalidToken) -> Error {
        let text = text.to_owned();
        move |_| Error::BadCursor(text)
    }
}

fn append_kind(reason: &AppendError) -> ErrorKind {
    match reason {
        AppendError::NoThread => ErrorKind::NotFound,
        AppendError::Busy => ErrorKind::Busy,
        AppendError::Quarantined => ErrorKind::Damaged,
        AppendError::Exists
        | AppendError::IsBase
        | AppendError::Deleted
        | AppendError::Conflict { .. }
        | AppendError::TooLarge { .. }
        | AppendError::Empty => ErrorKind::Invalid,
    }
}
