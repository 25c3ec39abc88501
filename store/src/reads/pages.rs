//! Owns the pages of turns and items: one range of rows, and a body for each.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use serde::Serialize;
use serde_json::Value;
use turnleaf_engine::Damage;
use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_projector::index::{self, Anchor, InvalidToken, Order, Page, PageRequest, PageToken};
use turnleaf_projector::payload::short_id;
use turnleaf_projector::rows::{ItemRow, TurnNo, TurnRow, TurnStatus};

use self::calls::Calls;
use self::fill::fill;
use super::bodies::Of;
use super::served::{Body, ItemsView, ServedItem, ServedTurn};
use crate::error::Error;
use crate::index::catch_up::CaughtUp;
use crate::open::Store;

/// Most rows of a page.
pub(crate) const PAGE_ROWS_MAX: usize = 1000;

/// Asks for a page of turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnsRequest {
    /// The thread's id.
    pub thread: String,
    /// Where to go on: a cursor of an earlier page of the same list, in either direction.
    pub cursor: Option<String>,
    /// Most turns, 1 to 1000. A page also ends at 8 MiB of JSON, but holds one turn at least.
    pub limit: usize,
    /// Ascending is oldest first.
    pub order: Order,
    /// How much of their items.
    pub items: ItemsView,
}

/// A page of turns. Serialized it is `{"turns","nextCursor","backwardsCursor"}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnsPage {
    /// The turns.
    pub turns: Vec<ServedTurn>,
    /// Damage that this page met: of the records that it shows, and of those that it was the first
    /// to take into the index. What is damaged is left out.
    #[serde(skip)]
    pub damage: Vec<Damage>,
    /// Goes on behind the page; `None` when there is nothing behind it.
    pub next_cursor: Option<String>,
    /// Goes back from the page in the other direction, its first row included.
    pub backwards_cursor: Option<String>,
}

/// Asks for a page of items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemsRequest {
    /// The thread's id.
    pub thread: String,
    /// Only the items of this turn.
    pub turn: Option<String>,
    /// Also commands that a legacy thread holds only as response items: the runtime shows none of
    /// them. Cursors of lists with and without them serve each other.
    pub all: bool,
    /// Where to go on: a cursor of an earlier page of items of the thread; with a turn, of one that
    /// ended at an item of this turn.
    pub cursor: Option<String>,
    /// Most items, 1 to 1000. A page also ends at 8 MiB of JSON, but holds one item at least.
    pub limit: usize,
    /// Ascending is oldest first.
    pub order: Order,
}

/// A page of items. Serialized it is `{"items","nextCursor","backwardsCursor"}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemsPage {
    /// The items.
    pub items: Vec<ServedItem>,
    /// As in [`TurnsPage`].
    #[serde(skip)]
    pub damage: Vec<Damage>,
    /// As in [`TurnsPage`].
    pub next_cursor: Option<String>,
    /// As in [`TurnsPage`].
    pub backwards_cursor: Option<String>,
}

impl TurnsPage {
    /// The turns as trees of JSON, for those who look into bodies.
    ///
    /// # Panics
    /// Never: what is served is JSON.
    #[must_use]
    pub fn values(&self) -> Vec<Value> {
        values(&self.turns)
    }
}

impl ItemsPage {
    /// The items as trees of JSON, for those who look into bodies.
    ///
    /// # Panics
    /// Never: what is served is JSON.
    #[must_use]
    pub fn values(&self) -> Vec<Value> {
        values(&self.items)
    }
}

fn values(served: &[impl Serialize]) -> Vec<Value> {
    let values = served.iter().map(serde_json::to_value);
    let values: Result<Vec<Value>, _> = values.collect();
    values.expect("what is served is JSON")
}

impl Store {
    /// A page of a thread's turns, by the ordinal of the record that began each. Every append that
    /// returned before is in it.
    ///
    /// Cost: one range of index rows and one read of the log for records that stand together; it
    /// grows with the page, not with the thread. A thread that got records since the last read is
    /// caught up first, which reads those. Memory is bounded by 8 MiB of JSON: the cursor goes on
    /// behind what fitted.
    ///
    /// A turn that has no end is `interrupted`, as the runtime shows it, unless it is the newest of
    /// a thread that this store took appends for since it was opened: then it is `inProgress`.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// use turnleaf::{ItemsView, Order, TurnsRequest};
    ///
    /// let mut request = TurnsRequest {
    ///     thread: "my-thread".into(),
    ///     cursor: None,
    ///     limit: 20,
    ///     order: Order::Descending,
    ///     items: ItemsView::Summary,
    /// };
    /// loop {
    ///     let page = store.turns(&request)?;
    ///     for turn in &page.turns {
    ///         println!("{} {}", turn.id, turn.status);
    ///     }
    ///     match page.next_cursor {
    ///         None => break,
    ///         next => request.cursor = next,
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`], [`crate::ErrorKind::Invalid`] for a cursor or limit that
    /// cannot be; failures of the system. Items whose records are damaged are left out, and the
    /// page says which damage it met.
    pub fn turns(&self, request: &TurnsRequest) -> Result<TurnsPage, Error> {
        let limit = page_limit(request.limit)?;
        self.with_thread(&request.thread, |now| {
            let (rows, number, reader) = (&now.rows, now.number, &now.reader);
            let mut damage = now.damage.clone();
            let cursor = request.cursor.as_deref();
            let anchor = self.anchor(cursor, |token| token.in_turns(number))?;
            let mut page = rows.turns_page(
                number,
                &PageRequest {
                    anchor,
                    order: request.order,
                    limit,
                },
            )?;
            let running = self.running(rows, number)?.map(|(at, _)| at);
            let of = Of::thread(now);
            let turns = fill(&mut page, |part| {
                let mut wanted = Vec::new();
                for (at, (_, turn)) in part.iter().enumerate() {
                    let items = items_of_turn(rows, number, turn, request.items)?;
                    wanted.extend(items.into_iter().map(|(first, row)| (first, (at, row))));
                }
                let shown = self.items_of_turns(of, wanted, request.items, &mut damage)?;
                let errors = self.errors(reader, part, &mut damage)?;
                // The first turn of a part is shown in any case, one that does not fit alone.
                let whole = shown.cut.map_or(part.len(), |(turn, _)| turn.max(1));
                let mut turns = Vec::with_capacity(whole);
                let mut items = shown.items.into_iter().peekable();
                for (index, (at, turn)) in part.iter().enumerate().take(whole) {
                    let mut here = Vec::new();
                    while let Some((_, item)) = items.next_if(|(turn, _)| *turn == index) {
                        here.push(item);
                    }
                    let cut = shown.cut.filter(|(turn, _)| *turn == index);
                    let next = cut.map(|(_, anchor)| PageToken::items(number, anchor));
                    turns.push(Some(ServedTurn {
                        items_view: request.items,
                        items: here,
                        items_next_cursor: next.map(|next| next.to_text(self.source.store())),
                        ..served_turn(turn, running == Some(*at), &errors)
                    }));
                }
                Ok(turns)
            })?;
            let text = |anchor| PageToken::turns(number, anchor).to_text(self.source.store());
            Ok(TurnsPage {
                turns,
                damage,
                next_cursor: page.next().map(text),
                backwards_cursor: page.backwards().map(text),
            })
        })
    }

    /// A page of a thread's items, or of those of one turn, by the ordinal of the record that began
    /// each. Costs as [`Store::turns`].
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let page = store.items(&turnleaf::ItemsRequest {
    ///     thread: "my-thread".into(),
    ///     turn: None,
    ///     all: false,
    ///     cursor: None,
    ///     limit: 50,
    ///     order: turnleaf::Order::Ascending,
    /// })?;
    /// for row in &page.items {
    ///     println!("record {}: {}", row.ordinal, row.item.get());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Store::turns`].
    pub fn items(&self, request: &ItemsRequest) -> Result<ItemsPage, Error> {
        let limit = page_limit(request.limit)?;
        self.with_thread(&request.thread, |now| {
            let (rows, number, reader) = (&now.rows, now.number, &now.reader);
            let mut damage = now.damage.clone();
            let cursor = request.cursor.as_deref();
            let anchor = self.anchor(cursor, |token| token.in_items(number))?;
            let turn = turn_asked(rows, number, request, anchor)?;
            let asked = PageRequest {
                anchor,
                order: request.order,
                limit,
            };
            let mut page = rows.items_page(number, turn, &asked)?;
            let calls = match request.all {
                true => {
                    let running = self.running(rows, number)?;
                    let running = running.filter(|(_, row)| row.status == TurnStatus::InProgress);
                    let seen = self.damage_seen();
                    let met = [&damage[..], &seen, &self.report.damage].concat();
                    calls::mixed_in(rows, (number, reader), &met, turn, &asked, &mut page)?
                        .beside(running.map(|(_, row)| row.turn))
                }
                false => Calls::default(),
            };
            let mut turns = TurnIds::default();
            let items = fill(&mut page, |part| {
                self.items_of_list(now, part, &calls, (&mut turns, &mut damage))
            })?;
            let text = |anchor| PageToken::items(number, anchor).to_text(self.source.store());
            let next_cursor = page.next().map(text);
            Ok(ItemsPage {
                items,
                damage,
                next_cursor,
                backwards_cursor: page.backwards().map(text),
            })
        })
    }

    /// The turn that goes on when it has no end: the newest one of a live thread.
    fn running(
        &self,
        rows: &index::Reader,
        thread: ThreadNumber,
    ) -> Result<Option<(Ordinal, TurnRow)>, Error> {
        if !self.index.is_live(thread) {
            return Ok(None);
        }
        let newest = PageRequest {
            anchor: None,
            order: Order::Descending,
            limit: NonZeroUsize::MIN,
        };
        let page = rows.turns_page(thread, &newest)?;
        Ok(page.rows.into_iter().next())
    }

    /// What is shown of the items of some turns, as [`fill`] has room where all of them are.
    fn items_of_turns(
        &self,
        of: Of<'_>,
        rows: Vec<(Ordinal, (usize, ItemRow))>,
        view: ItemsView,
        met: &mut Vec<Damage>,
    ) -> Result<ShownItems, Error> {
        let owners: Vec<usize> = rows.iter().map(|(_, (turn, _))| *turn).collect();
        let mut owners_shown = Vec::with_capacity(rows.len());
        let mut render = |part: &[(Ordinal, (usize, ItemRow))]| {
            let items = part.iter().map(|(first, (_, row))| (*first, row));
            let bodies = self.bodies(of, items, met)?;
            let shown = part.iter().zip(&bodies).filter(|(_, body)| body.is_some());
            owners_shown.extend(shown.map(|((_, (turn, _)), _)| *turn));
            Ok(bodies)
        };
        let mut page = Page { rows, more: false };
        let bodies: Vec<Body> = if view == ItemsView::Full {
            fill(&mut page, &mut render)?
        } else {
            render(&page.rows)?.into_iter().flatten().collect()
        };
        let next = owners.get(page.rows.len()).copied().zip(page.next());
        Ok(ShownItems {
            items: owners_shown.into_iter().zip(bodies).collect(),
            cut: next,
        })
    }

    /// What is shown of rows of a list of items, as [`fill`] asks for it.
    fn items_of_list(
        &self,
        now: &CaughtUp,
        part: &[ItemAt],
        calls: &Calls,
        (turns, met): (&mut TurnIds, &mut Vec<Damage>),
    ) -> Result<Vec<Option<ServedItem>>, Error> {
        let plain = part.iter().filter(|(at, _)| !calls.has(*at));
        let plain = plain.map(|(first, row)| (*first, row));
        let mut plain = self.bodies(Of::thread(now), plain, met)?.into_iter();
        let mut called = self.bodies_of_calls(&now.reader, calls, part, met)?;
        let mut served = Vec::with_capacity(part.len());
        for (first, row) in part {
            let body = match calls.has(*first) {
                true => called.remove(first),
                false => plain.next().flatten(),
            };
            let turn_id = turns.of(&now.rows, now.number, row.turn)?;
            served.push(body.map(|item| served_item(*first, row, turn_id, item)));
        }
        Ok(served)
    }

    /// Where a cursor goes on, if there is one; `of_list` refuses those of other lists.
    fn anchor(
        &self,
        cursor: Option<&str>,
        of_list: impl Fn(&PageToken) -> Result<Anchor, InvalidToken>,
    ) -> Result<Option<Anchor>, Error> {
        let anchor = |text: &str| {
            PageToken::parse(text, self.source.store())
                .and_then(|token| of_list(&token))
                .map_err(Error::of_cursor(text))
        };
        cursor.map(anchor).transpose()
    }
}

/// An item with its key.
type ItemAt = (Ordinal, ItemRow);

/// What is shown of the items of some turns.
struct ShownItems {
    /// The turn of each, by its place among them, ascending.
    items: Vec<(usize, Body)>,
    /// The turn of the first one that is not shown because of the bytes, and where its items go on.
    cut: Option<(usize, Anchor)>,
}

/// Names of turns; items of one turn mostly follow each other.
#[derive(Default)]
struct TurnIds(Option<(TurnNo, Option<String>)>);

impl TurnIds {
    fn of(
        &mut self,
        rows: &index::Reader,
        thread: ThreadNumber,
        turn: TurnNo,
    ) -> Result<Option<String>, Error> {
        if self.0.as_ref().is_none_or(|(known, _)| *known != turn) {
            self.0 = Some((turn, rows.turn_id(thread, turn)?));
        }
        Ok(self.0.as_ref().and_then(|(_, id)| id.clone()))
    }
}

/// A limit within bounds.
pub(crate) fn page_limit(limit: usize) -> Result<NonZeroUsize, Error> {
    NonZeroUsize::new(limit)
        .filter(|limit| limit.get() <= PAGE_ROWS_MAX)
        .ok_or(Error::BadArgument("the limit of a page is 1 to 1000"))
}

/// The turn whose items are asked for, if not all are.
fn turn_asked(
    rows: &index::Reader,
    thread: ThreadNumber,
    request: &ItemsRequest,
    anchor: Option<Anchor>,
) -> Result<Option<TurnNo>, Error> {
    let Some(id) = &request.turn else {
        return Ok(None);
    };
    let Some(name) = rows.turn_name(thread, &short_id(id))? else {
        return Err(Error::NoTurn {
            thread: request.thread.clone(),
            turn: id.clone(),
        });
    };
    if let (Some(anchor), Some(cursor)) = (anchor, &request.cursor)
        && let Some(item) = rows.item(thread, anchor.at)?
        && item.turn != name.turn
    {
        // Behind an item of another turn there is none of this one, or all are.
        return Err(Error::BadCursor(cursor.clone()));
    }
    Ok(Some(name.turn))
}

fn items_of_turn(
    rows: &index::Reader,
    thread: ThreadNumber,
    turn: &TurnRow,
    view: ItemsView,
) -> Result<Vec<(Ordinal, ItemRow)>, Error> {
    match view {
        ItemsView::NotLoaded => Ok(Vec::new()),
        ItemsView::Full => Ok(rows.items_of(thread, turn.turn)?),
        ItemsView::Summary => {
            let mut ends: Vec<Ordinal> = turn
                .first_user_item
                .into_iter()
                .chain(turn.final_agent_item)
                .collect();
            ends.sort_unstable();
            ends.dedup();
            let mut items = Vec::with_capacity(ends.len());
            for first in ends {
                items.extend(rows.item(thread, first)?.map(|row| (first, row)));
            }
            Ok(items)
        }
    }
}

/// What a turn is now: its row knows only what its records said.
fn status(turn: &TurnRow, is_running: bool) -> &'static str {
    match turn.status {
        TurnStatus::InProgress if is_running => "inProgress",
        TurnStatus::InProgress => "interrupted",
        TurnStatus::Completed => "completed",
        TurnStatus::Interrupted => "interrupted",
        TurnStatus::Failed => "failed",
    }
}

/// A turn without its items.
fn served_turn(turn: &TurnRow, is_running: bool, errors: &HashMap<Ordinal, Body>) -> ServedTurn {
    let said_ms = turn.started_at.map(|at| at.saturating_mul(1000));
    ServedTurn {
        id: turn.id.clone(),
        root_turn_id: turn.root.clone(),
        status: status(turn, is_running),
        error: turn.error_at.and_then(|at| errors.get(&at)).cloned(),
        began_at_ms: said_ms.or(turn.began_at_ms),
        started_at: turn.started_at,
        completed_at: turn.completed_at,
        duration_ms: turn.duration_ms,
        items_view: ItemsView::NotLoaded,
        items: Vec::new(),
        items_next_cursor: None,
    }
}

fn served_item(ordinal: Ordinal, row: &ItemRow, turn_id: Option<String>, item: Body) -> ServedItem {
    ServedItem {
        ordinal,
        turn_id,
        item_id: row.id.clone(),
        created_at_ms: row.created_at_ms,
        started_at_ms: row.times.started_at_ms,
        completed_at_ms: row.times.completed_at_ms,
        item,
    }
}

mod calls;
mod fill;

#[cfg(test)]
mod tests;
