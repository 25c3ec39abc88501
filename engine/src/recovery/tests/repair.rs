//! The repairs that somebody asks for: what they leave, what they keep, that they end.

use std::fs;

use super::build::{
    Home, Journal, Thread, Verdict, empty_home, founded, four, home, line, owner, texts,
};
use super::sealed::Segment;
use crate::log::OpenReport;
use crate::repair::{Repair, find_repairs, repairs_for};
use turnleaf_format::ThreadNumber;
use turnleaf_format::segment::Class;

const FINE: Verdict<'static> = Verdict {
    damage: &[],
    closed: &[],
    a: &["a0", "a1"],
    b: &["b0", "b1"],
};

fn due_of(home: &Home) -> Vec<Repair> {
    let snapshot = home.snapshot().unwrap();
    repairs_for(snapshot.report(), snapshot.state())
}

fn report(home: &Home) -> OpenReport {
    home.snapshot().unwrap().report().clone()
}

fn orphan(home: &Home) -> Segment {
    let lines = [line("x")];
    let mut nobody = Thread::new(1);
    let orphan = Segment::build(9, Class::Run, &mut [(&mut nobody, &[&lines])], &|_, _| {});
    home.write(&orphan.name(), &orphan.bytes);
    orphan
}

#[test]
fn a_header_copy_is_written_from_the_other() {
    // [R:set-4]
    for offset in turnleaf_format::journal::HEADER_OFFSETS {
        let mut journal: Journal = four();
        let whole = journal.file.bytes.clone();
        journal.file.put(offset, b"rotten");
        let home = home(&[&journal.file]);
        let due = due_of(&home);
        assert_eq!(due.len(), 1);
        let done = home.repair(&due);
        let kept = fs::read(home.path(done[0].copy.as_ref().unwrap())).unwrap();
        assert!(kept.len() == 512 && kept.starts_with(b"rotten"));
        let file = fs::read(home.path("journal/00000000.tlj")).unwrap();
        assert!(file == whole, "the file is as it was written");
        assert_eq!(home.repair(&due), [], "there is nothing left to do");
        assert_eq!(report(&home).remarks, []);
        home.check("rewrite-header", &FINE);
    }
}

/// The same place goes bad twice, in different ways: both are kept.
#[test]
fn a_copy_is_never_written_over() {
    let journal: Journal = four();
    let home = home(&[&journal.file]);
    let mut kept = Vec::new();
    for rotten in [&b"rotten"[..], b"worse", b"worse"] {
        let mut file = journal.file.clone();
        file.put(0, rotten);
        home.write("journal/00000000.tlj", &file.bytes);
        let done = home.repair(&due_of(&home));
        kept.push((done[0].copy.clone().unwrap(), rotten));
    }
    for (name, rotten) in &kept {
        let copy = fs::read(home.path(name)).unwrap();
        assert!(copy.len() == 512 && copy.starts_with(rotten), "{name}");
    }
    assert_eq!(kept[1].0, kept[2].0, "the same bytes are kept once");
}

/// It is a store, and damaged, also for whoever takes the lock.
#[test]
fn a_store_without_a_journal_is_not_called_no_store() {
    // [R:set-2]
    let home = empty_home();
    orphan(&home);
    let options = crate::Options::default();
    let owned = crate::Snapshot::open_owned(&home.disk(), &options, &owner()).unwrap();
    assert!(owned.report().closed.contains(&ThreadNumber::CATALOGUE));
    let nobody = empty_home();
    let refused = crate::Snapshot::open_owned(&nobody.disk(), &options, &owner());
    assert!(matches!(
        refused,
        Err(crate::OpenError::Refused(crate::Refusal::NoStore))
    ));
    assert!(!nobody.path("LOCK").exists());
}

/// What copies a store may leave out directories without files.
#[test]
fn directories_that_are_gone_are_made_again() {
    let mut journal: Journal = four();
    journal.file.put(0, b"rotten");
    let home = home(&[&journal.file]);
    for dir in ["segments", "catalogue", "quarantine"] {
        fs::remove_dir(home.path(dir)).unwrap();
    }
    assert_eq!(home.repair(&due_of(&home)).len(), 1);
    assert_eq!(due_of(&home), []);
    drop(home.open().unwrap());
    for dir in ["segments", "catalogue", "quarantine"] {
        assert!(home.path(dir).is_dir(), "{dir}");
    }
}

#[test]
fn an_orphan_is_taken_away_and_its_id_is_not_given_again() {
    // [R:seg-10]
    let home = home(&[&four().file]);
    let orphan = orphan(&home);
    let due = due_of(&home);
    let file = orphan.name();
    assert_eq!(due, [Repair::Reap { file }]);
    assert_eq!(home.repair(&[]), [], "only what is asked for");
    let done = home.repair(&due);
    assert!(fs::read(home.path(done[0].copy.as_ref().unwrap())).unwrap() == orphan.bytes);
    assert!(!home.path(&orphan.name()).exists());
    assert_eq!(home.repair(&due), []);
    // [S:names-7]
    let mut log = home.open().unwrap();
    assert!(log.next_segment() > orphan.id);
    drop(log);
    home.check("reap", &FINE);
}

/// The pack waits until the other thread is repaired, too; nothing is given up for it.
#[test]
fn one_thread_of_a_damaged_pack_is_repaired_alone() {
    let mut journal = founded();
    let (of_a, of_b) = ([line("a0")], [line("b0")]);
    let parts = &mut [
        (&mut journal.a, &[&of_a[..]][..]),
        (&mut journal.b, &[&of_b[..]][..]),
    ];
    let mut pack = Segment::build(1, Class::Pack, parts, &|_, _| {});
    journal.facts(&[pack.published()]);
    journal.a("a1");
    journal.b("b1");
    for block in 0..2 {
        let at = pack.stored_at(block);
        pack.bytes[at] ^= 4;
    }
    let home = home(&[&journal.file]);
    home.write(&pack.name(), &pack.bytes);
    let due = |only| find_repairs(&home.snapshot().unwrap(), only).unwrap();
    let names = |due: &[Repair]| due.iter().map(Repair::name).collect::<Vec<_>>();
    let of_a = due(Some(ThreadNumber(1)));
    assert_eq!(names(&of_a), ["accept-loss"]);
    home.repair(&of_a);
    assert_eq!(names(&due(Some(ThreadNumber(1)))), [""; 0]);
    let all = due(None);
    assert_eq!(names(&all), ["accept-loss", "rebuild-segment"]);
    home.repair(&all);
    assert_eq!(due(None), []);
    assert_eq!(texts(home.snapshot().unwrap().state(), "a"), ["a1"]);
    assert_eq!(texts(home.snapshot().unwrap().state(), "b"), ["b1"]);
}

#[test]
fn nothing_is_taken_away_from_a_damaged_store() {
    let mut journal = four();
    let place = journal.place(1);
    journal.file.flip(place + 100);
    let home = home(&[&journal.file]);
    orphan(&home);
    let reaps = |repair: &Repair| matches!(repair, Repair::Reap { .. });
    assert!(!due_of(&home).iter().any(reaps));
}
