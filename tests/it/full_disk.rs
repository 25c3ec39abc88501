//! A full disk under the whole store: everything can be read, nothing is appended, and both change
//! nothing about what comes after there is room again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use turnleaf::{Error, ItemsView, Options, Order, Owner, SortKey, Store, ThreadsRequest};
use turnleaf_engine::disk::Disk;
use turnleaf_tests::rollouts::{Rollout, RolloutMode};
use turnleaf_tests::sim_disk::SimDisk;

const INDEX: &str = "index.redb";

fn open(disk: &SimDisk) -> Store {
    let owner = Owner {
        pid: 1,
        host: "sim".into(),
        since_ms: 1,
    };
    let options = Options {
        journal_first_bytes: 256 << 10,
        journal_file_bytes: 256 << 10,
        ..Options::default()
    };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open_on(shared, options, &owner, false, || 1).unwrap()
}

/// A store with one thread, whose last line is left out and returned.
fn store(disk: &SimDisk) -> (Store, String, Vec<u8>) {
    let rollout = Rollout::new(RolloutMode::Paginated, 3, 60_000);
    let mut plain = Vec::new();
    rollout.write(&mut plain).unwrap();
    let mut lines: Vec<&[u8]> = plain.split(|byte| *byte == b'\n').collect();
    lines.pop();
    let last = lines.pop().unwrap().to_vec();
    let store = open(disk);
    let thread = rollout.thread_id();
    store.create_thread(&thread).unwrap();
    store.append(&thread, None, &lines).unwrap();
    (store, thread, last)
}

/// Everything that is asked of the store, as text.
fn read(store: &Store, thread: &str) -> Result<String, Error> {
    let threads = store.threads(&ThreadsRequest {
        cursor: None,
        limit: 10,
        order: Order::Ascending,
        sort: SortKey::Created,
        archived: false,
        cwd: None,
        source: None,
        parent: None,
        ancestor: None,
        search: None,
    })?;
    let turns = store.turns(&turnleaf::TurnsRequest {
        thread: thread.to_owned(),
        cursor: None,
        limit: 100,
        order: Order::Ascending,
        items: ItemsView::Full,
    })?;
    let mut bytes = Vec::new();
    store.export(thread, None, None, &mut bytes)?;
    Ok(format!(
        "{} {:?} {}",
        threads.threads.len(),
        turns.turns,
        bytes.len()
    ))
}

#[test]
fn a_full_disk_is_read_from_and_takes_appends_once_there_is_room() {
    let known = SimDisk::new();
    let (store, thread, last) = store(&known);
    let fresh = read(&store, &thread).unwrap();
    store.close().unwrap();
    // With the index as it is, without one, and with one that is behind.
    for (what, index) in [("whole", true), ("none", false)] {
        let disk = known.fork();
        if !index {
            disk.remove(INDEX).unwrap();
        }
        let store = open(&disk);
        disk.set_capacity(Some(0));
        for _ in 0..3 {
            assert_eq!(read(&store, &thread).unwrap(), fresh, "{what}");
        }
        assert!(store.verify(None, &mut |_| {}).unwrap().is_ok(), "{what}");
        let refused = store.append(&thread, None, &[&vec![b'x'; 300_000]]);
        assert!(matches!(refused, Err(Error::NotDurable(_))), "{what}");
        assert_eq!(read(&store, &thread).unwrap(), fresh, "{what}: refused");
        disk.set_capacity(None);
        store.append(&thread, None, &[&last]).unwrap();
        let after = read(&store, &thread).unwrap();
        assert!(after != fresh, "{what}: the append is seen");
        // The index comes back to the disk by and by.
        for _ in 0..100 {
            assert_eq!(read(&store, &thread).unwrap(), after, "{what}");
        }
        assert!(disk.bytes(INDEX).is_some(), "{what}");
        store.close().unwrap();
        assert_eq!(read(&open(&disk), &thread).unwrap(), after, "{what}");
    }
}
