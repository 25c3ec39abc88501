//! Owns the seam to the file system: everything that the engine asks of a disk, and nothing more.
//! It must not know what the files mean.
//!
//! A disk is rooted at one directory. Paths are relative, use `/`, and name plain files and
//! directories below the root; nothing outside the root can be reached and no symbolic link is
//! followed.

mod os;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

pub use os::OsDisk;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads only.
    Read,
    /// Reads and writes.
    ReadWrite,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, without its directory. Names that are not UTF-8 are not listed.
    pub name: String,
    /// What stands there.
    pub kind: EntryKind,
}

/// What stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A link, a pipe, a device, a socket: never opened.
    Other,
}

/// Which file an open file is, or a name leads to: equal only for one and the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    /// The file system.
    pub device: u64,
    /// The file's number there.
    pub number: u64,
}

/// A directory tree that holds a store.
///
/// Durability: a file's bytes are durable once [`DiskFile::sync`] returned; a name that was
/// created, renamed or removed is durable once [`Disk::sync_dir`] of its directory returned.
/// Nothing else makes anything durable.
pub trait Disk: Send + Sync + Debug {
    /// Names in a directory, sorted. `""` is the root.
    ///
    /// # Errors
    /// `NotFound` when the directory does not exist; any I/O error.
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>>;

    /// Creates a directory (mode 0700); one that exists already is not an error. The root and its
    /// missing parents are created for `""`.
    ///
    /// # Errors
    /// Any I/O error.
    fn create_dir(&self, dir: &str) -> io::Result<()>;

    /// Makes the names of a directory durable.
    ///
    /// # Errors
    /// Any I/O error; then nothing is known about the names.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Creates a new empty file (mode 0600) for reading and writing.
    ///
    /// # Errors
    /// `AlreadyExists` when something stands there; any I/O error.
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing regular file.
    ///
    /// # Errors
    /// `NotFound` when there is none; `InvalidInput` when it is not a regular file; any I/O error.
    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file within the root, replacing what stands at `to`.
    ///
    /// # Errors
    /// Any I/O error.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound` when there is none; any I/O error.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Takes the exclusive lock of a file, which is created when missing, without waiting. The lock
    /// is held until the returned file is dropped or the process ends.
    ///
    /// # Errors
    /// `WouldBlock` when another holder has it; any I/O error.
    fn lock(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// The file that a name leads to now; `None` when there is none.
    ///
    /// # Errors
    /// Any I/O error.
    fn id_at(&self, path: &str) -> io::Result<Option<FileId>>;

    /// Lengths in bytes of files in one directory, in the order of their names; `None` for a name
    /// at which no regular file stands. Nothing is opened or read.
    ///
    /// # Errors
    /// `NotFound` when the directory does not exist, any I/O error; of one file alone in its place.
    fn lens(&self, dir: &str, names: &[String]) -> io::Result<Vec<io::Result<Option<u64>>>>;
}

/// An open file.
pub trait DiskFile: Send + Sync + Debug {
    /// Length in bytes.
    ///
    /// # Errors
    /// Any I/O error.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// Any I/O error.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// Any I/O error.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Where, at `offset` or beyond, bytes may stand that were written; `None` when there are none
    /// up to the end. What lies between is zero. A disk that cannot tell says `offset`.
    ///
    /// # Errors
    /// Any I/O error.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        Ok((offset < self.len()?).then_some(offset))
    }

    /// Writes all of `bytes` at `offset`. After an error any part of them may have been written.
    ///
    /// # Errors
    /// Any I/O error.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts or extends the file with zeros.
    ///
    /// # Errors
    /// Any I/O error.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the file's bytes and length durable (`fdatasync`). After an error the file must not be
    /// synced again: a second sync may succeed although the bytes were lost.
    ///
    /// # Errors
    /// Any I/O error.
    fn sync(&self) -> io::Result<()>;

    /// Which file this is, whatever its name became.
    ///
    /// # Errors
    /// Any I/O error.
    fn id(&self) -> io::Result<FileId>;
}

/// Bytes that are asked about at once when the end of a file's data is looked for.
const PROBED_BYTES: u64 = 1 << 20;

/// Where, between two offsets, the bytes end that may have been written, to within 1 MiB: what
/// follows is zero, and a file of holes costs neither memory nor time.
///
/// # Errors
/// Any I/O error.
pub(crate) fn data_end(file: &dyn DiskFile, start: u64, end: u64) -> io::Result<u64> {
    let (mut at, mut reached) = (start, start);
    while at < end {
        match file.next_data(at)? {
            Some(data) if data < end => at = data.saturating_add(PROBED_BYTES).min(end),
            _ => break,
        }
        reached = at;
    }
    Ok(reached)
}

/// How often bytes are read again before nobody can say what they are.
pub(crate) const REREADS_MAX: usize = 3;

/// As [`read_exact_at`], until two readings in a row agree: for bytes that are written again, where
/// a bit that only one reading shows would stay for ever. `[R:reread]`
///
/// # Errors
/// `InvalidData` when no two readings agree; else as [`read_exact_at`].
pub(crate) fn read_agreed_at(file: &dyn DiskFile, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = read_exact_at(file, offset, len)?;
    for _ in 0..REREADS_MAX {
        let again = read_exact_at(file, offset, len)?;
        if again == bytes {
            return Ok(bytes);
        }
        bytes = again;
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Reads exactly `len` bytes at `offset`. A read that the system fails is tried once more.
/// `[R:unreadable]`
///
/// # Errors
/// `UnexpectedEof` when the file ends before; any I/O error.
pub fn read_exact_at(file: &dyn DiskFile, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; len];
    let read = file
        .read_at(offset, &mut buffer)
        .or_else(|_| file.read_at(offset, &mut buffer))?;
    if read == len {
        Ok(buffer)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
