//! A storage that fails.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use redb::StorageBackend;

use super::{Image, Index, IndexError, STORE, T1, item, open, put, reader};
use crate::rows::{Rows, TurnNo};

const WORKS: u8 = 0;
const FAILS: u8 = 1;
const PANICS: u8 = 2;

/// An image whose operations can be made to fail.
#[derive(Debug, Clone, Default)]
struct Faulty {
    image: Image,
    mode: Arc<AtomicU8>,
}

impl Faulty {
    fn pass(&self) -> io::Result<()> {
        match self.mode.load(Ordering::Relaxed) {
            FAILS => Err(io::Error::other("the disk is gone")),
            PANICS => panic!("a bug below"),
            _ => Ok(()),
        }
    }
}

impl StorageBackend for Faulty {
    fn len(&self) -> Result<u64, io::Error> {
        self.image.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.pass()?;
        self.image.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.pass()?;
        self.image.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.pass()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.pass()?;
        self.image.write(offset, data)
    }
}

/// Fills an index, makes its storage fail, and commits; then reopens what is there.
fn check(mode: u8, is_expected: impl Fn(&IndexError) -> bool) {
    let faulty = Faulty::default();
    let index = Index::create_or_open(faulty.clone(), STORE, 0).expect("the storage works");
    let mut batch = index.writer().expect("the storage works");
    put(
        &mut batch.thread(T1).expect("the storage works"),
        1,
        10,
        &[("a", 11)],
    );
    batch.commit(true).expect("the storage works");

    let mut batch = index.writer().expect("the storage works");
    let mut rows = batch.thread(T1).expect("the storage works");
    let row = item(1, "b", 12);
    rows.put_item(turnleaf_format::Ordinal(12), &row)
        .expect("the turn is known");
    faulty.mode.store(mode, Ordering::Relaxed);
    let error = batch.commit(true).expect_err("the storage fails");
    assert!(is_expected(&error), "{error:?}");
    // Whatever is asked now, it is an answer or an error.
    let _ = index.reader().and_then(|reader| reader.verify_thread(T1));
    let _ = index.writer().and_then(|batch| batch.commit(true));
    drop(index);

    faulty.mode.store(WORKS, Ordering::Relaxed);
    let index = open(&faulty.image).expect("the file is whole");
    let view = reader(&index);
    assert!(view.verify_thread(T1).expect("the file is whole"));
    assert!(
        view.item_by_id(T1, TurnNo(1), "a")
            .expect("the file is whole")
            .is_some()
    );
}

#[test]
fn a_failing_disk_is_an_io_error() {
    // [R:index-5]
    check(FAILS, |error| matches!(error, IndexError::Io { .. }));
}

#[test]
fn a_panic_is_an_error() {
    // [R:index-4]
    check(PANICS, |error| matches!(error, IndexError::Panicked { .. }));
}
