//! Owns what opening a store says about its health.

use std::ops::Range;

use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_engine::{Damage, Remark, State, TailVerdict, ThreadFact, repairs_for};

use super::repair::NamedRepair;
use crate::open::Store;

/// What opening a store found. Blocks of segments are not read for it; a verification does that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// What is damaged, with the id of the thread where it is known.
    pub damage: Vec<(Option<String>, Damage)>,
    /// Whether the whole store takes no appends.
    pub closed: bool,
    /// Threads that take no appends.
    pub closed_threads: Vec<String>,
    /// Records that repairs gave up.
    pub given_up: Vec<GivenUp>,
    /// How the newest journal file ends.
    pub tail: TailVerdict,
    /// Findings that cost nothing and close nothing.
    pub remarks: Vec<Remark>,
    /// Names that do not belong to the store.
    pub foreign: Vec<String>,
    /// Threads that were deleted: hidden, and in files that other threads share until those are
    /// written anew.
    pub deleted_threads: Vec<String>,
    /// Repairs that opening shows to be due; reading every byte may show more.
    pub repairs: Vec<NamedRepair>,
}

/// Records of a thread that a repair gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The thread.
    pub thread: String,
    /// Their ordinals.
    pub ordinals: Range<Ordinal>,
}

impl Store {
    /// What opening found, and what can be done about it. Reads nothing but the tables of segments
    /// that no record mentions.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let found = store.diagnosis();
    /// for repair in &found.repairs {
    ///     println!("{}: {}", repair.repair.name(), repair.repair);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn diagnosis(&self) -> Diagnosis {
        let report = self.report();
        let id = |thread: ThreadNumber| {
            self.source
                .with(|state| state.id_of(thread).map(ToString::to_string))
        };
        let named = |damage: &Damage| (damage.thread.and_then(id), damage.clone());
        let due = self.source.with(|state| repairs_for(report, state));
        let due = due.into_iter();
        Diagnosis {
            damage: report.damage.iter().map(named).collect(),
            closed: report.closed.contains(&ThreadNumber::CATALOGUE),
            closed_threads: report.closed.iter().copied().filter_map(id).collect(),
            given_up: self.all_given_up(),
            tail: report.tail.clone(),
            remarks: report.remarks.clone(),
            foreign: report.foreign.clone(),
            deleted_threads: self.source.with(|state| {
                let ids = state.deleted_ids().map(ToString::to_string);
                ids.collect()
            }),
            repairs: due.map(|repair| self.named(repair, None)).collect(),
        }
    }

    /// The ids of the threads whose records damages cost, in their order; `None` where nobody knows
    /// it.
    #[must_use]
    pub fn damaged_threads(&self, damage: &[Damage]) -> Vec<Option<String>> {
        let id = |damage: &Damage| {
            let of = |state: &State| Some(state.id_of(damage.thread?)?.to_string());
            self.source.with(of)
        };
        damage.iter().map(id).collect()
    }

    /// Other threads that show what a damage costs: forks, however far, of the thread that has it.
    /// In the order of their creation; reads nothing from the disk.
    #[must_use]
    pub fn inheriting_threads(&self, damage: &Damage) -> Vec<String> {
        let (Some(of), Some((first, end))) = (damage.thread, damage.ordinals) else {
            return Vec::new();
        };
        self.source.with(|state| {
            let thread = state.thread_of(of);
            let shows = |rollout: ThreadNumber| {
                let mut bases = state.bases(rollout);
                bases.any(|base| base.rollout == of && first < base.end && first < end)
            };
            let others = state.threads().filter(|(other, _)| Some(*other) != thread);
            let inheriting = others.filter(|(other, _)| state.rollouts_of(*other).any(shows));
            inheriting.map(|(_, fact)| fact.id.to_string()).collect()
        })
    }

    fn all_given_up(&self) -> Vec<GivenUp> {
        self.source.with(|state| {
            let of_thread = |(number, fact): (ThreadNumber, &ThreadFact)| {
                let current = state.current(number);
                let ranges = state.reader(current).map(|reader| reader.given_up());
                let id = fact.id.to_string();
                let ranges = ranges.unwrap_or_default().into_iter();
                ranges.map(move |(first, end)| GivenUp {
                    thread: id.clone(),
                    ordinals: first..end,
                })
            };
            state.threads().flat_map(of_thread).collect()
        })
    }
}
