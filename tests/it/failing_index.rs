//! A disk that fails the file of the index alone: what is answered meanwhile, how often the disk is
//! asked, and what becomes of the file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use turnleaf::{Error, ItemsView, Order, Store, TurnsRequest};
use turnleaf_engine::disk::Disk;
use turnleaf_tests::answers::{INDEX, options, small_store};
use turnleaf_tests::hooked::HookedDisk;
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::owner;

/// What the disk does with the file of the index.
#[derive(Default)]
struct Doing {
    fails: Option<ErrorKind>,
    /// How often the file was opened, or was to be.
    opened: usize,
}

/// A store on a disk that fails calls of the index file while it is told to.
fn store(disk: &SimDisk) -> (Store, Arc<Mutex<Doing>>) {
    let doing = Arc::new(Mutex::new(Doing::default()));
    let told = Arc::clone(&doing);
    let disk: Arc<dyn Disk> = Arc::new(HookedDisk::new(
        Arc::new(disk.clone()),
        move |call, path| {
            let mut doing = told.lock().unwrap();
            let is_of_file = path == INDEX && call != "rename";
            doing.opened += usize::from(is_of_file && call == "open");
            let fails = doing.fails.filter(|_| is_of_file);
            fails.map_or(Ok(()), |kind| Err(kind.into()))
        },
    ));
    let store = Store::open_on(disk, options(), &owner(), false, || 1).unwrap();
    (store, doing)
}

fn turns(store: &Store, thread: &str) -> Result<usize, Error> {
    let request = TurnsRequest {
        thread: thread.to_owned(),
        cursor: None,
        limit: 100,
        order: Order::Ascending,
        items: ItemsView::Summary,
    };
    Ok(store.turns(&request)?.turns.len())
}

/// While the disk takes no bytes, an index in memory answers, and the disk is asked seldom.
#[test]
fn a_full_disk_is_asked_now_and_then_for_room_for_the_index() {
    let (disk, ids) = small_store(1, 3).unwrap();
    let (store, doing) = store(&disk);
    doing.lock().unwrap().fails = Some(ErrorKind::StorageFull);
    let mut asked = Vec::new();
    for read in 0..200 {
        let before = doing.lock().unwrap().opened;
        assert_eq!(turns(&store, &ids[0]).unwrap(), 3);
        if doing.lock().unwrap().opened > before {
            asked.push(read);
        }
    }
    assert_eq!(asked, [0, 64, 128, 192]);
    // Once there is room the file serves again.
    doing.lock().unwrap().fails = None;
    for _ in 0..64 {
        assert_eq!(turns(&store, &ids[0]).unwrap(), 3);
    }
    let before = doing.lock().unwrap().opened;
    for _ in 0..200 {
        assert_eq!(turns(&store, &ids[0]).unwrap(), 3);
    }
    assert_eq!(doing.lock().unwrap().opened, before, "it stays open");
}

/// A disk that does not work is no reason to make the index anew, nor to answer without it in
/// silence.
#[test]
fn an_index_that_the_disk_fails_is_told_and_kept() {
    let (disk, ids) = small_store(1, 3).unwrap();
    let before = disk.bytes(INDEX).unwrap();
    let (store, doing) = store(&disk);
    doing.lock().unwrap().fails = Some(ErrorKind::Other);
    for _ in 0..3 {
        let failed = turns(&store, &ids[0]).map_err(|error| error.kind());
        assert_eq!(failed, Err(turnleaf::ErrorKind::Io));
    }
    let files = disk.list("").unwrap();
    assert!(files.iter().all(|file| !file.name.starts_with("index.bad")));
    assert!(disk.bytes(INDEX).unwrap() == before);
    doing.lock().unwrap().fails = None;
    assert_eq!(turns(&store, &ids[0]).unwrap(), 3);
}
