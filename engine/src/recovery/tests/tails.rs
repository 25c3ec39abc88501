//! Section 5: the end of the newest file.

use std::io;
use std::sync::Arc;

use super::build::{File, Home, STORE, Thread, Verdict, chunk, four, home, line};
use crate::disk::{DiskFile, OsDisk};
use crate::journal::{NoFrame, scan_file};
use crate::recovery::TailVerdict;
use crate::recovery::verdict::ends::judge_tail;

const FINE: Verdict<'static> = Verdict {
    damage: &[],
    closed: &[],
    a: &["a0", "a1"],
    b: &["b0", "b1"],
};

const ONE_LESS: Verdict<'static> = Verdict { b: &["b0"], ..FINE };

fn tail(home: &Home) -> TailVerdict {
    home.snapshot().unwrap().report().tail.clone()
}

fn check(row: &str, file: &File, verdict: &TailVerdict, expect: &Verdict<'_>) {
    let home = home(&[file]);
    assert_eq!(tail(&home), *verdict, "{row}");
    home.check(row, expect);
    let copies = std::fs::read_dir(home.path("quarantine")).unwrap().count();
    let torn = matches!(verdict, TailVerdict::Torn { .. });
    assert_eq!(copies, usize::from(torn), "{row}: what is cut is kept");
}

#[test]
fn zeros_old_bytes_and_the_capacity_are_an_end() {
    // [R:tail-1]
    let journal = four();
    check("tail-1", &journal.file, &TailVerdict::Clean, &FINE);
    // [R:tail-2] Old bytes of a recycled file: text, and a frame of an older generation.
    let mut journal = four();
    let end = journal.file.end;
    journal
        .file
        .put(end, b"old bytes of a body, and more of them");
    check("tail-2", &journal.file, &TailVerdict::Clean, &FINE);
    // [R:frame-1] [R:tail-2] The same place in the next generation of a recycled file.
    let mut old = four();
    let mut file = File::new(2, None);
    file.header.oldest_live = file.header.generation;
    (file.header.begun, file.bytes) = (old.file.header.begun, old.file.bytes.clone());
    file.state();
    old.file = file;
    old.catalogue = Thread::new(0);
    old.a = Thread::new(1);
    old.b = Thread::new(2);
    old.facts(&super::build::founding());
    old.a("a0");
    let short = Verdict {
        a: &["a0"],
        b: &[],
        ..FINE
    };
    check("tail-2, recycled", &old.file, &TailVerdict::Clean, &short);
    // [R:tail-5]
    let mut journal = four();
    journal.file.header.capacity = journal.file.end;
    journal
        .file
        .bytes
        .truncate(usize::try_from(journal.file.end).unwrap());
    journal.file.state();
    check("tail-5", &journal.file, &TailVerdict::Clean, &FINE);
}

#[test]
fn what_nothing_proves_durable_is_torn() {
    // [R:tail-3] Magic and generation at the place.
    let mut journal = four();
    let place = journal.place(4);
    journal.file.flip(place + 100);
    let torn = TailVerdict::Torn { offset: place };
    check("tail-3, body", &journal.file, &torn, &ONE_LESS);
    let mut journal = four();
    journal.file.flip(place + 40);
    check("tail-3, header", &journal.file, &torn, &ONE_LESS);
    // A later frame of the same group is there, the place itself is zero.
    let mut journal = four();
    journal
        .file
        .append_in_group(&mut journal.a, &[line("kept by the disk")]);
    let gap = usize::try_from(journal.place(5) - place).unwrap();
    journal.file.put(place, &vec![0; gap]);
    check("tail-3, group", &journal.file, &torn, &ONE_LESS);
}

#[test]
fn what_was_durable_is_damage_and_is_not_cut() {
    // [R:tail-4] The next group proves the one before.
    let mut journal = four();
    let place = journal.place(2);
    journal.file.flip(place + 100);
    let damaged = |durable_end| TailVerdict::Damaged {
        offset: place,
        durable_end,
    };
    let expect = Verdict {
        damage: &["Decode"],
        closed: &[2],
        b: &["b1"],
        ..FINE
    };
    let last = journal.place(4);
    check("tail-4", &journal.file, &damaged(last), &expect);
    // A header is proof enough, whatever became of its body; what follows may still be torn.
    journal.file.flip(last + 100);
    let home_of = home(&[&journal.file]);
    assert_eq!(tail(&home_of), damaged(last));
    let expect = Verdict {
        damage: &["Decode"],
        closed: &[2],
        b: &[],
        ..FINE
    };
    home_of.check("tail-4, then torn", &expect);
    let copies = std::fs::read_dir(home_of.path("quarantine"))
        .unwrap()
        .count();
    assert_eq!(copies, 1);
    // Without the header of the frame nobody knows whose it was.
    let mut journal = four();
    journal.file.flip(place + 24);
    let expect = Verdict {
        damage: &["Decode", "Missing"],
        closed: &[0, 2],
        b: &["b1"],
        ..FINE
    };
    check("tail-4, header", &journal.file, &damaged(last), &expect);
    // A marker proves the last group.
    let mut journal = four();
    journal.file.marker();
    journal.file.flip(last + 100);
    let expect = Verdict {
        damage: &["Decode"],
        closed: &[2],
        ..ONE_LESS
    };
    let marked = TailVerdict::Damaged {
        offset: last,
        durable_end: journal.place(5),
    };
    check("tail-4, marker", &journal.file, &marked, &expect);
}

/// A marker ends what was durable; behind it the disk may have part of a later group. The next
/// owner goes on behind the marker only where nothing stands there. [R:tail-3] [R:tail-7]
#[test]
fn an_owner_goes_on_behind_a_marker_that_nothing_follows() {
    let files = |file: &File| {
        let home = home(&[file]);
        home.open().unwrap().close().unwrap();
        home.check("tail-7", &FINE);
        std::fs::read_dir(home.path("journal")).unwrap().count()
    };
    let mut journal = four();
    journal.file.marker();
    assert_eq!(files(&journal.file), 1);
    journal.a("torn");
    journal.file.flip(journal.place(6) + 100);
    assert_eq!(files(&journal.file), 2);
}

#[test]
fn a_later_generation_beyond_the_end_means_that_a_header_was_lost() {
    // [R:tail-6]
    let mut journal = four();
    let mut later = File::new(5, None);
    later.header.oldest_live.0 = 1;
    later.end = journal.file.end + 800;
    later.chain = turnleaf_format::JournalChain::start(STORE, later.header.generation);
    later.durable = 8192;
    later.append_in_group(&mut Thread::new(1), &[line("later")]);
    let (from, to) = (later.places[0], later.end);
    let range = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
    let bytes = later.bytes[range].to_vec();
    journal.file.put(from, &bytes);
    let expect = Verdict {
        damage: &["Missing"],
        closed: &[0],
        ..FINE
    };
    let end = journal.file.end;
    let verdict = TailVerdict::Damaged {
        offset: end,
        durable_end: 0,
    };
    check("tail-6", &journal.file, &verdict, &expect);
}

#[test]
fn a_crash_leaves_a_prefix_of_whole_batches() {
    // [R:prefix] Cut anywhere, a file holds the batches before the cut and no part of another; the
    // open that follows cuts there for good.
    let mut journal = four();
    let big = vec![b'x'; 1 << 20];
    journal.file.bytes.resize(4 << 20, 0);
    journal.file.header.capacity = 4 << 20;
    journal.file.state();
    let places = [&journal.file.places[..], &[journal.file.end]].concat();
    journal.file.append(&mut journal.b, &[chunk(&big, 0, None)]);
    let whole = journal.file.bytes.clone();
    let texts = ["a0", "b0", "a1", "b1"];
    for cut in (places[1]..places[5] + 200).step_by(40) {
        let mut file = journal.file.clone();
        file.bytes = whole.clone();
        let start = usize::try_from(cut).unwrap();
        file.bytes[start..].fill(0);
        let kept = places[2..].iter().filter(|end| **end <= cut + 7).count();
        let of = |id: &str| -> Vec<&str> {
            let kept = texts[..kept.min(4)].iter();
            kept.filter(|text| text.starts_with(id)).copied().collect()
        };
        let expect = Verdict {
            a: &of("a"),
            b: &of("b"),
            ..FINE
        };
        home(&[&file]).check(&format!("prefix, cut at {cut}"), &expect);
    }
}

/// A file of which the device cannot read some bytes, or can at the second try.
#[derive(Debug)]
struct Failing {
    file: Arc<dyn DiskFile>,
    bad: std::ops::Range<u64>,
    fails: std::sync::atomic::AtomicUsize,
}

impl DiskFile for Failing {
    fn id(&self) -> io::Result<crate::disk::FileId> {
        self.file.id()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        use std::sync::atomic::Ordering;
        let hit = offset < self.bad.end && self.bad.start < offset + buffer.len() as u64;
        if hit && self.fails.load(Ordering::Relaxed) > 0 {
            self.fails.fetch_sub(1, Ordering::Relaxed);
            return Err(io::ErrorKind::Other.into());
        }
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        unreachable!("recovery does not write")
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        unreachable!("recovery does not write")
    }

    fn sync(&self) -> io::Result<()> {
        unreachable!("recovery does not write")
    }
}

#[test]
fn what_cannot_be_read_is_damage_and_never_an_end() {
    // [R:unreadable]
    let mut journal = four();
    for _ in 0..40 {
        let text = "long ".repeat(60);
        journal.a(&text);
    }
    let home = home(&[&journal.file]);
    let path = "journal/00000000.tlj";
    let disk = OsDisk::new(home.dir.path());
    let file = crate::disk::Disk::open(&disk, path, crate::disk::Access::Read).unwrap();
    let scan = |fails, bad| {
        let failing = Failing {
            file: Arc::clone(&file),
            bad,
            fails: std::sync::atomic::AtomicUsize::new(fails),
        };
        let generation = journal.file.header.generation;
        scan_file(&failing, path, STORE, generation, 64 << 10, None).unwrap()
    };
    let once = scan(1, 12_288..16_384);
    assert_eq!(
        (once.frames.len(), once.gaps.len()),
        (45, 1),
        "one failure is none"
    );
    let ended = judge_tail(&once);
    assert_eq!(ended.verdict, TailVerdict::Clean);
    for bad in [12_288..12_289, 61_440..61_441] {
        let scan = scan(usize::MAX, bad);
        let unreadable = |odd: &NoFrame| matches!(odd, NoFrame::Unreadable(_));
        assert!(scan.gaps.iter().any(|gap| unreadable(&gap.why)));
        let ended = judge_tail(&scan);
        assert!(!ended.torn && !ended.damaged.is_empty(), "{ended:?}");
    }
}
