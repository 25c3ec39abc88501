//! Owns the commands that only response items of a legacy thread hold, among the items of a page.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;

use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_engine::{Damage, Reader};
use turnleaf_projector::fold::ThreadState;
use turnleaf_projector::index::{self, Anchor, Order, Page, PageRequest};
use turnleaf_projector::render::{self, CallPlace};
use turnleaf_projector::rows::{ItemRow, TurnNo};

use super::ItemAt;
use crate::error::Error;
use crate::open::Store;
use crate::reads::bodies::add_times;
use crate::reads::served::Body;

/// Which rows of a page are calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    keys: HashSet<Ordinal>,
    /// Those without an output, where one may be among records that are lost.
    cut_off: HashSet<Ordinal>,
    /// Where their commands ran that do not say it.
    directory: String,
    /// The turn that goes on, if one does.
    running: Option<TurnNo>,
}

impl Calls {
    /// Says which turn goes on.
    pub(super) fn beside(self, running: Option<TurnNo>) -> Calls {
        Calls { running, ..self }
    }

    pub(super) fn has(&self, at: Ordinal) -> bool {
        self.keys.contains(&at)
    }
}

/// Puts the calls that belong among the items of a page there: the page ends as early as without
/// them, or earlier. A call that an item of its turn tells of is left out. `damage` is what was met
/// by the opening and since, which the reader may not know.
pub(super) fn mixed_in(
    rows: &index::Reader,
    (thread, reader): (ThreadNumber, &Reader),
    damage: &[Damage],
    turn: Option<TurnNo>,
    asked: &PageRequest,
    page: &mut Page<ItemRow>,
) -> Result<Calls, Error> {
    let beyond = |at: Ordinal, end: Ordinal| match asked.order {
        Order::Ascending => at > end,
        Order::Descending => at < end,
    };
    let items_end = page.rows.last().filter(|_| page.more).map(|(at, _)| *at);
    let (mut kept, mut ask): (Vec<ItemAt>, PageRequest) = (Vec::new(), *asked);
    // Where another call follows that does not fit.
    let mut calls_end = None;
    'pages: loop {
        let calls = rows.calls_page(thread, turn, &ask)?;
        ask.anchor = calls.next();
        for (at, call) in calls.rows {
            if items_end.is_some_and(|end| beyond(at, end)) {
                break 'pages;
            }
            if rows.item_by_id(thread, call.turn, &call.id)?.is_some() {
                continue;
            }
            if kept.len() == asked.limit.get() {
                calls_end = kept.last().map(|(at, _)| *at);
                break 'pages;
            }
            kept.push((at, call));
        }
        if ask.anchor.is_none() {
            break;
        }
    }
    if let Some(end) = calls_end {
        page.rows.retain(|(at, _)| !beyond(*at, end));
        page.more = true;
    }
    let keys = kept.iter().map(|(at, _)| *at).collect();
    let mut lost: Vec<(Ordinal, Ordinal)> = reader.holes();
    lost.extend(reader.given_up());
    let of_thread = damage.iter().filter(|met| met.thread == Some(thread));
    lost.extend(of_thread.filter_map(|met| met.ordinals));
    let cut_off = cut_off(rows, thread, &lost, &kept)?;
    page.rows.extend(kept);
    page.rows.sort_by_key(|(at, _)| *at);
    if asked.order == Order::Descending {
        page.rows.reverse();
    }
    if page.rows.len() > asked.limit.get() {
        page.rows.truncate(asked.limit.get());
        page.more = true;
    }
    let state: ThreadState = match rows.thread(thread)? {
        Some(row) if !row.state.is_empty() => row.fold_state(thread)?,
        _ => ThreadState::default(),
    };
    let directory = state.meta.cwd.unwrap_or_default();
    Ok(Calls {
        keys,
        cut_off,
        directory,
        running: None,
    })
}

/// Of some calls those without an output of which records behind them are lost, before the next
/// turn: nobody knows whether one of those was the output.
fn cut_off(
    rows: &index::Reader,
    thread: ThreadNumber,
    lost: &[(Ordinal, Ordinal)],
    calls: &[ItemAt],
) -> Result<HashSet<Ordinal>, Error> {
    let mut found = HashSet::new();
    for (at, call) in calls {
        let mut behind = lost.iter().filter(|(_, end)| end > at).peekable();
        if call.sources.len() > 1 || behind.peek().is_none() {
            continue;
        }
        let next = PageRequest {
            anchor: Some(Anchor {
                at: *at,
                include: false,
            }),
            order: Order::Ascending,
            limit: NonZeroUsize::MIN,
        };
        let next = rows.turns_page(thread, &next)?.rows;
        let turn_end = next.first().map(|(first, _)| *first);
        if behind.any(|(first, _)| turn_end.is_none_or(|end| *first < end)) {
            found.insert(*at);
        }
    }
    Ok(found)
}

impl Store {
    /// The bodies of the calls among some rows, whose records are read at once. They are not kept:
    /// what is shown of a call depends on what goes on beside it.
    pub(super) fn bodies_of_calls(
        &self,
        reader: &Reader,
        calls: &Calls,
        rows: &[ItemAt],
        met: &mut Vec<Damage>,
    ) -> Result<HashMap<Ordinal, Body>, Error> {
        let mut bodies = HashMap::new();
        let called = || rows.iter().filter(|(at, _)| calls.has(*at));
        let sources = called().flat_map(|(_, row)| row.sources.iter().copied());
        let sources: Vec<Ordinal> = sources.collect();
        if sources.is_empty() {
            return Ok(bodies);
        }
        let lines = self.lines(reader, &sources, met)?;
        for (first, row) in called() {
            let line = |place: usize| {
                let at = row.sources.get(place)?;
                lines.get(at).map(Vec::as_slice)
            };
            let Some(call) = line(0) else {
                continue;
            };
            let output = line(1);
            if output.is_none() && row.sources.len() > 1 {
                // It was recorded how the command ended, and cannot be read.
                continue;
            }
            let place = CallPlace {
                directory: &calls.directory,
                is_live: calls.running == Some(row.turn),
            };
            if let Some(mut value) = render::render_call(&row.id, call, output, place) {
                if calls.cut_off.contains(first) && value["status"] != "completed" {
                    continue;
                }
                add_times(&mut value, row.times);
                bodies.insert(*first, Body::of(&value));
            }
        }
        Ok(bodies)
    }
}

#[cfg(test)]
mod tests;
