//! Blocks of a segment that cannot be read while the journal still has their records: readers and
//! repairs take them from there, and nothing is given up.

use turnleaf_format::record::Entry;
use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, ThreadNumber};

use super::build::{Home, Verdict, chunk, founded, home, line, texts};
use super::sealed::Segment;
use crate::repair::{Repair, find_repairs};

const ALL: [&str; 7] = ["a0", "a1", "a2", "a3", "a4", "a5", "a6"];

/// The journal has a's records in these batches, and a pack has them in blocks of two, of which
/// some are bad.
fn store(batches: &[&[&str]], bad: &[usize]) -> Home {
    let mut journal = founded();
    let (mut a, mut b) = (journal.a, journal.b);
    let lines: Vec<Entry<'_>> = ALL[..6].iter().map(|text| line(text)).collect();
    let blocks: Vec<&[Entry<'_>]> = lines.chunks(2).collect();
    let of_b = [line("b0")];
    let parts = &mut [(&mut a, &blocks[..]), (&mut b, &[&of_b[..]][..])];
    let mut pack = Segment::build(1, Class::Pack, parts, &|_, _| {});
    for batch in batches {
        let entries: Vec<Entry<'_>> = batch.iter().map(|text| line(text)).collect();
        journal.file.append(&mut journal.a, &entries);
    }
    // What it does not have stood in a file that was recycled.
    (journal.a, journal.b) = (a, b);
    journal.facts(&[pack.published()]);
    journal.a("a6");
    journal.b("b1");
    for block in bad {
        let at = pack.stored_at(*block);
        pack.bytes[at] ^= 4;
    }
    let home = home(&[&journal.file]);
    home.write(&pack.name(), &pack.bytes);
    home
}

fn names(home: &Home, only: Option<ThreadNumber>) -> Vec<&'static str> {
    let due = find_repairs(&home.snapshot().unwrap(), only).unwrap();
    due.iter().map(Repair::name).collect()
}

#[test]
fn bad_blocks_are_read_from_the_journal() {
    // [R:seg-5]
    let one: &[&[&str]] = &[&["a0"], &["a1"], &["a2"], &["a3"], &["a4"], &["a5"]];
    let three: &[&[&str]] = &[&["a0", "a1", "a2"], &["a3", "a4", "a5"]];
    for batches in [one, three] {
        for bad in [&[0][..], &[1], &[2], &[0, 1, 2]] {
            let home = store(batches, bad);
            assert_eq!(texts(home.snapshot().unwrap().state(), "a"), ALL);
            for only in [None, Some(ThreadNumber(1))] {
                assert_eq!(names(&home, only), ["rebuild-segment"], "{bad:?}");
            }
            let expect = Verdict {
                damage: &[],
                closed: &[],
                a: &ALL,
                b: &["b0", "b1"],
            };
            home.check("seg-5, the journal", &expect);
        }
    }
}

/// Frames that begin or end within what is missing are not enough.
#[test]
fn what_the_journal_has_only_in_part_is_lost() {
    let home = store(&[&["a0", "a1", "a2"]], &[1]);
    assert_eq!(names(&home, None), ["accept-loss", "rebuild-segment"]);
    let left = ["a0", "a1", "a4", "a5", "a6"];
    assert_eq!(texts(home.snapshot().unwrap().state(), "a"), left);
}

/// Blocks on either side may hold other chunks of the same record.
#[test]
fn records_of_chunks_are_not_taken_from_the_journal() {
    let mut journal = founded();
    let whole = vec![7; (1 << 20) + 1];
    let (head, rest) = whole.split_at(1 << 20);
    let chunks = [chunk(head, 0, None), chunk(rest, 1 << 20, Some(&whole))];
    let mut a = journal.a;
    let parts = &mut [(&mut a, &[&chunks[..1], &chunks[1..]][..])];
    let mut run = Segment::build(1, Class::Run, parts, &|_, _| {});
    let at = run.stored_at(1);
    run.bytes[at] ^= 4;
    journal.file.header.capacity = 4 << 20;
    journal.file.bytes.resize(4 << 20, 0);
    journal.file.state();
    journal.file.append(&mut journal.a, &chunks);
    journal.facts(&[run.published()]);
    journal.a("a1");
    let home = home(&[&journal.file]);
    home.write(&run.name(), &run.bytes);
    assert_eq!(names(&home, None), ["accept-loss", "rebuild-segment"]);
    let snapshot = home.snapshot().unwrap();
    let reader = snapshot.state().reader(ThreadNumber(1)).unwrap();
    assert_eq!(reader.end(), Ordinal(2));
}

#[test]
fn of_two_missing_segments_the_journal_may_hold_one() {
    // [R:seg-1]
    let lines = ["a0", "a1", "a2", "a3"].map(line);
    for (held, lost) in [(["a0", "a1"], (2, 4)), (["a2", "a3"], (0, 2))] {
        let mut journal = founded();
        let mut runs = Vec::new();
        for (id, lines) in [(1, &lines[..2]), (2, &lines[2..4])] {
            let mut frames = journal.a;
            if lines.iter().any(|line| line.bytes == held[0].as_bytes()) {
                journal.file.append(&mut frames, lines);
            }
            let parts = &mut [(&mut journal.a, &[lines][..])];
            runs.push(Segment::build(id, Class::Run, parts, &|_, _| {}).published());
        }
        journal.facts(&runs);
        journal.a("a4");
        let expect = Verdict {
            damage: &["Missing", "Missing"],
            closed: &[1],
            a: &[held[0], held[1], "a4"],
            b: &[],
        };
        let home = home(&[&journal.file]);
        let snapshot = home.snapshot().unwrap();
        let holes = snapshot.state().reader(ThreadNumber(1)).unwrap().holes();
        assert_eq!(holes, [(Ordinal(lost.0), Ordinal(lost.1))]);
        home.check("seg-1, one of two", &expect);
    }
}
