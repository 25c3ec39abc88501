//! Sections 1 and 2: the set of journal files.

use turnleaf_format::journal::HEADER_OFFSETS;
use turnleaf_format::segment::section_crc;
use turnleaf_format::{FORMAT_WRITTEN_BY, Generation, StoreId};

use super::build::{File, Journal, STORE, Thread, Verdict, empty_home, four, home, line};
use crate::recovery::{Refusal, Remark};

const FINE: Verdict<'static> = Verdict {
    damage: &[],
    closed: &[],
    a: &["a0", "a1"],
    b: &["b0", "b1"],
};

/// The first file with the four records, and a second one with a2.
fn two() -> (File, Journal) {
    let mut journal = four();
    let first = journal.turn();
    journal.a("a2");
    (first, journal)
}

const TWO: Verdict<'static> = Verdict {
    a: &["a0", "a1", "a2"],
    ..FINE
};

fn ruin(file: &mut File) {
    for at in HEADER_OFFSETS {
        file.put(at, &[0xff; 512]);
    }
}

fn blank(file: &mut File) {
    for at in HEADER_OFFSETS {
        file.put(at, &[0; 512]);
    }
}

/// Makes the checksum of both header copies right again after a change.
fn forge(file: &mut File, change: impl Fn(&mut [u8])) {
    for at in HEADER_OFFSETS {
        let at = usize::try_from(at).unwrap();
        let copy = &mut file.bytes[at..at + 512];
        change(copy);
        let check = section_crc(&copy[..508]);
        copy[508..].copy_from_slice(&check.to_le_bytes());
    }
}

#[test]
fn nothing_is_an_empty_store() {
    // [R:set-1]
    empty_home().check_no_store();
}

#[test]
fn files_without_header_and_frames_are_free() {
    // [R:set-3] Nothing, too short, zero.
    let empty = File {
        bytes: Vec::new(),
        ..four().file
    };
    let short = File {
        bytes: vec![0xff; 5000],
        ..four().file
    };
    let zero = File {
        bytes: vec![0; 65_536],
        ..four().file
    };
    for odd in [&empty, &short, &zero] {
        home(&[&four().file, odd]).check("set-3", &FINE);
        // Alone they are a creation that did not finish.
        home(&[odd]).check_no_store();
    }
    // [R:set-6] A torn header in a file that was never used.
    let mut torn = zero.clone();
    ruin(&mut torn);
    home(&[&four().file, &torn]).check("set-6", &FINE);
    home(&[&torn]).check_no_store();
    // [R:set-7] Unless a link leads nowhere: then it led there.
    let (_, second) = two();
    let expect = Verdict {
        damage: &["Missing", "Decode", "Contradiction"],
        closed: &[0],
        a: &[],
        b: &[],
    };
    home(&[&second.file, &torn]).check("set-7", &expect);
    // [R:set-12] Without such a file, the link alone says it.
    let expect = Verdict {
        damage: &["Missing", "Contradiction"],
        ..expect
    };
    home(&[&second.file]).check("set-12", &expect);
    // [R:set-3] Nor does one that is too short for a header area, by whatever stands in it.
    torn.bytes.truncate(8191);
    home(&[&second.file, &torn]).check("set-3, short", &expect);
}

#[test]
fn a_file_with_room_for_a_header_alone_may_have_had_one() {
    // [R:set-7]
    let (_, second) = two();
    let mut torn = four().file;
    torn.bytes.fill(0);
    ruin(&mut torn);
    torn.bytes.truncate(8192);
    let expect = Verdict {
        damage: &["Missing", "Decode", "Contradiction"],
        closed: &[0],
        a: &[],
        b: &[],
    };
    home(&[&second.file, &torn]).check("set-7, header area", &expect);
}

#[test]
fn segments_alone_say_that_a_store_was_there() {
    // [R:set-8] Nothing says which one: it is not taken for an empty one.
    for name in [
        "segments/0000000000000001.tls",
        "catalogue/0000000000000001.tls",
    ] {
        let home = empty_home();
        home.write(name, &[b'x'; 300]);
        home.check_refused(&|refusal| matches!(refusal, Refusal::Headless { .. }));
    }
}

#[test]
fn a_link_that_leads_nowhere_leaves_the_files_before_readable() {
    // [R:set-12] [R:located] The second of three files is gone.
    let (first, mut journal) = two();
    journal.turn();
    journal.b("b2");
    let expect = Verdict {
        damage: &["Missing"],
        closed: &[0],
        a: &["a0", "a1"],
        b: &["b0", "b1", "b2"],
    };
    home(&[&first, &journal.file]).check("set-12, middle", &expect);
}

#[test]
fn one_of_two_header_copies_is_enough() {
    // [R:set-4]
    for at in HEADER_OFFSETS {
        let mut journal = four();
        journal.file.put(at, &[0xff; 512]);
        let home = home(&[&journal.file]);
        home.check("set-4", &FINE);
        let remarks = home.snapshot().unwrap().report().remarks.clone();
        assert!(
            matches!(&remarks[..], [Remark::HeaderCopy { offset, .. }] if *offset == at),
            "{remarks:?}"
        );
    }
    // [R:set-5] The generations differ where a beginning was interrupted.
    for at in HEADER_OFFSETS {
        let (first, mut second) = two();
        let mut old = File::new(1, None);
        old.header.generation = Generation(1);
        second.file.put(at, &old.header.encode());
        home(&[&first, &second.file]).check("set-5", &TWO);
    }
}

#[test]
fn a_lost_header_over_live_frames_is_damage_and_they_are_read() {
    // [R:set-8] In the newest file, in an older one; bad and zero.
    for make in [ruin, blank] {
        let (first, mut second) = two();
        make(&mut second.file);
        let cause = if second.file.bytes[0] == 0 {
            "Missing"
        } else {
            "Decode"
        };
        let expect = Verdict {
            damage: &[cause],
            closed: &[0],
            ..TWO
        };
        home(&[&first, &second.file]).check("set-8, newest", &expect);
        let (mut first, second) = two();
        make(&mut first);
        home(&[&first, &second.file]).check("set-8, older", &expect);
        // Without any header nothing says which store it is; it is not taken for an empty one.
        let mut only = four().file;
        make(&mut only);
        home(&[&only]).check_refused(&|refusal| matches!(refusal, Refusal::Headless { .. }));
    }
    // [R:set-9] Frames that had left the live range.
    let (mut first, second) = recycled();
    ruin(&mut first);
    home(&[&first, &second]).check("set-9", &FINE);
}

/// A file of generation 1 that nothing needs, and one of generation 2 that holds everything.
fn recycled() -> (File, File) {
    let first = four().file;
    let mut second = Journal {
        file: File::new(2, None),
        catalogue: Thread::new(0),
        a: Thread::new(1),
        b: Thread::new(2),
    };
    let header = &mut second.file.header;
    header.previous_end.generation = Generation(1);
    header.previous_end.offset = first.end;
    header.previous_chain = first.chain;
    header.begun = turnleaf_format::journal::Begun::Full;
    second.file.state();
    second.facts(&super::build::founding());
    second.a("a0");
    second.b("b0");
    second.a("a1");
    second.b("b1");
    (first, second.file)
}

#[test]
fn other_stores_and_newer_formats_are_refused() {
    // [R:set-10] In another file, in one copy of a file.
    let mixed = |refusal: &Refusal| matches!(refusal, Refusal::Mixed { .. });
    let mut other = File::new(2, None);
    other.header.store = StoreId([8; 16]);
    other.state();
    home(&[&four().file, &other]).check_refused(&mixed);
    let mut both = four().file;
    let copy = other.header.encode();
    both.put(4096, &copy);
    home(&[&both]).check_refused(&mixed);
    // [R:set-11] [R:order] In another file, in one copy; also where a copy is of another store.
    let newer = |refusal: &Refusal| matches!(refusal, Refusal::Newer { .. });
    let mut later = File::new(2, None);
    forge(&mut later, |copy| copy[7] = FORMAT_WRITTEN_BY.0 + 1);
    home(&[&four().file, &later]).check_refused(&newer);
    let mut both = four().file;
    let copy = later.bytes[..512].to_vec();
    both.put(4096, &copy);
    home(&[&both]).check_refused(&newer);
    home(&[&both, &other]).check_refused(&newer);
}

#[test]
fn of_two_files_with_one_generation_neither_is_chosen() {
    // [R:set-13] The newest; the one before is read.
    let (first, second) = two();
    let mut twin = second.clone();
    twin.a("only in the twin");
    let expect = Verdict {
        damage: &["DuplicateGeneration", "DuplicateGeneration"],
        closed: &[0],
        ..FINE
    };
    home(&[&first, &second.file, &twin.file]).check("set-13, newest", &expect);
    home(&[&first, &twin.file, &second.file]).check("set-13, newest", &expect);
    // An older one: what follows is read, what it held is missing.
    let (first, mut second) = two();
    let doubled = second.turn();
    second.a("a3");
    let expect = Verdict {
        damage: &["DuplicateGeneration", "DuplicateGeneration", "Missing"],
        closed: &[0, 1],
        a: &["a0", "a1", "a3"],
        ..FINE
    };
    home(&[&first, &doubled, &doubled, &second.file]).check("set-13, older", &expect);
    // Below the oldest live generation it does not matter.
    let (old, live) = recycled();
    home(&[&old, &old, &live]).check("set-14, doubled", &FINE);
}

#[test]
fn files_beside_the_chain_are_free_or_void() {
    // [R:set-14]
    let (old, live) = recycled();
    home(&[&old, &live]).check("set-14", &FINE);
    // [R:set-15] A beginning that failed: the next one links past it.
    let (first, _) = two();
    let mut third = File::new(3, Some(&first));
    let mut a = Thread::new(1);
    a.pass(&line("a0"));
    a.pass(&line("a1"));
    third.append(&mut a, &[line("a2")]);
    let skipped = File::new(2, Some(&first));
    home(&[&first, &skipped, &third]).check("set-15", &TWO);
}

#[test]
fn a_file_shorter_than_its_capacity_was_cut_if_it_holds_frames() {
    // [R:set-16]
    let mut journal = four();
    journal.file.bytes.truncate(40_000);
    let expect = Verdict {
        damage: &["Length"],
        closed: &[0],
        ..FINE
    };
    let cut = home(&[&journal.file]);
    let snapshot = cut.snapshot().unwrap();
    let damage = &snapshot.report().damage[0];
    assert_eq!((damage.offset, damage.length), (40_000, 65_536 - 40_000));
    cut.check("set-16", &expect);
    let (mut first, second) = two();
    first.bytes.truncate(usize::try_from(first.end).unwrap());
    let expect = Verdict {
        damage: &["Length"],
        closed: &[0],
        ..TWO
    };
    home(&[&first, &second.file]).check("set-16, older", &expect);
    // [R:set-18] A beginning that was interrupted.
    let first = four().file;
    let mut begun = File::new(2, Some(&first));
    begun.bytes.truncate(40_000);
    home(&[&first, &begun]).check("set-18", &FINE);
    let mut alone = File::new(1, None);
    alone.bytes.truncate(40_000);
    home(&[&alone]).check_no_store();
}

#[test]
fn a_header_that_no_writer_makes_is_damage() {
    // [R:set-17] In a file without frames, in one with.
    let mut odd = File::new(2, None);
    forge(&mut odd, |copy| copy[80] = 9);
    let expect = Verdict {
        damage: &["Decode"],
        closed: &[0],
        ..FINE
    };
    home(&[&four().file, &odd]).check("set-17", &expect);
    let (first, mut second) = two();
    forge(&mut second.file, |copy| copy[80] = 9);
    let expect = Verdict {
        damage: &["Decode"],
        closed: &[0],
        ..TWO
    };
    home(&[&first, &second.file]).check("set-17, frames", &expect);
    assert_eq!(STORE, first.header.store);
}
