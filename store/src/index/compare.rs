//! Owns the comparison of the index with the log: every row is read, and the log is folded again.

use turnleaf_engine::Reader;
use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_projector::index::{Index, ThreadRow};

use crate::error::Error;
use crate::open::Store;

impl Store {
    /// Folds the records of a thread again, as far as the index has applied them, and compares
    /// what comes out with the index: counts, digest of all rows, and what the fold remembers. Says
    /// what differs; `None` when nothing does, when there is no index, or when the log is damaged
    /// where it would be folded. Memory: about a hundredth of the thread. Changes nothing.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`]; an index that cannot be used; failures of the system.
    pub fn index_difference(&self, id: &str) -> Result<Option<String>, Error> {
        self.source.find(id)?;
        let looked = self.index.peek(|index| {
            // Anew: while this waited for the index, others may have applied more.
            let (number, reader) = self.source.find(id)?;
            self.difference(index, number, &reader)
        });
        looked.map(Option::flatten)
    }

    fn difference(
        &self,
        index: &Index,
        number: ThreadNumber,
        reader: &Reader,
    ) -> Result<Option<String>, Error> {
        let Some(stored) = index.reader()?.thread(number)? else {
            return Ok(None);
        };
        index.reader()?.check_thread(number)?;
        if stored.applied_end > reader.end() {
            let (applied, end) = (stored.applied_end, reader.end());
            let ahead = format!("the index knows {applied} records, the log has {end}");
            return Ok(Some(ahead));
        }
        let scratch = Index::in_memory(self.source.store())?;
        let mut at = Ordinal(0);
        while at < stored.applied_end {
            let fed = self.feed(&scratch, number, reader, (at, stored.applied_end))?;
            if fed.met_damage {
                return Ok(None);
            }
            at = fed.end;
        }
        let folded = scratch.reader()?.thread(number)?.unwrap_or_default();
        Ok(differs(&stored, &folded))
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
