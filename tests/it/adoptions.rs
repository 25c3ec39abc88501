//! A catalogue that lost its records: what the segments hold is found again, wherever the repair is
//! stopped and whichever of its calls fails.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::Arc;

use turnleaf::Store;
use turnleaf_engine::Snapshot;
use turnleaf_engine::disk::{Disk, EntryKind};
use turnleaf_tests::sim_disk::{CrashPolicy, Fault, SimDisk};
use turnleaf_tests::stores::owner;

use super::losses::{open, options, readable, seal, store};

/// The one segment of the catalogue is damaged: threads and segments have no name any more.
fn nameless() -> SimDisk {
    let (disk, _) = store();
    seal(&disk);
    let entries = disk.list("catalogue").unwrap();
    let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
    for file in files {
        disk.flip(&format!("catalogue/{}", file.name), 200, 3);
    }
    disk
}

fn repair(disk: &SimDisk) -> Result<(), turnleaf::Error> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let report = Store::repair_on(&shared, &options(), &owner(), None)?;
    assert_eq!(report.due, []);
    Ok(())
}

/// The records of every thread, whatever its id is now.
fn records(disk: &SimDisk) -> Vec<Vec<Vec<u8>>> {
    let mut all: Vec<_> = readable(disk).into_values().collect();
    all.sort();
    all
}

fn check(disk: &SimDisk, whole: &[Vec<Vec<u8>>], place: &str) {
    repair(disk).unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(records(disk) == whole, "{place}: records");
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let snapshot = Snapshot::open(&shared, &options()).unwrap();
    assert_eq!(snapshot.report().closed, [], "{place}");
    let store = open(disk).unwrap();
    let report = store.verify(None, &mut |_| {}).unwrap();
    assert!(report.is_ok(), "{place}: {:?}", report.damage);
    store.close().unwrap();
}

#[test]
fn segments_without_a_catalogue_are_adopted_wherever_that_is_stopped() {
    let (complete, _) = store();
    let whole = records(&complete);
    let disk = nameless();
    assert!(records(&disk) != whole, "the names are lost");
    let done = disk.fork();
    repair(&done).unwrap();
    let mut states = 0;
    for at in disk.ops()..done.ops() {
        let policy = CrashPolicy::by_number(at);
        let place = format!("call {at}, {policy:?}");
        let stopped = disk.fork();
        stopped.plan(at, Fault::Crash);
        assert!(repair(&stopped).is_err(), "{place}: stops the repair");
        check(&stopped.after_crash(policy, at), &whole, &place);
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
    check(&done, &whole, "a second time");
    println!("adoptions: {states} states");
}
