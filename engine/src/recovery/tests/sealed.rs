//! Builds segment files from the encoders of the format.

use turnleaf_format::catalogue::{CatalogueRecord, Run};
use turnleaf_format::record::Entry;
use turnleaf_format::segment::{
    BLOCK_HEADER_BYTES, BlockHeader, BlockRow, Class, Codec, Footer, RunRow, SegmentHeader,
    Trailer, section_crc,
};
use turnleaf_format::{Format, Ordinal, SegmentId, ThreadNumber, Version};

use super::build::{STORE, Thread, body_of};

/// A segment file and what its publication says.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) id: SegmentId,
    pub(super) class: Class,
    pub(super) bytes: Vec<u8>,
    pub(super) footer: Footer,
    /// Where the footer begins.
    pub(super) footer_at: usize,
    pub(super) digest: [u8; 32],
    pub(super) runs: Vec<Run>,
}

/// What goes into the segment of one thread: where the thread stands, and its blocks.
pub(super) type Part<'p> = (&'p mut Thread, &'p [&'p [Entry<'p>]]);

impl Segment {
    /// Writes a segment; `odd` may change what a block's header or the footer says.
    pub(super) fn build(
        id: u64,
        class: Class,
        parts: &mut [Part<'_>],
        odd: &dyn Fn(&mut BlockHeader, &mut Footer),
    ) -> Segment {
        let segment = SegmentId(id);
        let header = SegmentHeader {
            version: Version::asking_for(Format::FIRST),
            store: STORE,
            segment,
            class,
            created_ms: 1,
        };
        let mut bytes = header.encode().to_vec();
        let mut footer = Footer::default();
        for (thread, blocks) in parts {
            let before = **thread;
            let first_block = u32::try_from(footer.blocks.len()).unwrap();
            let mut payload_bytes = 0;
            for entries in *blocks {
                let body = body_of(entries);
                let len = u32::try_from(body.len()).unwrap();
                let mut header = BlockHeader {
                    codec: Codec::Raw,
                    offset: bytes.len() as u64,
                    thread: ThreadNumber(thread.number),
                    first_ordinal: Ordinal(thread.next),
                    entry_count: u32::try_from(entries.len()).unwrap(),
                    raw_len: len,
                    stored_len: len,
                    stored_crc: section_crc(&body),
                    chain: thread.chain,
                };
                footer.blocks.push(BlockRow {
                    offset: header.offset,
                    first_ordinal: header.first_ordinal,
                    stored_len: len,
                    raw_len: len,
                    entry_count: header.entry_count,
                    continues: !entries[0].begins(),
                });
                odd(&mut header, &mut Footer::default());
                bytes.extend_from_slice(&header.encode(STORE, segment));
                bytes.extend_from_slice(&body);
                for entry in *entries {
                    thread.pass(entry);
                    payload_bytes += entry.bytes.len() as u64;
                }
            }
            let notes = b"notes";
            footer.runs.push(RunRow {
                thread: ThreadNumber(thread.number),
                first_ordinal: Ordinal(before.next),
                ordinal_end: Ordinal(thread.next),
                chain_before: before.chain,
                chain_after: thread.chain,
                first_block,
                block_count: u32::try_from(blocks.len()).unwrap(),
                payload_bytes,
                notes_offset: bytes.len() as u64,
                notes_len: 5,
                notes_crc: section_crc(notes),
            });
            bytes.extend_from_slice(notes);
        }
        let runs = footer.runs.iter().map(Run::from).collect();
        let mut nobody = BlockHeader {
            codec: Codec::Raw,
            offset: 0,
            thread: ThreadNumber(0),
            first_ordinal: Ordinal(0),
            entry_count: 0,
            raw_len: 0,
            stored_len: 0,
            stored_crc: 0,
            chain: turnleaf_format::ThreadChain::START,
        };
        odd(&mut nobody, &mut footer);
        let mut segment = Segment {
            id: segment,
            class,
            footer_at: bytes.len(),
            bytes,
            footer,
            digest: [0; 32],
            runs,
        };
        segment.close();
        segment
    }

    /// Writes footer and trailer behind what stands before them.
    pub(super) fn close(&mut self) {
        self.bytes.truncate(self.footer_at);
        let footer = self.footer.encode();
        self.bytes.extend_from_slice(&footer);
        self.digest = *blake3::hash(&self.bytes).as_bytes();
        let trailer = Trailer {
            version: Version::asking_for(Format::FIRST),
            store: STORE,
            segment: self.id,
            footer_offset: self.footer_at as u64,
            footer_len: footer.len() as u64,
            footer_crc: section_crc(&footer),
            digest: self.digest,
        };
        self.bytes.extend_from_slice(&trailer.encode());
    }

    pub(super) fn name(&self) -> String {
        let dir = if self.class == Class::Catalogue {
            "catalogue"
        } else {
            "segments"
        };
        format!("{dir}/{:016x}.tls", self.id.0)
    }

    pub(super) fn published(&self) -> CatalogueRecord {
        CatalogueRecord::SegmentPublished {
            segment: self.id,
            class: self.class,
            file_bytes: self.bytes.len() as u64,
            digest: self.digest,
            runs: self.runs.clone(),
        }
    }

    /// Where the stored bytes of a block begin.
    pub(super) fn stored_at(&self, block: usize) -> usize {
        usize::try_from(self.footer.blocks[block].offset).unwrap() + BLOCK_HEADER_BYTES
    }
}
