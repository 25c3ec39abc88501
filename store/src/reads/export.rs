//! Owns exports: the exact bytes of a thread.

use std::io::{self, Write};
use std::ops::{Bound, ControlFlow, RangeBounds};

use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_engine::{Damage, DiskFailure, Options, ReadError, Reader, Snapshot, State};

use crate::error::Error;
use crate::open::Store;

/// Looks a rollout up in a state of the log.
type Look = fn(&State, ThreadNumber) -> Option<Reader>;

impl Store {
    /// Writes the exact bytes that were imported or appended, of a range of a thread's records. A
    /// range without a beginning begins with the thread's own records: what the rollout that it
    /// shows inherits from others is in theirs. Records of our own are left out. Damage, and a
    /// segment that the system does not open, is passed by and noted in [`Store::damage_seen`].
    /// Says how many bytes were written. What is appended meanwhile is not in it.
    ///
    /// Cost: reads those records once, in order; memory does not grow with them. Needs no index.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let mut out = Vec::new();
    /// let first_hundred = turnleaf::Ordinal(0)..turnleaf::Ordinal(100);
    /// let bytes = store.export("my-thread", first_hundred, &mut out)?;
    /// assert_eq!(bytes, out.len() as u64);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`]; failures of the system, of `out` too.
    pub fn export(
        &self,
        id: &str,
        records: impl RangeBounds<Ordinal>,
        out: &mut dyn Write,
    ) -> Result<u64, Error> {
        let first = match records.start_bound() {
            Bound::Included(first) => Some(*first),
            Bound::Excluded(before) => Some(before.plus(1)),
            Bound::Unbounded => None,
        };
        let end = match records.end_bound() {
            Bound::Included(last) => Some(last.plus(1)),
            Bound::Excluded(end) => Some(*end),
            Bound::Unbounded => None,
        };
        let (number, reader) = self.source.find(id)?;
        let first = first.unwrap_or(reader.inherited_end());
        let end = end.map_or(reader.end(), |end| end.min(reader.end()));
        self.export_range((number, State::reader), reader, (first, end), out)
    }

    /// Writes the exact bytes of one rollout of a thread, whether the thread shows it or not, as
    /// [`Store::export`] does: its own records, and nothing that it inherits.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] for the thread, and for a number that is none of its
    /// [`Store::rollouts`]; failures of the system, of `out` too.
    pub fn export_rollout(
        &self,
        id: &str,
        rollout: ThreadNumber,
        out: &mut dyn Write,
    ) -> Result<u64, Error> {
        let thread = self.source.find_thread(id)?;
        let own = |state: &State| {
            let is_of_it = state.thread_of(rollout) == Some(thread);
            state.own_records(rollout).filter(|_| is_of_it)
        };
        let reader = self.source.with(own).ok_or_else(|| Error::NoRollout {
            thread: id.to_owned(),
            rollout: rollout.0,
        })?;
        let range = (Ordinal(0), reader.end());
        self.export_range((rollout, State::own_records), reader, range, out)
    }

    fn export_range(
        &self,
        (number, look): (ThreadNumber, Look),
        mut reader: Reader,
        (first, end): (Ordinal, Ordinal),
        out: &mut dyn Write,
    ) -> Result<u64, Error> {
        let mut written = Written {
            out,
            bytes: 0,
            next: first,
            part: 0,
            is_open: false,
        };
        let mut looked_again_at = None;
        while written.next < end {
            match written.go_on(&reader, end)? {
                Gone::All => break,
                Gone::Unopened(failure) => {
                    let span = (written.next, end);
                    let damage = self.go_around(&reader, span, failure)?;
                    written.next = reader.behind(&damage).max(written.next.plus(1));
                    written.break_off()?;
                }
                Gone::Damage(damage) => {
                    // The owner may have sealed the records and recycled their file meanwhile: what
                    // is really damaged still is when it is looked up anew.
                    if !self.is_owned && looked_again_at != Some(written.next) {
                        looked_again_at = Some(written.next);
                        let now = Snapshot::open(&self.disk, &Options::default());
                        if let Some(found) = now.ok().and_then(|now| look(now.state(), number)) {
                            reader = found;
                            continue;
                        }
                    }
                    self.saw_damage(&damage);
                    let resume = reader.behind(&damage);
                    written.next = resume.max(written.next.plus(1));
                    written.break_off()?;
                }
            }
        }
        Ok(written.bytes)
    }
}

/// How far an export came.
struct Written<'o> {
    out: &'o mut dyn Write,
    bytes: u64,
    /// The first record that is not written as a whole.
    next: Ordinal,
    /// Bytes of it that are.
    part: usize,
    /// The line before ended without a line feed.
    is_open: bool,
}

/// What ended the way of an export.
enum Gone {
    All,
    Damage(Box<Damage>),
    /// A file that the system does not open or read.
    Unopened(DiskFailure),
}

impl Written<'_> {
    /// Gives up the record that it stands in: what follows begins a line of its own.
    fn break_off(&mut self) -> Result<(), Error> {
        let is_open = std::mem::take(&mut self.is_open);
        if std::mem::take(&mut self.part) > 0 || is_open {
            self.out.write_all(b"\n").map_err(Error::of_output)?;
            self.bytes += 1;
        }
        Ok(())
    }

    /// Writes on from where it stands.
    fn go_on(&mut self, reader: &Reader, end: Ordinal) -> Result<Gone, Error> {
        let mut refused: Option<io::Error> = None;
        let mut skip = std::mem::take(&mut self.part);
        let read = write_entries(reader, self.next, end, &mut |ordinal, part, completes| {
            // What was given up is passed by, and ends the line before it.
            if self.next < ordinal && std::mem::take(&mut self.is_open) {
                if let Err(error) = self.out.write_all(b"\n") {
                    refused = Some(error);
                    return false;
                }
                self.bytes += 1;
            }
            self.next = self.next.max(ordinal);
            let (before, part) = part.split_at(skip.min(part.len()));
            self.part += before.len();
            skip -= before.len();
            if let Err(error) = self.out.write_all(part) {
                refused = Some(error);
                return false;
            }
            self.bytes += part.len() as u64;
            self.part += part.len();
            if let Some(last) = part.last() {
                self.is_open = *last != b'\n';
            }
            if completes {
                (self.next, self.part) = (ordinal.plus(1), 0);
            }
            true
        });
        match refused {
            Some(error) => Err(Error::of_output(error)),
            None => match read {
                Ok(()) => Ok(Gone::All),
                Err(ReadError::Damaged(damage)) => Ok(Gone::Damage(damage)),
                Err(ReadError::Disk(failure)) => Ok(Gone::Unopened(failure)),
            },
        }
    }
}

/// Hands on the bytes of lines, record by record or chunk by chunk, and whether they complete their
/// record; its line feed comes with the last of them. `take` says whether to go on.
fn write_entries(
    reader: &Reader,
    from: Ordinal,
    end: Ordinal,
    take: &mut dyn FnMut(Ordinal, &[u8], bool) -> bool,
) -> Result<(), ReadError> {
    reader.entries(from, end, &mut |ordinal, entry| {
        let completes = entry.completes();
        if entry.kind != Kind::LINE {
            return flow(take(ordinal, b"", completes));
        }
        let feed = completes && !entry.flags.has(Flags::NO_LINE_FEED);
        flow(
            take(ordinal, entry.bytes, completes && !feed) && (!feed || take(ordinal, b"\n", true)),
        )
    })
}

fn flow(goes_on: bool) -> ControlFlow<()> {
    if goes_on {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}
