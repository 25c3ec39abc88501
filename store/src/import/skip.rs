//! Owns why a source was not imported, and the words for it.

use std::fmt;
use std::ops::Range;

use turnleaf_engine::format::Ordinal;

use super::Imported;
use super::lines::Lines;

/// Why a source was not imported, or not to its end. What was imported before stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// It has no bytes, or blank lines only.
    Empty,
    /// No line of its beginning is a record of a rollout.
    NotARollout,
    /// Its head asks for a history mode that is not known.
    HistoryMode(String),
    /// Neither its head nor its name says which thread it is.
    NoThread {
        /// It has a `session_meta`, but one without an id.
        has_meta: bool,
    },
    /// What it calls a thread id is none.
    BadThreadId(String),
    /// Its thread was deleted here.
    Deleted(String),
    /// The store holds other bytes for the same thread.
    Differs {
        /// The thread.
        thread: String,
        /// First plain byte that differs.
        at: u64,
    },
    /// It has records that a repair gave up; the thread's chain proves them. They cannot be put
    /// back in their place. The rest is imported.
    HasLost {
        /// The thread.
        thread: String,
        /// Their ordinals, ascending.
        ordinals: Vec<Range<Ordinal>>,
        /// What was imported.
        imported: Box<Imported>,
    },
    /// It has lines where a repair gave records up, and it cannot be told whether they are those.
    /// Nothing was imported.
    MayHaveLost {
        /// The thread.
        thread: String,
        /// The ordinals that were given up.
        ordinals: Range<Ordinal>,
    },
    /// It could not be read to its end.
    Broken {
        /// Plain bytes that were read.
        after: u64,
        /// What the reader said.
        why: String,
        /// What they came to; `None` where it broke before there was anything to add.
        imported: Option<Box<Imported>>,
    },
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skip::Empty => f.write_str("the file is empty"),
            Skip::NotARollout => {
                f.write_str("not a rollout: no line of its beginning is a record; leave it out")
            }
            Skip::HistoryMode(mode) => {
                write!(
                    f,
                    "unknown history mode {mode:?}; a newer version may know it"
                )
            }
            Skip::NoThread { has_meta } => {
                let head = if *has_meta {
                    "its session_meta has no payload.id"
                } else {
                    "it has no session_meta"
                };
                write!(
                    f,
                    "{head}, and there is no id in its name: to import it, call it \
                     rollout-<time>-<id>.jsonl"
                )
            }
            Skip::BadThreadId(id) => write!(
                f,
                "{id:?} is not a thread id (1 to 128 letters, digits, '-' or '_'): keep the file \
                 where it is"
            ),
            Skip::Deleted(id) => write!(
                f,
                "thread {id} was deleted from the store; `import --again` brings it back"
            ),
            Skip::Differs { thread, at } => write!(
                f,
                "the store holds other history for thread {thread}: it differs at byte {at}; \
                 nothing was changed: keep the file, and import it into another store to read it \
                 there"
            ),
            Skip::HasLost {
                thread, ordinals, ..
            } => write!(
                f,
                "it has {} of thread {thread}, which a repair gave up; they cannot be put back in \
                 their place: keep the file, and import it into another store to read them there; \
                 the rest of it is imported",
                Ranges(ordinals)
            ),
            Skip::MayHaveLost { thread, ordinals } => write!(
                f,
                "a repair gave up {} of thread {thread}, and what the file has there cannot be \
                 proven to be those: keep the file, and import it into another store to read it \
                 there; nothing was changed",
                Ranges(std::slice::from_ref(ordinals))
            ),
            Skip::Broken { after: 0, why, .. } => {
                write!(
                    f,
                    "cannot be read: {why}; import it again once it can be read"
                )
            }
            Skip::Broken { after, why, .. } => write!(
                f,
                "cannot be read beyond byte {after} of its plain text ({why}); what came before \
                 is imported: import it again once it can be read"
            ),
        }
    }
}

/// Ordinals as people read them.
struct Ranges<'a>(&'a [Range<Ordinal>]);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, lost) in self.0.iter().enumerate() {
            let before = if at == 0 { "records " } else { ", " };
            write!(f, "{before}{} to {}", lost.start, lost.end.0 - 1)?;
        }
        Ok(())
    }
}

/// A source that broke before there was anything to add.
pub(super) fn broken(lines: &Lines<'_>, why: String) -> Skip {
    Skip::Broken {
        after: lines.at(),
        why,
        imported: None,
    }
}
