//! The same work side by side in one run, alternating: turnleaf and a JSONL rollout that is
//! replayed as the reference runtime does it. Prints a table of CPU times and ratios.
//!
//! `cargo bench -p turnleaf-benches --bench peers -- [MB ...]`, by default 1, 100 and 1000 MB. With
//! `--features sqlite`, SQLite stands beside both.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use turnleaf::{ForkPoint, Store};
use turnleaf_benches::measure::{Cost, mean_of, quartile};
use turnleaf_benches::replay::Replay;
use turnleaf_benches::work::{PAGE, Work, did_as_asked, items};
use turnleaf_tests::rollouts::{Rollout, RolloutMode};

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
    let cost = Work::Import.apart(&jsonl, store.to_str().expect("a plain path"));
    println!(
        "{megabytes} MB: import and seal {:.0} MB per CPU second, in {} MiB of memory",
        per_second(bytes, cost.cpu),
        cost.peak_kib / 1024
    );
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

/// A cursor that stands about half way down the thread.
fn deep_cursor(store: &Store, case: &Case) -> Option<String> {
    let total = store.show(&case.thread).expect("the thread").items;
    let mut cursor = None;
    for _ in 0..(total / 2000) {
        cursor = items(store, &case.thread, cursor, 1000).1;
    }
    cursor
}

fn row(name: &str, ours: Cost, theirs: Cost) {
    let micros = |cost: Cost| cost.cpu.as_secs_f64() * 1e6;
    println!(
        "  {name:<34} {:>12.0} us {:>14.0} us {:>10.1} x",
        micros(ours),
        micros(theirs),
        micros(theirs) / micros(ours).max(1.0)
    );
}

/// Runs both sides in turn, each in processes of its own, and gives the lower quartile of each.
fn alternate(case: &Case, ours: Work, theirs: Work) -> (Cost, Cost) {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for _ in 0..case.rounds {
        let from = if ours == Work::Fold {
            &case.jsonl
        } else {
            &case.store
        };
        one.push(ours.apart(from, &case.thread));
        other.push(theirs.apart(&case.jsonl, &case.thread));
    }
    (quartile(&mut one), quartile(&mut other))
}

fn compare(case: &Case) -> Cost {
    println!(
        "  {:<34} {:>15} {:>17} {:>12}",
        "work (CPU time)", "turnleaf", "JSONL replay", "ratio"
    );
    let (resume, full) = alternate(case, Work::Resume, Work::Replay);
    row("open and resume", resume, full);
    println!(
        "    in {} and {} MiB of memory",
        resume.peak_kib / 1024,
        full.peak_kib / 1024
    );
    let store = Store::open_to_read(&case.store).expect("the store");
    let mut suffix = Vec::new();
    store
        .context(&case.thread, &ForkPoint::Latest, &mut suffix)
        .expect("the context");
    println!("    from a suffix of {} KiB", suffix.len() / 1024);
    drop(store);
    let (first, full) = alternate(case, Work::NewestPage, Work::Replay);
    row("open and newest page of 50", first, full);
    let (rebuilt, full) = alternate(case, Work::Rebuild, Work::Replay);
    row("rebuild of the index", rebuilt, full);
    let (rebuilt, value) = alternate(case, Work::Rebuild, Work::OnePass);
    row("  against one pass to Value", rebuilt, value);
    let (folded, value) = alternate(case, Work::Fold, Work::OnePass);
    row("fold of all lines, one pass", folded, value);
    println!("    at {:.0} MB/s", per_second(case.bytes, folded.cpu));
    in_memory(case);
    resume
}

/// Pages of an open store, beside pages of a history that was parsed and is held in memory.
fn in_memory(case: &Case) {
    let store = Store::open_to_read(&case.store).expect("the store");
    let replayed = Replay::of_file(&case.jsonl).expect("a replay");
    let hot = mean_of(20, || drop(items(&store, &case.thread, None, PAGE)));
    let held = mean_of(20, || drop(replayed.newest(PAGE)));
    row("newest page, all in memory", hot, held);
    let cursor = deep_cursor(&store, case);
    let deep = mean_of(20, || {
        drop(items(&store, &case.thread, cursor.clone(), PAGE))
    });
    let held = mean_of(20, || drop(replayed.deep(PAGE)));
    row("deep page, all in memory", deep, held);
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
    if did_as_asked() {
        return;
    }
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
        #[cfg(feature = "sqlite")]
        turnleaf_benches::beside_sqlite::compare(&turnleaf_benches::beside_sqlite::Sides {
            dir: dir.path(),
            jsonl: &case.jsonl,
            store: &case.store,
            thread: &case.thread,
            threads: if smoke { 50 } else { 5000 },
        });
        let base = *first.get_or_insert(resume);
        println!(
            "  resume costs {:.2} x that of the smallest thread",
            resume.cpu.as_secs_f64() / base.cpu.as_secs_f64()
        );
        std::fs::remove_file(&case.jsonl).expect("the rollout goes");
    }
}
