//! Owns the queries over rows, the same for a page that is read and for a batch that is written; it
//! must not know transactions.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use bincode::{Decode, Encode};
use redb::WriteTransaction;
use turnleaf_format::{Ordinal, ThreadChain, ThreadNumber};

use super::error::{Damage, Fault, Place, Table};
use super::keys::{self, ItemIdKey, NameKey, RowKey, ThreadKey, TurnItemKey};
use super::layer::{Below, Body, Changes, Layer, Mark, Schema, Sealed, Snapshot, Tally};
use super::page::{Order, Page, PageRequest};
use super::seal::{id_hash, row_hash};
use super::{IndexError, ThreadRow};
use crate::codec::{self, Shift};
use crate::rows::{ItemRow, TurnName, TurnNo, TurnRow};

pub(super) const THREADS: Schema<8, Body> = Schema::new(Table::Threads, "threads");
pub(super) const TURNS: Schema<16, Body> = Schema::new(Table::Turns, "turns");
pub(super) const ITEMS: Schema<16, Body> = Schema::new(Table::Items, "items");
pub(super) const NUMBERS: Schema<12, Body> = Schema::new(Table::TurnNumbers, "turn_numbers");
pub(super) const NAMES: Schema<16, Mark> = Schema::new(Table::TurnNames, "turn_names");
pub(super) const ITEM_IDS: Schema<24, Mark> = Schema::new(Table::ItemIds, "item_ids");
pub(super) const TURN_ITEMS: Schema<20, Mark> = Schema::new(Table::TurnItems, "turn_items");

/// What stands behind a turn number.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct NumberRow {
    pub(super) id: String,
    /// Key of the turn row.
    pub(super) row: Option<u64>,
    /// Whether the id names this turn: of several turns with one id, only the first is named.
    pub(super) is_named: bool,
}

/// What the snapshot can hold of a thread; a reader does not know and looks always.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) thread: u64,
    pub(super) row_end: u64,
    pub(super) turn_end: u64,
}

impl Known {
    pub(super) fn nothing(thread: ThreadNumber) -> Known {
        Known { thread: thread.0, row_end: u64::MAX, turn_end: u64::MAX }
    }

    pub(super) fn all(thread: ThreadNumber, row: &ThreadRow) -> Known {
        Known { thread: thread.0, row_end: row.row_end, turn_end: row.turn_end }
    }

    pub(super) fn at(&self, first: Ordinal) -> Below {
        Below::when(first.0 < self.row_end || self.row_end == u64::MAX)
    }

    pub(super) fn of(&self, turn: TurnNo) -> Below {
        Below::when(u64::from(turn.0) < self.turn_end)
    }

    fn any(&self) -> Below {
        Below::when(self.row_end > 0 || self.turn_end > 0)
    }

    pub(super) fn place(&self, table: Table) -> Place {
        Place::new("read").table(table).thread(self.thread)
    }
}

/// All tables of one snapshot, with the changes above it.
pub(super) struct View {
    pub(super) threads: Layer<8, Body>,
    pub(super) turns: Layer<16, Body>,
    pub(super) items: Layer<16, Body>,
    pub(super) numbers: Layer<12, Body>,
    pub(super) names: Layer<16, Mark>,
    pub(super) item_ids: Layer<24, Mark>,
    pub(super) turn_items: Layer<20, Mark>,
}

/// The changes of a view.
pub(super) struct ViewChanges {
    turns: Changes<16>,
    items: Changes<16>,
    numbers: Changes<12>,
    names: Changes<16>,
    item_ids: Changes<24>,
    turn_items: Changes<20>,
}

impl ViewChanges {
    /// Writes all changes, table after table, each in the order of its keys.
    pub(super) fn apply(self, txn: &WriteTransaction) -> Result<BTreeMap<u64, Tally>, Fault> {
        let mut tallies = BTreeMap::new();
        TURNS.apply(txn, self.turns, &mut tallies)?;
        ITEMS.apply(txn, self.items, &mut tallies)?;
        NUMBERS.apply(txn, self.numbers, &mut tallies)?;
        NAMES.apply(txn, self.names, &mut tallies)?;
        ITEM_IDS.apply(txn, self.item_ids, &mut tallies)?;
        TURN_ITEMS.apply(txn, self.turn_items, &mut tallies)?;
        Ok(tallies)
    }
}

/// Removes all rows of a thread, its own one included.
pub(super) fn clear(txn: &WriteTransaction, thread: u64) -> Result<(), Fault> {
    THREADS.clear(txn, thread)?;
    TURNS.clear(txn, thread)?;
    ITEMS.clear(txn, thread)?;
    NUMBERS.clear(txn, thread)?;
    NAMES.clear(txn, thread)?;
    ITEM_IDS.clear(txn, thread)?;
    TURN_ITEMS.clear(txn, thread)
}

/// Creates the tables of an empty index.
pub(super) fn create(txn: &WriteTransaction) -> Result<(), Fault> {
    txn.open_table(THREADS.definition)?;
    txn.open_table(TURNS.definition)?;
    txn.open_table(ITEMS.definition)?;
    txn.open_table(NUMBERS.definition)?;
    txn.open_table(NAMES.definition)?;
    txn.open_table(ITEM_IDS.definition)?;
    txn.open_table(TURN_ITEMS.definition)?;
    Ok(())
}

impl View {
    pub(super) fn new(snapshot: &Snapshot) -> View {
        View {
            threads: Layer::new(THREADS, snapshot),
            turns: Layer::new(TURNS, snapshot),
            items: Layer::new(ITEMS, snapshot),
            numbers: Layer::new(NUMBERS, snapshot),
            names: Layer::new(NAMES, snapshot),
            item_ids: Layer::new(ITEM_IDS, snapshot),
            turn_items: Layer::new(TURN_ITEMS, snapshot),
        }
    }

    /// Ends the snapshot and keeps the changes.
    pub(super) fn into_changes(self) -> ViewChanges {
        ViewChanges {
            turns: self.turns.into_changes(),
            items: self.items.into_changes(),
            numbers: self.numbers.into_changes(),
            names: self.names.into_changes(),
            item_ids: self.item_ids.into_changes(),
            turn_items: self.turn_items.into_changes(),
        }
    }

    pub(super) fn is_unchanged(&self) -> bool {
        self.turns.is_unchanged()
            && self.items.is_unchanged()
            && self.numbers.is_unchanged()
            && self.names.is_unchanged()
            && self.item_ids.is_unchanged()
            && self.turn_items.is_unchanged()
    }

    /// Forgets the changes of a thread.
    pub(super) fn forget(&mut self, thread: u64) {
        self.turns.forget(thread);
        self.items.forget(thread);
        self.numbers.forget(thread);
        self.names.forget(thread);
        self.item_ids.forget(thread);
        self.turn_items.forget(thread);
    }

    pub(super) fn thread(&self, thread: u64) -> Result<Option<ThreadRow>, IndexError> {
        let key: ThreadKey = thread.to_be_bytes();
        let place = Place::new("read").table(Table::Threads).thread(thread);
        self.threads.get(&key, Below::Look, |body| decoded(place, body))
    }

    pub(super) fn turn(&self, known: Known, first: Ordinal) -> Found<TurnRow> {
        let key = keys::row(known.thread, first);
        self.turns.get(&key, known.at(first), |body| shifted(known, Table::Turns, first, body))
    }

    pub(super) fn item(&self, known: Known, first: Ordinal) -> Found<ItemRow> {
        let key = keys::row(known.thread, first);
        self.items.get(&key, known.at(first), |body| shifted(known, Table::Items, first, body))
    }

    pub(super) fn number(&self, known: Known, turn: TurnNo) -> Found<NumberRow> {
        let key = keys::number(known.thread, turn);
        let place = known.place(Table::TurnNumbers);
        self.numbers.get(&key, known.of(turn), |body| decoded(place, body))
    }

    pub(super) fn turn_name(&self, known: Known, id: &str) -> Found<TurnName> {
        let prefix = keys::name(known.thread, id_hash(id), TurnNo(0));
        let mut found = None;
        let span = keys::span::<{ size_of::<NameKey>() }>(&prefix[..12]);
        self.names.scan(span, Order::Ascending, known.any(), &mut |key, _| {
            let turn = keys::turn_of(key);
            let number = self.number(known, turn)?;
            let number = number.ok_or_else(|| dangling(known, Table::TurnNames))?;
            if number.id == id {
                found = Some(TurnName { turn, row: number.row.map(Ordinal) });
            }
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    pub(super) fn item_by_id(
        &self,
        known: Known,
        turn: TurnNo,
        id: &str,
    ) -> Found<(Ordinal, ItemRow)> {
        let prefix = keys::item_id(known.thread, turn, id_hash(id), Ordinal(0));
        let mut found = None;
        let span = keys::span::<{ size_of::<ItemIdKey>() }>(&prefix[..16]);
        self.item_ids.scan(span, Order::Ascending, known.of(turn), &mut |key, _| {
            let first = keys::ordinal_of(key);
            let row = self.item(known, first)?;
            let row = row.ok_or_else(|| dangling(known, Table::ItemIds))?;
            if row.id == id {
                found = Some((first, row));
            }
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    pub(super) fn newest_turns(
        &self,
        known: Known,
        count: usize,
    ) -> Result<Vec<Ordinal>, IndexError> {
        let mut newest = Vec::new();
        if count == 0 {
            return Ok(newest);
        }
        let span = keys::span(&known.thread.to_be_bytes());
        self.turns.scan(span, Order::Descending, known.any(), &mut |key, _| {
            newest.push(keys::ordinal_of(key));
            Ok(newest.len() < count)
        })?;
        Ok(newest)
    }

    pub(super) fn turns_page(
        &self,
        known: Known,
        request: &PageRequest,
    ) -> Result<Page<TurnRow>, IndexError> {
        let mut page = Page { rows: Vec::new(), more: false };
        let Some((low, high)) = request.span() else { return Ok(page) };
        let span: (RowKey, RowKey) =
            (keys::row(known.thread, low), keys::row(known.thread, high));
        self.turns.scan(span, request.order, known.any(), &mut |key, body| {
            let first = keys::ordinal_of(key);
            fill(&mut page, request, first, || shifted(known, Table::Turns, first, body))
        })?;
        Ok(page)
    }

    pub(super) fn items_page(
        &self,
        known: Known,
        turn: Option<TurnNo>,
        request: &PageRequest,
    ) -> Result<Page<ItemRow>, IndexError> {
        let mut page = Page { rows: Vec::new(), more: false };
        let Some((low, high)) = request.span() else { return Ok(page) };
        let Some(turn) = turn else {
            let span = (keys::row(known.thread, low), keys::row(known.thread, high));
            self.items.scan(span, request.order, known.any(), &mut |key, body| {
                let first = keys::ordinal_of(key);
                fill(&mut page, request, first, || shifted(known, Table::Items, first, body))
            })?;
            return Ok(page);
        };
        let span: (TurnItemKey, TurnItemKey) = (
            keys::turn_item(known.thread, turn, low),
            keys::turn_item(known.thread, turn, high),
        );
        self.turn_items.scan(span, request.order, known.of(turn), &mut |key, _| {
            let first = keys::ordinal_of(key);
            fill(&mut page, request, first, || {
                let row = self.item(known, first)?;
                row.ok_or_else(|| dangling(known, Table::TurnItems))
            })
        })?;
        Ok(page)
    }

    pub(super) fn items_of(
        &self,
        known: Known,
        turn: TurnNo,
    ) -> Result<Vec<(Ordinal, ItemRow)>, IndexError> {
        let request =
            PageRequest { anchor: None, order: Order::Ascending, limit: NonZeroUsize::MAX };
        Ok(self.items_page(known, Some(turn), &request)?.rows)
    }

    /// Thread rows after a thread, in the order of their numbers.
    pub(super) fn threads(
        &self,
        after: Option<ThreadNumber>,
        limit: usize,
    ) -> Result<Vec<(ThreadNumber, ThreadRow)>, IndexError> {
        let mut rows = Vec::new();
        let low = match after {
            None => Some(0),
            Some(thread) => thread.0.checked_add(1),
        };
        let (Some(low), true) = (low, limit > 0) else { return Ok(rows) };
        let span = (low.to_be_bytes(), [u8::MAX; 8]);
        self.threads.scan(span, Order::Ascending, Below::Look, &mut |key, body| {
            let thread = keys::thread_of(key);
            let place = Place::new("read").table(Table::Threads).thread(thread);
            rows.push((ThreadNumber(thread), decoded(place, body)?));
            Ok(rows.len() < limit)
        })?;
        Ok(rows)
    }

    /// Counts and hashes all rows of a thread, except its own one.
    pub(super) fn tally(&self, thread: u64) -> Result<(Tally, u64, u64), IndexError> {
        let mut tally = Tally::default();
        let turns = sum(&self.turns, thread, &mut tally)?;
        let items = sum(&self.items, thread, &mut tally)?;
        sum(&self.numbers, thread, &mut tally)?;
        sum(&self.names, thread, &mut tally)?;
        sum(&self.item_ids, thread, &mut tally)?;
        sum(&self.turn_items, thread, &mut tally)?;
        Ok((tally, turns, items))
    }
}

type Found<T> = Result<Option<T>, IndexError>;

/// Encodes a row with its ordinals relative to its key.
pub(super) fn encoded<T: Encode + Shift + Clone>(
    place: Place,
    first: Ordinal,
    row: &T,
) -> Result<Vec<u8>, IndexError> {
    let mut row = row.clone();
    row.shift(first.0.wrapping_neg());
    plain(place, &row)
}

/// Encodes any other value.
pub(super) fn plain<T: Encode>(place: Place, row: &T) -> Result<Vec<u8>, IndexError> {
    codec::encode(row).map_err(|error| IndexError::RowTooLarge { place, bytes: error.bytes })
}

fn shifted<T: Decode<()> + Shift>(
    known: Known,
    table: Table,
    first: Ordinal,
    body: &[u8],
) -> Result<T, IndexError> {
    let mut row: T = decoded(known.place(table), body)?;
    row.shift(first.0);
    Ok(row)
}

fn decoded<T: Decode<()>>(place: Place, body: &[u8]) -> Result<T, IndexError> {
    codec::decode(body).map_err(|error| place.damaged(error))
}

fn dangling(known: Known, table: Table) -> IndexError {
    known.place(table).damaged(Damage::Dangling)
}

/// Adds a row to a page, or notes that there is one more; answers whether to go on.
fn fill<T>(
    page: &mut Page<T>,
    request: &PageRequest,
    first: Ordinal,
    read: impl FnOnce() -> Result<T, IndexError>,
) -> Result<bool, IndexError> {
    if page.rows.len() == request.limit.get() {
        page.more = true;
        return Ok(false);
    }
    page.rows.push((first, read()?));
    Ok(true)
}

fn sum<const N: usize, V: Sealed>(
    layer: &Layer<N, V>,
    thread: u64,
    tally: &mut Tally,
) -> Result<u64, IndexError> {
    let before = tally.rows;
    let span = keys::span(&thread.to_be_bytes());
    layer.scan(span, Order::Ascending, Below::Look, &mut |key, body| {
        tally.add(row_hash(layer.schema.table, key, body));
        Ok(true)
    })?;
    Ok(tally.rows - before)
}

impl Encode for ThreadRow {
    fn encode<E: bincode::enc::Encoder>(
        &self,
        encoder: &mut E,
    ) -> Result<(), bincode::error::EncodeError> {
        (self.applied_end.0, self.chain.0, &self.state).encode(encoder)?;
        (self.turn_rows, self.item_rows, self.rows, self.digest).encode(encoder)?;
        (self.row_end, self.turn_end).encode(encoder)
    }
}

impl<C> Decode<C> for ThreadRow {
    fn decode<D: bincode::de::Decoder<Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        let (applied_end, chain, state) = Decode::decode(decoder)?;
        let (turn_rows, item_rows, rows, digest) = Decode::decode(decoder)?;
        let (row_end, turn_end) = Decode::decode(decoder)?;
        let (applied_end, chain) = (Ordinal(applied_end), ThreadChain(chain));
        Ok(ThreadRow {
            applied_end,
            chain,
            state,
            turn_rows,
            item_rows,
            rows,
            digest,
            row_end,
            turn_end,
        })
    }
}
