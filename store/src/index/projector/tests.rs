//! Turns of the projector, taken by the test, and its OS thread once.

use std::fs;
use std::path::Path;

use super::pace::Projector;
use super::*;
use crate::tests::{all_threads, noise};
use crate::{ItemsRequest, Order as PageOrder};

fn message(text: &str) -> Vec<u8> {
    let payload = format!(r#"{{"type":"user_message","message":"{text}","images":[]}}"#);
    format!(r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{payload}}}"#)
        .into_bytes()
}

fn append(store: &Store, id: &str, texts: &[&str]) {
    let lines: Vec<Vec<u8>> = texts.iter().map(|text| message(text)).collect();
    let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
    store.append(id, None, &lines).unwrap();
}

/// A store with two threads of two records each.
fn store(dir: &Path) -> Store {
    let store = Store::open(dir).unwrap();
    for id in ["a", "b"] {
        store.create_thread(id).unwrap();
        append(&store, id, &["one", "two"]);
    }
    store
}

fn following(store: &Store) -> Following {
    Following::new(store.for_projector(store.source.owner().unwrap()))
}

/// Takes turns until nothing is left, and says how many.
fn follow(following: &mut Following) -> usize {
    let mut turns = 0;
    while let Turn::Took { .. } = following.turn() {
        turns += 1;
        assert!(turns < 1000, "it finds an end");
    }
    assert_eq!(following.turn(), Turn::Nothing);
    turns
}

/// Up to where the index knows a thread.
fn known(store: &Store, id: &str) -> u64 {
    let (number, _) = store.source.find(id).unwrap();
    let row = store
        .index
        .peek(|index| Ok(index.reader()?.thread(number)?));
    row.unwrap().flatten().unwrap_or_default().applied_end.0
}

/// Payload bytes that a read applies of a thread.
fn applied(store: &Store, id: &str) -> u64 {
    let done = store.index.with(|index| store.catch_up(index, id));
    done.unwrap().bytes
}

fn page(store: &Store, id: &str) -> crate::ItemsPage {
    let request = ItemsRequest {
        thread: id.into(),
        turn: None,
        all: false,
        cursor: None,
        limit: 100,
        order: PageOrder::Ascending,
    };
    store.items(&request).unwrap()
}

#[test]
fn a_read_finds_nothing_left_and_the_rows_that_it_would_have_made() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut projector = following(&store);
    follow(&mut projector);
    for id in ["a", "b"] {
        assert_eq!((known(&store, id), applied(&store, id)), (2, 0));
        assert_eq!(store.index_difference(id).unwrap(), None);
    }
    append(&store, "b", &["three"]);
    follow(&mut projector);
    assert_eq!((known(&store, "b"), applied(&store, "b")), (3, 0));
    // What a read did before it is not done again.
    append(&store, "a", &["three"]);
    assert!(applied(&store, "a") > 0);
    follow(&mut projector);
    for id in ["a", "b"] {
        assert_eq!(store.index_difference(id).unwrap(), None);
        assert_eq!(page(&store, id).items.len(), 3);
    }
}

#[test]
fn a_turn_is_bounded_and_the_next_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    append(&store, "a", &["more"; 3000]);
    store.create_thread("c").unwrap();
    append(&store, "c", &["one"]);
    let mut projector = following(&store);
    let mut before = 0;
    while let Turn::Took { .. } = projector.turn() {
        let now = ["a", "b", "c"].map(|id| known(&store, id)).iter().sum();
        assert!(now <= before + RECORDS_MAX + SPAN, "{before} {now}");
        before = now;
    }
    assert_eq!(before, 3005);
    for id in ["a", "b", "c"] {
        assert_eq!(store.index_difference(id).unwrap(), None);
    }
}

/// A long thread that was sealed is taken by its notes, as a read takes it.
#[test]
fn a_long_sealed_thread_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    append(&store, "a", &["more"; 3000]);
    store.seal_all().unwrap();
    append(&store, "a", &["last"]);
    let mut projector = following(&store);
    follow(&mut projector);
    assert_eq!((known(&store, "a"), applied(&store, "a")), (3003, 0));
    assert_eq!(store.index_difference("a").unwrap(), None);
}

#[test]
fn lists_follow_once_somebody_asked_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut projector = following(&store);
    let lists_known_to = || {
        let known = store.index.peek(|index| Ok(index.lists_known_to()));
        known.unwrap().unwrap()
    };
    follow(&mut projector);
    assert_eq!(lists_known_to(), 0);
    assert_eq!(store.threads(&all_threads()).unwrap().threads.len(), 2);
    for id in ["b", "c", "a"] {
        store.create_thread("c").unwrap_or_default();
        append(&store, id, &["three"]);
        follow(&mut projector);
        let newest = store.source.owner().unwrap().lock().newest_change();
        assert_eq!(lists_known_to(), newest);
        let (number, _) = store.source.find(id).unwrap();
        let end = known(&store, id);
        store
            .index
            .peek(|index| {
                assert!(index.unlisted().is_empty());
                let rows = index.reader()?;
                let listing = rows.listing(number)?.expect("it is listed");
                assert_eq!(listing.as_of[1], end);
                assert!(store.is_listed_right(&rows, number)?);
                Ok(())
            })
            .unwrap();
    }
    store.delete("b").unwrap();
    follow(&mut projector);
    let listed = store.threads(&all_threads()).unwrap();
    assert_eq!(listed.threads.len(), 2);
}

/// Flips a bit in the middle of each segment that has blocks of noise.
fn spoil_segments(dir: &Path) {
    for entry in fs::read_dir(dir.join("segments")).unwrap().flatten() {
        let mut bytes = fs::read(entry.path()).unwrap();
        if bytes.len() > 40_000 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(entry.path(), bytes).unwrap();
        }
    }
}

/// Nobody is told by a background thread: the damage is for the read that comes.
#[test]
fn damage_is_left_to_reads() {
    let dir = tempfile::tempdir().unwrap();
    let damaged = store(dir.path());
    append(&damaged, "a", &[&noise(100_000)]);
    damaged.seal_all().unwrap();
    damaged.close().unwrap();
    spoil_segments(dir.path());
    let store = Store::open(dir.path()).unwrap();
    for id in ["a", "b"] {
        append(&store, id, &["other"]);
    }
    let mut projector = following(&store);
    follow(&mut projector);
    assert_eq!((known(&store, "a"), known(&store, "b")), (0, 3));
    assert_eq!(projector.left_out.len(), 1);
    assert_eq!(projector.store.damage_seen(), []);
    append(&store, "a", &["still open"]);
    follow(&mut projector);
    assert_eq!(store.damage_seen(), []);
    assert_eq!(page(&store, "a").damage.len(), 1);
    assert_eq!(store.damage_seen().len(), 1);
}

/// It replaces no index: who reads does, and tells it.
#[test]
fn an_index_that_is_to_be_made_anew_is_left_to_reads() {
    let dir = tempfile::tempdir().unwrap();
    let first = store(dir.path());
    first.show("a").unwrap();
    first.close().unwrap();
    let file = dir.path().join("index.redb");
    let mut bytes = fs::read(&file).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(&file, &bytes).unwrap();
    let store = Store::open(dir.path()).unwrap();
    append(&store, "a", &["three"]);
    let mut projector = following(&store);
    for _ in 0..3 {
        assert_eq!(projector.turn(), Turn::Failed);
    }
    assert!(fs::read(&file).unwrap() == bytes, "the file stays as it is");
    assert_eq!(page(&store, "a").items.len(), 3);
    append(&store, "a", &["four"]);
    follow(&mut projector);
    assert_eq!(applied(&store, "a"), 0);
}

/// Rows of a thread that was deleted do not come back.
#[test]
fn a_deleted_thread_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (number, _) = store.source.find("a").unwrap();
    let mut projector = following(&store);
    store.delete("a").unwrap();
    follow(&mut projector);
    let row = store
        .index
        .peek(|index| Ok(index.reader()?.thread(number)?));
    assert_eq!(row.unwrap().flatten(), None);
    assert_eq!(known(&store, "b"), 2);
}

/// The thread begins with an append, ends its work, is woken by the next append, and ends with the
/// store.
#[test]
fn the_thread_works_behind_appends_and_ends_with_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path());
    store.projector = Some(Projector::default());
    for end in [3, 4] {
        append(&store, "a", &["more"]);
        let signal = Arc::clone(&store.projector.as_ref().unwrap().signal);
        assert!(!signal.sleeps.load(Ordering::Relaxed));
        while !signal.sleeps.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        assert_eq!(known(&store, "a"), end);
        let undurable = &store.index.undurable_bytes;
        assert_eq!(undurable.load(Ordering::Relaxed), 0);
    }
    let committer = Arc::downgrade(store.source.owner().unwrap());
    store.close().unwrap();
    assert!(committer.upgrade().is_none(), "nobody has the log any more");
}
