//! The list of damage: places that are read again. [R:seg-16]

use turnleaf_format::record::Entry;
use turnleaf_format::segment::{BlockHeader, Class, Footer};

use super::build::{Home, STORE, Thread, Verdict, founded, home, line};
use super::sealed::Segment;
use crate::damage_list::{listed, remember};
use crate::error::{Cause, Damage};
use crate::options::Options;
use crate::recovery::listed::{Known, read_again};
use crate::recovery::segments::{Budget, Suspects};
use crate::recovery::{CatalogueFrom, Findings, Remark, replay, survey};

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
        assert_eq!(listed(&*home.disk(), STORE).unwrap().len(), 1);
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
    assert_eq!(listed(&*home.disk(), STORE).unwrap().len(), 6);
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

/// One run of a, two blocks of two records each.
fn run(odd: &dyn Fn(&mut BlockHeader, &mut Footer)) -> (Home, Segment) {
    let mut journal = founded();
    let lines = ["a0", "a1", "a2", "a3"].map(line);
    let of_a: Vec<&[Entry<'_>]> = lines.chunks(2).collect();
    let segment = Segment::build(1, Class::Run, &mut [(&mut journal.a, &of_a[..])], odd);
    journal.facts(&[segment.published()]);
    let home = home(&[&journal.file]);
    home.write(&segment.name(), &segment.bytes);
    (home, segment)
}

/// What the opening says of a listed block: cause and ordinals, in the order in which it is met.
fn told(home: &Home) -> Vec<(Cause, Option<(u64, u64)>)> {
    let snapshot = home.snapshot().unwrap();
    assert_eq!(snapshot.report().closed.len(), 1);
    let found = snapshot.report().damage.iter();
    let told = |found: &Damage| {
        let ordinals = found.ordinals.map(|(first, end)| (first.0, end.0));
        (found.cause, ordinals)
    };
    found.map(told).collect()
}

#[test]
fn the_first_block_of_a_run_continues_what_was_published() {
    // [R:seg-6]
    let (home, segment) = run(&|header, _| {
        if header.entry_count > 0 && header.first_ordinal.0 == 0 {
            header.chain.0 ^= 1;
        }
    });
    list(&home, &segment.name(), &[segment.stored_at(0) - 64]);
    assert_eq!(told(&home), [(Cause::Chain, Some((0, 2)))]);
}

#[test]
fn a_block_that_does_not_lead_to_the_next_one_is_damaged() {
    // [S:footer-5]
    let (home, segment) = run(&|header, footer| {
        if header.first_ordinal.0 == 2 {
            header.first_ordinal.0 = 3;
        }
        if let Some(row) = footer.blocks.get_mut(1) {
            row.first_ordinal.0 = 3;
        }
    });
    list(&home, &segment.name(), &[segment.stored_at(0) - 64]);
    assert_eq!(told(&home), [(Cause::Tables, Some((2, 3)))]);
    let snapshot = home.snapshot().unwrap();
    let mut found = Vec::new();
    let mut note = |damage: &Damage| found.push(damage.cause);
    snapshot
        .state()
        .verify_segment(segment.id, &mut note)
        .unwrap();
    assert_eq!(found[0], Cause::Tables);
}

/// Where the tables are bad, too, no row says that a block began at the place.
#[test]
fn a_listed_block_is_missed_without_tables() {
    let (home, segment) = store(|segment| {
        let at = segment.stored_at(1) - 20;
        segment.bytes[at] ^= 1;
        let footer = segment.footer_at + 4;
        segment.bytes[footer] ^= 1;
    });
    list(&home, &segment.name(), &[segment.footer_at]);
    let told = Verdict {
        damage: &["Decode", "Missing"],
        closed: &[1],
        a: &["a0", "a1", "a4", "a5", "a6"],
        ..FINE
    };
    home.check("without tables", &told);
}

/// Two bad segments, and room to read one of them: the other stays listed, and is told to be.
#[test]
fn an_opening_reads_only_so_much() {
    let mut journal = founded();
    let (of_a, of_b) = ([line("a0")], [line("b0")]);
    let part = &mut [(&mut journal.a, &[&of_a[..]][..])];
    let mut first = Segment::build(1, Class::Run, part, &|_, _| {});
    let part = &mut [(&mut journal.b, &[&of_b[..]][..])];
    let mut second = Segment::build(2, Class::Run, part, &|_, _| {});
    journal.facts(&[first.published(), second.published()]);
    let home = home(&[&journal.file]);
    for segment in [&mut first, &mut second] {
        let at = segment.stored_at(0);
        segment.bytes[at] ^= 1;
        home.write(&segment.name(), &segment.bytes);
        list(&home, &segment.name(), &[at - 64]);
    }
    let disk = home.disk();
    let survey = survey(&*disk).unwrap();
    let from = CatalogueFrom::Records;
    let replayed = replay(&disk, &survey, &Options::default(), from).unwrap();
    let known = Known {
        suspects: &Suspects::default(),
        catalogue: &replayed.catalogue,
        segments: &replayed.segments,
        threads: &replayed.threads,
    };
    let places = listed(&*disk, STORE).unwrap();
    let tables = first.footer.encode().len() as u64;
    for (bytes, closed) in [(0, 0), (1, 0), (tables, 0), (tables + 1, 1), (u64::MAX, 2)] {
        let mut findings = Findings::default();
        let good = read_again(&places, &known, &mut Budget::of(bytes), &mut findings);
        assert_eq!(
            (good.len(), findings.closed().len()),
            (0, closed),
            "{bytes}"
        );
        let unchecked = |remark: &&Remark| matches!(remark, Remark::Unchecked { why: None, .. });
        let unchecked = findings.remarks.iter().filter(unchecked).count();
        assert_eq!(unchecked, 2 - closed, "{bytes}");
    }
}

/// Damage that costs no record keeps no file that nothing needs.
#[test]
fn damage_that_costs_nothing_stops_no_removal() {
    // [R:seg-13] [R:seg-16]
    let (home, segment) = store(|segment| segment.bytes[40] ^= 1);
    list(&home, &segment.name(), &[0]);
    home.write("segments/00000000000000aa.tls.tmp", b"half");
    home.write("damage.tmp", b"half");
    drop(home.open().unwrap());
    assert!(!home.path("segments/00000000000000aa.tls.tmp").exists());
    assert!(!home.path("damage.tmp").exists());
    assert_eq!(listed(&*home.disk(), STORE).unwrap().len(), 1);
    let (home, segment) = store(|segment| {
        let at = segment.stored_at(1);
        segment.bytes[at] ^= 1;
    });
    list(&home, &segment.name(), &[segment.stored_at(1) - 64]);
    home.write("segments/00000000000000aa.tls.tmp", b"half");
    drop(home.open().unwrap());
    assert!(home.path("segments/00000000000000aa.tls.tmp").exists());
}
