//! The digest of a thread: what no checksum of a row or a block can tell.

use redb::{ReadableDatabase, TableDefinition};
use turnleaf_format::{Ordinal, ThreadChain};

use super::{Image, T1, T2, item, open, put, turn};
use crate::index::{Damage, Index, IndexError, keys, tables};
use crate::rows::{Rows, TurnNo};

type Bytes<const N: usize> = TableDefinition<'static, &'static [u8; N], &'static [u8]>;

/// Two threads, then the same rows of the first with other contents.
fn two_states() -> (Image, Index) {
    let image = Image::default();
    let index = open(&image).expect("memory does not fail");
    let mut batch = index.writer().expect("memory does not fail");
    for thread in [T1, T2] {
        let mut rows = batch.thread(thread).expect("memory does not fail");
        put(&mut rows, 1, 10, &[("a", 11), ("b", 12)]);
        rows.put_watermark(Ordinal(13), ThreadChain(1), &1)
            .expect("a small state");
    }
    batch.commit(true).expect("memory does not fail");
    (image, index)
}

fn change(index: &Index) {
    let mut batch = index.writer().expect("memory does not fail");
    let mut rows = batch.thread(T1).expect("memory does not fail");
    let mut changed = turn(1, "turn-1");
    changed.completed_at = Some(1_783_591_999);
    rows.put_turn(Ordinal(10), &changed).expect("it fits");
    let mut changed = item(1, "b", 12);
    changed.sources.push(Ordinal(13));
    rows.put_item(Ordinal(12), &changed).expect("it fits");
    rows.put_item(Ordinal(14), &item(1, "c", 14))
        .expect("it fits");
    rows.put_watermark(Ordinal(15), ThreadChain(2), &2)
        .expect("a small state");
    batch.commit(true).expect("memory does not fail");
}

fn value<const N: usize>(index: &Index, table: Bytes<N>, key: &[u8; N]) -> Vec<u8> {
    let txn = index.db.begin_read().expect("memory does not fail");
    let rows = txn.open_table(table).expect("it is there");
    let value = rows.get(key).expect("memory does not fail");
    value.expect("the row is there").value().to_vec()
}

/// An older value of a row has the checksum of its place, and stands in a whole block.
fn stale<const N: usize>(table: Bytes<N>, key: &[u8; N]) {
    let (image, index) = two_states();
    let old = value(&index, table, key);
    change(&index);
    index
        .reader()
        .and_then(|reader| reader.check_thread(T1))
        .expect("it is whole");
    let txn = index.db.begin_write().expect("memory does not fail");
    {
        let mut rows = txn.open_table(table).expect("it is there");
        rows.insert(key, old.as_slice()).expect("there is room");
    }
    txn.commit().expect("memory does not fail");
    drop(index);
    let index = open(&image).expect("its blocks are right");
    let reader = index.reader().expect("its blocks are right");
    reader.check_thread(T2).expect("it is whole");
    let found = reader.check_thread(T1);
    let damage = match found {
        Err(IndexError::Damaged { damage, .. }) => damage,
        other => panic!("{other:?}"),
    };
    assert!(matches!(damage, Damage::Digest), "{damage:?}");
    assert!(!reader.verify_thread(T1).expect("its blocks are right"));
}

#[test]
fn a_row_as_it_once_was_is_found() {
    stale(tables::TURNS.definition, &keys::row(1, Ordinal(10)));
    stale(tables::ITEMS.definition, &keys::row(1, Ordinal(12)));
    stale(tables::TURN_ITEMS.definition, &keys::number(1, TurnNo(1)));
}
