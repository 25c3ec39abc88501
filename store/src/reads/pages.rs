//! Owns the pages of turns and items: one range of rows, the ordinals they name, one read of the
//! log, rendered.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use serde_json::{Value, json};
use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_engine::{Damage, ReadError, Reader, Record};
use turnleaf_projector::index::{self, Anchor, InvalidToken, Order, Page, PageRequest, PageToken};
use turnleaf_projector::payload::short_id;
use turnleaf_projector::render;
use turnleaf_projector::rows::{ItemRow, ItemTimes, TurnNo, TurnRow, TurnStatus};

use self::calls::Calls;
use self::fill::fill;
use crate::error::Error;
use crate::index::catch_up::CaughtUp;
use crate::lines::whole_line;
use crate::open::Store;

/// Most rows of a page.
pub(crate) const PAGE_ROWS_MAX: usize = 1000;

/// How much of a turn's items a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemsView {
    /// None.
    NotLoaded,
    /// The first user message and the final agent message.
    Summary,
    /// All, up to 8 MiB of JSON. The items of a turn that has more end there, and its
    /// `itemsNextCursor` goes on: it is a cursor of [`Store::items`] of that turn, oldest first.
    Full,
}

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

/// What is known of a turn beside what upstream's protocol tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnHead {
    /// When it began, Unix milliseconds: as its records say, or else the time of the first one.
    pub began_at_ms: Option<i64>,
}

/// A page of turns, as upstream's protocol serves them.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnsPage {
    /// The turns.
    pub turns: Vec<Value>,
    /// One for each of the turns, in their order.
    pub heads: Vec<TurnHead>,
    /// Damage that this page met: of the records that it shows, and of those that it was the first
    /// to take into the index. What is damaged is left out.
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

/// A page of items.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemsPage {
    /// `{"turnId","itemId","createdAtMs","startedAtMs","completedAtMs","ordinal","item"}` each.
    pub items: Vec<Value>,
    /// As in [`TurnsPage`].
    pub damage: Vec<Damage>,
    /// As in [`TurnsPage`].
    pub next_cursor: Option<String>,
    /// As in [`TurnsPage`].
    pub backwards_cursor: Option<String>,
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
    ///         println!("{} {}", turn["id"], turn["status"]);
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
            let turns = fill(&mut page, |part| {
                let mut wanted = Vec::new();
                for (at, (_, turn)) in part.iter().enumerate() {
                    let items = items_of_turn(rows, number, turn, request.items)?;
                    wanted.extend(items.into_iter().map(|(first, row)| (first, (at, row))));
                }
                let shown = self.items_of_turns(reader, wanted, request.items, &mut damage)?;
                let errors = self
                    .render(reader, std::iter::empty(), part, &mut damage)?
                    .errors;
                // The first turn of a part is shown in any case, one that does not fit alone.
                let whole = shown.cut.map_or(part.len(), |(turn, _)| turn.max(1));
                let mut turns = Vec::with_capacity(whole);
                let mut items = shown.items.into_iter().peekable();
                for (index, (at, turn)) in part.iter().enumerate().take(whole) {
                    let mut here = Vec::new();
                    while let Some((_, item)) = items.next_if(|(turn, _)| *turn == index) {
                        here.push(item);
                    }
                    let status = status(turn, running == Some(*at));
                    let mut value = turn_value(turn, status, &errors, here, request.items);
                    let cut = shown.cut.filter(|(turn, _)| *turn == index);
                    if let Some((_, anchor)) = cut {
                        let next = PageToken::items(number, anchor).to_text(self.source.store());
                        value["itemsNextCursor"] = json!(next);
                    }
                    turns.push(Some(value));
                }
                Ok(turns)
            })?;
            let text = |anchor| PageToken::turns(number, anchor).to_text(self.source.store());
            Ok(TurnsPage {
                turns,
                damage,
                heads: page.rows.iter().map(|(_, turn)| head(turn)).collect(),
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
    ///     println!("record {}: {}", row["ordinal"], row["item"]["type"]);
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
            let items = fill(&mut page, |part| {
                self.items_of_list(now, part, &calls, &mut damage)
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
        reader: &Reader,
        rows: Vec<(Ordinal, (usize, ItemRow))>,
        view: ItemsView,
        met: &mut Vec<Damage>,
    ) -> Result<ShownItems, Error> {
        let owners: Vec<usize> = rows.iter().map(|(_, (turn, _))| *turn).collect();
        let mut owners_shown = Vec::with_capacity(rows.len());
        let mut render = |part: &[(Ordinal, (usize, ItemRow))]| {
            let items = part.iter().map(|(first, (_, row))| (*first, row));
            let mut rendered = self.render(reader, items, &[], met)?;
            let mut take = |(first, (turn, _)): &(Ordinal, (usize, ItemRow))| {
                let item = rendered.items.remove(first)?;
                owners_shown.push(*turn);
                Some(item)
            };
            Ok(part.iter().map(&mut take).collect::<Vec<_>>())
        };
        let mut page = Page { rows, more: false };
        let values: Vec<Value> = if view == ItemsView::Full {
            fill(&mut page, &mut render)?
        } else {
            render(&page.rows)?.into_iter().flatten().collect()
        };
        let next = owners.get(page.rows.len()).copied().zip(page.next());
        Ok(ShownItems {
            items: owners_shown.into_iter().zip(values).collect(),
            cut: next,
        })
    }

    /// What is shown of rows of a list of items, as [`fill`] asks for it.
    fn items_of_list(
        &self,
        now: &CaughtUp,
        part: &[ItemAt],
        calls: &Calls,
        met: &mut Vec<Damage>,
    ) -> Result<Vec<Option<Value>>, Error> {
        let (called, items): (Vec<_>, Vec<_>) = part.iter().partition(|(at, _)| calls.has(*at));
        let plain = items.iter().map(|(first, row)| (*first, row));
        let mut rendered = self.render(&now.reader, plain, &[], met)?;
        self.render_calls(&now.reader, calls, &called, &mut rendered, met)?;
        let mut shown = Vec::with_capacity(part.len());
        for (first, row) in part {
            let turn = now.rows.turn_id(now.number, row.turn)?;
            shown.push(rendered.items.get(first).map(|item| {
                json!({
                    "turnId": turn,
                    "itemId": row.id,
                    "createdAtMs": row.created_at_ms,
                    "startedAtMs": row.times.started_at_ms,
                    "completedAtMs": row.times.completed_at_ms,
                    "ordinal": first.0,
                    "item": item,
                })
            }));
        }
        Ok(shown)
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

    /// Reads the records of all items and turn errors at once and renders them.
    fn render<'r>(
        &self,
        reader: &Reader,
        items: impl Iterator<Item = (Ordinal, &'r ItemRow)> + Clone,
        turns: &[(Ordinal, TurnRow)],
        met: &mut Vec<Damage>,
    ) -> Result<Rendered, Error> {
        let sources = items
            .clone()
            .flat_map(|(_, row)| row.sources.iter().copied());
        let errors = turns.iter().filter_map(|(_, turn)| turn.error_at);
        let wanted: Vec<Ordinal> = sources.chain(errors).collect();
        let lines = self.lines(reader, &wanted, met)?;
        let mut rendered = Rendered::default();
        for (first, row) in items {
            let bytes: Option<Vec<&[u8]>> = row
                .sources
                .iter()
                .map(|at| lines.get(at).map(Vec::as_slice))
                .collect();
            if let Some(mut value) = bytes.and_then(|bytes| render::render(&row.id, &bytes)) {
                add_times(&mut value, row.times);
                rendered.items.insert(first, value);
            }
        }
        for at in turns.iter().filter_map(|(_, turn)| turn.error_at) {
            if let Some(error) = lines.get(&at).and_then(|line| render::turn_error(line)) {
                rendered.errors.insert(at, error);
            }
        }
        Ok(rendered)
    }

    /// The lines at these ordinals; what is damaged is left out and told.
    fn lines(
        &self,
        reader: &Reader,
        wanted: &[Ordinal],
        met: &mut Vec<Damage>,
    ) -> Result<HashMap<Ordinal, Vec<u8>>, Error> {
        let mut found = HashMap::with_capacity(wanted.len());
        let mut take = |read: Result<Vec<Record<'static>>, ReadError>| {
            let lines = read?.into_iter().map(|record| {
                let at = record.ordinal;
                Ok((at, whole_line(reader, record)?))
            });
            lines
                .collect::<Result<Vec<_>, ReadError>>()
                .map(|lines| found.extend(lines))
        };
        match take(reader.get(wanted)) {
            Ok(()) => {}
            Err(ReadError::Disk(failure)) => return Err(Error::Disk(failure)),
            // One damaged record must not cost the page: read them one by one.
            Err(ReadError::Damaged(_)) => {
                for at in wanted {
                    match take(reader.get(&[*at])) {
                        Ok(()) => {}
                        Err(ReadError::Damaged(damage)) => self.meet_damage(&damage, met),
                        Err(ReadError::Disk(failure)) => return Err(Error::Disk(failure)),
                    }
                }
            }
        }
        Ok(found)
    }
}

/// Items say when they began and ended since records do; before, the list of items alone says when
/// they ended.
fn add_times(item: &mut Value, times: ItemTimes) {
    if times.started_at_ms.is_some() {
        item["startedAtMs"] = json!(times.started_at_ms);
        item["completedAtMs"] = json!(times.completed_at_ms);
    }
}

/// An item with its key.
type ItemAt = (Ordinal, ItemRow);

/// What is shown of the items of some turns.
struct ShownItems {
    /// The turn of each, by its place among them, ascending.
    items: Vec<(usize, Value)>,
    /// The turn of the first one that is not shown because of the bytes, and where its items go on.
    cut: Option<(usize, Anchor)>,
}

#[derive(Debug, Default)]
struct Rendered {
    items: HashMap<Ordinal, Value>,
    errors: HashMap<Ordinal, Value>,
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

fn head(turn: &TurnRow) -> TurnHead {
    let said_ms = turn.started_at.map(|at| at.saturating_mul(1000));
    TurnHead {
        began_at_ms: said_ms.or(turn.began_at_ms),
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

fn turn_value(
    turn: &TurnRow,
    status: &str,
    errors: &HashMap<Ordinal, Value>,
    items: Vec<Value>,
    view: ItemsView,
) -> Value {
    let view = match view {
        ItemsView::NotLoaded => "notLoaded",
        ItemsView::Summary => "summary",
        ItemsView::Full => "full",
    };
    let mut value = json!({
        "id": turn.id,
        "items": items,
        "itemsView": view,
        "status": status,
        "error": turn.error_at.and_then(|at| errors.get(&at)),
        "startedAt": turn.started_at,
        "completedAt": turn.completed_at,
        "durationMs": turn.duration_ms,
    });
    if let Some(root) = &turn.root {
        value["rootTurnId"] = json!(root);
    }
    value
}

mod calls;
mod fill;

#[cfg(test)]
mod tests;
