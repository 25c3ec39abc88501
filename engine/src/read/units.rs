//! Owns the walk over the stored units of a thread (blocks of segments, frames of the journal),
//! forwards, backwards or by list, with neighbouring units read together.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use turnleaf_format::frame::{self, FrameHeader, HEADER_BYTES, Position};
use turnleaf_format::record::{Entries, Entry};
use turnleaf_format::segment::{BLOCK_HEADER_BYTES, BlockRow, RunRow};
use turnleaf_format::{DecodeError, Ordinal, Problem, ThreadChain, ThreadNumber};

use super::Reader;
use super::repeated::repeated;
use crate::disk::read_exact_at;
use crate::error::{Cause, Damage, ReadError};
use crate::segment::{Block, OpenSegment};
use crate::view::{FrameRef, RunRef, ThreadView};

/// Bytes that one read may cover when neighbouring units are read together.
const SPAN_BYTES: u64 = 512 << 10;
/// The same for blocks that are read backward: who does that mostly wants the newest few.
const SPAN_BACK_BYTES: u64 = 128 << 10;
/// What blocks that are read together may inflate to: blocks that shrank far would else be many.
const SPAN_RAW_BYTES: u64 = 4 << 20;
/// Foreign bytes between two units that are read along rather than skipped.
const GAP_BYTES: u64 = 32 << 10;

/// One block or frame body, checked against its checksum.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) first: Ordinal,
    /// Records before this one are read from elsewhere.
    from: Ordinal,
    /// And so are those from this one on.
    until: Ordinal,
    /// One past the last record with an entry in the unit; for damage reports.
    end: Ordinal,
    pub(super) entry_count: u32,
    /// The thread chain before the first.
    pub(super) chain: ThreadChain,
    thread: ThreadNumber,
    bytes: UnitBytes,
    file: String,
    offset: u64,
    length: u64,
}

#[derive(Debug)]
enum UnitBytes {
    Block(Arc<Block>),
    Body(Arc<Vec<u8>>),
}

impl Unit {
    fn raw(&self) -> &[u8] {
        match &self.bytes {
            UnitBytes::Block(block) => &block.raw,
            UnitBytes::Body(body) => body,
        }
    }

    /// Only the records from the first to before the end.
    pub(super) fn between(self, from: Ordinal, until: Ordinal) -> Unit {
        Unit {
            from,
            until,
            ..self
        }
    }

    fn damage(&self, cause: Cause) -> Damage {
        Damage {
            file: self.file.clone(),
            offset: self.offset,
            length: self.length,
            thread: Some(self.thread),
            ordinals: Some((self.first, self.end)),
            cause,
        }
    }

    /// Whether the records up to `reached`, which end in this unit, lead to `next`: what tables
    /// state and no unit holds must not be passed by in silence, unless it was given up.
    /// [S:footer-5]
    pub(super) fn leads_to(
        &self,
        view: &ThreadView,
        reached: Ordinal,
        next: Ordinal,
    ) -> Result<(), ReadError> {
        if next <= reached || view.is_given_up(reached, next) {
            return Ok(());
        }
        Err(Damage {
            ordinals: Some((reached, next)),
            ..self.damage(Cause::Tables)
        }
        .into())
    }

    /// The unit's entries that are to be read from it, each with the ordinal of its record.
    pub(super) fn entries<'u>(
        &'u self,
        view: &'u ThreadView,
    ) -> impl Iterator<Item = Result<(Ordinal, Entry<'u>), ReadError>> {
        let wanted = |entry: &Result<(Ordinal, _), _>| match entry {
            Ok((at, _)) => {
                (self.from..self.until).contains(at) && view.next_given_up(*at) != Some(*at)
            }
            Err(_) => true,
        };
        self.all_entries().filter(wanted)
    }

    /// All entries, also those that are read from elsewhere or were given up.
    pub(super) fn all_entries(
        &self,
    ) -> impl Iterator<Item = Result<(Ordinal, Entry<'_>), ReadError>> {
        let mut ordinal = self.first;
        Entries::new(self.raw(), self.entry_count).map(move |entry| {
            let entry = entry.map_err(|error| self.damage(Cause::Decode(error)))?;
            let at = ordinal;
            ordinal = ordinal.plus(u64::from(entry.completes()));
            Ok((at, entry))
        })
    }
}

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
    reader: &'r Reader,
    direction: Direction,
    from: Ordinal,
    end: Ordinal,
    extents: VecDeque<Extent>,
    run: Option<(usize, Arc<OpenSegment>, Range<usize>)>,
    ready: VecDeque<Result<Unit, ReadError>>,
}

impl<'r> Units<'r> {
    pub(super) fn forward(reader: &'r Reader, from: Ordinal, end: Ordinal) -> Units<'r> {
        Self::new(reader, Direction::Forward, from, end)
    }

    pub(super) fn backward(reader: &'r Reader, end: Ordinal) -> Units<'r> {
        Self::new(reader, Direction::Backward, Ordinal(0), end)
    }

    fn new(reader: &'r Reader, direction: Direction, from: Ordinal, end: Ordinal) -> Units<'r> {
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

    /// The units that hold the listed ordinals (ascending, each once). An ordinal that nothing
    /// holds has no unit.
    pub(super) fn listed(reader: &Reader, ordinals: &[Ordinal]) -> Vec<Result<Unit, ReadError>> {
        let mut units = Vec::new();
        for (index, run) in reader.view.runs.iter().enumerate() {
            let start = ordinals.partition_point(|ordinal| *ordinal < run.from);
            let end = ordinals.partition_point(|ordinal| *ordinal < run.end);
            if start < end {
                units.extend(run_units_listed(reader, index, &ordinals[start..end]));
            }
        }
        let frames = &reader.view.frames;
        let Some(begin) = frames.first().map(|frame| frame.first) else {
            return units;
        };
        let mut wanted: Vec<usize> = Vec::new();
        for ordinal in &ordinals[ordinals.partition_point(|ordinal| *ordinal < begin)..] {
            let start = frame_start(frames, *ordinal);
            let reach = frames[start..]
                .iter()
                .take_while(|frame| frame.first <= *ordinal)
                .count();
            wanted.extend(start..start + reach);
        }
        wanted.dedup();
        for group in neighbours(&wanted) {
            units.extend(frame_units(reader, group));
        }
        units
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
fn extents(reader: &Reader, from: Ordinal, end: Ordinal) -> VecDeque<Extent> {
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
fn is_given_up(reader: &Reader, error: &ReadError) -> bool {
    let ReadError::Damaged(damage) = error else {
        return false;
    };
    let lost = |(first, end)| reader.view.is_given_up(first, end);
    damage.ordinals.is_some_and(lost)
}

/// Index of the first frame with an entry of the record `ordinal`.
fn frame_start(frames: &[FrameRef], ordinal: Ordinal) -> usize {
    let mut at = frames.partition_point(|frame| frame.end <= ordinal);
    while at > 0 && frames[at - 1].unfinished && frames[at - 1].end == ordinal {
        at -= 1;
    }
    at
}

/// Index of the block, among a run's, where the record `ordinal` begins.
fn seek(blocks: &[BlockRow], ordinal: Ordinal) -> usize {
    let begins_by = |block: &BlockRow| {
        let continues = block.continues;
        #[cfg(turnleaf_bugs)]
        let continues = continues && !crate::bugs::SeekTooFar.planted();
        block.first_ordinal < ordinal || (block.first_ordinal == ordinal && !continues)
    };
    blocks.partition_point(begins_by).saturating_sub(1)
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

/// Splits ascending indices into ranges without gaps.
fn neighbours(indices: &[usize]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for index in indices {
        match groups.last_mut() {
            Some(group) if group.end == *index => group.end += 1,
            _ => groups.push(*index..*index + 1),
        }
    }
    groups
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

fn open_run(reader: &Reader, run: &RunRef) -> Result<(Arc<OpenSegment>, RunRow), ReadError> {
    let claim = |damage: Damage| Damage {
        thread: Some(reader.view.thread),
        ordinals: Some((run.first, run.end)),
        ..damage
    };
    let opened = reader.segments.get(&run.file);
    let segment = opened.map_err(|error| match error {
        ReadError::Damaged(damage) => claim(*damage).into(),
        ReadError::Disk(failure) => ReadError::Disk(failure),
    })?;
    match segment.run(reader.view.thread) {
        Some(row) if row.first_ordinal == run.first && row.chain_after == run.chain_after => {
            let row = *row;
            Ok((segment, row))
        }
        _ => Err(claim(segment.tables_damage()).into()),
    }
}

fn block_units(
    reader: &Reader,
    run: usize,
    segment: &OpenSegment,
    group: Range<usize>,
    keep: bool,
) -> Vec<Result<Unit, ReadError>> {
    let (id, from) = (
        reader.view.runs[run].file.segment,
        reader.view.runs[run].from,
    );
    let read = segment.read_blocks(group.clone());
    let units = group.zip(read).map(|(index, block)| {
        let block = Arc::new(block?);
        if keep {
            reader.segments.keep_block(id, index, &block);
        }
        Ok(block_unit(segment, index, from, block))
    });
    units.collect()
}

fn block_unit(segment: &OpenSegment, index: usize, from: Ordinal, block: Arc<Block>) -> Unit {
    let place = segment.block_damage(index, Cause::Missing);
    Unit {
        first: block.header.first_ordinal,
        chain: block.header.chain,
        until: Ordinal(u64::MAX),
        from,
        end: place
            .ordinals
            .map_or(block.header.first_ordinal, |(_, end)| end),
        entry_count: block.header.entry_count,
        thread: block.header.thread,
        bytes: UnitBytes::Block(block),
        file: place.file,
        offset: place.offset,
        length: place.length,
    }
}

fn run_units_listed(
    reader: &Reader,
    index: usize,
    ordinals: &[Ordinal],
) -> Vec<Result<Unit, ReadError>> {
    let run = &reader.view.runs[index];
    let (segment, row) = match open_run(reader, run) {
        Ok(opened) => opened,
        Err(error) => return vec![Err(error)],
    };
    let blocks = OpenSegment::blocks_of(&row);
    let rows = &segment.blocks()[blocks.clone()];
    let mut wanted: Vec<usize> = Vec::new();
    for ordinal in ordinals {
        let start = seek(rows, *ordinal);
        wanted.push(start);
        // A large record goes on in the blocks that continue it.
        let goes_on = |row: &&BlockRow| row.continues && row.first_ordinal == *ordinal;
        let more = rows[start + 1..].iter().take_while(goes_on).count();
        wanted.extend(start + 1..start + 1 + more);
    }
    wanted.dedup();
    let mut units = Vec::new();
    let mut missing: Vec<usize> = Vec::new();
    for at in &wanted {
        let place = blocks.start + at;
        match reader.segments.cached_block(run.file.segment, place) {
            Some(block) => units.push((place, Ok(block_unit(&segment, place, run.from, block)))),
            None => missing.push(place),
        }
    }
    for group in neighbours(&missing) {
        let places = group.clone();
        units.extend(places.zip(block_units(reader, index, &segment, group, true)));
    }
    units.sort_by_key(|(place, _)| *place);
    units.into_iter().map(|(_, unit)| unit).collect()
}

/// The units of neighbouring frames: from memory where they are still there, else with one read.
fn frame_units(reader: &Reader, range: Range<usize>) -> Vec<Result<Unit, ReadError>> {
    let frames = &reader.view.frames[range];
    let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
        return Vec::new();
    };
    let same_file = frames
        .iter()
        .all(|frame| Arc::ptr_eq(&frame.file, &first.file));
    let end = last.offset + HEADER_BYTES as u64 + u64::from(last.body_len);
    let in_memory = frames.iter().all(|frame| frame.body.is_some());
    let span = if in_memory || !same_file || end - first.offset > 2 * SPAN_BYTES {
        None
    } else {
        let len = usize::try_from(end - first.offset).unwrap_or(usize::MAX);
        read_exact_at(&*first.file.file, first.offset, len).ok()
    };
    frames
        .iter()
        .map(|frame| frame_unit(reader, frame, first.offset, span.as_deref()))
        .collect()
}

pub(super) fn frame_unit(
    reader: &Reader,
    frame: &FrameRef,
    span_offset: u64,
    span: Option<&[u8]>,
) -> Result<Unit, ReadError> {
    let length = HEADER_BYTES as u64 + u64::from(frame.body_len);
    let unit = |body| Unit {
        first: frame.first,
        chain: frame.chain_before,
        from: frame.first,
        until: Ordinal(u64::MAX),
        end: frame.end.plus(u64::from(frame.unfinished)),
        entry_count: frame.entry_count,
        thread: reader.view.thread,
        bytes: UnitBytes::Body(body),
        file: frame.file.path.clone(),
        offset: frame.offset,
        length,
    };
    if let Some(body) = &frame.body {
        return Ok(unit(Arc::clone(body)));
    }
    let len = usize::try_from(length).unwrap_or(usize::MAX);
    // A span is read only over frames of one file, in order.
    let within = |span: &'_ [u8]| {
        let start = usize::try_from(frame.offset.checked_sub(span_offset)?).ok()?;
        span.get(start..start.checked_add(len)?).map(<[u8]>::to_vec)
    };
    let bytes = match span.and_then(within) {
        Some(bytes) => bytes,
        None => read_exact_at(&*frame.file.file, frame.offset, len)
            .map_err(|error| unit(Arc::default()).damage(Cause::Unreadable((&error).into())))?,
    };
    let place = Position {
        generation: frame.file.generation,
        offset: frame.offset,
    };
    let checked = FrameHeader::decode(&bytes, reader.store, place).map_err(Cause::Decode);
    let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
    let intact = match checked {
        Ok(_) if frame::body_crc(body) == frame.body_crc => Ok(()),
        Ok(_) => {
            let what = DecodeError {
                what: "frame",
                at: 0,
                problem: Problem::BodyChecksum,
            };
            Err(Cause::Decode(what))
        }
        Err(cause) => Err(cause),
    };
    match intact {
        Ok(()) => {
            let mut bytes = bytes;
            bytes.drain(..HEADER_BYTES);
            Ok(unit(Arc::new(bytes)))
        }
        Err(cause) => Err(unit(Arc::default()).damage(cause).into()),
    }
}

#[cfg(test)]
mod tests;
