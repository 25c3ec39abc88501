//! Prints what pages of lists cost when a store has many threads.
//!
//! `TMPDIR=/dev/shm cargo run --release -p turnleaf-tests --example lists -- THREADS`: so many are
//! made, each with a turn, in a hundred directories; pages have 25 threads.

use std::time::Instant;

use turnleaf::{Order, SortKey, Store, ThreadsRequest};
use turnleaf_tests::answers::all_threads;
use turnleaf_tests::many_threads::{id, make, make_all};

fn main() {
    let arg = std::env::args().nth(1).and_then(|arg| arg.parse().ok());
    let threads: usize = arg.unwrap_or(20_000);
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).expect("a new store");
    make_all(&store, threads);
    let begun = Instant::now();
    store.threads(&request()).expect("a page");
    println!(
        "{threads} threads, the index made anew: {:.0} ms",
        ms(begun)
    );
    report(&store);
    drop(store);
    let begun = Instant::now();
    let store = Store::open(dir.path()).expect("the store");
    println!("opened again: {:.0} ms", ms(begun));
    let begun = Instant::now();
    store.threads(&request()).expect("a page");
    println!("the first page after that: {:.1} ms", ms(begun));
}

fn report(store: &Store) {
    let parent = ThreadsRequest {
        parent: Some(id(1)),
        ..request()
    };
    let directory = ThreadsRequest {
        cwds: vec!["/w/7".to_owned()],
        ..request()
    };
    let search = ThreadsRequest {
        search: Some("nowhere".to_owned()),
        ..request()
    };
    let behind = store.threads(&request()).expect("a page").next_cursor;
    let behind = ThreadsRequest {
        cursor: behind,
        ..request()
    };
    let created = ThreadsRequest {
        sort: SortKey::Created,
        order: Order::Ascending,
        ..request()
    };
    for (what, request) in [
        ("newest", request()),
        ("behind a cursor", behind),
        ("oldest", created),
        ("of a directory", directory),
        ("begun by a thread (none)", parent),
        ("search (finds nothing)", search),
    ] {
        let mut times: Vec<f64> = (0..51)
            .map(|_| {
                let begun = Instant::now();
                store.threads(&request).expect("a page");
                ms(begun)
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("  page, {what}: {:.0} us", 1e3 * times[25]);
    }
    for _ in 0..3 {
        let begun = Instant::now();
        make(store, 3);
        let appended = ms(begun);
        let begun = Instant::now();
        store.threads(&request()).expect("a page");
        let listed = 1e3 * ms(begun);
        println!("  page behind an append ({appended:.1} ms): {listed:.0} us");
    }
}

fn request() -> ThreadsRequest {
    ThreadsRequest {
        limit: 25,
        order: Order::Descending,
        sort: SortKey::Updated,
        ..all_threads()
    }
}

fn ms(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}
