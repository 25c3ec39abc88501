//! Owns what the catalogue's records add up to: which threads, segments and imports exist. It must
//! not know files. [S:catalogue-2]

mod checkpoint;
mod ids;
mod lineage;
mod segments;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use turnleaf_format::catalogue::{CatalogueRecord, JournalLost, Lost, Run};
use turnleaf_format::segment::Class;
use turnleaf_format::{
    Generation, Ordinal, SegmentId, StoreId, ThreadChain, ThreadId, ThreadNumber,
};

use ids::Numbers;
use lineage::Lineages;
pub use lineage::Origin;
pub(crate) use segments::SegmentFact;
use segments::SegmentFacts;

use crate::view::{is_covered, ranges_of};

/// How far a source file has been imported into a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFact {
    /// Bytes of the plain source that are records now.
    pub source_bytes: u64,
    /// Ordinal after the last of them.
    pub ordinal_end: Ordinal,
    /// Length of the source file as it was found, bytes.
    pub file_bytes: u64,
    /// Its modification time then, Unix nanoseconds.
    pub modified_ns: i64,
    /// Its path then; informative.
    pub path: String,
}

/// One thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadFact {
    /// Its name outside.
    pub id: ThreadId,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// Whether it is archived.
    pub archived: bool,
    /// Whether it is deleted: hidden, and without records. [S:catalogue-9]
    pub deleted: bool,
    /// The newest import into it; none of one that is deleted.
    pub import: Option<ImportFact>,
}

/// What the catalogue must say so that a damage closes nothing any more. Only a repair says it.
/// [S:catalogue-13]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossRecord {
    /// These ordinals of a thread are lost. [S:catalogue-11]
    Ordinals {
        /// The thread; 0 is the catalogue.
        thread: ThreadNumber,
        /// First ordinal.
        first: Ordinal,
        /// One past the last; equal to the first where only the chain is broken.
        end: Ordinal,
        /// The thread chain at the end.
        chain_after: ThreadChain,
    },
    /// A part of a journal file is lost. [S:catalogue-12]
    Journal {
        /// The generation of the file.
        generation: Generation,
        /// First byte.
        offset: u64,
        /// One past the last; equal to the first where only what is stated there is wrong.
        end: u64,
    },
    /// The record that named the thread is lost: it gets a new id. [R:frame-12]
    Thread(ThreadNumber),
}

/// The sum of the catalogue's records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Catalogue {
    pub(crate) store: Option<StoreId>,
    pub(crate) threads: BTreeMap<ThreadNumber, ThreadFact>,
    /// Of each id its newest thread.
    pub(crate) numbers: HashMap<ThreadId, ThreadNumber>,
    /// Threads that have the id of one that was deleted. [S:catalogue-16]
    again: BTreeSet<ThreadNumber>,
    pub(crate) lineages: Lineages,
    pub(crate) segments: SegmentFacts,
    pub(crate) epoch: u64,
    /// What was given up, by thread, ascending; thread 0 is the catalogue itself.
    pub(crate) lost: BTreeMap<ThreadNumber, Vec<Lost>>,
    journal_lost: Vec<JournalLost>,
    /// Whether there is a record that this build does not know.
    has_unknown: bool,
    next_thread: Numbers,
    next_segment: Numbers,
}

impl Catalogue {
    /// What it says of one segment, and nothing else.
    pub(crate) fn of_segment(&self, segment: SegmentId) -> Catalogue {
        Catalogue {
            segments: self.segments.only(segment),
            ..Catalogue::default()
        }
    }

    /// Adds one record. Returns `false` when it contradicts what is known (a thread or segment that
    /// exists already, or does not exist): it is then left out, and is damage for the caller.
    #[must_use]
    pub(crate) fn apply(&mut self, record: &CatalogueRecord) -> bool {
        match record {
            CatalogueRecord::StoreCreated { store, .. } => self
                .store
                .replace(*store)
                .is_none_or(|before| before == *store),
            CatalogueRecord::ThreadCreated { thread, id, at_ms } => {
                self.create_thread(*thread, id, *at_ms)
            }
            CatalogueRecord::ThreadCreatedAgain { thread, id, at_ms } => {
                self.create_thread_again(*thread, id, *at_ms)
            }
            CatalogueRecord::SegmentPublished {
                segment,
                class,
                file_bytes,
                digest,
                runs,
            } => self.publish(*segment, (*class, *file_bytes, *digest), runs),
            CatalogueRecord::Replaced { old, thread, new } => self.replace(*old, *thread, *new),
            CatalogueRecord::Archived {
                thread, archived, ..
            } => self.with_thread(*thread, |fact| fact.archived = *archived),
            CatalogueRecord::Deleted { thread, .. } => self.delete(*thread),
            CatalogueRecord::Purged { thread, .. } => self.threads.contains_key(thread),
            CatalogueRecord::Import {
                thread,
                source_bytes,
                ordinal_end,
                file_bytes,
                modified_ns,
                path,
            } => {
                let import = ImportFact {
                    source_bytes: *source_bytes,
                    ordinal_end: *ordinal_end,
                    file_bytes: *file_bytes,
                    modified_ns: *modified_ns,
                    path: path.clone(),
                };
                // [S:catalogue-15]
                let withdraws = path.is_empty() && (*source_bytes, *file_bytes) == (0, 0);
                // Of a deleted thread only that it was is of use.
                let held = !withdraws && !self.is_deleted(*thread);
                self.set_import(*thread, held.then_some(import))
            }
            CatalogueRecord::Epoch { epoch, .. } => self.begin_epoch(*epoch),
            CatalogueRecord::Lost(lost) => self.give_up(lost),
            CatalogueRecord::JournalLost(lost) => {
                self.journal_lost.push(*lost);
                true
            }
            CatalogueRecord::RolloutCreated { .. }
            | CatalogueRecord::Based { .. }
            | CatalogueRecord::Awaits { .. }
            | CatalogueRecord::Current { .. } => self.apply_lineage(record),
            CatalogueRecord::Unknown { .. } => {
                self.has_unknown = true;
                true
            }
        }
    }

    fn publish(&mut self, segment: SegmentId, file: (Class, u64, [u8; 32]), runs: &[Run]) -> bool {
        self.next_segment.saw(segment.0);
        let known = |run: &Run| self.is_known(run.thread);
        if !runs.iter().all(known) || self.segments.is_known(segment) {
            return false;
        }
        let fact = SegmentFact::new(file, runs, |run| !self.is_deleted(run.thread));
        self.segments.publish(segment, fact);
        true
    }

    fn begin_epoch(&mut self, epoch: u64) -> bool {
        // Nobody can follow the last number that there is.
        let follows = epoch > self.epoch && epoch < u64::MAX;
        if follows {
            self.epoch = epoch;
        }
        follows
    }

    fn give_up(&mut self, lost: &Lost) -> bool {
        let known = self.is_known(lost.thread);
        if known {
            let all = self.lost.entry(lost.thread).or_default();
            all.push(*lost);
            all.sort_by_key(|lost| (lost.first_ordinal, lost.ordinal_end));
        }
        known
    }

    /// Whether there is such a rollout, or was; the catalogue is one.
    pub(crate) fn is_known(&self, rollout: ThreadNumber) -> bool {
        rollout == ThreadNumber::CATALOGUE || self.thread_of(rollout).is_some()
    }

    /// Whether there was such a rollout and its thread is deleted.
    pub(crate) fn is_deleted(&self, rollout: ThreadNumber) -> bool {
        let thread = self.thread_of(rollout);
        let fact = thread.and_then(|thread| self.threads.get(&thread));
        fact.is_some_and(|fact| fact.deleted)
    }

    /// What was given up of a thread, ascending.
    pub(crate) fn given_up(&self, thread: ThreadNumber) -> &[Lost] {
        self.lost.get(&thread).map_or(&[], Vec::as_slice)
    }

    /// Whether something was given up that may have been a record of the catalogue.
    pub(crate) fn may_lack_records(&self) -> bool {
        let of_nobody = |lost: &JournalLost| lost.offset < lost.end;
        !self.given_up(ThreadNumber::CATALOGUE).is_empty()
            || self.journal_lost.iter().any(of_nobody)
    }

    /// Whether the catalogue says so already.
    pub(crate) fn has_accepted(&self, record: LossRecord) -> bool {
        match record {
            LossRecord::Ordinals {
                thread,
                first,
                end,
                chain_after,
            } if first == end => self
                .given_up(thread)
                .iter()
                .any(|lost| (lost.ordinal_end, lost.chain_after) == (end, chain_after)),
            LossRecord::Ordinals {
                thread, first, end, ..
            } => is_covered(ranges_of(self.given_up(thread)), first, end),
            LossRecord::Journal {
                generation,
                offset,
                end,
            } => self.journal_lost.iter().any(|lost| {
                lost.generation == generation && lost.offset <= offset && end <= lost.end
            }),
            LossRecord::Thread(thread) => self.is_known(thread),
        }
    }

    /// A thread number that was never used.
    pub(crate) fn next_thread(&mut self) -> ThreadNumber {
        ThreadNumber(self.next_thread.next())
    }

    /// A segment number that was never used.
    pub(crate) fn next_segment(&mut self) -> SegmentId {
        SegmentId(self.next_segment.next())
    }

    /// Reserves what the frames of the journal show to be taken, also where the record that says so
    /// is lost.
    pub(crate) fn saw_frames(&mut self, thread: ThreadNumber, epoch: u64) {
        self.next_thread.saw(thread.0);
        self.epoch = self.epoch.max(epoch);
    }

    /// Reserves the numbers up to `segment`: a file of that name stands on the disk.
    pub(crate) fn saw_segment_file(&mut self, segment: SegmentId) {
        self.next_segment.saw(segment.0);
    }

    /// A deleted thread asks for no run any more. [S:catalogue-9]
    fn delete(&mut self, thread: ThreadNumber) -> bool {
        let known = self.with_thread(thread, |fact| {
            fact.deleted = true;
        });
        let rollouts: Vec<ThreadNumber> = self.rollouts_of(thread).collect();
        for rollout in rollouts {
            self.set_import(rollout, None);
            let held: Vec<SegmentId> = self.segments.of_thread(rollout).collect();
            for segment in held {
                self.segments.release(segment, rollout);
            }
        }
        known
    }

    /// Other runs hold what the old one held, or it is lost. [S:catalogue-8]
    fn replace(&mut self, old: SegmentId, thread: ThreadNumber, new: SegmentId) -> bool {
        if self.is_deleted(thread) {
            return true;
        }
        let run_of = |segment| self.segments.run_of(segment, thread);
        let Some(before) = run_of(old) else {
            return false;
        };
        let (first, end) = (before.first_ordinal, before.ordinal_end);
        let holds = match run_of(new) {
            Some(after) if after.first_ordinal <= first && end <= after.ordinal_end => old != new,
            None if new != SegmentId::NONE => false,
            _ => self.holds_without(old, thread, (first, end)),
        };
        if holds {
            self.segments.release(old, thread);
        }
        holds
    }

    /// Whether all these ordinals are in other segments, or given up.
    fn holds_without(
        &self,
        old: SegmentId,
        thread: ThreadNumber,
        (first, end): (Ordinal, Ordinal),
    ) -> bool {
        let others = self.segments.of_thread(thread);
        let others = others.filter(|segment| *segment != old);
        let runs = others.filter_map(|segment| self.segments.run_of(segment, thread));
        let runs = runs.map(|run| (run.first_ordinal, run.ordinal_end));
        let mut ranges: Vec<_> = runs.chain(ranges_of(self.given_up(thread))).collect();
        ranges.sort_unstable();
        is_covered(ranges, first, end)
    }

    fn create_thread(&mut self, thread: ThreadNumber, id: &ThreadId, at_ms: i64) -> bool {
        self.next_thread.saw(thread.0);
        let free = self.is_free(thread) && !self.numbers.contains_key(id);
        if free {
            self.add_thread(thread, id, at_ms);
        }
        free
    }

    /// What says that the older thread of the id is deleted may be lost: it is said again.
    fn create_thread_again(&mut self, thread: ThreadNumber, id: &ThreadId, at_ms: i64) -> bool {
        self.next_thread.saw(thread.0);
        let free = self.is_free(thread);
        if free {
            if let Some(before) = self.numbers.get(id).copied() {
                self.delete(before);
            }
            self.add_thread(thread, id, at_ms);
            self.again.insert(thread);
        }
        free
    }

    /// Whether no rollout has the number.
    fn is_free(&self, number: ThreadNumber) -> bool {
        number != ThreadNumber::CATALOGUE && self.thread_of(number).is_none()
    }

    fn add_thread(&mut self, thread: ThreadNumber, id: &ThreadId, at_ms: i64) {
        self.numbers.insert(id.clone(), thread);
        let fact = ThreadFact {
            id: id.clone(),
            created_ms: at_ms,
            archived: false,
            deleted: false,
            import: None,
        };
        self.threads.insert(thread, fact);
    }

    fn with_thread(&mut self, thread: ThreadNumber, change: impl FnOnce(&mut ThreadFact)) -> bool {
        self.threads.get_mut(&thread).map(change).is_some()
    }
}

#[cfg(test)]
mod tests;
