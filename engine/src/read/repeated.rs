//! Owns reading from the journal what a segment should hold and does not: live frames repeat what
//! was sealed until their file is recycled. [R:seg-5]

use turnleaf_format::{Ordinal, ThreadChain};

use super::RolloutReader;
use super::unit::{Unit, frame_unit};
use crate::error::ReadError;
use crate::view::FrameRef;

/// The units of live frames that hold all ordinals which an error costs, and nothing else of them;
/// `None` where there are none. Records of chunks are left alone: the units on either side may hold
/// other chunks of them.
pub(super) fn repeated(reader: &RolloutReader, error: &ReadError) -> Option<Vec<Unit>> {
    let ReadError::Damaged(damage) = error else {
        return None;
    };
    let (first, end) = damage.ordinals.filter(|(first, end)| first < end)?;
    let mut units = Vec::new();
    let mut chain = None;
    for frame in frames(reader, first, end)? {
        let unit = frame_unit(reader, frame, 0, None).ok()?.between(first, end);
        chain = Some(chain_at(reader, &unit, end)?);
        units.push(unit);
    }
    // What follows states the chain there, unless it is damaged, too.
    let agrees = match reader.chain_before(end) {
        Ok(stated) => chain == Some(stated),
        Err(_) => true,
    };
    agrees.then_some(units)
}

/// Frames that follow each other from the first ordinal to the end.
fn frames(reader: &RolloutReader, first: Ordinal, end: Ordinal) -> Option<Vec<&FrameRef>> {
    let mut found: Vec<&FrameRef> = Vec::new();
    let mut reached = first;
    for frame in &reader.view.repeated {
        if frame.end <= reached {
            continue;
        }
        let follows = match found.last() {
            Some(last) => (last.end, last.chain_after) == (frame.first, frame.chain_before),
            None => frame.first <= first,
        };
        if !follows || frame.unfinished {
            return None;
        }
        found.push(frame);
        reached = frame.end;
        if reached >= end {
            return Some(found);
        }
    }
    None
}

/// The chain before an ordinal of the unit, or at its end; `None` where a record has chunks.
fn chain_at(reader: &RolloutReader, unit: &Unit, end: Ordinal) -> Option<ThreadChain> {
    let mut chain = unit.chain;
    for entry in unit.all_entries() {
        let (at, entry) = entry.ok()?;
        if entry.chunk.is_some() {
            return None;
        }
        if at < end {
            let (len, crc) = entry.whole()?;
            chain = chain.after(reader.view.thread, at, entry.kind, entry.flags, len, crc);
        }
    }
    Some(chain)
}
