//! An index that rots: bytes of it are changed, it is cut, sectors of it are zeroed. Whatever is
//! asked, the store answers as if nothing had happened.

use std::panic::{AssertUnwindSafe, catch_unwind};

use turnleaf_format::Ordinal;
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
    let lost: Vec<_> = store
        .damage_seen()
        .iter()
        .map(|seen| seen.ordinals)
        .collect();
    assert_eq!(lost, [Some((Ordinal(kept), Ordinal(kept + 2)))]);
}
