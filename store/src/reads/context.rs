//! Owns what the model needs to resume a thread.

use std::io::Write;
use std::ops::{ControlFlow, Range};

use turnleaf_engine::format::Ordinal;
use turnleaf_engine::format::record::{Entry, Flags, Kind};
use turnleaf_engine::{Damage, ReadError, Reader};
use turnleaf_projector::context::{ContextRange, ContextScan};
use turnleaf_projector::fold::ThreadState;
use turnleaf_projector::payload;

use crate::error::Error;
use crate::index::catch_up::thread_state;
use crate::lineage::ForkPoint;
use crate::lines::{decoded, line_start};
use crate::open::Store;

/// What was written of a thread's context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContextReport {
    /// Records that were written.
    pub records: u64,
    /// What is damaged of the records that were needed; it is left out.
    pub damage: Vec<Damage>,
    /// Ordinals that a repair gave up from the oldest of them on, and of the beginning of the
    /// thread, where its head stood.
    pub given_up: Vec<Range<Ordinal>>,
}

/// What resuming a thread needs.
pub(crate) struct Resume {
    reader: Reader,
    /// One past the newest record.
    end: Ordinal,
    pub(crate) range: ContextRange,
    /// The head, where it is to be put in front.
    head: Option<Ordinal>,
    /// Ordinals that could not be read on the way: first and one past the last, descending.
    unread: Vec<(Ordinal, Ordinal)>,
}

impl Store {
    /// The ordinals of the records that the model needs to resume a thread, ascending: the newest
    /// usable compaction and one complete turn at least, else everything. What is damaged or was
    /// given up is left out. With another point than the end it is what a fork of that point would
    /// resume with ([`Store::fork`]), and none is made: a fork that is to leave nothing needs no
    /// more of a store.
    ///
    /// Cost: reads that suffix of the thread backwards. It grows with what was appended since the
    /// newest compaction, not with the thread.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let ordinals = store.context_ordinals("my-thread", &turnleaf::ForkPoint::Latest)?;
    /// println!("{} records", ordinals.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Store::turns`], and as [`Store::fork`] for a point that is not there.
    pub fn context_ordinals(&self, id: &str, upto: &ForkPoint) -> Result<Vec<Ordinal>, Error> {
        let resume = self.resume(id, upto, &mut Vec::new())?;
        let Some(start) = resume.range.start else {
            return Ok(Vec::new());
        };
        let mut ordinals: Vec<Ordinal> = resume.head.into_iter().collect();
        let given_up = resume.reader.given_up();
        let absent = |at: Ordinal| {
            let lost = given_up.iter().chain(&resume.unread);
            lost.into_iter()
                .any(|(first, end)| (*first..*end).contains(&at))
        };
        let rest = (start.0..resume.end.0).map(Ordinal);
        ordinals.extend(rest.filter(|at| !resume.skips(*at) && !absent(*at)));
        Ok(ordinals)
    }

    /// Writes the records that the model needs to resume a thread, exact bytes, one per line, in
    /// pieces: a record may be as large as it likes. What is damaged or was given up is left out.
    ///
    /// Cost: as [`Store::context_ordinals`], and what is written is read once more.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let latest = turnleaf::ForkPoint::Latest;
    /// let report = store.context("my-thread", &latest, &mut std::io::stdout())?;
    /// eprintln!("{} records", report.records);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Store::context_ordinals`]; also when `out` refuses.
    pub fn context(
        &self,
        id: &str,
        upto: &ForkPoint,
        out: &mut dyn Write,
    ) -> Result<ContextReport, Error> {
        let mut report = ContextReport::default();
        let resume = self.resume(id, upto, &mut report.damage)?;
        let Some(start) = resume.range.start else {
            return Ok(report);
        };
        let spans = resume.head.map(|at| (at, at.plus(1)));
        for (from, end) in spans.into_iter().chain([(start, resume.end)]) {
            self.write_lines(&resume, (from, end), &mut report, out)?;
        }
        // The head is needed wherever resuming begins, and all that the walk has looked for.
        let needed_from = if resume.range.head_in_front {
            start
        } else {
            Ordinal(0)
        };
        let lost = resume.reader.given_up().into_iter();
        let lost = lost.filter(|(first, end)| {
            *first < resume.end && (*end > needed_from || *first == Ordinal(0))
        });
        report.given_up = lost
            .map(|(first, end)| match (first, end.min(resume.end)) {
                (Ordinal(0), end) => Ordinal(0)..end,
                (first, end) => first.max(needed_from)..end,
            })
            .collect();
        Ok(report)
    }

    /// Writes what the model needs of the records `from..end`, and counts it.
    fn write_lines(
        &self,
        resume: &Resume,
        (mut from, end): (Ordinal, Ordinal),
        report: &mut ContextReport,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let reader = &resume.reader;
        while from < end {
            let begin = from;
            let (mut failed, mut is_within) = (None, false);
            let mut write = |ordinal: Ordinal, entry: &Entry<'_>| -> Result<(), Error> {
                if resume.skips(ordinal) {
                    return Ok(());
                }
                if entry.begins() && entry.flags.has(Flags::CONTINUES) {
                    write_line_before(reader, ordinal, out)?;
                }
                out.write_all(entry.bytes).map_err(Error::of_output)?;
                is_within = !entry.completes();
                if entry.completes() {
                    out.write_all(b"\n").map_err(Error::of_output)?;
                    report.records += 1;
                    from = ordinal.plus(1);
                }
                Ok(())
            };
            let read = reader.entries(
                begin,
                end,
                &mut |ordinal, entry| match write(ordinal, entry) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failed = Some((ordinal, error));
                        ControlFlow::Break(())
                    }
                },
            );
            match (read, failed) {
                (_, Some((at, error))) => {
                    self.meet_before(reader, at, error, &mut report.damage)?;
                    from = at.plus(1);
                }
                (Err(ReadError::Damaged(damage)), None) => {
                    self.meet_damage(&damage, &mut report.damage);
                    let behind = reader.behind(&damage).min(end);
                    from = behind.max(from.plus(1));
                }
                (Err(ReadError::Disk(failure)), None) => {
                    let damage = self.go_around(reader, (from, end), failure)?;
                    from = reader.behind(&damage).min(end).max(from.plus(1));
                    add(damage, &mut report.damage);
                }
                (Ok(()), None) => return Ok(()),
            }
            // What follows a record that breaks off begins a line of its own.
            if is_within {
                out.write_all(b"\n").map_err(Error::of_output)?;
            }
        }
        Ok(())
    }

    /// Takes note of why that cannot be read which the record `at` continues. It costs that record,
    /// and none behind it. Gives back what is about nothing that was read.
    fn meet_before(
        &self,
        reader: &Reader,
        at: Ordinal,
        error: Error,
        met: &mut Vec<Damage>,
    ) -> Result<(), Error> {
        match error {
            Error::Damaged { damage, .. } => self.meet_damage(&damage, met),
            Error::Disk(failure) => add(self.go_around_back(reader, at, failure)?, met),
            error => return Err(error),
        }
        Ok(())
    }

    /// The walk over the log needs no index: only what the index knows of the thread is asked for,
    /// and before the end of the thread the heads say that.
    fn resume(&self, id: &str, upto: &ForkPoint, met: &mut Vec<Damage>) -> Result<Resume, Error> {
        if *upto != ForkPoint::Latest {
            let (cut, reader) = self.cut_at(id, upto)?;
            let state = self.fold_of_heads(&reader, cut, met)?;
            return self.resume_of(&reader, cut, &state, met);
        }
        let (state, end, reader) = self.with_thread(id, |now| {
            let state = thread_state(&now.rows, now.number)?;
            Ok((state, now.end, now.reader.clone()))
        })?;
        self.resume_of(&reader, end, &state, met)
    }

    /// Walks back from `end`, where the state is known, as far as resuming needs. Damage is passed
    /// by and noted in `met`.
    pub(crate) fn resume_of(
        &self,
        reader: &Reader,
        end: Ordinal,
        state: &ThreadState,
        met: &mut Vec<Damage>,
    ) -> Result<Resume, Error> {
        let mut scan = ContextScan::new(state);
        let mut unread = Vec::new();
        let mut below = end;
        while below.0 > 0 {
            let mut failed = None;
            let read = reader.records_back(below, &mut |record| {
                let at = record.ordinal;
                below = at;
                match decoded(reader, record, |decoded| scan.feed(at, decoded)) {
                    Ok(flow) => flow,
                    // What it continues is damaged, so nobody can tell what it says.
                    Err(ReadError::Damaged(damage)) => {
                        self.meet_damage(&damage, met);
                        scan.feed(at, &payload::decode(b""))
                    }
                    Err(ReadError::Disk(failure)) => {
                        match self.go_around_back(reader, at, failure) {
                            Ok(damage) => {
                                add(damage, met);
                                scan.feed(at, &payload::decode(b""))
                            }
                            Err(error) => {
                                failed = Some(error);
                                ControlFlow::Break(())
                            }
                        }
                    }
                }
            });
            match (read, failed) {
                (_, Some(error)) => return Err(error),
                (Err(ReadError::Disk(failure)), None) => {
                    let damage = self.go_around_back(reader, below, failure)?;
                    below = pass_back(reader, &damage, below, &mut unread);
                    add(damage, met);
                }
                (Ok(()), None) => break,
                (Err(ReadError::Damaged(damage)), None) => {
                    self.meet_damage(&damage, met);
                    below = pass_back(reader, &damage, below, &mut unread);
                }
            }
        }
        let range = scan.finish();
        if range.head_in_front && state.head_at.is_none() {
            self.miss_head(reader, met)?;
        }
        let head = state.head_at.filter(|_| range.head_in_front);
        let head = head.map(|at| at.0);
        Ok(Resume {
            reader: reader.clone(),
            end,
            range,
            head,
            unread,
        })
    }

    /// Takes note of why a thread has no head, where its first record is damaged.
    fn miss_head(&self, reader: &Reader, met: &mut Vec<Damage>) -> Result<(), Error> {
        let first = (Ordinal(0), Ordinal(1).min(reader.end()));
        match reader.entries(first.0, first.1, &mut |_, _| ControlFlow::Break(())) {
            Err(ReadError::Damaged(damage)) => self.meet_damage(&damage, met),
            Err(ReadError::Disk(failure)) => add(self.go_around(reader, first, failure)?, met),
            Ok(()) => {}
        }
        Ok(())
    }
}

fn add(damage: Damage, met: &mut Vec<Damage>) {
    if !met.contains(&damage) {
        met.push(damage);
    }
}

/// Passes by what damage costs before `below`, and says where the walk goes on.
fn pass_back(
    reader: &Reader,
    damage: &Damage,
    below: Ordinal,
    unread: &mut Vec<(Ordinal, Ordinal)>,
) -> Ordinal {
    let lost = reader.visible(damage);
    let first = lost.map_or(Ordinal(0), |(first, _)| first);
    let first = first.min(Ordinal(below.0 - 1));
    unread.push((first, below));
    first
}

impl Resume {
    /// Whether a record is none for the model.
    fn skips(&self, ordinal: Ordinal) -> bool {
        self.range.skipped.binary_search(&ordinal).is_ok()
    }
}

/// Writes the bytes of the records that `ordinal` continues.
fn write_line_before(reader: &Reader, ordinal: Ordinal, out: &mut dyn Write) -> Result<(), Error> {
    let first = line_start(reader, ordinal).map_err(Error::of_read(""))?;
    let mut failed = None;
    let read = reader.entries(first, ordinal, &mut |_, entry| {
        if entry.kind != Kind::LINE {
            return ControlFlow::Continue(());
        }
        match out.write_all(entry.bytes) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    failed.map_or(Ok(()), Err).map_err(Error::of_output)?;
    read.map_err(Error::of_read(""))
}

#[cfg(test)]
mod tests;
