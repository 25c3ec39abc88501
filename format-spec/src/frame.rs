//! Owns the frame: one batch of one thread in a journal file, with the proof of its place.

use crate::bytes::{DecodeError, Problem, Source, checked, crc};
use crate::chain::{JournalChain, ThreadChain};
use crate::ids::{Generation, Ordinal, StoreId, ThreadNumber};
use crate::record::INLINE_HEADER_BYTES;
use crate::version::Format;

/// First bytes of a frame.
pub const MAGIC: [u8; 4] = *b"TLFR";
/// Bytes of a frame header.
pub const HEADER_BYTES: usize = 96;
/// Frames begin at multiples of this many bytes; the gap is zero. [S:frame-2]
pub const ALIGN: u64 = 8;
/// Largest body in bytes: an atomic batch plus its entry headers. [S:frame-3]
pub const BODY_BYTES_MAX: usize = 24 << 20;

const MARKER: u8 = 1;

/// A byte position in the journal; ordered by time. [S:frame-5]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Position {
    /// Which journal file.
    pub generation: Generation,
    /// Bytes from its start.
    pub offset: u64,
}

/// Header of one frame. [S:frame-1]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The oldest format whose readers understand it and its records: no newer one than the
    /// header of the file asks for. [S:version-4]
    pub readable_by: Format,
    /// Where the frame begins.
    pub place: Position,
    /// Whose records it holds; a marker says 0.
    pub thread: ThreadNumber,
    /// Ordinal of the first entry.
    pub first_ordinal: Ordinal,
    /// Entries in the body; 0 for a marker.
    pub entry_count: u32,
    /// Bytes of the body.
    pub body_len: u32,
    /// Everything before this position was durable when the frame was written.
    pub durable_upto: Position,
    /// Ownership epoch of the writer.
    pub epoch: u64,
    /// The file's chain before this frame.
    pub journal_chain: JournalChain,
    /// The thread's chain before `first_ordinal`.
    pub thread_chain: ThreadChain,
    /// CRC-32 of the body.
    pub body_crc: u32,
}

impl FrameHeader {
    /// A frame without records, written at a clean close or when idle, so that all before it is
    /// known to be durable. [S:frame-6]
    #[must_use]
    pub fn is_marker(&self) -> bool {
        self.entry_count == 0
    }

    /// Bytes from the frame's start to where the next one begins.
    #[must_use]
    pub fn stride(&self) -> u64 {
        (HEADER_BYTES as u64 + u64::from(self.body_len)).next_multiple_of(ALIGN)
    }

    /// The header's bytes and its checksum.
    ///
    /// # Panics
    /// If the fields contradict each other, see `[S:frame-4]`.
    #[must_use]
    pub fn encode(&self, store: StoreId) -> ([u8; HEADER_BYTES], u32) {
        assert_eq!(self.contradiction(), None, "a frame's fields agree");
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&96_u16.to_le_bytes());
        out.extend_from_slice(&[self.readable_by.0, u8::from(self.is_marker()) * MARKER]);
        out.extend_from_slice(&self.place.generation.0.to_le_bytes());
        out.extend_from_slice(&self.place.offset.to_le_bytes());
        out.extend_from_slice(&self.thread.0.to_le_bytes());
        out.extend_from_slice(&self.first_ordinal.0.to_le_bytes());
        out.extend_from_slice(&self.entry_count.to_le_bytes());
        out.extend_from_slice(&self.body_len.to_le_bytes());
        out.extend_from_slice(&self.durable_upto.generation.0.to_le_bytes());
        out.extend_from_slice(&self.durable_upto.offset.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.journal_chain.0.to_le_bytes());
        out.extend_from_slice(&self.thread_chain.0.to_le_bytes());
        out.extend_from_slice(&self.body_crc.to_le_bytes());
        let check = crc(&[&store.0, &out]);
        out.extend_from_slice(&check.to_le_bytes());
        (
            out.try_into()
                .expect("the fields add up to the header's size"),
            check,
        )
    }

    /// Decodes and checks a header found at `place`; returns it with its checksum. The body is not
    /// looked at.
    ///
    /// # Errors
    /// [`DecodeError`] for bytes that are not a frame of this store at this place.
    pub fn decode(
        bytes: &[u8],
        store: StoreId,
        place: Position,
    ) -> Result<(FrameHeader, u32), DecodeError> {
        let (mut source, check) = checked("frame", bytes, MAGIC, HEADER_BYTES, &store.0)?;
        let stored_len = source.u16()?;
        let readable_by = source.readable()?;
        if stored_len != 96 {
            return source.fail(Problem::Length);
        }
        let flags = source.u8()?;
        let header = Self::fields(&mut source, readable_by)?;
        let elsewhere = header.place != place;
        if elsewhere {
            return source.fail(Problem::Place);
        }
        if flags != u8::from(header.is_marker()) * MARKER {
            return source.fail(Problem::Reserved);
        }
        header
            .contradiction()
            .map_or(Ok((header, check)), |problem| source.fail(problem))
    }

    /// Tells apart what recovery must tell apart about a place: no header, a header of another
    /// place, one that only a newer reader understands, one that no writer makes, a right one.
    #[must_use]
    pub fn look(bytes: &[u8], store: StoreId, place: Position) -> HeaderAt {
        let error = match FrameHeader::decode(bytes, store, place) {
            Ok((header, check)) => return HeaderAt::Right(header, check),
            Err(error) => error,
        };
        match error.problem {
            Problem::Magic | Problem::Short | Problem::HeaderChecksum => {
                return HeaderAt::Nothing(error);
            }
            Problem::Version => return HeaderAt::Newer,
            _ => {}
        }
        // The checksum is right, so the fields say what was written, though nobody may write it.
        let readable_by = Format(bytes[6]);
        let mut source = Source::new("frame", &bytes[8..]);
        match Self::fields(&mut source, readable_by) {
            Ok(header) if header.place == place => HeaderAt::Refused { error, header },
            Ok(header) => HeaderAt::Elsewhere(header.place),
            Err(_) => HeaderAt::Nothing(error),
        }
    }

    /// What no writer puts into a header. [S:frame-4]
    fn contradiction(&self) -> Option<Problem> {
        let nothing = self.thread == ThreadNumber::CATALOGUE
            && self.first_ordinal == Ordinal(0)
            && self.thread_chain == ThreadChain::START
            && self.body_crc == 0
            && self.body_len == 0;
        let entries_len = u64::from(self.entry_count) * INLINE_HEADER_BYTES as u64;
        if self.is_marker() && !nothing {
            Some(Problem::Reserved)
        } else if self.body_len as usize > BODY_BYTES_MAX
            || entries_len > u64::from(self.body_len)
            || self.durable_upto > self.place
        {
            Some(Problem::Length)
        } else {
            None
        }
    }

    fn fields(source: &mut Source<'_>, readable_by: Format) -> Result<FrameHeader, DecodeError> {
        Ok(FrameHeader {
            readable_by,
            place: position(source)?,
            thread: ThreadNumber(source.u64()?),
            first_ordinal: Ordinal(source.u64()?),
            entry_count: source.u32()?,
            body_len: source.u32()?,
            durable_upto: position(source)?,
            epoch: source.u64()?,
            journal_chain: JournalChain(source.u64()?),
            thread_chain: ThreadChain(source.u64()?),
            body_crc: source.u32()?,
        })
    }
}

/// What stands at a place of a journal file where a frame may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderAt {
    /// No header of the store whose checksum is right.
    Nothing(DecodeError),
    /// A right checksum; a newer reader is asked for. [R:frame-5]
    Newer,
    /// A right header that belongs to this other place. [R:frame-1]
    Elsewhere(Position),
    /// A right checksum at its own place over fields that `[S:frame-4]` refuses. [R:frame-4]
    Refused {
        /// Why it is refused.
        error: DecodeError,
        /// The fields as they stand.
        header: FrameHeader,
    },
    /// A right header of this place, and its checksum.
    Right(FrameHeader, u32),
}

fn position(source: &mut Source<'_>) -> Result<Position, DecodeError> {
    Ok(Position {
        generation: Generation(source.u64()?),
        offset: source.u64()?,
    })
}

/// CRC-32 of a frame body.
#[must_use]
pub fn body_crc(body: &[u8]) -> u32 {
    crc(&[body])
}

#[cfg(test)]
mod tests;
