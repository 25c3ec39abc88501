//! Owns the comparison of the index with the log: every row is read, and the log is folded again.

use turnleaf_engine::Reader;
use turnleaf_engine::format::{Ordinal, ThreadChain, ThreadNumber};
use turnleaf_projector::index::{Index, Shared, ThreadRow};

use crate::error::Error;
use crate::older_log::OlderLog;
use crate::open::Store;

impl Store {
    /// Folds the records of a thread again, as far as the index has applied them, and compares
    /// what comes out with the index: counts, digest of all rows, what the fold remembers, and
    /// where lists show the thread. Says what differs; `None` when nothing does, when there is no
    /// index, or when the log is damaged where it would be folded. Changes nothing.
    ///
    /// Cost: reads every record of the thread once; memory of about a hundredth of the thread.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// if let Some(how) = store.index_difference("my-thread")? {
    ///     println!("the index is to be rebuilt: {how}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`]; an index that cannot be used; failures of the system.
    pub fn index_difference(&self, id: &str) -> Result<Option<String>, Error> {
        let thread = self.source.find_thread(id)?;
        let looked = self.index.peek(|index| {
            let (rows, number, reader) = self.rows_and_log(index, id)?;
            let stored = rows.thread(number)?;
            // Broken ones are made anew when they are asked for.
            let stored = match stored.filter(|row| row.shared != Shared::Broken) {
                None => None,
                Some(_) => {
                    rows.check_thread(number)?;
                    rows.as_its_own(number)?
                }
            };
            let is_listed_right = self.is_listed_right(&rows, thread)?;
            Ok(stored.map(|stored| (stored, number, reader, is_listed_right)))
        });
        // The log is folded again without the index: that takes as long as the thread is.
        match looked?.flatten() {
            Some((.., false)) => Ok(Some("lists do not show the thread as it is".to_owned())),
            Some((stored, number, reader, true)) => self.difference(&stored, number, &reader),
            None => Ok(None),
        }
    }

    /// Whether the rows of a thread are those of the log up to their watermark. The log decides;
    /// rows that are not are made anew.
    pub(super) fn may_continue(
        &self,
        number: ThreadNumber,
        reader: &Reader,
        applied: Ordinal,
        chain: ThreadChain,
    ) -> bool {
        if applied > reader.end() {
            // The index applies only what is durable: records that it knows and the log does not
            // have were acknowledged, and are not in this copy of it. [R:index-2]
            self.saw_older_log(OlderLog {
                thread: self.source.with(|state| {
                    let id = state.id_of(number);
                    id.map_or_else(String::new, ToString::to_string)
                }),
                log_end: reader.end(),
                index_end: applied,
            });
            return false;
        }
        // A batch that ended before the log did left no chain, and within a run the log's is not
        // known without reading. [R:index-1] [R:index-3]
        let known = Some(chain).filter(|chain| *chain != ThreadChain::default());
        let right = match (known, reader.chain_at(applied)) {
            _ if applied == reader.end() => chain == reader.chain(),
            (Some(applied), Some(stored)) => applied == stored,
            _ => true,
        };
        if !right {
            tracing::error!(
                rollout = number.0,
                "the index is of another history and is made anew"
            );
        }
        right
    }

    fn difference(
        &self,
        stored: &ThreadRow,
        number: ThreadNumber,
        reader: &Reader,
    ) -> Result<Option<String>, Error> {
        if stored.applied_end > reader.end() {
            let (applied, end) = (stored.applied_end, reader.end());
            let ahead = format!("the index knows {applied} records, the log has {end}");
            return Ok(Some(ahead));
        }
        let scratch = Index::in_memory(self.source.store())?;
        let mut at = Ordinal(0);
        // Also of a thread that shows no record it is known what it was called.
        loop {
            let fed = self.feed(&scratch, number, reader, (at, stored.applied_end))?;
            if !fed.damage.is_empty() {
                return Ok(None);
            }
            at = fed.end;
            if at >= stored.applied_end {
                break;
            }
        }
        let folded = scratch.reader()?.thread(number)?.unwrap_or_default();
        Ok(differs(stored, &folded))
    }
}

fn differs(stored: &ThreadRow, folded: &ThreadRow) -> Option<String> {
    let figures = |row: &ThreadRow| [row.turn_rows, row.item_rows, row.rows];
    let ([turns, items, rows], expect) = (figures(stored), figures(folded));
    if [turns, items, rows] != expect {
        let [t, i, r] = expect;
        return Some(format!(
            "the index has {turns} turns, {items} items, {rows} rows; the log makes {t}, {i}, {r}"
        ));
    }
    let same = stored.digest == folded.digest && stored.state == folded.state;
    (!same).then(|| "the rows of the index are not those that the log makes".to_owned())
}

#[cfg(test)]
mod tests;
