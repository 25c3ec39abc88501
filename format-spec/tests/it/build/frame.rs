//! Builds single frames.

use turnleaf_format::frame::{FrameHeader, Position, body_crc};
use turnleaf_format::record::{Entry, Flags, Kind};
use turnleaf_format::{
    Format, Generation, JournalChain, Ordinal, Problem, ThreadChain, ThreadNumber,
};

use super::{NOW_MS, STORE, Vector, What, bad, encoded, good, reseal};

/// A frame's bytes without its gap, and the chain after it.
pub(super) fn frame(header: &mut FrameHeader, body: &[u8]) -> (Vec<u8>, JournalChain) {
    header.body_len = u32::try_from(body.len()).unwrap();
    header.body_crc = body_crc(body);
    let (bytes, check) = header.encode(STORE);
    (
        [&bytes[..], body].concat(),
        header.journal_chain.after(check, header.body_crc),
    )
}

pub(super) fn batch() -> FrameHeader {
    FrameHeader {
        readable_by: Format::FIRST,
        place: Position {
            generation: Generation(3),
            offset: 8_232,
        },
        thread: ThreadNumber(7),
        first_ordinal: Ordinal(41),
        entry_count: 2,
        body_len: 0,
        durable_upto: Position {
            generation: Generation(3),
            offset: 8_192,
        },
        epoch: 5,
        journal_chain: JournalChain(0x1112_1314_1516_1718),
        thread_chain: ThreadChain(0x2122_2324_2526_2728),
        body_crc: 0,
    }
}

pub(super) fn marker_at(place: Position, chain: JournalChain) -> FrameHeader {
    FrameHeader {
        readable_by: Format::FIRST,
        place,
        thread: ThreadNumber::CATALOGUE,
        first_ordinal: Ordinal(0),
        entry_count: 0,
        body_len: 0,
        durable_upto: place,
        epoch: 2,
        journal_chain: chain,
        thread_chain: ThreadChain::START,
        body_crc: 0,
    }
}

pub(super) fn vectors() -> Vec<Vector> {
    let what = What::Frame {
        generation: 3,
        offset: 8_232,
    };
    let body = encoded(&[
        Entry::inline(Kind::LINE, Flags::NONE, NOW_MS, b"{\"type\":\"event_msg\"}"),
        Entry::inline(
            Kind::LINE,
            Flags::BOUNDARY,
            NOW_MS + 1,
            b"{\"type\":\"compacted\"}",
        ),
    ]);
    let two = good(
        "frame-batch",
        "two records",
        what,
        frame(&mut batch(), &body).0,
    );
    let marker = marker_at(batch().place, batch().journal_chain);
    let marker = good("frame-marker", "a marker", what, marker.encode(STORE).0);
    let edited = |name, about, refused, at: usize, value: u8| {
        bad(name, about, &two, refused, |bytes| {
            bytes[at] = value;
            reseal(bytes, &STORE.0, 96);
        })
    };
    let mut foreign = two.bytes.clone();
    reseal(&mut foreign, &[0xee; 16], 96);
    let mut elsewhere = two.clone();
    (elsewhere.name, elsewhere.about) = ("frame-elsewhere", "found 8 bytes later");
    (elsewhere.what, elsewhere.refused) = (
        What::Frame {
            generation: 3,
            offset: 8_240,
        },
        Some(Problem::Place),
    );
    let mut recycled = two.clone();
    (recycled.name, recycled.about) = ("frame-older", "found in a later generation");
    (recycled.what, recycled.refused) = (
        What::Frame {
            generation: 4,
            offset: 8_232,
        },
        Some(Problem::Place),
    );
    vec![
        bad(
            "frame-flip",
            "a flipped header bit",
            &two,
            Problem::HeaderChecksum,
            |bytes| {
                bytes[44] ^= 1;
            },
        ),
        bad(
            "frame-body-flip",
            "a flipped payload bit",
            &two,
            Problem::BodyChecksum,
            |bytes| {
                bytes[120] ^= 1;
            },
        ),
        bad(
            "frame-foreign",
            "of another store",
            &two,
            Problem::HeaderChecksum,
            |bytes| {
                *bytes = foreign;
            },
        ),
        bad(
            "frame-cut",
            "ends in its header",
            &two,
            Problem::Short,
            |bytes| bytes.truncate(95),
        ),
        edited(
            "frame-newer",
            "for readers of format 2",
            Problem::Version,
            6,
            2,
        ),
        edited("frame-flags", "reserved flag", Problem::Reserved, 7, 2),
        edited(
            "frame-count",
            "more entries than fit",
            Problem::Length,
            40,
            5,
        ),
        edited(
            "frame-durable",
            "durable beyond itself",
            Problem::Length,
            57,
            0x21,
        ),
        two,
        marker,
        elsewhere,
        recycled,
    ]
}
