//! Owns the sums of rows: those that a thread's row states of its own rows, and those of all rows
//! that a thread shows. It must not know what rows mean.

use turnleaf_format::ThreadNumber;

use super::checksum::row_hash;
use super::known::{Known, Part, Shared};
use super::overlay::{ByteValue, Overlay, Probe, RowSum};
use super::page::Order;
use super::row::{Held, Row};
use super::view::View;
use super::{IndexError, keys};

/// The rows of a thread, summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Rows of all tables, except that of the thread itself.
    pub(super) sum: RowSum,
    pub(super) turns: u64,
    pub(super) items: u64,
}

/// Sums up the rows of a thread's own.
pub(super) fn of_own(view: &View, thread: ThreadNumber) -> Result<Tally, IndexError> {
    let known = Known::to_read(thread, Shared::Nothing, |_| Ok(None))?;
    of_shown(view, &known)
}

/// Sums up all rows that a thread shows, as if they were its own.
pub(super) fn of_shown(view: &View, known: &Known) -> Result<Tally, IndexError> {
    let mut tally = Tally::default();
    for part in known.parts() {
        let part = Shown {
            part,
            by: known.thread,
        };
        let sum = &mut tally.sum;
        tally.turns += part.add(&view.turns, sum, Shown::by_ordinal)?;
        tally.items += part.add(&view.items, sum, Shown::by_ordinal)?;
        part.add(&view.calls, sum, Shown::by_ordinal)?;
        part.add(&view.numbers, sum, Shown::by_turn)?;
        part.add(&view.names, sum, Shown::by_turn)?;
        part.add(&view.item_ids, sum, Shown::by_ordinal)?;
        part.add(&view.turn_items, sum, Shown::by_turn)?;
    }
    Ok(tally)
}

/// Rows of one thread, and the one that shows them.
struct Shown {
    part: Part,
    by: u64,
}

impl Shown {
    fn by_ordinal(&self, key: &[u8]) -> bool {
        (self.part.ordinals.0..=self.part.ordinals.1).contains(&keys::ordinal_of(key).0)
    }

    fn by_turn(&self, key: &[u8]) -> bool {
        (self.part.turns.0..self.part.turns.1).contains(&keys::turn_of(key).0)
    }

    /// Adds the rows of a table; as many were added.
    fn add<const N: usize, V: ByteValue, R: Row>(
        &self,
        overlay: &Overlay<N, V, R>,
        sum: &mut RowSum,
        is_in: impl Fn(&Shown, &[u8]) -> bool,
    ) -> Result<u64, IndexError> {
        let before = sum.rows;
        let span = keys::span(&self.part.thread.to_be_bytes());
        overlay.scan(span, Order::Ascending, Probe::Snapshot, &mut |key, held| {
            if !is_in(self, key) {
                return Ok(true);
            }
            let mut shown = *key;
            shown[..8].copy_from_slice(&self.by.to_be_bytes());
            let table = overlay.schema.table;
            match held {
                Held::Stored(_, body) => sum.add(row_hash(table, &shown, body)),
                Held::Changed(row) => {
                    let body = row.clone().bytes(overlay.schema.place("read", key), key)?;
                    sum.add(row_hash(table, &shown, &body));
                }
            }
            Ok(true)
        })?;
        Ok(sum.rows - before)
    }
}
