//! The sealer beside all others: its failures cost nobody anything but room, its end is told, and
//! nobody waits for what does not come.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deaths;
mod failures;
mod together;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use turnleaf::{Options, Ordinal, Store};
use turnleaf_engine::disk::Disk;
use turnleaf_tests::hooked::HookedDisk;
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::owner;

/// A journal of two small files, so that appends soon need room.
fn options() -> Options {
    Options {
        journal_first_bytes: 16 << 10,
        journal_file_bytes: 32 << 10,
        journal_files_max: 3,
        seal_bytes_min: 8 << 10,
        segment_boundary_bytes: 16 << 10,
        segment_bytes_max: 64 << 10,
        reserve_bytes: 0,
        ..Options::default()
    }
}

/// A store whose calls of the disk are told to a hook; it seals by itself where `seals` says so.
fn store_with(
    disk: &SimDisk,
    seals: bool,
    hook: impl Fn(&'static str, &str) -> std::io::Result<()> + Send + Sync + 'static,
) -> Store {
    let disk: Arc<dyn Disk> = Arc::new(HookedDisk::new(Arc::new(disk.clone()), hook));
    Store::open_on(disk, options(), &owner(), seals, || 1).unwrap()
}

/// What the work comes to; a work that never ends fails the test.
fn watched<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let worker = scope.spawn(move || {
            let done = work();
            let _ = tell.send(());
            done
        });
        match told.recv_timeout(Duration::from_secs(60)) {
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // Whoever hangs cannot be ended, and would hold up the end of the scope.
                eprintln!("the work hangs");
                std::process::abort();
            }
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {}
        }
        worker.join().unwrap()
    })
}

/// Whoever appends beside it does not keep it from its end.
#[test]
fn a_sealing_of_everything_comes_to_an_end_beside_appends() {
    let owner: Arc<OnceLock<Store>> = Arc::new(OnceLock::new());
    let (told, begun) = (Arc::clone(&owner), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&begun);
    let store = store_with(&SimDisk::new(), false, move |call, path| {
        // One more record, and one more thread, for each segment that is begun.
        if let (Some(store), "create", true) = (told.get(), call, path.ends_with(".tls.tmp")) {
            let number = count.fetch_add(1, Ordering::Relaxed);
            assert!(number < 20, "segments without end");
            store.append("a", None, &[b"more"]).unwrap();
            store.create_thread(&format!("t{number}")).unwrap();
        }
        Ok(())
    });
    store.create_thread("a").unwrap();
    store.append("a", None, &[b"first"]).unwrap();
    let store = owner.get_or_init(|| store);
    assert_eq!(watched(|| store.seal_all().unwrap().segments), 2);
    assert_eq!(exported(store, "a"), b"first\nmore\nmore\n");
}

/// A thread whose open stretch stands in several runs is left alone where the journal holds more of
/// it than is to be sealed: it may have closed the stretch meanwhile.
#[test]
fn a_sealing_of_everything_leaves_alone_what_came_since() {
    let owner: Arc<OnceLock<Store>> = Arc::new(OnceLock::new());
    let last = [b'y'; 100];
    let closing = noise(9, 40 << 10);
    let (told, lines, begun) = (
        Arc::clone(&owner),
        [closing.clone(), last.to_vec()],
        AtomicU64::new(0),
    );
    let store = store_with(&SimDisk::new(), false, move |call, path| {
        // The first line fills the stretch of two runs, the second begins the next, in one frame.
        if let (Some(store), "create", true) = (told.get(), call, path.ends_with(".tls.tmp"))
            && begun.fetch_add(1, Ordering::Relaxed) == 0
        {
            let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            store.append("a", None, &lines).unwrap();
        }
        Ok(())
    });
    let (long, short) = (noise(1, 30 << 10), noise(2, 10 << 10));
    for thread in ["a", "b"] {
        store.create_thread(thread).unwrap();
    }
    for line in [&long, &short] {
        store.append("a", None, &[line]).unwrap();
        let mut state = store.seal_by_turns().unwrap();
        while state == turnleaf::SealerState::Ready {
            state = store.sealer_turn(state, turnleaf::Woken::ByWork).unwrap();
        }
    }
    store.append("b", None, &[b"something to seal"]).unwrap();
    let store = owner.get_or_init(|| store);
    watched(|| store.seal_all().unwrap());
    let wanted = [&long[..], &short, &closing, &last].map(|line| [line, b"\n"].concat());
    let wanted = wanted.concat();
    assert!(exported(store, "a") == wanted);
    store.append("a", Some(Ordinal(4)), &[b"next"]).unwrap();
    watched(|| store.seal_all().unwrap());
    assert!(exported(store, "a") == [&wanted[..], b"next\n"].concat());
    assert!(store.verify(None, &mut |_| {}).unwrap().is_ok());
}

fn exported(store: &Store, thread: &str) -> Vec<u8> {
    let mut out = Vec::new();
    store.export(thread, .., &mut out).unwrap();
    out
}

/// Bytes that do not shrink, so that what is sealed has the length that is asked for.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut rng = turnleaf_tests::rng::Rng::new(seed);
    let printable = |_| u8::try_from(u64::from(b' ') + rng.below(90)).unwrap();
    (0..bytes).map(printable).collect()
}

/// The first line of a rollout of this thread, without its line feed.
fn head(id: &str) -> String {
    let time = "2026-01-01T00:00:00.000Z";
    format!(
        "{{\"timestamp\":\"{time}\",\"type\":\"session_meta\",\"payload\":{{\"id\":\"{id}\",\
         \"timestamp\":\"{time}\",\"cwd\":\"/w\",\"originator\":\"t\",\"cli_version\":\"0\",\
         \"source\":\"cli\",\"model_provider\":null}}}}"
    )
}
