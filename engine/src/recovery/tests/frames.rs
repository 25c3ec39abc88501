//! Section 3: frames; section 4: the end of a file that is not the newest.

use turnleaf_format::record::{Entry, Flags, Kind};
use turnleaf_format::{FORMAT_WRITTEN_BY, ThreadChain};

use super::build::{
    Home, Journal, Thread, Verdict, body_of, chunk, epoch, founded, four, home, line,
};
use crate::recovery::Refusal;

const MIB: usize = 1 << 20;

/// The odd frame between a0 and the rest, in the newest file and in one that is not.
fn both(make: impl Fn(&mut Journal)) -> [Home; 2] {
    let mut journal = founded();
    journal.a("a0");
    make(&mut journal);
    journal.b("b0");
    journal.a("a1");
    journal.file.marker();
    let newest = home(&[&journal.file]);
    let older = journal.turn();
    journal.b("b1");
    [newest, home(&[&older, &journal.file])]
}

fn check_both(row: &str, make: impl Fn(&mut Journal), expect: &Verdict<'_>) {
    let [newest, older] = both(make);
    newest.check(row, expect);
    let b = [expect.b, &["b1"]].concat();
    older.check(row, &Verdict { b: &b, ..*expect });
}

const CLOSED: Verdict<'static> = Verdict {
    damage: &["Decode"],
    closed: &[0],
    a: &["a0", "a1"],
    b: &["b0"],
};

#[test]
fn frames_of_another_place_are_no_frames() {
    // [R:frame-1] A right header that belongs to another offset; `tails` has another generation.
    let mut journal = four();
    let end = journal.file.end;
    let fine = Verdict {
        damage: &[],
        closed: &[],
        a: &["a0", "a1"],
        b: &["b0", "b1"],
    };
    let place = journal.place(3);
    let copy = journal.file.bytes[usize::try_from(place).unwrap()..][..96].to_vec();
    journal.file.put(end, &copy);
    home(&[&journal.file]).check("frame-1", &fine);
}

#[test]
fn a_bad_body_costs_its_own_thread_alone() {
    // [R:frame-2]
    let make = |journal: &mut Journal| {
        journal.a("lost");
        let place = *journal.file.places.last().unwrap();
        journal.file.flip(place + 100);
    };
    let expect = Verdict {
        damage: &["Decode"],
        closed: &[1],
        a: &["a0", "a1"],
        b: &["b0"],
    };
    check_both("frame-2", make, &expect);
    // Of the catalogue, it costs the store.
    let make = |journal: &mut Journal| {
        journal.facts(&[epoch(2)]);
        let place = *journal.file.places.last().unwrap();
        journal.file.flip(place + 100);
    };
    check_both("frame-2", make, &CLOSED);
}

#[test]
fn a_bad_header_closes_the_store() {
    // [R:frame-2] Nobody knows whose the records were.
    let make = |journal: &mut Journal| {
        let before = journal.b;
        journal.b("lost");
        let place = *journal.file.places.last().unwrap();
        journal.file.flip(place + 24);
        journal.b = before;
    };
    check_both("frame-2, header", make, &CLOSED);
    // Nothing at the place says that a frame stood there.
    let make = |journal: &mut Journal| {
        let before = journal.b;
        journal.b("lost");
        journal.file.flip(*journal.file.places.last().unwrap());
        journal.b = before;
    };
    check_both("frame-1, magic", make, &CLOSED);
    // Two of them, one after the other: what stands behind them is found.
    let make = |journal: &mut Journal| {
        let before = journal.b;
        for text in ["lost", "lost, too"] {
            journal.b(text);
            let place = *journal.file.places.last().unwrap();
            journal.file.flip(place + 24);
        }
        journal.b = before;
    };
    check_both("frame-2, two headers", make, &CLOSED);
}

#[test]
fn the_journal_chain_must_go_on() {
    // [R:frame-3] A frame that was written to the place at another time.
    let make = |journal: &mut Journal| {
        let mut header = journal.file.next(&journal.b, 1);
        header.journal_chain.0 ^= 1;
        journal
            .file
            .raw(header, &body_of(&[line("elsewhere")]), |_| {});
    };
    check_both("frame-3", make, &CLOSED);
}

#[test]
fn a_frame_that_no_writer_makes_is_damage_and_nothing_is_cut() {
    // [R:frame-4] Refused fields under right checksums.
    let fields = |journal: &mut Journal| {
        let header = journal.file.next(&journal.b, 1);
        let body = body_of(&[line("odd")]);
        journal.file.raw(header, &body, |bytes| bytes[7] = 2);
    };
    check_both("frame-4, fields", fields, &CLOSED);
    // [R:frame-4] Refused entries: a form that has no meaning, a chunk that follows nothing, a kind
    // of the catalogue.
    let mut bad_form = body_of(&[line("odd")]);
    bad_form[2] = 9;
    let stray = body_of(&[line("odd"), chunk(b"x", MIB as u64, Some(b"y"))]);
    let misplaced = body_of(&[Entry::inline(Kind::EPOCH, Flags::NONE, 1, b"x")]);
    for (count, body) in [(1, bad_form), (2, stray), (1, misplaced)] {
        let entries = |journal: &mut Journal| {
            let header = journal.file.next(&journal.b, count);
            journal.file.raw(header, &body, |_| {});
        };
        check_both("frame-4, entries", entries, &CLOSED);
        // At the very end of the newest file, where anything else would be torn.
        let mut journal = four();
        entries(&mut journal);
        let expect = Verdict {
            a: &["a0", "a1"],
            b: &["b0", "b1"],
            ..CLOSED
        };
        home(&[&journal.file]).check("frame-4, tail", &expect);
    }
}

#[test]
fn a_frame_for_newer_readers_refuses_the_store() {
    // [R:frame-5] [R:order] In the middle, at the end, beyond a torn place, in an older file.
    let newer = |journal: &mut Journal| {
        let header = journal.file.next(&journal.b, 1);
        let body = body_of(&[line("new")]);
        journal
            .file
            .raw(header, &body, |bytes| bytes[6] = FORMAT_WRITTEN_BY.0 + 1);
    };
    let refused = |refusal: &Refusal| matches!(refusal, Refusal::Newer { .. });
    for home in both(newer) {
        home.check_refused(&refused);
    }
    let mut journal = four();
    newer(&mut journal);
    home(&[&journal.file]).check_refused(&refused);
    let torn = journal.place(4);
    journal.file.flip(torn + 100);
    home(&[&journal.file]).check_refused(&refused);
    // Beyond the stated end of an older file it is void. [R:sealed-end-2]
    let mut journal = four();
    let mut next = journal.clone();
    let mut older = next.turn();
    newer(&mut journal);
    older.bytes = journal.file.bytes;
    let expect = Verdict {
        damage: &[],
        closed: &[],
        a: &["a0", "a1"],
        b: &["b0", "b1"],
    };
    home(&[&older, &next.file]).check("sealed-end-2", &expect);
}

#[test]
fn frames_that_do_not_fit_their_thread_close_it() {
    // [R:frame-6] Another thread chain; an ordinal that was given already.
    let chain = |journal: &mut Journal| {
        let mut odd = journal.b;
        odd.chain = ThreadChain(5);
        journal.file.append(&mut odd, &[line("odd")]);
        journal.b = odd;
    };
    let expect = Verdict {
        damage: &["Chain"],
        closed: &[2],
        a: &["a0", "a1"],
        b: &["odd", "b0"],
    };
    check_both("frame-6, chain", chain, &expect);
    let twice = |journal: &mut Journal| {
        let mut odd = journal.b;
        journal.b("first");
        journal.file.append(&mut odd, &[line("again")]);
    };
    let expect = Verdict {
        damage: &["Chain"],
        closed: &[2],
        a: &["a0", "a1"],
        b: &["first", "b0"],
    };
    check_both("frame-6, ordinal", twice, &expect);
    // [R:frame-7]
    let gap = |journal: &mut Journal| {
        journal.b.pass(&line("never written"));
        journal.b("later");
    };
    let expect = Verdict {
        damage: &["Missing"],
        closed: &[2],
        a: &["a0", "a1"],
        b: &["later", "b0"],
    };
    check_both("frame-7", gap, &expect);
}

#[test]
fn chunks_count_only_with_their_record() {
    let big = vec![b'x'; MIB];
    let short = || {
        let mut journal = founded();
        journal.file.bytes.resize(4 << 20, 0);
        journal.file.header.capacity = 4 << 20;
        journal.file.state();
        journal
    };
    let fine = |b| Verdict {
        damage: &[],
        closed: &[],
        a: &["a0"],
        b,
    };
    // [R:frame-8] The ordinal begins anew; [R:frame-14] the last record is unfinished.
    let mut journal = short();
    journal.a("a0");
    journal.file.append(&mut journal.b, &[chunk(&big, 0, None)]);
    journal.file.append(&mut journal.b, &[line("anew")]);
    journal.file.append(&mut journal.b, &[chunk(&big, 0, None)]);
    home(&[&journal.file]).check("frame-8, frame-14", &fine(&["anew"]));
    // The record is whole: its last chunk is there.
    let whole = [&big[..], b"y"].concat();
    let mut journal = short();
    journal.a("a0");
    journal.file.append(&mut journal.b, &[chunk(&big, 0, None)]);
    let last = chunk(b"y", MIB as u64, Some(&whole));
    journal.file.append(&mut journal.b, &[last]);
    let text = "x".repeat(40);
    let long = [&text[..]];
    home(&[&journal.file]).check("chunks", &fine(&long));
    // [R:frame-10] A chunk whose beginning is not there.
    let mut journal = short();
    journal.a("a0");
    journal.file.append(&mut journal.b, &[last]);
    journal.b("after");
    let expect = Verdict {
        damage: &["Missing"],
        closed: &[2],
        ..fine(&["after"])
    };
    home(&[&journal.file]).check("frame-10", &expect);
}

#[test]
fn two_owners_and_unknown_threads_close_the_store() {
    // [R:frame-11]
    let owners = |journal: &mut Journal| {
        journal.file.epoch = 3;
        journal.b("newer owner");
        journal.file.epoch = 2;
        journal.b("older owner");
        journal.file.epoch = 3;
    };
    let expect = Verdict {
        damage: &["Epoch"],
        closed: &[0],
        a: &["a0", "a1"],
        b: &["newer owner", "older owner", "b0"],
    };
    let [newest, _] = both(owners);
    newest.check("frame-11", &expect);
    // [R:frame-12]
    let orphan = |journal: &mut Journal| {
        journal.file.append(&mut Thread::new(9), &[line("whose")]);
    };
    let expect = Verdict {
        damage: &["Contradiction"],
        ..CLOSED
    };
    check_both("frame-12", orphan, &expect);
    // Also where its records are lost.
    let orphan = |journal: &mut Journal| {
        journal.file.append(&mut Thread::new(9), &[line("whose")]);
        let place = *journal.file.places.last().unwrap();
        journal.file.flip(place + 100);
    };
    check_both("frame-12, frame-2", orphan, &CLOSED);
    // [R:frame-13]
    let undecodable = |journal: &mut Journal| {
        let entry = Entry::inline(Kind::EPOCH, Flags::NONE, 1, b"short");
        journal.file.append(&mut journal.catalogue, &[entry]);
    };
    check_both("frame-13", undecodable, &CLOSED);
}

#[test]
fn bytes_between_frames_cost_no_record_and_close_nothing() {
    // [R:frame-15]
    let slack = |journal: &mut Journal| {
        journal.b("x");
        let (place, end) = (*journal.file.places.last().unwrap(), journal.file.end);
        assert!(place + 96 + 21 < end, "the frame leaves a gap");
        journal.file.put(end - 1, &[1]);
    };
    let expect = Verdict {
        damage: &["NonzeroPadding"],
        closed: &[],
        a: &["a0", "a1"],
        b: &["x", "b0"],
    };
    check_both("frame-15", slack, &expect);
}

#[test]
fn a_file_ends_where_the_next_one_says() {
    let fine = Verdict {
        damage: &[],
        closed: &[],
        a: &["a0", "a1"],
        b: &["b0", "b1"],
    };
    // [R:sealed-end-1]
    let mut journal = four();
    let first = journal.turn();
    home(&[&first, &journal.file]).check("sealed-end-1", &fine);
    // [R:sealed-end-2] A whole frame beyond is void.
    let (mut journal, mut longer) = (four(), four());
    let mut first = journal.turn();
    longer.a("void");
    first.bytes = longer.file.bytes;
    home(&[&first, &journal.file]).check("sealed-end-2", &fine);
    // [R:sealed-end-3] Zeros where frames should be.
    let mut journal = four();
    let mut first = journal.turn();
    let (place, end) = (first.places[4], first.end);
    first.put(place, &vec![0; usize::try_from(end - place).unwrap()]);
    let expect = Verdict {
        damage: &["Missing"],
        closed: &[0],
        b: &["b0"],
        ..fine
    };
    home(&[&first, &journal.file]).check("sealed-end-3", &expect);
    // [R:sealed-end-4] The stated end lies within the last frame.
    let mut journal = four();
    let first = journal.turn();
    journal.file.header.previous_end.offset -= 8;
    journal.file.state();
    let expect = Verdict {
        damage: &["CrossesEnd"],
        ..expect
    };
    home(&[&first, &journal.file]).check("sealed-end-4", &expect);
    // [R:sealed-end-5]
    let mut journal = four();
    let first = journal.turn();
    journal.file.header.previous_chain.0 ^= 1;
    journal.file.state();
    let expect = Verdict {
        damage: &["Chain"],
        closed: &[0],
        ..fine
    };
    home(&[&first, &journal.file]).check("sealed-end-5", &expect);
}
