//! Owns forks and reverts: where they cut, and what they leave in the log. Neither copies a record:
//! both cost one commit, whatever the history.

use std::num::NonZeroUsize;

use turnleaf_engine::format::catalogue::Base;
use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::format::{Ordinal, ThreadId, ThreadNumber};
use turnleaf_engine::{Log, NewRecord, Origin, Reader, State};
use turnleaf_projector::index::{Anchor, Order, PageRequest};

use crate::append::name_patch;
use crate::error::Error;
use crate::index::catch_up::{CaughtUp, thread_state};
use crate::open::Store;
use crate::source::thread_id;

/// How often a revert is tried where others change the thread meanwhile.
const TRIES: u32 = 64;

/// Where a lineage is cut, and the lineage.
type Cut = (Ordinal, Reader);

/// Up to where a fork goes on from a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForkPoint {
    /// All that is there.
    Latest,
    /// Up to the end of this turn, which must have a turn behind it, or be over.
    ThroughTurn(String),
    /// Up to where this turn begins.
    BeforeTurn(String),
    /// So many records, the inherited ones counted.
    AtOrdinal(Ordinal),
}

/// A fork that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forked {
    /// The new thread.
    pub thread: String,
    /// One past the last record that it shows of the thread that it was forked from.
    pub inherited: Ordinal,
}

/// A revert that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverted {
    /// The rollout that the thread shows now.
    pub rollout: String,
    /// One past the last record that it shows of what was there before.
    pub inherited: Ordinal,
}

/// One rollout of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutInfo {
    /// Its number in the store: what tells rollouts of one id apart.
    pub number: ThreadNumber,
    /// Its id; that of the thread for the first one.
    pub id: String,
    /// Whether the thread shows it.
    pub is_current: bool,
    /// Records of its own.
    pub records: u64,
    /// What it goes on from.
    pub base: Option<BaseInfo>,
    /// The id of the rollout that it waits for, if its base is not in the store, or not whole.
    pub awaits: Option<String>,
    /// The file that it was imported from last.
    pub imported_from: Option<String>,
}

/// What a rollout goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseInfo {
    /// The thread of the other rollout.
    pub thread: String,
    /// Its id.
    pub id: String,
    /// Its number in the store.
    pub number: ThreadNumber,
    /// One past its last record that is inherited, as it counts itself.
    pub end: Ordinal,
}

impl Store {
    /// Makes a new thread that shows the records of another one up to a point, and goes on from
    /// there on its own. Durable when this returns; whatever the other thread does later is not
    /// seen. The other thread cannot be deleted before the new one is.
    ///
    /// Cost: one commit, and the index of the other thread is caught up where a turn is named; it
    /// does not grow with the history.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let forked = store.fork("my-thread", "its-fork", &turnleaf::ForkPoint::Latest)?;
    /// println!("{} goes on behind {} records", forked.thread, forked.inherited);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] for the thread or the turn; [`crate::ErrorKind::Invalid`] for
    /// an id that is none or is taken, and for a point that the thread does not reach; I/O.
    pub fn fork(&self, of: &str, id: &str, point: &ForkPoint) -> Result<Forked, Error> {
        let parsed = thread_id(id)?;
        let (cut, reader) = self.cut_at(of, point)?;
        let Some(base) = reader.base_at(cut).map_err(Error::of_read(of))? else {
            self.create_thread(id)?;
            let (thread, inherited) = (id.to_owned(), Ordinal(0));
            return Ok(Forked { thread, inherited });
        };
        let refused = |reason| Error::Append {
            thread: id.to_owned(),
            reason,
        };
        let committer = self.source.owner()?;
        let log = committer.wait_for_creation(committer.lock(), &parsed);
        let of_base = log.state().thread_of(base.rollout);
        let of_base = of_base.ok_or_else(|| Error::NoThread(of.to_owned()))?;
        let mut log = committer.wait_for_facts(log, &[of_base]);
        log.set_now(committer.now_ms());
        let (_, ticket) = log.stage_fork(&parsed, base).map_err(refused)?;
        committer.settle(log, ticket)?;
        Ok(Forked {
            thread: id.to_owned(),
            inherited: cut,
        })
    }

    /// An id for a new thread, as the runtime makes them: a UUID of version 7, of this moment.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] for a store open for reading.
    pub fn new_thread_id(&self) -> Result<String, Error> {
        Ok(new_id(self.source.owner()?.now_ms()).to_string())
    }

    /// Takes a thread back to where a turn begins: it shows what was before, and goes on from
    /// there. Durable when this returns. What is not shown any more is kept, as a rollout of the
    /// thread ([`Store::rollouts`]), and goes with the thread.
    ///
    /// Cost: as [`Store::fork`].
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let reverted = store.revert("my-thread", "019c0000-0000-7000-8000-00000000aaaa")?;
    /// println!("{} records are left", reverted.inherited);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] for the thread or the turn; I/O.
    pub fn revert(&self, id: &str, before_turn: &str) -> Result<Reverted, Error> {
        let point = ForkPoint::BeforeTurn(before_turn.to_owned());
        self.revert_to(id, &|| self.cut_at(id, &point))
    }

    /// Takes back the newest turns of a thread, as [`Store::revert`] does; all of them where there
    /// are not so many.
    ///
    /// # Errors
    /// As [`Store::revert`]; [`crate::ErrorKind::Invalid`] for no turn at all.
    pub fn rollback(&self, id: &str, turns: usize) -> Result<Reverted, Error> {
        let Some(limit) = NonZeroUsize::new(turns) else {
            return Err(Error::BadArgument("no turn is to be taken back"));
        };
        let cut = |now: &CaughtUp| {
            let newest = PageRequest {
                anchor: None,
                order: Order::Descending,
                limit,
            };
            let page = now.rows.turns_page(now.number, &newest)?;
            let cut = page.rows.last().map_or(now.end, |(first, _)| *first);
            Ok((cut, now.reader.clone()))
        };
        self.revert_to(id, &|| self.with_thread(id, cut))
    }

    /// Takes a thread back to a cut, which is looked up anew where others change the thread
    /// meanwhile.
    fn revert_to(&self, id: &str, cut: &dyn Fn() -> Result<Cut, Error>) -> Result<Reverted, Error> {
        for _ in 0..TRIES {
            let (cut, reader) = cut()?;
            if let Some(rollout) = self.try_revert(id, cut, &reader)? {
                return Ok(Reverted {
                    rollout: rollout.to_string(),
                    inherited: cut,
                });
            }
        }
        Err(Error::Overtaken(id.to_owned()))
    }

    /// `None` where the thread is not any more what the reader shows.
    fn try_revert(
        &self,
        id: &str,
        cut: Ordinal,
        reader: &Reader,
    ) -> Result<Option<ThreadId>, Error> {
        let base = reader.base_at(cut).map_err(Error::of_read(id))?;
        let before = self.index.with(|index| {
            let now = self.catch_up(index, id)?;
            Ok(thread_state(&now.rows, now.number)?)
        })?;
        let committer = self.source.owner()?;
        let thread = self.source.find_thread(id)?;
        let refused = |reason| Error::Append {
            thread: id.to_owned(),
            reason,
        };
        let mut log = committer.wait_for_facts(committer.lock(), &[thread]);
        let of_base = base.and_then(|base: Base| log.state().thread_of(base.rollout));
        if let Some(of_base) = of_base.filter(|of_base| *of_base != thread) {
            log = committer.wait_for_facts(log, &[thread, of_base]);
        }
        if !is_as_read(&log, thread, reader) {
            return Ok(None);
        }
        let at = committer.now_ms();
        log.set_now(at);
        let rollout = new_id(at);
        let origin = base.map(Origin::Base);
        let Some(named_at_ms) = before.meta.named_at_ms else {
            let staged = log.stage_rollout(thread, &rollout, origin, true);
            committer.settle(log, staged.map_err(refused)?.1)?;
            return Ok(Some(rollout));
        };
        let staged = log.stage_rollout(thread, &rollout, origin, false);
        let (number, _) = staged.map_err(refused)?;
        // A name is no part of what is taken back, and neither is that it was taken away. The
        // rollout is shown once that is durable.
        let patch = name_patch(before.meta.name.as_deref().unwrap_or(""), named_at_ms);
        let name = NewRecord {
            kind: Kind::METADATA,
            flags: Flags::NONE,
            timestamp_ms: at,
            bytes: patch.as_bytes(),
        };
        let staged = log.stage(number, None, &[name]);
        committer.settle(log, staged.map_err(refused)?.ticket)?;
        let mut log = committer.wait_for_facts(committer.lock(), &[thread]);
        if !is_as_read(&log, thread, reader) {
            return Ok(None);
        }
        log.set_now(committer.now_ms());
        let shown = log.stage_current(thread, number).map_err(refused)?;
        if let Some(ticket) = shown {
            committer.settle(log, ticket)?;
        }
        Ok(Some(rollout))
    }

    /// The rollouts of a thread: the first one first, then in the order in which they came into the
    /// store. Reads nothing from the disk.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`].
    pub fn rollouts(&self, id: &str) -> Result<Vec<RolloutInfo>, Error> {
        let thread = self.source.find_thread(id)?;
        Ok(self.source.with(|state| {
            let rollouts = state.rollouts_of(thread);
            rollouts
                .filter_map(|rollout| rollout_info(state, thread, rollout))
                .collect()
        }))
    }

    /// Threads that were forked from a thread, by number: those whose base is one of its rollouts.
    /// Reads nothing from the disk.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`].
    pub fn forks_of(&self, id: &str) -> Result<Vec<String>, Error> {
        let thread = self.source.find_thread(id)?;
        Ok(self.source.with(|state| forks_of(state, thread)))
    }

    /// The cut that a point makes, and the lineage that it cuts.
    pub(crate) fn cut_at(&self, id: &str, point: &ForkPoint) -> Result<(Ordinal, Reader), Error> {
        let (turn, is_through) = match point {
            ForkPoint::Latest => {
                let (_, reader) = self.source.find(id)?;
                return Ok((reader.end(), reader));
            }
            ForkPoint::AtOrdinal(at) => {
                let (_, reader) = self.source.find(id)?;
                if *at > reader.end() {
                    return Err(Error::BadArgument("the thread does not reach that record"));
                }
                return Ok((*at, reader));
            }
            ForkPoint::ThroughTurn(turn) => (turn, true),
            ForkPoint::BeforeTurn(turn) => (turn, false),
        };
        self.with_thread(id, |now| {
            let name = now.rows.turn_name(now.number, turn)?;
            let first = name
                .and_then(|name| name.row)
                .ok_or_else(|| Error::NoTurn {
                    thread: id.to_owned(),
                    turn: turn.clone(),
                })?;
            let cut = if is_through {
                end_of_turn(now, first)?
            } else {
                first
            };
            Ok((cut, now.reader.clone()))
        })
    }
}

/// Whether a thread is still what a reader shows, and nothing of it is staged.
fn is_as_read(log: &Log, thread: ThreadNumber, reader: &Reader) -> bool {
    let rollout = reader.rollout();
    let end = log.staged_end(rollout);
    let end = end.map(|end| end.plus(reader.inherited_end().0));
    let is_current = log.state().current(thread) == rollout;
    is_current && !log.has_staged_fact(thread) && end == Some(reader.end())
}

/// Where the next turn begins, or the end of the thread.
fn end_of_turn(now: &CaughtUp, first: Ordinal) -> Result<Ordinal, Error> {
    let next = PageRequest {
        anchor: Some(Anchor {
            at: first,
            include: false,
        }),
        order: Order::Ascending,
        limit: NonZeroUsize::MIN,
    };
    let page = now.rows.turns_page(now.number, &next)?;
    Ok(page.rows.first().map_or(now.end, |(first, _)| *first))
}

pub(crate) fn forks_of(state: &State, thread: ThreadNumber) -> Vec<String> {
    let mut forks: Vec<ThreadNumber> = state
        .referrers_of(thread)
        .filter_map(|rollout| state.thread_of(rollout))
        .collect();
    forks.sort_unstable();
    forks.dedup();
    let ids = forks.into_iter().filter_map(|fork| state.id_of(fork));
    ids.map(ToString::to_string).collect()
}

fn rollout_info(state: &State, thread: ThreadNumber, rollout: ThreadNumber) -> Option<RolloutInfo> {
    let base = match state.origin(rollout) {
        Some(Origin::Base(base)) => Some(base),
        _ => None,
    };
    let awaits = match state.origin(rollout) {
        Some(Origin::Awaited(awaited)) => Some(awaited.id.to_string()),
        _ => None,
    };
    let base = base.and_then(|base| {
        Some(BaseInfo {
            thread: state.id_of(base.rollout)?.to_string(),
            id: state.rollout_id(base.rollout)?.to_string(),
            number: base.rollout,
            end: base.end,
        })
    });
    Some(RolloutInfo {
        number: rollout,
        id: state.rollout_id(rollout)?.to_string(),
        is_current: state.current(thread) == rollout,
        records: state.own_records(rollout)?.end().0,
        base,
        awaits,
        imported_from: state.import_of(rollout).map(|import| import.path.clone()),
    })
}

/// An id as the runtime makes them: a UUID of version 7.
fn new_id(at_ms: i64) -> ThreadId {
    let at = std::time::Duration::from_millis(u64::try_from(at_ms).unwrap_or(0));
    let timestamp = uuid::Timestamp::from_unix(uuid::NoContext, at.as_secs(), at.subsec_nanos());
    let id = uuid::Uuid::new_v7(timestamp).to_string();
    ThreadId::parse(&id).expect("a UUID is an id")
}

#[cfg(test)]
mod tests;
