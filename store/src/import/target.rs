//! Owns the question which rollout of its thread a source is: one that the store has, which the
//! source goes on with or is the beginning of, or a further one.

use turnleaf_engine::State;
use turnleaf_engine::format::{ThreadId, ThreadNumber};

use super::compare::{Compared, Known};
use super::lines::Lines;
use super::replay::Replay;
use super::{ImportOutcome, ImportProgress};
use crate::error::Error;
use crate::open::Store;

/// Where a source belongs.
pub(super) struct Target {
    /// The rollout; `None` for a further one.
    pub(super) rollout: Option<ThreadNumber>,
    /// What the store holds of the source.
    pub(super) known: Known,
    /// Rollouts of the thread that have the source's id, the newest first.
    pub(super) namesakes: Vec<ThreadNumber>,
}

impl Target {
    /// A rollout that holds nothing yet.
    pub(super) fn empty(rollout: Option<ThreadNumber>) -> Target {
        Target {
            rollout,
            known: Known::default(),
            namesakes: Vec::new(),
        }
    }
}

/// The rollouts of a thread that have an id, the newest first.
pub(super) fn namesakes(state: &State, thread: ThreadNumber, id: &ThreadId) -> Vec<ThreadNumber> {
    let rollouts = state.rollouts_of(thread);
    let mut named: Vec<_> = rollouts
        .filter(|rollout| state.rollout_id(*rollout) == Some(id))
        .collect();
    named.reverse();
    named
}

impl Store {
    /// Finds the rollout of a source, and passes by what the store holds of it. One that has no
    /// lines yet takes any source that is none of the others. Where there is none, the source
    /// begins again.
    ///
    /// Cost: reads what the store holds of each rollout of that id, up to where it differs.
    pub(super) fn target(
        &self,
        (thread, id): (ThreadNumber, &ThreadId),
        rollout_id: &ThreadId,
        lines: &mut Lines<'_>,
        progress: ImportProgress<'_>,
    ) -> Result<ImportOutcome<Target>, Error> {
        let look = |state: &State| namesakes(state, thread, rollout_id);
        let named = self.source.with(look);
        let mut empty = None;
        for rollout in &named {
            match self.compare(*rollout, id, lines, progress)? {
                // A crash may have left it without what it was made for.
                Compared::Prefix(known) if lines.at() == 0 => {
                    empty.get_or_insert((*rollout, known));
                }
                Compared::Prefix(known) => {
                    return Ok(ImportOutcome::Done(Target {
                        rollout: Some(*rollout),
                        known,
                        namesakes: named,
                    }));
                }
                Compared::Differs(at) => {
                    let own = self.source.with(|state| state.own_records(*rollout));
                    let own = own.ok_or_else(|| Error::NoThread(id.to_string()))?;
                    lines.begin_again(Replay::new(own, at));
                }
                Compared::Skip(skip) => return Ok(ImportOutcome::Skipped(skip)),
            }
        }
        let (rollout, known) = match empty {
            Some((rollout, known)) => (Some(rollout), known),
            None => (None, Known::default()),
        };
        Ok(ImportOutcome::Done(Target {
            rollout,
            known,
            namesakes: named,
        }))
    }
}
