//! Owns the report of a log that lacks records which its index has applied.

use std::fmt;

/// A log that lacks records which an index of it has applied: an older copy of it, or one that lost
/// what was acknowledged. The log decides what is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OlderLog {
    /// The thread.
    pub thread: String,
    /// Records that the log holds.
    pub log_end: u64,
    /// Records that the index knew.
    pub index_end: u64,
}

impl fmt::Display for OlderLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.log_end, self.index_end.saturating_sub(1));
        write!(
            f,
            "thread {}: the index knew records {first} to {last}, which the log does not have: the \
             log is an older copy, or lost them; the index was made anew from the log",
            self.thread
        )
    }
}
