//! Changes bytes of a small index and asks it everything, over and over: `flips 1000000`.
//!
//! An answer is right, or it is doubted; whatever else comes, and every so manieth change besides,
//! is asked of the whole store, which must answer as if nothing had happened.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Instant;

use turnleaf::Error;
use turnleaf_engine::disk::{Access, Disk};
use turnleaf_format::{Ordinal, ThreadNumber};
use turnleaf_projector::index::{Index, IndexError, Order, PageRequest, StorageBackend, ThreadRow};
use turnleaf_projector::rows::{ItemRow, TurnRow};
use turnleaf_tests::answers::{INDEX, ask, options, small_store};
use turnleaf_tests::rng::Rng;
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::{STORE, open_store};

const THREADS: u64 = 4;
const TURNS: u32 = 40;
const CACHE_BYTES: usize = 1 << 20;
/// Of so many changes one is asked of the whole store in any case.
const STORE_EVERY: u64 = 200;

/// The kinds of change.
const KINDS: [&str; 3] = ["one bit", "one byte", "eight bytes inverted"];

#[derive(Debug)]
struct Memory(Mutex<Vec<u8>>);

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let held = self.0.lock();
        work(&mut held.unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|bytes| bytes.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        self.with(|bytes| {
            let part = bytes.get(at..at.saturating_add(out.len()));
            out.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.with(|bytes| bytes.resize(len, 0));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|bytes| {
            bytes.resize(bytes.len().max(at + data.len()), 0);
            bytes[at..at + data.len()].copy_from_slice(data);
        });
        Ok(())
    }
}

/// One answer of the index itself.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Thread(Option<ThreadRow>),
    Turns(Vec<(Ordinal, TurnRow)>),
    Items(Vec<(Ordinal, ItemRow)>),
    Whole(bool),
    /// Not asked, because the answer before was none.
    Skipped,
}

type Answers = Vec<Result<Answer, IndexError>>;

fn ask_index(index: &Index) -> Result<Answers, IndexError> {
    let rows = index.reader()?;
    let request = |order, limit| PageRequest {
        anchor: None,
        order,
        limit: NonZeroUsize::new(limit).expect("not 0"),
    };
    let mut answers = Vec::new();
    for thread in (1..=THREADS).map(ThreadNumber) {
        let turns = rows.turns_page(thread, &request(Order::Descending, 1000));
        let newest = turns.as_ref().ok().and_then(|page| page.rows.first());
        let of_turn = newest.map(|(_, turn)| rows.items_of(thread, turn.turn));
        let items = rows.items_page(thread, None, &request(Order::Ascending, 1000));
        answers.push(rows.thread(thread).map(Answer::Thread));
        answers.push(turns.map(|page| Answer::Turns(page.rows)));
        answers.push(items.map(|page| Answer::Items(page.rows)));
        answers.push(of_turn.map_or(Ok(Answer::Skipped), |items| items.map(Answer::Items)));
        answers.push(rows.verify_thread(thread).map(Answer::Whole));
    }
    Ok(answers)
}

fn open_index(bytes: Vec<u8>) -> Result<Index, IndexError> {
    Index::create_or_open(Memory(Mutex::new(bytes)), STORE, CACHE_BYTES)
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Right,
    Doubted,
    /// Something else, which the store must see through.
    Other,
}

fn judge(bytes: Vec<u8>, expect: &[Answer]) -> Verdict {
    let answers = open_index(bytes).and_then(|index| ask_index(&index));
    let Ok(answers) = answers else {
        return Verdict::Doubted;
    };
    let doubted =
        |answer: &Result<Answer, IndexError>| matches!(answer, Err(_) | Ok(Answer::Skipped));
    let mut pairs = answers.iter().zip(expect);
    let good = pairs.all(|(answer, expect)| match answer {
        Ok(one) => doubted(answer) || one == expect,
        Err(_) => true,
    });
    match (good, answers.iter().any(doubted)) {
        (false, _) => Verdict::Other,
        (true, true) => Verdict::Doubted,
        (true, false) => Verdict::Right,
    }
}

/// A change of some bytes.
struct Change {
    kind: usize,
    at: usize,
    bytes: Vec<u8>,
}

fn change(rng: &mut Rng, image: &[u8]) -> Change {
    let pick = |rng: &mut Rng, end: usize| usize::try_from(rng.below(end as u64)).unwrap_or(0);
    let kind = pick(rng, KINDS.len());
    let at = pick(rng, image.len());
    let bytes = match kind {
        0 => vec![image[at] ^ 1 << rng.below(8)],
        1 => vec![image[at] ^ u8::try_from(1 + rng.below(255)).unwrap_or(1)],
        _ => image[at..].iter().take(8).map(|byte| !byte).collect(),
    };
    Change { kind, at, bytes }
}

/// Whether the whole store answers right over the changed index.
fn store_is_right(disk: &SimDisk, change: &Change, threads: &[String], right: &str) -> bool {
    let disk = disk.fork();
    let file = disk.open(INDEX, Access::ReadWrite).expect("the index");
    file.write_at(change.at as u64, &change.bytes)
        .expect("memory");
    let answer = open_store(&disk, &options()).and_then(|store| ask(&store, threads));
    answer.is_ok_and(|answer| answer == right)
}

#[derive(Debug, Default, Clone, Copy)]
struct Row {
    changes: u64,
    right: u64,
    doubted: u64,
    other: u64,
    asked_of_store: u64,
    wrong: u64,
}

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let mut argument = |default| arguments.next().and_then(Result::ok).unwrap_or(default);
    let (flips, workers) = (argument(10_000), argument(2).max(1));
    let (disk, threads) = small_store(THREADS, TURNS)?;
    let image = disk.bytes(INDEX).unwrap_or_default();
    let store = open_store(&disk.fork(), &options())?;
    let right = ask(&store, &threads)?;
    let expect: Vec<Answer> =
        open_index(image.clone()).and_then(|index| ask_index(&index)?.into_iter().collect())?;
    println!(
        "{flips} changes of an index of {} bytes, {workers} workers",
        image.len()
    );
    // Panics of redb are caught and mean doubt.
    std::panic::set_hook(Box::new(|_| {}));
    let begun = Instant::now();
    let rows = std::thread::scope(|scope| {
        let work = |worker: u64| {
            let (disk, threads, image) = (&disk, &threads, &image);
            let (expect, right) = (&expect, &right);
            scope.spawn(move || {
                let mut rng = Rng::new(worker + 1);
                let mut rows = [Row::default(); KINDS.len()];
                for number in 0..flips.div_ceil(workers) {
                    let change = change(&mut rng, image);
                    let mut bytes = image.clone();
                    bytes[change.at..change.at + change.bytes.len()].copy_from_slice(&change.bytes);
                    let verdict = judge(bytes, expect);
                    let row = &mut rows[change.kind];
                    row.changes += 1;
                    row.right += u64::from(verdict == Verdict::Right);
                    row.doubted += u64::from(verdict == Verdict::Doubted);
                    row.other += u64::from(verdict == Verdict::Other);
                    if verdict == Verdict::Other || number % STORE_EVERY == 0 {
                        row.asked_of_store += 1;
                        if !store_is_right(disk, &change, threads, right) {
                            row.wrong += 1;
                            println!("WRONG: {} at byte {}", KINDS[change.kind], change.at);
                        }
                    }
                }
                rows
            })
        };
        let handles: Vec<_> = (0..workers).map(work).collect();
        let joined = handles
            .into_iter()
            .map(|handle| handle.join().expect("a worker"));
        joined.collect::<Vec<_>>()
    });
    println!(
        "| change | changes | right | doubted | older or other | asked of the store | wrong |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut wrong = 0;
    for (kind, name) in KINDS.iter().enumerate() {
        let sum = |field: fn(&Row) -> u64| rows.iter().map(|rows| field(&rows[kind])).sum::<u64>();
        let (changes, right) = (sum(|row| row.changes), sum(|row| row.right));
        let (doubted, other) = (sum(|row| row.doubted), sum(|row| row.other));
        let (asked, bad) = (sum(|row| row.asked_of_store), sum(|row| row.wrong));
        println!("| {name} | {changes} | {right} | {doubted} | {other} | {asked} | {bad} |");
        wrong += bad;
    }
    println!("{:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(wrong, 0, "wrong answers");
    Ok(())
}
