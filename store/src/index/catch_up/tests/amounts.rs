//! How much of the log a reader applies and reads: what is new, once.

use super::*;

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

/// What was sealed is applied by the notes of its segments, of which no block is inflated.
#[test]
fn sealed_records_are_applied_without_reading_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.create_thread("a").unwrap();
    append(&store, &["one", "two", "three"]);
    store.seal_all().unwrap();
    append(&store, &["other"]);
    store.close().unwrap();
    let store = open(dir.path());
    let held = store.footprint().unwrap().block_bytes;
    let mut told = Vec::new();
    let report = store.rebuild_index(&mut |bytes| told.push(bytes)).unwrap();
    let all = bytes(&["one", "two", "three", "other"]);
    assert_eq!(told, [all]);
    assert_eq!((report.threads, report.records, report.bytes), (1, 4, all));
    assert_eq!(store.footprint().unwrap().block_bytes, held);
    shows(&page(&store), &["one", "two", "three", "other"]);
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
