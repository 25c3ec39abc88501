//! What one process reads damaged the next one knows, whichever way it was read, and whatever becomes
//! of the list that says so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::Arc;

use turnleaf::{ErrorKind, Store};
use turnleaf_engine::disk::Disk;
use turnleaf_tests::sim_disk::{CrashPolicy, Fault, SimDisk};
use turnleaf_tests::stores::{log_files, owner};

use super::losses::{open, options, store, turns};

/// In the first block of the first thread's run.
const PLACE: u64 = 300;

fn segment(disk: &SimDisk) -> String {
    let files = log_files(disk);
    let mut segments = files.iter().filter(|path| path.starts_with("segments/"));
    segments.next().unwrap().clone()
}

/// A store with a bit of the first thread's oldest records flipped.
fn damaged() -> (SimDisk, Vec<String>) {
    let (disk, ids) = store();
    disk.flip(&segment(&disk), PLACE, 3);
    (disk, ids)
}

fn reader(disk: &SimDisk) -> Store {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open_to_read_on(shared, &options(), &owner()).unwrap()
}

fn export(store: &Store, id: &str) {
    store.export(id, None, None, &mut io::sink()).unwrap();
    assert_eq!(store.damage_seen().len(), 1);
}

/// Whether the next owner knows of the damage: only the one thread is closed then.
fn is_known(disk: &SimDisk, ids: &[String]) -> bool {
    let store = open(disk).unwrap();
    let closed = store.report().closed.len();
    assert_eq!(store.report().damage.len(), closed);
    assert_eq!(store.diagnosis().damage.len(), closed);
    let refused = store.append(&ids[0], None, &[&b"{}"[..]]);
    let kind = refused.map(drop).map_err(|error| error.kind());
    assert_eq!(kind.is_err(), closed == 1);
    if closed == 1 {
        assert_eq!(kind, Err(ErrorKind::Damaged));
    }
    store.append(&ids[1], None, &[&b"{}"[..]]).unwrap();
    store.close().unwrap();
    closed == 1
}

#[test]
fn whoever_reads_damage_leaves_word_of_it() {
    type Read = fn(&SimDisk, &str);
    let ways: [(&str, Read); 5] = [
        ("export", |disk, id| export(&reader(disk), id)),
        ("owner", |disk, id| export(&open(disk).unwrap(), id)),
        ("verify", |disk, _| {
            let report = reader(disk).verify(None, &mut |_| {}).unwrap();
            assert!(!report.is_log_ok());
        }),
        ("looking for repairs", |disk, _| {
            assert!(!reader(disk).find_repairs(None).unwrap().is_empty());
        }),
        ("a retry", |disk, id| {
            let store = open(disk).unwrap();
            let retried = store.append(id, Some(0), &[&b"{}"[..]]);
            assert_eq!(retried.unwrap_err().kind(), ErrorKind::Damaged);
        }),
    ];
    for (way, read) in ways {
        let (disk, ids) = damaged();
        assert!(!is_known(&disk, &ids), "{way}: nobody read it");
        read(&disk, &ids[0]);
        assert!(is_known(&disk, &ids), "{way}");
        assert!(is_known(&disk, &ids), "{way}, again");
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let report = Store::repair_on(&shared, &options(), &owner(), None).unwrap();
        assert!(!report.done.is_empty() && report.due.is_empty());
        assert_eq!(disk.bytes("damage"), None, "{way}: a repair ends it");
        assert!(!is_known(&disk, &ids), "{way}: repaired");
        let store = open(&disk).unwrap();
        store.turns(&turns(&ids[0])).unwrap();
        assert_eq!(store.damage_seen(), []);
    }
}

/// What reads well again was never lost.
#[test]
fn a_bit_that_comes_back_closes_nothing() {
    let (disk, ids) = damaged();
    export(&reader(&disk), &ids[0]);
    disk.flip(&segment(&disk), PLACE, 3);
    assert!(disk.bytes("damage").is_some());
    assert!(!is_known(&disk, &ids));
    assert_eq!(disk.bytes("damage"), None);
}

#[test]
fn a_crash_while_damage_is_listed_costs_the_hint_alone() {
    let (base, ids) = damaged();
    let mut known = 0;
    for call in 0..6 {
        for policy in 0..6 {
            let disk = base.fork();
            let store = reader(&disk);
            disk.plan(disk.ops() + call, Fault::Crash);
            let _ = store.export(&ids[0], None, None, &mut io::sink());
            drop(store);
            let after = disk.after_crash(CrashPolicy::by_number(policy), 7 * policy + call);
            known += u64::from(is_known(&after, &ids));
            export(&reader(&after), &ids[0]);
            assert!(is_known(&after, &ids), "call {call}, policy {policy}");
        }
    }
    assert!(known > 0, "some crashes came later");
}

/// Who may not write there reads all the same.
#[test]
fn a_list_that_cannot_be_written_costs_nothing() {
    for fails in 0..4 {
        let (disk, ids) = damaged();
        let store = reader(&disk);
        let full = Fault::FailForEver(io::ErrorKind::StorageFull);
        disk.plan(disk.ops() + fails, full);
        export(&store, &ids[0]);
        drop(store);
        disk.heal();
        export(&reader(&disk), &ids[0]);
        assert!(is_known(&disk, &ids), "call {fails}");
    }
}
