//! Owns the reading of a journal file from its first frame to its end, as evidence; judges nothing.

use std::io;
use std::ops::Range;

use turnleaf_format::frame::{
    self, ALIGN, BODY_BYTES_MAX, FrameHeader, HEADER_BYTES, HeaderAt, MAGIC, Position,
};
use turnleaf_format::journal::FRAMES_OFFSET;
use turnleaf_format::{DecodeError, Generation, JournalChain, Problem, StoreId};

use super::frames::{ScannedFrame, summarise};
use super::pieces::{Pieces, read_pieces};
use crate::disk::{DiskFile, REREADS_MAX, data_end};
use crate::error::{DiskFailure, SystemError, failed};
use crate::options::JOURNAL_FILE_BYTES_MAX;

/// Larger files are asked where their data end before they are read.
const LARGE_BYTES: u64 = 64 << 20;
/// What is searched at once for frame headers.
const SEARCHED_BYTES: u64 = 4 << 20;

/// Why no valid frame stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoFrame {
    /// Zeros.
    Zeros,
    /// Bytes of something else, for example of an older generation. [R:frame-1]
    Other(DecodeError),
    /// Magic and generation of a frame of this file, but not a whole one. [R:frame-2] [R:frame-3]
    Invalid(DecodeError),
    /// Both checksums are right, and no writer makes such a frame. [R:frame-4]
    Refused(DecodeError),
    /// A right frame that passes the place where the file is said to end. [R:sealed-end-4]
    CrossesEnd,
    /// The device could not read it, twice. [R:unreadable]
    Unreadable(SystemError),
}

/// A place at which no valid frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) offset: u64,
    /// Where the next right header stands, or where what was read ends.
    pub(crate) end: u64,
    pub(crate) why: NoFrame,
    /// The right header that stands here and continues the chain, over a body that is not right: it
    /// says what is lost, and the chain goes on behind it.
    pub(crate) header: Option<FrameHeader>,
    /// The journal chain before the place, when it is known.
    pub(crate) chain: Option<JournalChain>,
}

/// What a scan found.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Valid frames in order; before, between and behind gaps.
    pub(crate) frames: Vec<ScannedFrame>,
    /// Places without a valid frame, in order.
    pub(crate) gaps: Vec<Gap>,
    /// Frames whose gap to the next one is not zero: where it begins and ends. [R:frame-15]
    pub(crate) padding: Vec<(u64, u64)>,
    /// Where what was read ends.
    pub(crate) reach: u64,
    /// The journal chain there, when it is known.
    pub(crate) chain: Option<JournalChain>,
    /// A frame with a right checksum asks for a newer reader. [R:frame-5]
    pub(crate) newer: bool,
    /// Where the last frame of a later generation stands. [R:tail-6]
    pub(crate) later: Option<u64>,
    /// The first place that the device did not read, and why.
    pub(crate) unreadable: Option<(u64, SystemError)>,
}

impl Scan {
    /// The farthest offset of the file that a right header beyond `place` says was durable.
    pub(crate) fn proven_beyond(&self, place: u64) -> u64 {
        let lost = self.gaps.iter().filter_map(|gap| gap.header);
        let all = self.frames.iter().map(|frame| frame.header).chain(lost);
        let beyond = all.filter(|header| header.place.offset > place);
        let durable = beyond
            .filter(|header| header.durable_upto.generation == header.place.generation)
            .map(|header| header.durable_upto.offset);
        durable.max().unwrap_or(0)
    }

    /// Where something else begins than valid frames, and zeros behind them.
    fn doubtful_from(&self) -> Option<u64> {
        let zeros = |gap: &&Gap| gap.why == NoFrame::Zeros && gap.end == self.reach;
        let mut gaps = self.gaps.iter().filter(|gap| !zeros(gap));
        let gap = gaps.next().map(|gap| gap.offset);
        let padding = self.padding.first().map(|(offset, _)| *offset);
        let all = self.newer.then_some(FRAMES_OFFSET);
        [gap, padding, all].into_iter().flatten().min()
    }

    /// Whether a right header of this file stands beyond `place`.
    pub(crate) fn goes_on_beyond(&self, place: u64) -> bool {
        let frame = |frame: &ScannedFrame| frame.header.place.offset > place;
        let right = |gap: &Gap| gap.header.is_some() || matches!(gap.why, NoFrame::Refused(_));
        self.frames.iter().any(frame)
            || self.gaps.iter().any(|gap| gap.offset > place && right(gap))
    }
}

/// Scans the frames of `generation` in a file, up to `limit` (the next file says where this one
/// ends) or to `capacity`.
pub(crate) fn scan_file(
    file: &dyn DiskFile,
    path: &str,
    store: StoreId,
    generation: Generation,
    capacity: u64,
    limit: Option<u64>,
) -> Result<Scan, DiskFailure> {
    let reach = scanned_end(file, limit.unwrap_or(capacity)).map_err(failed("read", path))?;
    let mut pieces = read_pieces(file, path, FRAMES_OFFSET, reach)?;
    let look = |pieces: &Pieces| {
        let window = Window {
            pieces,
            store,
            generation,
            limit,
        };
        window.walk(FRAMES_OFFSET + pieces.bytes.len() as u64)
    };
    let mut scan = look(&pieces);
    // A bit may be wrong on the way alone; acknowledged records must not be cut, nor a store be
    // closed, because of it. [R:reread]
    for _ in 0..REREADS_MAX {
        let Some(from) = scan.doubtful_from() else {
            break;
        };
        if pieces.reads_the_same(file, FRAMES_OFFSET, from) {
            break;
        }
        pieces = read_pieces(file, path, FRAMES_OFFSET, reach)?;
        scan = look(&pieces);
    }
    let read_end = FRAMES_OFFSET + pieces.bytes.len() as u64;
    if let Some(limit) = limit.filter(|limit| *limit > read_end) {
        // The file was cut: what it was to hold is missing. [R:set-16]
        scan.gaps.push(Gap {
            offset: read_end,
            end: limit,
            why: NoFrame::Zeros,
            header: None,
            chain: scan.chain.take(),
        });
    }
    Ok(scan)
}

/// Up to where a file is read: a header may state any capacity, and a file of holes have it.
fn scanned_end(file: &dyn DiskFile, reach: u64) -> io::Result<u64> {
    if reach <= LARGE_BYTES {
        return Ok(reach);
    }
    let end = data_end(file, FRAMES_OFFSET, reach.min(file.len()?))?;
    if end > JOURNAL_FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(end)
}

/// What frame headers stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FramesSeen {
    /// The highest generation that one of them states.
    pub(crate) highest: Option<Generation>,
    /// Where the last of them ends, its body included, as far as that may be.
    pub(crate) end: u64,
    /// The first place that the device did not read, and why: one may stand there.
    pub(crate) unreadable: Option<(u64, SystemError)>,
}

/// Looks for frame headers of the store at their own places. Without a store, for what looks like a
/// frame header.
pub(crate) fn highest_frame(
    file: &dyn DiskFile,
    path: &str,
    store: Option<StoreId>,
) -> Result<FramesSeen, DiskFailure> {
    let len = file.len().map_err(failed("measure", path))?;
    let mut seen = FramesSeen {
        highest: None,
        end: FRAMES_OFFSET,
        unreadable: None,
    };
    let mut start = FRAMES_OFFSET;
    // A length from the disk bounds no memory, and holes of a file cost no time.
    while let Some(data) = file
        .next_data(start)
        .map_err(failed("read", path))?
        .filter(|data| *data < len)
    {
        start = data / SEARCHED_BYTES * SEARCHED_BYTES;
        let end = start + SEARCHED_BYTES;
        let pieces = read_pieces(
            file,
            path,
            start.max(FRAMES_OFFSET),
            end + HEADER_BYTES as u64,
        )?;
        seen.unreadable = seen.unreadable.or(pieces.first_failure());
        let window = Window {
            pieces: &pieces,
            store: store.unwrap_or(StoreId([0; 16])),
            generation: Generation(u64::MAX),
            limit: None,
        };
        window.note_headers(start.max(FRAMES_OFFSET)..end, store.is_none(), &mut seen);
        start = end;
    }
    Ok(seen)
}

enum Found {
    Frame(Box<ScannedFrame>, u32),
    Newer,
    /// No valid frame; where to go on, when a right header says it, and the chain there.
    Gap(Gap, Option<JournalChain>),
}

struct Window<'a> {
    pieces: &'a Pieces,
    store: StoreId,
    generation: Generation,
    limit: Option<u64>,
}

impl Window<'_> {
    fn walk(&self, reach: u64) -> Scan {
        let mut scan = Scan {
            frames: Vec::new(),
            gaps: Vec::new(),
            padding: Vec::new(),
            reach,
            chain: None,
            newer: false,
            later: None,
            unreadable: self.pieces.first_failure(),
        };
        let mut at = FRAMES_OFFSET;
        let mut chain = Some(JournalChain::start(self.store, self.generation));
        while at < reach {
            match self.found_at(at, chain) {
                Found::Frame(frame, check) => {
                    chain = Some(
                        frame
                            .header
                            .journal_chain
                            .after(check, frame.header.body_crc),
                    );
                    let body_end = at + HEADER_BYTES as u64 + u64::from(frame.header.body_len);
                    at += frame.header.stride();
                    if self.slice(body_end, at).iter().any(|byte| *byte != 0) {
                        scan.padding.push((body_end, at));
                    }
                    scan.frames.push(*frame);
                }
                Found::Newer => {
                    scan.newer = true;
                    return scan;
                }
                Found::Gap(mut gap, after) => {
                    if gap.end == 0 {
                        gap.end = self.next_right(at + ALIGN, &mut scan).unwrap_or(reach);
                    }
                    if let Some(kind) = self.pieces.failed_in(gap.offset, gap.end) {
                        gap.why = NoFrame::Unreadable(kind);
                    }
                    (at, chain) = (gap.end, after);
                    scan.gaps.push(gap);
                }
            }
        }
        scan.chain = chain;
        scan
    }

    fn from(&self, offset: u64) -> &[u8] {
        let start = usize::try_from(offset - self.pieces.start).unwrap_or(usize::MAX);
        self.pieces.bytes.get(start..).unwrap_or_default()
    }

    fn slice(&self, start: u64, end: u64) -> &[u8] {
        let bytes = self.from(start);
        let len = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        &bytes[..len.min(bytes.len())]
    }

    fn look(&self, offset: u64) -> HeaderAt {
        let (generation, bytes) = (self.generation, self.from(offset));
        FrameHeader::look(bytes, self.store, Position { generation, offset })
    }

    /// What stands at `offset`. `chain` is the chain that a frame there must continue, when it is
    /// known.
    fn found_at(&self, offset: u64, chain: Option<JournalChain>) -> Found {
        let gap = Gap {
            offset,
            end: 0,
            why: NoFrame::Zeros,
            header: None,
            chain,
        };
        match self.look(offset) {
            HeaderAt::Newer => Found::Newer,
            HeaderAt::Nothing(error) => {
                let why = match self.claimed(offset) {
                    Some(generation) if generation == self.generation => NoFrame::Invalid(error),
                    _ if self.slice(offset, offset + ALIGN).iter().all(|b| *b == 0) => {
                        NoFrame::Zeros
                    }
                    _ => NoFrame::Other(error),
                };
                Found::Gap(Gap { why, ..gap }, None)
            }
            HeaderAt::Elsewhere(_) => {
                let why = NoFrame::Other(DecodeError {
                    what: "frame",
                    at: 8,
                    problem: Problem::Place,
                });
                Found::Gap(Gap { why, ..gap }, None)
            }
            HeaderAt::Refused { error, header } => {
                let body = self.body(&header);
                let whole = body.is_some_and(|body| is_right(body, &header));
                let (why, end) = if whole {
                    (NoFrame::Refused(error), offset + header.stride())
                } else {
                    (NoFrame::Invalid(error), 0)
                };
                Found::Gap(Gap { why, end, ..gap }, None)
            }
            HeaderAt::Right(header, check) => self.frame_at(gap, header, check),
        }
    }

    /// What stands at the place of `gap`, where a right header begins.
    fn frame_at(&self, gap: Gap, header: FrameHeader, check: u32) -> Found {
        let because = |why| Gap { why, ..gap };
        let continues = gap.chain.is_none_or(|chain| chain == header.journal_chain);
        let end = gap.offset + header.stride();
        if continues && self.limit.is_some_and(|limit| end > limit) {
            return Found::Gap(because(NoFrame::CrossesEnd), None);
        }
        let Some(body) = self.body(&header) else {
            return Found::Gap(because(invalid(Problem::Short)), None);
        };
        let after = header.journal_chain.after(check, header.body_crc);
        if !is_right(body, &header) {
            let unknown = because(invalid(Problem::BodyChecksum));
            let known = Gap {
                end,
                header: Some(header),
                ..unknown
            };
            return if continues {
                Found::Gap(known, Some(after))
            } else {
                Found::Gap(unknown, None)
            };
        }
        match summarise(header, body) {
            Err(error) => {
                let refused = because(NoFrame::Refused(error));
                Found::Gap(Gap { end, ..refused }, continues.then_some(after))
            }
            Ok(_) if !continues => Found::Gap(because(invalid(Problem::Place)), None),
            Ok(frame) => Found::Frame(Box::new(frame), check),
        }
    }

    fn body(&self, header: &FrameHeader) -> Option<&[u8]> {
        let end = HEADER_BYTES.checked_add(header.body_len as usize)?;
        self.from(header.place.offset).get(HEADER_BYTES..end)
    }

    /// Notes the frame headers that begin in a part of the file; without a store, what looks like
    /// one.
    fn note_headers(&self, part: Range<u64>, any: bool, seen: &mut FramesSeen) {
        let mut at = part.start;
        while let Some(next) = self.next_magic(at).filter(|next| *next < part.end) {
            let stated = match self.look(next) {
                HeaderAt::Elsewhere(place) if place.offset == next => Some(place.generation),
                _ if any => self.claimed(next),
                _ => None,
            };
            if stated.is_some() {
                seen.end = seen
                    .end
                    .max(next + HEADER_BYTES as u64 + BODY_BYTES_MAX as u64);
            }
            seen.highest = seen.highest.max(stated);
            at = next + ALIGN;
        }
    }

    /// The generation that bytes with the magic and the offset of a frame claim, right or not.
    fn claimed(&self, offset: u64) -> Option<Generation> {
        let bytes = self.from(offset);
        let stated = |at: usize| -> Option<u64> {
            Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
        };
        (bytes.get(..4)? == &MAGIC[..] && stated(16)? == offset)
            .then(|| stated(8).map(Generation))
            .flatten()
    }

    /// Where the next right header of the file stands, or a whole frame that is refused.
    fn next_right(&self, from: u64, scan: &mut Scan) -> Option<u64> {
        let mut at = from;
        while let Some(next) = self.next_magic(at) {
            match self.look(next) {
                HeaderAt::Right(..) | HeaderAt::Newer => return Some(next),
                HeaderAt::Refused { header, .. }
                    if self
                        .body(&header)
                        .is_some_and(|body| is_right(body, &header)) =>
                {
                    return Some(next);
                }
                HeaderAt::Elsewhere(place)
                    if place.offset == next && place.generation > self.generation =>
                {
                    scan.later = Some(next);
                }
                _ => {}
            }
            at = next + ALIGN;
        }
        None
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
}

/// Part of a frame of this file stands there.
fn invalid(problem: Problem) -> NoFrame {
    NoFrame::Invalid(DecodeError {
        what: "frame",
        at: 0,
        problem,
    })
}

fn is_right(body: &[u8], header: &FrameHeader) -> bool {
    frame::body_crc(body) == header.body_crc
}
