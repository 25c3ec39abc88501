//! Owns the walk over the stored units of a thread (blocks of segments, frames of the journal),
//! forwards, backwards or by list, with neighbouring units read together.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use turnleaf_format::Ordinal;
use turnleaf_format::frame::HEADER_BYTES;
use turnleaf_format::segment::{BLOCK_HEADER_BYTES, BlockRow};

use super::RolloutReader;
use super::fetch::{SPAN_BYTES, block_units, frame_start, frame_units, open_run, seek};
use super::repeated::repeated;
use super::unit::Unit;
use crate::error::ReadError;
use crate::segment::OpenSegment;
use crate::view::FrameRef;

/// What [`SPAN_BYTES`] is for blocks that are read backward: who does that mostly wants the newest
/// few.
const SPAN_BACK_BYTES: u64 = 128 << 10;
/// What blocks that are read together may inflate to: blocks that shrank far would else be many.
const SPAN_RAW_BYTES: u64 = 4 << 20;
/// Foreign bytes between two units that are read along rather than skipped.
const GAP_BYTES: u64 = 32 << 10;

/// Part of a thread that is read as a whole.
#[derive(Debug)]
enum Extent {
    Run(usize),
    Frames(Range<usize>),
    Hole(Ordinal, Ordinal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// The units of a thread between two ordinals, in one direction.
pub(super) struct Units<'r> {
    reader: &'r RolloutReader,
    direction: Direction,
    from: Ordinal,
    end: Ordinal,
    extents: VecDeque<Extent>,
    run: Option<(usize, Arc<OpenSegment>, Range<usize>)>,
    ready: VecDeque<Result<Unit, ReadError>>,
}

impl<'r> Units<'r> {
    pub(super) fn forward(reader: &'r RolloutReader, from: Ordinal, end: Ordinal) -> Units<'r> {
        Self::new(reader, Direction::Forward, from, end)
    }

    pub(super) fn backward(reader: &'r RolloutReader, end: Ordinal) -> Units<'r> {
        Self::new(reader, Direction::Backward, Ordinal(0), end)
    }

    fn new(
        reader: &'r RolloutReader,
        direction: Direction,
        from: Ordinal,
        end: Ordinal,
    ) -> Units<'r> {
        let end = end.min(reader.view.end);
        let extents = extents(reader, from, end);
        Units {
            reader,
            direction,
            from,
            end,
            extents,
            run: None,
            ready: VecDeque::new(),
        }
    }

    fn load(&mut self) -> bool {
        if let Some((index, segment, blocks)) = self.run.take() {
            let group = take_group(segment.blocks(), &blocks, self.direction);
            let left = match self.direction {
                Direction::Forward => group.end..blocks.end,
                Direction::Backward => blocks.start..group.start,
            };
            // Whoever walks back reads the same suffix forwards next.
            let keep = self.direction == Direction::Backward;
            let units = block_units(self.reader, index, &segment, group, keep);
            self.fill(units);
            if !left.is_empty() {
                self.run = Some((index, segment, left));
            }
            return true;
        }
        let next = match self.direction {
            Direction::Forward => self.extents.pop_front(),
            Direction::Backward => self.extents.pop_back(),
        };
        match next {
            None => return false,
            Some(Extent::Hole(first, end)) => {
                self.ready
                    .push_back(Err(self.reader.hole(first, end).into()));
            }
            Some(Extent::Frames(frames)) => {
                let units = frame_units(self.reader, frames);
                self.fill(units);
            }
            Some(Extent::Run(index)) => {
                match open_run(self.reader, &self.reader.view.runs[index]) {
                    Ok((segment, row)) => {
                        let blocks = OpenSegment::blocks_of(&row);
                        let rows = &segment.blocks()[blocks.clone()];
                        let from = self.from.max(self.reader.view.runs[index].from);
                        let start = blocks.start + seek(rows, from);
                        let stop =
                            blocks.start + rows.partition_point(|b| b.first_ordinal < self.end);
                        if start < stop {
                            self.run = Some((index, segment, start..stop));
                        }
                    }
                    Err(error) => self.ready.push_back(Err(error)),
                }
            }
        }
        true
    }

    /// Hands out units, ascending, before what is ready.
    fn take_first(&mut self, mut units: Vec<Unit>) {
        if self.direction == Direction::Forward {
            units.reverse();
        }
        for unit in units {
            self.ready.push_front(Ok(unit));
        }
    }

    fn fill(&mut self, units: Vec<Result<Unit, ReadError>>) {
        match self.direction {
            Direction::Forward => self.ready.extend(units),
            Direction::Backward => self.ready.extend(units.into_iter().rev()),
        }
    }
}

impl Iterator for Units<'_> {
    type Item = Result<Unit, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.ready.pop_front() {
                Some(Err(error)) if is_given_up(self.reader, &error) => continue,
                Some(Err(error)) => {
                    let Some(units) = repeated(self.reader, &error) else {
                        return Some(Err(error));
                    };
                    self.take_first(units);
                    continue;
                }
                Some(unit) => return Some(unit),
                None => {}
            }
            if !self.load() {
                return None;
            }
        }
    }
}

/// Runs, groups of neighbouring frames, and the holes between them, over `from..end`.
fn extents(reader: &RolloutReader, from: Ordinal, end: Ordinal) -> VecDeque<Extent> {
    let view = &reader.view;
    let mut parts: Vec<(Ordinal, Ordinal, Extent)> = Vec::new();
    let runs = view
        .runs
        .iter()
        .enumerate()
        .filter(|(_, run)| run.from < end && run.end > from);
    parts.extend(runs.map(|(index, run)| (run.from, run.end, Extent::Run(index))));
    let stop = view.frames.partition_point(|frame| frame.first < end);
    let mut at = frame_start(&view.frames, from);
    while at < stop {
        let mut next = at + 1;
        while next < stop && adjoin(&view.frames[at], &view.frames[next - 1], &view.frames[next]) {
            next += 1;
        }
        let (first, last) = (view.frames[at].first, view.frames[next - 1].end);
        parts.push((first, last, Extent::Frames(at..next)));
        at = next;
    }
    // Frames come after the runs, unless they fill the place of one that is lost.
    parts.sort_by_key(|(first, last, _)| (*last, *first));
    let mut reached = from;
    let mut extents = VecDeque::with_capacity(parts.len());
    for (first, last, extent) in parts {
        if first > reached {
            extents.push_back(Extent::Hole(reached, first));
        }
        reached = reached.max(last);
        extents.push_back(extent);
    }
    if reached < end {
        extents.push_back(Extent::Hole(reached, end));
    }
    extents
}

/// Whether it costs only ordinals that were given up. [S:catalogue-11]
fn is_given_up(reader: &RolloutReader, error: &ReadError) -> bool {
    let ReadError::Damaged(damage) = error else {
        return false;
    };
    let lost = |(first, end)| reader.view.is_given_up(first, end);
    damage.ordinals.is_some_and(lost)
}

/// Whether `next` is read along with the frames from `first` to `last`.
fn adjoin(first: &FrameRef, last: &FrameRef, next: &FrameRef) -> bool {
    let frame_end =
        |frame: &FrameRef| frame.offset + HEADER_BYTES as u64 + u64::from(frame.body_len);
    Arc::ptr_eq(&first.file, &next.file)
        && next.first == last.end
        && next.offset.saturating_sub(frame_end(last)) <= GAP_BYTES
        && frame_end(next) - first.offset <= SPAN_BYTES
}

/// The next blocks of `range` in reading direction that one read covers.
fn take_group(blocks: &[BlockRow], range: &Range<usize>, direction: Direction) -> Range<usize> {
    let bytes = |index: usize| BLOCK_HEADER_BYTES as u64 + u64::from(blocks[index].stored_len);
    let (mut group, span) = match direction {
        Direction::Forward => (range.start..range.start, SPAN_BYTES),
        Direction::Backward => (range.end..range.end, SPAN_BACK_BYTES),
    };
    let (mut total, mut raw) = (0, 0);
    while group.len() < range.len() {
        let next = match direction {
            Direction::Forward => group.end,
            Direction::Backward => group.start - 1,
        };
        total += bytes(next);
        raw += u64::from(blocks[next].raw_len);
        if (total > span || raw > SPAN_RAW_BYTES) && !group.is_empty() {
            break;
        }
        group = group.start.min(next)..group.end.max(next + 1);
    }
    group
}

#[cfg(test)]
mod tests;
