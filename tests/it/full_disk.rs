//! A full disk under the whole store: everything can be read, nothing is appended, and both change
//! nothing about what comes after there is room again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use turnleaf::{Error, ItemsView, Options, Order, Store};
use turnleaf_engine::disk::Disk;
use turnleaf_tests::answers::{INDEX, all_threads};
use turnleaf_tests::rollouts::{Rollout, RolloutMode};
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::{open_store, owner};

const RESERVE: &str = "reserve";
const RESERVE_BYTES: u64 = 512 << 10;

fn open(disk: &SimDisk) -> Store {
    try_open(disk).unwrap()
}

fn try_open(disk: &SimDisk) -> Result<Store, Error> {
    let options = Options {
        journal_first_bytes: 256 << 10,
        journal_file_bytes: 256 << 10,
        reserve_bytes: RESERVE_BYTES,
        ..Options::default()
    };
    open_store(disk, &options)
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
    let threads = store.threads(&all_threads())?;
    let turns = store.turns(&turnleaf::TurnsRequest {
        thread: thread.to_owned(),
        cursor: None,
        limit: 100,
        order: Order::Ascending,
        items: ItemsView::Full,
    })?;
    let mut bytes = Vec::new();
    store.export(thread, .., &mut bytes)?;
    Ok(format!(
        "{} {} {}",
        threads.threads.len(),
        // Whether the last one goes on depends on who asks: it does for the process that appends.
        format!("{:?}", turns.turns).replace("inProgress", "interrupted"),
        bytes.len()
    ))
}

/// No byte more than there is.
fn fill(disk: &SimDisk) {
    disk.set_capacity(Some(disk.used()));
}

fn len(disk: &SimDisk, path: &str) -> u64 {
    disk.bytes(path).map_or(0, |bytes| bytes.len() as u64)
}

/// [R:full-4] [R:full-5]
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

/// [R:full-3] The reserve serves owner after owner, each of which archives and deletes; batches do
/// not get it, nor from an owner that goes on in such a file [R:full-6]; and it is whole again once
/// there is room.
#[test]
fn a_full_disk_is_opened_and_threads_of_it_are_deleted() {
    let disk = SimDisk::new();
    let (store, thread, last) = store(&disk);
    for number in 0..4 {
        store.create_thread(&format!("short{number}")).unwrap();
    }
    let fresh = read(&store, &thread).unwrap();
    drop(store);
    assert_eq!(len(&disk, RESERVE), RESERVE_BYTES);
    fill(&disk);
    for number in 0..4 {
        let store = open(&disk);
        let short = format!("short{number}");
        store.archive(&short).unwrap();
        assert_eq!(read(&store, &thread).unwrap()[1..], fresh[1..]);
        // The index may have given something back, here and below.
        fill(&disk);
        store.delete(&short).unwrap();
        fill(&disk);
        let refused = store.append(&thread, None, &[&last]);
        assert!(matches!(refused, Err(Error::NotDurable(_))), "{refused:?}");
        store.unarchive(&thread).unwrap();
        store.archive(&thread).unwrap();
        // Killed, or closed: the next owner finds room either way.
        if number % 2 == 0 {
            store.close().unwrap();
        } else {
            drop(store);
        }
        fill(&disk);
    }
    assert!(len(&disk, RESERVE) < RESERVE_BYTES, "some of it is used");
    let store = open(&disk);
    assert_eq!(store.log_threads().len(), 1);
    assert!(store.log_threads()[0].archived);
    disk.set_capacity(None);
    store.append(&thread, None, &[&last]).unwrap();
    assert_eq!(len(&disk, RESERVE), RESERVE_BYTES, "it is whole again");
    store.seal_all().unwrap();
    store.close().unwrap();
    assert_eq!(open(&disk).log_threads().len(), 1);
}

/// Where the reserve is used up, the opening behind an owner that was killed says that the disk is
/// full, and changes nothing: it needs a file.
#[test]
fn a_full_disk_without_a_reserve_is_read() {
    let disk = SimDisk::new();
    let (store, thread, _) = store(&disk);
    let fresh = read(&store, &thread).unwrap();
    drop(store);
    disk.remove(RESERVE).unwrap();
    fill(&disk);
    let refused = try_open(&disk).err().unwrap();
    assert!(refused.to_string().contains("storage space"), "{refused}");
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let reader = Store::open_to_read_on(shared, &Options::default(), &owner()).unwrap();
    assert_eq!(read(&reader, &thread).unwrap(), fresh);
}

/// [S:journal-14] An owner behind a clean close needs no room to begin, and takes what fits.
#[test]
fn a_full_disk_without_a_reserve_is_opened_behind_a_clean_close() {
    let disk = SimDisk::new();
    let (store, thread, last) = store(&disk);
    store.close().unwrap();
    disk.remove(RESERVE).unwrap();
    fill(&disk);
    let store = open(&disk);
    store.append(&thread, None, &[&last]).unwrap();
    store.archive(&thread).unwrap();
    store.close().unwrap();
}

/// [R:full-3] Also where the file in which the owner goes on has no room left.
#[test]
fn a_full_disk_is_opened_behind_a_clean_close_in_a_full_file() {
    let disk = SimDisk::new();
    let (store, thread, _) = store(&disk);
    store.create_thread("short").unwrap();
    fill(&disk);
    for bytes in [100_000, 10_000, 1_000, 100, 1] {
        while store.append(&thread, None, &[&vec![b'x'; bytes]]).is_ok() {}
    }
    store.close().unwrap();
    fill(&disk);
    let store = open(&disk);
    store.delete("short").unwrap();
    assert_eq!(store.log_threads().len(), 1);
}

/// Deleting gives room, also to appends.
#[test]
fn what_is_deleted_makes_room() {
    let disk = SimDisk::new();
    let (store, thread, last) = store(&disk);
    store.seal_all().unwrap();
    store.create_thread("other").unwrap();
    fill(&disk);
    let before = disk.used();
    let huge = vec![b'x'; 100_000];
    let mut acknowledged = 0;
    while store.append("other", None, &[&huge]).is_ok() {
        acknowledged += 1;
    }
    store.delete(&thread).unwrap();
    assert!(disk.used() < before, "its segment is gone");
    assert_eq!(store.log_threads()[0].records, acknowledged);
    store.append("other", None, &[&last]).unwrap();
    store.close().unwrap();
    assert_eq!(open(&disk).log_threads()[0].records, acknowledged + 1);
}

/// [R:full-3] What a deletion leaves of the reserve is held again, for the next one.
#[test]
fn what_is_left_of_the_reserve_is_held_again() {
    let disk = SimDisk::new();
    let (store, thread, _) = store(&disk);
    store.create_thread("short").unwrap();
    fill(&disk);
    // The active file is filled to its last bytes.
    for bytes in [100_000, 10_000, 1_000, 100, 1] {
        while store.append(&thread, None, &[&vec![b'x'; bytes]]).is_ok() {}
    }
    store.archive("short").unwrap();
    let left = len(&disk, RESERVE);
    assert!(left > RESERVE_BYTES / 2, "{left} bytes are held");
}

/// A journal file of the smallest size is gone on in, also where nothing can be held back: there is
/// room in it. Only one that was begun out of the reserve, which its size says, takes no batches.
/// [R:full-6]
#[test]
fn a_small_journal_file_takes_batches_while_the_reserve_is_not_whole() {
    for (first_bytes, is_taken) in [(64 << 10, true), (60 << 10, false)] {
        let disk = SimDisk::new();
        let options = Options {
            journal_first_bytes: first_bytes,
            reserve_bytes: RESERVE_BYTES,
            ..Options::default()
        };
        let store = open_store(&disk, &options).unwrap();
        store.create_thread("a").unwrap();
        store.append("a", None, &[b"one"]).unwrap();
        store.close().unwrap();
        disk.remove(RESERVE).unwrap();
        fill(&disk);
        let store = open_store(&disk, &options).unwrap();
        assert!(store.report().goes_on);
        let appended = store.append("a", None, &[b"two"]);
        assert_eq!(appended.is_ok(), is_taken, "{first_bytes} bytes");
        let records = 1 + u64::from(is_taken);
        assert_eq!(store.log_threads()[0].records, records);
    }
}
