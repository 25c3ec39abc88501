//! Builds entries.

use turnleaf_format::Problem;
use turnleaf_format::record::{Chunk, Entry, Flags, INLINE_BYTES_MAX, Kind, payload_crc};

use super::{NOW_MS, Vector, What, bad, encoded, good};

pub(super) fn vectors() -> Vec<Vector> {
    let all = Flags::BOUNDARY
        .with(Flags::NO_LINE_FEED)
        .with(Flags::CONTINUES);
    let inline = good(
        "entry-inline",
        "inline, flags, empty payload, metadata, unknown kind",
        What::Entries { count: 5 },
        encoded(&[
            Entry::inline(Kind::LINE, Flags::NONE, NOW_MS, b"{\"a\": \"\xc3\xa9\"}"),
            Entry::inline(Kind::LINE, all, -1, b"not json\0\xff\r"),
            Entry::inline(Kind::LINE, Flags::NO_LINE_FEED, 0, b""),
            Entry::inline(Kind::METADATA, Flags::NONE, NOW_MS, b"{\"name\":\"x\"}"),
            Entry::inline(Kind(99), Flags::NONE, i64::MIN, b"kept"),
        ]),
    );
    let whole: Vec<u8> = (0..INLINE_BYTES_MAX + 7)
        .map(|at| [b'a', b'b', b'c'][at % 3])
        .collect();
    let chunk = |offset: usize, end: usize, last| Entry {
        chunk: Some(Chunk {
            offset: offset as u64,
            last,
        }),
        ..Entry::inline(Kind::LINE, Flags::NONE, NOW_MS, &whole[offset..end])
    };
    let last = chunk(INLINE_BYTES_MAX, whole.len(), Some(payload_crc(&whole)));
    let chunks = good(
        "entry-chunks",
        "a record of 1 MiB and 7 bytes: first and last chunk",
        What::Entries { count: 2 },
        encoded(&[chunk(0, INLINE_BYTES_MAX, None), last]),
    );
    let last = good(
        "entry-last",
        "a last chunk alone",
        What::Entries { count: 1 },
        encoded(&[last]),
    );
    vec![
        bad(
            "entry-flip",
            "a flipped payload bit",
            &inline,
            Problem::BodyChecksum,
            |bytes| {
                bytes[25] ^= 1;
            },
        ),
        bad(
            "entry-trailing",
            "a byte left over",
            &inline,
            Problem::Trailing,
            |bytes| {
                bytes.push(0);
            },
        ),
        bad(
            "entry-cut",
            "the last byte is missing",
            &inline,
            Problem::Short,
            |bytes| {
                bytes.pop();
            },
        ),
        bad(
            "entry-flags",
            "reserved flag",
            &inline,
            Problem::Reserved,
            |bytes| bytes[1] = 8,
        ),
        bad(
            "entry-form",
            "reserved form 2",
            &inline,
            Problem::Reserved,
            |bytes| bytes[2] = 2,
        ),
        bad(
            "entry-chunk-place",
            "chunk between chunks",
            &last,
            Problem::Length,
            |bytes| {
                bytes[20] = 1;
            },
        ),
        bad(
            "entry-chunk-short",
            "short, but not last",
            &last,
            Problem::Length,
            |bytes| {
                bytes[28..33].fill(0);
            },
        ),
        inline,
        chunks,
        last,
    ]
}
