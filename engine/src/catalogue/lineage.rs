//! Owns which rollouts a thread has, which of them it shows, and what each goes on from. It must
//! not know what they hold. [S:lineage-1]
//!
//! The first rollout of a thread has the thread's number and id; further ones have numbers of the
//! same kind. What goes on from nothing is not in the table of origins.

use std::collections::{BTreeMap, BTreeSet};

use turnleaf_format::catalogue::{Awaited, Base, CatalogueRecord};
use turnleaf_format::{Format, ThreadId, ThreadNumber};

use super::{Catalogue, ImportFact};

/// A rollout that is not the first one of its thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RolloutFact {
    /// Its thread.
    pub(crate) thread: ThreadNumber,
    /// Its name outside; one thread may have several of this name.
    pub(crate) id: ThreadId,
    /// Unix milliseconds.
    pub(crate) created_ms: i64,
    /// The newest import into it; none of one whose thread is deleted.
    pub(crate) import: Option<ImportFact>,
}

/// What a rollout goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A prefix of another rollout. [S:lineage-3]
    Base(Base),
    /// A prefix of a rollout that is not here, or not whole. [S:lineage-4]
    Awaited(Awaited),
}

/// The lineages of all threads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lineages {
    pub(super) rollouts: BTreeMap<ThreadNumber, RolloutFact>,
    pub(super) origins: BTreeMap<ThreadNumber, Origin>,
    /// Of threads that show another rollout than their first.
    pub(super) current: BTreeMap<ThreadNumber, ThreadNumber>,
    /// Thread and rollout, of all further ones.
    of_threads: BTreeSet<(ThreadNumber, ThreadNumber)>,
    /// Base and rollout.
    referrers: BTreeSet<(ThreadNumber, ThreadNumber)>,
}

/// Rows of a set of pairs that begin with one number.
fn seconds(
    pairs: &BTreeSet<(ThreadNumber, ThreadNumber)>,
    first: ThreadNumber,
) -> impl Iterator<Item = ThreadNumber> {
    let range = (first, ThreadNumber(0))..=(first, ThreadNumber(u64::MAX));
    pairs.range(range).map(|(_, second)| *second)
}

impl Catalogue {
    /// The oldest format whose readers know what all records mean that were added. [S:version-5]
    pub(crate) fn readable_by(&self) -> Format {
        // Only of a thread with a further rollout it is said which one it shows.
        let none = self.lineages.rollouts.is_empty() && self.lineages.origins.is_empty();
        if none && self.again.is_empty() {
            Format::FIRST
        } else {
            Format::LINEAGES
        }
    }

    /// The thread that a rollout belongs to, deleted or not.
    pub(crate) fn thread_of(&self, rollout: ThreadNumber) -> Option<ThreadNumber> {
        if self.threads.contains_key(&rollout) {
            return Some(rollout);
        }
        let further = self.lineages.rollouts.get(&rollout);
        further.map(|fact| fact.thread)
    }

    /// The rollouts of a thread that there is or was, the first one first, then by number.
    pub(crate) fn rollouts_of(&self, thread: ThreadNumber) -> impl Iterator<Item = ThreadNumber> {
        let further = seconds(&self.lineages.of_threads, thread);
        std::iter::once(thread).chain(further)
    }

    /// All rollouts, also of deleted threads, in no order.
    pub(crate) fn all_rollouts(&self) -> impl Iterator<Item = ThreadNumber> {
        let further = self.lineages.rollouts.keys();
        self.threads.keys().chain(further).copied()
    }

    /// The rollout that a thread shows.
    pub(crate) fn current(&self, thread: ThreadNumber) -> ThreadNumber {
        let other = self.lineages.current.get(&thread);
        other.copied().unwrap_or(thread)
    }

    /// What a rollout goes on from; `None` for nothing.
    pub(crate) fn origin(&self, rollout: ThreadNumber) -> Option<&Origin> {
        self.lineages.origins.get(&rollout)
    }

    /// The rollout's base, where it has one that is here.
    pub(crate) fn base(&self, rollout: ThreadNumber) -> Option<&Base> {
        match self.origin(rollout)? {
            Origin::Base(base) => Some(base),
            Origin::Awaited(_) => None,
        }
    }

    /// Rollouts that go on from a prefix of this one, those of deleted threads left out.
    pub(crate) fn referrers(&self, rollout: ThreadNumber) -> impl Iterator<Item = ThreadNumber> {
        let all = seconds(&self.lineages.referrers, rollout);
        all.filter(|referrer| !self.is_deleted(*referrer))
    }

    /// Up to where others go on from this rollout, ascending; those of deleted threads left out.
    pub(crate) fn cuts_of(&self, rollout: ThreadNumber) -> Vec<Base> {
        let referrers = self.referrers(rollout);
        let mut cuts: Vec<Base> = referrers.filter_map(|of| self.base(of).copied()).collect();
        cuts.sort_by_key(|cut| cut.end);
        cuts
    }

    /// A rollout and all that go on from it, however far, those of deleted threads left out.
    pub(crate) fn with_heirs(&self, rollout: ThreadNumber) -> Vec<ThreadNumber> {
        let (mut all, mut at) = (vec![rollout], 0);
        while let Some(rollout) = all.get(at).copied() {
            // One base each, and no circles: none comes twice.
            all.extend(self.referrers(rollout));
            at += 1;
        }
        all
    }

    /// Rollouts of threads that are not deleted whose base is not found.
    pub(crate) fn awaiting(&self) -> impl Iterator<Item = (ThreadNumber, &Awaited)> {
        let origins = self.lineages.origins.iter();
        let awaiting = origins.filter_map(|(rollout, origin)| match origin {
            Origin::Awaited(awaited) => Some((*rollout, awaited)),
            Origin::Base(_) => None,
        });
        awaiting.filter(|(rollout, _)| !self.is_deleted(*rollout))
    }

    /// Adds a record of a lineage, as [`Catalogue::apply`] adds any.
    pub(super) fn apply_lineage(&mut self, record: &CatalogueRecord) -> bool {
        match record {
            CatalogueRecord::RolloutCreated {
                rollout,
                thread,
                id,
                at_ms,
            } => {
                let fact = RolloutFact {
                    thread: *thread,
                    id: id.clone(),
                    created_ms: *at_ms,
                    import: None,
                };
                self.create_rollout(*rollout, fact)
            }
            CatalogueRecord::Based { rollout, base, .. } => {
                self.set_origin(*rollout, Origin::Base(*base))
            }
            CatalogueRecord::Awaits { rollout, awaited } => {
                self.set_origin(*rollout, Origin::Awaited(awaited.clone()))
            }
            CatalogueRecord::Current {
                thread, rollout, ..
            } => self.make_current(*thread, *rollout),
            _ => false,
        }
    }

    fn create_rollout(&mut self, rollout: ThreadNumber, fact: RolloutFact) -> bool {
        self.next_thread.saw(rollout.0);
        let free = self.is_free(rollout);
        let known = self.threads.contains_key(&fact.thread);
        if free && known {
            self.lineages.of_threads.insert((fact.thread, rollout));
            self.lineages.rollouts.insert(rollout, fact);
        }
        free && known
    }

    /// A base is stated once; what was awaited until then is found with it.
    fn set_origin(&mut self, rollout: ThreadNumber, origin: Origin) -> bool {
        if self.thread_of(rollout).is_none() || self.base(rollout).is_some() {
            return false;
        }
        if let Origin::Base(base) = &origin {
            // [S:lineage-3]
            if self.thread_of(base.rollout).is_none() || self.goes_on_from(base.rollout, rollout) {
                return false;
            }
            self.lineages.referrers.insert((base.rollout, rollout));
        }
        self.lineages.origins.insert(rollout, origin);
        true
    }

    /// Whether a rollout is another one, or goes on from it.
    pub(crate) fn goes_on_from(&self, rollout: ThreadNumber, other: ThreadNumber) -> bool {
        let mut at = Some(rollout);
        while let Some(rollout) = at {
            if rollout == other {
                return true;
            }
            at = self.base(rollout).map(|base| base.rollout);
        }
        false
    }

    fn make_current(&mut self, thread: ThreadNumber, rollout: ThreadNumber) -> bool {
        let fits = self.threads.contains_key(&thread) && self.thread_of(rollout) == Some(thread);
        if fits && rollout == thread {
            self.lineages.current.remove(&thread);
        } else if fits {
            self.lineages.current.insert(thread, rollout);
        }
        fits
    }

    /// The newest import into a rollout.
    pub(crate) fn import_of(&self, rollout: ThreadNumber) -> Option<&ImportFact> {
        match self.threads.get(&rollout) {
            Some(thread) => thread.import.as_ref(),
            None => self.lineages.rollouts.get(&rollout)?.import.as_ref(),
        }
    }

    pub(super) fn set_import(&mut self, rollout: ThreadNumber, import: Option<ImportFact>) -> bool {
        if let Some(thread) = self.threads.get_mut(&rollout) {
            thread.import = import;
            return true;
        }
        let further = self.lineages.rollouts.get_mut(&rollout);
        further.map(|further| further.import = import).is_some()
    }

    /// The name of a rollout outside.
    pub(crate) fn rollout_id(&self, rollout: ThreadNumber) -> Option<&ThreadId> {
        match self.threads.get(&rollout) {
            Some(thread) => Some(&thread.id),
            None => self.lineages.rollouts.get(&rollout).map(|fact| &fact.id),
        }
    }
}
