use proptest::prelude::*;

use super::*;
use crate::bytes::Problem;
use crate::testing::{STORE, problem};

fn run(thread: u64) -> Run {
    Run {
        thread: ThreadNumber(thread),
        first_ordinal: Ordinal(3),
        ordinal_end: Ordinal(9),
        chain_before: ThreadChain(1),
        chain_after: ThreadChain(2),
        payload_bytes: 77,
    }
}

fn published(class: Class, runs: Vec<Run>) -> CatalogueRecord {
    let digest = [0x55; 32];
    let segment = SegmentId(0x51);
    CatalogueRecord::SegmentPublished {
        segment,
        class,
        file_bytes: 4_096,
        digest,
        runs,
    }
}

fn records() -> Vec<CatalogueRecord> {
    let (thread, at_ms) = (ThreadNumber(3), 1_700_000_000_123);
    let id = ThreadId::parse("0199a2c4-77f1").unwrap();
    let (old, new) = (SegmentId(1), SegmentId(2));
    vec![
        CatalogueRecord::StoreCreated {
            store: STORE,
            at_ms,
        },
        CatalogueRecord::ThreadCreated { thread, id, at_ms },
        published(Class::Run, vec![run(3)]),
        published(Class::Pack, vec![run(3), run(4)]),
        CatalogueRecord::Replaced { old, thread, new },
        CatalogueRecord::Archived {
            thread,
            archived: true,
            at_ms,
        },
        CatalogueRecord::Archived {
            thread,
            archived: false,
            at_ms,
        },
        CatalogueRecord::Deleted { thread, at_ms: -1 },
        CatalogueRecord::Purged { thread, at_ms },
        CatalogueRecord::Import {
            thread,
            source_bytes: 10,
            ordinal_end: Ordinal(2),
            file_bytes: 11,
            modified_ns: i64::MIN,
            path: "/tmp/a \u{e9}.jsonl".to_owned(),
        },
        CatalogueRecord::Epoch {
            epoch: 4,
            at_ms,
            pid: 77,
            host: String::new(),
        },
        lost(3, 9),
        journal_lost(4, 8192, 9000),
        CatalogueRecord::RolloutCreated {
            rollout: ThreadNumber(5),
            thread,
            id: ThreadId::parse("0199a2c4-77f2").unwrap(),
            at_ms,
        },
        CatalogueRecord::Based {
            rollout: ThreadNumber(5),
            base: Base {
                rollout: thread,
                end: Ordinal(9),
                chain: ThreadChain(0x0102_0304_0506_0708),
            },
            at_ms,
        },
        CatalogueRecord::Awaits {
            rollout: ThreadNumber(5),
            awaited: Awaited {
                id: ThreadId::parse("0199a2c4-77f3").unwrap(),
                stated_end: 12,
                stated_bytes: 3_456,
            },
        },
        CatalogueRecord::Current {
            thread,
            rollout: ThreadNumber(5),
            at_ms,
        },
        CatalogueRecord::ThreadCreatedAgain {
            thread: ThreadNumber(6),
            id: ThreadId::parse("0199a2c4-77f1").unwrap(),
            at_ms,
        },
    ]
}

fn lost(first: u64, end: u64) -> CatalogueRecord {
    CatalogueRecord::Lost(Lost {
        thread: ThreadNumber(0),
        first_ordinal: Ordinal(first),
        ordinal_end: Ordinal(end),
        chain_after: ThreadChain(0x0102_0304_0506_0708),
        at_ms: -5,
    })
}

fn journal_lost(generation: u64, offset: u64, end: u64) -> CatalogueRecord {
    CatalogueRecord::JournalLost(JournalLost {
        generation: Generation(generation),
        offset,
        end,
        at_ms: 6,
    })
}

#[test]
fn every_record_comes_back() {
    for record in records() {
        assert_eq!(
            CatalogueRecord::decode(record.kind(), &record.encode()),
            Ok(record)
        );
    }
}

#[test]
fn every_truncation_and_every_extension_is_refused() {
    for record in records() {
        let payload = record.encode();
        for len in 0..payload.len() {
            let refused = CatalogueRecord::decode(record.kind(), &payload[..len]);
            assert_eq!(
                problem(refused),
                Some(Problem::Short),
                "{record:?} cut to {len}"
            );
        }
        let longer = [&payload[..], &[0]].concat();
        let refused = CatalogueRecord::decode(record.kind(), &longer);
        assert_eq!(problem(refused), Some(Problem::Trailing), "{record:?}");
    }
}

#[test]
fn an_unknown_kind_is_kept() {
    for kind in [Kind::DICTIONARY, Kind(146), Kind(255), Kind::LINE] {
        let record = CatalogueRecord::decode(kind, b"anything");
        assert_eq!(record, Ok(CatalogueRecord::Unknown { kind }));
        assert_eq!(record.map(|record| record.kind()), Ok(kind));
    }
}

#[test]
#[should_panic(expected = "not written")]
fn an_unknown_kind_is_not_written() {
    let _ = CatalogueRecord::Unknown { kind: Kind(200) }.encode();
}

#[test]
fn an_id_that_breaks_the_rule_is_refused() {
    let payload = [&[3, 0, 0, 0, 0, 0, 0, 0][..], &[0; 8], &[2, 0], b".."].concat();
    let refused = CatalogueRecord::decode(Kind::THREAD_CREATED, &payload);
    assert_eq!(problem(refused), Some(Problem::Text));
    let payload = [&[3, 0, 0, 0, 0, 0, 0, 0][..], &[0; 8], &[1, 0, 0xff]].concat();
    let refused = CatalogueRecord::decode(Kind::THREAD_CREATED, &payload);
    assert_eq!(problem(refused), Some(Problem::Text));
}

#[test]
fn the_catalogue_does_not_speak_of_itself() {
    for record in records() {
        let at = match record {
            CatalogueRecord::Replaced { .. } => 8,
            CatalogueRecord::StoreCreated { .. }
            | CatalogueRecord::SegmentPublished { .. }
            | CatalogueRecord::Lost(_)
            | CatalogueRecord::JournalLost(_)
            | CatalogueRecord::Epoch { .. } => continue,
            _ => 0,
        };
        let mut payload = record.encode();
        payload[at..at + 8].fill(0);
        let refused = CatalogueRecord::decode(record.kind(), &payload);
        assert_eq!(problem(refused), Some(Problem::Reserved), "{record:?}");
    }
}

#[test]
fn a_published_segment_checks_what_it_says() {
    let edit = |at: usize, value: &[u8]| {
        let mut payload = published(Class::Pack, vec![run(3), run(4)]).encode();
        payload[at..at + value.len()].copy_from_slice(value);
        problem(CatalogueRecord::decode(Kind::SEGMENT_PUBLISHED, &payload))
    };
    assert_eq!(edit(8, &[3]), Some(Problem::Reserved), "class");
    for at in 9..12 {
        assert_eq!(edit(at, &[1]), Some(Problem::Reserved), "byte {at}");
    }
    assert_eq!(
        edit(12, &[0xff; 4]),
        Some(Problem::Short),
        "count is not believed"
    );
    assert_eq!(edit(56 + 8, &[9]), Some(Problem::Length), "no ordinals");
    assert_eq!(edit(56 + 48, &[3]), Some(Problem::Length), "thread twice");
    assert_eq!(edit(56, &[5]), Some(Problem::Length), "threads descend");
    let empty = published(Class::Run, Vec::new()).encode();
    let refused = CatalogueRecord::decode(Kind::SEGMENT_PUBLISHED, &empty);
    assert_eq!(problem(refused), Some(Problem::Length), "no runs");
}

#[test]
fn what_is_lost_has_a_beginning_before_its_end() {
    let problem_of =
        |record: CatalogueRecord| problem(CatalogueRecord::decode(record.kind(), &record.encode()));
    assert_eq!(problem_of(lost(9, 9)), None, "only the chain is broken");
    assert_eq!(problem_of(lost(9, 8)), Some(Problem::Length));
    assert_eq!(problem_of(journal_lost(1, 512, 512)), None);
    assert_eq!(problem_of(journal_lost(1, 513, 512)), Some(Problem::Length));
    assert_eq!(problem_of(journal_lost(0, 0, 512)), Some(Problem::Length));
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(
        kind in 126_u8..=142,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        match CatalogueRecord::decode(Kind(kind), &bytes) {
            Ok(CatalogueRecord::Unknown { .. }) | Err(_) => {}
            Ok(record) => prop_assert_eq!(record.encode(), bytes),
        }
    }
}
