//! Owns the queries over rows, the same for a page that is read and for a batch that is written; it
//! must not know transactions.

use std::num::NonZeroUsize;

use turnleaf_format::{Ordinal, ThreadNumber};

use super::error::{Damage, Place, Table};
use super::keys::{self, ItemIdKey, NameKey, RowKey, ThreadKey, TurnItemKey};
use super::layer::{Below, Body, Layer, Mark, Sealed, Snapshot, Tally};
use super::page::{Order, Page, PageRequest};
use super::seal::{id_hash, row_hash};
use super::tables::{
    ITEM_IDS, ITEMS, Known, NAMES, NUMBERS, NumberRow, THREADS, TURN_ITEMS, TURNS, ViewChanges,
    decoded, shifted,
};
use super::{IndexError, ThreadRow};
use crate::rows::{ItemRow, TurnName, TurnNo, TurnRow};

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
        self.threads
            .get(&key, Below::Look, |body| decoded(place, body))
    }

    pub(super) fn turn(&self, known: Known, first: Ordinal) -> Found<TurnRow> {
        let key = keys::row(known.thread, first);
        self.turns.get(&key, known.at(first), |body| {
            shifted(known, Table::Turns, first, body)
        })
    }

    pub(super) fn item(&self, known: Known, first: Ordinal) -> Found<ItemRow> {
        let key = keys::row(known.thread, first);
        self.items.get(&key, known.at(first), |body| {
            shifted(known, Table::Items, first, body)
        })
    }

    pub(super) fn number(&self, known: Known, turn: TurnNo) -> Found<NumberRow> {
        let key = keys::number(known.thread, turn);
        let place = known.place(Table::TurnNumbers);
        self.numbers
            .get(&key, known.of(turn), |body| decoded(place, body))
    }

    pub(super) fn turn_name(&self, known: Known, id: &str) -> Found<TurnName> {
        let prefix = keys::name(known.thread, id_hash(id), TurnNo(0));
        let mut found = None;
        let span = keys::span::<{ size_of::<NameKey>() }>(&prefix[..12]);
        self.names
            .scan(span, Order::Ascending, known.any(), &mut |key, _| {
                let turn = keys::turn_of(key);
                let number = self.number(known, turn)?;
                let number = number.ok_or_else(|| dangling(known, Table::TurnNames))?;
                if number.id.0 == id {
                    found = Some(TurnName {
                        turn,
                        row: number.row.map(Ordinal),
                    });
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
        self.item_ids
            .scan(span, Order::Ascending, known.of(turn), &mut |key, _| {
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
        self.turns
            .scan(span, Order::Descending, known.any(), &mut |key, _| {
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
        let mut page = Page {
            rows: Vec::new(),
            more: false,
        };
        let Some((low, high)) = request.span() else {
            return Ok(page);
        };
        let span: (RowKey, RowKey) = (keys::row(known.thread, low), keys::row(known.thread, high));
        self.turns
            .scan(span, request.order, known.any(), &mut |key, body| {
                let first = keys::ordinal_of(key);
                fill(&mut page, request, first, || {
                    shifted(known, Table::Turns, first, body)
                })
            })?;
        Ok(page)
    }

    pub(super) fn items_page(
        &self,
        known: Known,
        turn: Option<TurnNo>,
        request: &PageRequest,
    ) -> Result<Page<ItemRow>, IndexError> {
        let mut page = Page {
            rows: Vec::new(),
            more: false,
        };
        let Some((low, high)) = request.span() else {
            return Ok(page);
        };
        let Some(turn) = turn else {
            let span = (keys::row(known.thread, low), keys::row(known.thread, high));
            self.items
                .scan(span, request.order, known.any(), &mut |key, body| {
                    let first = keys::ordinal_of(key);
                    fill(&mut page, request, first, || {
                        shifted(known, Table::Items, first, body)
                    })
                })?;
            return Ok(page);
        };
        let span: (TurnItemKey, TurnItemKey) = (
            keys::turn_item(known.thread, turn, low),
            keys::turn_item(known.thread, turn, high),
        );
        self.turn_items
            .scan(span, request.order, known.of(turn), &mut |key, _| {
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
        let request = PageRequest {
            anchor: None,
            order: Order::Ascending,
            limit: NonZeroUsize::MAX,
        };
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
        let (Some(low), true) = (low, limit > 0) else {
            return Ok(rows);
        };
        let span = (low.to_be_bytes(), [u8::MAX; 8]);
        self.threads
            .scan(span, Order::Ascending, Below::Look, &mut |key, body| {
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
