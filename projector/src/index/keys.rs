//! Owns the keys of the tables: fixed-width, big-endian, thread number first, so that the order of
//! keys is the order of the log and one thread is one range.

use turnleaf_format::Ordinal;

use crate::rows::TurnNo;

/// A thread's row.
pub(super) type ThreadKey = [u8; 8];
/// A turn row or item row: thread, first ordinal.
pub(super) type RowKey = [u8; 16];
/// What is known by turn number: thread, number.
pub(super) type NumberKey = [u8; 12];
/// A turn id: thread, hash of the id, number.
pub(super) type NameKey = [u8; 16];
/// A thread that shows rows of another one: the other one, the thread.
pub(super) type SharerKey = [u8; 16];
/// An item id: thread, turn number, hash of the id, first ordinal.
pub(super) type ItemIdKey = [u8; 24];

pub(super) fn row(thread: u64, first: Ordinal) -> RowKey {
    join(&[&thread.to_be_bytes(), &first.0.to_be_bytes()])
}

pub(super) fn number(thread: u64, turn: TurnNo) -> NumberKey {
    join(&[&thread.to_be_bytes(), &turn.0.to_be_bytes()])
}

pub(super) fn name(thread: u64, hash: u32, turn: TurnNo) -> NameKey {
    join(&[
        &thread.to_be_bytes(),
        &hash.to_be_bytes(),
        &turn.0.to_be_bytes(),
    ])
}

pub(super) fn item_id(thread: u64, turn: TurnNo, hash: u32, first: Ordinal) -> ItemIdKey {
    let (turn, hash) = (turn.0.to_be_bytes(), hash.to_be_bytes());
    join(&[&thread.to_be_bytes(), &turn, &hash, &first.0.to_be_bytes()])
}

pub(super) fn sharer(of: u64, thread: u64) -> SharerKey {
    join(&[&of.to_be_bytes(), &thread.to_be_bytes()])
}

/// The thread that shows the rows.
pub(super) fn sharer_of(key: &SharerKey) -> u64 {
    u64::from_be_bytes(*key.last_chunk().expect("the key ends with a thread number"))
}

/// Smallest and largest key that begin with `prefix`.
pub(super) fn span<const N: usize>(prefix: &[u8]) -> ([u8; N], [u8; N]) {
    let (mut low, mut high) = ([0; N], [u8::MAX; N]);
    low[..prefix.len()].copy_from_slice(prefix);
    high[..prefix.len()].copy_from_slice(prefix);
    (low, high)
}

/// The thread of any key.
pub(super) fn thread_of(key: &[u8]) -> u64 {
    u64::from_be_bytes(
        *key.first_chunk()
            .expect("keys begin with the thread number"),
    )
}

/// The ordinal that ends a key.
pub(super) fn ordinal_of(key: &[u8]) -> Ordinal {
    Ordinal(u64::from_be_bytes(
        *key.last_chunk().expect("the key ends with an ordinal"),
    ))
}

/// The turn number that ends a key.
pub(super) fn turn_of(key: &[u8]) -> TurnNo {
    TurnNo(u32::from_be_bytes(
        *key.last_chunk().expect("the key ends with a turn number"),
    ))
}

fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut key = [0; N];
    let mut at = 0;
    for part in parts {
        key[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    debug_assert_eq!(at, N, "the parts fill the key");
    key
}
