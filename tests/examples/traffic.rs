//! Prints what traffic of many slow threads leaves in packs, and how much is written for it.
//!
//! `cargo run --release -p turnleaf-tests --example traffic -- THREADS MIB` at the product's sizes.

use std::sync::Arc;

use turnleaf_engine::Options;
use turnleaf_engine::disk::{Disk, OsDisk};
use turnleaf_tests::traffic::{Traffic, run};

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let mut next = |default| args.next().and_then(Result::ok).unwrap_or(default);
    let (threads, mib) = (next(1000), next(2048));
    for (boundary_every, skewed) in [(0, false), (0, true), (500, true)] {
        let dir = tempfile::tempdir().expect("a folder");
        let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(dir.path()));
        let traffic = Traffic {
            threads,
            bytes: mib << 20,
            record_bytes_max: 16 << 10,
            boundary_every,
            skewed,
        };
        let left = run(&disk, &Options::default(), traffic);
        println!("{traffic:?}: {left}");
    }
}
