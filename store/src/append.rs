//! Owns appends: group commit by leader and followers on the callers' threads, and the retry that
//! is recognised.
//!
//! Whoever finds no commit under way becomes the leader: it writes and syncs the whole staged group
//! while others stage the next. One sync so serves all who waited for it.

mod stream;

use std::sync::{MutexGuard, PoisonError};

use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::format::{Ordinal, ThreadId, ThreadNumber};
use turnleaf_engine::{AppendError, Begin, Log, NewRecord, Outcome, SealGoal, Ticket};
use turnleaf_projector::fold;

use crate::error::Error;
use crate::open::Store;
use crate::sealer::{self, Step};
use crate::source::Shared;

pub use stream::{AppendStream, StreamError};

/// One line to be appended: its exact bytes, without the line feed.
pub type Line<'a> = &'a [u8];

/// A batch that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Ordinal of its first record.
    pub first: u64,
    /// One past its last record.
    pub end: u64,
    /// The same bytes stood there already: a retry of a batch that had succeeded.
    pub duplicate: bool,
}

impl Store {
    /// Appends lines to a thread as one batch: when this returns all of them are durable; when it
    /// fails none of them ever becomes visible, or, after a crash, all of them do.
    ///
    /// With `expected_end`, the batch is taken only where the thread ends there; when the same
    /// lines stand there already, that is a success too ([`Appended::duplicate`]).
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for a conflict or an empty or too large batch;
    /// [`crate::ErrorKind::NotFound`], [`crate::ErrorKind::Busy`] while an import has the thread;
    /// [`crate::ErrorKind::Damaged`] for a thread in quarantine; I/O.
    pub fn append(
        &self,
        id: &str,
        expected_end: Option<u64>,
        lines: &[Line<'_>],
    ) -> Result<Appended, Error> {
        let at = self.source.owner()?.now_ms();
        let records: Vec<NewRecord<'_>> = lines.iter().map(|line| line_record(line, at)).collect();
        let appended = self.append_records(id, expected_end, &records);
        match appended {
            Err(Error::Append {
                reason: AppendError::Conflict { expected, end },
                thread,
            }) => {
                if self.stands_at(id, expected, lines)? {
                    let end = expected.plus(lines.len() as u64);
                    return Ok(Appended {
                        first: expected.0,
                        end: end.0,
                        duplicate: true,
                    });
                }
                Err(Error::Append {
                    reason: AppendError::Conflict { expected, end },
                    thread,
                })
            }
            appended => appended,
        }
    }

    /// Names a thread; an empty name takes the name away. The name is a record of our own: exports
    /// leave it out.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub fn set_name(&self, id: &str, name: &str) -> Result<Appended, Error> {
        let patch = serde_json::json!({ "name": name }).to_string();
        let (kind, flags) = (Kind::METADATA, Flags::NONE);
        let record = NewRecord {
            kind,
            flags,
            timestamp_ms: self.source.owner()?.now_ms(),
            bytes: patch.as_bytes(),
        };
        self.append_records(id, None, &[record])
    }

    pub(crate) fn append_records(
        &self,
        id: &str,
        expected_end: Option<u64>,
        records: &[NewRecord<'_>],
    ) -> Result<Appended, Error> {
        let parsed = ThreadId::parse(id).map_err(|_| Error::BadThreadId(id.to_owned()))?;
        let shared = self.source.owner()?;
        let mut log = shared.lock();
        let refused = |reason| Error::Append {
            thread: id.to_owned(),
            reason,
        };
        let number = log
            .staged_thread(&parsed)
            .ok_or_else(|| Error::NoThread(id.to_owned()))?;
        let staged = log
            .stage(number, expected_end.map(Ordinal), records)
            .map_err(refused)?;
        settle(shared, log, staged.ticket)?;
        Ok(Appended {
            first: staged.first.0,
            end: staged.end.0,
            duplicate: false,
        })
    }

    /// Whether the lines stand in the thread from `first` on, byte for byte.
    fn stands_at(&self, id: &str, first: Ordinal, lines: &[Line<'_>]) -> Result<bool, Error> {
        let (_, reader) = self.source.find(id)?;
        let end = first.plus(lines.len() as u64);
        #[cfg(turnleaf_bugs)]
        if crate::bugs::RetryNotRecognised.planted() {
            return Ok(false);
        }
        if end > reader.end() {
            return Ok(false);
        }
        let mut rest = lines.iter();
        let mut same = true;
        reader
            .records(first, end, &mut |record| {
                same &= record.kind == Kind::LINE && rest.next().copied() == record.bytes();
                std::ops::ControlFlow::Continue(())
            })
            .map_err(Error::of_read(id))?;
        Ok(same)
    }

    /// Seals everything that the journal holds and gives its space back: worth it after an import
    /// of many small files.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] for a store open for reading; I/O.
    pub fn seal_all(&self) -> Result<(), Error> {
        let shared = self.source.owner()?;
        while sealer::step(shared, SealGoal::Everything) == Step::Sealed {}
        Ok(shared.lock().shrink_journal()?)
    }
}

/// A line as a record; a usable compaction is flagged, so that a segment can begin there.
pub(crate) fn line_record(bytes: &[u8], timestamp_ms: i64) -> NewRecord<'_> {
    let boundary = fold::is_boundary(bytes);
    let flags = if boundary {
        Flags::BOUNDARY
    } else {
        Flags::NONE
    };
    NewRecord {
        kind: Kind::LINE,
        flags,
        timestamp_ms,
        bytes,
    }
}

/// Waits until the outcome of a staged batch is known, leading commits where nobody else does.
pub(crate) fn settle<'s>(
    shared: &'s Shared,
    mut log: MutexGuard<'s, Log>,
    ticket: Ticket,
) -> Result<(), Error> {
    loop {
        match log.outcome(ticket) {
            Outcome::Durable => return Ok(()),
            Outcome::Failed(failure) => return Err(Error::NotDurable(failure)),
            Outcome::Pending => {}
        }
        match log.begin_commit() {
            Begin::Commit(commit) => {
                drop(log);
                let result = commit.run();
                log = shared.lock();
                log.finish_commit(commit, result);
                shared.settled.notify_all();
                if log.seal_is_due() {
                    shared.work.notify_all();
                }
            }
            Begin::Idle if !matches!(log.outcome(ticket), Outcome::Pending) => {}
            Begin::Idle => log = wait(shared, log),
            Begin::OverBudget => {
                shared.work.notify_all();
                log = wait(shared, log);
            }
        }
    }
}

pub(crate) fn wait<'a>(shared: &'a Shared, log: MutexGuard<'a, Log>) -> MutexGuard<'a, Log> {
    shared
        .settled
        .wait(log)
        .unwrap_or_else(PoisonError::into_inner)
}

/// Number of a thread that exists, or a new thread's.
pub(crate) fn find_or_create(shared: &Shared, id: &ThreadId) -> Result<ThreadNumber, Error> {
    let mut log = shared.lock();
    if let Some(number) = log.state().thread_number(id) {
        return Ok(number);
    }
    log.set_now(shared.now_ms());
    let (number, ticket) = log.stage_thread(id).map_err(|reason| Error::Append {
        thread: id.to_string(),
        reason,
    })?;
    settle(shared, log, ticket)?;
    Ok(number)
}
