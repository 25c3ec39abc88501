//! Owns the failures of the index and the one gate through which redb is called; it must not know
//! rows.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};

use turnleaf_format::ThreadNumber;

use crate::codec::Malformed;

/// A table of the index; its number is part of every checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Table {
    /// What the index was built for.
    Meta = 0,
    /// Watermark, fold state, counts and digest per thread.
    Threads = 1,
    /// Turn rows by first ordinal.
    Turns = 2,
    /// Item rows by first ordinal.
    Items = 3,
    /// Turn ids by turn number.
    TurnNumbers = 4,
    /// Turn numbers by hash of the turn id.
    TurnNames = 5,
    /// First ordinals by turn number and hash of the item id, where a turn has many.
    ItemIds = 6,
    /// Where the items of a turn stand and their ids, by turn number.
    TurnItems = 7,
    /// Commands that only response items hold, by first ordinal.
    Calls = 8,
    /// In which lists a thread stands.
    Listed = 9,
    /// Places in lists of threads.
    Places = 10,
    /// Numbers of threads by directory.
    Directories = 11,
    /// What a thread was where a turn began, by turn number.
    Savepoints = 12,
    /// Which threads show rows of another one.
    Sharers = 13,
}

/// Where in the index a call was; `None` when it concerns all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What was being done: `open`, `begin`, `read`, `commit`, `compact`.
    pub operation: &'static str,
    /// In which table.
    pub table: Option<Table>,
    /// For which thread.
    pub thread: Option<ThreadNumber>,
}

/// How the index is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A value does not match its checksum.
    #[error("a value does not match its checksum")]
    Checksum,
    /// A page of the file does not match its checksum.
    #[error("a block of the file does not match its checksum")]
    Block,
    /// A value has its checksum but not the form of its table.
    #[error(transparent)]
    Value(#[from] Malformed),
    /// The rows of a thread are not those that were counted and summed up.
    #[error("the rows of the thread are not those that were counted")]
    Digest,
    /// A row points to a row that is not there.
    #[error("a row points to a row that is not there")]
    Dangling,
    /// redb found it, or its structures lead outside of the file.
    #[error("redb: {0}")]
    Engine(String),
}

/// Failure of a call into the index. The log is never affected; what to do is in the variant.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The disk failed. Close the index and open it again; it is not corrupt.
    #[error("I/O error in the index, {place}: {source}")]
    Io {
        /// Where.
        place: Place,
        /// Why.
        source: io::Error,
    },
    /// The file is wrong. Answer from the log, move the file aside and rebuild.
    #[error("the index is damaged, {place}: {damage}")]
    Damaged {
        /// Where.
        place: Place,
        /// How.
        damage: Damage,
    },
    /// The file belongs to another store, layout or projection. Rebuild.
    #[error("the index was built for another store or version")]
    Stale,
    /// redb or the storage below it panicked. Treat as damage.
    #[error("a panic in the index, {place}: {message}")]
    Panicked {
        /// Where.
        place: Place,
        /// The panic's message.
        message: String,
    },
    /// Another batch changed the rows of the thread meanwhile. Look at them again.
    #[error("the rows of thread {0} were changed meanwhile")]
    Overtaken(ThreadNumber),
    /// A record changes a row that the thread shows of another one. All of its rows have to be its
    /// own.
    #[error("a record of thread {0} changes a row that it shares")]
    OfBase(ThreadNumber),
    /// A row is larger than the index stores. The file is right, and another try ends in the same.
    #[error("a row of {bytes} bytes is too large, {place}")]
    RowTooLarge {
        /// Where.
        place: Place,
        /// Its size.
        bytes: usize,
    },
}

/// redb remembers a failure that it could not report.
#[derive(Debug, thiserror::Error)]
#[error("an earlier operation failed")]
struct Earlier;

impl IndexError {
    /// Whether the disk failed, now and by itself: another try may succeed on the same file. A
    /// failure that redb only remembers may as well have been damage.
    #[must_use]
    pub fn is_of_disk(&self) -> bool {
        match self {
            IndexError::Io { source, .. } => {
                source.get_ref().is_none_or(|inner| !inner.is::<Earlier>())
            }
            _ => false,
        }
    }

    /// Whether the disk takes no more bytes, or none at all: what is read from it may be right.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let kinds = [
            StorageFull,
            QuotaExceeded,
            ReadOnlyFilesystem,
            PermissionDenied,
        ];
        matches!(self, IndexError::Io { source, .. } if kinds.contains(&source.kind()))
    }
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Threads => "threads",
            Table::Turns => "turns",
            Table::Items => "items",
            Table::TurnNumbers => "turn_numbers",
            Table::TurnNames => "turn_names",
            Table::ItemIds => "item_ids",
            Table::TurnItems => "turn_items",
            Table::Calls => "calls",
            Table::Listed => "listed",
            Table::Places => "places",
            Table::Directories => "directories",
            Table::Savepoints => "savepoints",
            Table::Sharers => "sharers",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        if let Some(table) = self.table {
            write!(f, " of {}", table.name())?;
        }
        match self.thread {
            Some(thread) => write!(f, " for thread {thread}"),
            None => Ok(()),
        }
    }
}

impl Place {
    pub(super) fn new(operation: &'static str) -> Place {
        Place {
            operation,
            table: None,
            thread: None,
        }
    }

    pub(super) fn table(self, table: Table) -> Place {
        Place {
            table: Some(table),
            ..self
        }
    }

    pub(super) fn thread(self, thread: u64) -> Place {
        Place {
            thread: Some(ThreadNumber(thread)),
            ..self
        }
    }

    pub(super) fn damaged(self, damage: impl Into<Damage>) -> IndexError {
        IndexError::Damaged {
            place: self,
            damage: damage.into(),
        }
    }
}

/// What a call behind the gate failed with.
pub(super) enum Fault {
    Redb(redb::Error),
    Index(IndexError),
}

impl From<IndexError> for Fault {
    fn from(error: IndexError) -> Fault {
        Fault::Index(error)
    }
}

macro_rules! redb_faults {
    ($($name:ident)*) => {$(
        impl From<redb::$name> for Fault {
            fn from(error: redb::$name) -> Fault {
                Fault::Redb(error.into())
            }
        }
    )*};
}
redb_faults!(DatabaseError TransactionError TableError StorageError CommitError);
redb_faults!(CompactionError SetDurabilityError);

/// Calls into redb. A panic inside becomes an error, because bad bytes in the file can cause one.
pub(super) fn guarded<T>(
    place: Place,
    call: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Fault::Index(error))) => Err(error),
        Ok(Err(Fault::Redb(error))) => Err(translate(place, error)),
        Err(payload) => {
            let text = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            Err(IndexError::Panicked {
                place,
                message: text.unwrap_or_default(),
            })
        }
    }
}

fn translate(place: Place, error: redb::Error) -> IndexError {
    match error {
        redb::Error::Io(source) => translate_io(place, source),
        redb::Error::PreviousIo => IndexError::Io {
            place,
            source: io::Error::other(Earlier),
        },
        redb::Error::DatabaseAlreadyOpen => IndexError::Io {
            place,
            source: io::ErrorKind::WouldBlock.into(),
        },
        redb::Error::UpgradeRequired(_) => IndexError::Stale,
        redb::Error::ValueTooLarge(bytes) => IndexError::RowTooLarge { place, bytes },
        redb::Error::LockPoisoned(_) | redb::Error::DatabaseClosed => IndexError::Panicked {
            place,
            message: error.to_string(),
        },
        other => place.damaged(Damage::Engine(other.to_string())),
    }
}

/// A read outside of the file is a wild page number, not a failing disk.
fn translate_io(place: Place, source: io::Error) -> IndexError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match source.kind() {
        _ if super::blocks::is_panic(&source) => IndexError::Panicked {
            place,
            message: source.to_string(),
        },
        InvalidData if super::blocks::is_mismatch(&source) => place.damaged(Damage::Block),
        InvalidData | InvalidInput | UnexpectedEof => {
            place.damaged(Damage::Engine(source.to_string()))
        }
        _ => IndexError::Io { place, source },
    }
}

/// Something of redb whose drop does work, and may panic on a damaged file: dropped behind the
/// gate.
pub(super) struct Guarded<T>(Option<T>);

impl<T> Guarded<T> {
    pub(super) fn new(value: T) -> Guarded<T> {
        Guarded(Some(value))
    }
}

impl<T> Deref for Guarded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0
            .as_ref()
            .expect("a value is held until it is taken or dropped")
    }
}

impl<T> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0
            .as_mut()
            .expect("a value is held until it is taken or dropped")
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            // What a drop reports, nobody can act on: the next call or open finds it again.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
        }
    }
}
