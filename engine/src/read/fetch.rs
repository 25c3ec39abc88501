//! Owns fetching units by place: the blocks of a run, the frames of the journal, the units that
//! hold listed ordinals; neighbours with one read.

use std::ops::Range;
use std::sync::Arc;

use turnleaf_format::Ordinal;
use turnleaf_format::frame::HEADER_BYTES;
use turnleaf_format::segment::{BlockRow, RunRow};

use super::RolloutReader;
use super::unit::{Unit, block_unit, frame_unit};
use crate::disk::read_exact_at;
use crate::error::{Damage, ReadError};
use crate::segment::OpenSegment;
use crate::view::{FrameRef, RunRef};

/// Bytes that one read may cover when neighbouring units are read together.
pub(super) const SPAN_BYTES: u64 = 512 << 10;

/// The units that hold the listed ordinals (ascending, each once). An ordinal that nothing
/// holds has no unit.
pub(super) fn listed(reader: &RolloutReader, ordinals: &[Ordinal]) -> Vec<Result<Unit, ReadError>> {
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

/// Index of the first frame with an entry of the record `ordinal`.
pub(super) fn frame_start(frames: &[FrameRef], ordinal: Ordinal) -> usize {
    let mut at = frames.partition_point(|frame| frame.end <= ordinal);
    while at > 0 && frames[at - 1].unfinished && frames[at - 1].end == ordinal {
        at -= 1;
    }
    at
}

/// Index of the block, among a run's, where the record `ordinal` begins.
pub(super) fn seek(blocks: &[BlockRow], ordinal: Ordinal) -> usize {
    let begins_by = |block: &BlockRow| {
        let continues = block.continues;
        block.first_ordinal < ordinal || (block.first_ordinal == ordinal && !continues)
    };
    blocks.partition_point(begins_by).saturating_sub(1)
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

pub(super) fn open_run(
    reader: &RolloutReader,
    run: &RunRef,
) -> Result<(Arc<OpenSegment>, RunRow), ReadError> {
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

pub(super) fn block_units(
    reader: &RolloutReader,
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

fn run_units_listed(
    reader: &RolloutReader,
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
pub(super) fn frame_units(
    reader: &RolloutReader,
    range: Range<usize>,
) -> Vec<Result<Unit, ReadError>> {
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
