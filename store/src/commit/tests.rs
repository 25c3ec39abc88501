//! Callers that meet at one log: the test leads a commit itself, and so knows what waits for it.

use std::thread::{self, ScopedJoinHandle};

use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::format::{ThreadId, ThreadNumber};
use turnleaf_engine::{Begin, Commit, NewRecord};

use super::Committer;
use crate::*;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn begin(committer: &Committer) -> Commit {
    match committer.lock().begin_commit() {
        Begin::Commit(commit) => commit,
        other => panic!("{other:?}"),
    }
}

fn end(committer: &Committer, commit: Commit, fails: bool) {
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
    committer.lock().finish_commit(commit, result);
    committer.wake();
}

/// Whether a call ended although what it waits for did not.
fn ends_early<T>(call: &ScopedJoinHandle<'_, T>) -> bool {
    (0..2000).any(|_| {
        thread::yield_now();
        call.is_finished()
    })
}

fn stage(committer: &Committer, id: &str, lines: &[&[u8]]) {
    let record = |bytes| NewRecord {
        kind: Kind::LINE,
        flags: Flags::NONE,
        timestamp_ms: 1,
        bytes,
    };
    let records: Vec<_> = lines.iter().map(|bytes| record(*bytes)).collect();
    let mut log = committer.lock();
    let thread = log.staged_thread(&ThreadId::parse(id).unwrap()).unwrap();
    log.stage(thread, None, &records).unwrap();
}

#[test]
fn a_retry_that_overtakes_its_first_try_waits_for_it() {
    let (_dir, store) = store();
    store.create_thread("a").unwrap();
    let committer = store.source.owner().unwrap();
    stage(committer, "a", &[b"one", b"two"]);
    let first = begin(committer);
    let duplicate = Appended {
        first: Ordinal(0),
        end: Ordinal(2),
        duplicate: true,
    };
    thread::scope(|scope| {
        let same = scope.spawn(|| store.append("a", Some(Ordinal(0)), &[b"one", b"two"]));
        let other = scope.spawn(|| store.append("a", Some(Ordinal(0)), &[b"one", b"other"]));
        assert!(!ends_early(&same) && !ends_early(&other));
        end(committer, first, false);
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
    let committer = store.source.owner().unwrap();
    stage(committer, "a", &[b"one"]);
    let first = begin(committer);
    stage(committer, "a", &[b"behind"]);
    thread::scope(|scope| {
        let same = scope.spawn(|| store.append("a", Some(Ordinal(0)), &[b"one"]));
        assert!(!ends_early(&same));
        // A commit that fails over is durable all the same.
        end(committer, first, true);
        let appended = same.join().unwrap().unwrap();
        assert!(appended.duplicate);
    });
    let mut out = Vec::new();
    store.export("a", .., &mut out).unwrap();
    assert_eq!(out, b"one\nbehind\n");
}

#[test]
fn two_importers_of_a_new_thread_find_the_same() {
    let (_dir, store) = store();
    let committer = store.source.owner().unwrap();
    let id = ThreadId::parse("a").unwrap();
    let (number, _) = committer.lock().stage_thread(&id).unwrap();
    let first = begin(committer);
    thread::scope(|scope| {
        let second = scope.spawn(|| committer.find_or_create(&id));
        let creator = scope.spawn(|| store.create_thread("a"));
        assert!(!ends_early(&second) && !ends_early(&creator));
        end(committer, first, false);
        assert_eq!(second.join().unwrap().unwrap(), number);
        let refused = creator.join().unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "it exists: {refused}");
    });
}

fn listed(thread: &str) -> ListedName<'_> {
    ListedName {
        thread,
        name: "n",
        named_at_ms: 1,
        list: ("session_index.jsonl", 100),
    }
}

/// A thread that is about to be announced is not there yet, and is not there when it is announced.
#[test]
fn nothing_is_appended_to_a_thread_whose_announcement_is_staged() {
    let (_dir, store) = store();
    let committer = store.source.owner().unwrap();
    let id = ThreadId::parse("a").unwrap();
    let mut log = committer.lock();
    log.stage_announcement(&id, "session_index.jsonl", 100)
        .unwrap();
    drop(log);
    let append = store.append("a", None, &[b"one"]).unwrap_err();
    assert_eq!(append.kind(), ErrorKind::NotFound, "{append}");
    let name = store.set_name("a", "mine").unwrap_err();
    assert_eq!(name.kind(), ErrorKind::NotFound, "{name}");
    assert_eq!(committer.find_or_create(&id).unwrap(), ThreadNumber(1));
    assert_eq!(store.append("a", None, &[b"one"]).unwrap().end, Ordinal(1));
}

/// A line that is durable is shown, also while the catalogue does not say yet that it was imported;
/// and a name that comes in between hides nothing.
#[test]
fn a_line_of_an_announced_thread_shows_it_before_the_import_ends() {
    for named_between in [false, true] {
        let (dir, store) = store();
        let committer = store.source.owner().unwrap();
        let id = ThreadId::parse("a").unwrap();
        // As a power cut leaves it: the thread is announced, and the name did not come.
        let mut log = committer.lock();
        log.stage_announcement(&id, "list", 100).unwrap();
        drop(log);
        let staged = begin(committer);
        end(committer, staged, false);
        let line =
            b"{\"timestamp\":\"2026-01-01T00:00:00Z\",\"type\":\"event_msg\",\"payload\":{}}\n";
        let mut importer = store.importer().unwrap();
        let source = ImportSource {
            path: "a.jsonl",
            thread_hint: Some("a"),
            plain: &mut line.as_slice(),
            file_bytes: line.len() as u64,
            modified_ns: 1,
            archived: false,
        };
        importer
            .import(source, &mut |_| {})
            .unwrap()
            .done()
            .unwrap();
        let mut other = store.importer().unwrap();
        if named_between {
            other.name(listed("a")).unwrap();
        }
        let staged = begin(committer);
        end(committer, staged, false);
        let assert_shown = |store: &Store| {
            let mut out = Vec::new();
            store.export("a", .., &mut out).unwrap();
            assert_eq!(out, line, "{named_between}");
        };
        assert_shown(&store);
        drop((importer, other));
        store.close().unwrap();
        assert_shown(&Store::open(dir.path()).unwrap());
    }
}

/// What others append to other threads keeps no import from its own.
#[test]
fn an_import_waits_for_what_is_staged_of_its_thread_alone() {
    let (_dir, store) = store();
    store.create_thread("a").unwrap();
    store.create_thread("b").unwrap();
    let committer = store.source.owner().unwrap();
    let a = ThreadId::parse("a").unwrap();
    let number = committer.find_or_create(&a).unwrap();
    stage(committer, "a", &[b"one"]);
    let first = begin(committer);
    stage(committer, "b", &[b"two"]);
    assert!(committer.lock().lease(number).is_err(), "its own is staged");
    end(committer, first, false);
    let second = begin(committer);
    assert!(committer.lock().staged_of(number).is_none());
    assert_eq!(committer.lock().lease(number), Ok(()));
    committer.lock().return_lease(number);
    end(committer, second, false);
}

/// Does something that a missing wake-up would hold up for ever, and says so instead of hanging.
fn within_a_minute(what: &str, work: impl FnOnce() + Send + 'static) {
    let (done, told) = std::sync::mpsc::channel();
    let worker = thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    match told.recv_timeout(std::time::Duration::from_secs(60)) {
        Ok(()) => {}
        // It is not joined: it sleeps.
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("{what}: somebody is not woken"),
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
            worker.join().unwrap();
        }
    }
}

/// A follower sleeps until the leader's commit ended; nobody else comes to wake it.
#[test]
fn followers_are_woken_by_the_end_of_a_commit() {
    within_a_minute("a commit", || {
        let (_dir, store) = store();
        for id in ["a", "b", "c"] {
            store.create_thread(id).unwrap();
        }
        let committer = store.source.owner().unwrap();
        for _ in 0..20 {
            thread::scope(|scope| {
                stage(committer, "a", &[b"led by the test"]);
                let first = begin(committer);
                let followers =
                    ["a", "b", "c"].map(|id| scope.spawn(|| store.append(id, None, &[b"follows"])));
                for follower in &followers {
                    assert!(!ends_early(follower));
                }
                // The followers' records are in one group now: one of them leads, the others follow
                // again.
                end(committer, first, false);
                for follower in followers {
                    follower.join().unwrap().unwrap();
                }
            });
        }
    });
}

/// An append that waits for room sleeps until a seal gave it.
#[test]
fn who_waits_for_room_is_woken_by_the_end_of_a_seal() {
    within_a_minute("a seal", || {
        let dir = tempfile::tempdir().unwrap();
        let disk = std::sync::Arc::new(turnleaf_engine::disk::OsDisk::new(dir.path()));
        let options = Options {
            journal_first_bytes: 64 << 10,
            journal_file_bytes: 64 << 10,
            journal_files_max: 2,
            seal_bytes_min: 32 << 10,
            reserve_bytes: 0,
            ..Options::default()
        };
        let store = Store::open_on(disk, options, &system_owner(), true, || 1).unwrap();
        let line = vec![b'x'; 20_000];
        thread::scope(|scope| {
            for id in ["a", "b", "c"] {
                store.create_thread(id).unwrap();
                scope.spawn(|| {
                    for _ in 0..30 {
                        store.append(id, None, &[&line]).unwrap();
                    }
                });
            }
        });
        store.close().unwrap();
    });
}
