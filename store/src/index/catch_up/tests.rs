//! Section 8 of RECOVERY.md: what an index means that is not where the log is.

mod amounts;

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use turnleaf_engine::format::Ordinal;

use crate::{IndexState, ItemsRequest, Order, Store};

thread_local! {
    /// Records over which the fold panics, because a test asks for it.
    static PANICS: RefCell<Vec<Ordinal>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn fold_may_panic(at: Ordinal) {
    let panics = PANICS.with_borrow(|all| all.contains(&at));
    assert!(!panics, "a test asks for a panic over record {}", at.0);
}

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
    event(&format!(
        r#"{{"type":"user_message","message":"{text}","images":[]}}"#
    ))
}

fn event(payload: &str) -> String {
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
    assert_eq!((older.log_end.0, older.index_end.0), (2, 3));
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

/// Rows of a batch that ended before the log did say nothing of the history they are of. Where a
/// copy of the log ends just there, they are not trusted.
#[test]
fn rows_without_a_chain_at_the_end_of_the_log_are_made_anew() {
    // [R:index-3]
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.create_thread("a").unwrap();
    store.close().unwrap();
    copy(&dir.path().join("journal"), &dir.path().join("kept"));
    let store = open(dir.path());
    store.set_name("a", "lost").unwrap();
    append(&store, &["one"]);
    let (number, reader) = store.source.find("a").unwrap();
    let first = (Ordinal(0), Ordinal(1));
    let fed = store.index.with(|index| {
        let fed = store.feed(index, number, &reader, first)?;
        index.writer()?.commit(true)?;
        Ok(fed.end)
    });
    assert_eq!(fed.unwrap(), Ordinal(1));
    store.close().unwrap();
    copy(&dir.path().join("kept"), &dir.path().join("journal"));
    let store = open(dir.path());
    append(&store, &["other"]);
    assert_eq!(name(&store), None);
    shows(&page(&store), &["other"]);
}

/// What a single record does to the fold costs the index that record, and nothing before or behind
/// it.
#[test]
fn a_record_over_which_the_fold_panics_is_passed_by_alone() {
    let texts = ["one", "two", "three", "other"];
    for panics in [vec![1], vec![0], vec![3], vec![1, 2], vec![0, 3]] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.create_thread("a").unwrap();
        append(&store, &texts);
        PANICS.set(panics.iter().map(|at| Ordinal(*at)).collect());
        let left = (0..4).filter(|at| !panics.contains(at));
        let left: Vec<&str> = left.map(|at| texts[usize::try_from(at).unwrap()]).collect();
        shows(&page(&store), &left);
        PANICS.take();
        let told = store.show("a").unwrap().anomalies;
        assert_eq!(told.len(), 1, "{told:?}");
        let found = (told[0].reason.as_str(), told[0].count, told[0].first.0);
        let expect = ("not taken by the index", panics.len() as u64, panics[0]);
        assert_eq!(found, expect);
    }
}

/// Nor does one in the first rollout of a thread that was taken back: the other one is called by it.
#[test]
fn a_record_over_which_the_fold_panics_does_not_keep_a_reverted_thread_from_its_pages() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.create_thread("a").unwrap();
    let turn = |id: &str| event(&format!(r#"{{"type":"task_started","turn_id":"{id}"}}"#));
    for line in [event(r#"{"type":"token_count"}"#), turn("t1")] {
        store.append("a", None, &[line.as_bytes()]).unwrap();
    }
    append(&store, &["one", "two"]);
    page(&store);
    PANICS.set(vec![Ordinal(0), Ordinal(2)]);
    store.revert("a", "t1").unwrap();
    shows(&page(&store), &[]);
    assert_eq!(store.show("a").unwrap().thread["preview"], "two");
    PANICS.take();
    store.close().unwrap();
}

/// Flips a bit in all rows with a text, which the checksums of their blocks do not tell.
fn spoil_row(index: &Path, text: &[u8]) {
    const BLOCK: usize = 4096;
    // A block of checksums is followed by so many blocks.
    const BLOCKS: usize = BLOCK / 4;
    let mut bytes = fs::read(index).unwrap();
    let places: Vec<usize> = memchr::memmem::find_iter(&bytes, text).collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place] ^= 1;
        let block = place / BLOCK;
        let checksum = crc32fast::hash(&bytes[block * BLOCK..][..BLOCK]);
        let (group, slot) = (block / (BLOCKS + 1), block % (BLOCKS + 1) - 1);
        let at = group * (BLOCKS + 1) * BLOCK + slot * 4;
        bytes[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
    }
    fs::write(index, bytes).unwrap();
}

/// The rows of a small thread are checked when it is used first, those of a large one by a
/// verification.
#[test]
fn spoiled_rows_are_noticed() {
    for (records, is_noticed_at_once) in [(100, true), (1000, false)] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.create_thread("a").unwrap();
        // The row of a turn that no later one needs.
        for (what, turn) in [("task_started", "spoil-me"), ("task_complete", "spoil-me")] {
            let payload = format!(r#"{{"type":"{what}","turn_id":"{turn}"}}"#);
            let line = event(&payload);
            store.append("a", None, &[line.as_bytes()]).unwrap();
        }
        append(&store, &vec!["one"; records]);
        shows(&page(&store), &["one"]);
        store.close().unwrap();
        spoil_row(&dir.path().join("index.redb"), b"spoil-me");
        let store = open(dir.path());
        let used = store.index.with(|index| store.catch_up(index, "a"));
        assert_eq!(used.unwrap().bytes > 0, is_noticed_at_once);
        let is_noticed = || dir.path().join("index.bad-1").exists();
        assert_eq!(is_noticed(), is_noticed_at_once, "{records} records");
        let report = store.verify(None, &mut |_| {}).unwrap();
        let is_right = report.index == IndexState::Right;
        assert_eq!(is_right, is_noticed_at_once, "{:?}", report.index);
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
        let page = store.items(&request).unwrap().values();
        let ids: Vec<_> = page.iter().map(|item| item["itemId"].to_string()).collect();
        let expect = [RECORDS, RECORDS - 1, RECORDS - 2];
        assert_eq!(ids, expect.map(|number| format!("\"item-{number}\"")));
    };
    newest(&store);
    store.seal_all().unwrap();
    store.rebuild_index(&mut |_| {}).unwrap();
    newest(&store);
}
