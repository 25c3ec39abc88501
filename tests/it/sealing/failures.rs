//! Seals that fail: no file is left, nothing is tried again and again, and a thread that cannot be
//! sealed keeps none of the others from it.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use turnleaf::{ErrorKind as Kind, ImportSource, SealerState, Store, Unsealable, Woken};
use turnleaf_tests::hooked::is_segment;
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::log_files;

use super::{exported, head, noise, store_with};

/// Lets the sealer take so many turns, with a wait before each that nothing ends early.
fn turns(store: &Store, mut state: SealerState, count: usize) -> SealerState {
    for _ in 0..count {
        state = store.sealer_turn(state, Woken::ByTime).unwrap();
    }
    state
}

fn segments(disk: &SimDisk) -> Vec<String> {
    let mut files = log_files(disk);
    files.retain(|path| is_segment(path));
    files
}

/// A store of which these calls on segment files fail while the switch is on; and how many segment
/// files were created.
fn failing(
    disk: &SimDisk,
    calls: &'static [&'static str],
) -> (Store, Arc<AtomicBool>, Arc<AtomicU64>) {
    let (fails, created) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let (on, count) = (Arc::clone(&fails), Arc::clone(&created));
    let store = store_with(disk, false, move |call, path| {
        let of_segment = is_segment(path) || path == "segments";
        if call == "create" && of_segment {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if of_segment && calls.contains(&call) && on.load(Ordering::Relaxed) {
            return Err(Error::from(ErrorKind::StorageFull));
        }
        Ok(())
    });
    (store, fails, created)
}

#[test]
fn a_seal_that_fails_leaves_no_file_and_is_tried_ever_less_often() {
    for calls in [
        &["write"][..],
        &["sync"],
        &["rename"],
        &["sync_dir"],
        &["read"],
    ] {
        let disk = SimDisk::new();
        let (store, fails, created) = failing(&disk, calls);
        store.create_thread("a").unwrap();
        let line = noise(1, 9 << 10);
        store.append("a", None, &[&line]).unwrap();
        let state = turns(&store, store.seal_by_turns().unwrap(), 1000);
        let tries = created.load(Ordering::Relaxed);
        assert!(
            (8..=12).contains(&tries),
            "{calls:?}: {tries} tries in 1000 rests"
        );
        assert_eq!(segments(&disk), [""; 0], "{calls:?}");
        // Appends do not wait for it. [R:full-1]
        for seed in 0..20 {
            store.append("a", None, &[&noise(seed, 9 << 10)]).unwrap();
        }
        fails.store(false, Ordering::Relaxed);
        turns(&store, state, 300);
        assert!(
            !segments(&disk).is_empty(),
            "{calls:?}: it is sealed in the end"
        );
    }
}

#[test]
fn an_unfinished_file_that_cannot_be_removed_is_remembered_and_not_multiplied() {
    let disk = SimDisk::new();
    let (store, fails, _) = failing(&disk, &["sync", "remove"]);
    store.create_thread("a").unwrap();
    store.append("a", None, &[&noise(1, 9 << 10)]).unwrap();
    let state = turns(&store, store.seal_by_turns().unwrap(), 3000);
    assert!(
        (1..=4).contains(&segments(&disk).len()),
        "{:?}",
        segments(&disk)
    );
    store.seal_all().unwrap_err();
    fails.store(false, Ordering::Relaxed);
    turns(&store, state, 300);
    let left = segments(&disk);
    assert!(left.iter().all(|path| !path.ends_with(".tmp")), "{left:?}");
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn an_import_that_fails_leaves_no_file() {
    let id = "019f0000-0000-7000-8000-000000000001";
    let mut source = head(id) + "\n";
    for seed in 0..40 {
        source.push_str(&String::from_utf8(noise(seed, 50_000)).unwrap());
        source.push('\n');
    }
    for calls in [
        &["write"][..],
        &["sync"],
        &["rename"],
        &["sync_dir"],
        &["read"],
    ] {
        let disk = SimDisk::new();
        let (store, fails, _) = failing(&disk, calls);
        let import = || {
            store.import(
                ImportSource {
                    path: "rollout.jsonl",
                    thread_hint: None,
                    plain: &mut source.as_bytes(),
                    file_bytes: source.len() as u64,
                    modified_ns: 1,
                    archived: false,
                },
                &mut |_| {},
            )
        };
        import().unwrap_err();
        assert_eq!(segments(&disk), [""; 0], "{calls:?}");
        fails.store(false, Ordering::Relaxed);
        assert_eq!(import().unwrap().done().unwrap().records, 41);
        assert!(exported(&store, id) == source.as_bytes());
    }
}

/// The one that is damaged is not called so before it was read again. [R:reread] [R:quarantine]
#[test]
fn a_thread_that_cannot_be_sealed_stops_none_of_the_others() {
    let disk = SimDisk::new();
    let mut options = super::options();
    // Bodies are read from the disk.
    options.tail_cache_bytes = 0;
    let store = turnleaf_tests::stores::open_store(&disk, &options).unwrap();
    for (seed, id) in (0..).zip(["a", "b", "c"]) {
        store.create_thread(id).unwrap();
        store.append(id, None, &[&noise(seed, 500)]).unwrap();
    }
    let damaged = noise(1, 500);
    for path in log_files(&disk) {
        let bytes = disk.bytes(&path).unwrap();
        let found = bytes.windows(500).position(|part| part == damaged);
        if let Some(at) = found {
            disk.flip(&path, at as u64 + 250, 3);
        }
    }
    let report = store.seal_all().unwrap();
    assert_eq!(report.left, [("b".to_owned(), Unsealable::Unread)]);
    assert_eq!(segments(&disk).len(), 1, "the others are in one pack");
    let report = store.seal_all().unwrap();
    assert_eq!(report.left, [("b".to_owned(), Unsealable::Damaged)]);
    let refused = store.append("b", None, &[b"more"]).unwrap_err();
    assert_eq!(refused.kind(), Kind::Damaged);
    for (seed, id) in [(0, "a"), (2, "c")] {
        store.append(id, None, &[b"more"]).unwrap();
        let mut expect = noise(seed, 500);
        expect.extend_from_slice(b"\nmore\n");
        assert!(exported(&store, id) == expect);
    }
    assert_eq!(
        store.seal_all().unwrap().segments,
        2,
        "a pack, the catalogue"
    );
}

#[test]
fn a_sealing_of_everything_says_what_failed() {
    let disk = SimDisk::new();
    let (store, fails, _) = failing(&disk, &["sync"]);
    store.create_thread("a").unwrap();
    store.append("a", None, &[b"one"]).unwrap();
    assert_eq!(store.seal_all().unwrap_err().kind(), Kind::Io);
    fails.store(false, Ordering::Relaxed);
    let report = store.seal_all().unwrap();
    assert_eq!((report.segments, report.left), (2, Vec::new()));
    assert_eq!(store.seal_all().unwrap().segments, 0, "nothing is left");
}
