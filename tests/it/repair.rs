//! Repairs on the simulated disk: stopped at every call, judged again, done again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use turnleaf_engine::disk::{Access, Disk, read_exact_at};
use turnleaf_engine::{NewRecord, Options, Repaired, Snapshot, repair, repairs_for};
use turnleaf_format::record::{Flags, Kind};
use turnleaf_format::{Ordinal, ThreadId};
use turnleaf_tests::sim_disk::{CrashPolicy, Fault, SimDisk};
use turnleaf_tests::stores::{open_log, owner};

const ORPHAN: &str = "segments/0000000000000009.tls";
/// The copy; where an interrupted repair left half of one, the next has a name of its own.
const KEPT: [&str; 3] = [
    "quarantine/0000000000000009.tls",
    "quarantine/0000000000000009-1.tls",
    "quarantine/0000000000000009-2.tls",
];
const BYTES: &[u8] = b"a segment that nothing mentions";

fn options() -> Options {
    Options {
        journal_first_bytes: 16 << 10,
        reserve_bytes: 0,
        ..Options::default()
    }
}

/// A store with a bad header copy and an orphan, both durable.
fn odd_store() -> SimDisk {
    let disk = SimDisk::new();
    let (mut log, _) = open_log(&disk, options()).unwrap();
    let id = ThreadId::parse("a").unwrap();
    let (thread, _) = log.stage_thread(&id).unwrap();
    log.commit_all();
    let record = NewRecord {
        kind: Kind::LINE,
        flags: Flags::NONE,
        timestamp_ms: 1,
        bytes: b"acknowledged",
    };
    log.stage(thread, None, &[record]).unwrap();
    log.commit_all();
    log.close().unwrap();
    disk.flip("journal/00000000.tlj", 4100, 3);
    let file = disk.create(ORPHAN).unwrap();
    file.write_at(0, BYTES).unwrap();
    file.sync().unwrap();
    disk.sync_dir("segments").unwrap();
    disk
}

fn due(disk: &SimDisk) -> Vec<turnleaf_engine::Repair> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let snapshot = Snapshot::open(&shared, &options()).unwrap();
    assert_eq!(snapshot.report().damage, []);
    let id = ThreadId::parse("a").unwrap();
    let thread = snapshot.state().thread_number(&id).unwrap();
    let end = snapshot.state().reader(thread).unwrap().end();
    assert_eq!(end, Ordinal(1), "the record is there");
    repairs_for(snapshot.report(), snapshot.state())
}

fn repair_all(disk: &SimDisk) -> Option<Vec<Repaired>> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let wanted = due(disk);
    let notes = |_: &_, _, _| Vec::new();
    repair(&shared, &options(), &owner(), &wanted, &notes, &|_| None).ok()
}

fn holds(disk: &SimDisk, path: &str) -> bool {
    let read = |file: Arc<dyn turnleaf_engine::disk::DiskFile>| {
        read_exact_at(&*file, 0, BYTES.len()).is_ok_and(|bytes| bytes == BYTES)
    };
    disk.open(path, Access::Read).is_ok_and(read)
}

fn is_kept(disk: &SimDisk) -> bool {
    KEPT.iter().any(|name| holds(disk, name))
}

/// The second try of a repair is stopped, too, at every call; the third ends it.
fn stop_again(disk: &SimDisk, seed: u64) -> u64 {
    let left = due(disk).len();
    let whole = disk.fork();
    assert_eq!(repair_all(&whole).unwrap().len(), left);
    let calls = whole.ops();
    for at in disk.ops()..calls {
        let again = disk.fork();
        again.plan(at, Fault::Crash);
        assert!(repair_all(&again).is_none(), "call {at} stops the repair");
        let after = again.after_crash(CrashPolicy::by_number(seed + at), seed);
        repair_all(&after).unwrap();
        assert_eq!(due(&after), [], "crash at call {seed}, then {at}");
        assert!(is_kept(&after), "crash at call {seed}, then {at}");
    }
    calls - disk.ops()
}

#[test]
fn repairs_survive_a_crash_at_every_call() {
    let whole = odd_store();
    let before = whole.ops();
    assert_eq!(repair_all(&whole).unwrap().len(), 2);
    let mut states = 0;
    for at in before..whole.ops() {
        for policy in CrashPolicy::ALL {
            let disk = odd_store();
            disk.plan(at, Fault::Crash);
            assert!(repair_all(&disk).is_none(), "call {at} stops the repair");
            let after = disk.after_crash(policy, at);
            let place = format!("call {at}, {policy:?}");
            assert!(holds(&after, ORPHAN) || is_kept(&after), "{place}");
            states += stop_again(&after, at);
            let left = due(&after);
            assert_eq!(left, due(&after), "{place}: the same verdict twice");
            assert_eq!(repair_all(&after).unwrap().len(), left.len(), "{place}");
            assert_eq!(due(&after), [], "{place}");
            assert!(is_kept(&after), "{place}: the copy stays");
            states += 1;
        }
    }
    println!("repairs: {states} crash states");
    assert!(states > 10, "the repairs call the disk");
}
