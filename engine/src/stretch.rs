//! Owns where a thread is cut into stretches, and so into segments: a pure function of its records.
//! It must not know where the records are kept, nor which way they came.
//!
//! A stretch begins where the one before it ends. A record with `BOUNDARY` begins a new one when
//! the stretch holds enough, any record when it is full. A closed stretch becomes one segment; what
//! is sealed of an open one before it is closed is provisional.

use std::collections::VecDeque;

use turnleaf_format::Ordinal;
use turnleaf_format::record::INLINE_HEADER_BYTES;

use crate::lengths::Length;
use crate::options::Options;
use crate::view::{RunRef, ThreadView};

/// The sizes that decide.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    boundary_bytes: u64,
    bytes_max: u64,
}

impl Sizes {
    pub(crate) fn of(options: &Options) -> Sizes {
        Sizes {
            boundary_bytes: options.segment_boundary_bytes,
            bytes_max: options.segment_bytes_max,
        }
    }
}

/// More than all stretches of a store weigh together.
const WEIGHT_MAX: u64 = 1 << 40;

/// What records weigh: their payload, and for each the header of an inline entry, so that a stretch
/// of empty records ends, too. It does not depend on how records are stored. What no run weighs is
/// bounded by [`WEIGHT_MAX`], so that sums of what a damaged catalogue states do not overflow.
pub(crate) fn weight(payload_bytes: u64, records: u64) -> u64 {
    let headers = records.saturating_mul(INLINE_HEADER_BYTES as u64);
    payload_bytes.saturating_add(headers).min(WEIGHT_MAX)
}

/// What a run of a segment weighs.
pub(crate) fn weight_of(run: &RunRef) -> u64 {
    weight(run.payload_bytes, run.end.0 - run.first.0)
}

/// Records that follow each other, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) first: Ordinal,
    /// One past the last.
    pub(crate) end: Ordinal,
    /// What they weigh, see [`weight`].
    pub(crate) bytes: u64,
}

impl Stretch {
    /// Nothing yet.
    pub(crate) fn at(first: Ordinal) -> Stretch {
        Stretch {
            first,
            end: first,
            bytes: 0,
        }
    }

    /// Whether it is closed whatever follows.
    pub(crate) fn is_full(&self, sizes: Sizes) -> bool {
        self.first < self.end && self.bytes >= sizes.bytes_max
    }

    /// Whether the next record begins a new one. This is the one rule of rotation.
    pub(crate) fn ends_before(&self, boundary: bool, sizes: Sizes) -> bool {
        let enough = boundary && self.first < self.end && self.bytes >= sizes.boundary_bytes;
        enough || self.is_full(sizes)
    }

    /// Takes the next record.
    pub(crate) fn push(&mut self, payload_bytes: u64) {
        self.end = self.end.plus(1);
        self.bytes += weight(payload_bytes, 1);
    }
}

/// What no segment of its own holds of a thread: closed stretches, then the open one.
#[derive(Debug, Clone)]
pub(crate) struct Stretches {
    /// Ascending.
    pub(crate) closed: VecDeque<Stretch>,
    pub(crate) open: Stretch,
}

impl Stretches {
    /// As a view shows them, without reading a record: runs in packs at the end are provisional,
    /// every other run is closed, and a pack never spans a cut.
    pub(crate) fn of(view: &ThreadView, sizes: Sizes) -> Stretches {
        let packs = view.provisional();
        let sealed = view.sealed().0;
        let mut stretches = Stretches {
            closed: VecDeque::new(),
            open: Stretch::at(packs.first().map_or(sealed, |run| run.first)),
        };
        for run in packs {
            stretches.open.end = run.end;
            stretches.open.bytes += weight_of(run);
        }
        stretches.close_if_full(sizes);
        if stretches.open.end < sealed {
            stretches.close(sealed);
        }
        for frame in &view.frames {
            let mut at = frame.first;
            for record in frame.lengths.iter() {
                stretches.push(view, at, record, sizes);
                at = at.plus(1);
            }
        }
        if stretches.open.end < view.end {
            // What was given up ends every stretch.
            stretches.close(view.end);
        }
        stretches
    }

    /// Takes a record that a frame of the journal completes.
    pub(crate) fn push(&mut self, view: &ThreadView, at: Ordinal, record: Length, sizes: Sizes) {
        if at < self.open.end || view.is_given_up(at, at.plus(1)) {
            return;
        }
        let interrupted = at > self.open.end || view.chain_given_up(at).is_some();
        if interrupted || self.open.ends_before(record.boundary, sizes) {
            self.close(at);
        }
        self.open.push(record.payload_bytes);
        self.close_if_full(sizes);
    }

    /// What was sealed up to here is a segment's business.
    pub(crate) fn sealed(&mut self, end: Ordinal) {
        while self.closed.front().is_some_and(|closed| closed.end <= end) {
            self.closed.pop_front();
        }
    }

    fn close_if_full(&mut self, sizes: Sizes) {
        if self.open.is_full(sizes) {
            self.close(self.open.end);
        }
    }

    fn close(&mut self, next: Ordinal) {
        let open = std::mem::replace(&mut self.open, Stretch::at(next));
        if open.first < open.end {
            self.closed.push_back(open);
        }
    }
}

#[cfg(test)]
mod tests;
