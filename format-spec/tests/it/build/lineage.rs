//! Builds what format 2 has beside format 1: the records of lineages, and structures that ask for
//! readers of format 2.

use turnleaf_format::catalogue::{Awaited, Base, CatalogueRecord};
use turnleaf_format::frame::FrameHeader;
use turnleaf_format::journal::{HEADER_BYTES, JournalHeader};
use turnleaf_format::record::{Entry, Flags};
use turnleaf_format::segment::{SegmentHeader, TRAILER_BYTES, Trailer};
use turnleaf_format::{Format, Ordinal, Problem, ThreadChain, ThreadId, ThreadNumber, Version};

use super::catalogue::record;
use super::{NOW_MS, STORE, Vector, What, bad, encoded, frame, good, journal, reseal, segment};

const VERSION: Version = Version {
    written_by: Format::LINEAGES,
    readable_by: Format::LINEAGES,
};

fn id(text: &str) -> ThreadId {
    ThreadId::parse(text).unwrap()
}

/// A further rollout that goes on from the first one of its thread, and one that waits for its base.
fn facts() -> [CatalogueRecord; 4] {
    let (thread, rollout) = (ThreadNumber(3), ThreadNumber(0x0102_0304));
    [
        CatalogueRecord::RolloutCreated {
            rollout,
            thread,
            id: id("0199a2c4-77f1-7d30-9c56-0b6f0a1d2e3f"),
            at_ms: NOW_MS,
        },
        CatalogueRecord::Based {
            rollout,
            base: Base {
                rollout: thread,
                end: Ordinal(41),
                chain: ThreadChain(0x1112_1314_1516_1718),
            },
            at_ms: NOW_MS,
        },
        CatalogueRecord::Awaits {
            rollout: ThreadNumber(5),
            awaited: Awaited {
                id: id("elsewhere"),
                stated_end: 77,
                stated_bytes: 1 << 40,
            },
        },
        CatalogueRecord::Current {
            thread,
            rollout,
            at_ms: -1,
        },
    ]
}

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = [records(), again(), headers(), frames()].concat();
    let facts = entries_of_facts();
    all.push(good(
        "journal-lineages",
        "asks for format 2, as one of its frames does",
        What::JournalFile,
        journal::of_lineages(VERSION, &of(&facts)),
    ));
    all.push(good(
        "segment-catalogue-lineages",
        "a run of thread 0 with records of lineages",
        What::SegmentFile {
            segment: super::SEGMENT,
        },
        segment::of_lineages(VERSION, &of(&facts)),
    ));
    for vector in &mut all {
        vector.format = Format::LINEAGES;
    }
    all
}

fn records() -> Vec<Vector> {
    let [created, based, awaits, current] = facts();
    let created = record("catalogue-rollout-created", "", &created);
    let based = record("catalogue-based", "", &based);
    let awaits = record("catalogue-awaits", "", &awaits);
    let current = record("catalogue-current", "a time before 1970", &current);
    let refused = |name, about, of: &Vector, problem, at: usize, value: u8| {
        bad(name, about, of, problem, |bytes| {
            bytes[at..at + 4].fill(0);
            bytes[at] = value;
        })
    };
    let zero = Problem::Reserved;
    vec![
        refused(
            "catalogue-rollout-zero",
            "of the catalogue",
            &created,
            zero,
            8,
            0,
        ),
        refused(
            "catalogue-based-zero",
            "goes on from the catalogue",
            &based,
            zero,
            8,
            0,
        ),
        refused(
            "catalogue-awaits-zero",
            "thread 0 waits",
            &awaits,
            zero,
            0,
            0,
        ),
        refused(
            "catalogue-current-zero",
            "shows the catalogue",
            &current,
            zero,
            8,
            0,
        ),
        bad(
            "catalogue-awaits-id",
            "an id that is a path",
            &awaits,
            Problem::Text,
            |bytes| bytes[26] = b'/',
        ),
        bad(
            "catalogue-based-trailing",
            "a byte more",
            &based,
            Problem::Trailing,
            |bytes| bytes.push(0),
        ),
        bad(
            "catalogue-current-short",
            "a byte less",
            &current,
            Problem::Short,
            |bytes| {
                bytes.pop();
            },
        ),
        created,
        based,
        awaits,
        current,
    ]
}

/// A thread under the id of one that was deleted. [S:catalogue-16]
fn again() -> Vec<Vector> {
    let created = CatalogueRecord::ThreadCreatedAgain {
        thread: ThreadNumber(0x0102_0305),
        id: id("0199a2c4-77f1-7d30-9c56-0b6f0a1d2e3f"),
        at_ms: NOW_MS,
    };
    let created = record("catalogue-created-again", "", &created);
    vec![
        bad(
            "catalogue-created-again-zero",
            "the catalogue again",
            &created,
            Problem::Reserved,
            |bytes| bytes[..8].fill(0),
        ),
        bad(
            "catalogue-created-again-id",
            "an id that is a path",
            &created,
            Problem::Text,
            |bytes| bytes[20] = b'/',
        ),
        created,
    ]
}

/// As it is, and with a number of format that only a later reader knows.
fn with_newer(
    name: [&'static str; 2],
    what: What,
    bytes: &[u8],
    (at, seed, len): (usize, &[u8], usize),
) -> [Vector; 2] {
    let asks = good(name[0], "asks for format 2", what, bytes);
    let newer = bad(
        name[1],
        "asks for format 3",
        &asks,
        Problem::Version,
        |bytes| {
            bytes[at] = 3;
            reseal(bytes, seed, len);
        },
    );
    [asks, newer]
}

fn headers() -> Vec<Vector> {
    let journal = JournalHeader {
        version: VERSION,
        ..journal::journal_header()
    };
    let segment = SegmentHeader {
        version: VERSION,
        class: turnleaf_format::segment::Class::Catalogue,
        ..segment::segment_header()
    };
    let trailer = Trailer {
        version: VERSION,
        ..segment::trailer()
    };
    let file_len = trailer.footer_offset + trailer.footer_len + TRAILER_BYTES as u64;
    let none: &[u8] = &[];
    [
        with_newer(
            ["journal-header-lineages", "journal-header-newer"],
            What::JournalHeader,
            &journal.encode(),
            (7, none, HEADER_BYTES),
        ),
        with_newer(
            ["segment-header-lineages", "segment-header-newer"],
            What::SegmentHeader,
            &segment.encode(),
            (7, none, 128),
        ),
        with_newer(
            ["trailer-lineages", "trailer-newer"],
            What::Trailer { file_len },
            &trailer.encode(),
            (7, none, TRAILER_BYTES),
        ),
    ]
    .concat()
}

fn entries_of_facts() -> Vec<(turnleaf_format::record::Kind, Vec<u8>)> {
    let facts = facts();
    let payloads = facts.iter().map(|fact| (fact.kind(), fact.encode()));
    payloads.collect()
}

fn of(payloads: &[(turnleaf_format::record::Kind, Vec<u8>)]) -> Vec<Entry<'_>> {
    let entries = payloads.iter();
    let entries = entries.map(|(kind, bytes)| Entry::inline(*kind, Flags::NONE, NOW_MS, bytes));
    entries.collect()
}

fn frames() -> Vec<Vector> {
    let facts = entries_of_facts();
    let entries = of(&facts);
    let mut header = FrameHeader {
        readable_by: Format::LINEAGES,
        thread: ThreadNumber::CATALOGUE,
        entry_count: u32::try_from(entries.len()).unwrap(),
        ..frame::batch()
    };
    let bytes = frame::frame(&mut header, &encoded(&entries)).0;
    let what = What::Frame {
        generation: 3,
        offset: 8_232,
    };
    let seed: &[u8] = &STORE.0;
    with_newer(
        ["frame-lineages", "frame-newer"],
        what,
        &bytes,
        (6, seed, 96),
    )
    .to_vec()
}
