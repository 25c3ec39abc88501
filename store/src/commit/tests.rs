//! Callers that meet at one log: the test leads a commit itself, and so knows what waits for it.

use std::thread::{self, ScopedJoinHandle};

use turnleaf_engine::format::ThreadId;
use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::{Begin, Commit, NewRecord};

use super::Shared;
use crate::*;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn begin(shared: &Shared) -> Commit {
    match shared.lock().begin_commit() {
        Begin::Commit(commit) => commit,
        other => panic!("{other:?}"),
    }
}

fn end(shared: &Shared, commit: Commit, fails: bool) {
    let result = commit.run();
    let result = if fails {
        let source = std::io::Error::other("planted");
        result.and(Err(turnleaf_engine::DiskFailure {
            operation: "sync",
            path: "journal".into(),
            source,
        }))
    } else {
        result
    };
    shared.lock().finish_commit(commit, result);
    shared.wake();
}

/// Whether a call ended although what it waits for did not.
fn ends_early<T>(call: &ScopedJoinHandle<'_, T>) -> bool {
    (0..2000).any(|_| {
        thread::yield_now();
        call.is_finished()
    })
}

fn stage(shared: &Shared, id: &str, lines: &[&[u8]]) {
    let record = |bytes| NewRecord {
        kind: Kind::LINE,
        flags: Flags::NONE,
        timestamp_ms: 1,
        bytes,
    };
    let records: Vec<_> = lines.iter().map(|bytes| record(*bytes)).collect();
    let mut log = shared.lock();
    let thread = log.staged_thread(&ThreadId::parse(id).unwrap()).unwrap();
    log.stage(thread, None, &records).unwrap();
}

#[test]
fn a_retry_that_overtakes_its_first_try_waits_for_it() {
    let (_dir, store) = store();
    store.create_thread("a").unwrap();
    let shared = store.source.owner().unwrap();
    stage(shared, "a", &[b"one", b"two"]);
    let first = begin(shared);
    let duplicate = Appended {
        first: 0,
        end: 2,
        duplicate: true,
    };
    thread::scope(|scope| {
        let same = scope.spawn(|| store.append("a", Some(0), &[b"one", b"two"]));
        let other = scope.spawn(|| store.append("a", Some(0), &[b"one", b"other"]));
        assert!(!ends_early(&same) && !ends_early(&other));
        end(shared, first, false);
        assert_eq!(same.join().unwrap().unwrap(), duplicate);
        let other = other.join().unwrap().unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Invalid, "{other}");
    });
}

/// Whatever becomes of the first try, the lines are there once.
#[test]
fn a_retry_waits_also_for_a_try_that_fails_over() {
    let (_dir, store) = store();
    store.create_thread("a").unwrap();
    let shared = store.source.owner().unwrap();
    stage(shared, "a", &[b"one"]);
    let first = begin(shared);
    stage(shared, "a", &[b"behind"]);
    thread::scope(|scope| {
        let same = scope.spawn(|| store.append("a", Some(0), &[b"one"]));
        assert!(!ends_early(&same));
        // A commit that fails over is durable all the same.
        end(shared, first, true);
        let appended = same.join().unwrap().unwrap();
        assert!(appended.duplicate);
    });
    let mut out = Vec::new();
    store.export("a", None, None, &mut out).unwrap();
    assert_eq!(out, b"one\nbehind\n");
}

#[test]
fn two_importers_of_a_new_thread_find_the_same() {
    let (_dir, store) = store();
    let shared = store.source.owner().unwrap();
    let id = ThreadId::parse("a").unwrap();
    let (number, _) = shared.lock().stage_thread(&id).unwrap();
    let first = begin(shared);
    thread::scope(|scope| {
        let second = scope.spawn(|| super::find_or_create(shared, &id));
        let creator = scope.spawn(|| store.create_thread("a"));
        assert!(!ends_early(&second) && !ends_early(&creator));
        end(shared, first, false);
        assert_eq!(second.join().unwrap().unwrap(), number);
        let refused = creator.join().unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "it exists: {refused}");
    });
}

/// What others append to other threads keeps no import from its own.
#[test]
fn an_import_waits_for_what_is_staged_of_its_thread_alone() {
    let (_dir, store) = store();
    store.create_thread("a").unwrap();
    store.create_thread("b").unwrap();
    let shared = store.source.owner().unwrap();
    let a = ThreadId::parse("a").unwrap();
    let number = super::find_or_create(shared, &a).unwrap();
    stage(shared, "a", &[b"one"]);
    let first = begin(shared);
    stage(shared, "b", &[b"two"]);
    assert!(shared.lock().lease(number).is_err(), "its own is staged");
    end(shared, first, false);
    let second = begin(shared);
    assert!(shared.lock().staged_of(number).is_none());
    assert_eq!(shared.lock().lease(number), Ok(()));
    shared.lock().return_lease(number);
    end(shared, second, false);
}
