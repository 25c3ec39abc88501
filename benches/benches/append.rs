//! Durable appends, one writer and 64 waiting ones, next to the raw write and sync of the same
//! bytes on written blocks of the same file system; the ratios are printed. Then what the first
//! pages behind many appends cost, where the store works in the background and where it does not.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, Throughput};
use turnleaf::disk::OsDisk;
use turnleaf::{ItemsRequest, Options, Order, Store, system_owner};
use turnleaf_benches::raw::RawFile;

const LINE_BYTES: usize = 1024;
const WRITERS: usize = 64;
const RAW_BYTES: u64 = 32 << 20;

fn line() -> Vec<u8> {
    let text = "a line of a rollout that is as long as the usual one ".repeat(40);
    let mut line = format!("{{\"type\":\"event_msg\",\"payload\":{{\"text\":\"{text}").into_bytes();
    line.truncate(LINE_BYTES - 3);
    line.extend_from_slice(b"\"}}");
    line
}

fn store(dir: &Path) -> Arc<Store> {
    let store = Store::open(dir).expect("a store");
    for writer in 0..WRITERS {
        store
            .create_thread(&format!("thread-{writer}"))
            .expect("a thread");
    }
    Arc::new(store)
}

fn one_writer(criterion: &mut Criterion, dir: &Path) {
    let line = line();
    let mut group = criterion.benchmark_group("append, one writer");
    group.throughput(Throughput::Elements(1));
    let mut raw = RawFile::create(&dir.join("raw-1"), RAW_BYTES).expect("a raw file");
    group.bench_function("raw write and fdatasync", |bench| {
        bench.iter(|| raw.append(&line).expect("a raw append"));
    });
    let store = store(&dir.join("one"));
    group.bench_function("turnleaf", |bench| {
        bench.iter(|| store.append("thread-0", None, &[&line]).expect("an append"));
    });
    group.finish();
}

/// Events per second of `rounds` rounds in which every writer appends once and waits.
fn waiting_writers(store: &Arc<Store>, rounds: usize) -> f64 {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = Arc::clone(store);
            scope.spawn(move || {
                let (line, thread) = (line(), format!("thread-{writer}"));
                for _ in 0..rounds {
                    store.append(&thread, None, &[&line]).expect("an append");
                }
            });
        }
    });
    rate(WRITERS * rounds, started)
}

fn rate(events: usize, started: Instant) -> f64 {
    f64::from(u32::try_from(events).unwrap_or(u32::MAX)) / started.elapsed().as_secs_f64()
}

/// Alternates the store and the raw disk and prints the ratio of the medians.
fn group_commit(dir: &Path, rounds: usize) {
    let store = store(&dir.join("many"));
    let mut raw = RawFile::create(&dir.join("raw-64"), RAW_BYTES).expect("a raw file");
    let group = line().repeat(WRITERS);
    let (mut ours, mut theirs, mut single) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        ours.push(waiting_writers(&store, rounds));
        let started = Instant::now();
        for _ in 0..rounds {
            raw.append(&group).expect("a raw append");
        }
        theirs.push(rate(WRITERS * rounds, started));
        let started = Instant::now();
        for _ in 0..rounds {
            raw.append(&group[..LINE_BYTES]).expect("a raw append");
        }
        single.push(rate(rounds, started));
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (ours, theirs, single) = (median(&mut ours), median(&mut theirs), median(&mut single));
    println!("append, {WRITERS} waiting writers: {ours:.0} events/s");
    println!("  raw, one write and sync for {WRITERS} events: {theirs:.0} events/s");
    println!("  raw, one write and sync for each event: {single:.0} events/s");
    println!(
        "  raw group / turnleaf = {:.2}, turnleaf / raw single = {:.1}",
        theirs / ours,
        ours / single
    );
}

/// Appends turns to all threads, waits, and pages each thread once: the mean and the longest of
/// those pages, in milliseconds, and what the appends took.
fn first_pages(dir: &Path, turns: usize, in_background: bool) -> (f64, f64, f64) {
    let disk = Arc::new(OsDisk::new(dir));
    let store = Store::open_on(
        disk,
        Options::default(),
        &system_owner(),
        in_background,
        || 1,
    );
    let store = store.expect("a store");
    let payload = r#"{"type":"user_message","message":"please look at the tests","images":[]}"#;
    let line =
        format!(r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{payload}}}"#);
    let threads: Vec<String> = (0..WRITERS).map(|at| format!("thread-{at}")).collect();
    let ms = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
    let begun = Instant::now();
    for thread in &threads {
        store.create_thread(thread).expect("a thread");
    }
    for thread in threads.iter().cycle().take(turns * WRITERS) {
        let lines = [line.as_bytes(); 4];
        store.append(thread, None, &lines).expect("an append");
    }
    let appended = ms(begun);
    if turns > 1 {
        std::thread::sleep(std::time::Duration::from_secs(8));
    }
    let pages = threads.iter().map(|thread| {
        let begun = Instant::now();
        let page = store.items(&ItemsRequest {
            thread: thread.clone(),
            turn: None,
            all: false,
            cursor: None,
            limit: 20,
            order: Order::Descending,
        });
        assert!(!page.expect("a page").items.is_empty());
        ms(begun)
    });
    let pages: Vec<f64> = pages.collect();
    let mean = pages.iter().sum::<f64>() / f64::from(u32::try_from(WRITERS).unwrap_or(1));
    (mean, pages.iter().copied().fold(0.0, f64::max), appended)
}

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let smoke = std::env::args().any(|arg| arg == "--test");
    let mut criterion = Criterion::default().configure_from_args();
    one_writer(&mut criterion, dir.path());
    criterion.final_summary();
    group_commit(dir.path(), if smoke { 5 } else { 200 });
    let turns = if smoke { 1 } else { 200 };
    for in_background in [false, true, false, true] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (mean, longest, appended) = first_pages(dir.path(), turns, in_background);
        println!(
            "first pages of {WRITERS} threads behind {} records, in background: {in_background}: \
             mean {mean:.2} ms, longest {longest:.2} ms; the appends took {appended:.0} ms",
            4 * turns * WRITERS
        );
    }
}
