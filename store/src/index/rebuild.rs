//! Owns the rebuild of the whole index from the log.

use crate::error::Error;
use crate::open::Store;

/// What a rebuild did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// Threads in the index now.
    pub threads: u64,
    /// Records that were applied.
    pub records: u64,
    /// Their payload bytes.
    pub bytes: u64,
}

impl Store {
    /// Deletes the index and builds it again from the log. `progress` is told the payload bytes
    /// applied so far. The index is durable when this returns; the log is not changed.
    ///
    /// Cost: reads the notes of all segments and the records that have none; appends go on
    /// meanwhile.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let report = store.rebuild_index(&mut |_| {})?;
    /// println!("{} records of {} threads", report.records, report.threads);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] where another process may own the store; failures of the
    /// system. Damage costs the records that it names.
    pub fn rebuild_index(&self, progress: &mut dyn FnMut(u64)) -> Result<RebuildReport, Error> {
        self.index.discard()?;
        let mut report = RebuildReport::default();
        for summary in self.log_threads() {
            let applied = self.index.with(|index| {
                let done = self.catch_up(index, &summary.id)?;
                Ok((done.bytes, done.end.0))
            });
            let (bytes, records) = match applied {
                // It was deleted since.
                Err(Error::NoThread(_)) => continue,
                applied => applied?,
            };
            report.bytes += bytes;
            report.threads += 1;
            report.records += records;
            progress(report.bytes);
        }
        self.index.with(|index| Ok(index.writer()?.commit(true)?))?;
        Ok(report)
    }
}
