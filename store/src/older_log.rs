//! Owns the report of a log that lacks records which its index has applied.

use std::fmt;

use turnleaf_engine::format::Ordinal;

/// A log that lacks records which an index of it has applied: an older copy of it, or one that lost
/// what was acknowledged. The log decides what is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OlderLog {
    /// The thread.
    pub thread: String,
    /// One past the last record that the log holds.
    pub log_end: Ordinal,
    /// One past the last record that the index knew.
    pub index_end: Ordinal,
}

impl fmt::Display for OlderLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.log_end, self.index_end.0.saturating_sub(1));
        write!(
            f,
            "thread {}: the index knew records {first} to {last}, which the log does not have: the \
             log is an older copy, or lost them; the index was made anew from the log",
            self.thread
        )
    }
}
