//! Owns what a reader holds of one thread: where each of its records lives, in log order. It must
//! not know how records got there.

use std::sync::Arc;

use turnleaf_format::catalogue::{Lost, Run};
use turnleaf_format::frame::Position;
use turnleaf_format::frame::{ALIGN, HEADER_BYTES};
use turnleaf_format::segment::Class;
use turnleaf_format::{Format, Generation, Ordinal, SegmentId, ThreadChain, ThreadNumber};

use crate::disk::DiskFile;
use crate::lengths::Lengths;

/// A journal file that readers may hold; it is recycled only when nobody does.
#[derive(Debug)]
pub(crate) struct JournalFile {
    /// The oldest format whose readers understand all of it. [S:version-4]
    pub(crate) readable_by: Format,
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
    /// The records that the frame completes.
    pub(crate) lengths: Lengths,
    /// The body, while it is among the newest bytes of the journal.
    pub(crate) body: Option<Arc<Vec<u8>>>,
}

impl FrameRef {
    /// Where it begins.
    pub(crate) fn place(&self) -> Position {
        Position {
            generation: self.file.generation,
            offset: self.offset,
        }
    }

    /// Bytes from its beginning to that of the next frame.
    pub(crate) fn stride(&self) -> u64 {
        (HEADER_BYTES as u64 + u64::from(self.body_len)).next_multiple_of(ALIGN)
    }
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
    /// The thread chain at the end, as what follows states it.
    pub(crate) chain_after: ThreadChain,
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
    /// Frames that repeat what the runs hold, ascending. They pin their files, so an owner has none
    /// unless it repairs.
    pub(crate) repeated: Vec<FrameRef>,
    /// Ordinals that a repair gave up, ascending: nothing is read in their place.
    pub(crate) given_up: Vec<Lost>,
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
            repeated: Vec::new(),
            given_up: Vec::new(),
            end: Ordinal(0),
            chain: ThreadChain::START,
        }
    }

    /// One past the newest record that a segment holds, and the chain there; behind what was given
    /// up at that place.
    pub(crate) fn sealed(&self) -> (Ordinal, ThreadChain) {
        let last = self.runs.last();
        let sealed = last.map_or((Ordinal(0), ThreadChain::START), |run| {
            (run.end, run.chain_after)
        });
        self.behind_given_up(sealed)
    }

    /// Where the thread goes on when it stands at a place, and the chain there.
    pub(crate) fn behind_given_up(&self, mut at: (Ordinal, ThreadChain)) -> (Ordinal, ThreadChain) {
        for lost in &self.given_up {
            if lost.first_ordinal <= at.0 && at.0 <= lost.ordinal_end {
                at = (lost.ordinal_end, lost.chain_after);
            }
        }
        at
    }

    /// Whether all ordinals from the first to before the end were given up.
    pub(crate) fn is_given_up(&self, first: Ordinal, end: Ordinal) -> bool {
        is_covered(ranges_of(&self.given_up), first, end)
    }

    /// Where the next ordinals begin that were given up, at or after a place.
    pub(crate) fn next_given_up(&self, from: Ordinal) -> Option<Ordinal> {
        let holds = |lost: &&Lost| lost.first_ordinal < lost.ordinal_end && from < lost.ordinal_end;
        let next = self.given_up.iter().find(holds);
        next.map(|lost| lost.first_ordinal.max(from))
    }

    /// Whether something of a run was given up.
    pub(crate) fn has_gap(&self, run: &RunRef) -> bool {
        self.next_given_up(run.first).is_some_and(|at| at < run.end)
    }

    /// The chain that was stated behind what was given up before `end`.
    pub(crate) fn chain_given_up(&self, end: Ordinal) -> Option<ThreadChain> {
        let mut stated = self.given_up.iter().rev();
        let stated = stated.find(|lost| lost.ordinal_end == end);
        stated.map(|lost| lost.chain_after)
    }

    /// Whether an ordinal stands within a frame, behind its first record.
    pub(crate) fn divides_a_frame(&self, at: Ordinal) -> bool {
        let frame = self.frames.partition_point(|frame| frame.end <= at);
        self.frames.get(frame).is_some_and(|frame| frame.first < at)
    }

    /// Bytes of frame bodies that no segment holds yet.
    pub(crate) fn journal_bytes(&self) -> u64 {
        self.frames
            .iter()
            .map(|frame| u64::from(frame.body_len))
            .sum()
    }

    /// The runs at the end that stand in packs and follow each other, ascending: later seals absorb
    /// them. What was given up ends them, because a run has no hole.
    pub(crate) fn provisional(&self) -> &[RunRef] {
        let mut first = self.runs.len();
        let mut reached = self.sealed().0;
        while let Some(run) = first.checked_sub(1).map(|at| &self.runs[at]) {
            let joins = run.end == reached && run.from == run.first;
            let broken = self.has_gap(run) || self.chain_given_up(run.end).is_some();
            if run.file.class != Class::Pack || !joins || broken {
                break;
            }
            (first, reached) = (first - 1, run.first);
        }
        &self.runs[first..]
    }

    /// Adds the next frame.
    pub(crate) fn push_frame(&mut self, frame: FrameRef) {
        self.end = frame.end;
        self.chain = frame.chain_after;
        self.frames.push(frame);
    }

    /// Lets go of the frames at the end that hold only chunks of a record that was never completed:
    /// it was never acknowledged, and its ordinal is given again. [S:record-7] [R:frame-14]
    pub(crate) fn drop_unfinished(&mut self) -> Vec<FrameRef> {
        let only_chunks = |frame: &FrameRef| frame.unfinished && frame.end == frame.first;
        let whole = self
            .frames
            .iter()
            .rposition(|frame| !only_chunks(frame))
            .map_or(0, |last| last + 1);
        self.frames.split_off(whole)
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
        let place = self.runs.partition_point(|old| old.first < run.first);
        // Frames before it stay, unless other runs hold what this one does not: behind what was
        // given up a run may begin anywhere.
        let mut covered_from = run.first;
        for old in self.runs[..place].iter().rev() {
            if old.end == covered_from {
                covered_from = old.first;
            }
        }
        let before = self
            .frames
            .partition_point(|frame| frame.first < covered_from);
        // The first frames of a record end where it begins: they are covered when the record is.
        let covered = |frame: &FrameRef| frame.end <= run.end && frame.first < run.end;
        let covered = self.frames.partition_point(covered);
        let released = self.frames.drain(before..covered.max(before)).collect();
        if run.end > self.end {
            self.end = run.end;
            self.chain = run.chain_after;
        }
        self.runs.insert(place, run);
        released
    }
}

/// The ordinals that were given up.
pub(crate) fn ranges_of(lost: &[Lost]) -> impl Iterator<Item = (Ordinal, Ordinal)> {
    lost.iter()
        .map(|lost| (lost.first_ordinal, lost.ordinal_end))
}

/// Whether ranges that ascend cover all ordinals from the first to before the end.
pub(crate) fn is_covered(
    ranges: impl IntoIterator<Item = (Ordinal, Ordinal)>,
    first: Ordinal,
    end: Ordinal,
) -> bool {
    let mut reached = first;
    for (from, until) in ranges {
        if from <= reached {
            reached = reached.max(until);
        }
    }
    first < end && reached >= end
}

#[cfg(test)]
mod tests;
