//! Random threads against the laws of the projection: `soup COUNT [FIRST_SEED]`.
//!
//! Every thread is folded in both modes with its state stored at every record, its items are
//! rendered and suffixes are folded alone; one in sixteen also goes through the index in random
//! batches.

use std::time::Instant;

use turnleaf_projector::fold::{Mode, ThreadState};
use turnleaf_tests::projection::{check_index, check_suffix, fold, render};
use turnleaf_tests::soup;

fn main() {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let mut next = |default| match numbers.next() {
        Some(Ok(number)) => number,
        None => default,
        Some(Err(_)) => {
            eprintln!("usage: soup COUNT [FIRST_SEED]");
            std::process::exit(2);
        }
    };
    let (count, first) = (next(10_000), next(0));
    let started = Instant::now();
    let mut records = 0;
    for seed in first..first + count {
        // A failure below says what; this says where.
        let armed = Named(seed);
        let lines = soup::thread(seed, 60);
        records += lines.len() as u64;
        let whole = fold(&lines, ThreadState::default());
        render(&lines, &whole.rows);
        let paginated = fold(&lines, ThreadState::forced(Mode::Paginated));
        render(&lines, &paginated.rows);
        check_suffix(&lines, lines.len() / 3, &paginated);
        if seed.is_multiple_of(16) {
            check_index(&lines, seed, &whole);
        }
        std::mem::forget(armed);
    }
    let seconds = started.elapsed().as_secs();
    println!("{count} threads from seed {first}, {records} records, {seconds} s: all laws hold");
}

/// Names its seed when the program leaves by a panic.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        eprintln!("soup 1 {}", self.0);
    }
}
