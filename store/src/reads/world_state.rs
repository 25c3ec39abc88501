//! Owns the world state of a thread at any of its records, from the log alone.

use std::ops::ControlFlow;

use turnleaf_engine::format::Ordinal;
use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_projector::world_state::{WorldState, WorldStateScan};

use crate::error::Error;
use crate::lines::whole_line;
use crate::open::Store;

impl Store {
    /// The world state after record `at`, by default the newest one. Reads back to the newest
    /// baseline or compaction before it, which is all that it costs; needs no index. `None` when
    /// there is no baseline.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// if let Some(state) = store.world_state("my-thread", None)? {
    ///     println!("{state:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`]; [`crate::ErrorKind::Invalid`] for an ordinal beyond the
    /// thread; damage within the records that are needed.
    pub fn world_state(&self, id: &str, at: Option<Ordinal>) -> Result<Option<WorldState>, Error> {
        let (_, reader) = self.source.find(id)?;
        let end = match at {
            None => reader.end(),
            Some(at) if at < reader.end() => at.plus(1),
            Some(_) => {
                return Err(Error::BadArgument(
                    "the thread has no record of this ordinal",
                ));
            }
        };
        let mut scan = WorldStateScan::default();
        let mut failed = None;
        let walked = reader.records_back(end, &mut |record| {
            let Some(bytes) = record.bytes().filter(|_| record.kind == Kind::LINE) else {
                return ControlFlow::Continue(());
            };
            if !record.flags.has(Flags::CONTINUES) {
                return scan.feed(record.ordinal, bytes);
            }
            match whole_line(&reader, record.to_owned_record()) {
                Ok(line) => scan.feed(record.ordinal, &line),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        let walked = walked.and(failed.map_or(Ok(()), Err));
        self.noting(walked.map_err(Error::of_read(id)))?;
        Ok(scan.finish())
    }
}
