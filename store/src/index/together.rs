//! Owns the catch-up of many threads in one batch of the index. Where each lacks few records, the
//! batch costs more than they do.

use turnleaf_engine::Reader;
use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_projector::index::Index;

use super::catch_up::DURABLE_BYTES;
use crate::open::Store;

/// A thread that lacks few records: up to where the index knows it, and the log.
pub(crate) struct Short {
    pub(crate) number: ThreadNumber,
    pub(crate) from: Ordinal,
    pub(crate) reader: Reader,
}

impl Store {
    /// Takes the last records of threads into the index, in one batch, all or none. `None` when it
    /// was none: one of them was deleted, was changed by others, or cannot be taken.
    pub(crate) fn take_short(&self, index: &Index, short: &[Short]) -> Option<()> {
        if short.is_empty() {
            return Some(());
        }
        let numbers: Vec<ThreadNumber> = short.iter().map(|short| short.number).collect();
        let take = || self.take_alone(index, short);
        self.index.alone_with(&numbers, take)
    }

    fn take_alone(&self, index: &Index, short: &[Short]) -> Option<()> {
        // Rows of a thread that was deleted meanwhile are removed: they must not come back.
        let are_there = self.source.with(|state| {
            let mut all = short.iter();
            all.all(|short| state.thread_of(short.number).is_some())
        });
        if !are_there {
            return None;
        }
        let mut batch = index.writer().ok()?;
        let mut bytes = 0;
        for Short {
            number,
            from,
            reader,
        } in short
        {
            if !self.index.is_used(*number) {
                index.reader().ok()?.check_thread(*number).ok()?;
                self.index.mark_used(*number);
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
        self.note_undurable(index, bytes, DURABLE_BYTES).ok()
    }
}

#[cfg(test)]
mod tests;
