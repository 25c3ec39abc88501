//! Owns which threads changed: what a list of them has to look at again. It must not know why.

use std::collections::HashMap;

use turnleaf_format::ThreadNumber;
use turnleaf_format::catalogue::CatalogueRecord;

use super::Log;
use crate::catalogue::Catalogue;

/// Threads of which records or catalogue records became durable, each with the place of its newest
/// change among all changes.
#[derive(Debug, Default)]
pub(super) struct Changed {
    changes: u64,
    threads: HashMap<ThreadNumber, u64>,
}

impl Changed {
    fn note(&mut self, thread: ThreadNumber) {
        self.changes += 1;
        self.threads.insert(thread, self.changes);
    }

    /// Notes that a rollout took or lost records.
    pub(super) fn note_rollout(&mut self, catalogue: &Catalogue, rollout: ThreadNumber) {
        if let Some(thread) = catalogue.thread_of(rollout) {
            self.note(thread);
        }
    }

    /// Notes what a catalogue record changes, behind its effect.
    pub(super) fn note_fact(&mut self, catalogue: &Catalogue, fact: &CatalogueRecord) {
        match fact {
            CatalogueRecord::ThreadCreated { thread, .. }
            | CatalogueRecord::Archived { thread, .. }
            | CatalogueRecord::Deleted { thread, .. }
            | CatalogueRecord::Purged { thread, .. }
            | CatalogueRecord::Current { thread, .. } => self.note(*thread),
            CatalogueRecord::Import {
                thread: rollout, ..
            }
            | CatalogueRecord::RolloutCreated { rollout, .. }
            | CatalogueRecord::Awaits { rollout, .. } => self.note_rollout(catalogue, *rollout),
            CatalogueRecord::Based { rollout, .. } => self.note_with_heirs(catalogue, *rollout),
            CatalogueRecord::Lost(lost) => self.note_with_heirs(catalogue, lost.thread),
            CatalogueRecord::StoreCreated { .. }
            | CatalogueRecord::SegmentPublished { .. }
            | CatalogueRecord::Replaced { .. }
            | CatalogueRecord::Epoch { .. }
            | CatalogueRecord::JournalLost(_)
            | CatalogueRecord::Unknown { .. } => {}
        }
    }

    /// Notes a rollout, and all that go on from it: what it shows is theirs, too.
    fn note_with_heirs(&mut self, catalogue: &Catalogue, rollout: ThreadNumber) {
        let mut left = vec![rollout];
        while let Some(rollout) = left.pop() {
            self.note_rollout(catalogue, rollout);
            left.extend(catalogue.referrers(rollout));
        }
    }
}

impl Log {
    /// Threads that changed since they were forgotten last, deleted ones among them, each with the
    /// place of its newest change: records became durable, or catalogue records that change what
    /// it shows. A log that was just opened knows of none. In no order; at most one entry a thread.
    #[must_use]
    pub fn changed(&self) -> Vec<(ThreadNumber, u64)> {
        let all = self.changed.threads.iter();
        all.map(|(thread, change)| (*thread, *change)).collect()
    }

    /// Forgets threads as [`Log::changed`] told of them. One that changed since is told of again.
    pub fn forget_changed(&mut self, seen: &[(ThreadNumber, u64)]) {
        for (thread, change) in seen {
            if self.changed.threads.get(thread) == Some(change) {
                self.changed.threads.remove(thread);
            }
        }
    }
}
