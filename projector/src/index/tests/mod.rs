//! Tests of the index at its border.

mod beside;
mod crash;
mod damage;
mod digest;
mod failure;
mod measure;
mod model;
mod paging;
mod shared;
mod token;
mod turns;

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use turnleaf_format::{Ordinal, StoreId, ThreadChain, ThreadNumber};

use super::test_rows::{item, turn};
use super::{Anchor, Index, IndexError, Order, PageRequest, Reader, ThreadRow, ThreadRows};
use crate::rows::{Rows, TurnName, TurnNo};

const STORE: StoreId = StoreId([7; 16]);
const CACHE_BYTES: usize = 1 << 20;
const T1: ThreadNumber = ThreadNumber(1);
const T2: ThreadNumber = ThreadNumber(2);

/// A file in memory that outlives its index.
#[derive(Clone, Default)]
struct Image(Arc<Mutex<Vec<u8>>>);

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Image")
    }
}

impl Image {
    fn of(bytes: &[u8]) -> Image {
        Image(Arc::new(Mutex::new(bytes.to_vec())))
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("no test panics with the lock").clone()
    }

    fn at<T>(&self, offset: u64, len: usize, act: impl FnOnce(&mut [u8]) -> T) -> io::Result<T> {
        let mut bytes = self.0.lock().expect("no test panics with the lock");
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(len).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(act(bytes
            .get_mut(start..end)
            .ok_or(io::ErrorKind::UnexpectedEof)?))
    }
}

impl StorageBackend for Image {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().expect("no test panics with the lock").len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.at(offset, out.len(), |bytes| out.copy_from_slice(bytes))
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.0
            .lock()
            .expect("no test panics with the lock")
            .resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.at(offset, data.len(), |bytes| bytes.copy_from_slice(data))
    }
}

/// The next of a fixed sequence of numbers.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn index() -> Index {
    Index::create_or_open(InMemoryBackend::new(), STORE, CACHE_BYTES).expect("memory does not fail")
}

fn open(image: &Image) -> Result<Index, IndexError> {
    Index::create_or_open(image.clone(), STORE, CACHE_BYTES)
}

fn request(anchor: Option<(u64, bool)>, order: Order, limit: usize) -> PageRequest {
    let anchor = anchor.map(|(at, include)| Anchor {
        at: Ordinal(at),
        include,
    });
    PageRequest {
        anchor,
        order,
        limit: NonZeroUsize::new(limit).expect("tests ask for rows"),
    }
}

/// A turn with its name and items.
fn put(rows: &mut ThreadRows<'_>, number: u32, first: u64, items: &[(&str, u64)]) {
    let id = format!("turn-{number}");
    let name = TurnName {
        turn: TurnNo(number),
        row: Some(Ordinal(first)),
    };
    rows.put_turn_name(&id, name).expect("memory does not fail");
    rows.put_turn(Ordinal(first), &turn(number, &id))
        .expect("memory does not fail");
    for (id, first) in items {
        rows.put_item(Ordinal(*first), &item(number, id, *first))
            .expect("memory does not fail");
    }
}

fn filled(thread: ThreadNumber) -> Index {
    let index = index();
    let mut batch = index.writer().expect("memory does not fail");
    let mut rows = batch.thread(thread).expect("memory does not fail");
    put(&mut rows, 1, 10, &[("a", 11), ("b", 12)]);
    put(&mut rows, 2, 20, &[("a", 21), ("b", 22), ("c", 23)]);
    rows.put_watermark(Ordinal(24), ThreadChain(5), &"state".to_owned())
        .expect("a small state");
    batch.commit(false).expect("memory does not fail");
    index
}

fn reader(index: &Index) -> Reader {
    index.reader().expect("memory does not fail")
}

#[test]
fn rows_come_back_after_a_reopen() {
    let image = Image::default();
    let index = open(&image).expect("memory does not fail");
    let mut batch = index.writer().expect("memory does not fail");
    put(
        &mut batch.thread(T1).expect("memory does not fail"),
        1,
        10,
        &[("a", 11), ("b", 12)],
    );
    batch.commit(true).expect("memory does not fail");
    drop(index);
    let index = open(&image).expect("the file is whole");
    let reader = reader(&index);
    let expect = Some((Ordinal(10), turn(1, "turn-1")));
    assert_eq!(
        reader.turn_by_id(T1, "turn-1").expect("the file is whole"),
        expect
    );
    let expect = Some((Ordinal(12), item(1, "b", 12)));
    assert_eq!(
        reader
            .item_by_id(T1, TurnNo(1), "b")
            .expect("the file is whole"),
        expect
    );
    let id = reader.turn_id(T1, TurnNo(1)).expect("the file is whole");
    assert_eq!(id.as_deref(), Some("turn-1"));
    assert!(reader.verify_thread(T1).expect("the file is whole"));
    assert_eq!(reader.thread(T2).expect("the file is whole"), None);
    assert!(
        reader.verify_thread(T2).expect("the file is whole"),
        "nothing matches nothing"
    );
}

#[test]
fn a_watermark_is_visible_with_its_rows() {
    let index = filled(T1);
    let reader = reader(&index);
    let row = reader
        .thread(T1)
        .expect("memory does not fail")
        .expect("the thread is known");
    assert_eq!((row.applied_end, row.chain), (Ordinal(24), ThreadChain(5)));
    assert_eq!(
        (row.turn_rows, row.item_rows, row.rows),
        (2, 5, 2 + 5 + 2 + 2 + 2)
    );
    let threads = reader.threads(None, 10).expect("memory does not fail");
    assert_eq!(threads, [(T1, row)]);
    assert_eq!(
        reader.threads(Some(T1), 10).expect("memory does not fail"),
        []
    );
    let mut batch = index.writer().expect("memory does not fail");
    let rows = batch.thread(T1).expect("memory does not fail");
    assert_eq!(
        rows.state::<String>()
            .expect("the state is whole")
            .as_deref(),
        Some("state")
    );
}

#[test]
fn a_dropped_batch_leaves_nothing() {
    let index = filled(T1);
    let mut batch = index.writer().expect("memory does not fail");
    put(
        &mut batch.thread(T1).expect("memory does not fail"),
        3,
        30,
        &[],
    );
    drop(batch);
    assert_eq!(
        reader(&index)
            .turn(T1, Ordinal(30))
            .expect("memory does not fail"),
        None
    );
}

#[test]
fn a_removed_thread_can_be_filled_again() {
    let index = filled(T1);
    let mut batch = index.writer().expect("memory does not fail");
    put(
        &mut batch.thread(T2).expect("memory does not fail"),
        1,
        10,
        &[("x", 11)],
    );
    batch.commit(false).expect("memory does not fail");
    let mut batch = index.writer().expect("memory does not fail");
    batch.remove_thread(T1);
    let mut rows = batch.thread(T1).expect("memory does not fail");
    assert_eq!(rows.item_count().expect("memory does not fail"), 0);
    assert_eq!(rows.newest_turns(9).expect("memory does not fail"), []);
    assert_eq!(
        rows.turn_name("turn-1").expect("memory does not fail"),
        None
    );
    put(&mut rows, 1, 10, &[("z", 12)]);
    batch.commit(false).expect("memory does not fail");
    let view = reader(&index);
    let page = view.items_page(T1, None, &request(None, Order::Ascending, 9));
    assert_eq!(
        page.expect("memory does not fail").rows,
        [(Ordinal(12), item(1, "z", 12))]
    );
    assert!(view.verify_thread(T1).expect("memory does not fail"));
    assert!(view.verify_thread(T2).expect("memory does not fail"));
    let mut batch = index.writer().expect("memory does not fail");
    batch.remove_thread(T1);
    batch.commit(true).expect("memory does not fail");
    let view = reader(&index);
    assert_eq!(view.thread(T1).expect("memory does not fail"), None);
    assert!(
        view.verify_thread(T1).expect("memory does not fail"),
        "no row is left"
    );
}

#[test]
fn another_store_or_version_is_stale() {
    // [R:index-4]
    let image = Image::default();
    drop(open(&image).expect("memory does not fail"));
    let other = Index::create_or_open(image.clone(), StoreId([8; 16]), CACHE_BYTES);
    assert!(matches!(other, Err(IndexError::Stale)));
    assert!(open(&image).is_ok(), "a refused open changes nothing");
}

#[test]
fn a_file_that_is_no_index_is_damaged() {
    for bytes in [vec![0xA5; 5000], vec![0; 1 << 20], b"short".to_vec()] {
        let opened = open(&Image::of(&bytes));
        assert!(
            matches!(opened, Err(IndexError::Damaged { .. })),
            "{:?}",
            opened.err()
        );
    }
}

#[test]
fn the_digest_does_not_depend_on_batches() {
    let rows = |row: Option<ThreadRow>| row.expect("the thread is known");
    let whole = index();
    let single = index();
    let mut batch = whole.writer().expect("memory does not fail");
    for number in 1..20_u32 {
        let first = u64::from(number) * 10;
        let items = [("a", first + 1), ("b", first + 2)];
        put(
            &mut batch.thread(T1).expect("memory does not fail"),
            number,
            first,
            &items,
        );
        for step in 0..3 {
            let mut batch = single.writer().expect("memory does not fail");
            let mut rows = batch.thread(T1).expect("memory does not fail");
            put(&mut rows, number, first, &items[..step]);
            batch.commit(false).expect("memory does not fail");
        }
    }
    batch.commit(false).expect("memory does not fail");
    let whole = rows(reader(&whole).thread(T1).expect("memory does not fail"));
    let single = rows(reader(&single).thread(T1).expect("memory does not fail"));
    assert_eq!(whole, single);
}
