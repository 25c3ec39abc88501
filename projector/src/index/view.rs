//! Owns the queries over rows, the same for a page that is read and for a batch that is written; it
//! must not know transactions.

use std::num::NonZeroUsize;

use turnleaf_format::{Ordinal, ThreadNumber};

use super::checksum::id_hash;
use super::error::{Damage, Table};
use super::keys::{self, ItemIdKey, NameKey, ThreadKey};
use super::known::{Known, LAYERS_MAX};
use super::overlay::{Body, ByteValue, KeyOnly, Overlay, Probe, Snapshot, Visit};
use super::page::{Anchor, Order, Page, PageRequest};
use super::row::Row;
use super::savepoint::{Savepoint, SavepointRow};
use super::tables::{
    CALLS, ITEM_IDS, ITEMS, NAMES, NUMBERS, NumberRow, SAVEPOINTS, THREADS, TURN_ITEMS, TURNS,
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
    pub(super) savepoints: Overlay<12, Body, SavepointRow>,
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
            savepoints: Overlay::new(SAVEPOINTS, snapshot),
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
            savepoints: self.savepoints.into_changes(),
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
        self.savepoints.forget(thread);
    }

    pub(super) fn thread(&self, thread: u64) -> Found<ThreadRow> {
        let key: ThreadKey = thread.to_be_bytes();
        self.threads.get(&key, Probe::Snapshot)
    }

    /// What is known of a thread whose rows are to be read.
    pub(super) fn known(&self, thread: ThreadNumber) -> Result<Known, IndexError> {
        let shared = self.thread(thread.0)?.unwrap_or_default().shared;
        Known::to_read(thread, shared, |of| self.thread(of))
    }

    pub(super) fn turn(&self, known: &Known, first: Ordinal) -> Found<TurnRow> {
        let (key, probe) = known.row(first);
        self.turns.get(&key, probe)
    }

    pub(super) fn item(&self, known: &Known, first: Ordinal) -> Found<ItemRow> {
        let (key, probe) = known.row(first);
        self.items.get(&key, probe)
    }

    pub(super) fn number(&self, known: &Known, turn: TurnNo) -> Found<NumberRow> {
        let (key, probe) = known.number(turn);
        self.numbers.get(&key, probe)
    }

    pub(super) fn turn_name(&self, known: &Known, id: &str) -> Found<TurnName> {
        let hash = id_hash(id);
        let mut found = None;
        // A name that stands in an older part is none of a newer one.
        for part in known.parts() {
            let prefix = keys::name(part.thread, hash, TurnNo(0));
            let span = keys::span::<{ size_of::<NameKey>() }>(&prefix[..12]);
            self.names
                .scan(span, Order::Ascending, part.probe, &mut |key, _| {
                    let turn = keys::turn_of(key);
                    if !(part.turns.0..part.turns.1).contains(&turn.0) {
                        return Ok(true);
                    }
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
            if found.is_some() {
                break;
            }
        }
        Ok(found)
    }

    pub(super) fn item_by_id(
        &self,
        known: &Known,
        turn: TurnNo,
        id: &str,
    ) -> Found<(Ordinal, ItemRow)> {
        let hash = id_hash(id);
        let (key, probe) = known.number(turn);
        let found = self
            .turn_items
            .ask(&key, probe, |items| items.keys_of(hash))?;
        let (mut candidates, more) = found.unwrap_or_default();
        if more {
            let (thread, probe) = known.of_turn(turn);
            let prefix = keys::item_id(thread, turn, hash, Ordinal(0));
            let span = keys::span::<{ size_of::<ItemIdKey>() }>(&prefix[..16]);
            self.item_ids
                .scan(span, Order::Ascending, probe, &mut |key, _| {
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
        known: &Known,
        count: usize,
    ) -> Result<Vec<Ordinal>, IndexError> {
        let mut newest = Vec::new();
        if count == 0 {
            return Ok(newest);
        }
        along(&self.turns, known, ALL, Order::Descending, &mut |key, _| {
            newest.push(keys::ordinal_of(key));
            Ok(newest.len() < count)
        })?;
        Ok(newest)
    }

    pub(super) fn turns_page(
        &self,
        known: &Known,
        request: &PageRequest,
    ) -> Result<Page<TurnRow>, IndexError> {
        let mut page = Page {
            rows: Vec::new(),
            more: false,
        };
        let Some(span) = request.span() else {
            return Ok(page);
        };
        along(&self.turns, known, span, request.order, &mut |key, held| {
            fill(&mut page, request, keys::ordinal_of(key), || held.row(key))
        })?;
        Ok(page)
    }

    pub(super) fn items_page(
        &self,
        known: &Known,
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
        if let Some(turn) = turn {
            let (key, probe) = known.number(turn);
            let of_turn = self
                .turn_items
                .ask(&key, probe, |items| items.within(low, high))?;
            spans = of_turn.unwrap_or_default();
        }
        if request.order == Order::Descending {
            spans.reverse();
        }
        for span in spans {
            along(&self.items, known, span, request.order, &mut |key, held| {
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

    pub(super) fn call(&self, known: &Known, first: Ordinal) -> Found<ItemRow> {
        let (key, probe) = known.row(first);
        self.calls.get(&key, probe)
    }

    /// Keys of the calls from an ordinal on, each with its turn.
    pub(super) fn calls_from(
        &self,
        known: &Known,
        from: Ordinal,
    ) -> Result<Vec<(Ordinal, TurnNo)>, IndexError> {
        let mut found = Vec::new();
        let span = (from, Ordinal(u64::MAX));
        along(
            &self.calls,
            known,
            span,
            Order::Ascending,
            &mut |key, held| {
                found.push((keys::ordinal_of(key), held.row(key)?.turn));
                Ok(true)
            },
        )?;
        Ok(found)
    }

    /// A page of calls; those of a turn stand between its beginning and that of the next one.
    pub(super) fn calls_page(
        &self,
        known: &Known,
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
        let span = (low, high);
        along(&self.calls, known, span, request.order, &mut |key, held| {
            let row = held.row(key)?;
            if turn.is_some_and(|turn| row.turn != turn) {
                return Ok(true);
            }
            fill(&mut page, request, keys::ordinal_of(key), || Ok(row))
        })?;
        Ok(page)
    }

    /// The last ordinal before the turn that follows the one that begins at `first`.
    fn before_next_turn(&self, known: &Known, first: Ordinal) -> Result<Ordinal, IndexError> {
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
        known: &Known,
        turn: TurnNo,
    ) -> Result<Vec<(Ordinal, ItemRow)>, IndexError> {
        let request = PageRequest {
            anchor: None,
            order: Order::Ascending,
            limit: NonZeroUsize::MAX,
        };
        Ok(self.items_page(known, Some(turn), &request)?.rows)
    }

    /// The newest savepoint at or before an ordinal, of the thread or of those whose rows it shows.
    pub(super) fn savepoint(&self, known: &Known, at_most: Ordinal) -> Found<Savepoint> {
        let mut depth = known.depth();
        for part in known.parts() {
            // The savepoint at which the next one begins is the last of these.
            let numbers = [part.turns.0.saturating_add(1), part.turns.1];
            let span = numbers.map(|turn| keys::number(part.thread, TurnNo(turn)));
            let at_most = at_most.0.min(part.ordinals.1.saturating_add(1));
            let mut found = None;
            let savepoints = &self.savepoints;
            savepoints.scan(
                span.into(),
                Order::Descending,
                Probe::Snapshot,
                &mut |key, held| {
                    let row = held.row(key)?;
                    if row.at <= at_most {
                        found = Some(Savepoint::of(part.thread, keys::turn_of(key), row));
                    }
                    Ok(found.is_none())
                },
            )?;
            // Whoever goes on from it shows rows of one thread more.
            if found.is_some() && depth < LAYERS_MAX {
                return Ok(found);
            }
            depth = depth.saturating_sub(1);
        }
        Ok(None)
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
}

type Found<T> = Result<Option<T>, IndexError>;

/// Smallest and largest key there can be.
const ALL: (Ordinal, Ordinal) = (Ordinal(0), Ordinal(u64::MAX));

/// Visits the rows of a thread from one ordinal to another, both included, until `visit` answers
/// `false`: also those that it shows of others.
fn along<V: ByteValue, R: Row>(
    overlay: &Overlay<16, V, R>,
    known: &Known,
    span: (Ordinal, Ordinal),
    order: Order,
    visit: &mut Visit<'_, 16, R>,
) -> Result<(), IndexError> {
    let mut goes_on = true;
    for (span, probe) in known.spans(span, order) {
        overlay.scan(span, order, probe, &mut |key, held| {
            goes_on = visit(key, held)?;
            Ok(goes_on)
        })?;
        if !goes_on {
            break;
        }
    }
    Ok(())
}

fn dangling(known: &Known, table: Table) -> IndexError {
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
