//! A block of a segment goes bad while the journal still has its records: the repair writes them to
//! a new segment, wherever it is stopped and whichever of its calls fails.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::Arc;

use turnleaf::Store;
use turnleaf_engine::disk::Disk;
use turnleaf_tests::sim_disk::{CrashPolicy, Fault, SimDisk};
use turnleaf_tests::stores::owner;

use super::losses::{append, open, options, readable, seal, turns};

const SEGMENT: &str = "segments/0000000000000001.tls";

/// A store as it was sealed, and with a bad block; the journal still holds all of it.
fn damaged() -> (SimDisk, SimDisk) {
    let disk = SimDisk::new();
    let work = open(&disk).unwrap();
    for id in ["a", "b"] {
        work.create_thread(id).unwrap();
        let lines: Vec<_> = (0..20).map(|at| vec![b'a' + at; 400]).collect();
        append(&work, id, &lines);
    }
    work.close().unwrap();
    seal(&disk);
    let whole = disk.fork();
    let middle = disk.bytes(SEGMENT).unwrap().len() as u64 / 4;
    disk.flip(SEGMENT, middle, 3);
    // An index that knows the records that are to be found again.
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let reader = Store::open_to_read_on(shared, &options(), &owner()).unwrap();
    reader.turns(&turns("a")).unwrap();
    drop(reader);
    (whole, disk)
}

fn repair(disk: &SimDisk) -> Result<Vec<&'static str>, turnleaf::Error> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let report = Store::repair_on(&shared, &options(), &owner(), None)?;
    assert_eq!(report.due, []);
    Ok(report.done.iter().map(|done| done.repair.name()).collect())
}

fn check(disk: &SimDisk, whole: &SimDisk, place: &str) {
    repair(disk).unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(readable(disk) == readable(whole), "{place}: records");
    let store = open(disk).unwrap();
    let report = store.verify(None, &mut |_| {}).unwrap();
    assert!(report.is_ok(), "{place}: {:?}", report.damage);
    store.close().unwrap();
}

#[test]
fn what_the_journal_repeats_is_never_given_up() {
    let (whole, disk) = damaged();
    assert!(readable(&disk) == readable(&whole), "readers go on");
    let done = disk.fork();
    assert_eq!(repair(&done).unwrap(), ["rebuild-segment"]);
    check(&done, &whole, "at once");
    let mut states = 0;
    for at in disk.ops()..done.ops() {
        let policy = CrashPolicy::by_number(at);
        let place = format!("call {at}, {policy:?}");
        // Each try begins a journal file; the old ones must not leave the live range for that.
        let mut stopped = disk.fork();
        for _ in 0..3 {
            stopped.plan(stopped.ops() + at - disk.ops(), Fault::Crash);
            let _ = repair(&stopped);
            stopped = stopped.after_crash(policy, at);
        }
        check(&stopped, &whole, &place);
        for fault in [Fault::Fail, Fault::Short, Fault::FailForEver] {
            let fault = fault(io::ErrorKind::StorageFull);
            let refused = disk.fork();
            refused.plan(at, fault);
            let place = format!("call {at}, {fault:?}");
            // It may do without the call.
            let _ = repair(&refused);
            refused.heal();
            check(&refused, &whole, &place);
            states += 1;
        }
        states += 1;
    }
    println!("repeats: {states} states");
}
