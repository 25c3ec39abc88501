//! Owns what a reader holds of one thread: where each of its records lives, in log order. It must
//! not know how records got there.

use std::sync::Arc;

use turnleaf_format::catalogue::Run;
use turnleaf_format::segment::Class;
use turnleaf_format::{Generation, Ordinal, SegmentId, ThreadChain, ThreadNumber};

use crate::disk::DiskFile;

/// A journal file that readers may hold; it is recycled only when nobody does.
#[derive(Debug)]
pub(crate) struct JournalFile {
    pub(crate) path: String,
    pub(crate) slot: u32,
    pub(crate) generation: Generation,
    pub(crate) capacity: u64,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// A segment file that readers may hold; it is removed only when nobody does.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) segment: SegmentId,
    pub(crate) class: Class,
    /// What its publication says; a segment of the catalogue has none.
    pub(crate) published: Option<Published>,
}

/// What a publication says about a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) file_bytes: u64,
    /// Its runs that are in use.
    pub(crate) runs: Vec<Run>,
}

/// One batch in the journal.
#[derive(Debug, Clone)]
pub(crate) struct FrameRef {
    pub(crate) file: Arc<JournalFile>,
    /// Where the frame begins.
    pub(crate) offset: u64,
    pub(crate) body_len: u32,
    pub(crate) body_crc: u32,
    pub(crate) entry_count: u32,
    pub(crate) first: Ordinal,
    /// One past the last record that is complete within the frame.
    pub(crate) end: Ordinal,
    pub(crate) chain_before: ThreadChain,
    pub(crate) chain_after: ThreadChain,
    /// Whether the last entry leaves its record unfinished.
    pub(crate) unfinished: bool,
    /// Whether a record of the frame is a boundary.
    pub(crate) boundary: bool,
    /// The body, while it is among the newest bytes of the journal.
    pub(crate) body: Option<Arc<Vec<u8>>>,
}

/// One run in a segment.
#[derive(Debug, Clone)]
pub(crate) struct RunRef {
    pub(crate) file: Arc<SegmentFile>,
    pub(crate) first: Ordinal,
    /// The first ordinal that is read from it; an earlier run holds those before.
    pub(crate) from: Ordinal,
    pub(crate) end: Ordinal,
    pub(crate) chain_before: ThreadChain,
    pub(crate) chain_after: ThreadChain,
    pub(crate) payload_bytes: u64,
}

impl RunRef {
    /// A run of a published segment.
    pub(crate) fn of(file: &Arc<SegmentFile>, run: &Run) -> RunRef {
        RunRef {
            file: Arc::clone(file),
            first: run.first_ordinal,
            from: run.first_ordinal,
            end: run.ordinal_end,
            chain_before: run.chain_before,
            chain_after: run.chain_after,
            payload_bytes: run.payload_bytes,
        }
    }
}

/// Ordinals that no readable file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) first: Ordinal,
    pub(crate) end: Ordinal,
    pub(crate) damage: crate::error::Damage,
}

/// Where the records of one thread live: segment runs, then journal frames, ascending and without
/// overlap. What is missing between them is a hole.
#[derive(Debug, Clone)]
pub(crate) struct ThreadView {
    pub(crate) thread: ThreadNumber,
    pub(crate) runs: Vec<RunRef>,
    pub(crate) frames: Vec<FrameRef>,
    pub(crate) holes: Vec<Hole>,
    /// One past the newest complete record.
    pub(crate) end: Ordinal,
    /// The chain there.
    pub(crate) chain: ThreadChain,
}

impl ThreadView {
    pub(crate) fn new(thread: ThreadNumber) -> ThreadView {
        ThreadView {
            thread,
            runs: Vec::new(),
            frames: Vec::new(),
            holes: Vec::new(),
            end: Ordinal(0),
            chain: ThreadChain::START,
        }
    }

    /// One past the newest record that a segment holds, and the chain there.
    pub(crate) fn sealed(&self) -> (Ordinal, ThreadChain) {
        self.runs
            .last()
            .map_or((Ordinal(0), ThreadChain::START), |run| {
                (run.end, run.chain_after)
            })
    }

    /// Bytes of frame bodies that no segment holds yet.
    pub(crate) fn journal_bytes(&self) -> u64 {
        self.frames
            .iter()
            .map(|frame| u64::from(frame.body_len))
            .sum()
    }

    /// Payload bytes of the runs at the end that stand in packs.
    pub(crate) fn pack_bytes(&self) -> u64 {
        self.trailing_packs().map(|run| run.payload_bytes).sum()
    }

    /// The runs at the end that stand in packs; the next seal absorbs them.
    pub(crate) fn trailing_packs(&self) -> impl Iterator<Item = &RunRef> {
        self.runs
            .iter()
            .rev()
            .take_while(|run| run.file.class == Class::Pack)
    }

    /// Adds the next frame.
    pub(crate) fn push_frame(&mut self, frame: FrameRef) {
        self.end = frame.end;
        self.chain = frame.chain_after;
        self.frames.push(frame);
    }

    /// Adds the next run of the cover.
    pub(crate) fn add_run(&mut self, run: RunRef) {
        (self.end, self.chain) = (run.end, run.chain_after);
        self.runs.push(run);
    }

    /// Lets a run take over the ordinals it covers, from frames and from older runs. Returns the
    /// frames that are no longer needed.
    pub(crate) fn take_over(&mut self, run: RunRef) -> Vec<FrameRef> {
        self.runs
            .retain(|old| old.end <= run.first || old.first >= run.end);
        let covered = self.frames.partition_point(|frame| frame.end <= run.end);
        let released: Vec<FrameRef> = self.frames.drain(..covered).collect();
        if run.end > self.end {
            self.end = run.end;
            self.chain = run.chain_after;
        }
        let place = self.runs.partition_point(|old| old.first < run.first);
        self.runs.insert(place, run);
        released
    }
}
