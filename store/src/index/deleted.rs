//! Owns the removal of deleted threads from the index.

use turnleaf_engine::State;
use turnleaf_engine::format::ThreadNumber;
use turnleaf_projector::index::Index;

use crate::error::Error;
use crate::open::Store;

impl Store {
    /// Removes the rows of threads. What remains of deleted ones, because the disk refused or a
    /// crash came between, goes when the index was opened again and threads are listed; nobody is
    /// shown it.
    pub(crate) fn drop_rows(&self, threads: &[ThreadNumber]) {
        let dropped = self.index.peek(|index| {
            for thread in threads {
                self.remove_rows(index, *thread)?;
            }
            Ok(index.writer()?.commit(true)?)
        });
        if let Err(error) = dropped {
            tracing::warn!(%error, "rows of a deleted thread stay in the index");
        }
    }

    /// Removes what is left in an index of threads that are deleted.
    pub(crate) fn drop_rows_of_deleted(&self, index: &Index) -> Result<(), Error> {
        let numbers = |state: &State| {
            let deleted = state.deleted();
            deleted
                .flat_map(|(number, _)| state.rollouts_of(number))
                .collect()
        };
        let mut deleted: Vec<ThreadNumber> = self.source.with(numbers);
        deleted.retain(|thread| !self.index.is_used(*thread));
        let mut dropped = false;
        for thread in deleted {
            if index.reader()?.thread(thread)?.is_some() {
                self.remove_rows(index, thread)?;
                dropped = true;
            }
            self.index.mark_used(thread);
        }
        if dropped {
            index.writer()?.commit(true)?;
        }
        Ok(())
    }

    /// Whoever catches the thread up finds that it is deleted, or is done before.
    fn remove_rows(&self, index: &Index, thread: ThreadNumber) -> Result<(), Error> {
        self.index.alone_with(&[thread], || {
            let mut batch = index.writer()?;
            batch.remove_thread(thread);
            batch.commit(false)?;
            // Lists hold texts of it, too; a rollout that is no thread stands in none. Nobody puts
            // it there again who looked before it was deleted.
            let mut unlisted = index.unlisted();
            unlisted.remove(&thread);
            Ok(index.put_listings(&[(thread, None)])?)
        })
    }
}
