//! Owns the catch-up of many threads in one batch of the index. Where each lacks few records, the
//! batch costs more than they do.

use turnleaf_engine::Reader;
use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_projector::index::Index;

use crate::open::Store;

impl Store {
    /// Takes the last records of threads into the index, in one batch, all or none.
    pub(crate) fn take_short(
        &self,
        index: &Index,
        short: &[(ThreadNumber, &Reader, Ordinal)],
    ) -> Option<()> {
        if short.is_empty() {
            return Some(());
        }
        let mut batch = index.writer().ok()?;
        let mut bytes = 0;
        for (number, reader, from) in short {
            if *from > Ordinal(0) && self.index.is_first_use(*number) {
                index.reader().ok()?.check_thread(*number).ok()?;
            }
            let mut from = *from;
            while from < reader.end() {
                let span = (from, reader.end());
                let fed = self.feed_into(&mut batch, *number, reader, span, None);
                let fed = fed.ok()?;
                bytes += fed.bytes;
                from = fed.end;
            }
        }
        batch.commit(false).ok()?;
        self.note_undurable(index, bytes).ok()
    }
}
