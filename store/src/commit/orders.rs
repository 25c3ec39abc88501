//! Who waits for whom, in orders of steps that a scheduler chooses: whatever the order, nobody
//! waits for ever, and what was acknowledged is there. Every lock and every wait of the protocol is
//! a step; a wait that nobody ends is a failure at once, with the order that led there.
//!
//! `RUSTFLAGS="--cfg turnleaf_orders" cargo test -p turnleaf --lib commit::orders`

use std::sync::Arc;

use shuttle::Runner;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use turnleaf_engine::Begin;
use turnleaf_engine::disk::OsDisk;
use turnleaf_engine::format::ThreadId;

use super::Committer;
use crate::sync::thread;
use crate::*;

/// Orders of each kind that are tried: at random, and with few changes between threads of
/// execution at places that are chosen at random.
const ORDERS: usize = 300;
const CHANGES: usize = 3;

const SEED: u64 = 2026;

fn in_all_orders(work: fn()) {
    let mut config = shuttle::Config::new();
    // Less would do for toys; here sorts, compressors and file systems are called.
    config.stack_size = 4 << 20;
    let random = RandomScheduler::new_from_seed(SEED, ORDERS);
    Runner::new(random, config.clone()).run(work);
    let few_changes = PctScheduler::new_from_seed(SEED, CHANGES, ORDERS);
    Runner::new(few_changes, config).run(work);
}

/// Works with a new store of which the journal soon needs room.
fn with_store(seals: bool, work: impl FnOnce(&Store)) {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let options = Options {
        journal_first_bytes: 16 << 10,
        journal_file_bytes: 16 << 10,
        journal_files_max: 2,
        seal_bytes_min: 8 << 10,
        segment_boundary_bytes: 8 << 10,
        segment_bytes_max: 32 << 10,
        reserve_bytes: 0,
        ..Options::default()
    };
    let disk = Arc::new(OsDisk::new(dir.path()));
    let store = Store::open_on(disk, options, &system_owner(), seals, || 1).unwrap();
    work(&store);
    store.close().unwrap();
}

fn lines(store: &Store, id: &str) -> usize {
    let mut out = Vec::new();
    store.export(id, .., &mut out).unwrap();
    out.iter().filter(|byte| **byte == b'\n').count()
}

const LINE: [u8; 5000] = [b'x'; 5000];

#[test]
fn appends_that_need_room_are_all_acknowledged() {
    in_all_orders(|| {
        with_store(true, |store| {
            let ids = ["a", "b", "c"];
            ids.iter().for_each(|id| store.create_thread(id).unwrap());
            thread::scope(|scope| {
                for id in ids {
                    scope.spawn(move || {
                        for _ in 0..5 {
                            store.append(id, None, &[&LINE]).unwrap();
                        }
                    });
                }
            });
            assert_eq!(ids.map(|id| lines(store, id)), [5, 5, 5]);
        });
    });
}

#[test]
fn two_sealings_of_everything_end_beside_appends() {
    in_all_orders(|| {
        with_store(true, |store| {
            store.create_thread("a").unwrap();
            store.append("a", None, &[&LINE]).unwrap();
            thread::scope(|scope| {
                scope.spawn(|| store.seal_all().unwrap());
                scope.spawn(|| store.seal_all().unwrap());
                scope.spawn(|| store.append("a", None, &[b"x"]).unwrap());
            });
            assert_eq!(lines(store, "a"), 2);
        });
    });
}

/// Leads the next commit, if there is one; it fails over.
fn fail_one(committer: &Committer) {
    let begun = committer.lock().begin_commit();
    if let Begin::Commit(commit) = begun {
        let result = commit.run();
        let source = std::io::Error::other("planted");
        let failed = result.and(Err(turnleaf_engine::DiskFailure {
            operation: "sync",
            path: "journal".into(),
            source,
        }));
        committer.lock().finish_commit(commit, failed);
        committer.wake();
    }
}

#[test]
fn commits_that_fail_over_keep_nobody_waiting() {
    in_all_orders(|| {
        with_store(true, |store| {
            store.create_thread("a").unwrap();
            let committer = store.source.owner().unwrap();
            thread::scope(|scope| {
                scope.spawn(|| (0..3).for_each(|_| fail_one(committer)));
                for _ in 0..2 {
                    scope.spawn(|| store.append("a", None, &[&LINE]).unwrap());
                }
            });
            assert_eq!(lines(store, "a"), 2);
        });
    });
}

/// Nobody seals: whoever waits for room is told when the sealer is no more.
#[test]
fn who_waits_for_room_learns_that_nobody_makes_it() {
    in_all_orders(|| {
        with_store(false, |store| {
            let ids = ["a", "b"];
            ids.iter().for_each(|id| store.create_thread(id).unwrap());
            let committer = store.source.owner().unwrap();
            committer.lock().set_sealing(true);
            thread::scope(|scope| {
                for id in ids {
                    scope.spawn(move || {
                        let refused = (0..50).find_map(|_| store.append(id, None, &[&LINE]).err());
                        assert_eq!(refused.unwrap().kind(), ErrorKind::Stopped);
                    });
                }
                scope.spawn(|| {
                    committer.lock().sealer_died();
                    committer.wake();
                });
            });
            committer.lock().set_sealing(false);
        });
    });
}

#[test]
fn who_stops_the_log_stops_all_who_wait() {
    in_all_orders(|| {
        with_store(true, |store| {
            store.create_thread("a").unwrap();
            let committer = store.source.owner().unwrap();
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        for _ in 0..3 {
                            if let Err(refused) = store.append("a", None, &[&LINE]) {
                                assert_eq!(refused.kind(), ErrorKind::Stopped);
                            }
                        }
                    });
                }
                // As a leader that panics does.
                scope.spawn(|| drop(super::Leading::begin(committer)));
            });
            let refused = store.append("a", None, &[b"x"]).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Stopped);
        });
    });
}

#[test]
fn all_who_create_a_thread_get_the_same() {
    in_all_orders(|| {
        with_store(true, |store| {
            let committer = store.source.owner().unwrap();
            let id = ThreadId::parse("a").unwrap();
            let create = || committer.find_or_create(&id).unwrap();
            let found = thread::scope(|scope| {
                let callers = [(); 3].map(|()| scope.spawn(create));
                callers.map(|caller| caller.join().unwrap())
            });
            assert_eq!(found, [found[0]; 3]);
        });
    });
}

/// An import holds its thread while it writes a segment; the sealer and those who append to another
/// thread go on.
#[test]
fn an_import_ends_beside_appends_and_seals() {
    in_all_orders(|| {
        with_store(true, |store| {
            store.create_thread("b").unwrap();
            let id = "019f0000-0000-7000-8000-000000000001";
            let mut source = format!(
                "{{\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"type\":\"session_meta\",\
                 \"payload\":{{\"id\":\"{id}\",\"timestamp\":\"2026-01-01T00:00:00.000Z\",\
                 \"cwd\":\"/w\",\"originator\":\"t\",\"cli_version\":\"0\"}}}}\n"
            );
            for _ in 0..12 {
                source += &"y".repeat(100_000);
                source += "\n";
            }
            thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..5 {
                        store.append("b", None, &[&LINE]).unwrap();
                    }
                });
                scope.spawn(|| {
                    let source = ImportSource {
                        path: "rollout.jsonl",
                        thread_hint: None,
                        plain: &mut source.as_bytes(),
                        file_bytes: 1,
                        modified_ns: 1,
                        archived: false,
                    };
                    let imported = store.import(source, &mut |_| {}).unwrap().done().unwrap();
                    assert_eq!(imported.records, 13);
                });
            });
            assert_eq!((lines(store, id), lines(store, "b")), (13, 5));
        });
    });
}
