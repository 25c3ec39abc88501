//! Owns the way of records from the log into the index: what is durable and not applied yet, in
//! order, in batches that carry their watermark.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use turnleaf_engine::format::{Ordinal, ThreadChain, ThreadNumber};
use turnleaf_engine::{Damage, GoesOn, ReadError, Reader, Record};
use turnleaf_projector::fold::{self, ThreadState};
use turnleaf_projector::index::{
    Batch, Index, IndexError, Reader as Rows, Shared, ThreadRow, ThreadRows,
};
use turnleaf_projector::notes::NotesReader;
use turnleaf_projector::payload::Decoded;
use turnleaf_projector::rows;

use crate::error::Error;
use crate::lines::decoded;
use crate::notes;
use crate::open::Store;

/// Records that one batch of the index takes; larger batches cost memory, smaller ones time.
const BATCH_RECORDS: u64 = 16_384;
/// Log bytes after which the index is made durable, so that little is applied again after a crash.
pub(super) const DURABLE_BYTES: u64 = 16 << 20;

/// The same for rows that are made from nothing: what a crash would lose is as quickly made again,
/// but rows that were never durable cost memory of the index until they are.
const DURABLE_BYTES_ANEW: u64 = 128 << 20;

/// A thread with so few rows is checked against their digest on its first use: a fraction of what
/// opening the index costs. Larger ones are checked by a verification.
pub(super) const CHEAP_ROWS: u64 = 1024;

/// How often a thread is taken at most where others change its rows meanwhile. Each of them brings
/// it further, so only a mistake needs more.
pub(super) const TRIES: u32 = 64;

/// A thread whose rows are those of the log.
pub(crate) struct CaughtUp {
    pub(crate) number: ThreadNumber,
    /// The index with those rows.
    pub(crate) rows: Rows,
    /// One past the last record that they know.
    pub(crate) end: Ordinal,
    /// The log as far as that, or farther.
    pub(crate) reader: Reader,
    /// Payload bytes that were applied for it.
    pub(super) bytes: u64,
    /// What of its records could not be read when they were applied.
    pub(crate) damage: Vec<Damage>,
}

/// What was applied of a thread.
#[derive(Default)]
pub(super) struct Applied {
    bytes: u64,
    pub(super) damage: Vec<Damage>,
}

/// Why a batch was not applied.
pub(super) enum Stop {
    /// Because of this record alone.
    Record(Ordinal),
    /// Because of something that no record is to blame for.
    Batch(Error),
}

impl From<IndexError> for Stop {
    fn from(error: IndexError) -> Stop {
        Stop::Batch(Error::Index(error))
    }
}

impl Stop {
    fn into_error(self) -> Error {
        match self {
            Stop::Record(at) => Error::NotIndexed(at.0),
            Stop::Batch(error) => error,
        }
    }
}

/// How far one batch came.
pub(super) struct Fed {
    pub(super) end: Ordinal,
    pub(super) bytes: u64,
    /// What of its records could not be read.
    pub(super) damage: Vec<Damage>,
}

impl Store {
    /// Works with the rows of a thread after they have caught up with the log: one state of the
    /// index, and the log as far as those rows reach, or farther.
    pub(crate) fn with_thread<T>(
        &self,
        id: &str,
        work: impl Fn(&CaughtUp) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.index.with(|index| {
            self.source.find(id)?;
            work(&self.catch_up(index, id)?)
        })
    }

    /// Applies what the log holds of the thread beyond the index's watermark. Every append that was
    /// acknowledged before the call is visible after it. Who has nothing to apply waits for nobody;
    /// of those who have, one applies it and the others find it done.
    ///
    /// A thread of which only a name was imported is caught up with like any other: what shows
    /// threads does not ask for it.
    pub(crate) fn catch_up(&self, index: &Index, id: &str) -> Result<CaughtUp, Error> {
        if let Some(done) = self.caught_up(index, id)? {
            return Ok(done);
        }
        let mut applied = Applied::default();
        let mut tries = 1;
        let (rows, number, reader) = loop {
            let (number, _) = self.source.find_any(id)?;
            self.catch_up_lineage(index, number, &mut applied)?;
            let now = self.rows_and_log(index, id)?;
            // It may show another rollout by now, or rows that others changed since.
            if now.1 == number && now.0.is_whole(number)? || tries == TRIES {
                break now;
            }
            tries += 1;
        };
        let end = rows.thread(number)?.unwrap_or_default().applied_end;
        let Applied { bytes, damage } = applied;
        Ok(CaughtUp {
            number,
            rows,
            end,
            reader,
            bytes,
            damage,
        })
    }

    /// One state of the index, and then the log.
    ///
    /// INVARIANT: in this order. Rows are only ever applied up to what the log held before, so the
    /// end of a log that is looked up behind them is not before theirs, unless it lost records.
    pub(super) fn rows_and_log(
        &self,
        index: &Index,
        id: &str,
    ) -> Result<(Rows, ThreadNumber, Reader), Error> {
        let rows = index.reader()?;
        let (number, reader) = self.source.find_any(id)?;
        Ok((rows, number, reader))
    }

    /// The thread as it is, where nothing has to be applied or checked.
    fn caught_up(&self, index: &Index, id: &str) -> Result<Option<CaughtUp>, Error> {
        let (rows, number, reader) = self.rows_and_log(index, id)?;
        if !self.index.is_used(number) {
            return Ok(None);
        }
        let row = rows.thread(number)?.unwrap_or_default();
        if (row.applied_end, row.chain) != (reader.end(), reader.chain())
            || row.shared == Shared::Broken
            || self.is_called_otherwise(&row, number)?
        {
            return Ok(None);
        }
        Ok(Some(CaughtUp {
            number,
            rows,
            end: row.applied_end,
            reader,
            bytes: 0,
            damage: Vec::new(),
        }))
    }

    /// Applies what a rollout lacks before `until`. Its rows are made anew where they are not those
    /// of the log, or where it shows rows of others although it may not.
    pub(super) fn apply_rest(
        &self,
        index: &Index,
        (number, until): (ThreadNumber, Option<Ordinal>),
        may_share: bool,
        done: &mut Applied,
    ) -> Result<(), Error> {
        let rows = index.reader()?;
        let reader = &self.reader_of(number)?;
        let end = until.map_or(reader.end(), |until| until.min(reader.end()));
        let row = rows.thread(number)?.unwrap_or_default();
        let is_unshared = match row.shared {
            Shared::Nothing => true,
            Shared::Prefix(_) => may_share,
            Shared::Broken => false,
        };
        if !self.index.is_used(number) {
            if row.rows <= CHEAP_ROWS {
                rows.check_thread(number)?;
            }
            self.index.mark_used(number);
        }
        drop(rows);
        let mut applied = row.applied_end;
        // A base that was found since puts its records before those that were applied.
        let is_same_lineage =
            applied.0 == 0 || state_of(&row, number)?.inherited == reader.inherited_end().0;
        let is_called_otherwise = self.is_called_otherwise(&row, number)?;
        if is_called_otherwise
            || !is_same_lineage
            || !is_unshared
            || !self.may_continue(number, reader, applied, row.chain)
        {
            let mut batch = index.writer()?;
            batch.remove_thread(number);
            batch.commit(false)?;
            applied = Ordinal(0);
            if is_called_otherwise && reader.end() == applied {
                self.feed(index, number, reader, (applied, applied))?;
            }
        }
        let start = applied;
        let interval = if start.0 == 0 {
            DURABLE_BYTES_ANEW
        } else {
            DURABLE_BYTES
        };
        while applied < end {
            let fed = match self.feed_notes(index, number, reader, applied) {
                Some(fed) => fed,
                None => self.feed(index, number, reader, (applied, end))?,
            };
            applied = fed.end;
            done.bytes += fed.bytes;
            done.damage.extend(fed.damage);
            self.note_undurable(index, fed.bytes, interval)?;
        }
        if start < applied {
            let (from, end) = (start.0, applied.0);
            tracing::debug!(rollout = number.0, from, end, "the index caught up");
        }
        Ok(())
    }

    /// Whether a thread was called otherwise before its visible records than its row says.
    pub(super) fn is_called_otherwise(
        &self,
        row: &ThreadRow,
        number: ThreadNumber,
    ) -> Result<bool, Error> {
        if !self.is_called_by_another(number) {
            return Ok(false);
        }
        Ok(self.begins_otherwise(number, &state_of(row, number)?))
    }

    /// Notes bytes that were applied and are not durable in the index, whoever applied them: many
    /// small calls come to as much as a large one. What comes to `most` is made durable.
    pub(super) fn note_undurable(&self, index: &Index, bytes: u64, most: u64) -> Result<(), Error> {
        let all = &self.index.undurable_bytes;
        if all.fetch_add(bytes, Ordering::Relaxed) + bytes >= most {
            all.store(0, Ordering::Relaxed);
            index.writer()?.commit(true)?;
        }
        Ok(())
    }

    /// Applies the run that begins at `from` by its notes. `None` when it has none that can be
    /// used, or when another batch changed the thread meanwhile; when they end early, what was
    /// applied stands. The records tell the rest in each case, or who was overtaken.
    pub(super) fn feed_notes(
        &self,
        index: &Index,
        number: ThreadNumber,
        reader: &Reader,
        from: Ordinal,
    ) -> Option<Fed> {
        let (run, bytes) = notes::unpacked(reader, from)?;
        let mut notes = NotesReader::open(&bytes, run.end.0 - from.0)?;
        let mut done = None;
        let mut first = from;
        while first < run.end {
            let end = run.end.min(first.plus(BATCH_RECORDS));
            // Where they cannot be applied, the records say which one of them it is.
            let begin = || {
                let (state, damage) = self.fold_begin(number).ok()?;
                damage.is_empty().then_some(state)
            };
            let apply = || apply_notes(index, (number, &begin), reader, &mut notes, first, end);
            if catch_unwind(AssertUnwindSafe(apply))
                .ok()
                .flatten()
                .is_none()
            {
                break;
            }
            done = Some(Fed {
                end,
                bytes: 0,
                damage: Vec::new(),
            });
            first = end;
        }
        // The run counts as a whole: how its bytes spread over the batches does not matter.
        done.map(|fed| Fed {
            bytes: run.payload_bytes,
            ..fed
        })
    }

    /// Applies one batch from the first to before the second ordinal. Damage costs the records that
    /// it names. A record that the rows cannot take, or over which the fold panics, is passed by
    /// alone: what stands before it is applied first, so each try gets further than the one before.
    pub(super) fn feed(
        &self,
        index: &Index,
        number: ThreadNumber,
        reader: &Reader,
        span: (Ordinal, Ordinal),
    ) -> Result<Fed, Error> {
        let at = match self.feed_once(index, number, reader, span, None) {
            Err(Stop::Record(at)) => at,
            done => return done.map_err(Stop::into_error),
        };
        tracing::error!(
            thread = number.0,
            record = at.0,
            "the index cannot take a record"
        );
        let (span, passed_by) = if span.0 < at {
            ((span.0, at), None)
        } else {
            ((at, at.plus(1)), Some(at))
        };
        let fed = self.feed_once(index, number, reader, span, passed_by);
        fed.map_err(Stop::into_error)
    }

    fn feed_once(
        &self,
        index: &Index,
        number: ThreadNumber,
        reader: &Reader,
        (from, until): (Ordinal, Ordinal),
        passed_by: Option<Ordinal>,
    ) -> Result<Fed, Stop> {
        let mut batch = index.writer()?;
        let fed = self.feed_into(&mut batch, number, reader, (from, until), passed_by)?;
        fed.damage.iter().for_each(|damage| self.saw_damage(damage));
        batch.commit(false)?;
        Ok(fed)
    }

    /// Applies records within a batch of the index, which is to be dropped where this fails. What
    /// of them could not be read is handed on, and told by nobody else.
    pub(super) fn feed_into(
        &self,
        batch: &mut Batch,
        number: ThreadNumber,
        reader: &Reader,
        (from, until): (Ordinal, Ordinal),
        passed_by: Option<Ordinal>,
    ) -> Result<Fed, Stop> {
        let rows = batch.thread(number)?;
        // INVARIANT: a record is folded once. The batch begins with what is committed now, which
        // may be more than what the caller knew.
        if rows.row().applied_end != from {
            return Err(Stop::from(IndexError::Overtaken(number)));
        }
        let (mut state, before): (ThreadState, _) = match rows.state()? {
            Some(state) => (state, Vec::new()),
            None => self.fold_begin(number).map_err(Stop::Batch)?,
        };
        go_on(&mut state, reader, from);
        // A batch ends where the next run begins: its notes are then used.
        let border = reader.next_run(from).unwrap_or(reader.end());
        let end = until.min(from.plus(BATCH_RECORDS)).min(border);
        let mut feed = Feed {
            reader,
            rows,
            state,
            passed_by,
            fed: Fed {
                end: from,
                bytes: 0,
                damage: Vec::new(),
            },
        };
        before
            .into_iter()
            .for_each(|damage| note_once(damage, &mut feed.fed.damage));
        while feed.fed.end < end {
            match feed.take_up_to(end) {
                // Also behind the last record, if what follows it was given up.
                Ok(()) => feed.fed.end = end,
                Err(NotTaken::Stop(stop)) => return Err(stop),
                Err(NotTaken::Unread(ReadError::Disk(failure))) => {
                    return Err(Stop::Batch(Error::Disk(failure)));
                }
                Err(NotTaken::Unread(ReadError::Damaged(damage))) => {
                    let fed = &mut feed.fed;
                    let resume = reader.behind(&damage).min(end);
                    fed.end = resume.clamp(fed.end.plus(1), end);
                    note_once(*damage, &mut fed.damage);
                }
            }
        }
        let Feed {
            mut rows,
            mut state,
            fed,
            ..
        } = feed;
        put_watermark(&mut rows, &mut state, reader, fed.end)?;
        Ok(fed)
    }
}

fn note_once(damage: Damage, noted: &mut Vec<Damage>) {
    if !noted.contains(&damage) {
        noted.push(damage);
    }
}

/// A batch of the index while records of a thread are taken into it.
struct Feed<'a> {
    reader: &'a Reader,
    rows: ThreadRows<'a>,
    state: ThreadState,
    /// The record that the rows cannot take.
    passed_by: Option<Ordinal>,
    fed: Fed,
}

/// Why a record was not taken.
enum NotTaken {
    Stop(Stop),
    Unread(ReadError),
}

impl Feed<'_> {
    /// Takes records up to an ordinal, or up to the first that cannot be taken.
    fn take_up_to(&mut self, end: Ordinal) -> Result<(), NotTaken> {
        let mut taken = Ok(());
        let reader = self.reader;
        let read = reader.records(self.fed.end, end, &mut |record| {
            taken = self.take(record);
            match taken {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        taken.and(read.map_err(NotTaken::Unread))
    }

    fn take(&mut self, record: &Record<'_>) -> Result<(), NotTaken> {
        self.fed.bytes += record.bytes().map_or(0, |bytes| bytes.len() as u64);
        if self.passed_by == Some(record.ordinal) {
            fold::pass_by(&mut self.state, record.ordinal);
        } else {
            self.apply(record)?;
        }
        self.fed.end = record.ordinal.plus(1);
        Ok(())
    }

    fn apply(&mut self, record: &Record<'_>) -> Result<(), NotTaken> {
        // What a panic leaves half done is forgotten with the batch.
        match folded(&mut self.rows, &mut self.state, self.reader, record) {
            Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(IndexError::RowTooLarge { .. }))) | None => {
                Err(NotTaken::Stop(Stop::Record(record.ordinal)))
            }
            Some(Ok(Err(error))) => Err(NotTaken::Stop(Stop::from(error))),
            Some(Err(error)) => Err(NotTaken::Unread(error)),
        }
    }
}

/// Folds a record: says what the rows answer, or that it cannot be read. `None` where the fold
/// panics over it: rows and state are half done then, and to be forgotten.
pub(super) fn folded<R: rows::Rows>(
    rows: &mut R,
    state: &mut ThreadState,
    reader: &Reader,
    record: &Record<'_>,
) -> Option<Result<Result<(), R::Error>, ReadError>> {
    let take = |decoded: &Decoded<'_>| {
        #[cfg(test)]
        tests::fold_may_panic(record.ordinal);
        fold::apply(rows, state, record.ordinal, decoded)
    };
    catch_unwind(AssertUnwindSafe(|| decoded(reader, record, take))).ok()
}

/// Ends a batch: what is applied of the thread now, and the log's chain there where it is known.
pub(super) fn put_watermark(
    rows: &mut ThreadRows<'_>,
    state: &mut ThreadState,
    reader: &Reader,
    end: Ordinal,
) -> Result<(), IndexError> {
    let is_all = end == reader.end();
    if is_all {
        // Where the rollout has no record of its own yet, nothing else says so.
        go_on(state, reader, end);
    }
    let chain = if is_all {
        reader.chain()
    } else {
        ThreadChain::default()
    };
    rows.put_watermark(end, chain, state)
}

/// Applies the next records of a run by its notes, in one batch; `None` when something is in the
/// way, and then nothing was applied.
fn apply_notes(
    index: &Index,
    (number, begin): (ThreadNumber, &dyn Fn() -> Option<ThreadState>),
    reader: &Reader,
    notes: &mut NotesReader<'_>,
    first: Ordinal,
    end: Ordinal,
) -> Option<()> {
    let mut batch = index.writer().ok()?;
    let mut rows = batch.thread(number).ok()?;
    if rows.row().applied_end != first {
        return None;
    }
    let mut state: ThreadState = match rows.state().ok()? {
        Some(state) => state,
        None => begin()?,
    };
    go_on(&mut state, reader, first);
    let noted = end.0;
    for at in first.0..noted {
        fold::apply(&mut rows, &mut state, Ordinal(at), &notes.next_record()?).ok()?;
    }
    put_watermark(&mut rows, &mut state, reader, end).ok()?;
    batch.commit(false).ok()
}

/// Tells the fold where a lineage begins, and where in it a rollout goes on from another one. A
/// batch ends there.
pub(crate) fn go_on(state: &mut ThreadState, reader: &Reader, at: Ordinal) {
    if at == Ordinal(0) {
        state.inherited = reader.inherited_end().0;
    }
    if let Some(from) = reader.goes_on_at(at) {
        fold::go_on(state, from == GoesOn::OtherThread);
    }
}

/// What the fold knows of a thread that has caught up.
pub(crate) fn thread_state(rows: &Rows, number: ThreadNumber) -> Result<ThreadState, IndexError> {
    state_of(&rows.thread(number)?.unwrap_or_default(), number)
}

/// The same of a row that is at hand.
pub(crate) fn state_of(row: &ThreadRow, number: ThreadNumber) -> Result<ThreadState, IndexError> {
    if row.state.is_empty() {
        return Ok(ThreadState::default());
    }
    row.fold_state(number)
}

#[cfg(test)]
mod tests;
