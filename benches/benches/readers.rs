//! Pages beside each other and beside everything else: how many a second come with more readers,
//! how long one takes while another thread is caught up for the first time, and how long an append
//! takes while the store is verified. It prints figures and asserts nothing.
//!
//! `cargo bench -p turnleaf-benches --bench readers`

use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use turnleaf::{ImportSource, ItemsRequest, Order, Store};
use turnleaf_tests::rollouts::{Rollout, RolloutMode};

const THREADS: usize = 8;
const THREAD_BYTES: u64 = 1 << 20;
/// Items of a page.
const PAGE: usize = 20;

struct Sizes {
    /// How long each round of pages lasts.
    round: Duration,
    /// Bytes of the thread that is caught up for the first time.
    large_bytes: u64,
}

fn import(store: &Store, seed: u64, bytes: u64) -> String {
    let mut lines = Vec::new();
    let rollout = Rollout::new(RolloutMode::Paginated, seed, bytes);
    rollout.write(&mut lines).expect("memory does not fail");
    let source = ImportSource {
        path: &format!("rollout-{seed}.jsonl"),
        thread_hint: None,
        plain: &mut Cursor::new(lines),
        file_bytes: 0,
        modified_ns: 0,
        archived: false,
    };
    let imported = store.import(source, &mut |_| {}).expect("an import");
    imported.done().expect("nothing is in the way").thread
}

fn page(store: &Store, thread: &str) {
    let request = ItemsRequest {
        thread: thread.to_owned(),
        turn: None,
        all: false,
        cursor: None,
        limit: PAGE,
        order: Order::Descending,
    };
    let page = store.items(&request).expect("a page");
    assert_eq!(page.items.len(), PAGE);
}

/// What `readers` that page the threads for as long as the round lasts come to together, each its
/// own threads; how long each page took, ascending.
fn read(store: &Store, threads: &[String], readers: usize, round: Duration) -> Vec<Duration> {
    let begun = Instant::now();
    let mut all: Vec<Duration> = thread::scope(|scope| {
        let one = |reader: usize| {
            let mine = threads.iter().skip(reader).step_by(readers).cycle();
            let mut took = Vec::new();
            for thread in mine {
                let from = Instant::now();
                page(store, thread);
                took.push(from.elapsed());
                if begun.elapsed() > round {
                    break;
                }
            }
            took
        };
        let running: Vec<_> = (0..readers)
            .map(|reader| scope.spawn(move || one(reader)))
            .collect();
        let ended = running.into_iter();
        ended
            .flat_map(|reader| reader.join().expect("a reader"))
            .collect()
    });
    all.sort_unstable();
    all
}

/// Does `work` beside something else, which goes on until it is told to end.
fn beside<T>(other: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                other();
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    })
}

fn at(sorted: &[Duration], per_mille: usize) -> Duration {
    sorted[(sorted.len() - 1) * per_mille / 1000]
}

fn show(what: &str, took: &[Duration], round: Duration) {
    let count = f64::from(u32::try_from(took.len()).unwrap_or(u32::MAX));
    println!(
        "{what:<52} {:>8.0}/s  p50 {:>8.1?}  p99 {:>8.1?}  max {:>8.1?}",
        count / round.as_secs_f64(),
        at(took, 500),
        at(took, 990),
        at(took, 1000),
    );
}

fn pages(store: &Store, threads: &[String], sizes: &Sizes) {
    for readers in [1, 2, 4, 8] {
        let took = read(store, threads, readers, sizes.round);
        show(&format!("pages, {readers} readers"), &took, sizes.round);
    }
    let line = message();
    for readers in [1, 2, 4, 8] {
        let took = beside(
            || {
                thread::scope(|scope| {
                    for thread in threads {
                        scope.spawn(|| store.append(thread, None, &[&line]).expect("an append"));
                    }
                });
            },
            || read(store, threads, readers, sizes.round),
        );
        let what = format!("pages, {readers} readers beside {THREADS} writers");
        show(&what, &took, sizes.round);
    }
}

fn first_catch_up(store: &Store, threads: &[String], large: &str, sizes: &Sizes) {
    let quiet = read(store, &threads[..1], 1, sizes.round);
    show("pages, one reader, quiet", &quiet, sizes.round);
    let begun = Instant::now();
    let mut took = Vec::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            page(store, large);
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let from = Instant::now();
            page(store, &threads[0]);
            took.push(from.elapsed());
        }
    });
    let lasted = begun.elapsed();
    took.sort_unstable();
    let mib = sizes.large_bytes >> 20;
    show(
        &format!("pages while {mib} MiB are caught up ({lasted:.1?})"),
        &took,
        lasted,
    );
    let ratio = at(&took, 990).as_secs_f64() / at(&quiet, 990).as_secs_f64();
    println!("  p99 beside a first catch-up / quiet p99 = {ratio:.1}");
}

fn appends(store: &Store, thread: &str, sizes: &Sizes) {
    let line = message();
    let append = |round: Duration| {
        let begun = Instant::now();
        let mut took = Vec::new();
        while begun.elapsed() < round {
            let from = Instant::now();
            store.append(thread, None, &[&line]).expect("an append");
            took.push(from.elapsed());
        }
        took.sort_unstable();
        took
    };
    show(
        "appends, one writer, quiet",
        &append(sizes.round),
        sizes.round,
    );
    let took = beside(
        || drop(store.verify(None, &mut |_| {}).expect("a verification")),
        || append(sizes.round),
    );
    show("appends, one writer beside verify", &took, sizes.round);
}

fn message() -> Vec<u8> {
    let payload = r#"{"type":"user_message","message":"Go on.","images":[]}"#;
    format!(r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{payload}}}"#)
        .into_bytes()
}

fn run(dir: &Path, sizes: &Sizes) {
    let store = Store::open(dir).expect("a store");
    let threads: Vec<String> = (0..THREADS as u64)
        .map(|seed| import(&store, seed, THREAD_BYTES))
        .collect();
    let large = import(&store, 100, sizes.large_bytes);
    threads.iter().for_each(|thread| page(&store, thread));
    first_catch_up(&store, &threads, &large, sizes);
    appends(&store, &threads[0], sizes);
    pages(&store, &threads, sizes);
    store.close().expect("a close");
}

fn main() {
    let smoke = std::env::args().any(|arg| arg == "--test");
    let sizes = Sizes {
        round: Duration::from_millis(if smoke { 50 } else { 3000 }),
        large_bytes: if smoke { 2 << 20 } else { 300 << 20 },
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    run(dir.path(), &sizes);
}
