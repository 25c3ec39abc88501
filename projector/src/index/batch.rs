//! Owns writing: a batch of changes to any threads that becomes visible as a whole; it must not
//! know records.

use std::collections::{BTreeMap, BTreeSet};

use redb::{Database, Durability, WriteTransaction};
use turnleaf_format::ThreadNumber;

use super::error::{Fault, Guarded, Place, guarded};
use super::known::{Known, Shared};
use super::overlay::{Probe, RowSum};
use super::savepoint::Savepoint;
use super::sharers;
use super::tables::{self, THREADS};
use super::thread::{Open, Stamp, ThreadRows};
use super::view::View;
use super::{IndexError, ThreadRow, keys};
use crate::rows::TurnNo;

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
    /// What threads begin to share.
    shared: Vec<(u64, Savepoint)>,
}

impl<'i> Batch<'i> {
    pub(super) fn new(view: View, db: &'i Guarded<Database>) -> Batch<'i> {
        Batch {
            db,
            view,
            threads: BTreeMap::new(),
            removed: BTreeSet::new(),
            shared: Vec::new(),
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
            self.open(thread, stored.unwrap_or_default(), stamp)?;
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

    fn open(
        &mut self,
        thread: ThreadNumber,
        row: ThreadRow,
        stamp: Option<Stamp>,
    ) -> Result<(), IndexError> {
        let known = Known::all(thread, &row, |of| self.view.thread(of))?;
        let open = Open {
            known,
            row,
            stamp,
            is_changed: false,
            taken_back_to: None,
            name: None,
        };
        self.threads.insert(thread.0, open);
        Ok(())
    }

    /// Lets a thread that has no rows show those before a savepoint of another one, as if they were
    /// its own; its watermark is to be put there. Where a row of those changes later, all rows of
    /// the thread are to be made anew: [`Shared::Broken`].
    ///
    /// # Errors
    /// [`IndexError::Overtaken`] where the savepoint, or the other thread, is not there as it was;
    /// else as [`Batch::thread`].
    pub fn share(
        &mut self,
        thread: ThreadNumber,
        savepoint: &Savepoint,
    ) -> Result<ThreadRows<'_>, IndexError> {
        let Savepoint { prefix, row } = savepoint;
        // It may have been looked up in another state of the index.
        let key = keys::number(prefix.of, TurnNo(prefix.turns));
        let now = self.view.savepoints.get(&key, Probe::Snapshot)?;
        let base = self.view.thread(prefix.of)?.map(|base| base.shared);
        if now.as_ref() != Some(row) || base.is_none_or(|shared| shared == Shared::Broken) {
            return Err(IndexError::Overtaken(thread));
        }
        let stamp = self.view.thread(thread.0)?.as_ref().map(Stamp::of);
        let shown = ThreadRow {
            turn_rows: row.turn_rows,
            item_rows: row.item_rows,
            row_end: row.row_end,
            items_end: row.items_end,
            turn_end: row.turn_end,
            shared: Shared::Prefix(*prefix),
            ..ThreadRow::default()
        };
        self.open(thread, shown, stamp)?;
        self.shared.push((thread.0, savepoint.clone()));
        let rows = self.thread(thread)?;
        rows.open.is_changed = true;
        Ok(rows)
    }

    /// Removes all rows of a thread; those who show any of them are to be made anew. It can be
    /// filled again in the same batch.
    pub fn remove_thread(&mut self, thread: ThreadNumber) {
        self.view.forget(thread.0);
        let open = Open {
            known: Known::empty(thread),
            row: ThreadRow::default(),
            stamp: None,
            is_changed: false,
            taken_back_to: None,
            name: None,
        };
        self.threads.insert(thread.0, open);
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
            shared,
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
            let taken_back =
                |(thread, open): (&u64, &Open)| Some((*thread, Some(open.taken_back_to?)));
            let changed = removed.iter().map(|thread| (*thread, None));
            let changed = changed.chain(threads.iter().filter_map(taken_back));
            let broken = sharers::take_back(&txn, changed)?;
            for thread in &removed {
                sharers::remove(&txn, *thread)?;
                tables::clear(&txn, *thread)?;
            }
            let tallies = changes.apply(&txn)?;
            for (thread, savepoint) in &shared {
                sharers::add(&txn, *thread, savepoint)?;
            }
            write_threads(&txn, threads, &tallies)?;
            sharers::write_broken(&txn, &broken)?;
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
    let kept = threads
        .iter()
        .filter(|(thread, _)| !removed.contains(thread));
    for (thread, open) in kept {
        let now = THREADS.stored(txn, &thread.to_be_bytes())?;
        if now.as_ref().map(Stamp::of) != open.stamp {
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
    for (thread, open) in threads {
        let tally = tallies.get(&thread);
        if !open.is_changed && tally.is_none() {
            continue;
        }
        let (mut row, tally) = (open.row, tally.copied().unwrap_or_default());
        row.digest = row.digest.wrapping_add(tally.digest);
        row.rows = row.rows.wrapping_add(tally.rows);
        THREADS.write(txn, thread.to_be_bytes(), row)?;
    }
    Ok(())
}
