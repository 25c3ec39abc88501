//! Owns the reading of a journal file from its first frame to its end, as evidence; judges nothing.

use turnleaf_format::frame::{self, ALIGN, FrameHeader, HEADER_BYTES, MAGIC, Position};
use turnleaf_format::journal::FRAMES_OFFSET;
use turnleaf_format::record::{Entries, Flags};
use turnleaf_format::{DecodeError, Generation, JournalChain, Problem, StoreId, ThreadChain};

use crate::disk::{DiskFile, read_exact_at};
use crate::error::{DiskFailure, failed};

/// A frame whose checksums, place and chain are right.
#[derive(Debug, Clone)]
pub(crate) struct ScannedFrame {
    pub(crate) header: FrameHeader,
    /// Complete records in the frame.
    pub(crate) records: u64,
    /// The thread's chain after them.
    pub(crate) chain_after: ThreadChain,
    pub(crate) unfinished: bool,
    /// Whether the first entry begins its record.
    pub(crate) begins: bool,
    pub(crate) boundary: bool,
    /// The body, kept for catalogue frames only.
    pub(crate) catalogue_body: Option<Vec<u8>>,
    /// Whether it was found beyond a place that does not decode.
    pub(crate) beyond_damage: bool,
}

/// How the frames of a file end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Zeros, bytes of an older generation, or the end of the file.
    Clean,
    /// Bytes that are not a valid frame of this generation.
    Invalid(DecodeError),
}

/// What a scan found.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Valid frames in order; those beyond damage are marked.
    pub(crate) frames: Vec<ScannedFrame>,
    /// Where the contiguous valid frames end.
    pub(crate) end: u64,
    /// The journal chain there.
    pub(crate) chain: JournalChain,
    /// What stands at `end`.
    pub(crate) ending: Ending,
    /// Bytes of the file.
    pub(crate) file_len: u64,
    /// The farthest offset of this file that a frame header beyond the end says was durable.
    pub(crate) proven_durable: u64,
}

/// Scans the frames of `generation` in a file, up to `limit` (the next file says where this one
/// ends) or to what ends them.
pub(crate) fn scan_file(
    file: &dyn DiskFile,
    path: &str,
    store: StoreId,
    generation: Generation,
    limit: Option<u64>,
) -> Result<Scan, DiskFailure> {
    let file_len = file.len().map_err(failed("measure", path))?;
    let reach = limit.unwrap_or(file_len).min(file_len);
    let len = usize::try_from(reach.saturating_sub(FRAMES_OFFSET)).unwrap_or(usize::MAX);
    // One journal file is at most some 32 MiB; it is read in one piece.
    let bytes = read_exact_at(file, FRAMES_OFFSET, len).map_err(failed("read", path))?;
    let mut scan = Scan {
        frames: Vec::new(),
        end: FRAMES_OFFSET,
        chain: JournalChain::start(store, generation),
        ending: Ending::Clean,
        file_len,
        proven_durable: 0,
    };
    let window = Window {
        bytes: &bytes,
        store,
        generation,
    };
    loop {
        match window.frame_at(scan.end, Some(scan.chain)) {
            Found::Frame(frame, check) => {
                scan.chain = scan.chain.after(check, frame.header.body_crc);
                scan.end += frame.header.stride();
                scan.frames.push(*frame);
            }
            Found::Nothing => break,
            Found::Invalid(error) => {
                scan.ending = Ending::Invalid(error);
                break;
            }
        }
    }
    // What follows the first invalid place may still hold whole frames: evidence for the verdict
    // between a torn tail and damage, and readable records in the second case.
    let mut at = scan.end + ALIGN;
    while let Some(next) = window.next_magic(at) {
        // A right header is proof enough, whatever became of its body.
        scan.proven_durable = scan.proven_durable.max(window.durable_at(next));
        match window.frame_at(next, None) {
            Found::Frame(mut frame, _) => {
                at = next + frame.header.stride();
                frame.beyond_damage = true;
                scan.frames.push(*frame);
            }
            Found::Nothing | Found::Invalid(_) => at = next + ALIGN,
        }
    }
    if scan.ending == Ending::Clean && scan.frames.iter().any(|frame| frame.beyond_damage) {
        let error = DecodeError {
            what: "frame",
            at: 0,
            problem: Problem::Magic,
        };
        scan.ending = Ending::Invalid(error);
    }
    Ok(scan)
}

/// The highest generation of which a frame header of the store stands, at its own place, in a file.
pub(crate) fn highest_frame(
    file: &dyn DiskFile,
    path: &str,
    store: StoreId,
) -> Result<Option<Generation>, DiskFailure> {
    let len = file.len().map_err(failed("measure", path))?;
    let len = usize::try_from(len.saturating_sub(FRAMES_OFFSET)).unwrap_or(usize::MAX);
    let bytes = read_exact_at(file, FRAMES_OFFSET, len).map_err(failed("read", path))?;
    let window = Window {
        bytes: &bytes,
        store,
        generation: Generation(u64::MAX),
    };
    let mut highest = None;
    let mut at = FRAMES_OFFSET;
    while let Some(next) = window.next_magic(at) {
        highest = highest.max(window.stated_generation(window.from(next)));
        at = next + ALIGN;
    }
    Ok(highest)
}

enum Found {
    Frame(Box<ScannedFrame>, u32),
    Nothing,
    Invalid(DecodeError),
}

struct Window<'a> {
    bytes: &'a [u8],
    store: StoreId,
    generation: Generation,
}

impl Window<'_> {
    fn from(&self, offset: u64) -> &[u8] {
        let start = usize::try_from(offset - FRAMES_OFFSET).unwrap_or(usize::MAX);
        self.bytes.get(start..).unwrap_or_default()
    }

    /// What stands at `offset`. `chain` is the chain that a frame there must continue.
    fn frame_at(&self, offset: u64, chain: Option<JournalChain>) -> Found {
        let bytes = self.from(offset);
        let place = Position {
            generation: self.generation,
            offset,
        };
        let (header, check) = match FrameHeader::decode(bytes, self.store, place) {
            Ok(decoded) => decoded,
            Err(error) => return self.not_a_frame(bytes, error),
        };
        let invalid = |problem| {
            Found::Invalid(DecodeError {
                what: "frame",
                at: 0,
                problem,
            })
        };
        if chain.is_some_and(|chain| chain != header.journal_chain) {
            return invalid(Problem::Place);
        }
        let end = HEADER_BYTES + header.body_len as usize;
        let Some(body) = bytes.get(HEADER_BYTES..end) else {
            return invalid(Problem::Short);
        };
        if frame::body_crc(body) != header.body_crc {
            return invalid(Problem::BodyChecksum);
        }
        match self.summarise(header, body) {
            Ok(frame) => Found::Frame(Box::new(frame), check),
            Err(error) => Found::Invalid(error),
        }
    }

    /// Zeros and whole frames of an older generation are what recycling leaves behind; anything
    /// else is not.
    fn not_a_frame(&self, bytes: &[u8], error: DecodeError) -> Found {
        let head = bytes
            .get(..HEADER_BYTES.min(bytes.len()))
            .unwrap_or_default();
        if head.iter().all(|byte| *byte == 0) || self.is_older_frame(head) {
            return Found::Nothing;
        }
        // In the middle of an old frame's body there is no magic of ours, only old bytes.
        if head.get(..4) != Some(&MAGIC[..]) && error.problem == Problem::Magic {
            return Found::Nothing;
        }
        Found::Invalid(error)
    }

    fn is_older_frame(&self, head: &[u8]) -> bool {
        self.stated_generation(head)
            .is_some_and(|stated| stated < self.generation)
    }

    /// The generation of a frame header of the store that stands at its own place.
    fn stated_generation(&self, head: &[u8]) -> Option<Generation> {
        let stated = |at: usize| -> Option<u64> {
            Some(u64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?))
        };
        let place = Position {
            generation: Generation(stated(8)?),
            offset: stated(16)?,
        };
        FrameHeader::decode(head, self.store, place)
            .is_ok()
            .then_some(place.generation)
    }

    /// The offset of this generation that a frame header at `offset` says was durable; 0 when there
    /// is none.
    fn durable_at(&self, offset: u64) -> u64 {
        let place = Position {
            generation: self.generation,
            offset,
        };
        match FrameHeader::decode(self.from(offset), self.store, place) {
            Ok((header, _)) if header.durable_upto.generation == self.generation => {
                header.durable_upto.offset
            }
            _ => 0,
        }
    }

    /// Where the next aligned magic number stands.
    fn next_magic(&self, offset: u64) -> Option<u64> {
        let mut from = offset.next_multiple_of(ALIGN);
        loop {
            let found = memchr::memmem::find(self.from(from), &MAGIC)?;
            let place = from + found as u64;
            if place.is_multiple_of(ALIGN) {
                return Some(place);
            }
            from = place.next_multiple_of(ALIGN);
        }
    }

    fn summarise(&self, header: FrameHeader, body: &[u8]) -> Result<ScannedFrame, DecodeError> {
        let mut frame = ScannedFrame {
            header,
            records: 0,
            chain_after: header.thread_chain,
            unfinished: false,
            begins: true,
            boundary: false,
            catalogue_body: None,
            beyond_damage: false,
        };
        for (index, entry) in Entries::new(body, header.entry_count).enumerate() {
            let entry = entry?;
            frame.begins &= index > 0 || entry.begins();
            frame.boundary |= entry.flags.has(Flags::BOUNDARY);
            frame.unfinished = !entry.completes();
            if let Some((len, crc)) = entry.whole() {
                let ordinal = header.first_ordinal.plus(frame.records);
                let (kind, flags) = (entry.kind, entry.flags);
                frame.chain_after =
                    frame
                        .chain_after
                        .after(header.thread, ordinal, kind, flags, len, crc);
                frame.records += 1;
            }
        }
        if header.thread == turnleaf_format::ThreadNumber::CATALOGUE && !header.is_marker() {
            frame.catalogue_body = Some(body.to_vec());
        }
        Ok(frame)
    }
}
