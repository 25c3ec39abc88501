//! Owns the write-once segment: header, blocks, footer (runs and blocks), trailer.

use crate::bytes::{DecodeError, Problem, Source, checked, crc};
use crate::chain::ThreadChain;
use crate::ids::{Ordinal, SegmentId, StoreId, ThreadNumber};
use crate::record::INLINE_HEADER_BYTES;
use crate::version::Version;

/// First bytes of a segment file.
pub const HEADER_MAGIC: [u8; 4] = *b"TLSG";
/// First bytes of a block.
pub const BLOCK_MAGIC: [u8; 4] = *b"TLBK";
/// First bytes of the footer.
pub const FOOTER_MAGIC: [u8; 4] = *b"TLFT";
/// First bytes of the trailer.
pub const TRAILER_MAGIC: [u8; 4] = *b"TLTR";
/// Bytes of the segment header; the first block begins here.
pub const HEADER_BYTES: usize = 128;
/// Bytes of a block header.
pub const BLOCK_HEADER_BYTES: usize = 64;
/// Bytes of the footer before its tables.
pub const FOOTER_HEADER_BYTES: usize = 16;
/// Bytes of one run in the footer.
pub const RUN_BYTES: usize = 80;
/// Bytes of one block in the footer.
pub const BLOCK_ROW_BYTES: usize = 32;
/// Bytes of the trailer, the last of the file.
pub const TRAILER_BYTES: usize = 96;
/// Bytes that a block holds before it is closed, unless one entry alone is larger.
pub const BLOCK_RAW_BYTES: usize = 64 << 10;
/// Bound of a block's inflated size in bytes. [S:block-3]
pub const BLOCK_RAW_BYTES_MAX: usize = BLOCK_RAW_BYTES + crate::record::INLINE_BYTES_MAX + 64;

/// What a segment file is for. [S:segment-2]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// One run of one thread.
    Run,
    /// Runs of several small threads.
    Pack,
    /// A run of the catalogue.
    Catalogue,
}

impl Class {
    pub(crate) fn code(self) -> u8 {
        match self {
            Class::Run => 0,
            Class::Pack => 1,
            Class::Catalogue => 2,
        }
    }

    pub(crate) fn of(code: u8) -> Option<Class> {
        [Class::Run, Class::Pack, Class::Catalogue]
            .get(usize::from(code))
            .copied()
    }
}

/// Header of a segment file. [S:segment-1]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Who wrote it, and the oldest reader that understands it and what it holds.
    pub version: Version,
    /// The store.
    pub store: StoreId,
    /// The segment.
    pub segment: SegmentId,
    /// What it is for.
    pub class: Class,
    /// When it was written, Unix milliseconds.
    pub created_ms: i64,
}

impl SegmentHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&HEADER_MAGIC);
        out.extend_from_slice(&128_u16.to_le_bytes());
        out.extend_from_slice(&self.version.bytes());
        out.extend_from_slice(&self.store.0);
        out.extend_from_slice(&self.segment.0.to_le_bytes());
        out.extend_from_slice(&[self.class.code(), 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&self.created_ms.to_le_bytes());
        out.resize(HEADER_BYTES - 4, 0);
        let check = crc(&[&out]);
        out.extend_from_slice(&check.to_le_bytes());
        out.try_into()
            .expect("the fields add up to the header's size")
    }

    /// Decodes and checks a segment header.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not one.
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, DecodeError> {
        let mut source = checked("segment header", bytes, HEADER_MAGIC, HEADER_BYTES, &[])?.0;
        let version = source.preamble(128)?;
        let store = StoreId(source.array()?);
        let segment = SegmentId(source.u64()?);
        let Some(class) = Class::of(source.u8()?) else {
            return source.fail(Problem::Reserved);
        };
        source.zeros(7)?;
        let created_ms = source.i64()?;
        source.zeros(HEADER_BYTES - 4 - 48)?;
        Ok(SegmentHeader {
            version,
            store,
            segment,
            class,
            created_ms,
        })
    }
}

/// How a block's bytes are stored. [S:block-2]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// As they are.
    Raw,
    /// One zstd frame.
    Zstd,
}

/// Header of a block. [S:block-1]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// How the bytes are stored.
    pub codec: Codec,
    /// Where the block begins in its file, bytes.
    pub offset: u64,
    /// Whose records it holds.
    pub thread: ThreadNumber,
    /// Ordinal of the first entry.
    pub first_ordinal: Ordinal,
    /// Entries in the block.
    pub entry_count: u32,
    /// Inflated bytes.
    pub raw_len: u32,
    /// Stored bytes after the header.
    pub stored_len: u32,
    /// CRC-32 of the stored bytes.
    pub stored_crc: u32,
    /// The thread's chain before `first_ordinal`.
    pub chain: ThreadChain,
}

impl BlockHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self, store: StoreId, segment: SegmentId) -> [u8; BLOCK_HEADER_BYTES] {
        let mut out = Vec::with_capacity(BLOCK_HEADER_BYTES);
        out.extend_from_slice(&BLOCK_MAGIC);
        out.extend_from_slice(&[u8::from(self.codec == Codec::Zstd), 0, 0, 0]);
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.thread.0.to_le_bytes());
        out.extend_from_slice(&self.first_ordinal.0.to_le_bytes());
        out.extend_from_slice(&self.entry_count.to_le_bytes());
        out.extend_from_slice(&self.raw_len.to_le_bytes());
        out.extend_from_slice(&self.stored_len.to_le_bytes());
        out.extend_from_slice(&self.stored_crc.to_le_bytes());
        out.extend_from_slice(&self.chain.0.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let check = crc(&[&store.0, &segment.0.to_le_bytes(), &out]);
        out.extend_from_slice(&check.to_le_bytes());
        out.try_into()
            .expect("the fields add up to the header's size")
    }

    /// Decodes and checks a block header found at `offset` of `segment`; the stored bytes are not
    /// looked at.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not a block of this segment at this place.
    pub fn decode(
        bytes: &[u8],
        store: StoreId,
        segment: SegmentId,
        offset: u64,
    ) -> Result<BlockHeader, DecodeError> {
        let seed = [&store.0[..], &segment.0.to_le_bytes()].concat();
        let mut source = checked("block", bytes, BLOCK_MAGIC, BLOCK_HEADER_BYTES, &seed)?.0;
        let codec = match source.u8()? {
            0 => Codec::Raw,
            1 => Codec::Zstd,
            _ => return source.fail(Problem::Reserved),
        };
        source.zeros(3)?;
        let header = BlockHeader {
            codec,
            offset: source.u64()?,
            thread: ThreadNumber(source.u64()?),
            first_ordinal: Ordinal(source.u64()?),
            entry_count: source.u32()?,
            raw_len: source.u32()?,
            stored_len: source.u32()?,
            stored_crc: source.u32()?,
            chain: ThreadChain(source.u64()?),
        };
        source.zeros(4)?;
        if header.offset != offset {
            return source.fail(Problem::Place);
        }
        let raw = header.raw_len as usize;
        let stored = header.stored_len as usize;
        let entries_len = u64::from(header.entry_count) * INLINE_HEADER_BYTES as u64;
        let fits = raw <= BLOCK_RAW_BYTES_MAX
            && stored <= raw
            && header.entry_count > 0
            && entries_len <= u64::from(header.raw_len);
        if !fits || (codec == Codec::Raw && raw != stored) {
            return source.fail(Problem::Length);
        }
        Ok(header)
    }
}

/// One run in a footer: contiguous ordinals of one thread. [S:footer-2]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunRow {
    /// The thread.
    pub thread: ThreadNumber,
    /// First ordinal of the run.
    pub first_ordinal: Ordinal,
    /// One past the last.
    pub ordinal_end: Ordinal,
    /// The thread's chain before the first.
    pub chain_before: ThreadChain,
    /// The thread's chain after the last.
    pub chain_after: ThreadChain,
    /// Index of its first block in the footer.
    pub first_block: u32,
    /// How many blocks it has.
    pub block_count: u32,
    /// Sum of its records' payload lengths in bytes.
    pub payload_bytes: u64,
    /// Where its notes begin in the file; 0 when it has none.
    pub notes_offset: u64,
    /// Bytes of its notes.
    pub notes_len: u32,
    /// CRC-32 of its notes.
    pub notes_crc: u32,
}

/// One block in a footer. [S:footer-3]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRow {
    /// Where the block's header begins in the file.
    pub offset: u64,
    /// Ordinal of its first entry.
    pub first_ordinal: Ordinal,
    /// Stored bytes after the header.
    pub stored_len: u32,
    /// Inflated bytes.
    pub raw_len: u32,
    /// Entries in the block.
    pub entry_count: u32,
    /// Whether the first entry is a chunk that does not begin its record.
    pub continues: bool,
}

/// The tables at the end of a segment. [S:footer-1]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Footer {
    /// Runs by thread number.
    pub runs: Vec<RunRow>,
    /// Blocks by offset.
    pub blocks: Vec<BlockRow>,
}

impl Footer {
    /// The footer's bytes; the trailer carries their checksum.
    ///
    /// # Panics
    /// If a table has 2^32 rows or more, which the segment bounds exclude.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let runs = u32::try_from(self.runs.len()).expect("runs of a segment fit 32 bits");
        let blocks = u32::try_from(self.blocks.len()).expect("blocks of a segment fit 32 bits");
        let mut out = Vec::with_capacity(
            FOOTER_HEADER_BYTES + self.runs.len() * RUN_BYTES + self.blocks.len() * BLOCK_ROW_BYTES,
        );
        out.extend_from_slice(&FOOTER_MAGIC);
        out.extend_from_slice(&runs.to_le_bytes());
        out.extend_from_slice(&blocks.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for run in &self.runs {
            for value in [
                run.thread.0,
                run.first_ordinal.0,
                run.ordinal_end.0,
                run.chain_before.0,
                run.chain_after.0,
            ] {
                out.extend_from_slice(&value.to_le_bytes());
            }
            out.extend_from_slice(&run.first_block.to_le_bytes());
            out.extend_from_slice(&run.block_count.to_le_bytes());
            out.extend_from_slice(&run.payload_bytes.to_le_bytes());
            out.extend_from_slice(&run.notes_offset.to_le_bytes());
            out.extend_from_slice(&run.notes_len.to_le_bytes());
            out.extend_from_slice(&run.notes_crc.to_le_bytes());
            out.extend_from_slice(&[0; 8]);
        }
        for block in &self.blocks {
            out.extend_from_slice(&block.offset.to_le_bytes());
            out.extend_from_slice(&block.first_ordinal.0.to_le_bytes());
            out.extend_from_slice(&block.stored_len.to_le_bytes());
            out.extend_from_slice(&block.raw_len.to_le_bytes());
            out.extend_from_slice(&block.entry_count.to_le_bytes());
            out.extend_from_slice(&u32::from(block.continues).to_le_bytes());
        }
        out
    }

    /// Decodes a footer whose checksum the trailer has confirmed, and checks that its tables agree
    /// with each other.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not one.
    pub fn decode(bytes: &[u8]) -> Result<Footer, DecodeError> {
        let mut source = Source::new("footer", bytes);
        source.magic(FOOTER_MAGIC)?;
        let runs = source.u32()? as usize;
        let blocks = source.u32()? as usize;
        source.zeros(4)?;
        let expected = runs
            .checked_mul(RUN_BYTES)
            .and_then(|size| size.checked_add(blocks.checked_mul(BLOCK_ROW_BYTES)?))
            .and_then(|size| size.checked_add(FOOTER_HEADER_BYTES));
        if expected != Some(bytes.len()) {
            return source.fail(Problem::Length);
        }
        let mut footer = Footer::default();
        for _ in 0..runs {
            footer.runs.push(run_row(&mut source)?);
        }
        for _ in 0..blocks {
            footer.blocks.push(block_row(&mut source)?);
        }
        if !footer.agrees() {
            return source.fail(Problem::Length);
        }
        source.finish()?;
        Ok(footer)
    }

    /// Whether runs ascend by thread, share out all blocks in order, and blocks stand apart in the
    /// file and ascend within their run. [S:footer-4]
    fn agrees(&self) -> bool {
        let ascending = self.runs.is_sorted_by(|a, b| a.thread < b.thread);
        let apart = self
            .blocks
            .is_sorted_by(|a, b| a.end().is_some_and(|end| end <= b.offset));
        let mut next = 0;
        let shared = self.runs.iter().all(|run| {
            let from = std::mem::replace(&mut next, run.blocks_end());
            let own = usize::try_from(from).ok().zip(usize::try_from(next).ok());
            let own = own
                .and_then(|(from, end)| self.blocks.get(from..end))
                .unwrap_or_default();
            u64::from(run.first_block) == from && run.holds(own)
        });
        ascending && apart && shared && next == self.blocks.len() as u64
    }
}

impl RunRow {
    fn blocks_end(&self) -> u64 {
        u64::from(self.first_block) + u64::from(self.block_count)
    }

    fn holds(&self, blocks: &[BlockRow]) -> bool {
        let Some(first) = blocks.first() else {
            return false;
        };
        let notes = self.notes_len == 0 && self.notes_offset == 0 && self.notes_crc == 0
            || self.notes_len > 0 && self.notes_offset >= HEADER_BYTES as u64;
        notes
            && !first.continues
            && first.first_ordinal == self.first_ordinal
            && blocks.is_sorted_by_key(|block| block.first_ordinal)
            && blocks
                .iter()
                .all(|block| block.first_ordinal < self.ordinal_end)
    }
}

impl BlockRow {
    /// One past the block's last stored byte in the file.
    fn end(&self) -> Option<u64> {
        self.offset
            .checked_add(BLOCK_HEADER_BYTES as u64 + u64::from(self.stored_len))
    }
}

fn run_row(source: &mut Source<'_>) -> Result<RunRow, DecodeError> {
    let run = RunRow {
        thread: ThreadNumber(source.u64()?),
        first_ordinal: Ordinal(source.u64()?),
        ordinal_end: Ordinal(source.u64()?),
        chain_before: ThreadChain(source.u64()?),
        chain_after: ThreadChain(source.u64()?),
        first_block: source.u32()?,
        block_count: source.u32()?,
        payload_bytes: source.u64()?,
        notes_offset: source.u64()?,
        notes_len: source.u32()?,
        notes_crc: source.u32()?,
    };
    source.zeros(8)?;
    Ok(run)
}

fn block_row(source: &mut Source<'_>) -> Result<BlockRow, DecodeError> {
    let offset = source.u64()?;
    let first_ordinal = Ordinal(source.u64()?);
    let stored_len = source.u32()?;
    let raw_len = source.u32()?;
    let entry_count = source.u32()?;
    let continues = match source.u32()? {
        0 => false,
        1 => true,
        _ => return source.fail(Problem::Reserved),
    };
    Ok(BlockRow {
        offset,
        first_ordinal,
        stored_len,
        raw_len,
        entry_count,
        continues,
    })
}

/// Last bytes of a segment file: identity again, the footer's place and the file's digest.
/// [S:segment-3]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// What the header says.
    pub version: Version,
    /// The store.
    pub store: StoreId,
    /// The segment.
    pub segment: SegmentId,
    /// Where the footer begins.
    pub footer_offset: u64,
    /// Bytes of the footer.
    pub footer_len: u64,
    /// CRC-32 of the footer.
    pub footer_crc: u32,
    /// BLAKE3 of every byte before the trailer.
    pub digest: [u8; 32],
}

impl Trailer {
    /// The trailer's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; TRAILER_BYTES] {
        let mut out = Vec::with_capacity(TRAILER_BYTES);
        out.extend_from_slice(&TRAILER_MAGIC);
        out.extend_from_slice(&96_u16.to_le_bytes());
        out.extend_from_slice(&self.version.bytes());
        out.extend_from_slice(&self.store.0);
        out.extend_from_slice(&self.segment.0.to_le_bytes());
        out.extend_from_slice(&self.footer_offset.to_le_bytes());
        out.extend_from_slice(&self.footer_len.to_le_bytes());
        out.extend_from_slice(&self.footer_crc.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.digest);
        out.extend_from_slice(&[0; 4]);
        let check = crc(&[&out]);
        out.extend_from_slice(&check.to_le_bytes());
        out.try_into()
            .expect("the fields add up to the trailer's size")
    }

    /// Decodes and checks a trailer; `file_len` is the length of its file in bytes.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not the trailer of a file of that length.
    pub fn decode(bytes: &[u8], file_len: u64) -> Result<Trailer, DecodeError> {
        let mut source = checked("trailer", bytes, TRAILER_MAGIC, TRAILER_BYTES, &[])?.0;
        let version = source.preamble(96)?;
        let store = StoreId(source.array()?);
        let segment = SegmentId(source.u64()?);
        let footer_offset = source.u64()?;
        let footer_len = source.u64()?;
        let footer_crc = source.u32()?;
        source.zeros(4)?;
        let digest = source.array()?;
        source.zeros(4)?;
        let end = footer_offset
            .checked_add(footer_len)
            .and_then(|end| end.checked_add(TRAILER_BYTES as u64));
        if end != Some(file_len) || footer_offset < HEADER_BYTES as u64 {
            return source.fail(Problem::Length);
        }
        Ok(Trailer {
            version,
            store,
            segment,
            footer_offset,
            footer_len,
            footer_crc,
            digest,
        })
    }
}

/// CRC-32 of a footer or of notes.
#[must_use]
pub fn section_crc(bytes: &[u8]) -> u32 {
    crc(&[bytes])
}

#[cfg(test)]
mod tests;
