//! An index that rots: bytes of it are changed, it is cut, sectors of it are zeroed. Whatever is
//! asked, the store answers as if nothing had happened.

use std::panic::{AssertUnwindSafe, catch_unwind};

use turnleaf::IndexState;
use turnleaf_tests::answers::{INDEX, ask, options, small_store};
use turnleaf_tests::crash_rig::scale;
use turnleaf_tests::parallel::in_parallel;
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::{log_files, open_store};

use super::laws::Change;
use super::sectors;

/// Where an index goes that was doubted.
const DOUBTED: &str = "index.bad-1";

/// Of so many bytes a plain run changes one, and of so many lengths it tries one. Only the second
/// divides a page.
const STEPS: [usize; 2] = [17, 512];

#[derive(Debug, PartialEq)]
enum Answer {
    Right,
    /// Right, and the index was made anew.
    Doubted,
    Failed(String),
    Wrong,
    Panicked,
}

fn answer(disk: &SimDisk, threads: &[String], right: &str) -> Answer {
    let asked = catch_unwind(AssertUnwindSafe(|| {
        open_store(disk, &options()).and_then(|store| ask(&store, threads))
    }));
    match asked {
        Err(_) => Answer::Panicked,
        Ok(Err(error)) => Answer::Failed(error.to_string()),
        Ok(Ok(answer)) if answer != right => Answer::Wrong,
        Ok(Ok(_)) if disk.bytes(DOUBTED).is_some() => Answer::Doubted,
        Ok(Ok(_)) => Answer::Right,
    }
}

#[test]
fn a_spoilt_index_changes_no_answer() {
    let (disk, threads) = small_store(2, 6).expect("memory");
    let bytes = disk.bytes(INDEX).expect("an index");
    let len = bytes.len() as u64;
    let whole = open_store(&disk.fork(), &options()).and_then(|store| ask(&store, &threads));
    let right = whole.expect("answers");
    assert!(right.lines().count() > 40, "it is asked for all its rows");
    assert_eq!(answer(&disk.fork(), &threads, &right), Answer::Right);
    let [of_bytes, of_lengths] = STEPS.map(|step| if scale() > 1 { 1 } else { step });
    let bit = |at: u64| Change::Bit(at, u8::try_from(at / 7 % 8).unwrap_or(0));
    let changes: [(_, Vec<Change>); 3] = [
        ("one bit", (0..len).step_by(of_bytes).map(bit).collect()),
        (
            "cut off",
            (0..len).step_by(of_lengths).map(Change::Cut).collect(),
        ),
        ("a sector zeroed", sectors(&bytes)),
    ];
    println!("| file | change | changes | doubted | wrong |");
    println!("|---|---|---|---|---|");
    let mut bad = Vec::new();
    for (kind, changes) in changes {
        let answers = in_parallel(0..changes.len() as u64, &|number| {
            let spoilt = disk.fork();
            changes[usize::try_from(number).expect("small")].make(&spoilt, INDEX);
            answer(&spoilt, &threads, &right)
        });
        let doubted = answers.iter().filter(|one| **one == Answer::Doubted);
        let good = |one: &Answer| matches!(one, Answer::Right | Answer::Doubted);
        let pairs = changes.iter().zip(&answers).filter(|(_, one)| !good(one));
        let wrong: Vec<String> = pairs.map(|pair| format!("{pair:?}")).collect();
        let (all, doubted) = (changes.len(), doubted.count());
        println!("| {INDEX} | {kind} | {all} | {doubted} | {} |", wrong.len());
        assert!(doubted > 0, "{kind}: nothing was doubted");
        bad.extend(wrong);
    }
    let shown = &bad[..bad.len().min(20)];
    assert!(bad.is_empty(), "{} bad answers: {shown:#?}", bad.len());
}

/// A newest journal file that was cut before its first frame is like one that was being created; the
/// log alone cannot tell what it held. An index that has caught up can. [R:index-2]
#[test]
fn an_index_tells_of_a_journal_file_that_is_cut_before_its_frames() {
    let (disk, threads) = small_store(2, 6).expect("memory");
    // Behind an owner that was killed the next one begins a file.
    drop(open_store(&disk, &options()).expect("a store"));
    let store = open_store(&disk, &options()).expect("a store");
    let kept = store.log_threads()[0].records;
    store
        .append(&threads[0], None, &[b"{}", b"{}"])
        .expect("room");
    ask(&store, &threads).expect("answers");
    store.close().expect("a clean close");
    let mut journal = log_files(&disk);
    journal.retain(|path| path.starts_with("journal/"));
    let newest = journal.pop().expect("a journal file");
    Change::Cut(5000).make(&disk, &newest);
    let store = open_store(&disk, &options()).expect("a store");
    assert_eq!(store.report().damage, []);
    ask(&store, &threads).expect("answers");
    let [older] = &store.older_log_seen()[..] else {
        panic!("{:?}", store.older_log_seen())
    };
    assert_eq!((older.log_end.0, older.index_end.0), (kept, kept + 2));
    assert_eq!(store.damage_seen(), []);
}

/// What is wrong with an index hides nothing that is wrong with the log, and is never called damage
/// of it.
#[test]
fn a_verification_tells_all_of_the_log_whatever_the_index_is() {
    let (disk, threads) = small_store(2, 6).expect("memory");
    let store = open_store(&disk, &options()).expect("a store");
    store.seal_all().expect("sealed");
    ask(&store, &threads).expect("answers");
    store.close().expect("a clean close");
    let spoilt = disk.fork();
    let mut segments = log_files(&disk);
    segments.retain(|path| path.starts_with("segments/"));
    let segment = segments.pop().expect("a segment");
    let len = disk.bytes(&segment).expect("a segment").len() as u64;
    Change::Bit(len / 2, 2).make(&spoilt, &segment);
    let verified = |disk: &SimDisk| {
        let store = open_store(disk, &options()).expect("a store");
        store.verify(None, &mut |_| {}).expect("a report")
    };
    let (right, damaged) = (verified(&disk.fork()), verified(&spoilt.fork()));
    assert!(right.is_ok() && !damaged.is_log_ok());
    let index = disk.bytes(INDEX).expect("an index");
    let step = if scale() > 1 { 61 } else { 1021 };
    let places: Vec<u64> = (0..index.len() as u64).step_by(step).collect();
    let unusable = in_parallel(0..places.len() as u64, &|number| {
        let at = places[usize::try_from(number).expect("few")];
        let reports = [(&disk, &right), (&spoilt, &damaged)].map(|(disk, expect)| {
            let disk = disk.fork();
            Change::Bit(at, u8::try_from(number % 8).unwrap_or(0)).make(&disk, INDEX);
            let report = verified(&disk);
            assert_eq!(report.damage, expect.damage, "bit flipped at {at}");
            assert_eq!(report.records, expect.records, "bit flipped at {at}");
            report.index
        });
        u64::from(matches!(reports[0], IndexState::Unusable(_)))
    });
    let unusable: u64 = unusable.iter().sum();
    println!(
        "of {} flips {unusable} made the index unusable",
        places.len()
    );
    assert!(unusable > 0 && unusable < places.len() as u64);
    let cuts = [
        0,
        1,
        100,
        4096,
        index.len() as u64 / 2,
        index.len() as u64 - 1,
    ];
    for cut in cuts {
        let disk = spoilt.fork();
        Change::Cut(cut).make(&disk, INDEX);
        assert_eq!(verified(&disk).damage, damaged.damage, "cut at {cut}");
    }
}
