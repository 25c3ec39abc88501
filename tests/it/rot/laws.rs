//! Owns the laws of rot: what may be lost, and what must be said, when some bytes of one file of the
//! log are not what they were.

#[cfg(test)]
mod tests;

use std::ops::Range;

use turnleaf_format::{ThreadNumber, frame, journal};

use super::look::{Place, Seen};
use super::pieces::Piece;

/// How a journal file is called of which only links are left.
const NAMELESS: &str = "journal (generation ";

/// What becomes of a file.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// A byte, and the bit of it that is another.
    Bit(u64, u8),
    /// The length that is left.
    Cut(u64),
    Zeroed(Range<u64>),
}

impl Change {
    /// The bytes that are not what they were.
    fn bytes(&self) -> Range<u64> {
        match self {
            Change::Bit(at, _) => *at..*at + 1,
            Change::Cut(len) => *len..u64::MAX,
            Change::Zeroed(bytes) => bytes.clone(),
        }
    }
}

/// A file, and how it was before it was spoilt.
#[derive(Debug)]
pub(super) struct Whole<'w> {
    pub(super) path: &'w str,
    pub(super) pieces: &'w [Piece],
    /// The frames of all journal files.
    pub(super) frames: &'w [(String, Piece)],
    /// Whether it is the newest journal file.
    pub(super) is_newest: bool,
}

/// What the laws make of one look.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) is_detected: bool,
    pub(super) is_located: bool,
    /// Records that were not read.
    pub(super) lost: usize,
    /// The first law that is broken.
    pub(super) broken: Option<&'static str>,
}

impl Whole<'_> {
    pub(super) fn judge(&self, change: &Change, seen: &Seen) -> Verdict {
        let hit = Hit::of(self, change);
        let is_detected = !seen.places.is_empty();
        let is_located = seen.places.iter().any(|place| hit.is_there(place));
        let laws = [
            (seen.panicked, "something panicked"),
            (seen.wrong > 0, "wrong records were read"),
            (seen.refused, "not all was read"),
            (!hit.explains_lost(seen), "a neighbour was not read"),
            (
                !is_detected && !self.may_be_unseen(change, &hit, seen),
                "nothing was said",
            ),
            (
                is_detected && !is_located,
                "another place was called spoilt",
            ),
            (
                !seen.places.iter().all(|place| hit.explains(place)),
                "more than one place was called spoilt",
            ),
        ];
        let mut broken = laws.iter().filter(|(is_broken, _)| *is_broken);
        Verdict {
            is_detected,
            is_located,
            lost: seen.lost.len(),
            broken: broken.next().map(|(_, law)| *law),
        }
    }

    /// Whether nothing can show the change.
    fn may_be_unseen(&self, change: &Change, hit: &Hit<'_>, seen: &Seen) -> bool {
        let header = frame::HEADER_BYTES as u64;
        let last = self.pieces.last().map_or(0, |piece| piece.bytes.end);
        match change {
            Change::Bit(..) if hit.pieces.is_empty() => seen.lost.is_empty(),
            // Without magic or place the last frame is not known to be one. It is a marker.
            Change::Bit(at, _) => self.is_newest && *at + header >= last && seen.lost.is_empty(),
            // A file without a frame is one that was being created.
            Change::Cut(len) => self.is_newest && *len < journal::FRAMES_OFFSET + header,
            // A file without its last group ended before it.
            Change::Zeroed(bytes) => self.is_newest && bytes.end >= last,
        }
    }
}

/// What a change hit.
struct Hit<'w> {
    whole: &'w Whole<'w>,
    pieces: Vec<&'w Piece>,
    bytes: Range<u64>,
    /// What may be called spoilt: from the first piece that was hit to the last.
    reach: Range<u64>,
    is_cut: bool,
    is_journal: bool,
}

impl<'w> Hit<'w> {
    fn of(whole: &'w Whole<'w>, change: &Change) -> Hit<'w> {
        let bytes = change.bytes();
        let hit = whole.pieces.iter().filter(|piece| piece.meets(&bytes));
        let pieces: Vec<&Piece> = hit.collect();
        let is_journal = whole.path.starts_with("journal/");
        // A frame is said to reach to where the next one begins.
        let align = if is_journal { frame::ALIGN } else { 1 };
        let start = pieces
            .first()
            .map_or(bytes.start, |piece| piece.bytes.start);
        let last = pieces.last();
        let end = last.map_or(bytes.end, |piece| piece.bytes.end.next_multiple_of(align));
        Hit {
            whole,
            pieces,
            bytes,
            reach: start..end,
            is_cut: matches!(change, Change::Cut(_)),
            is_journal,
        }
    }

    /// Whether the place is where the change is, and no more than what was hit. A file that was cut
    /// is told by its length, or by what stands where its end should; and what is left of a journal
    /// file without a header does not say which one it was.
    fn is_there(&self, place: &Place) -> bool {
        let reach = &self.reach;
        let nameless = self.is_cut && self.is_journal && place.file.starts_with(NAMELESS);
        nameless
            || place.file == self.whole.path
                && (self.is_cut
                    || reach.start <= place.bytes.start
                        && place.bytes.end <= reach.end
                        && place.bytes.start < self.bytes.end
                        && self.bytes.start < place.bytes.end)
    }

    /// Whether the change makes this place look spoilt.
    fn explains(&self, place: &Place) -> bool {
        self.is_there(place) || self.shows_hole(place)
    }

    /// A frame without a header does not say whose records it had: that they are missing shows
    /// where the thread goes on. [R:frame-7]
    fn shows_hole(&self, place: &Place) -> bool {
        let mut frames = self.whole.frames.iter();
        let there = frames
            .find(|(path, frame)| *path == place.file && frame.bytes.start == place.bytes.start);
        let Some((thread, ordinals)) = there.and_then(|(_, frame)| frame.holds.as_ref()) else {
            return false;
        };
        let mut hit = self.pieces.iter().filter_map(|piece| piece.holds.as_ref());
        hit.any(|(of, before)| of == thread && before.end == ordinals.start)
    }

    fn explains_lost(&self, seen: &Seen) -> bool {
        let held = |(thread, ordinal): &(ThreadNumber, u64)| {
            let mut holds = self.pieces.iter().filter_map(|piece| piece.holds.as_ref());
            holds.any(|(of, ordinals)| of == thread && ordinals.contains(ordinal))
        };
        seen.lost.iter().all(held)
    }
}
