//! Owns the reading of one open segment: its blocks, its notes, and the check of everything.

use std::ops::Range;
use std::sync::Arc;

use turnleaf_format::catalogue::{CatalogueRecord, Run};
use turnleaf_format::record::Entries;
use turnleaf_format::segment::{
    BLOCK_HEADER_BYTES, BlockHeader, BlockRow, Class, Codec, Footer, RunRow, TRAILER_BYTES,
    Trailer, section_crc,
};
use turnleaf_format::{DecodeError, Ordinal, Problem, SegmentId, StoreId, ThreadChain};
use zstd::zstd_safe::find_frame_compressed_size;

use super::inflate::{give_back_inflater, take_inflater};
use crate::disk::{DiskFile, read_exact_at};
use crate::error::{Cause, Damage, DiskFailure, ReadError, SystemError, Unreadable};

/// Bytes read at once when a whole segment is digested.
const DIGEST_BYTES: usize = 1 << 20;

/// Bytes between blocks that are read along with them.
const GAPS_BYTES_MAX: usize = 1 << 20;
/// Largest notes that are read: far above what those of a segment come to.
const NOTES_BYTES_MAX: usize = 64 << 20;

/// An open segment with its tables.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(super) path: String,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) store: StoreId,
    pub(super) segment: SegmentId,
    /// Missing where the blocks were found by scanning.
    pub(super) trailer: Option<Trailer>,
    pub(super) footer: Footer,
    pub(super) invalid: Vec<Damage>,
    /// Why a part of the file could not be searched for blocks: one that was not found may stand
    /// there.
    pub(super) unsearched: Option<SystemError>,
}

/// One inflated block whose checksums were checked.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) header: BlockHeader,
    pub(crate) raw: Vec<u8>,
}

impl OpenSegment {
    /// BLAKE3 that the trailer states, when the trailer is good.
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        self.trailer.map(|trailer| trailer.digest)
    }

    /// What publishes a segment of these tables, when the trailer is good.
    pub(crate) fn publication(&self, class: Class) -> Option<CatalogueRecord> {
        let trailer = self.trailer?;
        Some(CatalogueRecord::SegmentPublished {
            segment: self.segment,
            class,
            file_bytes: trailer.footer_offset + trailer.footer_len + TRAILER_BYTES as u64,
            digest: trailer.digest,
            runs: self.footer.runs.iter().map(Run::from).collect(),
        })
    }

    /// What is damaged of the file and costs no record by itself.
    pub(crate) fn invalid(&self) -> &[Damage] {
        &self.invalid
    }

    /// The first place at which the device did not say what stands there.
    pub(crate) fn unreadable(&self) -> Option<Unreadable> {
        self.invalid.iter().find_map(Damage::unreadable)
    }

    /// Runs by thread number.
    pub(crate) fn runs(&self) -> &[RunRow] {
        &self.footer.runs
    }

    /// The run of a thread.
    pub(crate) fn run(&self, thread: turnleaf_format::ThreadNumber) -> Option<&RunRow> {
        self.footer.runs.iter().find(|run| run.thread == thread)
    }

    /// All blocks.
    pub(crate) fn blocks(&self) -> &[BlockRow] {
        &self.footer.blocks
    }

    /// Indices of a run's blocks.
    pub(crate) fn blocks_of(run: &RunRow) -> Range<usize> {
        run.first_block as usize..(run.first_block + run.block_count) as usize
    }

    /// Notes of a run; empty when there are none.
    pub(crate) fn notes(&self, run: &RunRow) -> Result<Vec<u8>, ReadError> {
        if run.notes_len == 0 {
            return Ok(Vec::new());
        }
        let len = run.notes_len as usize;
        if len > NOTES_BYTES_MAX {
            let length = u64::from(run.notes_len);
            return Err(damage(&self.path, run.notes_offset, length, Cause::Tables).into());
        }
        let bytes = read(&*self.file, &self.path, run.notes_offset, len)?;
        if section_crc(&bytes) != run.notes_crc {
            let error = DecodeError {
                what: "notes",
                at: 0,
                problem: Problem::BodyChecksum,
            };
            let length = u64::from(run.notes_len);
            return Err(damage(&self.path, run.notes_offset, length, Cause::Decode(error)).into());
        }
        Ok(bytes)
    }

    /// Reads neighbouring blocks with one read. The first damaged one ends the list with its error.
    pub(crate) fn read_blocks(&self, wanted: Range<usize>) -> Vec<Result<Block, ReadError>> {
        let rows = &self.footer.blocks[wanted.clone()];
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Vec::new();
        };
        let end = last.offset + BLOCK_HEADER_BYTES as u64 + u64::from(last.stored_len);
        let len = usize::try_from(end - first.offset).unwrap_or(usize::MAX);
        // Rows that a search has made may be of blocks with anything between them.
        let stored = rows
            .iter()
            .map(|row| row.stored_len as usize)
            .sum::<usize>();
        let gaps_max = (rows.len() + 1) * BLOCK_HEADER_BYTES + GAPS_BYTES_MAX;
        if rows.len() > 1 && len > stored + gaps_max {
            return wanted
                .flat_map(|index| self.read_blocks(index..index + 1))
                .collect();
        }
        let bytes = match read(&*self.file, &self.path, first.offset, len) {
            Ok(bytes) => bytes,
            // One unreadable sector must cost one block: read them one by one.
            Err(_) if rows.len() > 1 => {
                return wanted
                    .flat_map(|index| self.read_blocks(index..index + 1))
                    .collect();
            }
            Err(error) => return vec![Err(self.place(error, wanted.start))],
        };
        let mut inflater = match take_inflater() {
            Ok(inflater) => inflater,
            Err(source) => {
                let operation = "set up the decompression of";
                return vec![Err(DiskFailure {
                    operation,
                    path: self.path.clone(),
                    source,
                }
                .into())];
            }
        };
        let mut blocks = Vec::with_capacity(rows.len());
        for (index, row) in wanted.zip(rows) {
            let start = usize::try_from(row.offset - first.offset).unwrap_or(usize::MAX);
            let bytes = bytes.get(start..).unwrap_or_default();
            let block = self.checked_block(&mut inflater, index, row, bytes);
            blocks.push(block.map_err(|cause| self.block_damage(index, cause).into()));
        }
        give_back_inflater(inflater);
        blocks
    }

    /// Says which ordinals the block at `index` holds, judged by its neighbours in the table.
    pub(crate) fn block_damage(&self, index: usize, cause: Cause) -> Damage {
        let row = self.footer.blocks[index];
        let cause = match self.unsearched {
            Some(why) if row.entry_count == 0 => Cause::Unreadable(why),
            _ => cause,
        };
        let run = self.run_of_block(index);
        let end = run.map(|run| {
            let next = self.footer.blocks.get(index + 1);
            match next.filter(|_| Self::blocks_of(run).contains(&(index + 1))) {
                Some(next) => Ordinal(next.first_ordinal.0 + u64::from(next.continues)),
                None => run.ordinal_end,
            }
        });
        Damage {
            file: self.path.clone(),
            offset: row.offset,
            length: BLOCK_HEADER_BYTES as u64 + u64::from(row.stored_len),
            thread: run.map(|run| run.thread),
            ordinals: end.map(|end| (row.first_ordinal, end)),
            cause,
        }
    }

    /// The segment's tables disagree with what was published.
    pub(crate) fn tables_damage(&self) -> Damage {
        let place = self.trailer.map(|t| (t.footer_offset, t.footer_len));
        let (offset, length) = place.unwrap_or_default();
        damage(&self.path, offset, length, Cause::Tables)
    }

    fn place(&self, error: ReadError, index: usize) -> ReadError {
        match error {
            ReadError::Disk(failure) => match failure.of_bytes() {
                Ok(why) => self.block_damage(index, Cause::Unreadable(why)).into(),
                Err(failure) => failure.into(),
            },
            ReadError::Damaged(damage) => self.block_damage(index, damage.cause).into(),
        }
    }

    /// The block that a row describes. [R:seg-5] [R:seg-6]
    fn checked_block(
        &self,
        inflater: &mut zstd::bulk::Decompressor<'_>,
        index: usize,
        row: &BlockRow,
        bytes: &[u8],
    ) -> Result<Block, Cause> {
        let header = BlockHeader::decode(bytes, self.store, self.segment, row.offset)
            .map_err(Cause::Decode)?;
        let run = self.run_of_block(index);
        let agrees = header.first_ordinal == row.first_ordinal
            && header.stored_len == row.stored_len
            && header.raw_len == row.raw_len
            && header.entry_count == row.entry_count
            && run.is_some_and(|run| run.thread == header.thread);
        if !agrees {
            return Err(Cause::Tables);
        }
        let block = inflate(inflater, header, bytes)?;
        let first = Entries::new(&block.raw, header.entry_count).next();
        match first {
            Some(Ok(entry)) if entry.begins() == row.continues => Err(Cause::Tables),
            _ => Ok(block),
        }
    }

    fn run_of_block(&self, index: usize) -> Option<&RunRow> {
        let runs = &self.footer.runs;
        let at = runs.partition_point(|run| Self::blocks_of(run).end <= index);
        runs.get(at)
    }

    /// Reads every byte: digest, every block, every entry, every chain, every note. `report` gets
    /// each damage; the first one is also the error.
    pub(crate) fn verify(&self, report: &mut dyn FnMut(&Damage)) -> Result<Verified, ReadError> {
        let mut first = None;
        let mut note = |damage: Damage| {
            report(&damage);
            first.get_or_insert(damage);
        };
        let mut verified = Verified::default();
        self.invalid.iter().cloned().for_each(&mut note);
        for run in &self.footer.runs {
            self.verify_run(run, &mut verified, &mut note)?;
            match self.notes(run) {
                Ok(_) => {}
                Err(ReadError::Damaged(damage)) => note(*damage),
                Err(ReadError::Disk(failure)) => return Err(failure.into()),
            }
        }
        // The digest catches what no block, note or table owns; a located damage says more.
        // [R:seg-7]
        let trailer = self.trailer.filter(|_| first.is_none());
        if let Some(trailer) = trailer
            && self.digest_of_file(&trailer)? != trailer.digest
        {
            let all = damage(&self.path, 0, trailer.footer_offset, Cause::Digest);
            report(&all);
            first = Some(all);
        }
        first.map_or(Ok(verified), |damage| Err(damage.into()))
    }

    /// As [`OpenSegment::verify`], of the blocks and notes that begin at `offset` alone. Where
    /// nothing begins, nothing is wrong. Gives the bytes that were asked for.
    ///
    /// # Errors
    /// For failures of the system that are not about the bytes; what was reported before counts.
    pub(crate) fn verify_at(
        &self,
        offset: u64,
        report: &mut dyn FnMut(&Damage),
    ) -> Result<u64, DiskFailure> {
        let mut bytes = 0;
        let mut note = |damage: Damage| report(&damage);
        // Rows of a damaged table may say one offset twice.
        for (index, _) in self.rows_at(offset) {
            let run = self.run_of_block(index);
            let blocks = run.map_or(0..0, Self::blocks_of);
            // The chain of a block is that to which the one before it leads.
            let from = index.saturating_sub(1).max(blocks.start);
            let wanted = from..index + 1;
            let rows = &self.footer.blocks[wanted.clone()];
            bytes += rows
                .iter()
                .map(|row| u64::from(row.stored_len))
                .sum::<u64>();
            if let Some(run) = run {
                let chain = (from == blocks.start).then_some(run.chain_before);
                self.verify_blocks(run, wanted, chain, &mut Verified::default(), &mut note)?;
            }
        }
        let mut runs = self.footer.runs.iter();
        let has_notes = |run: &&RunRow| run.notes_len > 0 && run.notes_offset == offset;
        if let Some(run) = runs.find(has_notes) {
            bytes += u64::from(run.notes_len);
            match self.notes(run) {
                Ok(_) => {}
                Err(ReadError::Damaged(damage)) => note(*damage),
                // Notes cost no record.
                Err(ReadError::Disk(failure)) => {
                    let cause = Cause::Unreadable(failure.of_bytes()?);
                    note(damage(&self.path, offset, u64::from(run.notes_len), cause));
                }
            }
        }
        Ok(bytes)
    }

    /// What tables that were made by a search know to be lost; nothing is read.
    pub(crate) fn lost_blocks(&self) -> impl Iterator<Item = Damage> {
        let rows = self.footer.blocks.iter().enumerate();
        let lost = rows.filter(|(_, row)| row.entry_count == 0);
        lost.map(|(index, _)| self.block_damage(index, Cause::Missing))
    }

    /// Bytes that were read to open it: all of the file where its blocks had to be searched for.
    pub(crate) fn bytes_to_open(&self, file_bytes: u64) -> u64 {
        self.trailer
            .map_or(file_bytes, |trailer| trailer.footer_len)
    }

    fn rows_at(&self, offset: u64) -> impl Iterator<Item = (usize, &BlockRow)> {
        let rows = self.footer.blocks.iter().enumerate();
        rows.filter(move |(_, row)| row.offset == offset)
    }

    fn verify_run(
        &self,
        run: &RunRow,
        verified: &mut Verified,
        note: &mut dyn FnMut(Damage),
    ) -> Result<(), DiskFailure> {
        let before = verified.bytes;
        let chain = Some(run.chain_before);
        let whole = self.verify_blocks(run, Self::blocks_of(run), chain, verified, note)?;
        if whole && verified.bytes - before != run.payload_bytes {
            // [S:footer-2]
            note(Damage {
                cause: Cause::RunBytes,
                ..self.tables_damage()
            });
        }
        Ok(())
    }

    /// Checks neighbouring blocks of a run; says whether all of them are right. Without the chain
    /// before them, that of the first is believed.
    fn verify_blocks(
        &self,
        run: &RunRow,
        blocks: Range<usize>,
        mut chain: Option<ThreadChain>,
        verified: &mut Verified,
        note: &mut dyn FnMut(Damage),
    ) -> Result<bool, DiskFailure> {
        let (mut whole, end) = (true, blocks.end);
        for index in blocks {
            let read = self.read_blocks(index..index + 1).pop();
            let checked = match read {
                Some(Ok(block)) if chain.is_some_and(|chain| block.header.chain != chain) => {
                    chain = Some(block.header.chain);
                    Err(self.block_damage(index, Cause::Chain))
                }
                Some(Ok(block)) => match through(&block, verified) {
                    Ok((reached, after)) => {
                        chain = Some(after);
                        self.leads_on(run, index, reached)
                    }
                    Err(error) => Err(self.block_damage(index, Cause::Decode(error))),
                },
                Some(Err(ReadError::Damaged(damage))) => Err(*damage),
                // What the device did not read is damage of the block; this is not about bytes.
                Some(Err(ReadError::Disk(failure))) => return Err(failure),
                None => Err(self.block_damage(index, Cause::Missing)),
            };
            if let Err(damage) = checked {
                whole = false;
                note(damage);
                // Later blocks are judged from their own stated chain.
                chain = match self.read_next(run, index) {
                    Some(Ok(next)) => Some(next.header.chain),
                    _ => Some(run.chain_after),
                };
            }
        }
        if end == Self::blocks_of(run).end && chain != Some(run.chain_after) {
            note(self.block_damage(end.saturating_sub(1), Cause::Chain));
        }
        Ok(whole)
    }

    /// Whether the records of the block at `index` lead to those of the next one, or to the end of
    /// the run. [S:footer-5]
    fn leads_on(&self, run: &RunRow, index: usize, reached: Ordinal) -> Result<(), Damage> {
        let next = self.footer.blocks.get(index + 1);
        let next = next.filter(|_| Self::blocks_of(run).contains(&(index + 1)));
        let next = next.map_or(run.ordinal_end, |next| next.first_ordinal);
        if reached >= next {
            return Ok(());
        }
        Err(Damage {
            ordinals: Some((reached, next)),
            ..self.block_damage(index, Cause::Tables)
        })
    }

    fn read_next(&self, run: &RunRow, index: usize) -> Option<Result<Block, ReadError>> {
        let next = index + 1;
        if Self::blocks_of(run).contains(&next) {
            self.read_blocks(next..next + 1).pop()
        } else {
            None
        }
    }

    fn digest_of_file(&self, trailer: &Trailer) -> Result<[u8; 32], ReadError> {
        let end = trailer.footer_offset + trailer.footer_len;
        let mut digest = blake3::Hasher::new();
        let mut at = 0;
        while at < end {
            let len = usize::try_from(end - at)
                .unwrap_or(usize::MAX)
                .min(DIGEST_BYTES);
            digest.update(&read(&*self.file, &self.path, at, len)?);
            at += len as u64;
        }
        Ok(*digest.finalize().as_bytes())
    }
}

/// Inflates the stored bytes behind a block's header.
pub(super) fn inflate(
    inflater: &mut zstd::bulk::Decompressor<'_>,
    header: BlockHeader,
    bytes: &[u8],
) -> Result<Block, Cause> {
    let stored_end = BLOCK_HEADER_BYTES + header.stored_len as usize;
    let stored = bytes
        .get(BLOCK_HEADER_BYTES..stored_end)
        .ok_or(Cause::Missing)?;
    let wrong = section_crc(stored) != header.stored_crc;
    if wrong {
        let what = DecodeError {
            what: "block",
            at: 0,
            problem: Problem::BodyChecksum,
        };
        return Err(Cause::Decode(what));
    }
    let raw = match header.codec {
        Codec::Raw => stored.to_vec(),
        // Exactly one frame; several would inflate to what they hold together. [S:block-2]
        Codec::Zstd if find_frame_compressed_size(stored) != Ok(stored.len()) => {
            return Err(Cause::Inflate);
        }
        // The header bounds the inflated size before anything is allocated. [S:block-3]
        Codec::Zstd => inflater
            .decompress(stored, header.raw_len as usize)
            .map_err(|_| Cause::Inflate)?,
    };
    if raw.len() != header.raw_len as usize {
        return Err(Cause::Inflate);
    }
    Ok(Block { header, raw })
}

/// What a verification has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Complete records.
    pub(crate) records: u64,
    /// Their payload bytes.
    pub(crate) bytes: u64,
}

/// The ordinal and the chain behind a block's complete records; counts them.
fn through(block: &Block, verified: &mut Verified) -> Result<(Ordinal, ThreadChain), DecodeError> {
    let mut chain = block.header.chain;
    let mut ordinal = block.header.first_ordinal;
    for entry in Entries::new(&block.raw, block.header.entry_count) {
        let entry = entry?;
        if let Some((len, crc)) = entry.whole() {
            chain = chain.after(
                block.header.thread,
                ordinal,
                entry.kind,
                entry.flags,
                len,
                crc,
            );
            ordinal = ordinal.plus(1);
            verified.records += 1;
            verified.bytes += len;
        }
    }
    Ok((ordinal, chain))
}

pub(super) fn damage(path: &str, offset: u64, length: u64, cause: Cause) -> Damage {
    Damage {
        file: path.to_owned(),
        offset,
        length,
        thread: None,
        ordinals: None,
        cause,
    }
}

pub(super) fn read(
    file: &dyn DiskFile,
    path: &str,
    offset: u64,
    len: usize,
) -> Result<Vec<u8>, ReadError> {
    // A length is believed only as far as the file reaches.
    let size = file.len().map_err(crate::error::failed("measure", path))?;
    if offset.saturating_add(len as u64) > size {
        return Err(damage(path, offset, len as u64, Cause::Missing).into());
    }
    read_exact_at(file, offset, len).map_err(|source| {
        DiskFailure {
            operation: "read",
            path: path.to_owned(),
            source,
        }
        .into()
    })
}
