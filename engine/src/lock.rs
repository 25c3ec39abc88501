//! Owns the ownership of a store: the kernel's lock decides, the file's text names the owner.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{DiskFailure, failed};
use crate::layout::LOCK;

/// Longest text of a lock file that is read, bytes.
const TEXT_BYTES_MAX: usize = 512;

/// Who owns a store, as it says of itself; informative, never trusted. Shown with the time in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// Since when, Unix milliseconds.
    pub since_ms: i64,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pid, host, since_ms) = (self.pid, &self.host, self.since_ms);
        match jiff::Timestamp::from_millisecond(since_ms) {
            Ok(since) => write!(f, "process {pid} on {host}, since {since}"),
            Err(_) => write!(f, "process {pid} on {host}"),
        }
    }
}

impl Owner {
    fn text(&self) -> String {
        let host: String = self
            .host
            .chars()
            .filter(|c| !c.is_whitespace())
            .take(255)
            .collect();
        format!("{} {} {}\n", self.pid, self.since_ms, host)
    }

    fn parse(text: &str) -> Option<Owner> {
        let mut words = text.split_whitespace();
        let pid = words.next()?.parse().ok()?;
        let since_ms = words.next()?.parse().ok()?;
        let host = words.next().unwrap_or("an unnamed host").to_owned();
        Some(Owner {
            pid,
            host,
            since_ms,
        })
    }
}

/// Why the lock was not taken.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process has it.
    Owned(Option<Owner>),
    /// The system refused.
    Disk(DiskFailure),
}

/// A store that is owned, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Ownership {
    disk: Arc<dyn Disk>,
    lock: Arc<dyn DiskFile>,
    lost: AtomicBool,
}

impl Ownership {
    /// Takes the lock and writes the owner's name into it.
    pub(crate) fn take(disk: &Arc<dyn Disk>, owner: &Owner) -> Result<Ownership, LockError> {
        Ok(Ownership {
            disk: Arc::clone(disk),
            lock: take(&**disk, owner)?,
            lost: AtomicBool::new(false),
        })
    }

    /// Looks whether the lock's name still leads to the lock. A directory that was renamed,
    /// replaced, or copied over is another store, or none. Once lost, it stays lost.
    ///
    /// # Errors
    /// When it does not, or when nobody can tell.
    pub(crate) fn check(&self) -> Result<(), DiskFailure> {
        self.check_file(LOCK, &*self.lock)
    }

    /// As [`Ownership::check`], for any file that is written. What went to a file that the store
    /// does not have any more must not be acknowledged.
    ///
    /// # Errors
    /// As [`Ownership::check`].
    pub(crate) fn check_file(&self, path: &str, file: &dyn DiskFile) -> Result<(), DiskFailure> {
        let same = || Ok(self.disk.id_at(path)? == Some(file.id()?));
        let same = same().map_err(failed("look for", path))?;
        if !same {
            self.lost.store(true, Ordering::Release);
        }
        if self.is_lost() { Err(lost()) } else { Ok(()) }
    }

    /// Whether a check has failed.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

/// Why nothing is acknowledged any more.
pub(crate) fn lost() -> DiskFailure {
    let why = "the store's directory was moved, replaced or taken over while it was open; what was \
               being appended may stand in the moved directory, and was not acknowledged. Open the \
               store again at the right place";
    failed("keep", LOCK)(io::Error::other(why))
}

fn take(disk: &dyn Disk, owner: &Owner) -> Result<Arc<dyn DiskFile>, LockError> {
    let file = match disk.lock(LOCK) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(LockError::Owned(read_owner(disk)));
        }
        Err(error) => return Err(LockError::Disk(failed("lock", LOCK)(error))),
    };
    let write = || {
        // In this order a full disk can take it: no block is given back first.
        let text = owner.text();
        file.write_at(0, text.as_bytes())?;
        file.set_len(text.len() as u64)
    };
    match write().map_err(failed("write", LOCK)) {
        // The text is information only: a full disk is no reason not to own the store.
        Err(failure) if failure.is_disk_full() => {
            tracing::warn!(%failure, "nobody is told who owns the store");
            let _ = file.set_len(0);
        }
        written => written.map_err(LockError::Disk)?,
    }
    Ok(file)
}

fn read_owner(disk: &dyn Disk) -> Option<Owner> {
    let file = disk.open(LOCK, Access::Read).ok()?;
    let mut bytes = vec![0; TEXT_BYTES_MAX];
    let len = file.read_at(0, &mut bytes).ok()?;
    Owner::parse(&String::from_utf8_lossy(&bytes[..len]))
}
