use turnleaf_format::catalogue::{CatalogueRecord, Run};
use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, SegmentId, ThreadChain, ThreadId, ThreadNumber};

use super::Catalogue;

fn created(thread: u64) -> CatalogueRecord {
    CatalogueRecord::ThreadCreated {
        thread: ThreadNumber(thread),
        id: ThreadId::parse(&format!("t{thread}")).expect("an id"),
        at_ms: 1,
    }
}

fn published(segment: u64, class: Class, runs: &[(u64, u64)]) -> CatalogueRecord {
    let run = |(thread, records): &(u64, u64)| Run {
        thread: ThreadNumber(*thread),
        first_ordinal: Ordinal(0),
        ordinal_end: Ordinal(*records),
        chain_before: ThreadChain::START,
        chain_after: ThreadChain(*records),
        payload_bytes: 100 * records,
    };
    CatalogueRecord::SegmentPublished {
        segment: SegmentId(segment),
        class,
        file_bytes: 1,
        digest: [0; 32],
        runs: runs.iter().map(run).collect(),
    }
}

fn replaced(old: u64, thread: u64, new: u64) -> CatalogueRecord {
    CatalogueRecord::Replaced {
        old: SegmentId(old),
        thread: ThreadNumber(thread),
        new: SegmentId(new),
    }
}

fn of(records: &[CatalogueRecord]) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for record in records {
        assert!(catalogue.apply(record), "{record:?}");
    }
    catalogue
}

fn in_use(catalogue: &Catalogue) -> Vec<u64> {
    let segments = catalogue.segments.iter();
    segments.map(|(segment, _)| segment.0).collect()
}

/// What is kept of replaced segments does not grow with their number, and they stay known.
#[test]
fn of_replaced_segments_only_the_range_of_ids_is_kept() {
    let mut records = vec![created(1), published(1, Class::Pack, &[(1, 1)])];
    for segment in 2..=1000 {
        records.push(published(segment, Class::Pack, &[(1, segment)]));
        records.push(replaced(segment - 1, 1, segment));
    }
    let mut catalogue = of(&records);
    assert_eq!(in_use(&catalogue), [1000]);
    assert_eq!(catalogue.segments.retired_ranges(), 1);
    assert!((1..1000).all(|segment| catalogue.segments.is_retired(SegmentId(segment))));
    assert!(!catalogue.segments.is_known(SegmentId(1001)));
    // An id is given once, also that of a segment which is in use no more. [S:names-7]
    assert!(!catalogue.apply(&published(7, Class::Pack, &[(1, 7)])));
    assert!(!catalogue.apply(&replaced(7, 1, 1000)));
    assert_eq!(catalogue.next_segment(), SegmentId(1001));
}

/// Of a deleted thread its number and id are kept: neither is given again. [S:catalogue-6]
#[test]
fn of_deleted_threads_only_what_bars_their_ids_is_kept() {
    let import = CatalogueRecord::Import {
        thread: ThreadNumber(1),
        source_bytes: 1,
        ordinal_end: Ordinal(1),
        file_bytes: 1,
        modified_ns: 1,
        path: "a long path".into(),
    };
    let deleted = CatalogueRecord::Deleted {
        thread: ThreadNumber(1),
        at_ms: 1,
    };
    let mut catalogue = of(&[
        created(1),
        created(2),
        published(1, Class::Pack, &[(1, 3), (2, 3)]),
        published(2, Class::Run, &[(1, 4)]),
        import.clone(),
        deleted,
        // Staged before the deletion, and placed behind it.
        import,
        published(3, Class::Run, &[(1, 5)]),
    ]);
    assert_eq!(catalogue.threads[&ThreadNumber(1)].import, None);
    assert_eq!(in_use(&catalogue), [1]);
    assert_eq!(catalogue.segments.of_thread(ThreadNumber(1)).count(), 0);
    assert!(catalogue.segments.is_retired(SegmentId(2)));
    assert!(catalogue.segments.is_retired(SegmentId(3)));
    assert!(!catalogue.apply(&created(1)));
    assert_eq!(catalogue.next_thread(), ThreadNumber(3));
}

/// A pack is sparse from the moment on in which less than a half of it is in use, until nothing is.
#[test]
fn packs_are_sparse_while_less_than_a_half_is_in_use() {
    let sparse = |catalogue: &Catalogue| {
        let sparse = catalogue.segments.sparse().map(|(segment, _)| segment.0);
        sparse.collect::<Vec<_>>()
    };
    let mut catalogue = of(&[
        created(1),
        created(2),
        created(3),
        published(1, Class::Pack, &[(1, 10), (2, 10), (3, 9)]),
        published(2, Class::Run, &[(1, 10)]),
        published(3, Class::Run, &[(2, 10)]),
        published(4, Class::Run, &[(3, 9)]),
    ]);
    assert_eq!(sparse(&catalogue), []);
    assert!(catalogue.apply(&replaced(1, 1, 2)));
    assert_eq!(sparse(&catalogue), []);
    assert!(catalogue.apply(&replaced(1, 2, 3)));
    assert_eq!(sparse(&catalogue), [1]);
    assert!(catalogue.apply(&replaced(1, 3, 4)));
    assert_eq!(sparse(&catalogue), []);
    assert_eq!(in_use(&catalogue), [2, 3, 4]);
}

/// A checkpoint gives back the same sum, whatever stood in the records.
#[test]
fn the_items_of_a_checkpoint_add_up_to_the_same_sum() {
    let mut records = vec![created(1), created(2), created(3), created(4)];
    records.extend([
        published(1, Class::Pack, &[(1, 10), (2, 10), (3, 9)]),
        published(2, Class::Run, &[(1, 10)]),
        replaced(1, 1, 2),
        published(5, Class::Run, &[(2, 12)]),
        replaced(1, 2, 5),
        published(6, Class::Run, &[(2, 14)]),
        replaced(5, 2, 6),
        published(9, Class::Run, &[(4, 14)]),
        CatalogueRecord::Deleted {
            thread: ThreadNumber(4),
            at_ms: 3,
        },
        CatalogueRecord::Archived {
            thread: ThreadNumber(4),
            archived: true,
            at_ms: 3,
        },
        CatalogueRecord::Archived {
            thread: ThreadNumber(2),
            archived: true,
            at_ms: 3,
        },
        CatalogueRecord::Import {
            thread: ThreadNumber(2),
            source_bytes: 1,
            ordinal_end: Ordinal(14),
            file_bytes: 2,
            modified_ns: -3,
            path: "from here".into(),
        },
        CatalogueRecord::Epoch {
            epoch: 7,
            at_ms: 3,
            pid: 9,
            host: "there".into(),
        },
        CatalogueRecord::Lost(turnleaf_format::catalogue::Lost {
            thread: ThreadNumber(3),
            first_ordinal: Ordinal(9),
            ordinal_end: Ordinal(11),
            chain_after: ThreadChain(5),
            at_ms: 8,
        }),
        CatalogueRecord::JournalLost(turnleaf_format::catalogue::JournalLost {
            generation: turnleaf_format::Generation(2),
            offset: 8192,
            end: 9000,
            at_ms: 8,
        }),
    ]);
    let store = turnleaf_format::StoreId([3; 16]);
    let begins = CatalogueRecord::StoreCreated { store, at_ms: 1 };
    for upto in 0..=records.len() {
        let sum = of(&[std::slice::from_ref(&begins), &records[..upto]].concat());
        assert!(sum.fits_a_checkpoint());
        let mut again = Catalogue::begun_for(store);
        let items: Vec<_> = sum.items().collect();
        assert!(items.iter().all(|item| again.take(item)), "{items:?}");
        assert_eq!(again, sum);
    }
}

/// What a checkpoint could not say, or what its items cannot mean together.
#[test]
fn a_checkpoint_is_not_made_of_what_it_cannot_hold() {
    use turnleaf_format::checkpoint::Item;
    let unknown = CatalogueRecord::Unknown {
        kind: turnleaf_format::record::Kind(200),
    };
    assert!(!of(&[unknown]).fits_a_checkpoint());
    assert!(!of(&[published(1 << 63, Class::Run, &[(0, 1)])]).fits_a_checkpoint());
    let lost = CatalogueRecord::Lost(turnleaf_format::catalogue::Lost {
        thread: ThreadNumber::CATALOGUE,
        first_ordinal: Ordinal(1),
        ordinal_end: Ordinal(2),
        chain_after: ThreadChain(5),
        at_ms: 8,
    });
    assert!(!of(&[lost]).fits_a_checkpoint());
    let refused = |items: &[Item]| {
        let mut sum = Catalogue::default();
        !items.iter().all(|item| sum.take(item))
    };
    let retired = |first, last| Item::Retired(vec![(SegmentId(first), SegmentId(last))]);
    let run = || Item::Record(published(7, Class::Run, &[(0, 1)]));
    assert!(refused(&[retired(1, 4), retired(5, 6)]));
    assert!(refused(&[retired(8, 9), retired(1, 4)]));
    assert!(refused(&[retired(1, 1 << 63)]));
    assert!(refused(&[retired(7, 7), run()]));
    assert!(refused(&[run(), retired(1, 4)]));
    assert!(refused(&[run(), Item::Weights(vec![(SegmentId(7), 1)])]));
    assert!(refused(&[run(), Item::Weights(vec![(SegmentId(8), 1000)])]));
    assert!(!refused(&[
        retired(1, 4),
        run(),
        Item::Weights(vec![(SegmentId(7), 1000)])
    ]));
}
