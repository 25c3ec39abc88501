//! Owns what a fold begins with where a thread was taken back: what it was called before, and when
//! it began. Its visible records may not say so any more.

use std::ops::ControlFlow;

use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_engine::{Damage, ReadError, Reader, State};
use turnleaf_projector::fold::{self, At, CalledBy, MemRows, ThreadState};

use super::catch_up::{folded, go_on};
use crate::error::Error;
use crate::open::Store;

/// So many records of the first rollout are looked at: what a thread is called stands at its
/// beginning, and one that nobody spoke in may be long.
const LOOKED_AT: u64 = 16_384;
/// So many of a rollout's own ones, for its head.
const OWN_LOOKED_AT: u64 = 16;
/// So many records over which the fold panics are passed by; with one more, what stands before it
/// has to do.
const PASSED_BY_MAX: usize = 16;

/// Stands for the first rollout where two beginnings are compared.
const NOBODY: CalledBy = CalledBy {
    rollout: 0,
    read_end: At(Ordinal(0)),
    is_called: false,
};

/// The first rollout of a thread, for another one of it: that takes over what the first is called.
fn called_by(state: &State, rollout: ThreadNumber) -> Option<ThreadNumber> {
    let thread = state.thread_of(rollout)?;
    (thread != rollout).then_some(thread)
}

impl Store {
    /// What the fold of a rollout begins with.
    ///
    /// Cost: nothing for the first one of a thread; for another one the first is read up to what
    /// the thread is called by, mostly a few records. Damage among them is passed by and handed on.
    pub(super) fn fold_begin(
        &self,
        rollout: ThreadNumber,
    ) -> Result<(ThreadState, Vec<Damage>), Error> {
        let find = |state: &State| {
            let by = called_by(state, rollout)?;
            Some((by, state.reader(by)?))
        };
        let Some((by, reader)) = self.source.with(find) else {
            return Ok(Default::default());
        };
        let mut first = First::of(&reader);
        let end = reader.end().min(Ordinal(LOOKED_AT));
        let read_end = first.fold((Ordinal(0), end), |state| state.meta.preview.is_some())?;
        // When it began its own head says, which stands behind what it inherits.
        let own = reader.own_thread_from();
        if Ordinal(0) < own && read_end <= own {
            go_on(&mut first.state, &reader, own);
            let until = reader.end().min(own.plus(OWN_LOOKED_AT));
            first.fold((own, until), |state| state.head_at.is_some())?;
        }
        let called_by = CalledBy {
            rollout: by.0,
            read_end: At(read_end),
            is_called: first.state.meta.preview.is_some(),
        };
        Ok((fold::begin_anew(&first.state, called_by), first.damage))
    }

    /// What a fold of the records before `end` knows by the heads of their rollouts: how records
    /// are to be read, and where the newest head stands. Damage is passed by and noted in `met`.
    ///
    /// Cost: a few records of each rollout of the lineage; needs no index.
    pub(crate) fn fold_of_heads(
        &self,
        reader: &Reader,
        end: Ordinal,
        met: &mut Vec<Damage>,
    ) -> Result<ThreadState, Error> {
        let mut folded = First::of(reader);
        for (_, begin, part_end) in reader.rollouts().take_while(|(_, begin, _)| *begin < end) {
            let until = part_end.min(end).min(begin.plus(OWN_LOOKED_AT));
            let has_head = |state: &ThreadState| state.head_at.is_some_and(|at| at.0 >= begin);
            match folded.fold((begin, until), has_head) {
                Err(Error::Disk(failure)) => {
                    let damage = self.go_around(reader, (begin, until), failure)?;
                    if !met.contains(&damage) {
                        met.push(damage);
                    }
                }
                done => done.map(drop)?,
            }
        }
        for damage in &folded.damage {
            self.meet_damage(damage, met);
        }
        Ok(folded.state)
    }

    /// Whether the fold of a rollout would begin otherwise than it did: the first one of its thread
    /// came since, or more of it that says what the thread is called.
    pub(super) fn begins_otherwise(&self, rollout: ThreadNumber, state: &ThreadState) -> bool {
        let find = |known: &State| {
            let by = called_by(known, rollout)?;
            Some((by, known.reader(by)?))
        };
        match (self.source.with(find), &state.called_by) {
            (None, None) => false,
            (Some((by, reader)), Some(before)) if by.0 == before.rollout => {
                !before.is_called && self.says_more(&reader, before.read_end.0)
            }
            _ => true,
        }
    }

    /// Whether records behind the first ones of a thread's first rollout, in which nobody speaks,
    /// say what the thread is called. Where that cannot be told it is to be looked at anew.
    ///
    /// Cost: reads those records once while the store is open.
    fn says_more(&self, reader: &Reader, read_end: Ordinal) -> bool {
        let end = reader.end().min(Ordinal(LOOKED_AT));
        if end <= read_end {
            return false;
        }
        // A base that was found since puts its records before those that were read.
        if reader.inherited_end() > Ordinal(0) {
            return true;
        }
        let from = self.index.passed_over(reader.rollout()).max(read_end);
        if end <= from {
            return false;
        }
        let mut more = First::of(reader);
        let heads = (Ordinal(0), from.min(Ordinal(OWN_LOOKED_AT)));
        let folded = more.fold(heads, |state| state.head_at.is_some());
        let before = fold::begin_anew(&more.state, NOBODY);
        let folded = folded.and_then(|_| {
            let from = from.max(heads.1);
            more.fold((from, end), |state| {
                fold::begin_anew(state, NOBODY) != before
            })
        });
        let says_nothing =
            more.damage.is_empty() && fold::begin_anew(&more.state, NOBODY) == before;
        if folded.is_ok() && says_nothing {
            self.index.pass_over(reader.rollout(), end);
            return false;
        }
        true
    }

    /// Whether a rollout takes over what its thread is called.
    pub(super) fn is_called_by_another(&self, rollout: ThreadNumber) -> bool {
        self.source
            .with(|state| called_by(state, rollout).is_some())
    }
}

/// The first records of a rollout, folded without an index.
struct First<'a> {
    reader: &'a Reader,
    rows: MemRows,
    state: ThreadState,
    damage: Vec<Damage>,
}

impl First<'_> {
    fn of(reader: &Reader) -> First<'_> {
        First {
            reader,
            rows: MemRows::default(),
            state: ThreadState::default(),
            damage: Vec::new(),
        }
    }

    /// Folds records until the state is enough; one past the last that was. A record over which the
    /// fold panics is passed by, as [`Store::feed`] does: what it left half done is forgotten, and
    /// those before it are folded once more.
    fn fold(
        &mut self,
        (from, end): (Ordinal, Ordinal),
        is_enough: impl Fn(&ThreadState) -> bool,
    ) -> Result<Ordinal, Error> {
        let before = (self.rows.clone(), self.state.clone());
        let mut passed_by = Vec::new();
        let mut until = end;
        loop {
            match self.fold_once((from, until), &passed_by, &is_enough)? {
                Folded::Enough(read_end) => return Ok(read_end),
                Folded::All => return Ok(end),
                Folded::Panicked(at) => {
                    (self.rows, self.state) = before.clone();
                    if passed_by.len() < PASSED_BY_MAX {
                        passed_by.push(at);
                    } else {
                        until = at;
                    }
                }
            }
        }
    }

    fn fold_once(
        &mut self,
        (mut at, end): (Ordinal, Ordinal),
        passed_by: &[Ordinal],
        is_enough: &impl Fn(&ThreadState) -> bool,
    ) -> Result<Folded, Error> {
        let First {
            reader,
            rows,
            state,
            damage: met,
        } = self;
        while at < end {
            let (mut failed, mut ended) = (None, None);
            let read = reader.records(at, end, &mut |record| {
                let ordinal = record.ordinal;
                go_on(state, reader, ordinal);
                if passed_by.contains(&ordinal) {
                    fold::pass_by(state, ordinal);
                } else {
                    match folded(rows, state, reader, record) {
                        Some(Ok(Ok(()))) => {}
                        Some(Err(error)) => failed = Some(error),
                        None => ended = Some(Folded::Panicked(ordinal)),
                    }
                    if failed.is_some() || ended.is_some() {
                        return ControlFlow::Break(());
                    }
                }
                at = ordinal.plus(1);
                if is_enough(state) {
                    ended = Some(Folded::Enough(at));
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            if let Some(ended) = ended {
                return Ok(ended);
            }
            match read.and(failed.map_or(Ok(()), Err)) {
                Ok(()) => break,
                Err(ReadError::Disk(failure)) => return Err(Error::Disk(failure)),
                Err(ReadError::Damaged(damage)) => {
                    at = reader.behind(&damage).clamp(at.plus(1), end);
                    if !met.contains(&damage) {
                        met.push(*damage);
                    }
                }
            }
        }
        Ok(Folded::All)
    }
}

/// How the fold of the first records ended.
enum Folded {
    /// The state was enough: one past the last record that was folded.
    Enough(Ordinal),
    /// All were folded.
    All,
    /// The fold panicked over this record.
    Panicked(Ordinal),
}
