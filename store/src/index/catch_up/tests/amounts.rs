//! How much of the log a reader applies and reads: what is new, once.

use std::sync::Arc;

use turnleaf_engine::disk::OsDisk;

use super::*;
use crate::tests::noise;
use crate::{Options, system_owner};

/// Payload bytes that the index applies of the thread.
fn applied(store: &Store) -> u64 {
    let done = store.index.with(|index| store.catch_up(index, "a"));
    done.unwrap().bytes
}

fn bytes(texts: &[&str]) -> u64 {
    texts.iter().map(|text| message(text).len() as u64).sum()
}

#[test]
fn each_record_is_applied_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.create_thread("a").unwrap();
    assert_eq!(applied(&store), 0);
    append(&store, &["one", "two"]);
    assert_eq!(applied(&store), bytes(&["one", "two"]));
    assert_eq!(applied(&store), 0, "nothing is new");
    append(&store, &["three"]);
    assert_eq!(applied(&store), bytes(&["three"]));
    // Neither a seal nor another owner makes anything new.
    store.seal_all().unwrap();
    assert_eq!(applied(&store), 0);
    append(&store, &["four"]);
    assert_eq!(applied(&store), bytes(&["four"]));
    store.close().unwrap();
    let store = open(dir.path());
    assert_eq!(applied(&store), 0);
    shows(&page(&store), &["one", "two", "three"]);
    assert_eq!(applied(&store), 0);
}

/// What was sealed is applied by the notes of its segments: what the blocks hold is not read, even
/// where it is spoiled.
#[test]
fn sealed_records_are_applied_without_reading_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.create_thread("a").unwrap();
    let long = noise(100_000);
    append(&store, &["one", "two", &long]);
    store.seal_all().unwrap();
    append(&store, &["other"]);
    store.close().unwrap();
    spoil_segments(dir.path());
    let store = open(dir.path());
    let mut told = Vec::new();
    let report = store.rebuild_index(&mut |bytes| told.push(bytes)).unwrap();
    let all = bytes(&["one", "two", &long, "other"]);
    assert_eq!(told, [all]);
    assert_eq!((report.threads, report.records, report.bytes), (1, 4, all));
    let (number, _) = store.source.find("a").unwrap();
    let row = store
        .index
        .with(|index| Ok(index.reader()?.thread(number)?));
    assert_eq!(row.unwrap().unwrap().item_rows, 4);
    assert_eq!(store.damage_seen(), []);
    // It is what a page of them meets.
    let _ = page(&store);
    assert_ne!(store.damage_seen(), []);
}

/// Flips a bit in the middle of each file of records: their blocks are most of it.
fn spoil_segments(dir: &Path) {
    let mut spoiled = 0;
    for entry in fs::read_dir(dir.join("segments")).unwrap().flatten() {
        let mut bytes = fs::read(entry.path()).unwrap();
        if bytes.len() > 40_000 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(entry.path(), bytes).unwrap();
            spoiled += 1;
        }
    }
    assert_eq!(spoiled, 1);
}

/// Rows that were made from notes up to the end of the log need no second look.
#[test]
fn notes_up_to_the_end_of_the_log_are_applied_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.create_thread("a").unwrap();
    append(&store, &["one", "two"]);
    store.seal_all().unwrap();
    store.rebuild_index(&mut |_| {}).unwrap();
    assert_eq!(applied(&store), 0);
}

/// Of each of two threads.
#[test]
fn a_rebuild_counts_all_threads() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for id in ["a", "b", "c"] {
        store.create_thread(id).unwrap();
        let line = message(id);
        store.append(id, None, &[line.as_bytes(); 2]).unwrap();
    }
    let mut told = Vec::new();
    let report = store.rebuild_index(&mut |bytes| told.push(bytes)).unwrap();
    let each = 2 * bytes(&["a"]);
    assert_eq!(told, [each, 2 * each, 3 * each]);
    assert_eq!((report.threads, report.records), (3, 6));
}

/// Payload bytes that an owner applies who comes after a crash at this moment: the files are copied
/// as they are, while the store is open.
fn applied_after_a_crash(dir: &Path) -> u64 {
    let image = tempfile::tempdir().unwrap();
    for name in ["LOCK", "index.redb"] {
        fs::copy(dir.join(name), image.path().join(name)).unwrap();
    }
    copy(&dir.join("journal"), &image.path().join("journal"));
    applied(&open(image.path()))
}

/// The index is made durable for each 16 MiB, whether they come in one call or in many; not for
/// each call.
#[test]
fn a_crash_costs_the_index_a_few_mebibytes() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(OsDisk::new(dir.path()));
    let options = Options::default();
    let store = Store::open_on(disk, options, &system_owner(), false, || 1).unwrap();
    store.create_thread("a").unwrap();
    let text = "x".repeat(999_000);
    let each = bytes(&[text.as_str(); 6]);
    let more = |times: usize| {
        append(&store, &vec![text.as_str(); 6 * times]);
        assert_eq!(applied(&store), each * times as u64);
        applied_after_a_crash(dir.path())
    };
    assert_eq!(more(1), each);
    assert_eq!(more(1), 2 * each);
    assert_eq!(more(1), 0, "18 MB in three calls");
    assert_eq!(more(1), each);
    assert_eq!(more(3), 0, "18 MB in one call");
}
