//! Owns what damage does to an open log: which threads it closes to appends, and which journal
//! files it keeps. It must not judge what is damage.

use std::collections::HashSet;

use turnleaf_format::{Generation, ThreadNumber};

use crate::error::Damage;

/// Damage and what it closes. Only a repair, or the deletion of the thread, ends it.
#[derive(Debug, Default)]
pub(super) struct Closed {
    /// They take no appends. [R:quarantine]
    threads: HashSet<ThreadNumber>,
    /// Journal files that damaged frames keep, and the threads of those: a damaged frame may be all
    /// that is left of its records.
    pinned: Vec<(ThreadNumber, Generation)>,
    /// Found when the store was opened, or by a seal.
    damage: Vec<Damage>,
}

impl Closed {
    pub(super) fn new(
        threads: impl IntoIterator<Item = ThreadNumber>,
        pinned: Vec<(ThreadNumber, Generation)>,
        damage: Vec<Damage>,
    ) -> Closed {
        Closed {
            threads: threads.into_iter().collect(),
            pinned,
            damage,
        }
    }

    pub(super) fn contains(&self, thread: ThreadNumber) -> bool {
        self.threads.contains(&thread)
    }

    pub(super) fn damage(&self) -> &[Damage] {
        &self.damage
    }

    pub(super) fn close(&mut self, thread: ThreadNumber) {
        self.threads.insert(thread);
    }

    pub(super) fn tell(&mut self, damage: Damage) {
        self.damage.push(damage);
    }

    /// Forgets a thread that was deleted: of its damaged frames nothing is to be saved any more.
    /// Returns the files that they kept.
    pub(super) fn forget_thread(&mut self, thread: ThreadNumber) -> Vec<Generation> {
        self.threads.remove(&thread);
        self.damage.retain(|damage| damage.thread != Some(thread));
        let pins = self.pinned.extract_if(.., |(of, _)| *of == thread);
        pins.map(|(_, generation)| generation).collect()
    }
}
