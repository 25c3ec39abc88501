//! Section 7: segments.

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::record::Entry;
use turnleaf_format::segment::{BlockHeader, Class, Footer, section_crc};
use turnleaf_format::{FORMAT_WRITTEN_BY, Ordinal, SegmentId, ThreadNumber};

use super::build::{Home, Journal, Thread, Verdict, chunk, founded, founding, home, line, texts};
use super::sealed::Segment;
use crate::recovery::Remark;

const SIX: [&str; 6] = ["a0", "a1", "a2", "a3", "a4", "a5"];

fn pack(a: &mut Thread, b: &mut Thread) -> Segment {
    pack_with(a, b, &|_, _| {})
}

/// Three blocks of a, two records each, and one block of b.
fn pack_with(
    a: &mut Thread,
    b: &mut Thread,
    odd: &dyn Fn(&mut BlockHeader, &mut Footer),
) -> Segment {
    let lines = SIX.map(line);
    let of_a: Vec<&[Entry<'_>]> = lines.chunks(2).collect();
    let of_b = [line("b0")];
    let parts = &mut [(a, &of_a[..]), (b, &[&of_b[..]][..])];
    Segment::build(1, Class::Pack, parts, odd)
}

/// The segment is published, what it holds stands nowhere else, and both threads go on behind it.
fn store(odd: &dyn Fn(&mut BlockHeader, &mut Footer)) -> (Segment, Journal) {
    let mut journal = founded();
    let segment = pack_with(&mut journal.a, &mut journal.b, odd);
    journal.facts(&[segment.published()]);
    journal.a("a6");
    journal.b("b1");
    (segment, journal)
}

fn home_of(journal: &Journal, segments: &[&Segment]) -> Home {
    let home = home(&[&journal.file]);
    for segment in segments {
        home.write(&segment.name(), &segment.bytes);
    }
    home
}

/// What a verification of the segment says: cause, and the ordinals that it costs.
fn verify(home: &Home) -> Vec<(String, Option<(u64, u64)>)> {
    let snapshot = home.snapshot().unwrap();
    let mut found = Vec::new();
    let mut report = |damage: &crate::Damage| {
        assert!(damage.file.starts_with("segments/"), "{damage}");
        let cause = format!("{:?}", damage.cause);
        let cause = cause.split([' ', '(']).next().unwrap().to_owned();
        let ordinals = damage.ordinals.map(|(first, end)| (first.0, end.0));
        found.push((cause, ordinals));
    };
    let read = snapshot.state().verify_segment(SegmentId(1), &mut report);
    read.unwrap();
    found
}

/// All is readable but some records of a, and the damage is what `causes` says.
fn check(
    row: &str,
    segment: &Segment,
    journal: &Journal,
    lost: &[&str],
    causes: &[(&str, Option<(u64, u64)>)],
) {
    let home = home_of(journal, &[segment]);
    let a: Vec<&str> = SIX.iter().chain(&["a6"]).copied().collect();
    let a: Vec<&str> = a.into_iter().filter(|text| !lost.contains(text)).collect();
    let expect = Verdict {
        damage: &[],
        closed: &[],
        a: &a,
        b: &["b0", "b1"],
    };
    let causes: Vec<_> = causes
        .iter()
        .map(|(cause, at)| ((*cause).to_owned(), *at))
        .collect();
    assert_eq!(verify(&home), causes, "{row}");
    home.check(row, &expect);
}

#[test]
fn a_missing_segment_costs_what_nothing_else_holds() {
    // [R:seg-1]
    let (segment, journal) = store(&|_, _| {});
    check("good", &segment, &journal, &[], &[]);
    let expect = Verdict {
        damage: &["Missing", "Missing"],
        closed: &[1, 2],
        a: &["a6"],
        b: &["b1"],
    };
    home_of(&journal, &[]).check("seg-1", &expect);
    // Another run holds the ordinals of b, live frames those of a.
    let mut journal = founded();
    let (mut a, mut b) = (journal.a, journal.b);
    let segment = pack(&mut a, &mut b);
    let line_b = [line("b0")];
    let mut again = Thread::new(2);
    let other = Segment::build(2, Class::Run, &mut [(&mut again, &[&line_b])], &|_, _| {});
    for text in SIX {
        journal.a(text);
    }
    journal.facts(&[segment.published(), other.published()]);
    journal.b = b;
    journal.a("a6");
    journal.b("b1");
    let all: Vec<&str> = SIX.iter().chain(&["a6"]).copied().collect();
    let expect = Verdict {
        damage: &["Missing"],
        closed: &[1],
        a: &all,
        b: &["b0", "b1"],
    };
    home_of(&journal, &[&other]).check("seg-1, held elsewhere", &expect);
    // At the end of a thread the lost ordinals are not given again.
    let mut journal = founded();
    let segment = pack(&mut journal.a, &mut journal.b);
    journal.facts(&[segment.published()]);
    let home = home_of(&journal, &[]);
    let state = home.snapshot().unwrap();
    let reader = state.state().reader(ThreadNumber(1)).unwrap();
    assert_eq!(
        (reader.end(), reader.chain()),
        (Ordinal(6), journal.a.chain)
    );
}

#[test]
fn frames_below_the_cover_repeat_what_is_sealed() {
    // [R:frame-9]
    let sealed = |text: &str| {
        let mut journal = founded();
        let (mut a, mut b) = (journal.a, journal.b);
        let segment = pack(&mut a, &mut b);
        for text in &SIX[..5] {
            journal.a(text);
        }
        journal.a(text);
        journal.b("b0");
        journal.facts(&[segment.published()]);
        (journal.a, journal.b) = (a, b);
        journal.a("a6");
        journal.b("b1");
        home_of(&journal, &[&segment])
    };
    let all: Vec<&str> = SIX.iter().chain(&["a6"]).copied().collect();
    let expect = Verdict {
        damage: &[],
        closed: &[],
        a: &all,
        b: &["b0", "b1"],
    };
    sealed("a5").check("frame-9", &expect);
    // Other records under the same ordinals are none that the thread has.
    let expect = Verdict {
        damage: &["Chain"],
        closed: &[1],
        ..expect
    };
    sealed("x5").check("frame-9, others", &expect);
}

#[test]
fn a_journal_that_is_gone_leaves_the_segments_readable() {
    // [R:set-2]
    let (segment, journal) = store(&|_, _| {});
    let mut facts = founding();
    facts.push(segment.published());
    let payloads: Vec<_> = facts
        .iter()
        .map(|fact| (fact.kind(), fact.encode()))
        .collect();
    let entry = |(kind, bytes): &'_ (_, Vec<u8>)| {
        let bytes: &'static [u8] = Box::leak(bytes.clone().into_boxed_slice());
        Entry::inline(*kind, turnleaf_format::record::Flags::NONE, 1, bytes)
    };
    let entries: Vec<Entry<'_>> = payloads.iter().map(entry).collect();
    let mut thread = Thread::new(0);
    let parts = &mut [(&mut thread, &[&entries[..]][..])];
    let catalogue = Segment::build(5, Class::Catalogue, parts, &|_, _| {});
    let home = home_of(&journal, &[&segment, &catalogue]);
    std::fs::remove_file(home.path("journal/00000000.tlj")).unwrap();
    let expect = Verdict {
        damage: &["Missing"],
        closed: &[0],
        a: &SIX,
        b: &["b0"],
    };
    home.check("set-2", &expect);
}

/// The opening says what a verification says, closes both threads, and what is left is read.
fn check_resized(
    row: &str,
    segment: &Segment,
    journal: &Journal,
    (a, b): (&[&str], &[&str]),
    causes: &[(&str, Option<(u64, u64)>)],
) {
    let home = home_of(journal, &[segment]);
    let damage: Vec<&str> = causes.iter().map(|(cause, _)| *cause).collect();
    let expect = Verdict {
        damage: &damage,
        closed: &[1, 2],
        a,
        b,
    };
    home.check(row, &expect);
    let causes = causes.iter().map(|(cause, at)| ((*cause).to_owned(), *at));
    assert_eq!(verify(&home), causes.collect::<Vec<_>>(), "{row}");
}

#[test]
fn another_length_closes_the_threads_and_leaves_the_blocks_readable() {
    // [R:seg-2] Longer, cut in the tables, cut in a block.
    let (mut segment, journal) = store(&|_, _| {});
    let whole = segment.clone();
    let all: Vec<&str> = SIX.iter().chain(&["a6"]).copied().collect();
    let all = (&all[..], &["b0", "b1"][..]);
    segment.bytes.extend_from_slice(b"more");
    check_resized("longer", &segment, &journal, all, &[("Decode", None)]);
    segment.bytes = whole.bytes[..whole.bytes.len() - 1].to_vec();
    check_resized("cut by one", &segment, &journal, all, &[("Decode", None)]);
    segment.bytes = [&whole.bytes[..], &whole.bytes[whole.footer_at..]].concat();
    let at = segment.bytes.len() - 96;
    let footer_at = whole.bytes.len() as u64;
    segment.bytes[at + 32..at + 40].copy_from_slice(&footer_at.to_le_bytes());
    let check_crc = section_crc(&segment.bytes[at..at + 92]);
    segment.bytes[at + 92..].copy_from_slice(&check_crc.to_le_bytes());
    check_resized("tables", &segment, &journal, all, &[("Length", None)]);
    let cut = whole.stored_at(2) + 5;
    segment.bytes = whole.bytes[..cut].to_vec();
    // The one block of b lies behind the cut too.
    let left = (&["a0", "a1", "a2", "a3", "a6"][..], &["b1"][..]);
    let causes = [
        ("Decode", None),
        ("Missing", Some((4, 6))),
        ("Missing", Some((0, 1))),
    ];
    check_resized("cut", &segment, &journal, left, &causes);
}

/// Nothing stands in it: it is as if it were not there.
#[test]
fn an_empty_segment_costs_what_a_missing_one_does() {
    // [R:seg-1] [R:seg-2]
    let (mut segment, journal) = store(&|_, _| {});
    for (len, cause) in [
        (190, "Decode"),
        (128, "Decode"),
        (95, "Missing"),
        (0, "Missing"),
    ] {
        segment.bytes.truncate(len);
        let expect = Verdict {
            damage: &[cause, cause],
            closed: &[1, 2],
            a: &["a6"],
            b: &["b1"],
        };
        home_of(&journal, &[&segment]).check("empty", &expect);
    }
}

#[test]
fn a_bad_header_or_bad_tables_cost_no_record() {
    // [R:seg-3]
    let (mut segment, journal) = store(&|_, _| {});
    let whole = segment.clone();
    segment.bytes[40] ^= 1;
    check("seg-3", &segment, &journal, &[], &[("Decode", None)]);
    // [R:seg-4] The trailer, the footer, both; and all blocks are looked for.
    for at in [whole.bytes.len() - 50, whole.footer_at + 20] {
        segment.bytes = whole.bytes.clone();
        segment.bytes[at] ^= 1;
        check("seg-4", &segment, &journal, &[], &[("Decode", None)]);
    }
    segment.bytes = whole.bytes.clone();
    segment.bytes[whole.footer_at..].fill(0);
    check("seg-4, zeros", &segment, &journal, &[], &[("Decode", None)]);
    // With a bad block too, the damage is still that block.
    segment.bytes[whole.stored_at(1)] ^= 1;
    let causes = [("Decode", None), ("Decode", Some((2, 4)))];
    check("seg-4, block", &segment, &journal, &["a2", "a3"], &causes);
    segment.bytes[whole.stored_at(1) - 20] ^= 1;
    check(
        "seg-4, block header",
        &segment,
        &journal,
        &["a2", "a3"],
        &causes,
    );
    for (block, lost, ordinals) in [(0, ["a0", "a1"], (0, 2)), (2, ["a4", "a5"], (4, 6))] {
        segment.bytes = whole.bytes.clone();
        segment.bytes[whole.footer_at..].fill(0);
        segment.bytes[whole.stored_at(block) - 20] ^= 1;
        let causes = [("Decode", None), ("Decode", Some(ordinals))];
        check("seg-4, border", &segment, &journal, &lost, &causes);
    }
}

#[test]
fn a_bad_block_costs_its_ordinals() {
    // [R:seg-5] Header, stored bytes.
    for back in [20, 0] {
        let (mut segment, journal) = store(&|_, _| {});
        let at = segment.stored_at(1) - back;
        segment.bytes[at] ^= 1;
        let causes = [("Decode", Some((2, 4)))];
        check("seg-5", &segment, &journal, &["a2", "a3"], &causes);
    }
    // Entries that are refused under right checksums: a kind byte would pass, a form does not.
    let (mut segment, journal) = store(&|_, _| {});
    let at = segment.stored_at(1);
    segment.bytes[at + 2] = 9;
    let stored_len = usize::try_from(segment.footer.blocks[1].stored_len).unwrap();
    let stored_crc = section_crc(&segment.bytes[at..at + stored_len]);
    let mut header = BlockHeader::decode(
        &segment.bytes[at - 64..],
        super::build::STORE,
        segment.id,
        at as u64 - 64,
    )
    .unwrap();
    header.stored_crc = stored_crc;
    let head = header.encode(super::build::STORE, segment.id);
    segment.bytes[at - 64..at].copy_from_slice(&head);
    let causes = [("Decode", Some((2, 4)))];
    check("seg-5, entries", &segment, &journal, &["a2", "a3"], &causes);
    // [R:seg-6] A good block whose row, thread or place is another one.
    let odd_header = |change: fn(&mut BlockHeader)| {
        move |header: &mut BlockHeader, _: &mut Footer| {
            if header.first_ordinal == Ordinal(2) {
                change(header);
            }
        }
    };
    let causes = [("Tables", Some((2, 4)))];
    let (segment, journal) = store(&odd_header(|header| header.thread = ThreadNumber(5)));
    check("seg-6, thread", &segment, &journal, &["a2", "a3"], &causes);
    let (segment, journal) = store(&|_, footer| {
        if footer.blocks.len() > 1 {
            footer.blocks[1].continues = true;
        }
    });
    check("seg-6, row", &segment, &journal, &["a2", "a3"], &causes);
    // The chain is checked by a verification; a read takes each block by itself.
    let (segment, journal) = store(&odd_header(|header| header.chain.0 ^= 1));
    let causes = [("Chain", Some((2, 4)))];
    check("seg-6, chain", &segment, &journal, &[], &causes);
}

#[test]
fn a_bad_block_of_a_large_record_costs_that_record() {
    // [R:seg-5] "One more if that block continues a record."
    let big = vec![b'x'; 1 << 20];
    let whole = [&big[..], b"y"].concat();
    let blocks: [&[Entry<'_>]; 3] = [
        &[line("a0"), chunk(&big, 0, None)],
        &[chunk(b"y", 1 << 20, Some(&whole)), line("a2")],
        &[line("a3")],
    ];
    for (block, tables, left) in [
        (0, true, &["a2", "a3"][..]),
        (1, true, &["a0", "a3"]),
        (0, false, &["a2", "a3"]),
        (1, false, &["a0", "a3"]),
    ] {
        let mut journal = founded();
        let parts = &mut [(&mut journal.a, &blocks[..])];
        let mut segment = Segment::build(1, Class::Run, parts, &|_, _| {});
        journal.facts(&[segment.published()]);
        let at = segment.stored_at(block) - 20;
        segment.bytes[at] ^= 1;
        if !tables {
            segment.bytes[segment.footer_at..].fill(0);
        }
        let home = home_of(&journal, &[&segment]);
        let snapshot = home.snapshot().unwrap();
        assert_eq!(
            texts(snapshot.state(), "a"),
            left,
            "block {block}, tables {tables}"
        );
    }
}

#[test]
fn a_file_that_is_not_the_published_one_is_named() {
    // [R:seg-7] A byte that no block, note or table owns.
    let mut journal = founded();
    let mut segment = pack(&mut journal.a, &mut journal.b);
    let trailer = segment.bytes.len() - 96;
    segment.bytes[trailer + 60] ^= 1;
    let check_crc = section_crc(&segment.bytes[trailer..trailer + 92]);
    segment.bytes[trailer + 92..].copy_from_slice(&check_crc.to_le_bytes());
    segment.digest[4] ^= 1;
    journal.facts(&[segment.published()]);
    journal.a("a6");
    journal.b("b1");
    check("seg-7", &segment, &journal, &[], &[("Digest", None)]);
    // [R:seg-8] The published digest, the published run.
    let mut journal = founded();
    let mut other = pack(&mut journal.a, &mut journal.b);
    other.digest[0] ^= 1;
    journal.facts(&[other.published()]);
    check_rest("seg-8, digest", &other, &mut journal, &[("Tables", None)]);
    let (segment, _) = store(&|_, footer| {
        if let Some(run) = footer.runs.first_mut() {
            run.chain_after.0 ^= 1;
        }
    });
    let mut journal = founded();
    pack(&mut journal.a, &mut journal.b);
    journal.facts(&[segment.published()]);
    check_rest("seg-8, run", &segment, &mut journal, &[("Tables", None)]);
}

fn check_rest(
    row: &str,
    segment: &Segment,
    journal: &mut Journal,
    causes: &[(&str, Option<(u64, u64)>)],
) {
    journal.a("a6");
    journal.b("b1");
    check(row, segment, journal, &[], causes);
}

#[test]
fn bad_notes_cost_no_record() {
    // [R:seg-9]
    let (mut segment, journal) = store(&|_, _| {});
    let at = usize::try_from(segment.footer.runs[0].notes_offset).unwrap();
    segment.bytes[at] ^= 1;
    check("seg-9", &segment, &journal, &[], &[("Decode", None)]);
}

#[test]
fn orphans_stay_leftovers_and_unfinished_files_go() {
    let (segment, mut journal) = store(&|_, _| {});
    // [R:seg-10] Good or bad.
    let mut nobody = Thread::new(1);
    let lines = [line("x")];
    let mut orphan = Segment::build(9, Class::Run, &mut [(&mut nobody, &[&lines])], &|_, _| {});
    for good in [true, false] {
        let home = home_of(&journal, &[&segment, &orphan]);
        let remark = Remark::Orphan {
            file: orphan.name(),
        };
        for _ in 0..2 {
            let remarks = home.snapshot().unwrap().report().remarks.clone();
            assert_eq!(remarks, std::slice::from_ref(&remark), "good: {good}");
            drop(home.open().unwrap());
            assert!(home.path(&orphan.name()).exists());
        }
        orphan.bytes.fill(0);
    }
    // Its id is not given again.
    // [R:seg-11] [R:seg-13]
    let lines = SIX.map(line);
    let mut again = Thread::new(1);
    let run = Segment::build(2, Class::Run, &mut [(&mut again, &[&lines])], &|_, _| {});
    let lines = [line("b0")];
    let mut again = Thread::new(2);
    let other = Segment::build(3, Class::Run, &mut [(&mut again, &[&lines])], &|_, _| {});
    let replaced = |thread, new| CatalogueRecord::Replaced {
        old: segment.id,
        thread: ThreadNumber(thread),
        new,
    };
    let facts = [
        run.published(),
        replaced(1, run.id),
        other.published(),
        replaced(2, other.id),
    ];
    journal.facts(&facts);
    let home = home_of(&journal, &[&segment, &run, &other]);
    let unfinished = "segments/0000000000000007.tls.tmp";
    home.write(unfinished, b"half");
    drop(home.snapshot().unwrap());
    assert!(home.path(unfinished).exists() && home.path(&segment.name()).exists());
    drop(home.open().unwrap());
    assert!(!home.path(unfinished).exists(), "seg-13");
    assert!(!home.path(&segment.name()).exists(), "seg-11");
    assert!(home.path(&run.name()).exists());
    let all: Vec<&str> = SIX.iter().chain(&["a6"]).copied().collect();
    assert_eq!(texts(home.snapshot().unwrap().state(), "a"), all);
}

#[test]
fn misplaced_and_newer_segments_are_not_read() {
    // [R:seg-12] A segment of another id under the name.
    let (segment, journal) = store(&|_, _| {});
    let mut moved = Thread::new(1);
    let lines = SIX.map(line);
    let other = Segment::build(8, Class::Run, &mut [(&mut moved, &[&lines])], &|_, _| {});
    let home = home_of(&journal, &[&segment]);
    home.write(&segment.name(), &other.bytes);
    let place = verify(&home);
    assert_eq!(place.len(), 1, "{place:?}");
    let snapshot = home.snapshot().unwrap();
    assert_eq!(texts(snapshot.state(), "a"), ["a6"]);
    drop(snapshot);
    // [R:seg-15] In the header, in the trailer.
    for (at, len) in [(0, 128), (segment.bytes.len() - 96, 96)] {
        let mut newer = segment.clone();
        newer.bytes[at + 7] = FORMAT_WRITTEN_BY.0 + 1;
        let check_crc = section_crc(&newer.bytes[at..at + len - 4]);
        newer.bytes[at + len - 4..at + len].copy_from_slice(&check_crc.to_le_bytes());
        let home = home_of(&journal, &[&newer]);
        home.check_refused(&|refusal| {
            matches!(refusal, crate::recovery::Refusal::Newer { file } if *file == newer.name())
        });
    }
}

#[test]
fn runs_that_overlap_are_covered_from_the_lowest_ordinal() {
    // [R:seg-14] A small run within a large one; two that overlap in part.
    for border in [2, 4] {
        let mut journal = founded();
        let lines = SIX.map(line);
        let large: Vec<&[Entry<'_>]> = lines[..4].chunks(2).collect();
        let first = Segment::build(1, Class::Run, &mut [(&mut journal.a, &large)], &|_, _| {});
        let mut second = Thread::new(1);
        lines[..2].iter().for_each(|entry| second.pass(entry));
        let rest = [&lines[2..border], &lines[border..]];
        let rest: Vec<&[Entry<'_>]> = rest.into_iter().filter(|block| !block.is_empty()).collect();
        let overlap = Segment::build(2, Class::Run, &mut [(&mut second, &rest)], &|_, _| {});
        let mut third = Thread::new(1);
        let within = Segment::build(3, Class::Run, &mut [(&mut third, &large[..1])], &|_, _| {});
        journal.facts(&[first.published(), within.published(), overlap.published()]);
        journal.a = second;
        journal.a("a6");
        let home = home_of(&journal, &[&first, &overlap, &within]);
        let all: Vec<&str> = SIX.iter().chain(&["a6"]).copied().collect();
        let expect = Verdict {
            damage: &[],
            closed: &[],
            a: &all,
            b: &[],
        };
        home.check("seg-14", &expect);
        let snapshot = home.snapshot().unwrap();
        let reader = snapshot.state().reader(ThreadNumber(1)).unwrap();
        let listed: Vec<Ordinal> = (0..7).map(Ordinal).collect();
        let got = reader.get(&listed).unwrap();
        let got: Vec<_> = got.iter().map(|record| record.bytes().unwrap()).collect();
        assert_eq!(
            got,
            all.iter().map(|text| text.as_bytes()).collect::<Vec<_>>()
        );
        assert!(reader.holes().is_empty());
        let mut back = 0;
        let mut count = |_: &crate::Record<'_>| {
            back += 1;
            std::ops::ControlFlow::Continue(())
        };
        reader.records_back(Ordinal(7), &mut count).unwrap();
        assert_eq!(back, 7);
        let mut none = |damage: &crate::Damage| panic!("{damage}");
        let read = snapshot.state().verify_thread(ThreadNumber(1), &mut none);
        // The check above has appended one.
        assert_eq!(read.unwrap().records, 8);
    }
}
