//! Owns what the catalogue's records add up to: which threads, segments and imports exist. It must
//! not know files. [S:catalogue-2]

use std::collections::{BTreeMap, HashMap};

use turnleaf_format::catalogue::{CatalogueRecord, Run};
use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, SegmentId, StoreId, ThreadId, ThreadNumber};

use crate::view::{Published, SegmentFile};

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
    /// Whether it is deleted, and so hidden.
    pub deleted: bool,
    /// The newest import into it.
    pub import: Option<ImportFact>,
}

/// One published segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentFact {
    pub(crate) class: Class,
    pub(crate) file_bytes: u64,
    pub(crate) digest: [u8; 32],
    /// Runs that no newer segment has taken over.
    pub(crate) live: BTreeMap<ThreadNumber, Run>,
}

impl SegmentFact {
    /// The segment's file as its publication says it is.
    pub(crate) fn file(&self, segment: SegmentId) -> SegmentFile {
        SegmentFile {
            segment,
            class: self.class,
            published: Some(Published {
                file_bytes: self.file_bytes,
                runs: self.live.values().copied().collect(),
            }),
        }
    }
}

/// The sum of the catalogue's records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalogue {
    pub(crate) store: Option<StoreId>,
    pub(crate) threads: BTreeMap<ThreadNumber, ThreadFact>,
    pub(crate) numbers: HashMap<ThreadId, ThreadNumber>,
    pub(crate) segments: BTreeMap<SegmentId, SegmentFact>,
    pub(crate) epoch: u64,
    next_thread: u64,
    next_segment: u64,
}

impl Catalogue {
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
            CatalogueRecord::SegmentPublished {
                segment,
                class,
                file_bytes,
                digest,
                runs,
            } => {
                self.next_segment = self.next_segment.max(segment.0);
                let known = |run: &Run| {
                    let catalogue = run.thread == ThreadNumber::CATALOGUE;
                    catalogue || self.threads.contains_key(&run.thread)
                };
                if !runs.iter().all(known) || self.segments.contains_key(segment) {
                    return false;
                }
                let live = runs.iter().map(|run| (run.thread, *run)).collect();
                let (class, file_bytes, digest) = (*class, *file_bytes, *digest);
                let fact = SegmentFact {
                    class,
                    file_bytes,
                    digest,
                    live,
                };
                self.segments.insert(*segment, fact);
                true
            }
            CatalogueRecord::Replaced { old, thread, new } => self.replace(*old, *thread, *new),
            CatalogueRecord::Archived {
                thread, archived, ..
            } => self.with_thread(*thread, |fact| fact.archived = *archived),
            CatalogueRecord::Deleted { thread, .. } => {
                let Some(fact) = self.threads.get_mut(thread) else {
                    return false;
                };
                fact.deleted = true;
                true
            }
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
                self.with_thread(*thread, |fact| fact.import = Some(import))
            }
            CatalogueRecord::Epoch { epoch, .. } => {
                let newer = *epoch > self.epoch;
                self.epoch = self.epoch.max(*epoch);
                newer
            }
            CatalogueRecord::Unknown { .. } => true,
        }
    }

    /// A thread number that was never used.
    pub(crate) fn next_thread(&mut self) -> ThreadNumber {
        self.next_thread += 1;
        ThreadNumber(self.next_thread)
    }

    /// A segment number that was never used.
    pub(crate) fn next_segment(&mut self) -> SegmentId {
        self.next_segment += 1;
        SegmentId(self.next_segment)
    }

    /// Reserves the numbers up to `segment`: a file of that name stands on the disk.
    pub(crate) fn saw_segment_file(&mut self, segment: SegmentId) {
        self.next_segment = self.next_segment.max(segment.0);
    }

    /// The new run holds what the old one held. [S:catalogue-8]
    fn replace(&mut self, old: SegmentId, thread: ThreadNumber, new: SegmentId) -> bool {
        let run_of = |segment| self.segments.get(&segment)?.live.get(&thread).copied();
        let (Some(before), Some(after)) = (run_of(old), run_of(new)) else {
            return false;
        };
        let holds = old != new
            && after.first_ordinal <= before.first_ordinal
            && before.ordinal_end <= after.ordinal_end;
        if let Some(fact) = self.segments.get_mut(&old).filter(|_| holds) {
            fact.live.remove(&thread);
        }
        holds
    }

    fn create_thread(&mut self, thread: ThreadNumber, id: &ThreadId, at_ms: i64) -> bool {
        self.next_thread = self.next_thread.max(thread.0);
        let free = !self.threads.contains_key(&thread) && !self.numbers.contains_key(id);
        if free && thread != ThreadNumber::CATALOGUE {
            self.numbers.insert(id.clone(), thread);
            let id = id.clone();
            let fact = ThreadFact {
                id,
                created_ms: at_ms,
                archived: false,
                deleted: false,
                import: None,
            };
            self.threads.insert(thread, fact);
            return true;
        }
        false
    }

    fn with_thread(&mut self, thread: ThreadNumber, change: impl FnOnce(&mut ThreadFact)) -> bool {
        self.threads.get_mut(&thread).map(change).is_some()
    }
}
