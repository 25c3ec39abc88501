//! Owns what catalogue records say, the records of thread 0. Their bytes: `encode` and `decode`.

use crate::chain::ThreadChain;
use crate::ids::{Generation, Ordinal, SegmentId, StoreId, ThreadId, ThreadNumber};
use crate::record::Kind;
use crate::segment::{Class, RunRow};

/// One run that a published segment takes over. [S:catalogue-4]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The thread.
    pub thread: ThreadNumber,
    /// First ordinal.
    pub first_ordinal: Ordinal,
    /// One past the last.
    pub ordinal_end: Ordinal,
    /// The thread's chain before the first.
    pub chain_before: ThreadChain,
    /// The thread's chain after the last.
    pub chain_after: ThreadChain,
    /// Sum of the payload lengths in bytes.
    pub payload_bytes: u64,
}

/// A footer says what the publication says. [S:catalogue-7]
impl From<&RunRow> for Run {
    fn from(row: &RunRow) -> Run {
        Run {
            thread: row.thread,
            first_ordinal: row.first_ordinal,
            ordinal_end: row.ordinal_end,
            chain_before: row.chain_before,
            chain_after: row.chain_after,
            payload_bytes: row.payload_bytes,
        }
    }
}

/// Ordinals of a thread that somebody gave up. [S:catalogue-11]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The thread; may be the catalogue itself.
    pub thread: ThreadNumber,
    /// First ordinal.
    pub first_ordinal: Ordinal,
    /// One past the last; equal to the first where no record is lost, but the chain is broken.
    pub ordinal_end: Ordinal,
    /// The thread's chain at the end, as what follows states it.
    pub chain_after: ThreadChain,
    /// Unix milliseconds.
    pub at_ms: i64,
}

/// A part of a journal file that somebody gave up. [S:catalogue-12]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalLost {
    /// The generation of the file.
    pub generation: Generation,
    /// First byte.
    pub offset: u64,
    /// One past the last byte; equal to the first where what is stated there is passed over.
    pub end: u64,
    /// Unix milliseconds.
    pub at_ms: i64,
}

/// The prefix of another rollout that a rollout goes on from. [S:lineage-3]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The other rollout.
    pub rollout: ThreadNumber,
    /// One past its last record that is inherited.
    pub end: Ordinal,
    /// Its chain there.
    pub chain: ThreadChain,
}

/// What a source says of the base of its rollout, as long as that is not found. [S:lineage-4]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The id of the rollout that is its base.
    pub id: ThreadId,
    /// One past the last inherited record, as the source counts them.
    pub stated_end: u64,
    /// Bytes of the base's source up to there; 0 where the source does not say.
    pub stated_bytes: u64,
}

/// A fact about the store as a whole. [S:catalogue-2]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueRecord {
    /// First record of every catalogue.
    StoreCreated {
        /// The store.
        store: StoreId,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// The thread exists from here on.
    ThreadCreated {
        /// Its number.
        thread: ThreadNumber,
        /// Its name outside.
        id: ThreadId,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// The segment is complete and holds these runs.
    SegmentPublished {
        /// The segment.
        segment: SegmentId,
        /// What it is for.
        class: Class,
        /// Length of the file in bytes.
        file_bytes: u64,
        /// BLAKE3 of every byte before the trailer.
        digest: [u8; 32],
        /// What it holds.
        runs: Vec<Run>,
    },
    /// The run of `thread` in `old` counts no longer.
    Replaced {
        /// Segment that held the run.
        old: SegmentId,
        /// Whose run.
        thread: ThreadNumber,
        /// Segment that holds it now; [`SegmentId::NONE`] when all of it is lost.
        new: SegmentId,
    },
    /// The thread was archived, or came back.
    Archived {
        /// The thread.
        thread: ThreadNumber,
        /// `false`: it came back.
        archived: bool,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// The thread was deleted.
    Deleted {
        /// The thread.
        thread: ThreadNumber,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// Nothing of the thread is left on disk.
    Purged {
        /// The thread.
        thread: ThreadNumber,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// How far a source has been imported.
    Import {
        /// Into which thread.
        thread: ThreadNumber,
        /// Bytes of the plain source that are records now.
        source_bytes: u64,
        /// Ordinal after the last of them.
        ordinal_end: Ordinal,
        /// Length of the source file when it was read, bytes as stored there.
        file_bytes: u64,
        /// Its modification time then, Unix nanoseconds.
        modified_ns: i64,
        /// Its path then; informative.
        path: String,
    },
    /// A process became the owner.
    Epoch {
        /// Greater than every epoch before.
        epoch: u64,
        /// Unix milliseconds.
        at_ms: i64,
        /// Process id; informative.
        pid: u32,
        /// Host name; informative.
        host: String,
    },
    /// The records with these ordinals are gone for ever. [S:catalogue-11]
    Lost(Lost),
    /// A part of a journal file is gone for ever. [S:catalogue-12]
    JournalLost(JournalLost),
    /// The thread has this rollout, too. [S:lineage-2]
    RolloutCreated {
        /// The number of the rollout, from the numbers of threads.
        rollout: ThreadNumber,
        /// The thread.
        thread: ThreadNumber,
        /// The name of the rollout outside.
        id: ThreadId,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// The records of the rollout come behind a prefix of another. [S:lineage-3]
    Based {
        /// The rollout.
        rollout: ThreadNumber,
        /// What it goes on from.
        base: Base,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// The base of the rollout is not here, or not whole. [S:lineage-4]
    Awaits {
        /// The rollout.
        rollout: ThreadNumber,
        /// What its source says of the base.
        awaited: Awaited,
    },
    /// The thread shows this rollout. [S:lineage-5]
    Current {
        /// The thread.
        thread: ThreadNumber,
        /// One of its rollouts.
        rollout: ThreadNumber,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// The thread exists from here on; one of its id that was before is deleted. [S:catalogue-16]
    ThreadCreatedAgain {
        /// Its number.
        thread: ThreadNumber,
        /// Its name outside.
        id: ThreadId,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// A kind that this build does not know; kept.
    Unknown {
        /// Its kind.
        kind: Kind,
    },
}

impl CatalogueRecord {
    /// Kind under which the payload is stored.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            CatalogueRecord::StoreCreated { .. } => Kind::STORE_CREATED,
            CatalogueRecord::ThreadCreated { .. } => Kind::THREAD_CREATED,
            CatalogueRecord::SegmentPublished { .. } => Kind::SEGMENT_PUBLISHED,
            CatalogueRecord::Replaced { .. } => Kind::REPLACED,
            CatalogueRecord::Archived { archived: true, .. } => Kind::ARCHIVED,
            CatalogueRecord::Archived {
                archived: false, ..
            } => Kind::UNARCHIVED,
            CatalogueRecord::Deleted { .. } => Kind::DELETED,
            CatalogueRecord::Purged { .. } => Kind::PURGED,
            CatalogueRecord::Import { .. } => Kind::IMPORT,
            CatalogueRecord::Epoch { .. } => Kind::EPOCH,
            CatalogueRecord::Lost(_) => Kind::LOST,
            CatalogueRecord::JournalLost(_) => Kind::JOURNAL_LOST,
            CatalogueRecord::RolloutCreated { .. } => Kind::ROLLOUT_CREATED,
            CatalogueRecord::Based { .. } => Kind::BASED,
            CatalogueRecord::Awaits { .. } => Kind::AWAITS,
            CatalogueRecord::Current { .. } => Kind::CURRENT,
            CatalogueRecord::ThreadCreatedAgain { .. } => Kind::THREAD_CREATED_AGAIN,
            CatalogueRecord::Unknown { kind } => *kind,
        }
    }
}

mod decode;
mod encode;

#[cfg(test)]
mod tests;
