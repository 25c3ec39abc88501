//! Owns a store for writing: stages batches, commits groups of them, seals, publishes. One process
//! has it at a time; within the process its caller serialises the calls.
//!
//! A commit is three calls, so that the write and the sync run without the log:
//! [`Log::begin_commit`]
//! takes the staged group, [`Commit::run`] makes it durable, [`Log::finish_commit`] moves the end.
//! A second group may be staged meanwhile, but is not written before the first returned.
//! [S:frame-7]

mod ahead;
mod checkpoint;
mod commit;
mod footprint;
mod lifecycle;
mod open;
mod prepare;
mod sealing;
mod stage;
mod staged;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use turnleaf_format::frame::Position;
use turnleaf_format::record::{Flags, Kind};
use turnleaf_format::{Generation, SegmentId, ThreadId, ThreadNumber};

pub use ahead::{FileMade, FilePlan};
pub use checkpoint::CheckpointPlan;
use checkpoint::Checkpointed;
pub use commit::{Begin, Commit, Outcome};
pub use footprint::Footprint;
pub use open::{OpenError, OpenReport, Snapshot};
pub(crate) use sealing::Part;
use sealing::SealState;
pub use sealing::{Notes, RunWriter, SealError, SealGoal, SealPlan, SealedSegments, Unsealable};
pub use stage::{AppendError, BATCH_BYTES_MAX, Staged};
pub use staged::Ticket;
use staged::{Queue, StagedThread};

use crate::disk::Disk;
use crate::error::{Damage, DiskFailure};
use crate::journal::Journal;
use crate::lock::Ownership;
use crate::options::Options;
use crate::state::State;
use crate::stretch::Stretches;
use crate::view::SegmentFile;

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

/// A frame whose body is in memory.
#[derive(Debug)]
struct TailEntry {
    thread: ThreadNumber,
    place: (Generation, u64),
    /// What it takes up.
    bytes: usize,
}

/// A store that is open for writing.
#[derive(Debug)]
pub struct Log {
    disk: Arc<dyn Disk>,
    options: Options,
    state: State,
    journal: Journal,
    now_ms: i64,
    /// Staged catalogue facts; they go before batches, so that publishing a segment never waits for
    /// the room that it makes.
    facts: Queue,
    /// Staged batches.
    batches: Queue,
    /// Whether a group is being written.
    in_flight: bool,
    /// Threads of which something is staged.
    staged: HashMap<ThreadNumber, StagedThread>,
    /// Threads whose creation is staged.
    staged_ids: HashMap<ThreadId, (ThreadNumber, Ticket)>,
    /// Threads that an import holds.
    leases: HashSet<ThreadNumber>,
    /// Threads with damage; they take no appends.
    quarantined: HashSet<ThreadNumber>,
    /// Journal files that damaged frames keep, and the threads of those.
    pinned: Vec<(ThreadNumber, Generation)>,
    /// Frames of all threads that no segment holds yet; each takes up memory.
    frames: usize,
    /// What is to be sealed of threads of which the journal holds anything.
    stretches: HashMap<ThreadNumber, Stretches>,
    /// Frames whose bodies are in memory, oldest first, and their bytes.
    tail: VecDeque<TailEntry>,
    tail_bytes: usize,
    /// Every segment in use, shared with the views; a count of one means that no view needs it.
    segment_files: HashMap<SegmentId, Arc<SegmentFile>>,
    /// Replaced segments whose files are to be removed.
    doomed: Vec<Arc<SegmentFile>>,
    /// Segments whose publication is staged, with its place in the queue of facts.
    unpublished: Vec<(u64, SegmentId)>,
    /// Whether something is staged that a full disk must not keep from becoming durable.
    vital: bool,
    sealing: SealState,
    checkpointed: Checkpointed,
    /// Whether a caller panicked in the middle of a commit: nothing is written any more.
    stopped: bool,
    damage: Vec<Damage>,
    owned: Arc<Ownership>,
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
        &self.damage
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
