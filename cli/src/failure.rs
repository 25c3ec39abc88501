//! Owns why a command failed, and the code of each reason.

use std::fmt;
use std::io;
use std::path::PathBuf;

use turnleaf::{Error, ErrorKind};

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Store(Error),
    /// The store in this directory could not be opened.
    Opening {
        dir: PathBuf,
        error: Error,
    },
    /// An argument that cannot be.
    Usage(String),
    /// The system refused something outside the store.
    Io {
        what: String,
        source: io::Error,
    },
    /// Standard output was closed by its reader.
    BrokenPipe,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match &error {
            Error::Source { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => {
                Failure::BrokenPipe
            }
            _ => Failure::Store(error),
        }
    }
}

impl Failure {
    pub(crate) fn usage(message: &str) -> Failure {
        Failure::Usage(message.to_owned())
    }

    pub(crate) fn io(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Failure {
        let what = what.to_string();
        move |source| match source.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::Io { what, source },
        }
    }

    /// Whether something is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code().0 == "not_found"
    }

    /// The reason as a word for programs, and the exit code.
    pub(crate) fn code(&self) -> (&'static str, u8) {
        match self {
            Failure::Usage(_) => ("invalid", 2),
            Failure::Io { .. } | Failure::BrokenPipe => ("io", 1),
            Failure::Store(error) | Failure::Opening { error, .. } => match error.kind() {
                ErrorKind::NotFound => ("not_found", 3),
                ErrorKind::Invalid => ("invalid", 2),
                ErrorKind::Damaged => ("damaged", 4),
                ErrorKind::Busy => ("busy", 5),
                ErrorKind::Unsupported => ("unsupported", 1),
                _ => ("io", 1),
            },
        }
    }
}
