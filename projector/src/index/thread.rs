//! Owns the rows of one thread within a batch, as the fold reads and writes them; it must not know
//! transactions.

use bincode::{Decode, Encode};
use turnleaf_format::{Ordinal, ThreadChain, ThreadNumber};

use super::checksum::id_hash;
use super::error::Table;
use super::known::{Known, Shared};
use super::overlay::Probe;
use super::savepoint::{SavepointRow, fits, is_to_thin, too_close};
use super::tables::NumberRow;
use super::turn_items::{Class, TurnItems};
use super::view::View;
use super::{IndexError, Order, ThreadRow, keys};
use crate::codec::{self, Id};
use crate::rows::{ItemRow, Landmarks, Rows, TurnName, TurnNo, TurnRow};

/// What tells one state of a thread's rows from another: every batch that changes them moves the
/// watermark, or their digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    applied_end: Ordinal,
    rows: u64,
    digest: u64,
    shared: Shared,
}

impl Stamp {
    pub(super) fn of(row: &ThreadRow) -> Stamp {
        Stamp {
            applied_end: row.applied_end,
            rows: row.rows,
            digest: row.digest,
            shared: row.shared,
        }
    }
}

/// A thread that the batch has touched.
pub(super) struct Open {
    pub(super) known: Known,
    pub(super) row: ThreadRow,
    /// The row as it was stored; `None` where there was none.
    pub(super) stamp: Option<Stamp>,
    pub(super) is_changed: bool,
    /// The oldest turn of which something changed that stood before a savepoint.
    pub(super) taken_back_to: Option<u32>,
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

    /// To be called before anything of a turn changes: what others share of the thread ends where
    /// the turn does.
    fn touch(&mut self, turn: TurnNo, first: Option<Ordinal>) -> Result<(), IndexError> {
        let Open { known, row, .. } = &self.open;
        if !known.is_own(turn, first) {
            return Err(IndexError::OfBase(ThreadNumber(known.thread)));
        }
        if u64::from(turn.0) + 1 >= row.savepoints_end {
            return Ok(());
        }
        for number in self.savepoints_within(turn.0, u32::MAX)? {
            self.drop_savepoint(number);
        }
        let before = self.open.taken_back_to;
        self.open.taken_back_to = Some(before.map_or(turn.0, |before| before.min(turn.0)));
        self.open.row.savepoints_end = u64::from(turn.0) + 1;
        self.open.is_changed = true;
        Ok(())
    }

    /// Numbers of its own savepoints behind a turn and before another one, the newest first.
    fn savepoints_within(&self, behind: u32, before: u32) -> Result<Vec<u32>, IndexError> {
        let thread = self.open.known.thread;
        let low = keys::number(thread, TurnNo(behind.saturating_add(1)));
        let high = keys::number(thread, TurnNo(before.saturating_sub(1)));
        let mut numbers = Vec::new();
        let savepoints = &self.view.savepoints;
        savepoints.scan(
            (low, high),
            Order::Descending,
            Probe::Snapshot,
            &mut |key, _| {
                numbers.push(keys::turn_of(key).0);
                Ok(true)
            },
        )?;
        Ok(numbers)
    }

    fn drop_savepoint(&mut self, number: u32) {
        let key = keys::number(self.open.known.thread, TurnNo(number));
        self.view.savepoints.remove(key, Probe::Snapshot);
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
        let rows = self.view.items_of(&self.open.known, turn)?;
        let (key, probe) = self.open.known.number(turn);
        self.view.turn_items.change(key, probe, |items| {
            items.unmark();
            for (key, row) in &rows {
                items.mark(*key, Class::of(row));
            }
        })
    }

    /// Takes an id from a number; without a row the number goes, too.
    fn unname(&mut self, turn: TurnNo, number: &NumberRow) -> Result<(), IndexError> {
        self.touch(turn, None)?;
        self.open.name = None;
        let (thread, probe) = self.open.known.of_turn(turn);
        let key = keys::name(thread, id_hash(&number.id.0), turn);
        self.view.names.remove(key, probe);
        self.put_number(
            turn,
            NumberRow {
                is_named: false,
                ..number.clone()
            },
        )
    }

    fn remove_item(&mut self, first: Ordinal, row: &ItemRow) -> Result<(), IndexError> {
        let (key, probe) = self.open.known.row(first);
        self.view.items.remove(key, probe);
        self.open.row.item_rows -= 1;
        self.unlink_item(first, row)
    }

    fn unlink_item(&mut self, first: Ordinal, row: &ItemRow) -> Result<(), IndexError> {
        let known = &self.open.known;
        let (hash, mut is_here) = (id_hash(&row.id), false);
        let (key, probe) = known.number(row.turn);
        self.view.turn_items.change(key, probe, |items| {
            is_here = items.drop_id(hash, first);
        })?;
        if !is_here {
            let key = keys::item_id(known.thread, row.turn, hash, first);
            self.view.item_ids.remove(key, known.own_at(first));
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
        let known = &self.open.known;
        let (hash, mut is_here) = (id_hash(&row.id), false);
        let (key, probe) = known.number(row.turn);
        self.view.turn_items.change(key, probe, |items| {
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
        let found = self.view.turn_name(&self.open.known, id)?;
        if let Some(name) = found {
            self.open.name = Some((id.to_owned(), name));
        }
        Ok(found)
    }

    fn put_turn_name(&mut self, id: &str, name: TurnName) -> Result<(), IndexError> {
        self.touch(name.turn, name.row)?;
        // The id may have named another turn, and the turn may have had another id.
        if let Some(old) = self.view.turn_name(&self.open.known, id)?
            && old.turn != name.turn
            && let Some(number) = self.view.number(&self.open.known, old.turn)?
        {
            self.unname(old.turn, &number)?;
        }
        if let Some(number) = self.view.number(&self.open.known, name.turn)?
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
        let key = keys::name(self.open.known.thread, id_hash(id), name.turn);
        self.view.names.put(key, ())?;
        self.open.name = Some((id.to_owned(), name));
        self.cover(name.row, name.turn);
        Ok(())
    }

    fn turn_id(&mut self, turn: TurnNo) -> Result<Option<String>, IndexError> {
        Ok(self
            .view
            .number(&self.open.known, turn)?
            .map(|number| number.id.0))
    }

    fn turn(&mut self, first: Ordinal) -> Result<Option<TurnRow>, IndexError> {
        self.view.turn(&self.open.known, first)
    }

    fn put_turn(&mut self, first: Ordinal, row: &TurnRow) -> Result<(), IndexError> {
        self.touch(row.turn, Some(first))?;
        if self.view.turn(&self.open.known, first)?.is_none() {
            self.open.row.turn_rows += 1;
        }
        self.view.turns.put(self.key(first), row.clone())?;
        if self.view.number(&self.open.known, row.turn)?.is_none() {
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
        self.view.newest_turns(&self.open.known, count)
    }

    fn turn_count(&mut self) -> Result<u64, IndexError> {
        Ok(self.open.row.turn_rows)
    }

    fn item_key(&mut self, turn: TurnNo, id: &str) -> Result<Option<Ordinal>, IndexError> {
        Ok(self
            .view
            .item_by_id(&self.open.known, turn, id)?
            .map(|(first, _)| first))
    }

    fn item(&mut self, first: Ordinal) -> Result<Option<ItemRow>, IndexError> {
        self.view.item(&self.open.known, first)
    }

    fn put_item(&mut self, first: Ordinal, row: &ItemRow) -> Result<(), IndexError> {
        self.touch(row.turn, Some(first))?;
        let old = self.view.item(&self.open.known, first)?;
        if let Some(old) = &old {
            self.touch(old.turn, None)?;
        }
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
        let (key, probe) = self.open.known.number(turn);
        let turn_items = &self.view.turn_items;
        let found = turn_items.ask(&key, probe, TurnItems::landmarks)?;
        Ok(found.unwrap_or_default())
    }

    fn item_count(&mut self) -> Result<u64, IndexError> {
        Ok(self.open.row.item_rows)
    }

    fn call(&mut self, first: Ordinal) -> Result<Option<ItemRow>, IndexError> {
        self.view.call(&self.open.known, first)
    }

    fn put_call(&mut self, first: Ordinal, row: &ItemRow) -> Result<(), IndexError> {
        self.touch(row.turn, Some(first))?;
        self.view.calls.put(self.key(first), row.clone())?;
        self.cover(Some(first), row.turn);
        Ok(())
    }

    fn remove_calls(&mut self, from: Ordinal) -> Result<(), IndexError> {
        for (first, turn) in self.view.calls_from(&self.open.known, from)? {
            self.touch(turn, Some(first))?;
            let (key, probe) = self.open.known.row(first);
            self.view.calls.remove(key, probe);
            self.open.is_changed = true;
        }
        Ok(())
    }

    fn keep_savepoint<S: Encode>(
        &mut self,
        at: Ordinal,
        turn: TurnNo,
        state: &S,
    ) -> Result<(), IndexError> {
        let own_from = self.open.known.own_turns_from();
        // A state that does not fit is none that others could begin with.
        let Some(state) = codec::encode(state).ok().filter(|state| fits(state)) else {
            return Ok(());
        };
        if turn.0 <= own_from {
            return Ok(());
        }
        let before = u32::try_from(self.open.row.savepoints_end.saturating_sub(1));
        if is_to_thin(before.unwrap_or(u32::MAX), turn.0) {
            let mut numbers = vec![turn.0];
            numbers.extend(self.savepoints_within(own_from, turn.0)?);
            too_close(&numbers)
                .into_iter()
                .for_each(|number| self.drop_savepoint(number));
        }
        let row = &mut self.open.row;
        let savepoint = SavepointRow {
            at: at.0,
            state,
            turn_rows: row.turn_rows,
            item_rows: row.item_rows,
            row_end: row.row_end,
            items_end: row.items_end,
            turn_end: row.turn_end,
        };
        row.savepoints_end = u64::from(turn.0) + 1;
        self.open.is_changed = true;
        let key = keys::number(self.open.known.thread, turn);
        self.view.savepoints.put(key, savepoint)
    }

    fn remove_turn(&mut self, first: Ordinal) -> Result<(), IndexError> {
        let Some(row) = self.view.turn(&self.open.known, first)? else {
            return Ok(());
        };
        self.touch(row.turn, Some(first))?;
        let (key, probe) = self.open.known.row(first);
        self.view.turns.remove(key, probe);
        self.open.row.turn_rows -= 1;
        for (item, item_row) in self.view.items_of(&self.open.known, row.turn)? {
            self.remove_item(item, &item_row)?;
        }
        let (key, probe) = self.open.known.number(row.turn);
        self.view.turn_items.remove(key, probe);
        let name = self.view.turn_name(&self.open.known, &row.id)?;
        for turn in [name
            .filter(|name| name.row == Some(first))
            .map(|name| name.turn)]
        .into_iter()
        .flatten()
        .chain([row.turn])
        {
            if let Some(number) = self.view.number(&self.open.known, turn)?
                && number.row == Some(first.0)
            {
                if number.is_named {
                    self.unname(turn, &number)?;
                }
                let (key, probe) = self.open.known.number(turn);
                self.view.numbers.remove(key, probe);
            }
        }
        self.open.is_changed = true;
        Ok(())
    }
}
