//! Owns the names of the mistakes that can be planted, and which one is. Every crate that has a
//! mistake includes this file, under `cfg(turnleaf_bugs)` alone: no ordinary build knows it.

#![allow(
    dead_code,
    unused_imports,
    reason = "each crate has some of the mistakes"
)]

use std::sync::OnceLock;

pub(crate) use Bug::*;

macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $name:ident,)+) => {
        /// A plausible mistake. The environment variable `TURNLEAF_BUG` names the planted one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Bug {
            $($(#[doc = $what])+ $name,)+
        }

        impl Bug {
            const ALL: &[Bug] = &[$(Bug::$name,)+];
        }
    };
}

bugs! {
    // Bytes
    /// a header's checksum is not compared
    HeaderUnchecked,
    /// a frame's place is not compared with where it stands
    PlaceUnchecked,
    /// a frame body's checksum is not compared
    BodyUnchecked,
    /// a payload's checksum is not compared
    PayloadUnchecked,
    /// the inflated length of a block is believed without a bound
    LengthUnbounded,
    /// reserved bytes are not looked at
    ReservedIgnored,
    // The disk
    /// a short read counts as a whole one
    ShortReadTaken,
    /// an interrupted read is an error
    InterruptedGivenUp,
    /// the lock is not taken
    LockIgnored,
    // Appends
    /// no sync before the acknowledgement
    NoSync,
    /// the sync comes before the write
    SyncBeforeWrite,
    /// an error of a write is ignored
    WriteErrorIgnored,
    /// an error of a sync is ignored
    SyncErrorIgnored,
    /// a sync that failed is tried again
    SyncRetried,
    /// a journal file that failed is used again
    RetiredReused,
    /// after one failure nothing is taken until the store is opened again
    FailureSticks,
    /// nobody looks whether the store is still owned before an acknowledgement
    OwnershipUnchecked,
    /// frames of one group call each other durable
    DurableTooEarly,
    /// `expected_end` is not compared
    ConflictIgnored,
    // Journal files
    /// the name of a new journal file is not synced
    NoJournalNameSync,
    /// the header of a new journal file is not synced before its first frame
    NoJournalHeaderSync,
    /// a journal file is recycled although records in it are not sealed
    RecycledUnsealed,
    /// a journal file is recycled although the newest header asks for it
    RecycledTooEarly,
    /// a journal file is removed although the newest header asks for it
    RemovedTooEarly,
    /// a journal file is recycled although a reader holds it
    RecycledUnderReader,
    /// an open goes on behind the judged tail in the same file
    TailContinued,
    /// an open does not raise the epoch
    EpochKept,
    // Sealing
    /// the bytes of a segment are not synced before its name
    NoSegmentSync,
    /// the name of a segment is not synced before its publication
    NoSegmentNameSync,
    /// a segment is not read back before its publication
    NoReadBack,
    /// a pack is not read back before its publication
    PackNotReadBack,
    /// a seal lets go of the frame behind the last one that it holds
    SealReleasesTooMuch,
    /// a pack that is published while its stretch is closed counts as the segment of the stretch
    PackClosesStretch,
    /// a stretch that is closed within a batch is sealed without the rest of the batch
    FrameDivided,
    /// what is put into a pack absorbs nothing
    NothingAbsorbed,
    /// a replaced segment is removed before the replacement is durable
    ReplacedRemovedEarly,
    /// a replaced segment is removed although a reader holds it
    RemovedUnderReader,
    /// segments stay open without a bound
    DescriptorsUnbounded,
    /// an import takes a thread that is being sealed
    LeasedWhileSealed,
    /// a seal lets go of the first frames of a record that is not whole yet
    UnfinishedReleased,
    // Opening
    /// a tail is cut although a later frame proves that it was durable
    ProofIgnored,
    /// whole frames behind the cut count
    FramesBehindCutKept,
    /// a frame need not continue the chain of its file
    ChainUnchecked,
    /// a frame that a segment holds already counts again
    SealedCountedTwice,
    /// what the cache alone may hold is not written once more
    ConfirmSkipped,
    /// a torn tail is not copied before it is cut
    TornNotCopied,
    /// a thread without its creation is passed by silently
    OrphanFramesIgnored,
    /// a header copy that cannot be read counts as one with a wrong magic
    UnreadableTakenForBad,
    /// the digest of a checkpoint is not compared
    CheckpointUnchecked,
    /// nobody looks whether the catalogue's chain leads over its checkpoint
    CheckpointChainUnchecked,
    /// records before a checkpoint that stand a second time are not read
    CheckpointHidesSecondCopy,
    // Archive and deletion
    /// files of a thread are removed before its deletion is durable
    FilesGoBeforeDeletion,
    /// a batch that lands behind the deletion of its thread is kept
    LateBatchKept,
    /// runs of deleted threads are asked for
    DeletedRunsMissed,
    /// the id of a deleted thread is given again
    IdGivenAgain,
    /// rows of a deleted thread stay in the index
    DeletedRowsKept,
    // A full disk
    /// nothing is held back for a full disk
    ReserveNotHeld,
    /// batches take the room that is held back
    ReserveForBatches,
    /// a journal file that could not be filled keeps the room that it took
    HalfFileKept,
    /// appends wait for a seal that fails
    FailedSealAwaited,
    // Reading segments
    /// a block's checksum is not compared
    BlockUnchecked,
    /// a block that continues a record counts as its beginning
    SeekTooFar,
    /// a verification does not compare the digest
    DigestUnchecked,
    // The index
    /// the watermark of a batch is the end of the log, not that of its rows
    IndexAhead,
    /// an index of another history is gone on with
    StaleIndexTrusted,
    /// checksums of rows are not compared
    RowUnchecked,
    /// checksums of blocks of the index are not compared
    IndexBlockUnchecked,
    /// the digest of a thread's rows is not compared
    RowDigestIgnored,
    /// every batch begins with the state of an empty thread
    StateForgotten,
    /// a removed row stays in the digest
    DigestNotUpdated,
    /// notes are applied but for their last record
    NotesCutShort,
    /// the last record of a full batch is not applied
    BatchEndDropped,
    /// texts of records are kept whole
    TextUnbounded,
    /// a rollback hides one turn too few
    RollbackTooFew,
    /// a page token serves any thread
    TokenUnbound,
    // Store and command
    /// the clock tells whole seconds
    ClockInSeconds,
    /// threads of one time are left out behind a cursor
    EqualKeysDropped,
    /// a retry is not recognised by its bytes
    RetryNotRecognised,
    /// an import says what identifies its source before that was read to its end
    SourceCalledWhole,
    /// the modification time of a source is not compared
    SourceTimeIgnored,
    /// an import that goes on passes by one line too many
    ImportSkipsLine,
    /// an import forgets that the last line had no end
    ImportForgetsOpenLine,
    /// an export ends every line with a line feed
    LineFeedAdded,
    /// a batch is acknowledged before it is appended
    AckTooEarly,
}

impl Bug {
    /// Whether this is the mistake of this process.
    ///
    /// # Panics
    /// If the variable names no mistake: a run against a misspelt one would prove nothing.
    pub(crate) fn planted(self) -> bool {
        static PLANTED: OnceLock<Option<Bug>> = OnceLock::new();
        let planted = PLANTED.get_or_init(|| {
            let name = std::env::var("TURNLEAF_BUG").ok()?;
            let found = Bug::ALL.iter().find(|bug| format!("{bug:?}") == name);
            Some(*found.unwrap_or_else(|| panic!("TURNLEAF_BUG names no bug: {name}")))
        });
        *planted == Some(self)
    }

    /// What the mistake makes of a value.
    pub(crate) fn turns<T>(self, right: T, wrong: impl FnOnce(T) -> T) -> T {
        if self.planted() { wrong(right) } else { right }
    }

    /// Does the work, unless the mistake is to leave it out.
    pub(crate) fn skips<T: Default, E>(self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if self.planted() {
            Ok(T::default())
        } else {
            work()
        }
    }
}
