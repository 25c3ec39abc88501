//! Section 8 of RECOVERY.md: what an index means that is not where the log is.

mod amounts;

use std::fs;
use std::path::Path;

use crate::{IndexState, ItemsRequest, Order, Store};

fn open(dir: &Path) -> Store {
    Store::open(dir).unwrap()
}

fn append(store: &Store, texts: &[&str]) {
    for text in texts {
        let bytes = message(text);
        store.append("a", None, &[bytes.as_bytes()]).unwrap();
    }
}

fn message(text: &str) -> String {
    let payload = format!(r#"{{"type":"user_message","message":"{text}","images":[]}}"#);
    format!(r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{payload}}}"#)
}

/// The texts of the pages, from the index.
fn page(store: &Store) -> String {
    let request = ItemsRequest {
        thread: "a".into(),
        turn: None,
        all: false,
        cursor: None,
        limit: 100,
        order: Order::Ascending,
    };
    serde_json::to_string(&store.items(&request).unwrap().items).unwrap()
}

fn shows(page: &str, texts: &[&str]) {
    for text in ["one", "two", "three", "other"] {
        assert_eq!(page.contains(text), texts.contains(&text), "{text}");
    }
}

/// The name of the thread, which only the index keeps: the texts of pages are those of the log
/// whatever the index says.
fn name(store: &Store) -> Option<String> {
    let shown = store.show("a").unwrap();
    shown.thread["name"].as_str().map(str::to_owned)
}

/// A store with two messages in log and index, and a copy of its log.
fn two(dir: &Path) -> Store {
    let store = open(dir);
    store.create_thread("a").unwrap();
    append(&store, &["one", "two"]);
    shows(&page(&store), &["one", "two"]);
    store.close().unwrap();
    copy(&dir.join("journal"), &dir.join("kept"));
    open(dir)
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn an_index_behind_the_log_catches_up() {
    // [R:index-1]
    let dir = tempfile::tempdir().unwrap();
    let store = two(dir.path());
    append(&store, &["three"]);
    store.close().unwrap();
    let store = open(dir.path());
    shows(&page(&store), &["one", "two", "three"]);
    assert_eq!(store.damage_seen(), []);
}

#[test]
fn an_index_ahead_of_the_log_is_told_once_and_the_log_decides() {
    // [R:index-2]
    let dir = tempfile::tempdir().unwrap();
    let store = two(dir.path());
    store.set_name("a", "lost").unwrap();
    assert_eq!(name(&store).as_deref(), Some("lost"));
    store.close().unwrap();
    copy(&dir.path().join("kept"), &dir.path().join("journal"));
    let store = open(dir.path());
    shows(&page(&store), &["one", "two"]);
    assert_eq!(name(&store), None);
    let [older] = &store.older_log_seen()[..] else {
        panic!("{:?}", store.older_log_seen())
    };
    assert_eq!((older.log_end, older.index_end), (2, 3));
    assert_eq!(store.damage_seen(), []);
    append(&store, &["other"]);
    store.close().unwrap();
    let store = open(dir.path());
    shows(&page(&store), &["one", "two", "other"]);
    assert_eq!(store.older_log_seen(), []);
}

#[test]
fn an_index_of_another_history_is_void() {
    // [R:index-3] At the end of the log, and behind it.
    for more in [&["other"][..], &["other", "three"]] {
        let dir = tempfile::tempdir().unwrap();
        let store = two(dir.path());
        store.set_name("a", "lost").unwrap();
        assert_eq!(name(&store).as_deref(), Some("lost"));
        store.close().unwrap();
        copy(&dir.path().join("kept"), &dir.path().join("journal"));
        let store = open(dir.path());
        append(&store, more);
        let expect = [&["one", "two"], more].concat();
        shows(&page(&store), &expect);
        assert_eq!(name(&store), None);
        assert_eq!(store.damage_seen(), []);
    }
}

#[test]
fn an_index_that_cannot_be_used_is_made_anew() {
    // [R:index-4] Missing, and not an index at all.
    let dir = tempfile::tempdir().unwrap();
    drop(two(dir.path()));
    for bytes in [None, Some(vec![0xa5; 5000])] {
        let index = dir.path().join("index.redb");
        fs::remove_file(&index).unwrap();
        if let Some(bytes) = bytes {
            fs::write(&index, bytes).unwrap();
        }
        shows(&page(&open(dir.path())), &["one", "two"]);
    }
}

#[test]
fn an_index_that_was_being_made_is_none() {
    let dir = tempfile::tempdir().unwrap();
    drop(two(dir.path()));
    let [index, new] = ["index.redb", "index.redb.tmp"].map(|name| dir.path().join(name));
    let whole = fs::read(&index).unwrap();
    for bytes in [0, 1, 4096, whole.len() / 2] {
        fs::remove_file(&index).unwrap();
        fs::write(&new, &whole[..bytes]).unwrap();
        let store = open(dir.path());
        let report = store.verify(None, &mut |_| {}).unwrap();
        assert_eq!(report.index, IndexState::Right, "{bytes} bytes");
        shows(&page(&store), &["one", "two"]);
        assert!(!new.exists() && index.exists(), "{bytes} bytes");
    }
    // None of them was called a bad one.
    assert!(!dir.path().join("index.bad-1").exists());
}

#[test]
fn records_at_the_end_of_a_full_batch_are_applied() {
    // One batch, a record behind it; from records, then from notes.
    const RECORDS: u64 = super::BATCH_RECORDS + 1;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.create_thread("a").unwrap();
    let line = message("one");
    let mut left = RECORDS;
    while left > 0 {
        let part = left.min(4000);
        let lines = vec![line.as_bytes(); usize::try_from(part).unwrap()];
        store.append("a", None, &lines).unwrap();
        left -= part;
    }
    let newest = |store: &Store| {
        let shown = store.show("a").unwrap();
        assert_eq!((shown.items, shown.turns), (RECORDS, RECORDS));
        let request = ItemsRequest {
            thread: "a".into(),
            turn: None,
            all: false,
            cursor: None,
            limit: 3,
            order: Order::Descending,
        };
        let page = store.items(&request).unwrap().items;
        let ids: Vec<_> = page.iter().map(|item| item["itemId"].to_string()).collect();
        let expect = [RECORDS, RECORDS - 1, RECORDS - 2];
        assert_eq!(ids, expect.map(|number| format!("\"item-{number}\"")));
    };
    newest(&store);
    store.seal_all().unwrap();
    store.rebuild_index(&mut |_| {}).unwrap();
    newest(&store);
}
