//! The repairs that somebody asks for: what they leave, what they keep, that they end.

use std::fs;

use super::build::{Home, Journal, Thread, Verdict, four, home, line};
use super::sealed::Segment;
use crate::log::OpenReport;
use crate::repair::{Repair, repairs_for};
use turnleaf_format::segment::Class;

const FINE: Verdict<'static> = Verdict {
    damage: &[],
    closed: &[],
    a: &["a0", "a1"],
    b: &["b0", "b1"],
};

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
        let due = repairs_for(&report(&home));
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

#[test]
fn an_orphan_is_taken_away_and_its_id_is_not_given_again() {
    // [R:seg-10]
    let home = home(&[&four().file]);
    let orphan = orphan(&home);
    let due = repairs_for(&report(&home));
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

#[test]
fn nothing_is_taken_away_from_a_damaged_store() {
    let mut journal = four();
    let place = journal.place(1);
    journal.file.flip(place + 100);
    let home = home(&[&journal.file]);
    orphan(&home);
    let reaps = |repair: &Repair| matches!(repair, Repair::Reap { .. });
    assert!(!repairs_for(&report(&home)).iter().any(reaps));
}
