//! Owns the removal of deleted threads from the index.

use turnleaf_engine::State;
use turnleaf_engine::format::ThreadNumber;

use crate::error::Error;
use crate::open::Store;

impl Store {
    /// Removes the rows of threads. What remains of deleted ones, because the disk refused or a
    /// crash came between, goes when the index was opened again and threads are listed; nobody is
    /// shown it.
    pub(crate) fn drop_rows(&self, threads: &[ThreadNumber]) {
        let dropped = self.index.peek(|index| {
            for thread in threads {
                // Whoever catches the thread up finds that it is deleted, or is done before.
                self.index.alone_with(&[*thread], || {
                    let mut batch = index.writer()?;
                    batch.remove_thread(*thread);
                    batch.commit(false)
                })?;
            }
            Ok(index.writer()?.commit(true)?)
        });
        if let Err(error) = dropped {
            tracing::warn!(%error, "rows of a deleted thread stay in the index");
        }
    }

    /// Removes what is left in the index of threads that are deleted.
    pub(crate) fn drop_rows_of_deleted(&self) -> Result<(), Error> {
        let numbers = |state: &State| {
            let deleted = state.deleted();
            deleted
                .flat_map(|(number, _)| state.rollouts_of(number))
                .collect()
        };
        let mut deleted: Vec<ThreadNumber> = self.source.with(numbers);
        deleted.retain(|thread| !self.index.is_used(*thread));
        if deleted.is_empty() {
            return Ok(());
        }
        let left = self.index.with(|index| {
            let reader = index.reader()?;
            let mut left = Vec::new();
            for thread in &deleted {
                if reader.thread(*thread)?.is_some() {
                    left.push(*thread);
                }
            }
            Ok(left)
        })?;
        if !left.is_empty() {
            self.drop_rows(&left);
        }
        for thread in deleted {
            self.index.mark_used(thread);
        }
        Ok(())
    }
}
