//! Owns a store for writing: stages batches, commits groups of them, seals, publishes. One process
//! has it at a time; within the process its caller serialises the calls.
//!
//! # The commit of a group
//!
//! A commit is three calls, so that the write and the sync run without the log, while the next
//! group is staged:
//!
//! 1. [`Log::begin_commit`] takes the staged group: catalogue records before batches, as far as one
//!    journal file has room. It begins a journal file where not even one frame fits. At the budget
//!    of the journal it takes batches no further, because a segment must be written first;
//!    catalogue records are never refused, because publishing that segment is what makes room.
//! 2. [`Commit::run`] writes the group at its place, syncs the file, and makes sure that the store
//!    is still owned. It needs nothing of the log.
//! 3. [`Log::finish_commit`] moves the end past the group and lets its catalogue records take
//!    effect. Only then may a caller be told that its batch is durable.
//!
//! INVARIANT: a second group is not written before the first one was finished: its frames state up
//! to where the ones before are durable. [S:frame-7]
//!
//! Where the write or the sync fails, the file is retired for ever, and the same frames are written
//! to a fresh file whose header says where the retired one ends. Where that fails, too, the group
//! and everything staged behind it has failed: their ordinals are free again, and of a record that
//! only some frames of became durable those frames are void. Nothing is retried behind that; the
//! next commit begins with what is staged later.
//!
//! Where a caller panics between the calls, [`Log::stop`] fails what is staged and in flight. The
//! state is then [`CommitState::Stopped`] for ever, and what the commit in flight comes to is not
//! looked at any more.

mod ahead;
mod backlog;
mod changed;
mod checkpoint;
mod closed;
mod commit;
mod footprint;
mod lifecycle;
mod lineage;
mod open;
mod prepare;
mod sealing;
mod segment_files;
mod stage;
mod staged;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use turnleaf_format::ThreadNumber;
use turnleaf_format::frame::Position;
use turnleaf_format::record::{Flags, Kind};

pub use ahead::{FileMade, FilePlan};
use backlog::Backlog;
use changed::Changed;
pub use checkpoint::CheckpointPlan;
use checkpoint::{CheckpointState, Checkpointed};
use closed::Closed;
use commit::CommitState;
pub use commit::{Begin, Commit};
pub use footprint::Footprint;
pub use open::{OpenError, OpenReport, Snapshot};
pub(crate) use sealing::Part;
use sealing::SealState;
pub use sealing::{Notes, RunWriter, SealError, SealGoal, SealPlan, SealedSegments, Unsealable};
use segment_files::SegmentFiles;
pub use stage::{AppendError, BATCH_BYTES_MAX, Staged};
pub use staged::{Outcome, Ticket};
use staged::{StagedThread, Staging};
use tail::TailCache;

use crate::disk::Disk;
use crate::error::{Damage, DiskFailure};
use crate::journal::Journal;
use crate::lock::Ownership;
use crate::options::Options;
use crate::state::State;

/// A damaged frame keeps its file as if it held so much that no segment has.
const PINNED_BYTES: u64 = 1;

/// A record to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its properties.
    pub flags: Flags,
    /// When it was received, Unix milliseconds.
    pub timestamp_ms: i64,
    /// Its exact bytes.
    pub bytes: &'a [u8],
}

/// A store that is open for writing.
#[derive(Debug)]
pub struct Log {
    disk: Arc<dyn Disk>,
    options: Options,
    owned: Arc<Ownership>,
    now_ms: i64,
    /// What is known of the store; nothing in it is only staged.
    state: State,
    journal: Journal,
    /// What waits for a commit.
    staging: Staging,
    commit: CommitState,
    /// What the journal holds that no segment does.
    backlog: Backlog,
    sealing: SealState,
    segment_files: SegmentFiles,
    /// Bodies in memory.
    tail: TailCache,
    /// Threads that an import holds.
    leases: HashSet<ThreadNumber>,
    /// Damage, and what it closes.
    closed: Closed,
    /// What lists of threads look at again.
    changed: Changed,
    checkpointed: Checkpointed,
}

impl Log {
    /// What is known of the store now; staged batches are not part of it.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The disk that it stands on.
    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Whether the directory is still the one whose lock is held. [R:owner-2]
    ///
    /// # Errors
    /// When it is not, or when nobody can tell.
    pub fn check_owned(&self) -> Result<(), DiskFailure> {
        self.owned.check()
    }

    /// Tells the log the time, Unix milliseconds; it stamps catalogue records and file headers.
    pub fn set_now(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.journal.set_now(now_ms);
    }

    /// Damage that was found when the store was opened, or by a seal.
    #[must_use]
    pub fn damage(&self) -> &[Damage] {
        self.closed.damage()
    }

    /// Whether the journal takes more room than a closed store should: more than twice what only it
    /// holds, and something to spare. Sealing everything and [`Log::shrink_journal`] end that.
    #[must_use]
    pub fn journal_is_oversized(&self) -> bool {
        let needed = 2 * self.journal.unpublished();
        self.journal.bytes() > needed + self.options.journal_spare_bytes
    }

    /// Where the journal ends: everything before is durable.
    #[must_use]
    pub fn journal_end(&self) -> Position {
        self.journal.end()
    }

    /// Whether as many journal files are in use as may be.
    #[must_use]
    pub fn journal_is_at_budget(&self) -> bool {
        self.journal.oldest_over_budget().is_some()
    }

    /// Whether what only the journal holds is less than a segment is worth.
    #[must_use]
    pub fn journal_holds_little(&self) -> bool {
        self.journal.unpublished() <= self.options.seal_bytes_min
    }

    /// Bytes of all journal files, recycled ones included, and the number of files in use.
    #[must_use]
    pub fn journal_size(&self) -> (u64, usize) {
        (self.journal.bytes(), self.journal.files())
    }
}
