//! Section 6: the catalogue.

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::record::{Entry, Flags, Kind};
use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, StoreId, ThreadId, ThreadNumber};

use super::build::{Home, Journal, STORE, Thread, Verdict, epoch, founded, founding, home};
use super::sealed::Segment;
use crate::recovery::Remark;

const FINE: Verdict<'static> = Verdict {
    damage: &[],
    closed: &[],
    a: &["a0"],
    b: &["b0"],
};

const CLOSED: Verdict<'static> = Verdict {
    damage: &["Contradiction"],
    closed: &[0],
    ..FINE
};

fn entries(facts: &[CatalogueRecord]) -> Vec<Entry<'static>> {
    let entry = |fact: &CatalogueRecord| {
        let bytes: &'static [u8] = Box::leak(fact.encode().into_boxed_slice());
        Entry::inline(fact.kind(), Flags::NONE, 1, bytes)
    };
    facts.iter().map(entry).collect()
}

/// A segment of the catalogue with one block for each record.
fn sealed(id: u64, thread: &mut Thread, facts: &[CatalogueRecord]) -> Segment {
    let entries = entries(facts);
    let blocks: Vec<&[Entry<'_>]> = entries.chunks(1).collect();
    Segment::build(id, Class::Catalogue, &mut [(thread, &blocks)], &|_, _| {})
}

/// A store whose founding facts stand in two segments of the catalogue, as the header says; two
/// more facts are in the journal alone.
fn store() -> (Segment, Segment, Journal) {
    let mut thread = Thread::new(0);
    let first = sealed(1, &mut thread, &founding()[..2]);
    let second = sealed(2, &mut thread, &founding()[2..]);
    let mut journal = founded();
    journal.file = super::build::File::new(1, None);
    journal.file.header.catalogue_sealed_end = Ordinal(4);
    journal.file.header.catalogue_chain = thread.chain;
    journal.file.state();
    journal.catalogue = thread;
    journal.facts(&[epoch(2)]);
    journal.a("a0");
    journal.b("b0");
    (first, second, journal)
}

fn home_of(journal: &Journal, segments: &[&Segment]) -> Home {
    let home = home(&[&journal.file]);
    for segment in segments {
        home.write(&segment.name(), &segment.bytes);
    }
    home
}

#[test]
fn segments_reach_what_the_header_says() {
    // [R:cat-1]
    let (first, second, journal) = store();
    home_of(&journal, &[&first, &second]).check("cat-1", &FINE);
    // [R:cat-2] The end, the beginning, the middle is not there.
    let expect = Verdict {
        damage: &["Missing", "Missing", "Contradiction"],
        closed: &[0],
        b: &[],
        ..FINE
    };
    home_of(&journal, &[&first]).check("cat-2", &expect);
    let expect = Verdict {
        damage: &["Chain", "Contradiction"],
        closed: &[0],
        a: &[],
        ..FINE
    };
    home_of(&journal, &[&second]).check("cat-2", &expect);
    // [R:cat-3]
    let (first, second, mut journal) = store();
    journal.file.header.catalogue_chain.0 ^= 1;
    journal.file.state();
    let expect = Verdict {
        damage: &["Chain"],
        closed: &[0],
        ..FINE
    };
    home_of(&journal, &[&first, &second]).check("cat-3", &expect);
    // The pair may lie within a segment, since segments of the catalogue are merged.
    let (_, _, mut journal) = store();
    let mut thread = Thread::new(0);
    entries(&founding()[..2])
        .iter()
        .for_each(|entry| thread.pass(entry));
    journal.file.header.catalogue_sealed_end = Ordinal(2);
    journal.file.header.catalogue_chain = thread.chain;
    journal.file.state();
    let merged = sealed(3, &mut Thread::new(0), &founding());
    home_of(&journal, &[&merged]).check("cat-1, merged", &FINE);
    journal.file.header.catalogue_chain.0 ^= 1;
    journal.file.state();
    home_of(&journal, &[&merged]).check("cat-3, merged", &expect);
}

#[test]
fn segments_beyond_the_header_are_good() {
    // [R:cat-4] The frames repeat the segment; or the segment alone holds the records.
    let (first, second, journal) = store();
    let mut thread = Thread::new(0);
    entries(&founding())
        .iter()
        .for_each(|entry| thread.pass(entry));
    let before = thread;
    let third = sealed(5, &mut thread, &[epoch(2)]);
    home_of(&journal, &[&first, &second, &third]).check("cat-4", &FINE);
    let more = [epoch(2), epoch(3)];
    let mut thread = before;
    let third = sealed(5, &mut thread, &more);
    home_of(&journal, &[&first, &second, &third]).check("cat-4", &FINE);
}

#[test]
fn a_bad_segment_of_the_catalogue_costs_only_what_no_other_covers() {
    // [R:cat-5]
    let (first, second, journal) = store();
    let mut merged = sealed(3, &mut Thread::new(0), &founding());
    merged.bytes.truncate(200);
    let expect = Verdict {
        damage: &["Decode"],
        ..FINE
    };
    home_of(&journal, &[&first, &second, &merged]).check("cat-5", &expect);
    let mut merged = sealed(3, &mut Thread::new(0), &founding());
    merged.bytes.fill(0xee);
    let expect = Verdict {
        damage: &["Decode"],
        ..FINE
    };
    let home = home_of(&journal, &[&first, &second, &merged]);
    home.check("cat-5, nothing left", &expect);
    // Its blocks are found although its tables are gone, so others need not cover it.
    let (first, mut second, journal) = store();
    let end = second.bytes.len();
    second.bytes[end - 10] ^= 1;
    let expect = Verdict {
        damage: &["Decode"],
        ..FINE
    };
    home_of(&journal, &[&first, &second]).check("cat-5, tables", &expect);
}

/// A segment of the catalogue whose records cannot be read.
fn unreadable() -> Segment {
    let mut merged = sealed(3, &mut Thread::new(0), &founding());
    let at = merged.stored_at(1);
    merged.bytes[at] ^= 4;
    merged
}

/// The founding facts stand in the journal, and the header says that a segment has them, too.
fn repeated() -> Journal {
    let mut journal = founded();
    journal.file.header.catalogue_sealed_end = Ordinal(4);
    journal.file.header.catalogue_chain = journal.catalogue.chain;
    journal.file.state();
    journal.a("a0");
    journal.b("b0");
    journal
}

#[test]
fn a_bad_block_of_the_catalogue_costs_only_what_nothing_else_holds() {
    // [R:cat-5]
    let expect = Verdict {
        damage: &["Decode"],
        ..FINE
    };
    home_of(&repeated(), &[&unreadable()]).check("cat-5, the journal", &expect);
    let (first, second, journal) = store();
    let home = home_of(&journal, &[&first, &second, &unreadable()]);
    home.check("cat-5, other segments", &expect);
    // Nothing else has its second record, and nothing else says that there was one.
    let (first, second, journal) = store();
    let mut thread = journal.catalogue;
    (thread.next, thread.chain) = (4, journal.file.header.catalogue_chain);
    let mut third = sealed(5, &mut thread, &[epoch(2), epoch(3)]);
    let at = third.stored_at(1);
    third.bytes[at] ^= 4;
    let expect = Verdict {
        closed: &[0],
        ..expect
    };
    let home = home_of(&journal, &[&first, &second, &third]);
    home.check("cat-5, nothing else", &expect);
}

#[test]
fn a_missing_segment_costs_only_what_the_journal_does_not_hold() {
    // [R:cat-2]
    let home = home_of(&repeated(), &[]);
    let report = home.snapshot().unwrap().report().clone();
    assert_eq!((report.damage.len(), report.closed), (1, Vec::new()));
    assert_eq!(report.losses, []);
    drop(home.open().unwrap());
    // The next header does not count on it.
    home.check("cat-2, the journal", &FINE);
}

#[test]
fn what_live_frames_hold_is_not_lost_with_a_segment_of_the_catalogue() {
    // [R:cat-5] The frames repeat all that the header says to be in the segment.
    let mut journal = founded();
    let segment = sealed(1, &mut Thread::new(0), &founding());
    journal.file.header.catalogue_sealed_end = Ordinal(4);
    journal.file.header.catalogue_chain = journal.catalogue.chain;
    journal.file.state();
    journal.a("a0");
    journal.b("b0");
    home_of(&journal, &[&segment]).check("whole", &FINE);
    let one = |damage| Verdict { damage, ..FINE };
    // A block, its first byte and its last, and the tables.
    for at in [128, 128 + 64, segment.bytes.len() - 10] {
        let mut spoilt = sealed(1, &mut Thread::new(0), &founding());
        spoilt.bytes[at] ^= 1;
        home_of(&journal, &[&spoilt]).check("cat-5", &one(&["Decode"]));
    }
    let mut spoilt = sealed(1, &mut Thread::new(0), &founding());
    spoilt.bytes.fill(0);
    home_of(&journal, &[&spoilt]).check("cat-5, zeroed", &one(&["Decode"]));
}

#[test]
fn records_that_contradict_each_other_close_the_store() {
    let created = |number: u64, id: &str| CatalogueRecord::ThreadCreated {
        thread: ThreadNumber(number),
        id: ThreadId::parse(id).unwrap(),
        at_ms: 1,
    };
    let deleted = |number: u64| CatalogueRecord::Deleted {
        thread: ThreadNumber(number),
        at_ms: 1,
    };
    let store_created = |store| CatalogueRecord::StoreCreated { store, at_ms: 1 };
    // [R:cat-6] A number twice, an id twice, an unknown thread, an epoch that does not ascend; and
    // an id of a thread that was deleted.
    let odd = [
        vec![created(2, "c")],
        vec![created(3, "a")],
        vec![deleted(9)],
        vec![epoch(1)],
        vec![created(3, "c"), deleted(3), created(4, "c")],
        // [R:cat-7] Not at ordinal 0.
        vec![store_created(STORE)],
    ];
    for facts in odd {
        let mut journal = founded();
        journal.a("a0");
        journal.b("b0");
        journal.facts(&facts);
        home(&[&journal.file]).check("cat-6", &CLOSED);
    }
    // A segment for a thread that is not there; a replacement that holds less.
    let mut nobody = Thread::new(9);
    let line = [super::build::line("x")];
    let stray = Segment::build(9, Class::Run, &mut [(&mut nobody, &[&line])], &|_, _| {});
    let replaced = CatalogueRecord::Replaced {
        old: stray.id,
        thread: ThreadNumber(9),
        new: stray.id,
    };
    for fact in [stray.published(), replaced] {
        let mut journal = founded();
        journal.a("a0");
        journal.b("b0");
        journal.facts(&[fact]);
        home(&[&journal.file]).check("cat-6, segments", &CLOSED);
    }
    // [R:cat-7] Another record, another store; two records of ordinal 0.
    for (facts, damage) in [
        (vec![epoch(1)], &["Contradiction"][..]),
        (vec![store_created(StoreId([8; 16]))], &["Contradiction"]),
    ] {
        let mut journal = founded();
        journal.file = super::build::File::new(1, None);
        journal.catalogue = Thread::new(0);
        let rest = &founding()[1..];
        journal.facts(&[&facts[..], &rest[..2]].concat());
        journal.a("a0");
        journal.b("b0");
        let expect = Verdict { damage, ..CLOSED };
        home(&[&journal.file]).check("cat-7", &expect);
    }
    let mut journal = founded();
    journal.catalogue = Thread::new(0);
    journal.facts(&founding()[..1]);
    journal.a("a0");
    journal.b("b0");
    let expect = Verdict {
        damage: &["Chain"],
        ..CLOSED
    };
    home(&[&journal.file]).check("cat-7, twice", &expect);
}

#[test]
fn an_unknown_kind_is_kept_and_reported() {
    // [R:cat-8]
    let mut journal = founded();
    let entry = Entry::inline(Kind(200), Flags::NONE, 1, b"from the future");
    journal.file.append(&mut journal.catalogue, &[entry]);
    journal.a("a0");
    journal.b("b0");
    let home = home(&[&journal.file]);
    home.check("cat-8", &FINE);
    let remarks = home.snapshot().unwrap().report().remarks.clone();
    let unknown = Remark::UnknownRecord {
        ordinal: Ordinal(4),
        kind: Kind(200),
    };
    assert_eq!(remarks, [unknown]);
}
