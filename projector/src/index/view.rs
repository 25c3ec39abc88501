//! Owns the queries over rows, the same for a page that is read and for a batch that is written; it
//! must not know transactions.

use std::num::NonZeroUsize;

use turnleaf_format::{Ordinal, ThreadNumber};

use super::checksum::{id_hash, row_hash};
use super::error::{Damage, Table};
use super::keys::{self, ItemIdKey, NameKey, RowKey, ThreadKey};
use super::overlay::{Body, ByteValue, KeyOnly, Overlay, Probe, RowSum, Snapshot};
use super::page::{Anchor, Order, Page, PageRequest};
use super::row::{Held, Row};
use super::tables::{
    CALLS, ITEM_IDS, ITEMS, Known, NAMES, NUMBERS, NumberRow, THREADS, TURN_ITEMS, TURNS,
    ViewChanges,
};
use super::turn_items::TurnItems;
use super::{IndexError, ThreadRow};
use crate::rows::{ItemRow, TurnName, TurnNo, TurnRow};

/// All tables of one snapshot, with the changes above it.
pub(super) struct View {
    pub(super) threads: Overlay<8, Body, ThreadRow>,
    pub(super) turns: Overlay<16, Body, TurnRow>,
    pub(super) items: Overlay<16, Body, ItemRow>,
    pub(super) calls: Overlay<16, Body, ItemRow>,
    pub(super) numbers: Overlay<12, Body, NumberRow>,
    pub(super) names: Overlay<16, KeyOnly, ()>,
    pub(super) item_ids: Overlay<24, KeyOnly, ()>,
    pub(super) turn_items: Overlay<12, Body, TurnItems>,
}

impl View {
    pub(super) fn new(snapshot: &Snapshot) -> View {
        View {
            threads: Overlay::new(THREADS, snapshot),
            turns: Overlay::new(TURNS, snapshot),
            items: Overlay::new(ITEMS, snapshot),
            calls: Overlay::new(CALLS, snapshot),
            numbers: Overlay::new(NUMBERS, snapshot),
            names: Overlay::new(NAMES, snapshot),
            item_ids: Overlay::new(ITEM_IDS, snapshot),
            turn_items: Overlay::new(TURN_ITEMS, snapshot),
        }
    }

    /// Ends the snapshot and keeps the changes.
    pub(super) fn into_changes(self) -> ViewChanges {
        ViewChanges {
            turns: self.turns.into_changes(),
            items: self.items.into_changes(),
            calls: self.calls.into_changes(),
            numbers: self.numbers.into_changes(),
            names: self.names.into_changes(),
            item_ids: self.item_ids.into_changes(),
            turn_items: self.turn_items.into_changes(),
        }
    }

    /// Forgets the changes of a thread.
    pub(super) fn forget(&mut self, thread: u64) {
        self.turns.forget(thread);
        self.items.forget(thread);
        self.calls.forget(thread);
        self.numbers.forget(thread);
        self.names.forget(thread);
        self.item_ids.forget(thread);
        self.turn_items.forget(thread);
    }

    pub(super) fn thread(&self, thread: u64) -> Found<ThreadRow> {
        let key: ThreadKey = thread.to_be_bytes();
        self.threads.get(&key, Probe::Snapshot)
    }

    pub(super) fn turn(&self, known: Known, first: Ordinal) -> Found<TurnRow> {
        self.turns
            .get(&keys::row(known.thread, first), known.at(first))
    }

    pub(super) fn item(&self, known: Known, first: Ordinal) -> Found<ItemRow> {
        self.items
            .get(&keys::row(known.thread, first), known.at(first))
    }

    pub(super) fn number(&self, known: Known, turn: TurnNo) -> Found<NumberRow> {
        self.numbers
            .get(&keys::number(known.thread, turn), known.of(turn))
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
        let hash = id_hash(id);
        let key = keys::number(known.thread, turn);
        let found = self
            .turn_items
            .ask(&key, known.of(turn), |items| items.keys_of(hash))?;
        let (mut candidates, more) = found.unwrap_or_default();
        if more {
            let prefix = keys::item_id(known.thread, turn, hash, Ordinal(0));
            let span = keys::span::<{ size_of::<ItemIdKey>() }>(&prefix[..16]);
            self.item_ids
                .scan(span, Order::Ascending, known.of(turn), &mut |key, _| {
                    candidates.push(keys::ordinal_of(key));
                    Ok(true)
                })?;
        }
        candidates.sort_unstable();
        for first in candidates {
            let row = self.item(known, first)?;
            let row = row.ok_or_else(|| dangling(known, Table::TurnItems))?;
            if row.id == id {
                return Ok(Some((first, row)));
            }
        }
        Ok(None)
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
            .scan(span, request.order, known.any(), &mut |key, held| {
                fill(&mut page, request, keys::ordinal_of(key), || held.row(key))
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
        let mut spans = vec![(low, high)];
        let mut probe = known.any();
        if let Some(turn) = turn {
            let key = keys::number(known.thread, turn);
            let of_turn = self
                .turn_items
                .ask(&key, known.of(turn), |items| items.within(low, high))?;
            spans = of_turn.unwrap_or_default();
            probe = known.of(turn);
        }
        if request.order == Order::Descending {
            spans.reverse();
        }
        for (low, high) in spans {
            let span = (keys::row(known.thread, low), keys::row(known.thread, high));
            self.items
                .scan(span, request.order, probe, &mut |key, held| {
                    let row = held.row(key)?;
                    if turn.is_some_and(|turn| row.turn != turn) {
                        return Ok(true);
                    }
                    fill(&mut page, request, keys::ordinal_of(key), || Ok(row))
                })?;
            if page.more {
                break;
            }
        }
        Ok(page)
    }

    pub(super) fn call(&self, known: Known, first: Ordinal) -> Found<ItemRow> {
        self.calls
            .get(&keys::row(known.thread, first), known.at(first))
    }

    /// Keys of the calls from an ordinal on.
    pub(super) fn calls_from(
        &self,
        known: Known,
        from: Ordinal,
    ) -> Result<Vec<Ordinal>, IndexError> {
        let mut found = Vec::new();
        let span = (
            keys::row(known.thread, from),
            keys::row(known.thread, Ordinal(u64::MAX)),
        );
        self.calls
            .scan(span, Order::Ascending, known.any(), &mut |key, _| {
                found.push(keys::ordinal_of(key));
                Ok(true)
            })?;
        Ok(found)
    }

    /// A page of calls; those of a turn stand between its beginning and that of the next one.
    pub(super) fn calls_page(
        &self,
        known: Known,
        turn: Option<TurnNo>,
        request: &PageRequest,
    ) -> Result<Page<ItemRow>, IndexError> {
        let mut page = Page {
            rows: Vec::new(),
            more: false,
        };
        let Some((mut low, mut high)) = request.span() else {
            return Ok(page);
        };
        if let Some(turn) = turn {
            let Some(first) = self.number(known, turn)?.and_then(|number| number.row) else {
                return Ok(page);
            };
            low = low.max(Ordinal(first));
            high = high.min(self.before_next_turn(known, Ordinal(first))?);
        }
        if low > high {
            return Ok(page);
        }
        let span = (keys::row(known.thread, low), keys::row(known.thread, high));
        self.calls
            .scan(span, request.order, known.any(), &mut |key, held| {
                let row = held.row(key)?;
                if turn.is_some_and(|turn| row.turn != turn) {
                    return Ok(true);
                }
                fill(&mut page, request, keys::ordinal_of(key), || Ok(row))
            })?;
        Ok(page)
    }

    /// The last ordinal before the turn that follows the one that begins at `first`.
    fn before_next_turn(&self, known: Known, first: Ordinal) -> Result<Ordinal, IndexError> {
        let next = PageRequest {
            anchor: Some(Anchor {
                at: first,
                include: false,
            }),
            order: Order::Ascending,
            limit: NonZeroUsize::MIN,
        };
        let page = self.turns_page(known, &next)?;
        let next = page.rows.first().map(|(at, _)| at.0);
        Ok(Ordinal(
            next.map_or(u64::MAX, |next| next.saturating_sub(1)),
        ))
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
            .scan(span, Order::Ascending, Probe::Snapshot, &mut |key, held| {
                rows.push((ThreadNumber(keys::thread_of(key)), held.row(key)?));
                Ok(rows.len() < limit)
            })?;
        Ok(rows)
    }

    /// Counts and hashes all rows of a thread, except its own one.
    pub(super) fn tally(&self, thread: u64) -> Result<(RowSum, u64, u64), IndexError> {
        let mut tally = RowSum::default();
        let turns = sum(&self.turns, thread, &mut tally)?;
        let items = sum(&self.items, thread, &mut tally)?;
        sum(&self.calls, thread, &mut tally)?;
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

fn sum<const N: usize, V: ByteValue, R: Row>(
    overlay: &Overlay<N, V, R>,
    thread: u64,
    tally: &mut RowSum,
) -> Result<u64, IndexError> {
    let before = tally.rows;
    let span = keys::span(&thread.to_be_bytes());
    overlay.scan(span, Order::Ascending, Probe::Snapshot, &mut |key, held| {
        let table = overlay.schema.table;
        match held {
            Held::Stored(_, body) => tally.add(row_hash(table, key, body)),
            Held::Changed(row) => {
                let body = row.clone().bytes(overlay.schema.place("read", key), key)?;
                tally.add(row_hash(table, key, &body));
            }
        }
        Ok(true)
    })?;
    Ok(tally.rows - before)
}
