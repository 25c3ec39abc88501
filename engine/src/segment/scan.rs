//! Owns the search for the blocks of a segment whose tables cannot be trusted, and the tables that
//! follow from what was found.

use turnleaf_format::catalogue::Run;
use turnleaf_format::record::Entries;
use turnleaf_format::segment::{
    BLOCK_HEADER_BYTES, BLOCK_MAGIC, BLOCK_RAW_BYTES_MAX, BlockHeader, BlockRow, Footer,
    HEADER_BYTES, RunRow,
};
use turnleaf_format::{Ordinal, StoreId, ThreadChain, ThreadNumber};

use super::read::inflate;
use crate::disk::{DiskFile, read_exact_at};
use crate::error::{DiskFailure, ReadError, SystemError, failed};
use crate::view::SegmentFile;

/// Bytes that are searched at once.
const WINDOW_BYTES: u64 = 1 << 20;
/// What is passed over where the device cannot read.
const SECTOR_BYTES: u64 = 4096;

/// A block whose header is right.
#[derive(Debug, Clone, Copy)]
struct Found {
    header: BlockHeader,
    /// What stands in it, when all of it is right.
    content: Option<Content>,
}

#[derive(Debug, Clone, Copy)]
struct Content {
    /// Ordinal of the next record, or of the one that the block leaves unfinished.
    end: Ordinal,
    chain: ThreadChain,
    continues: bool,
    unfinished: bool,
    payload_bytes: u64,
}

/// What was found by looking for blocks.
pub(super) struct FoundTables {
    /// `None` when there is no block at all.
    pub(super) footer: Option<Footer>,
    /// The first place that the device did not read, and why: a block may stand there.
    pub(super) unsearched: Option<(u64, SystemError)>,
}

/// Tables made from the blocks of a file. Where a block is missing, a row stands for it: reading it
/// says which ordinals it costs.
pub(super) fn found_tables(
    file: &dyn DiskFile,
    path: &str,
    len: u64,
    store: StoreId,
    segment: &SegmentFile,
) -> Result<FoundTables, ReadError> {
    let mut search = Search {
        file,
        path,
        len,
        unsearched: None,
        failure: None,
    };
    let found = search.blocks(store, segment)?;
    if let Some(failure) = search.failure {
        return Err(failure.into());
    }
    let mut footer = Footer::default();
    match &segment.published {
        Some(published) => {
            for run in &published.runs {
                add_run(&mut footer, run, &found, len);
            }
        }
        None => {
            for run in runs_of(&found) {
                add_run(&mut footer, &run, &found, len);
            }
        }
    }
    Ok(FoundTables {
        footer: (!footer.runs.is_empty()).then_some(footer),
        unsearched: search.unsearched,
    })
}

/// A search through a file whatever the device says about parts of it.
struct Search<'f> {
    file: &'f dyn DiskFile,
    path: &'f str,
    len: u64,
    unsearched: Option<(u64, SystemError)>,
    /// The first failure that says nothing about the file: what was found is not all of it.
    failure: Option<DiskFailure>,
}

impl Search<'_> {
    /// All blocks whose headers are right, in order.
    fn blocks(&mut self, store: StoreId, segment: &SegmentFile) -> Result<Vec<Found>, ReadError> {
        let mut inflater = zstd::bulk::Decompressor::new()
            .map_err(failed("set up the decompression of", self.path))?;
        let mut found = Vec::new();
        let mut at = HEADER_BYTES as u64;
        while at + BLOCK_HEADER_BYTES as u64 <= self.len {
            let head = self.part(at, BLOCK_HEADER_BYTES as u64).unwrap_or_default();
            if let Ok(header) = BlockHeader::decode(&head, store, segment.segment, at) {
                let whole = BLOCK_HEADER_BYTES as u64 + u64::from(header.stored_len);
                let bytes = self.part(at, whole).unwrap_or_default();
                let content = content_of(&mut inflater, header, &bytes);
                found.push(Found { header, content });
                at += whole;
                continue;
            }
            at = self.next_magic(at + 1);
        }
        Ok(found)
    }

    /// Where the next magic of a block stands, or the end.
    fn next_magic(&mut self, from: u64) -> u64 {
        let mut at = from;
        while at < self.len {
            // The last bytes before a hole may begin a magic; a hole does not.
            match self.file.next_data(at) {
                Ok(None) => return self.len,
                Ok(Some(data)) => at = at.max(data.saturating_sub(3)),
                Err(_) => {}
            }
            let reach = (at + WINDOW_BYTES).min(self.len);
            let len = usize::try_from(reach - at).unwrap_or(0);
            let (bytes, reach) = match read_exact_at(self.file, at, len) {
                Ok(bytes) => (bytes, reach),
                Err(_) => {
                    let sector = (at + SECTOR_BYTES).min(self.len);
                    (self.part(at, sector - at).unwrap_or_default(), sector)
                }
            };
            if let Some(place) = memchr::memmem::find(&bytes, &BLOCK_MAGIC) {
                return at + place as u64;
            }
            // A magic may lie over the border of two windows.
            at = if reach < self.len { reach - 3 } else { reach };
        }
        self.len
    }

    /// Bytes of the file, as far as it reaches; what the device does not read is noted.
    fn part(&mut self, at: u64, bytes: u64) -> Option<Vec<u8>> {
        let here = self.len.saturating_sub(at).min(bytes);
        match read_exact_at(self.file, at, usize::try_from(here).ok()?) {
            Ok(bytes) => Some(bytes),
            Err(source) => {
                match failed("read", self.path)(source).of_bytes() {
                    Ok(why) => _ = self.unsearched.get_or_insert((at, why)),
                    Err(failure) => _ = self.failure.get_or_insert(failure),
                }
                None
            }
        }
    }
}

fn content_of(
    inflater: &mut zstd::bulk::Decompressor<'_>,
    header: BlockHeader,
    bytes: &[u8],
) -> Option<Content> {
    let block = inflate(inflater, header, bytes).ok()?;
    let mut content = Content {
        end: header.first_ordinal,
        chain: header.chain,
        continues: false,
        unfinished: false,
        payload_bytes: 0,
    };
    for (index, entry) in Entries::new(&block.raw, header.entry_count).enumerate() {
        let entry = entry.ok()?;
        if index == 0 {
            content.continues = !entry.begins();
        }
        content.unfinished = !entry.completes();
        if let Some((len, crc)) = entry.whole() {
            let (kind, flags) = (entry.kind, entry.flags);
            let (thread, ordinal) = (header.thread, content.end);
            content.chain = content.chain.after(thread, ordinal, kind, flags, len, crc);
            content.end = content.end.plus(1);
            content.payload_bytes += len;
        }
    }
    Some(content)
}

/// Runs as the blocks show them, for a segment that no record describes: up to the last good block.
fn runs_of(found: &[Found]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for block in found {
        let (header, thread) = (&block.header, block.header.thread);
        if runs.last().is_none_or(|run| run.thread != thread) {
            if runs.iter().any(|run| run.thread >= thread) {
                continue;
            }
            runs.push(Run {
                thread,
                first_ordinal: header.first_ordinal,
                ordinal_end: header.first_ordinal,
                chain_before: header.chain,
                chain_after: header.chain,
                payload_bytes: 0,
            });
        }
        if let (Some(run), Some(content)) = (runs.last_mut(), block.content) {
            run.ordinal_end = content.end;
            run.chain_after = content.chain;
            run.payload_bytes += content.payload_bytes;
        }
    }
    runs.retain(|run| run.first_ordinal < run.ordinal_end);
    runs
}

/// Adds the rows of a run: its blocks, and one for every stretch of ordinals without a block.
fn add_run(footer: &mut Footer, run: &Run, found: &[Found], len: u64) {
    let first_block = footer.blocks.len();
    let mut reached = Some((run.first_ordinal, false));
    // A row that stands for a lost block may reach over blocks of other runs.
    let real = footer.blocks.iter().rev().find(|row| row.entry_count > 0);
    let mut at = real.map_or(HEADER_BYTES as u64, row_end);
    let mut highest = run.first_ordinal;
    for block in found.iter().filter(|block| is_of(&block.header, run)) {
        let header = &block.header;
        let continues = block.content.is_some_and(|content| content.continues);
        if header.first_ordinal < highest || header.offset < at {
            continue;
        }
        if let Some((ordinal, unfinished)) = reached {
            let lacks_beginning = continues && !unfinished;
            if header.first_ordinal > ordinal || lacks_beginning {
                footer.blocks.push(lost_row(at, header.offset, ordinal));
            }
        }
        let row = BlockRow {
            offset: header.offset,
            first_ordinal: header.first_ordinal,
            stored_len: header.stored_len,
            raw_len: header.raw_len,
            entry_count: header.entry_count,
            continues,
        };
        (at, highest) = (row_end(&row), header.first_ordinal);
        footer.blocks.push(row);
        reached = block
            .content
            .map(|content| (content.end, content.unfinished));
    }
    let ends = reached.filter(|(ordinal, _)| *ordinal < run.ordinal_end);
    if let Some((ordinal, _)) = ends {
        footer.blocks.push(lost_row(at, len.max(at), ordinal));
    }
    let count = |blocks: usize| u32::try_from(blocks).unwrap_or(u32::MAX);
    footer.runs.push(RunRow {
        thread: run.thread,
        first_ordinal: run.first_ordinal,
        ordinal_end: run.ordinal_end,
        chain_before: run.chain_before,
        chain_after: run.chain_after,
        first_block: count(first_block),
        block_count: count(footer.blocks.len() - first_block),
        payload_bytes: run.payload_bytes,
        notes_offset: 0,
        notes_len: 0,
        notes_crc: 0,
    });
}

fn is_of(header: &BlockHeader, run: &Run) -> bool {
    let ThreadNumber(thread) = header.thread;
    thread == run.thread.0
        && header.first_ordinal >= run.first_ordinal
        && header.first_ordinal < run.ordinal_end
}

fn row_end(row: &BlockRow) -> u64 {
    row.offset + BLOCK_HEADER_BYTES as u64 + u64::from(row.stored_len)
}

/// Stands for a block that is not there; what stands at its place is never one of the run.
fn lost_row(offset: u64, end: u64, first_ordinal: Ordinal) -> BlockRow {
    let room = (end - offset).saturating_sub(BLOCK_HEADER_BYTES as u64);
    let room = room.min(BLOCK_RAW_BYTES_MAX as u64);
    BlockRow {
        offset,
        first_ordinal,
        stored_len: u32::try_from(room).unwrap_or(0),
        raw_len: 0,
        entry_count: 0,
        continues: false,
    }
}
