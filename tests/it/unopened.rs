//! A segment that the system does not open: what else a thread has is given, and nothing that
//! cannot be read is given up.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use turnleaf::Store;
use turnleaf_engine::disk::Disk;
use turnleaf_tests::answers::{ask, options, small_store};
use turnleaf_tests::hooked::{HookedDisk, is_segment};
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::{open_store, owner};

/// The store as an owner and as a reader, on disks that from then on do not open segments.
fn on_closed_segments(disk: &SimDisk) -> [Store; 2] {
    let is_closed = Arc::new(AtomicBool::new(false));
    let hooked = || -> Arc<dyn Disk> {
        let disk: Arc<dyn Disk> = Arc::new(disk.fork());
        let is_closed = Arc::clone(&is_closed);
        let fails = move |call: &'static str, path: &str| -> io::Result<()> {
            match call == "open" && is_segment(path) && is_closed.load(Ordering::Relaxed) {
                true => Err(ErrorKind::PermissionDenied.into()),
                false => Ok(()),
            }
        };
        Arc::new(HookedDisk::new(disk, fails))
    };
    let stores = [
        Store::open_on(hooked(), options(), &owner(), false, || 1).unwrap(),
        Store::open_to_read_on(hooked(), &options(), &owner()).unwrap(),
    ];
    is_closed.store(true, Ordering::Relaxed);
    stores
}

#[test]
fn what_is_not_in_a_segment_that_is_not_opened_is_exported() {
    let (disk, ids) = small_store(2, 3).unwrap();
    let line = concat!(
        r#"{"timestamp":"2026-01-01T00:00:00.000Z","type":"response_item","payload":{"#,
        r#""type":"message","role":"user","content":[{"type":"input_text","text":"go on"}]}}"#
    );
    let line = line.as_bytes();
    let store = open_store(&disk, &options()).unwrap();
    store.seal_all().unwrap();
    for id in &ids {
        store.append(id, None, &[line]).unwrap();
    }
    ask(&store, &ids).unwrap();
    let mut whole = Vec::new();
    store.export(&ids[0], .., &mut whole).unwrap();
    let (mut all, report) = (Vec::new(), store.context(&ids[0], &mut Vec::new()).unwrap());
    store.context(&ids[0], &mut all).unwrap();
    assert!(report.damage.is_empty() && report.records > 1);
    drop(store);
    for store in on_closed_segments(&disk) {
        for id in &ids {
            let mut left = Vec::new();
            store.export(id, .., &mut left).unwrap();
            assert_eq!(left, [line, b"\n"].concat());
        }
        let seen = store.damage_seen();
        assert_eq!(seen.len(), ids.len(), "told once for each thread");
        assert!(seen.iter().all(|damage| damage.is_unreadable()));
        let mut left = Vec::new();
        let report = store.context(&ids[0], &mut left).unwrap();
        assert_eq!(report.records, 1);
        assert!(left.ends_with(&[line, b"\n"].concat()));
        assert_eq!(report.damage, [seen[0].clone()]);
        assert_eq!(store.damage_seen(), seen, "it is the same damage");
    }
    // Nobody wrote down that anything is lost or damaged: it was not read.
    let store = open_store(&disk, &options()).unwrap();
    let mut again = Vec::new();
    store.export(&ids[0], .., &mut again).unwrap();
    assert!(again == whole && store.damage_seen().is_empty());
    let mut context = Vec::new();
    store.context(&ids[0], &mut context).unwrap();
    assert!(context == all);
}

/// Who owns the store may go on appending: nothing says that bytes are damaged.
#[test]
fn a_thread_with_a_segment_that_is_not_opened_stays_open() {
    let (disk, ids) = small_store(1, 3).unwrap();
    let store = open_store(&disk, &options()).unwrap();
    store.seal_all().unwrap();
    drop(store);
    let [owner, _] = on_closed_segments(&disk);
    owner.export(&ids[0], .., &mut Vec::new()).unwrap();
    assert_eq!(owner.damage_seen().len(), 1);
    let line = b"{}".as_slice();
    owner.append(&ids[0], None, &[line]).unwrap();
}
