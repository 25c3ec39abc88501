//! Owns the catch-up of many threads at once: where each lacks few records, those of many are taken
//! into the index in one batch, because a batch costs more than they do.

use std::panic::{AssertUnwindSafe, catch_unwind};

use turnleaf_engine::Reader;
use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_projector::fold::ThreadState;
use turnleaf_projector::index::{Index, Shared};

use super::catch_up::{DURABLE_BYTES, state_of, thread_state};
use crate::error::Error;
use crate::open::Store;

/// Threads that are asked for under one hold of the index.
pub(crate) const THREADS_MAX: usize = 512;
/// Records that the index may lack of a thread that is taken together with others.
const SHORT_RECORDS: u64 = 256;
/// Records that enter the index in one batch.
const RECORDS_MAX: u64 = 16_384;

/// What the index says of a thread that is caught up with the log.
pub(crate) struct StateOf<'i> {
    pub(crate) id: &'i str,
    /// One past its last record.
    pub(crate) end: Ordinal,
    pub(crate) state: ThreadState,
}

/// A thread that lacks few records: up to where the index knows it, and the log.
pub(crate) struct Short {
    pub(crate) number: ThreadNumber,
    pub(crate) from: Ordinal,
    pub(crate) reader: Reader,
}

impl Store {
    /// The states of threads, in the order of their ids here, caught up with the log; also of those
    /// of which only a name was imported. Threads that do not exist are left out.
    pub(crate) fn states_of<'i>(
        &self,
        index: &Index,
        ids: &'i [String],
    ) -> Result<Vec<StateOf<'i>>, Error> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            match self.source.find_any(id) {
                Ok((number, reader)) => found.push((id, number, reader)),
                Err(Error::NoThread(_) | Error::BadThreadId(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let rows = index.reader()?;
        let (mut states, mut behind) = (Vec::with_capacity(found.len()), Vec::new());
        let (mut short, mut records) = (Vec::new(), 0);
        for (at, (id, number, reader)) in found.into_iter().enumerate() {
            let row = rows.thread(number)?.unwrap_or_default();
            let (from, end) = (row.applied_end, reader.end());
            let begins_otherwise = self.is_called_otherwise(&row, number)?;
            let is_whole = row.shared != Shared::Broken;
            if from == end && row.chain == reader.chain() && is_whole && !begins_otherwise {
                let state = state_of(&row, number)?;
                states.push((at, StateOf { id, end, state }));
                continue;
            }
            behind.push((at, id));
            let left = end.0.saturating_sub(from.0);
            let continues = if from == Ordinal(0) {
                row.rows == 0
            } else {
                reader.chain_at(from) == Some(row.chain)
            };
            let is_checked = row.shared == Shared::Nothing || self.index.is_used(number);
            if !begins_otherwise
                && continues
                && is_checked
                && (1..=SHORT_RECORDS).contains(&left)
                && records < RECORDS_MAX
            {
                records += left;
                short.push(Short {
                    number,
                    from,
                    reader,
                });
            }
        }
        // No state of the index is held while others are made.
        drop(rows);
        // Where one of them is not taken, each is tried alone below, which knows what to do.
        let _ = catch_unwind(AssertUnwindSafe(|| self.take_short(index, &short)));
        for (at, id) in behind {
            match self.catch_up(index, id) {
                Ok(now) => {
                    let state = thread_state(&now.rows, now.number)?;
                    let end = now.end;
                    states.push((at, StateOf { id, end, state }));
                }
                // It was deleted since.
                Err(Error::NoThread(_)) => {}
                Err(error) => return Err(error),
            }
        }
        states.sort_by_key(|(at, _)| *at);
        Ok(states.into_iter().map(|(_, state)| state).collect())
    }

    /// Takes the last records of threads into the index, in one batch, all or none. `None` when it
    /// was none: one of them was deleted, was changed by others, or cannot be taken.
    pub(crate) fn take_short(&self, index: &Index, short: &[Short]) -> Option<()> {
        if short.is_empty() {
            return Some(());
        }
        let numbers: Vec<ThreadNumber> = short.iter().map(|short| short.number).collect();
        let take = || self.take_alone(index, short);
        self.index.alone_with(&numbers, take)
    }

    fn take_alone(&self, index: &Index, short: &[Short]) -> Option<()> {
        // Rows of a thread that was deleted meanwhile are removed: they must not come back.
        let are_there = self.source.with(|state| {
            let mut all = short.iter();
            all.all(|short| state.thread_of(short.number).is_some())
        });
        if !are_there {
            return None;
        }
        let mut batch = index.writer().ok()?;
        let mut bytes = 0;
        for Short {
            number,
            from,
            reader,
        } in short
        {
            if !self.index.is_used(*number) {
                index.reader().ok()?.check_thread(*number).ok()?;
                self.index.mark_used(*number);
            }
            let mut from = *from;
            while from < reader.end() {
                let span = (from, reader.end());
                let fed = self.feed_into(&mut batch, *number, reader, span, None);
                let fed = fed.ok()?;
                fed.damage.iter().for_each(|damage| self.saw_damage(damage));
                bytes += fed.bytes;
                from = fed.end;
            }
        }
        batch.commit(false).ok()?;
        self.note_undurable(index, bytes, DURABLE_BYTES).ok()
    }
}

#[cfg(test)]
mod tests;
