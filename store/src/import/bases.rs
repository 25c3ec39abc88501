//! Owns what happens at the end of an import: rollouts that wait for what they go on from get it,
//! where it is here by now. It must not know where a rollout is cut.

use std::collections::{HashMap, HashSet};
use std::fmt;

use turnleaf_engine::format::catalogue::{Awaited, Base};
use turnleaf_engine::format::{Ordinal, ThreadChain, ThreadId, ThreadNumber};
use turnleaf_engine::{AppendError, Origin, ReadError, State, Ticket};

use super::cut::{self, Cut};
use super::group::refused;
use crate::commit::Committer;
use crate::error::Error;
use crate::open::Store;

/// What an import came to beside its sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imports {
    /// Rollouts that got what they go on from.
    pub completed: u64,
    /// Rollouts that wait for what they go on from; they show their own records alone.
    pub awaited: Vec<AwaitedBase>,
}

/// A rollout that waits for what it goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwaitedBase {
    /// Its thread.
    pub thread: String,
    /// Its id.
    pub rollout: String,
    /// Where it was imported from last.
    pub path: Option<String>,
    /// The id of the rollout that it goes on from.
    pub base: String,
    /// Why it waits.
    pub why: NoBase,
}

/// Why a rollout does not go on from another one yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoBase {
    /// No rollout of that id is in the store.
    Absent,
    /// The rollout of that id ends before the place that is named.
    Beyond,
    /// The bytes and the ordinals that are named are two places, or none.
    Contradiction,
    /// The other rollout goes on from this one, or is this one.
    Cycle,
    /// It cannot be read.
    Damaged(String),
}

impl fmt::Display for AwaitedBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AwaitedBase { thread, base, .. } = self;
        let shown = format_args!("thread {thread} shows its own records alone");
        match &self.why {
            NoBase::Absent => write!(
                f,
                "it goes on from rollout {base}, which is not in the store: {shown} until that \
                 is imported"
            ),
            NoBase::Beyond => write!(
                f,
                "it goes on from a place in rollout {base} that the store's copy of it does not \
                 reach: {shown} until a longer one is imported"
            ),
            NoBase::Contradiction => write!(
                f,
                "the bytes and the ordinal at which it goes on from rollout {base} are not one \
                 place in the store's copy of it: {shown} until a copy is imported where they are"
            ),
            NoBase::Cycle => write!(
                f,
                "it goes on from rollout {base}, which goes on from it: {shown}"
            ),
            NoBase::Damaged(why) => write!(
                f,
                "it goes on from rollout {base}, which cannot be read ({why}): {shown} until \
                 that is repaired"
            ),
        }
    }
}

/// Bases that were found and are staged.
struct Finds<'s> {
    committer: &'s Committer,
    tickets: Vec<Ticket>,
}

impl Store {
    /// Gives rollouts what they wait for, and says of which that have to do with `touched` it
    /// cannot be.
    pub(super) fn find_bases(&self, touched: &HashSet<ThreadNumber>) -> Result<Imports, Error> {
        let committer = self.source.owner()?;
        let look = |state: &State| -> Vec<(ThreadNumber, Awaited)> {
            let awaiting = state.awaiting();
            awaiting
                .map(|(rollout, awaited)| (rollout, awaited.clone()))
                .collect()
        };
        let awaiting = self.source.with(look);
        let mut imports = Imports::default();
        if awaiting.is_empty() {
            return Ok(imports);
        }
        let candidates = self.source.with(|state| candidates(state, &awaiting));
        let mut finds = Finds {
            committer,
            tickets: Vec::new(),
        };
        for (rollout, awaited) in &awaiting {
            let named = candidates.get(&awaited.id).map_or(&[][..], Vec::as_slice);
            let why = match self.base_among(named, *rollout, awaited)? {
                Ok(base) if finds.bind(*rollout, base)? => {
                    imports.completed += 1;
                    continue;
                }
                // The next import looks again.
                Ok(_) => continue,
                Err(why) => why,
            };
            let mut concerned = named.iter().chain([rollout]);
            if concerned.any(|rollout| touched.contains(rollout)) {
                let told = self
                    .source
                    .with(|state| told(state, *rollout, awaited, why));
                imports.awaited.extend(told);
            }
        }
        finds.settle()?;
        Ok(imports)
    }

    /// The prefix that a rollout goes on from, of rollouts that have the id of its base: where one
    /// fits in bytes and ordinals, the newest of those, else the newest that fits in ordinals.
    fn base_among(
        &self,
        named: &[ThreadNumber],
        rollout: ThreadNumber,
        awaited: &Awaited,
    ) -> Result<Result<Base, NoBase>, Error> {
        let committer = self.source.owner()?;
        let (mut by_ordinals, mut why) = (None, NoBase::Absent);
        for base in named.iter().rev() {
            if committer.lock().will_go_on_from(*base, rollout) {
                if *base != rollout || named.len() == 1 {
                    why = NoBase::Cycle;
                }
                continue;
            }
            let found = match self.base_cut(rollout, *base, awaited) {
                Err(ReadError::Damaged(damage)) => {
                    self.saw_damage(&damage);
                    why = NoBase::Damaged(damage.to_string());
                    continue;
                }
                found => found.map_err(Error::of_read(awaited.id.as_str()))?,
            };
            match found {
                (Cut::ByBytes(_), Some(base)) => return Ok(Ok(base)),
                (Cut::ByOrdinals(_), base) => by_ordinals = by_ordinals.or(base),
                (Cut::Contradiction, _) => why = NoBase::Contradiction,
                (Cut::Beyond | Cut::ByBytes(_), _) => why = NoBase::Beyond,
                (Cut::Empty, _) => {}
            }
        }
        Ok(by_ordinals.ok_or(why))
    }

    /// What in a rollout is the base of another one. One that was looked at while the store is
    /// open, and is as it was then, is not looked at again.
    fn base_cut(
        &self,
        rollout: ThreadNumber,
        base: ThreadNumber,
        awaited: &Awaited,
    ) -> Result<(Cut, Option<Base>), ReadError> {
        let Some(own) = self.source.with(|state| state.own_records(base)) else {
            return Ok((Cut::Beyond, None));
        };
        let as_it_is = (own.end(), own.chain(), awaited.clone());
        if let Some(cut) = self.unfit_bases.known((rollout, base), &as_it_is) {
            return Ok((cut, None));
        }
        let cut = cut::find(&own, awaited)?;
        let (Cut::ByBytes(end) | Cut::ByOrdinals(end)) = cut else {
            self.unfit_bases.note((rollout, base), as_it_is, cut);
            return Ok((cut, None));
        };
        let nothing = Base {
            rollout: base,
            end: Ordinal(0),
            chain: ThreadChain::START,
        };
        Ok((cut, Some(own.base_at(end)?.unwrap_or(nothing))))
    }
}

/// Rollouts by the ids that are awaited, in ascending order.
fn candidates(
    state: &State,
    awaiting: &[(ThreadNumber, Awaited)],
) -> HashMap<ThreadId, Vec<ThreadNumber>> {
    let ids = awaiting.iter().map(|(_, awaited)| awaited.id.clone());
    let mut candidates: HashMap<_, Vec<_>> = ids.map(|id| (id, Vec::new())).collect();
    for (rollout, id) in state.rollout_ids() {
        if let Some(named) = candidates.get_mut(id) {
            named.push(rollout);
        }
    }
    for named in candidates.values_mut() {
        named.sort_unstable();
    }
    candidates
}

fn told(
    state: &State,
    rollout: ThreadNumber,
    awaited: &Awaited,
    why: NoBase,
) -> Option<AwaitedBase> {
    let thread = state.thread(state.thread_of(rollout)?)?;
    let import = state.import_of(rollout);
    Some(AwaitedBase {
        thread: thread.id.to_string(),
        rollout: state.rollout_id(rollout)?.to_string(),
        path: import.map(|import| import.path.clone()),
        base: awaited.id.to_string(),
        why,
    })
}

impl Finds<'_> {
    /// Stages that a rollout goes on from another; false where that is not possible now.
    fn bind(&mut self, rollout: ThreadNumber, base: Base) -> Result<bool, Error> {
        for is_again in [false, true] {
            let mut log = self.committer.lock();
            log.set_now(self.committer.now_ms());
            match log.stage_origin(rollout, Origin::Base(base)) {
                Ok(ticket) => {
                    self.tickets.push(ticket);
                    return Ok(true);
                }
                // Another base of the same thread may be staged.
                Err(AppendError::Busy) if !is_again => {
                    drop(log);
                    self.settle()?;
                }
                Err(AppendError::Busy | AppendError::NoThread | AppendError::Exists) => break,
                Err(reason) => return Err(refused("")(reason)),
            }
        }
        Ok(false)
    }

    fn settle(&mut self) -> Result<(), Error> {
        for ticket in std::mem::take(&mut self.tickets) {
            self.committer.settle(self.committer.lock(), ticket)?;
        }
        Ok(())
    }
}
