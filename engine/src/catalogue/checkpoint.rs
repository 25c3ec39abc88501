//! Owns what of the catalogue's sum a checkpoint holds, and the sum that it gives back. It must not
//! know where a checkpoint is kept. [S:checkpoint-4]

use turnleaf_format::catalogue::{CatalogueRecord, Run};
use turnleaf_format::checkpoint::Item;
use turnleaf_format::{StoreId, ThreadNumber};

use super::{Catalogue, ImportFact, Origin, SegmentFact, ThreadFact};

impl Catalogue {
    /// Whether a checkpoint can hold all that the records say: not where some of them mean nothing
    /// to this build, were given up, or speak of numbers that no writer gives.
    pub(crate) fn fits_a_checkpoint(&self) -> bool {
        let is_near = !self.next_thread.has_far() && !self.next_segment.has_far();
        is_near && !self.has_unknown && self.given_up(ThreadNumber::CATALOGUE).is_empty()
    }

    /// How many threads and segments a checkpoint holds.
    pub(crate) fn checkpoint_weight(&self) -> u64 {
        (self.threads.len() + self.lineages.rollouts.len() + self.segments.len()) as u64
    }

    /// Whether another sum says the same. Numbers that were only passed over count for nothing.
    pub(crate) fn says_the_same(&self, other: &Catalogue) -> bool {
        let mut other = other.clone();
        other.next_thread = self.next_thread.clone();
        other.next_segment = self.next_segment.clone();
        other.epoch = self.epoch;
        *self == other
    }

    /// The items that add up to this sum.
    pub(crate) fn items(&self) -> impl Iterator<Item = Item> {
        let threads = self.threads.iter();
        let threads = threads.flat_map(|(thread, fact)| {
            let created = created_record(*thread, fact, self.again.contains(thread));
            std::iter::once(created).chain(records_of(*thread, fact))
        });
        let segments = self.segments.iter().map(|(segment, fact)| {
            let runs: Vec<Run> = fact.live.iter().copied().collect();
            CatalogueRecord::SegmentPublished {
                segment,
                class: fact.class,
                file_bytes: fact.file_bytes,
                digest: fact.digest,
                runs,
            }
        });
        let weights = self.segments.iter();
        let weights = weights.filter_map(|(segment, fact)| Some((segment, fact.weight_before()?)));
        let lost = self.lost.values().flatten().copied();
        let lost = lost.map(CatalogueRecord::Lost);
        let of_journal = self.journal_lost.iter().copied();
        let of_journal = of_journal.map(CatalogueRecord::JournalLost);
        let epoch = (self.epoch > 0).then(|| CatalogueRecord::Epoch {
            epoch: self.epoch,
            at_ms: 0,
            pid: 0,
            host: String::new(),
        });
        let retired = Item::Retired(self.segments.retired().collect());
        let threads = threads.chain(self.of_lineages());
        let threads = threads.map(Item::Record).chain([retired]);
        let segments = segments.map(Item::Record);
        let segments = segments.chain([Item::Weights(weights.collect())]);
        let rest = lost.chain(of_journal).chain(epoch).map(Item::Record);
        threads.chain(segments).chain(rest)
    }

    /// Further rollouts, what rollouts go on from, and which ones are shown.
    fn of_lineages(&self) -> impl Iterator<Item = CatalogueRecord> {
        let rollouts = self.lineages.rollouts.iter();
        let rollouts = rollouts.flat_map(|(rollout, fact)| {
            let created = CatalogueRecord::RolloutCreated {
                rollout: *rollout,
                thread: fact.thread,
                id: fact.id.clone(),
                at_ms: fact.created_ms,
            };
            let import = fact.import.as_ref();
            let import = import.map(|import| import_record(*rollout, import));
            std::iter::once(created).chain(import)
        });
        let origins = self.lineages.origins.iter();
        let origins = origins.map(|(rollout, origin)| match origin {
            Origin::Base(base) => CatalogueRecord::Based {
                rollout: *rollout,
                base: *base,
                at_ms: 0,
            },
            Origin::Awaited(awaited) => CatalogueRecord::Awaits {
                rollout: *rollout,
                awaited: awaited.clone(),
            },
        });
        let current = self.lineages.current.iter();
        let current = current.map(|(thread, rollout)| CatalogueRecord::Current {
            thread: *thread,
            rollout: *rollout,
            at_ms: 0,
        });
        rollouts.chain(origins).chain(current)
    }

    /// A sum that begins with a checkpoint of this store.
    pub(crate) fn begun_for(store: StoreId) -> Catalogue {
        Catalogue {
            store: Some(store),
            ..Catalogue::default()
        }
    }

    /// Adds an item. Returns `false` when it contradicts those before.
    #[must_use]
    pub(crate) fn take(&mut self, item: &Item) -> bool {
        match item {
            Item::Record(record) => self.apply(record),
            Item::Retired(ranges) => ranges.iter().all(|(first, last)| {
                self.next_segment.saw(last.0);
                !self.next_segment.has_far() && self.segments.retire(first.0, last.0)
            }),
            Item::Weights(weights) => {
                let mut weights = weights.iter();
                weights.all(|(segment, bytes)| self.segments.weighed(*segment, *bytes))
            }
        }
    }
}

fn created_record(thread: ThreadNumber, fact: &ThreadFact, is_again: bool) -> CatalogueRecord {
    let (id, at_ms) = (fact.id.clone(), fact.created_ms);
    if is_again {
        CatalogueRecord::ThreadCreatedAgain { thread, id, at_ms }
    } else {
        CatalogueRecord::ThreadCreated { thread, id, at_ms }
    }
}

/// What is in force of a thread, but for its creation.
fn records_of(thread: ThreadNumber, fact: &ThreadFact) -> impl Iterator<Item = CatalogueRecord> {
    let archived = fact.archived.then_some(CatalogueRecord::Archived {
        thread,
        archived: true,
        at_ms: 0,
    });
    let import = fact.import.as_ref();
    let import = import.map(|import| import_record(thread, import));
    let deleted = fact
        .deleted
        .then_some(CatalogueRecord::Deleted { thread, at_ms: 0 });
    [archived, import, deleted].into_iter().flatten()
}

fn import_record(rollout: ThreadNumber, import: &ImportFact) -> CatalogueRecord {
    CatalogueRecord::Import {
        thread: rollout,
        source_bytes: import.source_bytes,
        ordinal_end: import.ordinal_end,
        file_bytes: import.file_bytes,
        modified_ns: import.modified_ns,
        path: import.path.clone(),
    }
}

impl SegmentFact {
    /// What it weighed when it was published, where that is more than what is in use.
    fn weight_before(&self) -> Option<u64> {
        (self.bytes != self.live_bytes).then_some(self.bytes)
    }
}
