//! Deleted threads: nothing of them is missing, and nothing of them closes anything.

use turnleaf_format::ThreadNumber;
use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::record::Entry;
use turnleaf_format::segment::Class;

use super::build::{Journal, Verdict, founded, home, line};
use super::sealed::Segment;
use crate::log::{AppendError, Outcome};
use crate::repair::find_repairs;

fn delete(journal: &mut Journal) {
    let thread = ThreadNumber(1);
    journal.facts(&[CatalogueRecord::Deleted { thread, at_ms: 1 }]);
}

/// Only b is there, and it takes appends.
fn expect(damage: &'static [&'static str]) -> Verdict<'static> {
    Verdict {
        damage,
        closed: &[],
        a: &[],
        b: &["b0", "b1"],
    }
}

/// The thread is made odd before it is deleted, or behind that.
fn check(row: &str, make: impl Fn(&mut Journal), damage: &'static [&'static str]) {
    for late in [false, true] {
        let mut journal = founded();
        journal.a("a0");
        journal.b("b0");
        if late {
            delete(&mut journal);
        }
        make(&mut journal);
        if !late {
            delete(&mut journal);
        }
        journal.b("b1");
        home(&[&journal.file]).check(&format!("{row}, late: {late}"), &expect(damage));
    }
}

#[test]
fn frames_of_a_deleted_thread_are_not_missed() {
    // [R:deleted]
    check("deleted", |journal| journal.a("a1"), &[]);
    let hole = |journal: &mut Journal| {
        journal.a.next += 3;
        journal.a("a4");
    };
    check("deleted, with a hole", hole, &[]);
    let chain = |journal: &mut Journal| {
        journal.a.chain.0 ^= 1;
        journal.a("a1");
    };
    check("deleted, of another chain", chain, &[]);
    let damaged = |journal: &mut Journal| {
        journal.a("a1");
        let place = *journal.file.places.last().unwrap();
        journal.file.flip(place + 100);
    };
    check("deleted, damaged", damaged, &["Decode"]);
}

#[test]
fn runs_of_a_deleted_thread_are_not_missed() {
    // [R:deleted] The file of its run is gone; one that was published later counts as little.
    for late in [false, true] {
        let mut journal = founded();
        let lines = [line("a0"), line("a1")];
        let run = |id: u64, journal: &mut Journal| {
            let blocks: &[&[Entry<'_>]] = &[&lines];
            let parts = &mut [(&mut journal.a, blocks)];
            Segment::build(id, Class::Run, parts, &|_, _| {})
        };
        let segment = run(1, &mut journal);
        if late {
            delete(&mut journal);
        }
        journal.facts(&[segment.published()]);
        if !late {
            delete(&mut journal);
        }
        journal.b("b0");
        journal.b("b1");
        let row = format!("deleted, run, late: {late}");
        home(&[&journal.file]).check(&row, &expect(&[]));
        // With its file it is a leftover, which the next owner removes.
        let home = home(&[&journal.file]);
        home.write(&segment.name(), &segment.bytes);
        home.open().unwrap().close().unwrap();
        assert!(!home.path(&segment.name()).exists(), "{row}");
    }
}

/// What is stated of a damaged frame is that frame: damage behind it is told when it comes.
/// [S:catalogue-12]
#[test]
fn a_loss_that_was_accepted_covers_no_other() {
    let mut journal = founded();
    journal.b("b0");
    journal.a(&"a long record".repeat(50));
    journal.a("a1");
    delete(&mut journal);
    journal.b("b1");
    let (first, second) = (journal.place(2), journal.place(3));
    journal.file.flip(first + 100);
    let home = home(&[&journal.file]);
    let due = find_repairs(&home.snapshot().unwrap(), None).unwrap();
    assert_eq!(due.len(), 1, "{due:?}");
    home.repair(&due);
    home.check("deleted, accepted", &expect(&[]));
    journal.file.flip(second + 100);
    home.write("journal/00000000.tlj", &journal.file.bytes);
    let damage = home.snapshot().unwrap().report().damage.clone();
    let places: Vec<u64> = damage.iter().map(|found| found.offset).collect();
    assert_eq!(places, [second], "{damage:?}");
}

/// A damaged thread takes no appends; it can be deleted, and then it closes nothing any more.
#[test]
fn a_damaged_thread_can_be_deleted() {
    let mut journal = founded();
    journal.a("a0");
    let place = *journal.file.places.last().unwrap();
    journal.b("b0");
    journal.a("a1");
    journal.b("b1");
    journal.file.flip(place + 100);
    let home = home(&[&journal.file]);
    let mut log = home.open().unwrap();
    let thread = ThreadNumber(1);
    let refused = log.stage(thread, None, &[]).unwrap_err();
    assert_eq!(refused, AppendError::Quarantined);
    let ticket = log.stage_deletion(thread).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    assert_eq!(log.damage(), []);
    log.close().unwrap();
    home.check("damaged, then deleted", &expect(&["Decode"]));
}

/// The file of a damaged frame is kept for its thread alone: appends to others do not wait for it.
#[test]
fn a_deleted_thread_keeps_no_file_of_a_damaged_frame() {
    let mut journal = founded();
    journal.a("a0");
    let place = *journal.file.places.last().unwrap();
    journal.b("b0");
    journal.a("a1");
    journal.b("b1");
    journal.file.flip(place + 100);
    let home = home(&[&journal.file]);
    let mut log = home.open().unwrap();
    let ticket = log.stage_deletion(ThreadNumber(1)).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    for round in 0..40_u8 {
        let bytes = vec![round; 6000];
        let record = crate::log::NewRecord {
            kind: turnleaf_format::record::Kind::LINE,
            flags: turnleaf_format::record::Flags::NONE,
            timestamp_ms: 1,
            bytes: &bytes,
        };
        let staged = log.stage(ThreadNumber(2), None, &[record]).unwrap();
        log.commit_all();
        while matches!(log.outcome(staged.ticket), Outcome::Pending) {
            let plan = log.plan_seal(crate::log::SealGoal::Due);
            let plan = plan.unwrap_or_else(|| panic!("append {round} waits for ever"));
            let done = plan.run(&super::build::no_notes);
            drop(plan);
            log.finish_seal(done).unwrap();
            log.commit_all();
            log.clean_up(1).unwrap();
        }
        assert!(matches!(log.outcome(staged.ticket), Outcome::Durable));
    }
}
