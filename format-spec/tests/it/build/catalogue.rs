//! Builds catalogue records.

use turnleaf_format::catalogue::{CatalogueRecord, JournalLost, Lost, Run};
use turnleaf_format::record::Kind;
use turnleaf_format::segment::Class;
use turnleaf_format::{
    Generation, Ordinal, Problem, SegmentId, ThreadChain, ThreadId, ThreadNumber,
};

use super::{NOW_MS, SEGMENT, STORE, Vector, What, bad, good};

pub(super) fn record(name: &'static str, about: &'static str, record: &CatalogueRecord) -> Vector {
    good(
        name,
        about,
        What::Catalogue {
            kind: record.kind(),
        },
        record.encode(),
    )
}

pub(super) fn vectors() -> Vec<Vector> {
    let (thread, at_ms) = (ThreadNumber(3), NOW_MS);
    let id = ThreadId::parse("0199a2c4-77f1-7d30-9c56-0b6f0a1d2e3f").unwrap();
    let run = |thread| Run {
        thread: ThreadNumber(thread),
        first_ordinal: Ordinal(3),
        ordinal_end: Ordinal(9),
        chain_before: ThreadChain(0x0102_0304_0506_0708),
        chain_after: ThreadChain(0x1112_1314_1516_1718),
        payload_bytes: 77,
    };
    let published = CatalogueRecord::SegmentPublished {
        segment: SegmentId(SEGMENT),
        class: Class::Pack,
        file_bytes: 4_096,
        digest: std::array::from_fn(|at| u8::try_from(at).unwrap()),
        runs: vec![run(3), run(4)],
    };
    let replaced = CatalogueRecord::Replaced {
        old: SegmentId(1),
        thread,
        new: SegmentId(2),
    };
    let import = CatalogueRecord::Import {
        thread,
        source_bytes: 1 << 40,
        ordinal_end: Ordinal(1_000_000),
        file_bytes: 12_345,
        modified_ns: -1,
        path: "sessions/\u{e9}\u{1f33f}.jsonl".to_owned(),
    };
    let epoch = CatalogueRecord::Epoch {
        epoch: 4,
        at_ms,
        pid: 77,
        host: "host".to_owned(),
    };
    let created = CatalogueRecord::ThreadCreated { thread, id, at_ms };
    let created = record("catalogue-thread-created", "", &created);
    let published = record(
        "catalogue-segment-published",
        "a pack of two runs",
        &published,
    );
    let archived = |archived| CatalogueRecord::Archived {
        thread,
        archived,
        at_ms,
    };
    let store = CatalogueRecord::StoreCreated {
        store: STORE,
        at_ms,
    };
    let lost = CatalogueRecord::Lost(Lost {
        thread,
        first_ordinal: Ordinal(40),
        ordinal_end: Ordinal(44),
        chain_after: ThreadChain(0x1112_1314_1516_1718),
        at_ms,
    });
    let lost = record("catalogue-lost", "four records", &lost);
    let journal_lost = CatalogueRecord::JournalLost(JournalLost {
        generation: Generation(7),
        offset: 8_192,
        end: 9_000,
        at_ms,
    });
    let journal_lost = record("catalogue-journal-lost", "", &journal_lost);
    let withdrawn = CatalogueRecord::Replaced {
        old: SegmentId(1),
        thread,
        new: SegmentId::NONE,
    };
    let unknown = What::Catalogue { kind: Kind(200) };
    vec![
        record("catalogue-store-created", "", &store),
        record("catalogue-replaced", "", &replaced),
        record("catalogue-withdrawn", "replaced by nothing", &withdrawn),
        record("catalogue-archived", "", &archived(true)),
        record("catalogue-unarchived", "", &archived(false)),
        record(
            "catalogue-deleted",
            "",
            &CatalogueRecord::Deleted { thread, at_ms },
        ),
        record(
            "catalogue-purged",
            "",
            &CatalogueRecord::Purged { thread, at_ms },
        ),
        record("catalogue-import", "a path that is not ASCII", &import),
        record("catalogue-epoch", "", &epoch),
        good(
            "catalogue-unknown",
            "a kind that nobody knows is kept",
            unknown,
            *b"anything",
        ),
        bad(
            "catalogue-thread-zero",
            "speaks of itself",
            &created,
            Problem::Reserved,
            |bytes| {
                bytes[0] = 0;
            },
        ),
        bad(
            "catalogue-thread-id",
            "an id that is a path",
            &created,
            Problem::Text,
            |bytes| {
                bytes[18] = b'/';
            },
        ),
        bad(
            "catalogue-trailing",
            "a byte left over",
            &created,
            Problem::Trailing,
            |bytes| {
                bytes.push(0);
            },
        ),
        bad(
            "catalogue-runs",
            "threads descend",
            &published,
            Problem::Length,
            |bytes| {
                bytes[56] = 5;
            },
        ),
        bad(
            "catalogue-count",
            "more rows than bytes",
            &published,
            Problem::Short,
            |bytes| {
                bytes[12] = 3;
            },
        ),
        bad(
            "catalogue-lost-descends",
            "ends before it begins",
            &lost,
            Problem::Length,
            |bytes| {
                bytes[16] = 39;
            },
        ),
        bad(
            "catalogue-journal-lost-generation",
            "a generation that no file has",
            &journal_lost,
            Problem::Length,
            |bytes| {
                bytes[0] = 0;
            },
        ),
        created,
        published,
        lost,
        journal_lost,
    ]
}
