//! Owns the index of an open store: which file or memory holds it, opening it, and what is done
//! when it cannot be trusted.
//!
//! Whoever works with the index holds [`IndexSlot::held`] shared for as long as the work takes, so
//! any number of pages and catch-ups run beside each other. It is held alone to open the index, to
//! replace or delete it, and to begin and end the use of memory on a full disk: that waits for
//! those who work with the index, and new ones wait for it.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use turnleaf_engine::disk::Disk;
use turnleaf_engine::format::{Ordinal, StoreId, ThreadNumber};
use turnleaf_projector::index::{Index, IndexError};

use super::file;
use crate::error::Error;

/// How often the index in memory serves before the disk is asked again.
const MEMORY_USES: u32 = 64;

/// How often an index is replaced for one call at most: once for its own failure, and for those
/// that others cause beside it.
const TRIES: usize = 4;

/// The index, opened on first use.
pub(crate) struct IndexSlot {
    disk: Arc<dyn Disk>,
    store: StoreId,
    /// Whether the file may be touched: it is that of the process that owns the store.
    is_owned: bool,
    held: RwLock<Held>,
    /// Threads that were used since the index was opened.
    used: Mutex<HashSet<ThreadNumber>>,
    /// Threads whose rows are caught up with the log right now, each behind a lock of its own.
    catching_up: Mutex<HashMap<ThreadNumber, Arc<Mutex<()>>>>,
    /// Log bytes that were applied since the index was durable.
    pub(super) undurable_bytes: AtomicU64,
    /// Threads that took appends since the store was opened.
    live: Mutex<HashSet<ThreadNumber>>,
    /// First rollouts of threads that are called by them, whose records say nothing of that up to
    /// there. It is about the log, whatever becomes of the index.
    passed_over: Mutex<HashMap<ThreadNumber, Ordinal>>,
}

#[derive(Default)]
struct Held {
    /// The index in its file, once it was asked for.
    file: Option<Index>,
    /// Counts the files that were given up: who meets a failure gives up no other one.
    generation: u64,
    /// Serves while the disk takes no bytes, and whoever does not own the store.
    memory: Option<InMemory>,
    /// Counts how often memory was begun with, or went on.
    memory_begun: u64,
}

impl Held {
    fn close(&mut self) {
        self.file = None;
        self.generation += 1;
    }
}

struct InMemory {
    index: Index,
    /// How many times it serves before the disk is asked again.
    uses: AtomicU32,
}

impl InMemory {
    /// Counts a use; `false` when the disk is to be asked.
    fn take_use(&self) -> bool {
        let less = |uses: u32| uses.checked_sub(1);
        let taken = self
            .uses
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok()
    }
}

impl std::fmt::Debug for IndexSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IndexSlot")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl IndexSlot {
    pub(crate) fn new(disk: Arc<dyn Disk>, store: StoreId, is_owned: bool) -> IndexSlot {
        IndexSlot {
            disk,
            store,
            is_owned,
            held: RwLock::default(),
            used: Mutex::default(),
            catching_up: Mutex::default(),
            undurable_bytes: AtomicU64::new(0),
            live: Mutex::default(),
            passed_over: Mutex::default(),
        }
    }

    /// How far the records of a first rollout are known to say nothing of what its thread is
    /// called.
    pub(super) fn passed_over(&self, rollout: ThreadNumber) -> Ordinal {
        let passed_over = self.passed_over.lock();
        let passed_over = passed_over.unwrap_or_else(PoisonError::into_inner);
        passed_over.get(&rollout).copied().unwrap_or(Ordinal(0))
    }

    /// Notes that they say nothing up to there.
    pub(super) fn pass_over(&self, rollout: ThreadNumber, end: Ordinal) {
        let passed_over = self.passed_over.lock();
        let mut passed_over = passed_over.unwrap_or_else(PoisonError::into_inner);
        passed_over.insert(rollout, end);
    }

    /// The thread took an append: what is not ended in it may go on.
    pub(crate) fn appended_to(&self, thread: ThreadNumber) {
        self.live().insert(thread);
    }

    /// Nobody works on the thread any more: it was archived or deleted.
    pub(crate) fn end_work_on(&self, thread: ThreadNumber) {
        self.live().remove(&thread);
    }

    /// Whether this process may still be at work on the thread. An import says nothing about that:
    /// what it brings was written by somebody else.
    pub(crate) fn is_live(&self, thread: ThreadNumber) -> bool {
        self.live().contains(&thread)
    }

    fn live(&self) -> MutexGuard<'_, HashSet<ThreadNumber>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread was used: its rows were checked, where that is cheap.
    pub(crate) fn mark_used(&self, thread: ThreadNumber) {
        self.used().insert(thread);
    }

    /// Whether the thread was used since the index was opened.
    pub(crate) fn is_used(&self, thread: ThreadNumber) -> bool {
        self.used().contains(&thread)
    }

    fn used(&self) -> MutexGuard<'_, HashSet<ThreadNumber>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the rows of threads while nobody else does. Others who want to catch one
    /// of them up wait, and find it done. Must not be called within itself.
    pub(super) fn alone_with<T>(&self, threads: &[ThreadNumber], work: impl FnOnce() -> T) -> T {
        // In one order, so that no two wait for each other.
        let threads: BTreeSet<ThreadNumber> = threads.iter().copied().collect();
        let mut all = self.catching_up();
        let locks = threads
            .iter()
            .map(|thread| Arc::clone(all.entry(*thread).or_default()));
        let locks: Vec<Arc<Mutex<()>>> = locks.collect();
        drop(all);
        let alone: Vec<_> = locks
            .iter()
            .map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner))
            .collect();
        let done = work();
        drop(alone);
        drop(locks);
        // Nobody else has the lock of these.
        let mut all = self.catching_up();
        all.retain(|thread, lock| !threads.contains(thread) || Arc::strong_count(lock) > 1);
        done
    }

    fn catching_up(&self) -> MutexGuard<'_, HashMap<ThreadNumber, Arc<Mutex<()>>>> {
        self.catching_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Works with the index as it is, if there is one; what is wrong with it stays.
    pub(crate) fn peek<T>(
        &self,
        work: impl Fn(&Index) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let _use = Use::begin(self);
        if !self.is_owned {
            return Ok(None);
        }
        if self.read().file.is_none() && file::bytes(&*self.disk)? == 0 {
            return Ok(None);
        }
        self.with_file(&work).1.map(Some)
    }

    /// Works with the index of the file, which is made where there is none; what is wrong with it
    /// stays. `None` for whoever does not own it, and while memory serves because the disk is full.
    pub(super) fn as_it_is<T>(
        &self,
        work: impl Fn(&Index) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let _use = Use::begin(self);
        if !self.is_owned || self.read().memory.is_some() {
            return Ok(None);
        }
        self.with_file(&work).1.map(Some)
    }

    /// Works with the index. One that cannot be trusted is moved aside and the work is done again
    /// on an empty one, which it fills from the log; one that the disk failed is opened again.
    /// While the disk takes no bytes, an index in memory serves: a full disk can still be read. So
    /// it does for whoever does not own the store. Must not be called within itself: whoever waits
    /// to replace the index would wait for the outer call, and the inner one for them.
    pub(crate) fn with<T>(&self, work: impl Fn(&Index) -> Result<T, Error>) -> Result<T, Error> {
        let _use = Use::begin(self);
        loop {
            let held = self.read();
            if let Some(memory) = &held.memory
                && (!self.is_owned || memory.take_use())
            {
                return work(&memory.index);
            }
            let begun = held.memory_begun;
            drop(held);
            if self.is_owned {
                match self.with_trusted(&work) {
                    Err(Error::Index(error)) if error.is_disk_full() => {
                        tracing::warn!(%error, "the index is kept in memory for now");
                    }
                    done => {
                        self.end_memory(begun);
                        return done;
                    }
                }
            }
            self.begin_memory()?;
        }
    }

    /// Works with the index of the file, which is replaced where it cannot be trusted.
    fn with_trusted<T>(&self, work: &impl Fn(&Index) -> Result<T, Error>) -> Result<T, Error> {
        // Others may fail beside this call, and replace the index before it does.
        for _ in 0..TRIES {
            let (seen, done) = self.with_file(work);
            let error = match done {
                Err(Error::Index(error)) if calls_for_another(&error) => error,
                done => return done,
            };
            if let Some(done) = self.replace(seen, error, work) {
                return done;
            }
        }
        self.with_file(work).1
    }

    /// Replaces the index of which `error` was met, alone, unless somebody else did. Of one that
    /// the disk failed the file is opened again, and the work done alone: nobody else's failure can
    /// be taken for one of this file. `None` where the work is to be done again beside others.
    fn replace<T>(
        &self,
        seen: u64,
        error: IndexError,
        work: &impl Fn(&Index) -> Result<T, Error>,
    ) -> Option<Result<T, Error>> {
        let mut held = self.write();
        if held.generation != seen {
            return None;
        }
        let mut error = error;
        if matches!(error, IndexError::Io { .. }) {
            tracing::warn!(%error, "the index is opened again");
            held.close();
            let done = match self.open(&mut held) {
                Ok(index) => work(index),
                Err(error) => Err(Error::Index(error)),
            };
            error = match done {
                Err(Error::Index(error)) if calls_for_another(&error) && !error.is_of_disk() => {
                    error
                }
                done => return Some(done),
            };
        }
        tracing::warn!(%error, "the index is moved aside and made anew");
        held.close();
        file::move_aside(&*self.disk);
        None
    }

    /// Works with the index of the file, which is opened if it is not; says which file it was.
    fn with_file<T>(&self, work: &impl Fn(&Index) -> Result<T, Error>) -> (u64, Result<T, Error>) {
        loop {
            let held = self.read();
            if let Some(index) = &held.file {
                return (held.generation, work(index));
            }
            drop(held);
            let mut held = self.write();
            if held.file.is_none()
                && let Err(error) = self.open(&mut held)
            {
                return (held.generation, Err(Error::Index(error)));
            }
        }
    }

    fn open<'h>(&self, held: &'h mut Held) -> Result<&'h Index, IndexError> {
        self.used().clear();
        let opened = file::open(&*self.disk, self.store)?;
        Ok(held.file.insert(opened))
    }

    fn begin_memory(&self) -> Result<(), Error> {
        let mut held = self.write();
        self.used().clear();
        held.memory_begun += 1;
        match &held.memory {
            Some(memory) => memory.uses.store(MEMORY_USES, Ordering::Relaxed),
            None => {
                held.memory = Some(InMemory {
                    index: Index::in_memory(self.store)?,
                    uses: AtomicU32::new(MEMORY_USES),
                });
            }
        }
        Ok(())
    }

    /// Ends the use of memory that was known when a call began which the file served.
    fn end_memory(&self, begun: u64) {
        if self.read().memory.is_none() {
            return;
        }
        let mut held = self.write();
        if held.memory_begun == begun {
            held.memory = None;
        }
    }

    /// Deletes the index; the next use begins an empty one.
    pub(crate) fn discard(&self) -> Result<(), Error> {
        if !self.is_owned {
            return Err(Error::ReadOnly);
        }
        let mut held = self.write();
        held.memory = None;
        held.close();
        Ok(file::remove(&*self.disk)?)
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    /// The index that this thread of execution works with.
    static USED: Cell<*const IndexSlot> = const { Cell::new(std::ptr::null()) };
}

/// A use of an index by this thread of execution. Checks that it is not within another one of the
/// same index, in builds that check.
struct Use(*const IndexSlot);

impl Use {
    fn begin(slot: &IndexSlot) -> Use {
        let slot = std::ptr::from_ref(slot);
        let before = USED.replace(slot);
        debug_assert!(before != slot, "an index is used within its own use");
        Use(before)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        USED.set(self.0);
    }
}

/// Whether another file may end otherwise.
fn calls_for_another(error: &IndexError) -> bool {
    !matches!(
        error,
        IndexError::RowTooLarge { .. } | IndexError::Overtaken(_) | IndexError::OfBase(_)
    )
}

#[cfg(test)]
mod tests;
