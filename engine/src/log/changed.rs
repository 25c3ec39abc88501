//! Owns which threads changed, and when: what a list of them has to look at again. It must not know
//! why.

use std::collections::{BTreeMap, HashMap};

use turnleaf_format::ThreadNumber;
use turnleaf_format::catalogue::CatalogueRecord;

use super::Log;
use crate::catalogue::Catalogue;

/// Threads of which records or catalogue records became durable since the log was opened, by the
/// place of their newest change among all changes: each once, some 60 bytes.
#[derive(Debug)]
pub(super) struct Changed {
    changes: u64,
    newest: HashMap<ThreadNumber, u64>,
    threads: BTreeMap<u64, ThreadNumber>,
}

impl Default for Changed {
    fn default() -> Changed {
        Changed {
            // 0 stands for what was never looked at.
            changes: 1,
            newest: HashMap::new(),
            threads: BTreeMap::new(),
        }
    }
}

impl Changed {
    fn note(&mut self, thread: ThreadNumber) {
        self.changes += 1;
        if let Some(before) = self.newest.insert(thread, self.changes) {
            self.threads.remove(&before);
        }
        self.threads.insert(self.changes, thread);
    }

    fn behind(&self, place: u64, most: usize) -> (u64, Vec<ThreadNumber>) {
        let mut changed = self.threads.range(place.saturating_add(1)..);
        let mut reached = place;
        let threads = changed.by_ref().take(most).map(|(at, thread)| {
            reached = *at;
            *thread
        });
        let threads = threads.collect();
        if changed.next().is_none() {
            reached = self.changes;
        }
        (reached, threads)
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
            | CatalogueRecord::ThreadCreatedAgain { thread, .. }
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
        for rollout in catalogue.with_heirs(rollout) {
            self.note_rollout(catalogue, rollout);
        }
    }
}

impl Log {
    /// Threads that changed behind a place among all changes, deleted ones among them: records
    /// became durable, or catalogue records that change what a thread shows. In the order of their
    /// newest changes, each once, at most `most` of them. And the place behind which there are only
    /// others. Places begin at 1 when the log is opened. Costs what is handed out.
    #[must_use]
    pub fn changed_behind(&self, place: u64, most: usize) -> (u64, Vec<ThreadNumber>) {
        self.changed.behind(place, most)
    }

    /// The place of the newest change among all changes: it moves whenever records became durable.
    #[must_use]
    pub fn newest_change(&self) -> u64 {
        self.changed.changes
    }
}

#[cfg(test)]
mod tests;
