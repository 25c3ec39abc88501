//! The list of damage: places that are read again. [R:seg-16]

use turnleaf_format::record::Entry;
use turnleaf_format::segment::Class;

use super::build::{Home, STORE, Thread, Verdict, founded, home, line};
use super::sealed::Segment;
use crate::damage_list::{listed, remember};
use crate::error::{Cause, Damage};

const FINE: Verdict<'static> = Verdict {
    damage: &[],
    closed: &[],
    a: &["a0", "a1", "a2", "a3", "a4", "a5", "a6"],
    b: &["b0", "b1"],
};

/// A published pack with three blocks of a and one of b, and the journal behind it.
fn store(spoil: impl FnOnce(&mut Segment)) -> (Home, Segment) {
    let mut journal = founded();
    let lines = ["a0", "a1", "a2", "a3", "a4", "a5"].map(line);
    let of_a: Vec<&[Entry<'_>]> = lines.chunks(2).collect();
    let of_b = [line("b0")];
    let parts = &mut [
        (&mut journal.a, &of_a[..]),
        (&mut journal.b, &[&of_b[..]][..]),
    ];
    let mut segment = Segment::build(1, Class::Pack, parts, &|_, _| {});
    journal.facts(&[segment.published()]);
    journal.a("a6");
    journal.b("b1");
    spoil(&mut segment);
    let home = home(&[&journal.file]);
    home.write(&segment.name(), &segment.bytes);
    (home, segment)
}

fn list(home: &Home, file: &str, offsets: &[usize]) {
    let damage = |offset: &usize| Damage {
        file: file.to_owned(),
        offset: *offset as u64,
        length: 0,
        thread: None,
        ordinals: None,
        cause: Cause::Missing,
    };
    let found: Vec<Damage> = offsets.iter().map(damage).collect();
    remember(&*home.disk(), STORE, &found).unwrap();
}

#[test]
fn a_listed_block_closes_its_thread_and_a_repair_ends_that() {
    // [R:seg-16]
    for back in [20, 0] {
        let (home, segment) = store(|segment| {
            let at = segment.stored_at(1) - back;
            segment.bytes[at] ^= 1;
        });
        list(&home, &segment.name(), &[segment.stored_at(1) - 64]);
        let told = Verdict {
            damage: &["Decode"],
            closed: &[1],
            a: &["a0", "a1", "a4", "a5", "a6"],
            ..FINE
        };
        home.check("listed", &told);
        assert_eq!(listed(&*home.disk(), STORE).len(), 1);
    }
}

#[test]
fn a_listed_chain_that_breaks_is_read_with_what_is_before_it() {
    // [R:seg-6]
    let mut journal = founded();
    let lines = ["a0", "a1", "a2", "a3"].map(line);
    let of_a: Vec<&[Entry<'_>]> = lines.chunks(2).collect();
    let odd = |header: &mut turnleaf_format::segment::BlockHeader, _: &mut _| {
        if header.first_ordinal.0 == 2 {
            header.chain.0 ^= 1;
        }
    };
    let parts = &mut [(&mut journal.a, &of_a[..])];
    let segment = Segment::build(1, Class::Run, parts, &odd);
    journal.facts(&[segment.published()]);
    let home = home(&[&journal.file]);
    home.write(&segment.name(), &segment.bytes);
    list(&home, &segment.name(), &[segment.stored_at(1) - 64]);
    let report = home.snapshot().unwrap().report().clone();
    assert!(
        report
            .damage
            .iter()
            .any(|found| found.cause == Cause::Chain)
    );
    assert_eq!(report.closed.len(), 1);
}

#[test]
fn what_costs_no_record_is_told_and_closes_nothing() {
    let (home, segment) = store(|segment| segment.bytes[40] ^= 1);
    list(&home, &segment.name(), &[0]);
    let told = Verdict {
        damage: &["Decode"],
        ..FINE
    };
    home.check("header", &told);
}

#[test]
fn a_place_that_reads_well_is_struck_off() {
    let (home, segment) = store(|_| {});
    let block = segment.stored_at(1) - 64;
    list(
        &home,
        &segment.name(),
        &[0, 7, block, segment.footer_at, usize::MAX],
    );
    list(&home, "segments/00000000000000ff.tls", &[0, 128]);
    assert_eq!(listed(&*home.disk(), STORE).len(), 7);
    home.check("stale", &FINE);
    assert!(!home.path("damage").exists(), "the owner took it away");
    for wrong in [&b""[..], b"turnleaf-damage-1", &[0xff; 300]] {
        let (home, _) = store(|_| {});
        home.write("damage", wrong);
        home.check("no list", &FINE);
    }
}

/// A thread that is deleted, or reads the ordinals from elsewhere, is not closed.
#[test]
fn damage_of_what_nobody_reads_closes_nothing() {
    let mut journal = founded();
    let (mut again, lines) = (Thread::new(1), ["a0", "a1"].map(line));
    let mut small = Segment::build(
        1,
        Class::Run,
        &mut [(&mut again, &[&lines[..1]])],
        &|_, _| {},
    );
    let whole = Segment::build(
        2,
        Class::Run,
        &mut [(&mut journal.a, &[&lines[..]])],
        &|_, _| {},
    );
    journal.facts(&[small.published(), whole.published()]);
    let at = small.stored_at(0);
    small.bytes[at] ^= 1;
    let home = home(&[&journal.file]);
    home.write(&small.name(), &small.bytes);
    home.write(&whole.name(), &whole.bytes);
    list(&home, &small.name(), &[at - 64]);
    let report = home.snapshot().unwrap().report().clone();
    assert_eq!(
        (report.damage.len(), report.closed.len()),
        (1, 0),
        "{:?}",
        report.damage
    );
}
