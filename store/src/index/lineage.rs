//! Owns how the rows of a rollout come to be that goes on from others: it shows theirs up to the
//! savepoint before the cut, and only what stands behind that is folded for it.
//!
//! What the fold remembers at the savepoint was folded for the other rollout. It is taken over
//! where the whole lineage, folded for this one, would lead to the same; else, and where a record
//! changes a row that is shared, all rows of the rollout are its own.

use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_engine::{Reader, State};
use turnleaf_projector::fold::{CalledBy, ThreadState};
use turnleaf_projector::index::{Index, IndexError, Savepoint};

use super::catch_up::{Applied, TRIES, put_watermark};
use crate::error::Error;
use crate::open::Store;

impl Store {
    /// Applies what the log holds of a rollout beyond its watermark, and before that of those that
    /// it goes on from, what is shown of them.
    pub(super) fn catch_up_lineage(
        &self,
        index: &Index,
        number: ThreadNumber,
        done: &mut Applied,
    ) -> Result<(), Error> {
        let mut tries = 1;
        loop {
            // Others may change a base, or take the thread in a batch of many.
            match self.try_lineage(index, number, done) {
                Err(Error::Index(IndexError::Overtaken(_))) if tries < TRIES => tries += 1,
                tried => return tried,
            }
        }
    }

    fn try_lineage(
        &self,
        index: &Index,
        number: ThreadNumber,
        done: &mut Applied,
    ) -> Result<(), Error> {
        let reader = self.reader_of(number)?;
        let is_whole = |rollout| Ok::<_, Error>(index.reader()?.is_whole(rollout)?);
        if !is_whole(number)? || !self.index.is_used(number) {
            for (rollout, _, end) in reader.rollouts().filter(|part| part.0 != number) {
                // What was deleted is missing in the lineage, and its rows are gone. [R:lineage-3]
                let is_there = |state: &State| state.thread_of(rollout).is_some();
                if !self.source.with(is_there) {
                    continue;
                }
                // Of rows that are there it is only asked whether they are those of the log: where
                // they are not, those of the others are broken from then on.
                if !is_whole(number)? {
                    self.catch_up_rollout(index, rollout, Some(end), done)?;
                } else if is_whole(rollout)? {
                    self.catch_up_rollout(index, rollout, Some(Ordinal(0)), done)?;
                }
            }
        }
        self.catch_up_rollout(index, number, None, done)
    }

    /// Applies the records of a rollout before `until`, or all; of those that it goes on from, rows
    /// have to be there.
    fn catch_up_rollout(
        &self,
        index: &Index,
        number: ThreadNumber,
        until: Option<Ordinal>,
        done: &mut Applied,
    ) -> Result<(), Error> {
        let mut may_share = true;
        loop {
            let tried = self.index.alone_with(&[number], || {
                if may_share && !index.reader()?.is_whole(number)? {
                    self.share(index, number, done)?;
                }
                self.apply_rest(index, (number, until), may_share, done)
            });
            match tried {
                Err(Error::Index(IndexError::OfBase(_))) if may_share => may_share = false,
                tried => return tried,
            }
        }
    }

    /// A rollout as the log has it, unless its thread was deleted.
    pub(super) fn reader_of(&self, number: ThreadNumber) -> Result<Reader, Error> {
        let find = self.source.with(|state| {
            state.thread_of(number)?;
            state.reader(number)
        });
        find.ok_or_else(|| Error::NoThread(number.to_string()))
    }

    /// Lets a rollout without rows show those of its base, as far as there is a savepoint.
    fn share(&self, index: &Index, number: ThreadNumber, done: &mut Applied) -> Result<(), Error> {
        let reader = self.reader_of(number)?;
        let mut parts = reader.rollouts();
        let Some((base, _, cut)) = parts.find(|part| part.2 == reader.inherited_end()) else {
            return Ok(());
        };
        let Some(savepoint) = index.reader()?.savepoint(base, cut)? else {
            return Ok(());
        };
        let (begin, damage) = self.fold_begin(number)?;
        for met in &damage {
            self.meet_damage(met, &mut done.damage);
        }
        let Some(mut state) = self.state_at(&savepoint, begin.called_by, &reader)? else {
            return Ok(());
        };
        let mut batch = index.writer()?;
        batch.remove_thread(number);
        let mut rows = batch.share(number, &savepoint)?;
        put_watermark(&mut rows, &mut state, &reader, savepoint.at())?;
        Ok(batch.commit(false)?)
    }

    /// What the fold of the whole lineage remembers at a savepoint, where it begins with what the
    /// thread is called by; `None` where that cannot be told without folding.
    fn state_at(
        &self,
        savepoint: &Savepoint,
        called_by: Option<CalledBy>,
        reader: &Reader,
    ) -> Result<Option<ThreadState>, Error> {
        let mut state: ThreadState = savepoint.fold_state()?;
        let is_same = match (called_by, state.called_by) {
            (ours, theirs) if ours == theirs => true,
            (Some(by), None) | (None, Some(by)) => {
                let head_at = state.head_at.map(|at| at.0);
                self.is_called_in(reader, by, (savepoint.at(), head_at))
            }
            _ => false,
        };
        state.called_by = called_by;
        state.inherited = reader.inherited_end().0;
        Ok(is_same.then_some(state))
    }

    /// Whether the records of a lineage say by `at` all that a fold takes over that begins with
    /// what a thread is called by: then it does not matter whether it began so.
    fn is_called_in(
        &self,
        reader: &Reader,
        by: CalledBy,
        (at, head_at): (Ordinal, Option<Ordinal>),
    ) -> bool {
        let first = self
            .source
            .with(|state| state.reader(ThreadNumber(by.rollout)));
        let Some(first) = first.filter(|_| by.is_called) else {
            return false;
        };
        // What a thread was forked from says another name of it, and its own head says anew what
        // it is.
        let own = first.own_thread_from();
        let until = by.read_end.0.max(own.plus(1));
        let has_own_head = own == Ordinal(0) || head_at.is_some_and(|head| head >= own);
        let parts = |reader: &Reader| {
            let parts = reader.rollouts();
            let parts = parts.map(|(rollout, from, end)| (rollout, from, end.min(until)));
            parts
                .filter(|(_, from, end)| from < end)
                .collect::<Vec<_>>()
        };
        until <= at && has_own_head && parts(&first) == parts(reader)
    }
}

#[cfg(test)]
mod tests;
