//! Owns the OS thread that applies to the index what became durable, so that the first page or list
//! behind many appends finds little left. It must not know what a page needs: a read never waits
//! for it, and catches up what it asks for itself.
//!
//! The projector is one state ([`Following`]) and turns that move it; the OS thread gives them
//! their time (`projector/pace.rs`, which has the constants).
//!
//! - *When it begins*: with the first append of an owner that works in the background
//!   ([`Store::open_on`]). A process that only imports, reads or repairs has none, and one that
//!   ends within `SETTLE` of its first append does not even open the index for it.
//! - *A turn* asks the log which threads changed behind a place among all changes, takes what the
//!   index lacks of the first of them, in one batch with bounds, and moves the place once they lack
//!   nothing. Lists follow once somebody asked for one; nobody else knows what stood in them when
//!   the index was opened.
//! - *Its share*: behind a turn it pauses, and the longer, the longer the turn took. Where commits
//!   came meanwhile it works one part in `BUSY_SHARE` of its time, else one in `QUIET_SHARE`.
//! - *What it holds*: the index, shared; the threads of the batch; both for one batch, or for the
//!   notes of one sealed run. A page of one of these threads waits for that, and would have had to
//!   apply the same records. Nobody who appends waits for any of it: the log's lock is held to look
//!   up which threads changed.
//! - *When nothing is left* for `IDLE`, the index is made durable, so that another process goes on
//!   there after a kill. Then it sleeps until an append wakes it: one load of an atomic for each.
//! - *What it does not meet*: damage, records that the fold or the index refuse, rows of another
//!   history. The batch is dropped and the thread left to reads, which tell such things, until one
//!   of them got it further. What is wrong with the index as a whole (damage, a full disk) makes it
//!   rest; it replaces no index.
//! - *The end*: a close waits for what is under way: a batch takes some milliseconds, the notes of
//!   a run of 64 MiB some hundreds.

pub(crate) mod pace;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use turnleaf_engine::format::{Ordinal, ThreadChain, ThreadNumber};
use turnleaf_engine::{Reader, State};
use turnleaf_projector::index::{Batch, Index, IndexError, Shared};

use self::pace::{Step, Steps, Turn};
use super::catch_up::{CHEAP_ROWS, DURABLE_BYTES, Fed, Stop, state_of};
use crate::commit::Committer;
use crate::error::Error;
use crate::open::Store;

/// Threads that one turn looks at.
const THREADS_MAX: usize = 64;
/// What one batch takes at most, but for its last records.
const RECORDS_MAX: u64 = 1024;
const BYTES_MAX: u64 = 4 << 20;
/// Records between two looks at how many bytes a batch has.
const SPAN: u64 = 64;

/// What the projector of a store does.
pub(crate) fn follow(store: &Store, committer: &Arc<Committer>) -> Steps {
    let mut following = Following::new(store.for_projector(committer));
    Box::new(move |step| match step {
        Step::Turn => following.guarded_turn(),
        Step::MakeDurable => {
            following.make_durable();
            Turn::Nothing
        }
    })
}

/// How far the index followed the log.
struct Following {
    /// The log and the index of the store.
    store: Store,
    /// The place among all changes up to which rows follow; lists know their own.
    known_to: u64,
    /// The newest change when it looked last.
    newest: u64,
    /// Threads that it leaves to reads, while they are applied up to there.
    left_out: HashMap<ThreadNumber, Ordinal>,
}

/// A thread that the index may go on with: up to where it knows it, and the log.
struct Lacking {
    number: ThreadNumber,
    reader: Reader,
    from: Ordinal,
}

/// What a batch took.
struct Taken {
    is_all: bool,
    bytes: u64,
}

/// Why a batch was not taken.
enum Refused {
    /// Because of one thread, of which the index knows that much.
    Thread(ThreadNumber, Ordinal),
    /// Because of the index.
    Index(IndexError),
}

impl From<IndexError> for Refused {
    fn from(error: IndexError) -> Refused {
        Refused::Index(error)
    }
}

/// What a look at the log and the index came to.
enum Looked {
    /// No thread changed.
    AtNone,
    /// The place moved: the index lacks nothing before, but for what is left to reads.
    Moved(u64),
    /// More is lacking.
    Goes,
    LeftOut(ThreadNumber, Ordinal),
}

impl Following {
    fn new(store: Store) -> Following {
        Following {
            store,
            known_to: 0,
            newest: 0,
            left_out: HashMap::new(),
        }
    }

    /// A turn that a panic ends like a failure.
    fn guarded_turn(&mut self) -> Turn {
        let turn = catch_unwind(AssertUnwindSafe(|| self.turn()));
        turn.unwrap_or(Turn::Failed)
    }

    fn turn(&mut self) -> Turn {
        // Where the directory was moved, another store may stand in its place.
        let committer = self.store.source.owner();
        if committer.is_ok_and(|committer| committer.lock().check_owned().is_err()) {
            return Turn::Failed;
        }
        match self.store.index.as_it_is(|index| self.look(index)) {
            Ok(Some(Looked::AtNone)) => return Turn::Nothing,
            Ok(Some(Looked::Goes)) => {}
            Ok(Some(Looked::Moved(place))) => self.known_to = place,
            Ok(Some(Looked::LeftOut(number, at))) => _ = self.left_out.insert(number, at),
            Ok(None) => return Turn::Failed,
            Err(error) => {
                tracing::debug!(%error, "the index follows when somebody reads");
                return Turn::Failed;
            }
        }
        let newest = self.newest_change();
        let before = std::mem::replace(&mut self.newest, newest);
        Turn::Took {
            beside_commits: before < newest,
        }
    }

    fn newest_change(&self) -> u64 {
        let committer = self.store.source.owner();
        committer.map_or(0, |committer| committer.lock().newest_change())
    }

    /// Takes one batch of what the index lacks of the threads that changed first, or moves the
    /// place behind them.
    fn look(&self, index: &Index) -> Result<Looked, Error> {
        let lists = index.lists_known_to();
        let place = if lists > 0 { lists } else { self.known_to };
        let committer = self.store.source.owner()?;
        let (reached, threads) = committer.lock().changed_behind(place, THREADS_MAX);
        if threads.is_empty() {
            return Ok(Looked::AtNone);
        }
        let all = self.lacking(index, &threads)?;
        let batch = &all[..first_batch(&all)];
        let numbers: Vec<ThreadNumber> = batch.iter().map(|lacks| lacks.number).collect();
        let take = || self.take(index, batch);
        match self.store.index.alone_with(&numbers, take) {
            Ok(Taken { is_all, bytes }) => {
                self.store.note_undurable(index, bytes, DURABLE_BYTES)?;
                if !is_all || batch.len() < all.len() {
                    return Ok(Looked::Goes);
                }
            }
            // The next turn finds what others did meanwhile.
            Err(Refused::Index(IndexError::Overtaken(_))) => return Ok(Looked::Goes),
            Err(Refused::Index(error)) => return Err(Error::Index(error)),
            Err(Refused::Thread(number, at)) => return Ok(Looked::LeftOut(number, at)),
        }
        if lists > 0 {
            self.store.put_in_lists(index, &threads)?;
            index.know_lists_to(reached);
        }
        Ok(Looked::Moved(reached))
    }

    /// Which of these threads lack records that the index may go on with. Rows of another history
    /// are for reads to replace, and those that are shared for them to look for.
    fn lacking(&self, index: &Index, threads: &[ThreadNumber]) -> Result<Vec<Lacking>, Error> {
        let rows = index.reader()?;
        let mut all = Vec::new();
        for thread in threads {
            let shown = |state: &State| {
                state.thread(*thread)?;
                let number = state.current(*thread);
                Some((number, state.reader(number)?))
            };
            let Some((number, reader)) = self.store.source.with(shown) else {
                continue;
            };
            let row = rows.thread(number)?.unwrap_or_default();
            let from = row.applied_end;
            if from >= reader.end() || self.left_out.get(&number) == Some(&from) {
                continue;
            }
            let is_used = self.store.index.is_used(number);
            let goes_on = if row.shared != Shared::Nothing && !is_used {
                false
            } else if from == Ordinal(0) {
                row.rows == 0 && reader.inherited_end() == Ordinal(0)
            } else {
                // A batch that ended before the log did left no chain.
                let known = Some(row.chain).filter(|chain| *chain != ThreadChain::default());
                let chains = known.zip(reader.chain_at(from));
                chains.is_none_or(|(rows, log)| rows == log)
                    && state_of(&row, number)?.inherited == reader.inherited_end().0
            };
            let is_broken = row.shared == Shared::Broken;
            if !goes_on || is_broken || self.store.is_called_otherwise(&row, number)? {
                continue;
            }
            if !is_used {
                if row.rows <= CHEAP_ROWS {
                    rows.check_thread(number)?;
                }
                self.store.index.mark_used(number);
            }
            all.push(Lacking {
                number,
                reader,
                from,
            });
        }
        Ok(all)
    }

    /// Takes records into the index, in one batch or, of a long sealed run, by its notes.
    fn take(&self, index: &Index, batch: &[Lacking]) -> Result<Taken, Refused> {
        for lacks in batch {
            // Rows of a thread that was deleted meanwhile are removed: they must not come back.
            let there = |state: &State| state.thread_of(lacks.number).is_some();
            if !self.store.source.with(there) {
                return Err(Refused::Index(IndexError::Overtaken(lacks.number)));
            }
        }
        if let [lacks] = batch
            && let Some(fed) = self.by_notes(index, lacks)
        {
            return Ok(Taken {
                is_all: fed.end == lacks.reader.end(),
                bytes: fed.bytes,
            });
        }
        let mut into = index.writer()?;
        let (mut records, mut bytes, mut is_all) = (0, 0, true);
        for lacks in batch {
            let mut at = lacks.from;
            while at < lacks.reader.end() {
                if records >= RECORDS_MAX || bytes >= BYTES_MAX {
                    is_all = false;
                    break;
                }
                let fed = self.feed(&mut into, lacks, at)?;
                records += fed.end.0 - at.0;
                bytes += fed.bytes;
                at = fed.end;
            }
        }
        into.commit(false)?;
        Ok(Taken { is_all, bytes })
    }

    fn by_notes(&self, index: &Index, lacks: &Lacking) -> Option<Fed> {
        let Lacking {
            number,
            reader,
            from,
        } = lacks;
        let is_long = reader.end().0 - from.0 > RECORDS_MAX;
        is_long.then(|| self.store.feed_notes(index, *number, reader, *from))?
    }

    /// Some records of a thread. What a read would have to tell refuses them.
    fn feed(&self, into: &mut Batch<'_>, lacks: &Lacking, at: Ordinal) -> Result<Fed, Refused> {
        let Lacking {
            number,
            reader,
            from,
        } = lacks;
        let span = (at, reader.end().min(at.plus(SPAN)));
        match self.store.feed_into(into, *number, reader, span, None) {
            Ok(fed) if fed.damage.is_empty() => Ok(fed),
            Err(Stop::Batch(Error::Index(error))) if !matches!(error, IndexError::OfBase(_)) => {
                Err(Refused::Index(error))
            }
            Ok(_) | Err(_) => Err(Refused::Thread(*number, *from)),
        }
    }

    /// Makes durable what was applied, if anything was since the index was durable.
    fn make_durable(&self) {
        let undurable = &self.store.index.undurable_bytes;
        if undurable.swap(0, Ordering::Relaxed) == 0 {
            return;
        }
        let durable = |index: &Index| Ok(index.writer()?.commit(true)?);
        if let Err(error) = self.store.index.as_it_is(durable) {
            tracing::debug!(%error, "the index is not durable");
        }
    }
}

/// How many of these threads one batch takes.
fn first_batch(all: &[Lacking]) -> usize {
    let mut records = 0;
    let fit = all.iter().take_while(|lacks| {
        let fits = records < RECORDS_MAX;
        records += lacks.reader.end().0 - lacks.from.0;
        fits
    });
    fit.count()
}

#[cfg(test)]
mod tests;
