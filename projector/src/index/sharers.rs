//! Owns which threads show rows of another one, and what becomes of them where those rows change:
//! theirs are made anew. It must not know what rows mean.

use std::collections::BTreeSet;

use redb::{ReadableTable, WriteTransaction};
use turnleaf_format::ThreadNumber;

use super::error::Fault;
use super::known::Shared;
use super::savepoint::Savepoint;
use super::tables::{SAVEPOINTS, SHARERS, THREADS};
use super::{IndexError, ThreadRow, keys};
use crate::rows::TurnNo;

/// Lets a thread show what stands before a savepoint of another one; both have to be as they were.
pub(super) fn add(txn: &WriteTransaction, thread: u64, savepoint: &Savepoint) -> Result<(), Fault> {
    let Savepoint { prefix, row } = savepoint;
    let now = SAVEPOINTS.stored(txn, &keys::number(prefix.of, TurnNo(prefix.turns)))?;
    let of = THREADS.stored(txn, &prefix.of.to_be_bytes())?;
    if now.as_ref() != Some(row) || of.is_none_or(|of| of.shared == Shared::Broken) {
        return Err(IndexError::Overtaken(ThreadNumber(thread)).into());
    }
    SHARERS.write(txn, keys::sharer(prefix.of, thread), ())
}

/// Forgets that a thread shows rows of another one, before its own are removed.
pub(super) fn remove(txn: &WriteTransaction, thread: u64) -> Result<(), Fault> {
    let row = THREADS.stored(txn, &thread.to_be_bytes())?;
    if let Shared::Prefix(prefix) = row.unwrap_or_default().shared {
        let key = keys::sharer(prefix.of, thread);
        txn.open_table(SHARERS.definition)?.remove(&key)?;
    }
    Ok(())
}

/// Threads that show, directly or not, rows of a thread that changed: those of turns behind a
/// number, or all. They share nothing from now on, and are to be written as broken.
pub(super) fn take_back(
    txn: &WriteTransaction,
    changed: impl IntoIterator<Item = (u64, Option<u32>)>,
) -> Result<BTreeSet<u64>, Fault> {
    let mut broken = BTreeSet::new();
    let mut changed: Vec<(u64, Option<u32>)> = changed.into_iter().collect();
    while let Some((thread, turn)) = changed.pop() {
        for sharer in of(txn, thread)? {
            let row = THREADS.stored(txn, &sharer.to_be_bytes())?;
            let is_meant = match row.unwrap_or_default().shared {
                Shared::Prefix(prefix) => turn.is_none_or(|turn| prefix.turns > turn),
                Shared::Nothing | Shared::Broken => true,
            };
            if is_meant {
                let key = keys::sharer(thread, sharer);
                txn.open_table(SHARERS.definition)?.remove(&key)?;
                broken.insert(sharer);
                changed.push((sharer, None));
            }
        }
    }
    Ok(broken)
}

/// Writes the rows of threads as broken.
pub(super) fn write_broken(txn: &WriteTransaction, threads: &BTreeSet<u64>) -> Result<(), Fault> {
    for thread in threads {
        let key = thread.to_be_bytes();
        if let Some(row) = THREADS.stored(txn, &key)? {
            let shared = Shared::Broken;
            THREADS.write(txn, key, ThreadRow { shared, ..row })?;
        }
    }
    Ok(())
}

/// Those that show rows of a thread.
fn of(txn: &WriteTransaction, thread: u64) -> Result<Vec<u64>, Fault> {
    let (low, high) = keys::span::<16>(&thread.to_be_bytes());
    let table = txn.open_table(SHARERS.definition)?;
    let mut sharers = Vec::new();
    for entry in table.range::<&[u8; 16]>(&low..=&high)? {
        sharers.push(keys::sharer_of(entry?.0.value()));
    }
    Ok(sharers)
}
