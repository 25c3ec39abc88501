//! Owns the writing of one segment: temporary name, write, sync, read back, rename. [S:segment-4]

use std::sync::Arc;

use turnleaf_format::catalogue::Run;
use turnleaf_format::record::Entry;
use turnleaf_format::segment::{
    BLOCK_RAW_BYTES, BlockHeader, BlockRow, Class, Codec, Footer, HEADER_BYTES, RunRow,
    SegmentHeader, Trailer, section_crc,
};
use turnleaf_format::{Ordinal, SegmentId, ThreadChain, ThreadNumber};

use super::read::OpenSegment;
use crate::disk::{Disk, DiskFile};
use crate::error::{DiskFailure, ReadError, failed};
use crate::layout::{TEMPORARY, segment_dir, segment_path};
use crate::view::SegmentFile;

/// zstd level of blocks: the measured best trade between ratio and speed.
const ZSTD_LEVEL: i32 = 3;
/// Bytes gathered before they are written to the file.
const WRITE_BYTES: usize = 1 << 20;

/// A segment that stands complete under its final name, durable, and may be published.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) segment: SegmentId,
    pub(crate) class: Class,
    pub(crate) file_bytes: u64,
    pub(crate) digest: [u8; 32],
    pub(crate) runs: Vec<Run>,
}

struct OpenRun {
    row: RunRow,
    next: Ordinal,
    chain: ThreadChain,
}

#[derive(Default)]
struct OpenBlock {
    raw: Vec<u8>,
    entries: u32,
    first: Ordinal,
    chain: ThreadChain,
    continues: bool,
}

/// Writes one segment from start to end.
pub(crate) struct SegmentWriter {
    disk: Arc<dyn Disk>,
    header: SegmentHeader,
    temporary: String,
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    written: u64,
    digest: blake3::Hasher,
    /// The class that it may still become, and the digest that it then has.
    other: Option<(Class, blake3::Hasher)>,
    footer: Footer,
    run: Option<OpenRun>,
    block: OpenBlock,
    compressor: zstd::bulk::Compressor<'static>,
}

impl SegmentWriter {
    /// Creates the temporary file.
    pub(crate) fn create(
        disk: &Arc<dyn Disk>,
        header: SegmentHeader,
    ) -> Result<SegmentWriter, DiskFailure> {
        let path = segment_path(header.class, header.segment);
        let temporary = format!("{path}{TEMPORARY}");
        let file = disk
            .create(&temporary)
            .map_err(failed("create", &temporary))?;
        let compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)
            .map_err(failed("set up the compression of", &temporary))?;
        let mut writer = SegmentWriter {
            disk: Arc::clone(disk),
            header,
            temporary,
            file,
            buffer: Vec::with_capacity(WRITE_BYTES + BLOCK_RAW_BYTES),
            written: 0,
            digest: blake3::Hasher::new(),
            other: None,
            footer: Footer::default(),
            run: None,
            block: OpenBlock::default(),
            compressor,
        };
        writer.emit(&header.encode())?;
        Ok(writer)
    }

    /// Leaves it open which of two classes the segment gets. Before anything is pushed.
    pub(crate) fn may_become(&mut self, class: Class) {
        assert_eq!(self.offset(), HEADER_BYTES as u64, "nothing is pushed");
        let header = SegmentHeader {
            class,
            ..self.header
        };
        let mut digest = blake3::Hasher::new();
        digest.update(&header.encode());
        self.other = Some((class, digest));
    }

    /// Gives the segment its other class.
    pub(crate) fn become_other(&mut self) -> Result<(), DiskFailure> {
        let (class, digest) = self.other.take().expect("another class was left open");
        (self.header.class, self.digest) = (class, digest);
        self.write_out()?;
        self.file
            .write_at(0, &self.header.encode())
            .map_err(failed("write", &self.temporary))
    }

    /// Begins the run of a thread; runs come in the order of thread numbers.
    pub(crate) fn begin_run(&mut self, thread: ThreadNumber, first: Ordinal, chain: ThreadChain) {
        assert!(self.run.is_none(), "a run ends before the next begins");
        let row = RunRow {
            thread,
            first_ordinal: first,
            ordinal_end: first,
            chain_before: chain,
            chain_after: chain,
            first_block: count(self.footer.blocks.len()),
            block_count: 0,
            payload_bytes: 0,
            notes_offset: 0,
            notes_len: 0,
            notes_crc: 0,
        };
        self.run = Some(OpenRun {
            row,
            next: first,
            chain,
        });
    }

    /// Adds the next entry of the run. A boundary begins a block. [S:block-4]
    pub(crate) fn push(&mut self, entry: &Entry<'_>) -> Result<(), DiskFailure> {
        let boundary = entry.begins() && entry.flags.has(turnleaf_format::record::Flags::BOUNDARY);
        let full = self.block.raw.len() + entry.encoded_len() > BLOCK_RAW_BYTES;
        if self.block.entries > 0 && (boundary || full) {
            self.close_block()?;
        }
        let run = self.run.as_mut().expect("an entry is pushed into a run");
        if self.block.entries == 0 {
            self.block.first = run.next;
            self.block.chain = run.chain;
            self.block.continues = !entry.begins();
        }
        entry.encode(&mut self.block.raw);
        self.block.entries += 1;
        if let Some((len, crc)) = entry.whole() {
            run.chain =
                run.chain
                    .after(run.row.thread, run.next, entry.kind, entry.flags, len, crc);
            run.next = run.next.plus(1);
            run.row.payload_bytes += len;
        }
        Ok(())
    }

    /// Ends the run and attaches its notes. A run whose last record lacks chunks must not be ended.
    pub(crate) fn end_run(&mut self, notes: &[u8]) -> Result<Run, DiskFailure> {
        self.close_block()?;
        let OpenRun {
            mut row,
            next,
            chain,
        } = self.run.take().expect("a run is open");
        row.ordinal_end = next;
        row.chain_after = chain;
        row.block_count = count(self.footer.blocks.len()) - row.first_block;
        if !notes.is_empty() {
            row.notes_offset = self.offset();
            row.notes_len = count(notes.len());
            row.notes_crc = section_crc(notes);
            self.emit(notes)?;
        }
        self.footer.runs.push(row);
        Ok(Run::from(&row))
    }

    /// Completes the file, makes it durable, reads it back, and gives it its final name.
    pub(crate) fn finish(&mut self) -> Result<Sealed, ReadError> {
        assert!(self.run.is_none(), "runs are ended before the segment");
        let footer = self.footer.encode();
        let footer_offset = self.offset();
        self.emit(&footer)?;
        let trailer = Trailer {
            version: self.header.version,
            store: self.header.store,
            segment: self.header.segment,
            footer_offset,
            footer_len: footer.len() as u64,
            footer_crc: section_crc(&footer),
            digest: *self.digest.finalize().as_bytes(),
        };
        self.buffer.extend_from_slice(&trailer.encode());
        self.write_out()?;
        // DURABILITY: synced on the descriptor that wrote, so that a write-back error is seen here.
        self.file.sync().map_err(failed("sync", &self.temporary))?;
        let SegmentHeader {
            store,
            segment,
            class,
            ..
        } = self.header;
        let path = segment_path(class, segment);
        let as_written = SegmentFile {
            segment,
            class,
            published: None,
        };
        let file = Arc::clone(&self.file);
        let reread = OpenSegment::of_file(file, &self.temporary, store, &as_written)?;
        reread.verify(&mut |_| {})?;
        self.disk
            .rename(&self.temporary, &path)
            .map_err(failed("rename", &self.temporary))?;
        let dir = segment_dir(class);
        // DURABILITY: the name is durable before the catalogue may mention it.
        self.disk
            .sync_dir(dir)
            .map_err(failed("sync the directory", dir))?;
        Ok(Sealed {
            segment,
            class,
            file_bytes: self.written,
            digest: trailer.digest,
            runs: self.footer.runs.iter().map(Run::from).collect(),
        })
    }

    fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Adds bytes that the digest covers.
    fn emit(&mut self, bytes: &[u8]) -> Result<(), DiskFailure> {
        self.digest.update(bytes);
        if let Some((_, digest)) = &mut self.other {
            digest.update(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES {
            self.write_out()
        } else {
            Ok(())
        }
    }

    fn write_out(&mut self) -> Result<(), DiskFailure> {
        self.file
            .write_at(self.written, &self.buffer)
            .map_err(failed("write", &self.temporary))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn close_block(&mut self) -> Result<(), DiskFailure> {
        if self.block.entries == 0 {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        let run = self.run.as_ref().expect("a block belongs to a run");
        let squeezed = self
            .compressor
            .compress(&block.raw)
            .map_err(failed("compress a block of", &self.temporary))?;
        // A block that does not shrink is stored as it is, so stored never exceeds inflated.
        let (codec, stored) = if squeezed.len() < block.raw.len() {
            (Codec::Zstd, &squeezed)
        } else {
            (Codec::Raw, &block.raw)
        };
        let header = BlockHeader {
            codec,
            offset: self.offset(),
            thread: run.row.thread,
            first_ordinal: block.first,
            entry_count: block.entries,
            raw_len: count(block.raw.len()),
            stored_len: count(stored.len()),
            stored_crc: section_crc(stored),
            chain: block.chain,
        };
        self.footer.blocks.push(BlockRow {
            offset: header.offset,
            first_ordinal: header.first_ordinal,
            stored_len: header.stored_len,
            raw_len: header.raw_len,
            entry_count: header.entry_count,
            continues: block.continues,
        });
        let head = header.encode(self.header.store, self.header.segment);
        self.emit(&head)?;
        self.emit(stored)?;
        // The buffer is used again for the next block.
        self.block.raw = block.raw;
        self.block.raw.clear();
        Ok(())
    }
}

/// Table sizes and block lengths fit 32 bits by the bounds of a segment.
fn count(len: usize) -> u32 {
    u32::try_from(len).expect("the bounds of a segment keep its tables below 2^32")
}
