//! Owns the ownership of a store: the kernel's lock decides, the file's text names the owner.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{DiskFailure, failed};
use crate::layout::LOCK;

/// Longest text of a lock file that is read, bytes.
const TEXT_BYTES_MAX: usize = 512;

/// Who owns a store, as it says of itself; informative, never trusted.
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
        write!(f, "process {} on {}", self.pid, self.host)
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

/// Takes the lock and writes the owner's name into it. The lock is held while the result lives.
pub(crate) fn take(disk: &dyn Disk, owner: &Owner) -> Result<Arc<dyn DiskFile>, LockError> {
    let file = match disk.lock(LOCK) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(LockError::Owned(read_owner(disk)));
        }
        Err(error) => return Err(LockError::Disk(failed("lock", LOCK)(error))),
    };
    let write = || {
        file.set_len(0)?;
        file.write_at(0, owner.text().as_bytes())
    };
    write().map_err(|error| LockError::Disk(failed("write", LOCK)(error)))?;
    Ok(file)
}

fn read_owner(disk: &dyn Disk) -> Option<Owner> {
    let file = disk.open(LOCK, Access::Read).ok()?;
    let mut bytes = vec![0; TEXT_BYTES_MAX];
    let len = file.read_at(0, &mut bytes).ok()?;
    Owner::parse(&String::from_utf8_lossy(&bytes[..len]))
}
