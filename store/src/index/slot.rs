//! Owns the index of an open store: which file or memory holds it, opening it, and what is done
//! when it cannot be trusted.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use turnleaf_engine::disk::Disk;
use turnleaf_engine::format::{StoreId, ThreadNumber};
use turnleaf_projector::index::{Index, IndexError};

use super::file;
use crate::error::Error;

/// How often the index in memory serves before the disk is asked again.
const SPARE_USES: u32 = 64;

/// The index, opened on first use.
pub(crate) struct IndexSlot {
    disk: Arc<dyn Disk>,
    store: StoreId,
    /// Whether the file may be touched: it is that of the process that owns the store.
    is_owned: bool,
    index: Mutex<Option<Index>>,
    /// Serves while the disk takes no bytes; and how many times before the disk is asked again.
    spare: Mutex<Option<(Index, u32)>>,
    /// Threads that were used since the index was opened.
    used: Mutex<HashSet<ThreadNumber>>,
    /// Log bytes that were applied since the index was durable.
    pub(super) undurable_bytes: AtomicU64,
    /// Threads that took appends since the store was opened.
    live: Mutex<HashSet<ThreadNumber>>,
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
            index: Mutex::new(None),
            spare: Mutex::new(None),
            used: Mutex::default(),
            undurable_bytes: AtomicU64::new(0),
            live: Mutex::default(),
        }
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

    /// Whether the thread was not used before, since the index was opened.
    pub(crate) fn is_first_use(&self, thread: ThreadNumber) -> bool {
        self.used().insert(thread)
    }

    fn used(&self) -> MutexGuard<'_, HashSet<ThreadNumber>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works with the index as it is, if there is one; what is wrong with it stays.
    pub(crate) fn peek<T>(
        &self,
        work: impl Fn(&Index) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        if !self.is_owned {
            return Ok(None);
        }
        let mut held = self.lock();
        if held.is_none() && file::bytes(&*self.disk)? == 0 {
            return Ok(None);
        }
        self.attempt(&mut held, work).map(Some)
    }

    /// Works with the index. One that cannot be trusted is moved aside and the work is done again
    /// on an empty one, which it fills from the log; one that the disk failed is opened again.
    /// While the disk takes no bytes, an index in memory serves: a full disk can still be read. So
    /// it does for whoever does not own the store.
    pub(crate) fn with<T>(&self, work: impl Fn(&Index) -> Result<T, Error>) -> Result<T, Error> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_owned {
            let (index, _) = match &mut *spare {
                Some(kept) => kept,
                none => none.insert((Index::in_memory(self.store)?, 0)),
            };
            return work(index);
        }
        if let Some((index, uses)) = spare.as_mut().filter(|(_, uses)| *uses > 0) {
            *uses -= 1;
            return work(index);
        }
        let error = match self.with_file(&work) {
            Err(Error::Index(error)) if error.is_disk_full() => error,
            done => {
                *spare = None;
                return done;
            }
        };
        tracing::warn!(%error, "the index is kept in memory for now");
        self.used().clear();
        let (index, uses) = match spare.take() {
            Some((index, _)) => spare.insert((index, SPARE_USES)),
            None => spare.insert((Index::in_memory(self.store)?, SPARE_USES)),
        };
        *uses -= 1;
        work(index)
    }

    fn with_file<T>(&self, work: &impl Fn(&Index) -> Result<T, Error>) -> Result<T, Error> {
        let mut held = self.lock();
        let mut error = match self.attempt(&mut held, work) {
            // Another file would end in the same.
            Err(Error::Index(error @ IndexError::RowTooLarge { .. })) => {
                return Err(Error::Index(error));
            }
            Err(Error::Index(error)) => error,
            done => return done,
        };
        if matches!(error, IndexError::Io { .. }) {
            tracing::warn!(%error, "the index is opened again");
            *held = None;
            error = match self.attempt(&mut held, work) {
                Err(Error::Index(error)) if !error.is_of_disk() => error,
                done => return done,
            };
        }
        tracing::warn!(%error, "the index is moved aside and made anew");
        *held = None;
        file::move_aside(&*self.disk);
        self.attempt(&mut held, work)
    }

    fn attempt<T>(
        &self,
        held: &mut Option<Index>,
        work: impl Fn(&Index) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let index = match held {
            Some(index) => index,
            None => {
                self.used().clear();
                held.insert(file::open(&*self.disk, self.store)?)
            }
        };
        work(index)
    }

    /// Deletes the index; the next use begins an empty one.
    pub(crate) fn discard(&self) -> Result<(), Error> {
        if !self.is_owned {
            return Err(Error::ReadOnly);
        }
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut held = self.lock();
        *held = None;
        Ok(file::remove(&*self.disk)?)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Index>> {
        // After a panic within the index its file is doubtful, so it is opened anew.
        self.index
            .lock()
            .unwrap_or_else(|poisoned: PoisonError<_>| {
                let mut held = poisoned.into_inner();
                *held = None;
                held
            })
    }
}
