//! Owns appends: the batch, and the retry that is recognised.

mod stream;

use turnleaf_engine::format::Ordinal;
use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::{AppendError, NewRecord};

use crate::error::Error;
use crate::index::projector::follow;
use crate::lines::boundary_flag;
use crate::open::Store;
use crate::source::thread_id;

pub use stream::{AppendStream, StreamError};

/// One line to be appended: its exact bytes, without the line feed.
pub type Line<'a> = &'a [u8];

/// A batch that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Ordinal of its first record.
    pub first: Ordinal,
    /// One past its last record.
    pub end: Ordinal,
    /// The same bytes stood there already: a retry of a batch that had succeeded.
    pub duplicate: bool,
}

impl Store {
    /// Appends lines to a thread as one batch: when this returns all of them are durable; when it
    /// fails none of them ever becomes visible, or, after a crash, all of them do.
    ///
    /// With `expected_end`, the batch is taken only where the thread ends there; when the same
    /// lines stand there already, that is a success too ([`Appended::duplicate`]). So a batch whose
    /// outcome is unknown can be sent again.
    ///
    /// Order: records of one thread stand in the order in which their batches were acknowledged;
    /// lines of a batch follow each other. A line is any bytes without a line feed, at most 16 MiB
    /// in a batch.
    ///
    /// Cost: one write and one sync of the journal, shared with all who wait at the same time. It
    /// does not grow with the thread; the index follows in the background, or when somebody reads.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let line = br#"{"timestamp":"2026-03-02T09:00:00Z","type":"event_msg","payload":{}}"#;
    /// let first = store.append("my-thread", None, &[line])?;
    /// // A retry that knows where the thread ended adds nothing twice.
    /// let again = store.append("my-thread", Some(first.first), &[line])?;
    /// assert!(again.duplicate && again.end == first.end);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for a conflict or an empty or too large batch;
    /// [`crate::ErrorKind::NotFound`], [`crate::ErrorKind::Busy`] while an import has the thread;
    /// [`crate::ErrorKind::Damaged`] for a thread in quarantine; I/O.
    pub fn append(
        &self,
        id: &str,
        expected_end: Option<Ordinal>,
        lines: &[Line<'_>],
    ) -> Result<Appended, Error> {
        let at = self.source.owner()?.now_ms();
        let records: Vec<NewRecord<'_>> = lines.iter().map(|line| line_record(line, at)).collect();
        loop {
            let refused = match self.append_records(id, expected_end, &records) {
                Err(Error::Append {
                    reason: AppendError::Conflict { expected, end },
                    thread,
                }) => Error::Append {
                    reason: AppendError::Conflict { expected, end },
                    thread,
                },
                appended => return appended,
            };
            let Some(expected) = expected_end else {
                return Err(refused);
            };
            // What is in the way may be this batch, from a try that is not acknowledged yet.
            let end = self.durable_end(id)?;
            if self.stands_at(id, expected, lines)? {
                self.index.appended_to(self.source.find(id)?.0);
                return Ok(Appended {
                    first: expected,
                    end: expected.plus(lines.len() as u64),
                    duplicate: true,
                });
            }
            if end != expected {
                return Err(refused);
            }
            // What was in the way failed.
        }
    }

    /// Names a thread; an empty name takes the name away. The name is a record of our own: exports
    /// leave it out. Durable when this returns; costs what [`Store::append`] costs.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// store.set_name("my-thread", "The boiling teapot")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Store::append`].
    pub fn set_name(&self, id: &str, name: &str) -> Result<Appended, Error> {
        let timestamp_ms = self.source.owner()?.now_ms();
        let patch = name_patch(name, timestamp_ms);
        let (kind, flags) = (Kind::METADATA, Flags::NONE);
        let record = NewRecord {
            kind,
            flags,
            timestamp_ms,
            bytes: patch.as_bytes(),
        };
        self.append_records(id, None, &[record])
    }

    pub(crate) fn append_records(
        &self,
        id: &str,
        expected_end: Option<Ordinal>,
        records: &[NewRecord<'_>],
    ) -> Result<Appended, Error> {
        let parsed = thread_id(id)?;
        let committer = self.source.owner()?;
        let refused = |reason| Error::Append {
            thread: id.to_owned(),
            reason,
        };
        // What is staged for the id may be an announcement, which makes no thread.
        let log = committer.wait_for_creation(committer.lock(), &parsed);
        let thread = log
            .state()
            .thread_number(&parsed)
            .filter(|number| !log.state().is_announced(*number))
            .ok_or_else(|| Error::NoThread(id.to_owned()))?;
        // A revert that is staged may not be durable before the batch is.
        let mut log = committer.wait_for_facts(log, &[thread]);
        let number = log.state().current(thread);
        let inherited = log.state().inherited_end(number);
        let visible = |own: Ordinal| own.plus(inherited.0);
        let conflict = |expected: Ordinal, end: Ordinal| {
            let end = visible(end);
            refused(AppendError::Conflict { expected, end })
        };
        if let Some(expected) = expected_end.filter(|expected| *expected < inherited) {
            let end = log.staged_end(number).unwrap_or_default();
            return Err(conflict(expected, end));
        }
        let own = expected_end.map(|expected| Ordinal(expected.0 - inherited.0));
        let staged = log.stage(number, own, records);
        let staged = staged.map_err(|reason| match reason {
            AppendError::Conflict { expected, end } => conflict(visible(expected), end),
            reason => refused(reason),
        })?;
        // Before the batch can be seen: else its turn would be shown as given up for a moment. A
        // record of our own, a name for example, is no work on the thread.
        if records.iter().any(|record| record.kind == Kind::LINE) {
            self.index.appended_to(number);
        }
        committer.settle(log, staged.ticket)?;
        if let Some(projector) = &self.projector {
            projector.tell(|| follow(self, committer));
        }
        Ok(Appended {
            first: visible(staged.first),
            end: visible(staged.end),
            duplicate: false,
        })
    }

    /// Where the thread ends once what is staged of it now is durable or failed.
    fn durable_end(&self, id: &str) -> Result<Ordinal, Error> {
        let (number, _) = self.source.find(id)?;
        let committer = self.source.owner()?;
        let log = committer.wait_for_staged(committer.lock(), number);
        let reader = log.state().reader(number);
        reader
            .map(|reader| reader.end())
            .ok_or_else(|| Error::NoThread(id.to_owned()))
    }

    /// Whether the lines stand in the thread from `first` on, byte for byte.
    fn stands_at(&self, id: &str, first: Ordinal, lines: &[Line<'_>]) -> Result<bool, Error> {
        let (_, reader) = self.source.find(id)?;
        let end = first.plus(lines.len() as u64);
        if end > reader.end() {
            return Ok(false);
        }
        let mut rest = lines.iter();
        let mut same = true;
        let read = reader.records(first, end, &mut |record| {
            same &= record.kind == Kind::LINE && rest.next().copied() == record.bytes();
            std::ops::ControlFlow::Continue(())
        });
        self.noting(read.map_err(Error::of_read(id)))?;
        // What a repair gave up is passed by: it stands there no more.
        Ok(same && rest.next().is_none())
    }
}

/// A line as a record.
pub(crate) fn line_record(bytes: &[u8], timestamp_ms: i64) -> NewRecord<'_> {
    let flags = boundary_flag(bytes);
    NewRecord {
        kind: Kind::LINE,
        flags,
        timestamp_ms,
        bytes,
    }
}

/// Our own record of a name, and since when it is given.
pub(crate) fn name_patch(name: &str, named_at_ms: i64) -> String {
    serde_json::json!({ "name": name, "at_ms": named_at_ms }).to_string()
}

#[cfg(test)]
mod tests;
