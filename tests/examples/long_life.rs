//! A process that appends for long and is never opened anew: `long_life APPENDS [WRITERS]
//! [THREADS]`. Prints what the store holds, the descriptors and the memory of the process.

use std::fs;
use std::time::Instant;

use turnleaf::{Store, system_owner};
use turnleaf_engine::disk::OsDisk;
use turnleaf_tests::long_life::{Life, options};

fn main() {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let mut next = |default| numbers.next().and_then(Result::ok).unwrap_or(default);
    let (appends, writers, threads) = (next(1_000_000), next(4), next(64));
    let life = Life {
        appends,
        writers,
        threads,
        step: (appends / 20).max(1),
        seed: 1,
    };
    let dir = tempfile::tempdir().expect("a directory");
    let disk = std::sync::Arc::new(OsDisk::new(&dir.path().join("store")));
    let store = Store::open_on(disk, options(), &system_owner(), true, || 1).expect("opened");
    let begun = Instant::now();
    life.live(&store, &|moment| {
        println!(
            "{:>8} appends {:>4} s {:>4} descriptors {:>6} KiB {:?}",
            moment.appends,
            begun.elapsed().as_secs(),
            fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            resident_kib(),
            moment.held,
        );
    });
    store.close().expect("closed");
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let digits = line.map(|line| {
        line.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    });
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
