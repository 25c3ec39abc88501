//! Panics of the sealer and of a commit: whoever waits learns of it, and nothing acknowledged is
//! lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use turnleaf::{Error, ErrorKind, Part, Store};
use turnleaf_tests::hooked::is_segment;
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::open_store;

use super::{exported, head, noise, options, store_with, watched};

fn lines(store: &Store, thread: &str) -> usize {
    exported(store, thread)
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}

/// Appends until one is refused; returns how many were not, and why that one was.
fn append_until_refused(store: &Store, thread: &str) -> (usize, Error) {
    for seed in 0.. {
        if let Err(error) = store.append(thread, None, &[&noise(seed, 2000)]) {
            return (usize::try_from(seed).unwrap(), error);
        }
    }
    unreachable!("it appends until it is refused")
}

#[test]
fn a_sealer_that_panics_ends_no_wait_with_silence() {
    let disk = SimDisk::new();
    let panics = Arc::new(AtomicBool::new(true));
    let once = Arc::clone(&panics);
    let store = store_with(&disk, true, move |call, path| {
        let now = call == "create" && is_segment(path) && once.swap(false, Ordering::Relaxed);
        assert!(!now, "planted");
        Ok(())
    });
    store.create_thread("a").unwrap();
    store.create_thread("b").unwrap();
    let (acknowledged, refused) = watched(|| {
        thread::scope(|scope| {
            let other = scope.spawn(|| append_until_refused(&store, "b"));
            let own = append_until_refused(&store, "a");
            let (_, error) = other.join().unwrap();
            assert_eq!(error.kind(), ErrorKind::Stopped);
            own
        })
    });
    assert!(!panics.load(Ordering::Relaxed), "it panicked");
    assert!(matches!(refused, Error::Stopped(Part::Sealer)), "{refused}");
    assert_eq!(refused.kind(), ErrorKind::Stopped);
    let report = watched(|| store.seal_all());
    assert!(matches!(report, Err(Error::Stopped(Part::Sealer))));
    // What needs no room goes on.
    watched(|| store.archive("b").unwrap());
    assert_eq!(lines(&store, "a"), acknowledged);
    let unfinished = turnleaf_tests::stores::log_files(&disk);
    assert!(unfinished.iter().all(|path| !path.ends_with(".tmp")));
    assert!(matches!(store.close(), Err(Error::Stopped(Part::Sealer))));
    let store = open_store(&disk, &options()).unwrap();
    assert_eq!(lines(&store, "a"), acknowledged);
    store.append("a", None, &[b"more"]).unwrap();
}

/// Whoever seals for himself, and panics, leaves nothing reserved: others need not wait for him.
#[test]
fn a_seal_that_panics_for_its_caller_can_be_made_again() {
    let disk = SimDisk::new();
    let panics = Arc::new(AtomicBool::new(true));
    let once = Arc::clone(&panics);
    let store = store_with(&disk, false, move |call, path| {
        let now = call == "create" && is_segment(path) && once.swap(false, Ordering::Relaxed);
        assert!(!now, "planted");
        Ok(())
    });
    store.create_thread("a").unwrap();
    store.append("a", None, &[b"one"]).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| store.seal_all()));
    assert!(panicked.is_err() && !panics.load(Ordering::Relaxed));
    let report = watched(|| store.seal_all().unwrap());
    assert!(report.segments > 0 && report.left.is_empty(), "{report:?}");
    assert_eq!(exported(&store, "a"), b"one\n");
}

/// An import that needs the thread that was being sealed goes on.
#[test]
fn a_sealer_that_panics_holds_up_no_import() {
    let disk = SimDisk::new();
    let (begun, go) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (says, waits) = (Arc::clone(&begun), Arc::clone(&go));
    let store = store_with(&disk, true, move |call, path| {
        if call == "create" && is_segment(path) && !says.swap(true, Ordering::SeqCst) {
            while !waits.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            panic!("planted");
        }
        Ok(())
    });
    let id = "019f0000-0000-7000-8000-000000000001";
    store.create_thread(id).unwrap();
    store.append(id, None, &[head(id).as_bytes()]).unwrap();
    store.append(id, None, &[&noise(0, 9 << 10)]).unwrap();
    let mut source = exported(&store, id);
    for seed in 1..40 {
        source.extend_from_slice(&noise(seed, 50_000));
        source.push(b'\n');
    }
    let imported = watched(|| {
        thread::scope(|scope| {
            while !begun.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            let import = scope.spawn(|| {
                let source = turnleaf::ImportSource {
                    path: "rollout.jsonl",
                    thread_hint: None,
                    plain: &mut &source[..],
                    file_bytes: source.len() as u64,
                    modified_ns: 1,
                    archived: false,
                };
                store.import(source, &mut |_| {})
            });
            // Most times it waits by now.
            (0..1000).for_each(|_| thread::yield_now());
            go.store(true, Ordering::SeqCst);
            import.join().unwrap()
        })
    });
    assert_eq!(imported.unwrap().done().unwrap().records, 41);
    assert!(exported(&store, id) == source);
}

#[test]
fn a_commit_that_panics_ends_no_wait_with_silence() {
    for planted in ["write", "sync"] {
        let disk = SimDisk::new();
        let panics = Arc::new(AtomicBool::new(false));
        let once = Arc::clone(&panics);
        let store = store_with(&disk, false, move |call, path| {
            let of_journal = path.starts_with("journal/") && call == planted;
            assert!(
                !of_journal || !once.swap(false, Ordering::SeqCst),
                "planted"
            );
            Ok(())
        });
        store.create_thread("a").unwrap();
        for seed in 0..10 {
            store.append("a", None, &[&noise(seed, 100)]).unwrap();
        }
        panics.store(true, Ordering::SeqCst);
        let panicked = watched(|| {
            thread::scope(|scope| {
                let appends: Vec<_> = (0..8)
                    .map(|seed| {
                        scope.spawn({
                            let store = &store;
                            move || store.append("a", None, &[&noise(seed, 100)])
                        })
                    })
                    .collect();
                let ends = appends.into_iter().map(thread::ScopedJoinHandle::join);
                let (mut panicked, mut refused) = (0, 0);
                for end in ends {
                    match end {
                        Err(_) => panicked += 1,
                        Ok(Err(error)) => {
                            assert!(matches!(error, Error::Stopped(Part::Commit)), "{error}");
                            refused += 1;
                        }
                        Ok(Ok(_)) => {}
                    }
                }
                assert!(panicked + refused <= 8);
                panicked
            })
        });
        assert_eq!(panicked, 1, "{planted}");
        let refused = watched(|| store.append("a", None, &[b"more"])).unwrap_err();
        assert!(matches!(refused, Error::Stopped(Part::Commit)), "{refused}");
        assert!(watched(|| store.archive("a")).is_err());
        assert!(watched(|| store.seal_all()).is_err());
        assert!(lines(&store, "a") >= 10, "what was acknowledged is read");
        drop(store);
        let store = open_store(&disk, &options()).unwrap();
        assert!(lines(&store, "a") >= 10);
        store.append("a", None, &[b"more"]).unwrap();
    }
}
