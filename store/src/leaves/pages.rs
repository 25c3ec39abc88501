//! Owns the pages of turns and items: one range of rows, the ordinals they name, one read of the
//! log, rendered.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use serde_json::{Value, json};
use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_engine::{ReadError, Reader};
use turnleaf_projector::fold::short_id;
use turnleaf_projector::index::{self, Order, PageRequest, PageToken};
use turnleaf_projector::item;
use turnleaf_projector::rows::{ItemRow, TurnRow, TurnStatus};

use super::catch_up::whole_line;
use crate::error::Error;
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
    /// All.
    Full,
}

/// Asks for a page of turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnsRequest {
    /// The thread's id.
    pub thread: String,
    /// Where to go on: a cursor of an earlier page of the same list, in either direction.
    pub cursor: Option<String>,
    /// Most turns, 1 to 1000.
    pub limit: usize,
    /// Ascending is oldest first.
    pub order: Order,
    /// How much of their items.
    pub items: ItemsView,
}

/// A page of turns, as upstream's protocol serves them.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnsPage {
    /// The turns.
    pub turns: Vec<Value>,
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
    /// Where to go on: a cursor of an earlier page of items of the thread.
    pub cursor: Option<String>,
    /// Most items, 1 to 1000.
    pub limit: usize,
    /// Ascending is oldest first.
    pub order: Order,
}

/// A page of items.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemsPage {
    /// `{"turnId","itemId","createdAtMs","ordinal","item"}` each.
    pub items: Vec<Value>,
    /// As in [`TurnsPage`].
    pub next_cursor: Option<String>,
    /// As in [`TurnsPage`].
    pub backwards_cursor: Option<String>,
}

impl Store {
    /// A page of a thread's turns. Its cost does not grow with the thread.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`], [`crate::ErrorKind::Invalid`] for a cursor or limit that
    /// cannot be; failures of the system. Items whose records are damaged are left out and the
    /// damage is kept in [`Store::damage_seen`].
    pub fn turns(&self, request: &TurnsRequest) -> Result<TurnsPage, Error> {
        let limit = page_limit(request.limit)?;
        self.with_thread(&request.thread, |index, number, reader| {
            let token = self.token(request.cursor.as_deref())?;
            let anchor = token
                .map(|token| token.in_turns(number))
                .transpose()
                .map_err(Error::of_cursor(
                    request.cursor.as_deref().unwrap_or_default(),
                ))?;
            let rows = index.reader()?;
            let page = rows.turns_page(
                number,
                &PageRequest {
                    anchor,
                    order: request.order,
                    limit,
                },
            )?;
            let mut shown = Vec::with_capacity(page.rows.len());
            for (_, turn) in &page.rows {
                shown.push(items_of_turn(&rows, number, turn, request.items)?);
            }
            let rendered = self.render(reader, shown.iter().flatten(), &page.rows)?;
            let turn_json =
                |((_, turn), items): (&(Ordinal, TurnRow), &Vec<(Ordinal, ItemRow)>)| {
                    let items: Vec<Value> = items
                        .iter()
                        .filter_map(|(at, _)| rendered.items.get(at).cloned())
                        .collect();
                    turn_value(turn, &rendered, items, request.items)
                };
            let text = |anchor| PageToken::turns(number, anchor).to_text(self.source.store());
            Ok(TurnsPage {
                turns: page.rows.iter().zip(&shown).map(turn_json).collect(),
                next_cursor: page.next().map(text),
                backwards_cursor: page.backwards().map(text),
            })
        })
    }

    /// A page of a thread's items. Its cost does not grow with the thread.
    ///
    /// # Errors
    /// As [`Store::turns`].
    pub fn items(&self, request: &ItemsRequest) -> Result<ItemsPage, Error> {
        let limit = page_limit(request.limit)?;
        self.with_thread(&request.thread, |index, number, reader| {
            let token = self.token(request.cursor.as_deref())?;
            let anchor = token
                .map(|token| token.in_items(number))
                .transpose()
                .map_err(Error::of_cursor(
                    request.cursor.as_deref().unwrap_or_default(),
                ))?;
            let rows = index.reader()?;
            let turn = request.turn.as_deref().map(|id| {
                let name = rows.turn_name(number, &short_id(id))?;
                name.ok_or_else(|| Error::NoTurn {
                    thread: request.thread.clone(),
                    turn: id.to_owned(),
                })
            });
            let turn = turn.transpose()?.map(|name| name.turn);
            let asked = PageRequest {
                anchor,
                order: request.order,
                limit,
            };
            let page = rows.items_page(number, turn, &asked)?;
            let rendered = self.render(reader, page.rows.iter(), &[])?;
            let mut items = Vec::with_capacity(page.rows.len());
            for (first, row) in &page.rows {
                let Some(item) = rendered.items.get(first) else {
                    continue;
                };
                items.push(json!({
                    "turnId": rows.turn_id(number, row.turn)?,
                    "itemId": row.id,
                    "createdAtMs": row.created_at_ms,
                    "ordinal": first.0,
                    "item": item,
                }));
            }
            let text = |anchor| PageToken::items(number, anchor).to_text(self.source.store());
            let next_cursor = page.next().map(text);
            Ok(ItemsPage {
                items,
                next_cursor,
                backwards_cursor: page.backwards().map(text),
            })
        })
    }

    fn token(&self, cursor: Option<&str>) -> Result<Option<PageToken>, Error> {
        let parse = |text: &str| {
            PageToken::parse(text, self.source.store()).map_err(Error::of_cursor(text))
        };
        cursor.map(parse).transpose()
    }

    /// Reads the records of all items and turn errors at once and renders them.
    fn render<'r>(
        &self,
        reader: &Reader,
        items: impl Iterator<Item = &'r (Ordinal, ItemRow)> + Clone,
        turns: &[(Ordinal, TurnRow)],
    ) -> Result<Rendered, Error> {
        let sources = items
            .clone()
            .flat_map(|(_, row)| row.sources.iter().copied());
        let errors = turns.iter().filter_map(|(_, turn)| turn.error_at);
        let wanted: Vec<Ordinal> = sources.chain(errors).collect();
        let lines = self.lines(reader, &wanted)?;
        let mut rendered = Rendered::default();
        for (first, row) in items {
            let bytes: Option<Vec<&[u8]>> = row
                .sources
                .iter()
                .map(|at| lines.get(at).map(Vec::as_slice))
                .collect();
            if let Some(value) = bytes.and_then(|bytes| item::render(&row.id, &bytes)) {
                rendered.items.insert(*first, value);
            }
        }
        for at in turns.iter().filter_map(|(_, turn)| turn.error_at) {
            if let Some(error) = lines.get(&at).and_then(|line| item::turn_error(line)) {
                rendered.errors.insert(at, error);
            }
        }
        Ok(rendered)
    }

    /// The lines at these ordinals; what is damaged is left out and noted.
    fn lines(
        &self,
        reader: &Reader,
        wanted: &[Ordinal],
    ) -> Result<HashMap<Ordinal, Vec<u8>>, Error> {
        let mut found = HashMap::with_capacity(wanted.len());
        match reader.get(wanted) {
            Ok(records) => {
                for record in records {
                    let at = record.ordinal;
                    let line = whole_line(reader, record).map_err(Error::of_read(""))?;
                    found.insert(at, line);
                }
            }
            Err(ReadError::Disk(failure)) => return Err(Error::Disk(failure)),
            // One damaged record must not cost the page: read them one by one.
            Err(ReadError::Damaged(_)) => {
                for at in wanted {
                    match reader.get(&[*at]) {
                        Ok(mut records) => {
                            let line = records.pop().map(|record| whole_line(reader, record));
                            if let Some(Ok(line)) = line {
                                found.insert(*at, line);
                            }
                        }
                        Err(ReadError::Damaged(damage)) => self.saw_damage(&damage),
                        Err(ReadError::Disk(failure)) => return Err(Error::Disk(failure)),
                    }
                }
            }
        }
        Ok(found)
    }
}

#[derive(Default)]
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

fn turn_value(turn: &TurnRow, rendered: &Rendered, items: Vec<Value>, view: ItemsView) -> Value {
    let status = match turn.status {
        TurnStatus::InProgress => "inProgress",
        TurnStatus::Completed => "completed",
        TurnStatus::Interrupted => "interrupted",
        TurnStatus::Failed => "failed",
    };
    let view = match view {
        ItemsView::NotLoaded => "notLoaded",
        ItemsView::Summary => "summary",
        ItemsView::Full => "full",
    };
    json!({
        "id": turn.id,
        "items": items,
        "itemsView": view,
        "status": status,
        "error": turn.error_at.and_then(|at| rendered.errors.get(&at)),
        "startedAt": turn.started_at,
        "completedAt": turn.completed_at,
        "durationMs": turn.duration_ms,
    })
}
