//! Owns the map of a file of the log: where each of its pieces stands, and whose records it holds.

use std::ops::Range;

use turnleaf_format::frame::{self, FrameHeader, Position};
use turnleaf_format::journal::{self, JournalHeader};
use turnleaf_format::segment::{self, Footer, Trailer};
use turnleaf_format::{Ordinal, ThreadNumber};

/// A frame, a block, or what a file has besides.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) what: &'static str,
    pub(super) bytes: Range<u64>,
    /// Its records, in a frame or block with records.
    pub(super) holds: Option<(ThreadNumber, Range<u64>)>,
}

impl Piece {
    fn new(what: &'static str, start: u64, length: u64) -> Piece {
        Piece {
            what,
            bytes: start..start + length,
            holds: None,
        }
    }

    pub(super) fn meets(&self, bytes: &Range<u64>) -> bool {
        self.bytes.start < bytes.end && bytes.start < self.bytes.end
    }
}

/// All of a file that means something, in order.
pub(super) fn pieces(path: &str, bytes: &[u8]) -> Vec<Piece> {
    if path.starts_with("journal/") {
        of_journal(bytes)
    } else {
        of_segment(bytes)
    }
}

fn of_segment(bytes: &[u8]) -> Vec<Piece> {
    let len = bytes.len() as u64;
    let trailer_at = len - segment::TRAILER_BYTES as u64;
    let trailer = Trailer::decode(tail(bytes, trailer_at), len).expect("a whole segment");
    let footer_at = trailer.footer_offset;
    let footer = &tail(bytes, footer_at)[..small(trailer.footer_len)];
    let footer = Footer::decode(footer).expect("a whole segment");
    let mut all = vec![Piece::new("header", 0, segment::HEADER_BYTES as u64)];
    for run in &footer.runs {
        let (first, count) = (run.first_block as usize, run.block_count as usize);
        let rows = &footer.blocks[first..first + count];
        for (number, row) in rows.iter().enumerate() {
            let length = segment::BLOCK_HEADER_BYTES as u64 + u64::from(row.stored_len);
            let next = rows.get(number + 1).map(|next| next.first_ordinal);
            let end = next.unwrap_or(run.ordinal_end);
            all.push(Piece {
                holds: Some((run.thread, range(row.first_ordinal, end))),
                ..Piece::new("block", row.offset, length)
            });
        }
        if run.notes_len > 0 {
            let length = u64::from(run.notes_len);
            all.push(Piece::new("notes", run.notes_offset, length));
        }
    }
    all.push(Piece::new("footer", footer_at, trailer.footer_len));
    all.push(Piece::new("trailer", trailer_at, len - trailer_at));
    all
}

fn of_journal(bytes: &[u8]) -> Vec<Piece> {
    let header = JournalHeader::decode(&bytes[..journal::HEADER_BYTES]).expect("a header");
    let copies = journal::HEADER_OFFSETS.iter();
    let copy = |at: &u64| Piece::new("header copy", *at, journal::HEADER_BYTES as u64);
    let mut all: Vec<Piece> = copies.map(copy).collect();
    let mut at = journal::FRAMES_OFFSET;
    while at < bytes.len() as u64 {
        let place = Position {
            generation: header.generation,
            offset: at,
        };
        let Ok((found, _)) = FrameHeader::decode(tail(bytes, at), header.store, place) else {
            break;
        };
        let length = frame::HEADER_BYTES as u64 + u64::from(found.body_len);
        let what = if found.is_marker() { "marker" } else { "frame" };
        let end = found.first_ordinal.plus(u64::from(found.entry_count));
        all.push(Piece {
            holds: (!found.is_marker()).then(|| (found.thread, range(found.first_ordinal, end))),
            ..Piece::new(what, at, length)
        });
        if found.stride() > length {
            all.push(Piece::new("gap", at + length, found.stride() - length));
        }
        at += found.stride();
    }
    all
}

fn range(first: Ordinal, end: Ordinal) -> Range<u64> {
    first.0..end.0
}

fn tail(bytes: &[u8], from: u64) -> &[u8] {
    &bytes[small(from)..]
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("a small file")
}
