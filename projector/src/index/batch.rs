//! Owns writing: a batch of changes to any threads that becomes visible as a whole; it must not
//! know records.

use std::collections::{BTreeMap, BTreeSet};

use redb::{Database, Durability, ReadableTable, WriteTransaction};
use turnleaf_format::ThreadNumber;

use super::checksum::checksum;
use super::error::{Fault, Guarded, Place, Table, guarded};
use super::overlay::RowSum;
use super::row::Row;
use super::tables::{self, Known, THREADS};
use super::thread::{Open, Stamp, ThreadRows};
use super::view::View;
use super::{IndexError, ThreadRow};

/// Changes that are not yet visible. Dropping it forgets them.
///
/// Changes are collected in memory over a snapshot and written in the order of their keys when the
/// batch is committed: a turn row that changes with every record is written once, and redb gets
/// sorted inserts. What is written does not depend on where batches begin and end. Any number of
/// batches may be under way: the index has one writer at a time only while it is committed. Of two
/// that change one thread the one that commits last is refused, unless it only removes the thread.
pub struct Batch<'i> {
    db: &'i Guarded<Database>,
    view: View,
    threads: BTreeMap<u64, Open>,
    removed: BTreeSet<u64>,
}

impl<'i> Batch<'i> {
    pub(super) fn new(view: View, db: &'i Guarded<Database>) -> Batch<'i> {
        Batch {
            db,
            view,
            threads: BTreeMap::new(),
            removed: BTreeSet::new(),
        }
    }

    /// The rows of a thread; one that the index does not know is empty.
    ///
    /// # Errors
    /// Damage, a panic of redb or an I/O error while its row is read.
    pub fn thread(&mut self, thread: ThreadNumber) -> Result<ThreadRows<'_>, IndexError> {
        if !self.threads.contains_key(&thread.0) {
            let stored = self.view.thread(thread.0)?;
            let stamp = stored.as_ref().map(Stamp::of);
            let row = stored.unwrap_or_default();
            let known = Known::all(thread, &row);
            let open = Open {
                known,
                row,
                stamp,
                is_changed: false,
                name: None,
            };
            self.threads.insert(thread.0, open);
        }
        let open = self
            .threads
            .get_mut(&thread.0)
            .expect("the thread was just inserted");
        Ok(ThreadRows {
            view: &mut self.view,
            open,
        })
    }

    /// Removes all rows of a thread. It can be filled again in the same batch.
    pub fn remove_thread(&mut self, thread: ThreadNumber) {
        let row = ThreadRow::default();
        let known = Known::all(thread, &row);
        self.view.forget(thread.0);
        self.threads.insert(
            thread.0,
            Open {
                known,
                row,
                stamp: None,
                is_changed: false,
                name: None,
            },
        );
        self.removed.insert(thread.0);
    }

    /// Makes the changes visible, rows and watermarks at once; with `durable` also permanent, and
    /// with them everything that was committed before. Waits for a commit that is under way.
    ///
    /// # Errors
    /// [`IndexError::Overtaken`] when another batch changed one of the threads since this one first
    /// asked for it; any other. Nothing of the batch is visible then.
    pub fn commit(self, durable: bool) -> Result<(), IndexError> {
        let Batch {
            db,
            view,
            threads,
            removed,
        } = self;
        // INVARIANT: whatever changes a row marks its thread.
        let is_empty = removed.is_empty() && !threads.values().any(|open| open.is_changed);
        if is_empty && !durable {
            return Ok(());
        }
        // A snapshot would keep the pages that this commit frees.
        let changes = view.into_changes();
        guarded(Place::new("commit"), move || {
            let mut txn = db.begin_write()?;
            let durability = if durable {
                Durability::Immediate
            } else {
                Durability::None
            };
            txn.set_durability(durability)?;
            // DURABILITY: without it, the open after a crash walks the whole file.
            txn.set_quick_repair(durable);
            check_stamps(&txn, &threads, &removed)?;
            removed
                .iter()
                .try_for_each(|thread| tables::clear(&txn, *thread))?;
            let tallies = changes.apply(&txn)?;
            write_threads(&txn, threads, &tallies)?;
            Ok(txn.commit()?)
        })
    }
}

/// Refuses a batch whose threads are not what they were when it first asked for them.
fn check_stamps(
    txn: &WriteTransaction,
    threads: &BTreeMap<u64, Open>,
    removed: &BTreeSet<u64>,
) -> Result<(), Fault> {
    let table = txn.open_table(THREADS.definition)?;
    let kept = threads
        .iter()
        .filter(|(thread, _)| !removed.contains(thread));
    for (thread, open) in kept {
        let key = thread.to_be_bytes();
        let place = open.known.place(Table::Threads);
        let now = table.get(&key)?;
        let now = now.map(|value| Stamp::read(place, &key, value.value()));
        if now.transpose()? != open.stamp {
            return Err(Fault::Index(IndexError::Overtaken(ThreadNumber(*thread))));
        }
    }
    Ok(())
}

fn write_threads(
    txn: &WriteTransaction,
    threads: BTreeMap<u64, Open>,
    tallies: &BTreeMap<u64, RowSum>,
) -> Result<(), Fault> {
    let mut table = txn.open_table(THREADS.definition)?;
    for (thread, open) in threads {
        let tally = tallies.get(&thread);
        if !open.is_changed && tally.is_none() {
            continue;
        }
        let (mut row, tally) = (open.row, tally.copied().unwrap_or_default());
        row.digest = row.digest.wrapping_add(tally.digest);
        row.rows = row.rows.wrapping_add(tally.rows);
        let key = thread.to_be_bytes();
        let mut value = row.bytes(open.known.place(Table::Threads), &key)?;
        value.extend_from_slice(&checksum(Table::Threads, &key, &value));
        table.insert(&key, value.as_slice())?;
    }
    Ok(())
}
