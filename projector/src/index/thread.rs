//! Owns the rows of one thread within a batch, as the fold reads and writes them; it must not know
//! transactions.

use bincode::{Decode, Encode};
use turnleaf_format::{Ordinal, ThreadChain};

use super::checksum::{checked_body, id_hash};
use super::error::{Damage, Place, Table};
use super::row::Row;
use super::tables::{Known, NumberRow};
use super::turn_items::{Class, TurnItems};
use super::view::View;
use super::{IndexError, ThreadRow, keys};
use crate::codec::{self, Id};
use crate::rows::{ItemRow, Landmarks, Rows, TurnName, TurnNo, TurnRow};

/// What tells one state of a thread's rows from another: every batch that changes them moves the
/// watermark, or their digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    applied_end: Ordinal,
    rows: u64,
    digest: u64,
}

impl Stamp {
    pub(super) fn of(row: &ThreadRow) -> Stamp {
        Stamp {
            applied_end: row.applied_end,
            rows: row.rows,
            digest: row.digest,
        }
    }

    /// The stamp of a stored row.
    pub(super) fn read(place: Place, key: &[u8], value: &[u8]) -> Result<Stamp, IndexError> {
        let body = checked_body(Table::Threads, key, value);
        let body = body.ok_or_else(|| place.damaged(Damage::Checksum))?;
        let row = <ThreadRow as Row>::decode(key, body).map_err(|error| place.damaged(error))?;
        Ok(Stamp::of(&row))
    }
}

/// A thread that the batch has touched.
pub(super) struct Open {
    pub(super) known: Known,
    pub(super) row: ThreadRow,
    /// The row as it was stored; `None` where there was none.
    pub(super) stamp: Option<Stamp>,
    pub(super) is_changed: bool,
    /// The name that was asked for last; records of one turn come in a row.
    pub(super) name: Option<(String, TurnName)>,
}

/// One thread within a batch.
pub struct ThreadRows<'b> {
    pub(super) view: &'b mut View,
    pub(super) open: &'b mut Open,
}

impl ThreadRows<'_> {
    /// Watermark, state and counts. Digest and row count are those before the batch.
    #[must_use]
    pub fn row(&self) -> &ThreadRow {
        &self.open.row
    }

    /// The stored fold state; `None` when there is none yet.
    ///
    /// # Errors
    /// Damage when the bytes are not a state.
    pub fn state<S: Decode<()>>(&self) -> Result<Option<S>, IndexError> {
        if self.open.row.state.is_empty() {
            return Ok(None);
        }
        let place = self.open.known.place(Table::Threads);
        codec::decode(&self.open.row.state)
            .map(Some)
            .map_err(|error| place.damaged(error))
    }

    /// Says up to where the rows are applied, with the thread chain and the fold state there.
    ///
    /// # Errors
    /// [`IndexError::RowTooLarge`] for a state that does not fit.
    pub fn put_watermark<S: Encode>(
        &mut self,
        applied_end: Ordinal,
        chain: ThreadChain,
        state: &S,
    ) -> Result<(), IndexError> {
        let row = &mut self.open.row;
        let place = self.open.known.place(Table::Threads);
        row.state = codec::encode(state).map_err(|error| IndexError::RowTooLarge {
            place,
            bytes: error.bytes,
        })?;
        (row.applied_end, row.chain) = (applied_end, chain);
        self.open.is_changed = true;
        Ok(())
    }

    fn key(&self, first: Ordinal) -> keys::RowKey {
        keys::row(self.open.known.thread, first)
    }

    fn cover(&mut self, first: Option<Ordinal>, turn: TurnNo) {
        let row = &mut self.open.row;
        row.row_end = row
            .row_end
            .max(first.map_or(0, |first| first.0.saturating_add(1)));
        row.turn_end = row.turn_end.max(u64::from(turn.0) + 1);
        self.open.is_changed = true;
    }

    fn put_number(&mut self, turn: TurnNo, row: NumberRow) -> Result<(), IndexError> {
        let key = keys::number(self.open.known.thread, turn);
        self.view.numbers.put(key, row)
    }

    /// Marks the landmarks of a turn again, from its items.
    fn mark_again(&mut self, turn: TurnNo) -> Result<(), IndexError> {
        let known = self.open.known;
        let rows = self.view.items_of(known, turn)?;
        let key = keys::number(known.thread, turn);
        self.view.turn_items.change(key, known.of(turn), |items| {
            items.unmark();
            for (key, row) in &rows {
                items.mark(*key, Class::of(row));
            }
        })
    }

    /// Takes an id from a number; without a row the number goes, too.
    fn unname(&mut self, turn: TurnNo, number: &NumberRow) -> Result<(), IndexError> {
        let known = self.open.known;
        self.open.name = None;
        let key = keys::name(known.thread, id_hash(&number.id.0), turn);
        self.view.names.remove(key, known.of(turn));
        self.put_number(
            turn,
            NumberRow {
                is_named: false,
                ..number.clone()
            },
        )
    }

    fn remove_item(&mut self, first: Ordinal, row: &ItemRow) -> Result<(), IndexError> {
        let known = self.open.known;
        self.view.items.remove(self.key(first), known.at(first));
        self.open.row.item_rows -= 1;
        self.unlink_item(first, row)
    }

    fn unlink_item(&mut self, first: Ordinal, row: &ItemRow) -> Result<(), IndexError> {
        let known = self.open.known;
        let (hash, mut is_here) = (id_hash(&row.id), false);
        let key = keys::number(known.thread, row.turn);
        self.view
            .turn_items
            .change(key, known.of(row.turn), |items| {
                is_here = items.drop_id(hash, first);
            })?;
        if !is_here {
            let key = keys::item_id(known.thread, row.turn, hash, first);
            self.view.item_ids.remove(key, known.at(first));
        }
        Ok(())
    }

    /// Lets the turn of an item lead to it.
    fn link_item(
        &mut self,
        first: Ordinal,
        row: &ItemRow,
        items_end: u64,
    ) -> Result<(), IndexError> {
        let known = self.open.known;
        let (hash, mut is_here) = (id_hash(&row.id), false);
        let key = keys::number(known.thread, row.turn);
        self.view
            .turn_items
            .change(key, known.of(row.turn), |items| {
                items.add(first, Class::of(row), items_end);
                is_here = items.keep_id(hash, first);
            })?;
        if is_here {
            return Ok(());
        }
        let key = keys::item_id(known.thread, row.turn, hash, first);
        self.view.item_ids.put(key, ())
    }
}

impl Rows for ThreadRows<'_> {
    type Error = IndexError;

    fn turn_name(&mut self, id: &str) -> Result<Option<TurnName>, IndexError> {
        if let Some((last, name)) = &self.open.name
            && last == id
        {
            return Ok(Some(*name));
        }
        let found = self.view.turn_name(self.open.known, id)?;
        if let Some(name) = found {
            self.open.name = Some((id.to_owned(), name));
        }
        Ok(found)
    }

    fn put_turn_name(&mut self, id: &str, name: TurnName) -> Result<(), IndexError> {
        let known = self.open.known;
        // The id may have named another turn, and the turn may have had another id.
        if let Some(old) = self.view.turn_name(known, id)?
            && old.turn != name.turn
            && let Some(number) = self.view.number(known, old.turn)?
        {
            self.unname(old.turn, &number)?;
        }
        if let Some(number) = self.view.number(known, name.turn)?
            && number.is_named
            && number.id.0 != id
        {
            self.unname(name.turn, &number)?;
        }
        let row = name.row.map(|row| row.0);
        self.put_number(
            name.turn,
            NumberRow {
                id: Id(id.to_owned()),
                row,
                is_named: true,
            },
        )?;
        self.view
            .names
            .put(keys::name(known.thread, id_hash(id), name.turn), ())?;
        self.open.name = Some((id.to_owned(), name));
        self.cover(name.row, name.turn);
        Ok(())
    }

    fn turn_id(&mut self, turn: TurnNo) -> Result<Option<String>, IndexError> {
        Ok(self
            .view
            .number(self.open.known, turn)?
            .map(|number| number.id.0))
    }

    fn turn(&mut self, first: Ordinal) -> Result<Option<TurnRow>, IndexError> {
        self.view.turn(self.open.known, first)
    }

    fn put_turn(&mut self, first: Ordinal, row: &TurnRow) -> Result<(), IndexError> {
        let known = self.open.known;
        if self.view.turn(known, first)?.is_none() {
            self.open.row.turn_rows += 1;
        }
        self.view.turns.put(self.key(first), row.clone())?;
        if self.view.number(known, row.turn)?.is_none() {
            let number = NumberRow {
                id: Id(row.id.clone()),
                row: Some(first.0),
                is_named: false,
            };
            self.put_number(row.turn, number)?;
        }
        self.cover(Some(first), row.turn);
        Ok(())
    }

    fn newest_turns(&mut self, count: usize) -> Result<Vec<Ordinal>, IndexError> {
        self.view.newest_turns(self.open.known, count)
    }

    fn turn_count(&mut self) -> Result<u64, IndexError> {
        Ok(self.open.row.turn_rows)
    }

    fn item_key(&mut self, turn: TurnNo, id: &str) -> Result<Option<Ordinal>, IndexError> {
        Ok(self
            .view
            .item_by_id(self.open.known, turn, id)?
            .map(|(first, _)| first))
    }

    fn item(&mut self, first: Ordinal) -> Result<Option<ItemRow>, IndexError> {
        self.view.item(self.open.known, first)
    }

    fn put_item(&mut self, first: Ordinal, row: &ItemRow) -> Result<(), IndexError> {
        let known = self.open.known;
        let old = self.view.item(known, first)?;
        self.view.items.put(self.key(first), row.clone())?;
        let items_end = self.open.row.items_end;
        self.open.row.items_end = items_end.max(first.0.saturating_add(1));
        self.cover(Some(first), row.turn);
        let Some(old) = old else {
            self.open.row.item_rows += 1;
            return self.link_item(first, row, items_end);
        };
        let is_same = (old.turn, &old.id) == (row.turn, &row.id);
        if !is_same {
            self.unlink_item(first, &old)?;
            self.link_item(first, row, items_end)?;
        }
        if !is_same || Class::of(&old) != Class::of(row) {
            self.mark_again(old.turn)?;
            self.mark_again(row.turn)?;
        }
        Ok(())
    }

    fn landmarks(&mut self, turn: TurnNo) -> Result<Landmarks, IndexError> {
        let known = self.open.known;
        let key = keys::number(known.thread, turn);
        let found = self
            .view
            .turn_items
            .ask(&key, known.of(turn), TurnItems::landmarks)?;
        Ok(found.unwrap_or_default())
    }

    fn item_count(&mut self) -> Result<u64, IndexError> {
        Ok(self.open.row.item_rows)
    }

    fn call(&mut self, first: Ordinal) -> Result<Option<ItemRow>, IndexError> {
        self.view.call(self.open.known, first)
    }

    fn put_call(&mut self, first: Ordinal, row: &ItemRow) -> Result<(), IndexError> {
        self.view.calls.put(self.key(first), row.clone())?;
        self.cover(Some(first), row.turn);
        Ok(())
    }

    fn remove_calls(&mut self, from: Ordinal) -> Result<(), IndexError> {
        let known = self.open.known;
        for first in self.view.calls_from(known, from)? {
            self.view.calls.remove(self.key(first), known.at(first));
            self.open.is_changed = true;
        }
        Ok(())
    }

    fn remove_turn(&mut self, first: Ordinal) -> Result<(), IndexError> {
        let known = self.open.known;
        let Some(row) = self.view.turn(known, first)? else {
            return Ok(());
        };
        self.view.turns.remove(self.key(first), known.at(first));
        self.open.row.turn_rows -= 1;
        for (item, item_row) in self.view.items_of(known, row.turn)? {
            self.remove_item(item, &item_row)?;
        }
        let key = keys::number(known.thread, row.turn);
        self.view.turn_items.remove(key, known.of(row.turn));
        let name = self.view.turn_name(known, &row.id)?;
        for turn in [name
            .filter(|name| name.row == Some(first))
            .map(|name| name.turn)]
        .into_iter()
        .flatten()
        .chain([row.turn])
        {
            if let Some(number) = self.view.number(known, turn)?
                && number.row == Some(first.0)
            {
                if number.is_named {
                    self.unname(turn, &number)?;
                }
                self.view
                    .numbers
                    .remove(keys::number(known.thread, turn), known.of(turn));
            }
        }
        self.open.is_changed = true;
        Ok(())
    }
}
