//! What durable appends cost one after the other, across changes of journal files: `latency APPENDS
//! [BYTES] [0]`, in a directory of `TMPDIR`. Name a real disk: memory has no sync to wait for. With
//! 0 nothing is done in the background, and appends make the files themselves.

use std::fs;
use std::time::Instant;

use turnleaf::{Options, Store, system_owner};
use turnleaf_engine::disk::OsDisk;

fn main() {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<usize>());
    let mut next = |default| numbers.next().and_then(Result::ok).unwrap_or(default);
    let (appends, bytes, seals) = (next(100_000), next(4000), next(1) > 0);
    let dir = tempfile::tempdir().expect("a directory");
    let disk = std::sync::Arc::new(OsDisk::new(&dir.path().join("store")));
    let store = Store::open_on(disk, Options::default(), &system_owner(), seals, || 1);
    let store = store.expect("opened");
    let journal = dir.path().join("store/journal");
    store.create_thread("a").expect("created");
    let line = vec![b'x'; bytes];
    let mut waits = Vec::with_capacity(appends);
    // Appends behind which there were more journal files than before.
    let (mut files, mut changes) = (0, Vec::new());
    for _ in 0..appends {
        let begun = Instant::now();
        store.append("a", None, &[&line]).expect("appended");
        let wait = begun.elapsed().as_secs_f64() * 1e6;
        waits.push(wait);
        let names = fs::read_dir(&journal).expect("a directory").flatten();
        let now = names.filter(|entry| entry.path().extension().is_some_and(|end| end == "tlj"));
        let now = now.count();
        if now > files {
            changes.push(wait);
        }
        files = now;
    }
    store.close().expect("closed");
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let place = (share * waits.len() as f64) as usize;
        waits[place.min(waits.len() - 1)]
    };
    println!(
        "{appends} appends of {bytes} bytes: p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us, p99.99 \
         {:.0} us, max {:.0} us; {} new journal files, the slowest append into one {:.0} us",
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        at(1.0),
        changes.len(),
        changes.iter().copied().fold(0.0, f64::max),
    );
}
