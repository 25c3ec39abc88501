//! Segments that the catalogue does not mention any more: what nothing else holds is published
//! again and never given up.

use turnleaf_format::segment::Class;
use turnleaf_format::{SegmentId, ThreadNumber};

use super::build::{Home, Journal, Thread, founded, home, line, texts};
use super::sealed::Segment;
use crate::repair::{Repair, find_repairs};

/// A pack of a and b, published by frame 1, and a frame of each behind it.
fn store() -> (Journal, Segment) {
    let mut journal = founded();
    let pack = pack_of(&mut journal.a, &mut journal.b, ["a0", "a1"]);
    journal.facts(&[pack.published()]);
    journal.a("a2");
    journal.b("b1");
    (journal, pack)
}

fn pack_of(a: &mut Thread, b: &mut Thread, of_a: [&str; 2]) -> Segment {
    let (of_a, of_b) = (of_a.map(line), [line("b0")]);
    let parts = &mut [(a, &[&of_a[..]][..]), (b, &[&of_b[..]][..])];
    Segment::build(1, Class::Pack, parts, &|_, _| {})
}

fn home_of(journal: &Journal, segment: &Segment) -> Home {
    let home = home(&[&journal.file]);
    home.write(&segment.name(), &segment.bytes);
    home
}

fn due(home: &Home, only: Option<ThreadNumber>) -> Vec<Repair> {
    find_repairs(&home.snapshot().unwrap(), only).unwrap()
}

/// The names of what is done until nothing is due.
fn repaired(home: &Home) -> Vec<&'static str> {
    let mut names = Vec::new();
    for _ in 0..6 {
        let due = due(home, None);
        names.extend(home.repair(&due).iter().map(|done| done.repair.name()));
    }
    assert_eq!(due(home, None), []);
    names
}

fn check(home: &Home, expect: &[(&str, &[&str])]) {
    let snapshot = home.snapshot().unwrap();
    assert_eq!(snapshot.report().damage, []);
    assert_eq!(snapshot.state().threads().count(), expect.len());
    for (id, records) in expect {
        assert_eq!(texts(snapshot.state(), id), *records, "{id}");
    }
}

#[test]
fn a_segment_whose_publication_is_lost_is_published_again() {
    // [R:seg-10]
    let (mut journal, pack) = store();
    journal.file.flip(journal.place(1) + 100);
    let home = home_of(&journal, &pack);
    // One thread alone gives up nothing that the segment holds.
    assert_eq!(due(&home, Some(ThreadNumber(1))), []);
    assert_eq!(repaired(&home), ["accept-loss", "adopt-segment"]);
    check(&home, &[("a", &["a0", "a1", "a2"]), ("b", &["b0", "b1"])]);
    assert!(home.path(&pack.name()).exists());
    let log = home.open().unwrap();
    assert_eq!(log.state().segments()[0].segment, SegmentId(1));
}

#[test]
fn threads_that_only_a_segment_knows_get_an_id() {
    // [R:seg-10]
    let (mut journal, pack) = store();
    let lines = [line("c0")];
    let mut nobody = Thread::new(3);
    let parts = &mut [(&mut nobody, &[&lines[..]][..])];
    let run = Segment::build(2, Class::Run, parts, &|_, _| {});
    journal.facts(&[run.published()]);
    for frame in [0, 1] {
        journal.file.flip(journal.place(frame) + 100);
    }
    let home = home_of(&journal, &pack);
    home.write(&run.name(), &run.bytes);
    repaired(&home);
    let expect: &[(&str, &[&str])] = &[
        ("recovered-1-0", &["a0", "a1", "a2"]),
        ("recovered-2-0", &["b0", "b1"]),
        ("recovered-3-0", &["c0"]),
    ];
    check(&home, expect);
}

/// Part of it is damaged: the rest is published, and only that part is given up.
#[test]
fn a_damaged_segment_is_published_again() {
    let (mut journal, mut pack) = store();
    journal.file.flip(journal.place(1) + 100);
    let at = pack.stored_at(0);
    pack.bytes[at] ^= 4;
    let home = home_of(&journal, &pack);
    let names = repaired(&home);
    assert_eq!(names[..2], ["accept-loss", "adopt-segment"]);
    check(&home, &[("a", &["a2"]), ("b", &["b0", "b1"])]);
}

/// It holds other records than the thread says it had: it stays where it is, and its thread goes on
/// without.
#[test]
fn a_segment_of_other_records_is_not_published() {
    let (mut journal, _) = store();
    journal.file.flip(journal.place(1) + 100);
    let (mut a, mut b) = (Thread::new(1), Thread::new(2));
    let other = pack_of(&mut a, &mut b, ["x0", "x1"]);
    let home = home_of(&journal, &other);
    assert_eq!(repaired(&home), ["accept-loss"; 3]);
    check(&home, &[("a", &["a2"]), ("b", &["b1"])]);
    assert!(home.path(&other.name()).exists(), "nothing is taken away");
}

/// The journal has it all: a crash came between the segment's name and its publication.
#[test]
fn a_segment_that_the_journal_repeats_is_taken_away() {
    // [R:seg-10]
    let mut journal = founded();
    let (mut a, mut b) = (journal.a, journal.b);
    let pack = pack_of(&mut a, &mut b, ["a0", "a1"]);
    journal.a("a0");
    journal.a("a1");
    journal.b("b0");
    let home = home_of(&journal, &pack);
    assert_eq!(repaired(&home), ["reap"]);
    check(&home, &[("a", &["a0", "a1"]), ("b", &["b0"])]);
}

/// An import that ended before its publication: nobody was told that these records are there.
#[test]
fn what_was_never_acknowledged_is_not_published() {
    let mut journal = founded();
    journal.a("a0");
    let (mut a, mut b) = (journal.a, journal.b);
    let pack = pack_of(&mut a, &mut b, ["a1", "a2"]);
    let home = home_of(&journal, &pack);
    assert_eq!(repaired(&home), ["reap"]);
    check(&home, &[("a", &["a0"]), ("b", &[])]);
}
