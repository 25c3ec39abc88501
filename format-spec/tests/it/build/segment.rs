//! Builds parts of segments and whole segment files.

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::record::{Entry, Flags, Kind};
use turnleaf_format::segment::{
    BlockHeader, BlockRow, Class, Codec, Footer, RunRow, SegmentHeader, Trailer, section_crc,
};
use turnleaf_format::{Ordinal, Problem, SegmentId, ThreadChain, ThreadId, ThreadNumber, Version};

use super::{NOW_MS, SEGMENT, STORE, V1, Vector, What, bad, encoded, good, reseal};

/// The entries of `lines()`, compressed once, so that vectors do not depend on a compressor.
const LINES_ZST: &[u8] = include_bytes!("lines.zst");

pub(super) fn segment_header() -> SegmentHeader {
    SegmentHeader {
        version: V1,
        store: STORE,
        segment: SegmentId(SEGMENT),
        class: Class::Pack,
        created_ms: NOW_MS,
    }
}

fn block_header() -> BlockHeader {
    BlockHeader {
        codec: Codec::Zstd,
        offset: 4_096,
        thread: ThreadNumber(7),
        first_ordinal: Ordinal(41),
        entry_count: 3,
        raw_len: 65_536,
        stored_len: 20_000,
        stored_crc: 0x3132_3334,
        chain: ThreadChain(0x2122_2324_2526_2728),
    }
}

pub(super) fn trailer() -> Trailer {
    Trailer {
        version: V1,
        store: STORE,
        segment: SegmentId(SEGMENT),
        footer_offset: 70_000,
        footer_len: 128,
        footer_crc: 0x4142_4344,
        digest: std::array::from_fn(|at| u8::try_from(at).unwrap()),
    }
}

pub(super) fn parts() -> Vec<Vector> {
    let header = segment_header().encode();
    let header = good("segment-header", "of a pack", What::SegmentHeader, header);
    let what = What::Block {
        segment: SEGMENT,
        offset: 4_096,
    };
    let block = block_header().encode(STORE, SegmentId(SEGMENT));
    let block = good("block-header", "of a zstd block", what, block);
    let seed = [&STORE.0[..], &SEGMENT.to_le_bytes()].concat();
    let trailer = good(
        "trailer",
        "of a file",
        What::Trailer { file_len: 70_224 },
        trailer().encode(),
    );
    let file = pack();
    let at = file.footer_offset;
    let footer = &file.bytes[at..file.bytes.len() - 96];
    let footer = good(
        "footer",
        "two runs, three blocks, notes",
        What::Footer,
        footer,
    );
    let mut moved = block.clone();
    (moved.name, moved.about) = ("block-header-elsewhere", "found in another segment");
    (moved.what, moved.refused) = (
        What::Block {
            segment: 0x52,
            offset: 4_096,
        },
        Some(Problem::HeaderChecksum),
    );
    vec![
        bad(
            "segment-header-class",
            "unknown class",
            &header,
            Problem::Reserved,
            |bytes| {
                bytes[32] = 3;
                reseal(bytes, &[], 128);
            },
        ),
        bad(
            "segment-header-newer",
            "for format 2",
            &header,
            Problem::Version,
            |bytes| {
                bytes[7] = 2;
                reseal(bytes, &[], 128);
            },
        ),
        bad(
            "block-header-flip",
            "a flipped bit",
            &block,
            Problem::HeaderChecksum,
            |bytes| {
                bytes[36] ^= 1;
            },
        ),
        bad(
            "block-header-bomb",
            "inflates beyond the bound",
            &block,
            Problem::Length,
            |bytes| {
                bytes[36..40].copy_from_slice(&1_114_177_u32.to_le_bytes());
                reseal(bytes, &seed, 64);
            },
        ),
        bad(
            "trailer-length",
            "file of another length",
            &trailer,
            Problem::Length,
            |bytes| {
                bytes[40] ^= 1;
                reseal(bytes, &[], 96);
            },
        ),
        bad(
            "footer-shared-block",
            "one block in two runs",
            &footer,
            Problem::Length,
            |bytes| {
                bytes[16 + 80 + 40] = 1;
            },
        ),
        bad(
            "footer-count",
            "more rows than bytes",
            &footer,
            Problem::Length,
            |bytes| {
                bytes[4] = 3;
            },
        ),
        header,
        block,
        moved,
        trailer,
        footer,
    ]
}

struct Segment {
    header: SegmentHeader,
    bytes: Vec<u8>,
    footer: Footer,
    footer_offset: usize,
}

impl Segment {
    fn new(header: SegmentHeader) -> Segment {
        let bytes = header.encode().to_vec();
        Segment {
            header,
            bytes,
            footer: Footer::default(),
            footer_offset: 0,
        }
    }

    /// Adds a run that is one block per element of `blocks`: entries, and stored bytes if they are
    /// compressed.
    fn run(
        &mut self,
        thread: u64,
        first: u64,
        chain: ThreadChain,
        blocks: &[(&[Entry<'_>], Option<&[u8]>)],
        notes: &[u8],
    ) {
        let mut run = RunRow {
            thread: ThreadNumber(thread),
            first_ordinal: Ordinal(first),
            ordinal_end: Ordinal(first),
            chain_before: chain,
            chain_after: chain,
            first_block: u32::try_from(self.footer.blocks.len()).unwrap(),
            block_count: u32::try_from(blocks.len()).unwrap(),
            payload_bytes: 0,
            notes_offset: 0,
            notes_len: 0,
            notes_crc: 0,
        };
        for (entries, compressed) in blocks {
            self.block(&run, entries, *compressed);
            for entry in *entries {
                let Some((len, crc)) = entry.whole() else {
                    continue;
                };
                let (kind, flags) = (entry.kind, entry.flags);
                run.chain_after =
                    run.chain_after
                        .after(run.thread, run.ordinal_end, kind, flags, len, crc);
                run.ordinal_end = run.ordinal_end.plus(1);
                run.payload_bytes += len;
            }
        }
        if !notes.is_empty() {
            run.notes_offset = self.bytes.len() as u64;
            run.notes_len = u32::try_from(notes.len()).unwrap();
            run.notes_crc = section_crc(notes);
            self.bytes.extend_from_slice(notes);
        }
        self.footer.runs.push(run);
    }

    fn block(&mut self, run: &RunRow, entries: &[Entry<'_>], compressed: Option<&[u8]>) {
        let raw = encoded(entries);
        let stored = compressed.unwrap_or(&raw);
        let header = BlockHeader {
            codec: if compressed.is_some() {
                Codec::Zstd
            } else {
                Codec::Raw
            },
            offset: self.bytes.len() as u64,
            thread: run.thread,
            first_ordinal: run.ordinal_end,
            entry_count: u32::try_from(entries.len()).unwrap(),
            raw_len: u32::try_from(raw.len()).unwrap(),
            stored_len: u32::try_from(stored.len()).unwrap(),
            stored_crc: section_crc(stored),
            chain: run.chain_after,
        };
        self.footer.blocks.push(BlockRow {
            offset: header.offset,
            first_ordinal: header.first_ordinal,
            stored_len: header.stored_len,
            raw_len: header.raw_len,
            entry_count: header.entry_count,
            continues: !entries[0].begins(),
        });
        self.bytes
            .extend_from_slice(&header.encode(STORE, self.header.segment));
        self.bytes.extend_from_slice(stored);
    }

    fn finish(mut self) -> Segment {
        let footer = self.footer.encode();
        self.footer_offset = self.bytes.len();
        self.bytes.extend_from_slice(&footer);
        let trailer = Trailer {
            version: self.header.version,
            store: STORE,
            segment: self.header.segment,
            footer_offset: self.footer_offset as u64,
            footer_len: footer.len() as u64,
            footer_crc: section_crc(&footer),
            digest: *blake3::hash(&self.bytes).as_bytes(),
        };
        self.bytes.extend_from_slice(&trailer.encode());
        self
    }
}

fn line(text: &[u8]) -> Entry<'_> {
    Entry::inline(Kind::LINE, Flags::NONE, NOW_MS, text)
}

/// Two runs in raw blocks, the first with notes.
fn pack() -> Segment {
    let boundary = Entry::inline(
        Kind::LINE,
        Flags::BOUNDARY,
        NOW_MS,
        b"{\"type\":\"compacted\"}",
    );
    let mut file = Segment::new(segment_header());
    let chain = ThreadChain(0x2122_2324_2526_2728);
    let first = [line(b"{\"n\":5}"), line(b"")];
    file.run(
        3,
        5,
        chain,
        &[(&first, None), (&[boundary], None)],
        b"\x01opaque notes",
    );
    file.run(
        9,
        0,
        ThreadChain::START,
        &[(&[line(b"{\"n\":0}")], None)],
        b"",
    );
    file.finish()
}

/// The payloads of the block in `lines.zst`.
fn lines() -> Vec<String> {
    let line = |at: usize| {
        let role = if at.is_multiple_of(2) {
            "user"
        } else {
            "assistant"
        };
        format!(
            "{{\"timestamp\":\"2026-01-01T00:00:{at:02}.000Z\",\"type\":\"response_item\",\
             \"payload\":{{\"type\":\"message\",\"role\":\"{role}\",\
             \"content\":\"line {at} of the golden block\"}}}}"
        )
    };
    (0..40).map(line).collect()
}

/// A zstd frame written by hand: `head` as it is, then `count` times `byte`.
fn zstd_by_hand(head: &[u8], byte: u8, count: usize) -> Vec<u8> {
    let size = |bits: usize, len: usize| u32::try_from(len << 3 | bits).unwrap().to_le_bytes();
    let content = u16::try_from(head.len() + count - 256).unwrap();
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0x60];
    out.extend_from_slice(&content.to_le_bytes());
    out.extend_from_slice(&size(0, head.len())[..3]);
    out.extend_from_slice(head);
    out.extend_from_slice(&size(0b011, count)[..3]);
    out.push(byte);
    out
}

/// One run in zstd blocks: one as a compressor writes it, one that is written by hand.
fn run_zstd() -> Segment {
    let texts = lines();
    let entries: Vec<_> = texts
        .iter()
        .zip(1_700_000_000_000..)
        .map(|(text, at_ms)| Entry {
            timestamp_ms: at_ms,
            ..line(text.as_bytes())
        })
        .collect();
    let long = [b'a'; 4_000];
    let last = [line(&long)];
    let by_hand = zstd_by_hand(&encoded(&last)[..20], b'a', long.len());
    let header = SegmentHeader {
        class: Class::Run,
        ..segment_header()
    };
    let mut file = Segment::new(header);
    let blocks: [(&[Entry<'_>], _); 2] = [(&entries, Some(LINES_ZST)), (&last, Some(&by_hand))];
    file.run(4, 0, ThreadChain::START, &blocks, b"");
    file.finish()
}

fn catalogue_segment() -> Segment {
    let store = CatalogueRecord::StoreCreated {
        store: STORE,
        at_ms: NOW_MS,
    }
    .encode();
    let id = ThreadId::parse("a").unwrap();
    let thread = CatalogueRecord::ThreadCreated {
        thread: ThreadNumber(1),
        id,
        at_ms: NOW_MS,
    };
    let thread = thread.encode();
    let entries = [
        Entry::inline(Kind::STORE_CREATED, Flags::NONE, NOW_MS, &store),
        Entry::inline(Kind::THREAD_CREATED, Flags::NONE, NOW_MS, &thread),
    ];
    let header = SegmentHeader {
        class: Class::Catalogue,
        ..segment_header()
    };
    let mut file = Segment::new(header);
    file.run(0, 0, ThreadChain::START, &[(&entries, None)], b"");
    file.finish()
}

/// A segment of the catalogue that holds such records.
pub(super) fn of_lineages(version: Version, entries: &[Entry<'_>]) -> Vec<u8> {
    let mut file = Segment::new(SegmentHeader {
        version,
        class: Class::Catalogue,
        ..segment_header()
    });
    file.run(
        0,
        41,
        ThreadChain(0x2122_2324_2526_2728),
        &[(entries, None)],
        b"",
    );
    file.finish().bytes
}

pub(super) fn files() -> Vec<Vector> {
    let what = What::SegmentFile { segment: SEGMENT };
    let file = pack();
    let (blocks, footer_offset) = (file.footer.blocks.clone(), file.footer_offset);
    let packed = good(
        "segment-pack",
        "two runs in raw blocks, notes",
        what,
        file.bytes,
    );
    let run = good(
        "segment-run-zstd",
        "one run, two zstd blocks",
        what,
        run_zstd().bytes,
    );
    let catalogue = catalogue_segment().bytes;
    let catalogue = good("segment-catalogue", "a run of thread 0", what, catalogue);
    let second = usize::try_from(blocks[1].offset).unwrap();
    let mut other = packed.clone();
    (other.name, other.about) = ("segment-other-name", "found under another segment's name");
    (other.what, other.refused) = (What::SegmentFile { segment: 0x52 }, Some(Problem::Place));
    vec![
        bad(
            "segment-block-rot",
            "a flipped payload bit",
            &packed,
            Problem::BodyChecksum,
            |file| {
                file[second + 64 + 25] ^= 1;
            },
        ),
        bad(
            "segment-block-head",
            "a flipped block header",
            &packed,
            Problem::HeaderChecksum,
            |file| {
                file[second + 24] ^= 1;
            },
        ),
        bad(
            "segment-footer-rot",
            "a flipped footer bit",
            &packed,
            Problem::BodyChecksum,
            |file| {
                file[footer_offset + 20] ^= 1;
            },
        ),
        bad(
            "segment-cut",
            "the last byte is missing",
            &packed,
            Problem::Magic,
            |file| {
                file.pop();
            },
        ),
        bad(
            "segment-chain",
            "true checksums, another chain",
            &packed,
            Problem::Place,
            |file| {
                // The chain after the first run is another one; all checksums are made true again.
                file[footer_offset + 16 + 32] ^= 1;
                let end = file.len() - 96;
                let footer = section_crc(&file[footer_offset..end]).to_le_bytes();
                let digest = blake3::hash(&file[..end]);
                file[end + 48..end + 52].copy_from_slice(&footer);
                file[end + 56..end + 88].copy_from_slice(digest.as_bytes());
                reseal(&mut file[end..], &[], 96);
            },
        ),
        packed,
        run,
        catalogue,
        other,
    ]
}
