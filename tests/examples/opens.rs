//! Prints what an open costs when the catalogue says much.
//!
//! `TMPDIR=/dev/shm cargo run --release -p turnleaf-tests --example opens -- SEGMENTS`: so many are
//! published, of which all are in use, or all but a few were replaced.

use std::sync::Arc;

use turnleaf_engine::disk::{Disk, OsDisk};
use turnleaf_engine::{Log, NewRecord, Options, SealGoal, Snapshot};
use turnleaf_format::ThreadId;
use turnleaf_format::record::{Flags, Kind};
use turnleaf_tests::stores::{STORE, owner};

fn main() {
    let arg = std::env::args().nth(1).and_then(|arg| arg.parse().ok());
    let segments: u64 = arg.unwrap_or(20_000);
    for (what, segment_bytes_max) in [("in use", 1), ("replaced", 64 << 20)] {
        let options = Options {
            segment_bytes_max,
            reserve_bytes: 0,
            ..Options::default()
        };
        let dir = tempfile::tempdir().expect("a folder");
        let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(dir.path()));
        let opened = Log::open(Arc::clone(&disk), options.clone(), &owner(), STORE);
        let (mut log, _) = opened.expect("a new store");
        let mut threads = Vec::new();
        for number in 0..200 {
            let id = ThreadId::parse(&format!("t{number}")).expect("an id");
            threads.push(log.stage_thread(&id).expect("a new thread").0);
        }
        for number in 0..segments {
            let record = NewRecord {
                kind: Kind::LINE,
                flags: Flags::NONE,
                timestamp_ms: 1,
                bytes: b"x",
            };
            let thread = threads[usize::try_from(number % 200).unwrap_or(0)];
            log.stage(thread, None, &[record]).expect("staged");
            log.commit_all();
            let all = segment_bytes_max > 1 || number % 5000 == 4999;
            let goal = if all {
                SealGoal::Everything
            } else {
                SealGoal::Due
            };
            let plan = log.plan_seal(goal).expect("something to seal");
            let done = plan.run(&|_, _, _| Vec::new()).expect("written");
            drop(plan);
            log.finish_seal(Ok(done)).expect("staged");
            log.commit_all();
            log.clean_up(1).expect("removed");
        }
        while let Some(plan) = log.plan_seal(SealGoal::Everything) {
            let done = plan.run(&|_, _, _| Vec::new()).expect("written");
            drop(plan);
            log.finish_seal(Ok(done)).expect("staged");
            log.commit_all();
        }
        // What the journal still shows would be read, too.
        log.shrink_journal().expect("shrunk");
        log.close().expect("closed");
        let best = || {
            let opens = (0..5).map(|_| {
                let begun = cpu_ms();
                let snapshot = Snapshot::open(&disk, &options).expect("a store");
                drop(snapshot);
                cpu_ms() - begun
            });
            opens.fold(f64::INFINITY, f64::min)
        };
        let with = best();
        disk.remove("catalogue/checkpoint")
            .expect("a close writes a checkpoint");
        let without = best();
        println!(
            "{segments} segments published, {what}: an open takes {with:.1} ms of CPU, \
             without the checkpoint {without:.1} ms"
        );
    }
}

/// Time on a processor: others may use it, too.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let ns = stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
    ns.unwrap_or(0.0) / 1e6
}
