//! Owns the rows of the table in which SQLite stands beside the store and the JSONL rollout: what
//! is measured, in turn, on the same data. It must not know how a database is laid out.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use turnleaf::Store;
use turnleaf_tests::many_threads::make_all;

use crate::measure::{Cost, mean_of};
use crate::replay::Replay;
use crate::sqlite::{Setup, Sqlite, threads_request, turns_request};
use crate::work::{PAGE, Work, items};

/// Turns of a page, and threads of one.
const TURNS: usize = 20;
const THREADS: usize = 25;
/// Rounds in which the sides take turns.
const ROUNDS: usize = 5;
/// Calls of a round: of a page, and of an append.
const PAGES: u32 = 20;
const APPENDS: u32 = 200;
/// Bytes of a line that is appended.
const LINE_BYTES: usize = 1024;

/// A thread as each side holds it.
#[derive(Debug)]
pub struct Sides<'a> {
    /// Where files may be made.
    pub dir: &'a Path,
    /// The rollout.
    pub jsonl: &'a Path,
    /// The store.
    pub store: &'a Path,
    /// The thread's id there.
    pub thread: &'a str,
    /// Threads of the list that is paged.
    pub threads: usize,
}

/// What each side took, `None` where it has nothing to compare with.
struct Row {
    ours: Duration,
    replay: Option<Duration>,
    plain: Duration,
    tuned: Duration,
}

impl Row {
    fn print(&self, name: &str) {
        let micros = |time: Duration| format!("{:.0} us", time.as_secs_f64() * 1e6);
        println!(
            "  {name:<34} {:>15} {:>17} {:>12} {:>12}",
            micros(self.ours),
            self.replay.map_or("-".to_owned(), micros),
            micros(self.plain),
            micros(self.tuned),
        );
    }
}

/// Measures and prints all rows.
///
/// # Panics
/// If one of the sides fails.
pub fn compare(sides: &Sides<'_>) {
    let database = |name: &str| sides.dir.join(format!("{name}.sqlite"));
    let store = Store::open_to_read(sides.store).expect("the store");
    let file = database("thread");
    let mut filled = Sqlite::open(&file, Setup::Plain).expect("a database");
    filled
        .fill_thread(&store, sides.thread, 1)
        .expect("the thread");
    drop((filled, store));
    println!(
        "  {:<34} {:>15} {:>17} {:>12} {:>12}",
        "beside SQLite", "turnleaf", "JSONL replay", "SQLite", "tuned"
    );
    append(sides).print("durable append (on the clock)");
    opened(sides, &file).print("open and newest page of 50");
    let (page, turns) = pages(sides, &file);
    page.print("newest page of 50, open");
    turns.print("newest 20 turns, open");
    threads(sides, &database("threads")).print("list of threads, page of 25, open");
    let bytes = std::fs::metadata(&file).expect("a length").len();
    println!("  on disk: {} KiB in SQLite", bytes / 1024);
    std::fs::remove_file(&file).expect("the database goes");
}

/// Takes sides in turn, and gives the lower quartile of each by what `of` says of a cost.
fn in_turn<const N: usize>(
    of: fn(&Cost) -> Duration,
    mut sides: [&mut dyn FnMut() -> Cost; N],
) -> [Duration; N] {
    let mut costs = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (side, costs) in sides.iter_mut().zip(&mut costs) {
            costs.push(side());
        }
    }
    costs.map(|mut costs| {
        costs.sort_by_key(of);
        of(&costs[ROUNDS / 4])
    })
}

fn cpu(cost: &Cost) -> Duration {
    cost.cpu
}

/// An append of one line by one writer; of the rollout, a write at its end and a sync.
fn append(sides: &Sides<'_>) -> Row {
    let line = line();
    let text = std::str::from_utf8(&line).expect("text");
    let dir = tempfile::tempdir_in(sides.dir).expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let store = Store::open(&at("store")).expect("a store");
    store.create_thread("thread").expect("a thread");
    let mut options = OpenOptions::new();
    let mut file: File = options
        .create(true)
        .append(true)
        .open(at("rollout.jsonl"))
        .expect("a file");
    let plain = Sqlite::open(&at("plain"), Setup::Plain).expect("a database");
    let tuned = Sqlite::open(&at("tuned"), Setup::Tuned).expect("a database");
    let (mut rows, mut more) = (0..u64::MAX, 0..u64::MAX);
    let insert = |db: &Sqlite, rows: &mut std::ops::Range<u64>| {
        mean_of(APPENDS, || {
            let row = rows.next().expect("a row");
            db.append(1, row, text).expect("an append");
        })
    };
    let [ours, replay, plain, tuned] = in_turn(
        |cost| cost.wall,
        [
            &mut || {
                mean_of(APPENDS, || {
                    _ = store.append("thread", None, &[&line]).expect("an append");
                })
            },
            &mut || {
                mean_of(APPENDS, || {
                    file.write_all(&line).expect("a write");
                    file.sync_data().expect("a sync");
                })
            },
            &mut || insert(&plain, &mut rows),
            &mut || insert(&tuned, &mut more),
        ],
    );
    Row {
        ours,
        replay: Some(replay),
        plain,
        tuned,
    }
}

fn line() -> Vec<u8> {
    let text = "x".repeat(LINE_BYTES - 60);
    format!("{{\"type\":\"event_msg\",\"payload\":{{\"text\":\"{text}\"}}}}\n").into_bytes()
}

/// From nothing to the newest page, each in a process of its own.
fn opened(sides: &Sides<'_>, database: &Path) -> Row {
    let [ours, replay, plain, tuned] = in_turn(
        cpu,
        [
            &mut || Work::NewestPage.apart(sides.store, sides.thread),
            &mut || Work::Replay.apart(sides.jsonl, sides.thread),
            &mut || Work::SqlitePage.apart(database, "1"),
            &mut || Work::TunedSqlitePage.apart(database, "1"),
        ],
    );
    Row {
        ours,
        replay: Some(replay),
        plain,
        tuned,
    }
}

/// Pages of items and of turns, of what is open and was read before.
fn pages(sides: &Sides<'_>, database: &Path) -> (Row, Row) {
    let store = Store::open_to_read(sides.store).expect("the store");
    let replay = Replay::of_file(sides.jsonl).expect("a replay");
    let [plain, tuned] = [Setup::Plain, Setup::Tuned]
        .map(|setup| Sqlite::open(database, setup).expect("the database"));
    let of_sqlite = |db: &Sqlite| {
        let page = db.items(1, PAGE).expect("a page");
        assert_eq!(black_box(page).len(), PAGE);
    };
    let [ours, held, one, other] = in_turn(
        cpu,
        [
            &mut || {
                mean_of(PAGES, || {
                    _ = black_box(items(&store, sides.thread, None, PAGE))
                })
            },
            &mut || mean_of(PAGES, || _ = black_box(replay.newest(PAGE))),
            &mut || mean_of(PAGES, || of_sqlite(&plain)),
            &mut || mean_of(PAGES, || of_sqlite(&tuned)),
        ],
    );
    let page = Row {
        ours,
        replay: Some(held),
        plain: one,
        tuned: other,
    };
    let request = turns_request(sides.thread, TURNS);
    let of_sqlite = |db: &Sqlite| {
        let turns = db.turns(1, TURNS).expect("a page");
        assert!(!black_box(turns).is_empty());
    };
    let [ours, plain, tuned] = in_turn(
        cpu,
        [
            &mut || {
                mean_of(PAGES, || {
                    _ = black_box(store.turns(&request).expect("a page"));
                })
            },
            &mut || mean_of(PAGES, || of_sqlite(&plain)),
            &mut || mean_of(PAGES, || of_sqlite(&tuned)),
        ],
    );
    let turns = Row {
        ours,
        replay: None,
        plain,
        tuned,
    };
    (page, turns)
}

/// A page of the list of many threads.
fn threads(sides: &Sides<'_>, database: &Path) -> Row {
    let dir = tempfile::tempdir_in(sides.dir).expect("a directory");
    let store = Store::open(dir.path()).expect("a store");
    make_all(&store, sides.threads);
    let [plain, tuned] = [Setup::Plain, Setup::Tuned];
    let mut plain = Sqlite::open(database, plain).expect("a database");
    plain.fill(&store).expect("the threads");
    let tuned = Sqlite::open(database, tuned).expect("a database");
    let request = threads_request(THREADS, None);
    let of_sqlite = |db: &Sqlite| {
        let threads = db.threads(THREADS).expect("a page");
        assert_eq!(black_box(threads).len(), THREADS);
    };
    let [ours, one, other] = in_turn(
        cpu,
        [
            &mut || {
                mean_of(PAGES, || {
                    let page = store.threads(&request).expect("a page");
                    assert_eq!(black_box(page).threads.len(), THREADS);
                })
            },
            &mut || mean_of(PAGES, || of_sqlite(&plain)),
            &mut || mean_of(PAGES, || of_sqlite(&tuned)),
        ],
    );
    std::fs::remove_file(database).expect("the database goes");
    Row {
        ours,
        replay: None,
        plain: one,
        tuned: other,
    }
}
