//! What one process reads damaged the next one knows, whichever way it was read, and whatever
//! becomes of the list that says so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::{Arc, Mutex};

use turnleaf::{ErrorKind, ItemsRequest, Order, Ordinal, Store};
use turnleaf_engine::disk::{Access, Disk};
use turnleaf_engine::{Remark, Snapshot};
use turnleaf_tests::hooked::HookedDisk;
use turnleaf_tests::sim_disk::{CrashPolicy, Fault, SimDisk, Unread};
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
    store.export(id, .., &mut io::sink()).unwrap();
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

/// Who asks for a page learns what was damaged of it, whoever met the same before; nobody learns
/// what other pages met.
#[test]
fn a_page_tells_its_own_damage() {
    let (disk, ids) = damaged();
    let store = reader(&disk);
    let page = |id: &String| {
        let request = ItemsRequest {
            thread: id.clone(),
            turn: None,
            all: false,
            cursor: None,
            limit: 1000,
            order: Order::Ascending,
        };
        store.items(&request).unwrap()
    };
    for _ in 0..2 {
        let (damaged, whole) = (page(&ids[0]), page(&ids[1]));
        assert_eq!(damaged.damage, store.damage_seen());
        assert_eq!(damaged.damage.len(), 1);
        assert_eq!(whole.damage, []);
    }
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
            let retried = store.append(id, Some(Ordinal(0)), &[&b"{}"[..]]);
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
            let _ = store.export(&ids[0], .., &mut io::sink());
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

/// A list that says something of a segment which is whole, and that cannot be looked at: too many
/// open files, no permission, one failure of the device.
#[test]
fn a_place_that_cannot_be_looked_at_closes_nothing_and_stays_listed() {
    // The newest segment is opened and measured once for its version, and measured by its name.
    for (kind, after) in [("open", 1), ("len", 2)] {
        let (disk, ids) = damaged();
        export(&reader(&disk), &ids[0]);
        disk.flip(&segment(&disk), PLACE, 3);
        disk.fail_reads(Unread {
            after,
            times: 1,
            ..Unread::always(kind, &segment(&disk))
        });
        let store = open(&disk).unwrap();
        let report = store.report();
        assert_eq!((report.closed.len(), report.damage.len()), (0, 0), "{kind}");
        let unchecked = |remark: &Remark| matches!(remark, Remark::Unchecked { why: Some(_), .. });
        assert!(report.remarks.iter().any(unchecked), "{kind}");
        store.append(&ids[0], None, &[&b"{}"[..]]).unwrap();
        store.close().unwrap();
        assert!(disk.bytes("damage").is_some(), "{kind}");
        disk.heal();
        assert!(!is_known(&disk, &ids), "{kind}");
        assert_eq!(disk.bytes("damage"), None, "{kind}");
    }
}

/// A segment that was cut and has a bad sector, or whose length the device does not say: the threads
/// in it are closed and nothing of it is given up; the store takes appends.
#[test]
fn what_the_device_does_not_say_of_a_segment_closes_its_threads_alone() {
    // [R:seg-17]
    for (case, closed) in [("length", 2), ("cut", 2), ("whole", 1)] {
        let (disk, ids) = store();
        let work = open(&disk).unwrap();
        work.create_thread("other").unwrap();
        work.close().unwrap();
        let path = segment(&disk);
        let sector = Unread {
            bytes: 8192..9216,
            ..Unread::always("read_at", &path)
        };
        if case == "cut" {
            let file = disk.open(&path, Access::ReadWrite).unwrap();
            file.set_len(file.len().unwrap() - 1).unwrap();
        }
        if case == "whole" {
            // Nothing tells an opening before somebody read it.
            disk.fail_reads(sector.clone());
            export_around(&disk, &ids[0]);
        }
        for _ in 0..2 {
            disk.heal();
            disk.fail_reads(match case {
                // By its name, and once more.
                "length" => Unread {
                    after: 1,
                    times: 2,
                    ..Unread::always("len", &path)
                },
                _ => sector.clone(),
            });
            let store = open(&disk).unwrap();
            let report = store.report();
            assert_eq!(report.closed.len(), closed, "{case}: {:?}", report.damage);
            assert_eq!(report.unreadable, [], "{case}");
            let refused = store.append(&ids[0], None, &[&b"{}"[..]]).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Damaged, "{case}");
            store.append("other", None, &[&b"{}"[..]]).unwrap();
            assert_eq!(store.diagnosis().repairs, [], "{case}");
            store.close().unwrap();
        }
        // What cannot be read is not given up: a copy of the file may be made that can.
        assert_eq!(reader(&disk).find_repairs(None).unwrap(), [], "{case}");
        disk.heal();
        let left = if case == "cut" { 2 } else { 0 };
        assert_eq!(open(&disk).unwrap().report().closed.len(), left, "{case}");
    }
}

fn export_around(disk: &SimDisk, id: &str) {
    let store = reader(disk);
    store.export(id, .., &mut io::sink()).unwrap();
    assert!(!store.damage_seen().is_empty());
}

/// An owner appends, seals and removes what it replaced between any two calls of a reader's opening.
#[test]
fn a_reader_beside_a_busy_owner_finds_nothing_damaged() {
    let (base, ids) = store();
    let work = |owner: &Store, ids: &[String]| {
        for id in ids {
            owner.append(id, None, &[&b"{}"[..]]).unwrap();
        }
        owner.seal_all().unwrap();
    };
    for call in 1_u64.. {
        let disk = base.fork();
        let owner = Arc::new(open(&disk).unwrap());
        work(&owner, &ids);
        let met = Arc::new(Mutex::new(0));
        let (seen, at_work, of) = (Arc::clone(&met), Arc::clone(&owner), ids.clone());
        let hooked = HookedDisk::new(Arc::new(disk), move |_, _| {
            let mut met = seen.lock().unwrap();
            *met += 1;
            if *met == call {
                work(&at_work, &of);
            }
            Ok(())
        });
        let shared: Arc<dyn Disk> = Arc::new(hooked);
        let snapshot = Snapshot::open(&shared, &options()).unwrap();
        assert_eq!(snapshot.report().damage, [], "call {call}");
        if *met.lock().unwrap() < call {
            assert!(call > 10, "only {call} calls");
            return;
        }
    }
}

/// What a full disk did not take is listed when it does, although nothing new was met.
#[test]
fn a_list_that_was_not_written_is_tried_again() {
    let (disk, ids) = damaged();
    let store = reader(&disk);
    disk.plan(disk.ops(), Fault::FailForEver(io::ErrorKind::StorageFull));
    export(&store, &ids[0]);
    assert_eq!(disk.bytes("damage"), None);
    disk.heal();
    export(&store, &ids[0]);
    drop(store);
    assert!(is_known(&disk, &ids));
}

/// A directory whose lock is another one: it is not this store's any more.
#[test]
fn who_lost_the_store_lists_nothing_there() {
    // [R:owner-2]
    let (disk, ids) = damaged();
    let opened: [fn(&SimDisk) -> Store; 2] = [reader, |disk| open(disk).unwrap()];
    for open_as in opened {
        let disk = disk.fork();
        let store = open_as(&disk);
        disk.remove("LOCK").unwrap();
        export(&store, &ids[0]);
        assert_eq!(disk.bytes("damage"), None);
    }
}
