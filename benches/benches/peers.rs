//! The same work side by side in one run, alternating: turnleaf and a JSONL rollout that is replayed
//! as the reference runtime does it. Prints a table of CPU times and ratios.
//!
//! `cargo bench -p turnleaf-benches --bench peers -- [MB ...]`, by default 1, 100 and 1000 MB.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use turnleaf::{ImportSource, ItemsRequest, Order, Store};
use turnleaf_benches::measure::{Cost, measure, peak_kib, quartile, reset_peak};
use turnleaf_benches::replay::{Replay, one_pass};
use turnleaf_tests::rollouts::{Rollout, RolloutMode};

const PAGE: usize = 50;

struct Case {
    jsonl: PathBuf,
    store: PathBuf,
    thread: String,
    bytes: u64,
    rounds: usize,
}

fn prepare(dir: &Path, megabytes: u64) -> Case {
    let rollout = Rollout::new(RolloutMode::Paginated, 7, megabytes * 1_000_000);
    let jsonl = dir.join(format!("{megabytes}.jsonl"));
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&jsonl).expect("a file"));
    let bytes = rollout
        .write(&mut out)
        .and_then(|s| out.flush().map(|()| s))
        .expect("a rollout")
        .bytes;
    drop(out);
    let store = dir.join(format!("store-{megabytes}"));
    let opened = Store::open(&store).expect("a store");
    let mut plain = File::open(&jsonl).expect("the rollout");
    let source = ImportSource {
        path: "bench",
        thread_hint: None,
        plain: &mut plain,
        file_bytes: bytes,
        modified_ns: 1,
    };
    reset_peak();
    let (imported, cost) = measure(|| opened.import(source, &mut |_| {}));
    imported.expect("an import").expect("a rollout");
    println!(
        "{megabytes} MB: import {:.0} MB per CPU second, peak {} MiB",
        per_second(bytes, cost.cpu),
        peak_kib() / 1024
    );
    opened.seal_all().expect("sealed");
    opened.close().expect("closed");
    let rounds = if megabytes >= 500 { 3 } else { 5 };
    Case {
        jsonl,
        store,
        thread: rollout.thread_id(),
        bytes,
        rounds,
    }
}

fn per_second(bytes: u64, time: Duration) -> f64 {
    let megabytes = f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX)) / 1000.0;
    megabytes / time.as_secs_f64()
}

fn items(store: &Store, case: &Case, cursor: Option<String>) -> (usize, Option<String>) {
    let (thread, order) = (case.thread.clone(), Order::Descending);
    let request = ItemsRequest {
        thread,
        turn: None,
        cursor,
        limit: PAGE,
        order,
    };
    let page = store.items(&request).expect("a page");
    (page.items.len(), page.next_cursor)
}

/// A cursor that stands about half way down the thread.
fn deep_cursor(store: &Store, case: &Case) -> Option<String> {
    let total = store.show(&case.thread).expect("the thread").items;
    let mut cursor = None;
    let (thread, order) = (case.thread.clone(), Order::Descending);
    for _ in 0..(total / 2000) {
        let request = ItemsRequest {
            thread: thread.clone(),
            turn: None,
            cursor,
            limit: 1000,
            order,
        };
        cursor = store.items(&request).expect("a page").next_cursor;
    }
    cursor
}

fn row(name: &str, ours: Cost, theirs: Option<Cost>) {
    let micros = |cost: Cost| cost.cpu.as_secs_f64() * 1e6;
    match theirs {
        Some(theirs) => println!(
            "  {name:<34} {:>12.0} us {:>14.0} us {:>10.1} x",
            micros(ours),
            micros(theirs),
            micros(theirs) / micros(ours).max(1.0)
        ),
        None => println!("  {name:<34} {:>12.0} us", micros(ours)),
    }
}

/// Runs both sides in turn and gives the lower quartile of each.
fn alternate(rounds: usize, mut ours: impl FnMut(), mut theirs: impl FnMut()) -> (Cost, Cost) {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        one.push(measure(&mut ours).1);
        other.push(measure(&mut theirs).1);
    }
    (quartile(&mut one), quartile(&mut other))
}

fn compare(case: &Case) -> Cost {
    println!(
        "  {:<34} {:>15} {:>17} {:>12}",
        "work (CPU time)", "turnleaf", "JSONL replay", "ratio"
    );
    let replay = || drop(Replay::of_file(&case.jsonl).expect("a replay").newest(PAGE));
    let open = || Store::open_to_read(&case.store).expect("the store");
    let (resume, full) = alternate(
        case.rounds,
        || {
            let mut out = Vec::new();
            open().context(&case.thread, &mut out).expect("the context");
            assert!(!out.is_empty());
        },
        replay,
    );
    row("open and resume", resume, Some(full));
    let mut suffix = Vec::new();
    open()
        .context(&case.thread, &mut suffix)
        .expect("the context");
    println!("    which reads a suffix of {} KiB", suffix.len() / 1024);
    let (first, full) = alternate(case.rounds, || drop(items(&open(), case, None)), replay);
    row("open and newest page of 50", first, Some(full));
    let store = open();
    let replayed = Replay::of_file(&case.jsonl).expect("a replay");
    let many = |work: &mut dyn FnMut()| {
        let ((), cost) = measure(|| (0..20).for_each(|_| work()));
        Cost {
            wall: cost.wall / 20,
            cpu: cost.cpu / 20,
        }
    };
    let hot = many(&mut || drop(items(&store, case, None)));
    let held = many(&mut || drop(replayed.newest(PAGE)));
    row("newest page, all in memory", hot, Some(held));
    let cursor = deep_cursor(&store, case);
    let deep = many(&mut || drop(items(&store, case, cursor.clone())));
    let held = many(&mut || drop(replayed.deep(PAGE)));
    row("deep page, all in memory", deep, Some(held));
    drop((store, replayed));
    let rebuild = || {
        open().rebuild_index(&mut |_| {}).expect("a rebuild");
    };
    let (rebuilt, full) = alternate(case.rounds, rebuild, replay);
    row("rebuild of the index", rebuilt, Some(full));
    let (_, value) = measure(|| one_pass(&case.jsonl).expect("a pass"));
    row("  against one pass to Value", rebuilt, Some(value));
    resume
}

fn bytes_on_disk(case: &Case) {
    let store = Store::open_log(&case.store).expect("the store");
    let stats = store.stats().expect("figures");
    let share = |part: u64| {
        let thousandths = part.saturating_mul(1000) / case.bytes.max(1);
        f64::from(u32::try_from(thousandths).unwrap_or(0)) / 10.0
    };
    println!(
        "  on disk: segments {:.1} % of the JSONL, index {:.1} %, journal {} KiB",
        share(stats.segment_bytes),
        share(stats.index_bytes),
        stats.journal_bytes / 1024
    );
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let smoke = args.iter().any(|arg| arg == "--test");
    let mut sizes: Vec<u64> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = if smoke { vec![1] } else { vec![1, 100, 1000] };
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut first: Option<Cost> = None;
    for megabytes in sizes {
        let case = prepare(dir.path(), megabytes);
        let resume = compare(&case);
        bytes_on_disk(&case);
        let base = *first.get_or_insert(resume);
        println!(
            "  resume costs {:.2} x that of the smallest thread",
            resume.cpu.as_secs_f64() / base.cpu.as_secs_f64()
        );
        std::fs::remove_file(&case.jsonl).expect("the rollout goes");
    }
}
