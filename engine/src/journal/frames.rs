//! Owns what recovery keeps of a valid frame: what its entries add up to. It must not know where
//! the frame was found.

use turnleaf_format::frame::FrameHeader;
use turnleaf_format::record::{Entries, Entry, Flags};
use turnleaf_format::{DecodeError, Problem, ThreadChain, ThreadNumber};

use crate::lengths::{Length, Lengths, LengthsOf};

/// A frame whose checksums, place and chain are right.
#[derive(Debug, Clone)]
pub(crate) struct ScannedFrame {
    pub(crate) header: FrameHeader,
    /// Complete records in the frame.
    pub(crate) records: u64,
    /// The thread's chain after them.
    pub(crate) chain_after: ThreadChain,
    /// Whether the last entry leaves its record unfinished.
    pub(crate) unfinished: bool,
    /// Bytes of the first record that earlier frames must hold; 0 when it begins here.
    pub(crate) bytes_before: u64,
    /// Bytes of the last record up to the frame's end, while it is unfinished.
    pub(crate) bytes_after: u64,
    /// Length of each of them.
    pub(crate) lengths: Lengths,
    /// The body, kept for catalogue frames only.
    pub(crate) catalogue_body: Option<Vec<u8>>,
}

/// Adds up the entries of a frame.
pub(super) fn summarise(header: FrameHeader, body: &[u8]) -> Result<ScannedFrame, DecodeError> {
    let of_catalogue = header.thread == ThreadNumber::CATALOGUE && !header.is_marker();
    let mut frame = ScannedFrame {
        header,
        records: 0,
        chain_after: header.thread_chain,
        unfinished: false,
        bytes_before: 0,
        bytes_after: 0,
        lengths: Lengths::default(),
        catalogue_body: of_catalogue.then(|| body.to_vec()),
    };
    let mut open: Option<Entry<'_>> = None;
    let mut lengths = LengthsOf::default();
    for (index, entry) in Entries::new(body, header.entry_count).enumerate() {
        let entry = entry?;
        let offset = entry.chunk.map_or(0, |chunk| chunk.offset);
        if index == 0 {
            frame.bytes_before = offset;
        } else if offset > 0 && !open.is_some_and(|before| follows(&before, &entry, offset)) {
            // [S:record-5]
            return Err(refused(Problem::Place));
        }
        // Kinds from 128 are the catalogue's, and only its. [S:record-2]
        if (entry.kind.0 >= 128) != of_catalogue {
            return Err(refused(Problem::Reserved));
        }
        frame.unfinished = !entry.completes();
        frame.bytes_after = if frame.unfinished {
            offset + entry.bytes.len() as u64
        } else {
            0
        };
        if let Some((len, crc)) = entry.whole() {
            let ordinal = header.first_ordinal.plus(frame.records);
            let (kind, flags) = (entry.kind, entry.flags);
            frame.chain_after =
                frame
                    .chain_after
                    .after(header.thread, ordinal, kind, flags, len, crc);
            frame.records += 1;
            lengths.push(Length {
                payload_bytes: len,
                boundary: flags.has(Flags::BOUNDARY),
            });
        }
        open = frame.unfinished.then_some(entry);
    }
    frame.lengths = lengths.finish();
    Ok(frame)
}

/// Whether a chunk goes on where the one before it ended.
fn follows(before: &Entry<'_>, entry: &Entry<'_>, offset: u64) -> bool {
    let reached = before.chunk.map_or(0, |chunk| chunk.offset) + before.bytes.len() as u64;
    let boundary = |entry: &Entry<'_>| entry.flags.has(Flags::BOUNDARY);
    reached == offset && before.kind == entry.kind && boundary(before) == boundary(entry)
}

fn refused(problem: Problem) -> DecodeError {
    DecodeError {
        what: "entry",
        at: 0,
        problem,
    }
}
