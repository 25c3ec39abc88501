//! Owns the entry: how one record, or one chunk of a large one, stands in a frame body or a block.

use crate::bytes::{DecodeError, Problem, Source, crc};
use crate::version::Format;

/// What a record is. Unknown values are kept and passed on. [S:record-2]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// One line of a rollout, exact bytes without the line feed.
    pub const LINE: Kind = Kind(0);
    /// A metadata patch of our own: one JSON object. Left out of exports. [S:record-6]
    pub const METADATA: Kind = Kind(1);
    /// Catalogue: a store came into being.
    pub const STORE_CREATED: Kind = Kind(128);
    /// Catalogue: a thread came into being.
    pub const THREAD_CREATED: Kind = Kind(129);
    /// Catalogue: a segment file is complete and takes over the ordinals it names.
    pub const SEGMENT_PUBLISHED: Kind = Kind(130);
    /// Catalogue: a run of a segment is taken over by a newer segment.
    pub const REPLACED: Kind = Kind(131);
    /// Catalogue: a thread was archived.
    pub const ARCHIVED: Kind = Kind(132);
    /// Catalogue: a thread left the archive.
    pub const UNARCHIVED: Kind = Kind(133);
    /// Catalogue: a thread was deleted and is hidden.
    pub const DELETED: Kind = Kind(134);
    /// Catalogue: no file holds bytes of the thread any more.
    pub const PURGED: Kind = Kind(135);
    /// Catalogue: how far a source file has been imported into a thread.
    pub const IMPORT: Kind = Kind(136);
    /// Catalogue: a process became the owner of the store.
    pub const EPOCH: Kind = Kind(137);
    /// Catalogue: a compression dictionary (reserved).
    pub const DICTIONARY: Kind = Kind(138);
    /// Catalogue: ordinals of a thread are lost for ever.
    pub const LOST: Kind = Kind(139);
    /// Catalogue: a part of a journal file is lost for ever.
    pub const JOURNAL_LOST: Kind = Kind(140);
    /// Catalogue: a thread got a further rollout.
    pub const ROLLOUT_CREATED: Kind = Kind(141);
    /// Catalogue: a rollout goes on where a prefix of another one ends.
    pub const BASED: Kind = Kind(142);
    /// Catalogue: a rollout goes on behind a base that is not here, or not whole.
    pub const AWAITS: Kind = Kind(143);
    /// Catalogue: which rollout a thread shows.
    pub const CURRENT: Kind = Kind(144);
    /// Catalogue: a thread exists under the id of one that was deleted.
    pub const THREAD_CREATED_AGAIN: Kind = Kind(145);

    /// The oldest format whose readers know what a record of this kind means. What is kept and
    /// passed on unread asks for none. [S:version-5]
    #[must_use]
    pub const fn readable_by(self) -> Format {
        match self {
            Kind::ROLLOUT_CREATED
            | Kind::BASED
            | Kind::AWAITS
            | Kind::CURRENT
            | Kind::THREAD_CREATED_AGAIN => Format::LINEAGES,
            _ => Format::FIRST,
        }
    }
}

/// Properties of a record. [S:record-3]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No property.
    pub const NONE: Flags = Flags(0);
    /// A usable compaction: begins a block, and a segment if the current one is big enough.
    pub const BOUNDARY: Flags = Flags(1);
    /// The line had no line feed when it was received.
    pub const NO_LINE_FEED: Flags = Flags(2);
    /// The bytes continue the line of the record before, which had no line feed.
    pub const CONTINUES: Flags = Flags(4);
    const KNOWN: u8 = 7;

    /// Both sets of properties.
    #[must_use]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The byte that is stored.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Reads the stored byte; `None` when a reserved bit is set.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Flags> {
        if bits & !Self::KNOWN == 0 {
            Some(Flags(bits))
        } else {
            None
        }
    }
}

/// Where a chunk stands in its record. [S:record-5]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Bytes of the record before this chunk.
    pub offset: u64,
    /// For the last chunk, the CRC-32 of the whole record; `None` for the others.
    pub last: Option<u32>,
}

impl Chunk {
    /// Whether a chunk of `len` bytes may stand here: all chunks are full but the last, which is
    /// neither empty nor alone, so that a place in a record is found without reading what is
    /// before it. [S:record-4]
    fn fits(self, len: usize) -> bool {
        let aligned = self.offset.is_multiple_of(INLINE_BYTES_MAX as u64);
        let sized = match self.last {
            None => len == INLINE_BYTES_MAX,
            Some(_) => self.offset > 0 && (1..=INLINE_BYTES_MAX).contains(&len),
        };
        aligned && sized
    }
}

/// One entry: an inline record, or one chunk of a record over [`INLINE_BYTES_MAX`]. [S:record-1]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What the record is.
    pub kind: Kind,
    /// Its properties.
    pub flags: Flags,
    /// When it was received, Unix milliseconds; data, never order.
    pub timestamp_ms: i64,
    /// `None` for an inline record.
    pub chunk: Option<Chunk>,
    /// CRC-32 of `bytes`.
    pub crc: u32,
    /// The record's payload, or this chunk of it.
    pub bytes: &'a [u8],
}

/// Largest payload of one entry in bytes; a longer record is a run of chunks of exactly this size
/// but for the last. [S:record-4]
pub const INLINE_BYTES_MAX: usize = 1 << 20;
/// Bytes of an inline entry's header.
pub const INLINE_HEADER_BYTES: usize = 20;
/// Bytes of a chunk entry's header.
pub const CHUNK_HEADER_BYTES: usize = 36;

const FORM_INLINE: u8 = 0;
const FORM_CHUNK: u8 = 1;

/// CRC-32 (IEEE) of payload bytes, as entries and chains carry it.
#[must_use]
pub fn payload_crc(bytes: &[u8]) -> u32 {
    crc(&[bytes])
}

impl<'a> Entry<'a> {
    /// An inline record.
    #[must_use]
    pub fn inline(kind: Kind, flags: Flags, timestamp_ms: i64, bytes: &'a [u8]) -> Entry<'a> {
        Entry {
            kind,
            flags,
            timestamp_ms,
            chunk: None,
            crc: payload_crc(bytes),
            bytes,
        }
    }

    /// Bytes that [`Entry::encode`] appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let header = if self.chunk.is_some() {
            CHUNK_HEADER_BYTES
        } else {
            INLINE_HEADER_BYTES
        };
        header + self.bytes.len()
    }

    /// Whether this entry completes its record, so that the next entry has the next ordinal.
    #[must_use]
    pub fn completes(&self) -> bool {
        self.chunk.is_none_or(|chunk| chunk.last.is_some())
    }

    /// Whether this entry begins its record.
    #[must_use]
    pub fn begins(&self) -> bool {
        self.chunk.is_none_or(|chunk| chunk.offset == 0)
    }

    /// Length and CRC-32 of the whole record, when this entry completes it.
    #[must_use]
    pub fn whole(&self) -> Option<(u64, u32)> {
        let here = self.bytes.len() as u64;
        match self.chunk {
            None => Some((here, self.crc)),
            Some(Chunk {
                offset,
                last: Some(crc),
            }) => Some((offset + here, crc)),
            Some(_) => None,
        }
    }

    /// Appends header and payload.
    ///
    /// # Panics
    /// If the payload is over [`INLINE_BYTES_MAX`] or is not a chunk of the size that
    /// `[S:record-4]` asks for: callers chunk first.
    pub fn encode(&self, out: &mut Vec<u8>) {
        assert!(
            self.bytes.len() <= INLINE_BYTES_MAX,
            "an entry holds at most one chunk"
        );
        assert!(
            self.chunk.is_none_or(|chunk| chunk.fits(self.bytes.len())),
            "chunks are full but for the last"
        );
        let len = u32::try_from(self.bytes.len()).expect("a chunk's length fits 32 bits");
        let form = if self.chunk.is_some() {
            FORM_CHUNK
        } else {
            FORM_INLINE
        };
        out.extend_from_slice(&[self.kind.0, self.flags.bits(), form, 0]);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&self.timestamp_ms.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
        if let Some(chunk) = self.chunk {
            out.extend_from_slice(&chunk.offset.to_le_bytes());
            out.extend_from_slice(&chunk.last.unwrap_or(0).to_le_bytes());
            out.extend_from_slice(&[u8::from(chunk.last.is_some()), 0, 0, 0]);
        }
        out.extend_from_slice(self.bytes);
    }

    fn decode(source: &mut Source<'a>) -> Result<Entry<'a>, DecodeError> {
        let kind = Kind(source.u8()?);
        let Some(flags) = Flags::from_bits(source.u8()?) else {
            return source.fail(Problem::Reserved);
        };
        let form = source.u8()?;
        source.zeros(1)?;
        let len = source.u32()? as usize;
        let timestamp_ms = source.i64()?;
        let crc = source.u32()?;
        let chunk = match form {
            FORM_INLINE => None,
            FORM_CHUNK => Some(Self::decode_chunk(source)?),
            _ => return source.fail(Problem::Reserved),
        };
        if len > INLINE_BYTES_MAX || chunk.is_some_and(|chunk| !chunk.fits(len)) {
            return source.fail(Problem::Length);
        }
        let bytes = source.take(len)?;
        Ok(Entry {
            kind,
            flags,
            timestamp_ms,
            chunk,
            crc,
            bytes,
        })
    }

    fn decode_chunk(source: &mut Source<'a>) -> Result<Chunk, DecodeError> {
        let offset = source.u64()?;
        let record_crc = source.u32()?;
        let last = source.u8()?;
        source.zeros(3)?;
        if offset > i64::MAX as u64 {
            return source.fail(Problem::Length);
        }
        match last {
            0 if record_crc == 0 => Ok(Chunk { offset, last: None }),
            1 => Ok(Chunk {
                offset,
                last: Some(record_crc),
            }),
            _ => source.fail(Problem::Reserved),
        }
    }
}

/// The entries of a frame body or an inflated block, in order, each with its own checksum checked.
///
/// Ends after the first error.
pub struct Entries<'a> {
    source: Option<Source<'a>>,
    left: u32,
}

impl<'a> Entries<'a> {
    /// Reads `count` entries that fill `body` exactly.
    #[must_use]
    pub fn new(body: &'a [u8], count: u32) -> Entries<'a> {
        Entries {
            source: Some(Source::new("entry", body)),
            left: count,
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut source = self.source.take()?;
        if self.left == 0 {
            return source.finish().err().map(Err);
        }
        self.left -= 1;
        let entry = Entry::decode(&mut source).and_then(|entry| {
            let right = payload_crc(entry.bytes) == entry.crc;
            if right {
                Ok(entry)
            } else {
                source.fail(Problem::BodyChecksum)
            }
        });
        if entry.is_ok() {
            self.source = Some(source);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
