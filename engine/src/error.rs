//! Owns the failures of the engine: which operation failed on which file, and which bytes are
//! damaged where.

use std::fmt;
use std::io;

use rustix::io::Errno;
use turnleaf_format::{DecodeError, Ordinal, ThreadNumber};

/// An operation on a file failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}: {source}")]
pub struct DiskFailure {
    /// What was tried, as a verb.
    pub operation: &'static str,
    /// Path below the store's directory.
    pub path: String,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl DiskFailure {
    /// Whether the disk, or the quota on it, is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        is_disk_full(self.source.kind())
    }

    /// Whether the system refuses this file: it may not be opened (`EACCES`, `EPERM`), or the
    /// device or the file system cannot read it (`EIO`, `ENODATA`, `EBADMSG`, `EUCLEAN`). Anything
    /// else, as too many open files or no memory, says nothing about the file, and may be gone at
    /// the next try.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        let refusals = [Errno::IO, Errno::NODATA, Errno::BADMSG, Errno::UCLEAN];
        self.source.kind() == io::ErrorKind::PermissionDenied
            || refusals
                .iter()
                .any(|refusal| self.source.raw_os_error() == Some(refusal.raw_os_error()))
    }

    /// What the system said of the bytes that were to be read; the failure itself where it says
    /// nothing about them.
    pub(crate) fn of_bytes(self) -> Result<SystemError, DiskFailure> {
        if self.is_refusal() || self.source.kind() == io::ErrorKind::UnexpectedEof {
            Ok((&self.source).into())
        } else {
            Err(self)
        }
    }
}

/// Whether an error says that the disk is full.
pub(crate) fn is_disk_full(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Names the operation and the file of an I/O error.
pub(crate) fn failed(operation: &'static str, path: &str) -> impl FnOnce(io::Error) -> DiskFailure {
    let path = path.to_owned();
    move |source| DiskFailure {
        operation,
        path,
        source,
    }
}

/// What the system said when it refused a call; unlike [`io::Error`] it can be kept and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemError {
    /// Its kind.
    pub kind: io::ErrorKind,
    /// The number of the operating system, when it gave one.
    pub code: Option<i32>,
}

impl From<&io::Error> for SystemError {
    fn from(error: &io::Error) -> SystemError {
        SystemError {
            kind: error.kind(),
            code: error.raw_os_error(),
        }
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => io::Error::from_raw_os_error(code).fmt(f),
            None => self.kind.fmt(f),
        }
    }
}

/// Bytes of which nobody can say what they are, because the system did not open or read them. They
/// are evidence of nothing: neither that something is there, nor that it is not. `[R:unreadable]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Path below the store's directory.
    pub file: String,
    /// First byte concerned; 0 where the file could not be opened.
    pub offset: u64,
    /// What the system said.
    pub why: SystemError,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, offset, why) = (&self.file, self.offset, &self.why);
        write!(f, "{file} cannot be read at byte {offset}: {why}")
    }
}

impl Unreadable {
    /// Names the place of an I/O error.
    pub(crate) fn at(file: &str, offset: u64, why: SystemError) -> Unreadable {
        Unreadable {
            file: file.to_owned(),
            offset,
            why,
        }
    }

    /// For those who read what is left.
    pub(crate) fn damage(&self) -> Damage {
        Damage {
            file: self.file.clone(),
            offset: self.offset,
            length: 0,
            thread: None,
            ordinals: None,
            cause: Cause::Unreadable(self.why),
        }
    }
}

/// Why bytes of the log cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// They do not decode.
    Decode(DecodeError),
    /// A block does not inflate to what its header says.
    Inflate,
    /// The records do not continue the thread's chain.
    Chain,
    /// The digest of the whole segment differs.
    Digest,
    /// The file, or the end of it, is not there.
    Missing,
    /// The file is longer or shorter than was published.
    Length,
    /// The tables of a segment disagree with its blocks or with the catalogue.
    Tables,
    /// A run holds more or fewer payload bytes than its row states; no record is lost by that.
    RunBytes,
    /// Two journal files claim one generation.
    DuplicateGeneration,
    /// A frame passes the place where its file is said to end.
    CrossesEnd,
    /// A frame of an earlier owner stands behind one of a later owner.
    Epoch,
    /// A record of the catalogue contradicts those before it.
    Contradiction,
    /// Bytes between two frames are not zero; no record is lost by that.
    NonzeroPadding,
    /// The system did not read them.
    Unreadable(SystemError),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Decode(error) => error.fmt(f),
            Cause::Inflate => f.write_str("the block does not inflate to its stated size"),
            Cause::Chain => f.write_str("the records do not continue the thread's chain"),
            Cause::Digest => f.write_str("the digest of the segment differs"),
            Cause::Missing => f.write_str("the bytes are not there"),
            Cause::Length => f.write_str("the file has another length than was stated"),
            Cause::Tables => f.write_str("the segment's tables disagree with what was published"),
            Cause::RunBytes => {
                f.write_str("a run holds other payload bytes than was stated (no record is lost)")
            }
            Cause::DuplicateGeneration => f.write_str("two journal files claim one generation"),
            Cause::CrossesEnd => f.write_str("a frame passes the stated end of its file"),
            Cause::Epoch => f.write_str("two owners wrote at once"),
            Cause::Contradiction => f.write_str("a record of the catalogue contradicts the others"),
            Cause::NonzeroPadding => {
                f.write_str("bytes between two frames are not zero (no record is lost)")
            }
            Cause::Unreadable(why) => write!(f, "the device could not read it ({why})"),
        }
    }
}

/// Bytes of the log that are lost or cannot be trusted: where, whose, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Path below the store's directory.
    pub file: String,
    /// First byte concerned.
    pub offset: u64,
    /// Bytes concerned; 0 when unknown.
    pub length: u64,
    /// Whose records, when known.
    pub thread: Option<ThreadNumber>,
    /// First ordinal lost and one past the last, when known.
    pub ordinals: Option<(Ordinal, Ordinal)>,
    /// Why.
    pub cause: Cause,
}

impl Damage {
    /// Whether the system did not read the bytes: then no repair gives them up.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self.cause, Cause::Unreadable(_))
    }

    /// What of it nobody could read. Then it says nothing about what stands there.
    pub(crate) fn unreadable(&self) -> Option<Unreadable> {
        match self.cause {
            Cause::Unreadable(why) => Some(Unreadable::at(&self.file, self.offset, why)),
            _ => None,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (true, Some((first, end))) = (self.file.is_empty(), self.ordinals) {
            // Nothing holds them: there is no place to name.
            let last = end.0.saturating_sub(1);
            return write!(f, "records {first} to {last} are missing");
        }
        write!(f, "{} is damaged at byte {}", self.file, self.offset)?;
        if self.length > 0 {
            write!(f, " ({} bytes)", self.length)?;
        }
        if let Some((first, end)) = self.ordinals {
            write!(f, ", records {first} to {}", end.0.saturating_sub(1))?;
        }
        write!(f, ": {}", self.cause)
    }
}

impl std::error::Error for Damage {}

/// A read did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused.
    #[error(transparent)]
    Disk(#[from] DiskFailure),
    /// The bytes are damaged; everything outside the named ordinals stays readable.
    #[error(transparent)]
    Damaged(Box<Damage>),
}

impl From<Damage> for ReadError {
    fn from(damage: Damage) -> ReadError {
        ReadError::Damaged(Box::new(damage))
    }
}
