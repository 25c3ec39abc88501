use turnleaf_format::catalogue::{Awaited, Base, CatalogueRecord, Run};
use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, SegmentId, ThreadChain, ThreadId, ThreadNumber};

use super::{Catalogue, LossRecord};

fn created(thread: u64) -> CatalogueRecord {
    CatalogueRecord::ThreadCreated {
        thread: ThreadNumber(thread),
        id: ThreadId::parse(&format!("t{thread}")).expect("an id"),
        at_ms: 1,
    }
}

fn published(segment: u64, class: Class, runs: &[(u64, u64)]) -> CatalogueRecord {
    let runs: Vec<_> = runs
        .iter()
        .map(|(thread, end)| (*thread, 0, *end))
        .collect();
    published_from(segment, class, &runs)
}

/// Runs by thread, first ordinal and end.
fn published_from(segment: u64, class: Class, runs: &[(u64, u64, u64)]) -> CatalogueRecord {
    let run = |(thread, first, end): &(u64, u64, u64)| Run {
        thread: ThreadNumber(*thread),
        first_ordinal: Ordinal(*first),
        ordinal_end: Ordinal(*end),
        chain_before: ThreadChain(*first),
        chain_after: ThreadChain(*end),
        payload_bytes: 100 * (end - first),
    };
    CatalogueRecord::SegmentPublished {
        segment: SegmentId(segment),
        class,
        file_bytes: 1,
        digest: [0; 32],
        runs: runs.iter().map(run).collect(),
    }
}

/// An import that added no bytes.
fn import_of(thread: u64, file_bytes: u64, path: &str) -> CatalogueRecord {
    CatalogueRecord::Import {
        thread: ThreadNumber(thread),
        source_bytes: 0,
        ordinal_end: Ordinal(1),
        file_bytes,
        modified_ns: 0,
        path: path.into(),
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

/// An Import without source bytes, length and path takes those before it back. [S:catalogue-15]
#[test]
fn an_import_of_nothing_withdraws_the_others() {
    let import = |file_bytes, path: &str| import_of(1, file_bytes, path);
    let list = import(9, "session_index.jsonl");
    let is_known = |records: &[CatalogueRecord]| {
        let catalogue = of(&[&[created(1)], records].concat());
        catalogue.threads[&ThreadNumber(1)].import.is_some()
    };
    assert!(is_known(std::slice::from_ref(&list)));
    assert!(is_known(&[list.clone(), import(0, "begun.jsonl")]));
    assert!(!is_known(&[list.clone(), import(0, "")]));
    assert!(is_known(&[import(0, ""), list]));
}

/// A pack that lost nearly all of its runs may stay for long: it takes the room of those that are
/// left.
#[test]
fn what_a_pack_keeps_follows_the_runs_in_use() {
    let all: Vec<_> = (1..=1000).map(|thread| (thread, 10)).collect();
    let threads: Vec<_> = (1..=1000).map(created).collect();
    let mut catalogue = of(&[threads, vec![published(1, Class::Pack, &all)]].concat());
    let room = |catalogue: &Catalogue| {
        let pack = catalogue.segments.get(SegmentId(1)).expect("it is in use");
        (pack.live.iter().count(), pack.live.room())
    };
    assert_eq!(room(&catalogue), (1000, 1000));
    for thread in 1..1000 {
        let segment = thread + 1;
        assert!(catalogue.apply(&published(segment, Class::Run, &[(thread, 10)])));
        assert!(catalogue.apply(&replaced(1, thread, segment)));
        let (runs, room) = room(&catalogue);
        assert!(room <= 2 * runs + 1, "{room} for {runs}");
    }
    let pack = catalogue.segments.get(SegmentId(1)).expect("it is in use");
    let left: Vec<_> = pack.live.threads().collect();
    assert_eq!(left, [ThreadNumber(1000)]);
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

/// Runs count by what they weigh; a pack of which a half is in use stays.
#[test]
fn a_pack_is_sparse_by_what_its_runs_weigh() {
    let check = |runs: &[(u64, u64)], replaced_thread: u64, is_sparse: bool| {
        let whole = published(1, Class::Pack, runs);
        let new = published(2, Class::Run, &[(replaced_thread, 10)]);
        let replaced = replaced(1, replaced_thread, 2);
        let catalogue = of(&[created(1), created(2), whole, new, replaced]);
        let sparse = catalogue.segments.sparse().count() == 1;
        assert_eq!(sparse, is_sparse, "{runs:?} without {replaced_thread}");
    };
    check(&[(1, 10), (2, 2)], 1, true);
    check(&[(1, 2), (2, 10)], 1, false);
    check(&[(1, 10), (2, 10)], 1, false);
    check(&[(1, 10), (2, 9)], 1, true);
}

/// A run is out of use only where others hold all of it, or what they lack was given up.
/// [S:catalogue-8]
#[test]
fn a_run_is_replaced_by_what_holds_all_of_it() {
    let run = |segment, first, end| published_from(segment, Class::Run, &[(1, first, end)]);
    let given_up = CatalogueRecord::Lost(turnleaf_format::catalogue::Lost {
        thread: ThreadNumber(1),
        first_ordinal: Ordinal(4),
        ordinal_end: Ordinal(10),
        chain_after: ThreadChain(10),
        at_ms: 8,
    });
    let check = |others: &[CatalogueRecord], by: u64, agrees: bool| {
        let mut catalogue = of(&[created(1), run(1, 0, 10)]);
        for other in others {
            assert!(catalogue.apply(other), "{other:?}");
        }
        let done = catalogue.apply(&replaced(1, 1, by));
        assert_eq!(done, agrees, "{others:?}, by {by}");
        let is_in_use = in_use(&catalogue).contains(&1);
        assert_eq!(is_in_use, !agrees, "{others:?}, by {by}");
    };
    check(&[run(2, 0, 10)], 2, true);
    check(&[run(2, 0, 12)], 2, true);
    // Its first or last ordinals are nowhere else.
    check(&[run(2, 2, 10)], 2, false);
    check(&[run(2, 2, 12)], 2, false);
    check(&[run(2, 0, 8)], 2, false);
    check(&[run(2, 10, 12)], 2, false);
    // Several together hold them, and so does what was given up.
    check(&[run(2, 0, 6), run(3, 4, 10)], 3, true);
    check(&[run(2, 0, 5), run(3, 6, 10)], 3, false);
    check(&[run(2, 0, 6), given_up.clone()], 2, true);
    // By none: it was given up, or others hold it.
    check(&[], 0, false);
    check(&[run(2, 0, 4)], 0, false);
    check(&[run(2, 0, 4), given_up], 0, true);
    // By itself, or by a segment that is not there.
    check(&[run(2, 0, 10)], 1, false);
    check(&[run(2, 0, 10)], 9, false);
}

/// Nobody could follow the last number that there is. [R:frame-11]
#[test]
fn an_epoch_follows_the_one_before_and_leaves_one_to_follow() {
    let epoch = |epoch| CatalogueRecord::Epoch {
        epoch,
        at_ms: 3,
        pid: 9,
        host: "there".into(),
    };
    let mut catalogue = of(&[epoch(3)]);
    for (next, follows) in [(3, false), (u64::MAX, false), (u64::MAX - 1, true)] {
        assert_eq!(catalogue.apply(&epoch(next)), follows, "{next}");
    }
    assert_eq!(catalogue.epoch, u64::MAX - 1);
}

/// What the journal shows to be taken is not given again, whatever became of the record that says
/// so.
#[test]
fn what_frames_show_is_taken() {
    let mut catalogue = of(&[created(1)]);
    catalogue.saw_frames(ThreadNumber(7), 4);
    catalogue.saw_frames(ThreadNumber(3), 2);
    assert_eq!(catalogue.epoch, 4);
    assert_eq!(catalogue.next_thread(), ThreadNumber(8));
}

/// A part of the journal that was given up may have held a record of the catalogue; a place of it
/// that only said something wrong held none. [S:catalogue-12]
#[test]
fn the_catalogue_may_lack_what_stood_in_a_part_that_was_given_up() {
    let check = |end, may_lack| {
        let lost = turnleaf_format::catalogue::JournalLost {
            generation: turnleaf_format::Generation(2),
            offset: 8192,
            end,
            at_ms: 8,
        };
        let catalogue = of(&[CatalogueRecord::JournalLost(lost)]);
        assert_eq!(catalogue.may_lack_records(), may_lack, "up to {end}");
        let place = |offset, end| LossRecord::Journal {
            generation: lost.generation,
            offset,
            end,
        };
        assert!(catalogue.has_accepted(place(8192, end)));
        assert!(!catalogue.has_accepted(place(8192, end + 1)));
    };
    check(8192, false);
    check(8193, true);
}

/// Records of every kind that a checkpoint can hold something of.
fn history() -> Vec<CatalogueRecord> {
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
        // Taken back again. [S:catalogue-15]
        import_of(3, 2, "names"),
        import_of(3, 0, ""),
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
    records.extend(lineage());
    records
}

/// A revert of thread 1, a fork of it, and a rollout whose base is not here.
fn lineage() -> Vec<CatalogueRecord> {
    let rollout = |rollout, thread| CatalogueRecord::RolloutCreated {
        rollout: ThreadNumber(rollout),
        thread: ThreadNumber(thread),
        id: ThreadId::parse(&format!("r{rollout}")).expect("an id"),
        at_ms: 9,
    };
    let current = |thread, rollout| CatalogueRecord::Current {
        thread: ThreadNumber(thread),
        rollout: ThreadNumber(rollout),
        at_ms: 9,
    };
    let awaits = |rollout| CatalogueRecord::Awaits {
        rollout: ThreadNumber(rollout),
        awaited: Awaited {
            id: ThreadId::parse("elsewhere").expect("an id"),
            stated_end: 7,
            stated_bytes: 70,
        },
    };
    vec![
        rollout(20, 1),
        based(20, 1, 4),
        current(1, 20),
        created(21),
        based(21, 20, 2),
        rollout(22, 3),
        awaits(22),
        import_of(22, 5, "a file"),
        // Found later; shown, and no longer.
        rollout(23, 3),
        awaits(23),
        based(23, 3, 1),
        current(3, 23),
        current(3, 3),
        // Of a deleted thread.
        rollout(24, 4),
        // Its id is given again, twice. [S:catalogue-16]
        created_again(25, 4),
        deleted(25),
        created_again(26, 4),
        import_of(26, 5, "its file"),
    ]
}

fn deleted(thread: u64) -> CatalogueRecord {
    CatalogueRecord::Deleted {
        thread: ThreadNumber(thread),
        at_ms: 3,
    }
}

/// A thread with the id of another one.
fn created_again(thread: u64, of: u64) -> CatalogueRecord {
    let CatalogueRecord::ThreadCreated { id, at_ms, .. } = created(of) else {
        panic!("a creation");
    };
    CatalogueRecord::ThreadCreatedAgain {
        thread: ThreadNumber(thread),
        id,
        at_ms,
    }
}

/// [S:catalogue-16]
#[test]
fn an_id_is_given_again_to_a_thread_that_has_nothing_of_the_old_one() {
    let mut sum = of(&[created(1), created(2), published(1, Class::Run, &[(1, 3)])]);
    assert_eq!(sum.readable_by(), turnleaf_format::Format::FIRST);
    // No number twice, not that of the catalogue, not that of a rollout.
    for taken in [0, 1, 2] {
        assert!(!sum.apply(&created_again(taken, 1)), "{taken}");
    }
    assert!(sum.apply(&deleted(1)));
    assert!(!sum.apply(&created(1)) && !sum.apply(&created_again(1, 1)));
    assert!(sum.apply(&created_again(3, 1)));
    assert_eq!(sum.readable_by(), turnleaf_format::Format::LINEAGES);
    let id = &sum.threads[&ThreadNumber(1)].id;
    assert_eq!(sum.numbers[id], ThreadNumber(3));
    assert!(sum.is_deleted(ThreadNumber(1)) && !sum.is_deleted(ThreadNumber(3)));
    assert_eq!(sum.segments.of_thread(ThreadNumber(3)).count(), 0);
    assert_eq!(sum.next_thread(), ThreadNumber(4));
    // The record of the deletion, or that of the old thread, may be lost.
    let mut sum = of(&[created(1), created_again(3, 1)]);
    assert!(sum.is_deleted(ThreadNumber(1)));
    assert!(sum.apply(&created_again(4, 2)));
    assert!(sum.apply(&deleted(4)) && !sum.apply(&created(2)));
}

fn based(rollout: u64, base: u64, end: u64) -> CatalogueRecord {
    CatalogueRecord::Based {
        rollout: ThreadNumber(rollout),
        base: Base {
            rollout: ThreadNumber(base),
            end: Ordinal(end),
            chain: ThreadChain(end),
        },
        at_ms: 9,
    }
}

#[test]
fn a_lineage_is_what_its_records_say() {
    let mut sum = of(&history());
    let numbers = |numbers: &mut dyn Iterator<Item = ThreadNumber>| -> Vec<u64> {
        numbers.map(|number| number.0).collect()
    };
    let of_thread = |sum: &Catalogue, thread| numbers(&mut sum.rollouts_of(ThreadNumber(thread)));
    assert_eq!(of_thread(&sum, 1), [1, 20]);
    assert_eq!(of_thread(&sum, 3), [3, 22, 23]);
    assert_eq!(sum.current(ThreadNumber(1)), ThreadNumber(20));
    assert_eq!(sum.current(ThreadNumber(3)), ThreadNumber(3));
    assert_eq!(numbers(&mut sum.referrers(ThreadNumber(20))), [21]);
    assert_eq!(
        numbers(&mut sum.awaiting().map(|(rollout, _)| rollout)),
        [22]
    );
    assert!(sum.is_deleted(ThreadNumber(24)));
    assert!(sum.import_of(ThreadNumber(22)).is_some());
    // No base twice, none that goes on from the rollout itself, none that is not there.
    for wrong in [
        based(20, 1, 3),
        based(1, 21, 1),
        based(3, 99, 1),
        based(99, 1, 1),
    ] {
        assert!(!sum.apply(&wrong), "{wrong:?}");
    }
    assert!(sum.apply(&CatalogueRecord::Deleted {
        thread: ThreadNumber(21),
        at_ms: 1
    }));
    assert_eq!(numbers(&mut sum.referrers(ThreadNumber(20))), [0; 0]);
}

/// A checkpoint gives back the same sum, whatever stood in the records.
#[test]
fn the_items_of_a_checkpoint_add_up_to_the_same_sum() {
    let records = history();
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

/// A build uses the checkpoint of another build only where both know the same records and encode
/// the same sum in the same way. [S:checkpoint-3]
///
/// Where this fails, give `CONTENTS` the next number and add a row; a row that stands here is never
/// changed.
#[test]
fn what_a_checkpoint_holds_changes_only_with_its_version() {
    use turnleaf_format::checkpoint::CONTENTS;
    use turnleaf_format::record::Kind;
    const GOLDEN: &[(u32, &str)] = &[
        // Here an Import never took the ones before it back.
        (
            1,
            "53d02d7c874dd5882a87b7bf6322ceeb13c037aed7c975b25db700ca41efb9f4",
        ),
        (
            2,
            "53d02d7c874dd5882a87b7bf6322ceeb13c037aed7c975b25db700ca41efb9f4",
        ),
        // Further rollouts, bases, current rollouts.
        (
            3,
            "011aa66f7c4e17f2054802ac4963a7b05ad8ef5e64863d83a8c2c9196ece6bcf",
        ),
        // Threads under ids of deleted ones.
        (
            4,
            "33359cdc1090211accc53229e46373c57ab851e3a8532ae217ddf59145ed9efd",
        ),
    ];
    let is_unknown = |kind| {
        matches!(
            CatalogueRecord::decode(kind, &[]),
            Ok(CatalogueRecord::Unknown { .. })
        )
    };
    let known = (0..=u8::MAX).filter(|kind| !is_unknown(Kind(*kind)));
    let mut held: Vec<u8> = known.collect();
    let sum = of(&history());
    sum.items().for_each(|item| item.encode(&mut held));
    // What a sum consists of: a field that is added is something else that a checkpoint holds.
    let Catalogue {
        store: _,
        threads,
        numbers: _,
        lineages,
        segments: _,
        epoch: _,
        lost: _,
        journal_lost: _,
        has_unknown: _,
        next_thread: _,
        next_segment: _,
        again,
    } = sum;
    held.extend(format!("{threads:?}{lineages:?}{again:?}").bytes());
    let digest = blake3::hash(&held).to_hex();
    assert_eq!(GOLDEN.last(), Some(&(CONTENTS, digest.as_str())));
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
