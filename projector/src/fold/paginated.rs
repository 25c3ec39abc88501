//! Owns the interpretation of paginated threads (rules 13): one record, one snapshot of a turn or
//! an item.

use turnleaf_format::Ordinal;

use super::effect::{Decoded, Effect, TurnTimes};
use super::state::ThreadState;
use crate::item::{ItemHead, LegacyHead};
use crate::rows::{
    ItemKind, ItemRow, Landmarks, Phase, Rows, TurnName, TurnNo, TurnRow, TurnStatus,
};

pub(super) fn apply<R: Rows>(
    rows: &mut R,
    state: &mut ThreadState,
    ordinal: Ordinal,
    decoded: &Decoded<'_>,
) -> Result<(), R::Error> {
    let (id, status, error_at, times) = match &decoded.effect {
        Effect::TurnStarted { id, started_at } => {
            let times = TurnTimes {
                started_at: *started_at,
                ..TurnTimes::default()
            };
            (id, TurnStatus::InProgress, None, times)
        }
        Effect::TurnCompleted {
            id,
            has_error: true,
            times,
        } => (id, TurnStatus::Failed, Some(ordinal), *times),
        Effect::TurnCompleted {
            id,
            has_error: false,
            times,
        } => (id, TurnStatus::Completed, None, *times),
        Effect::TurnAborted {
            id: Some(id),
            times,
        } => (id, TurnStatus::Interrupted, None, *times),
        Effect::Item(LegacyHead::Item {
            turn_id,
            item,
            is_begin: false,
        }) => {
            return put_item(rows, state, ordinal, turn_id, item, decoded.timestamp_ms);
        }
        _ => return Ok(()),
    };
    put_turn(
        rows,
        state,
        ordinal,
        Snapshot {
            id,
            status,
            error_at,
            times,
        },
    )
}

struct Snapshot<'a> {
    id: &'a str,
    status: TurnStatus,
    error_at: Option<Ordinal>,
    times: TurnTimes,
}

fn put_turn<R: Rows>(
    rows: &mut R,
    state: &mut ThreadState,
    ordinal: Ordinal,
    snapshot: Snapshot<'_>,
) -> Result<(), R::Error> {
    let name = rows.turn_name(snapshot.id)?;
    let turn = name.map_or_else(|| state.take_turn_no(), |name| name.turn);
    let key = name.and_then(|name| name.row).unwrap_or(ordinal);
    let old = match name.and_then(|name| name.row) {
        Some(key) => rows.turn(key)?,
        None => None,
    };
    if name.and_then(|name| name.row).is_none() {
        rows.put_turn_name(
            snapshot.id,
            TurnName {
                turn,
                row: Some(ordinal),
            },
        )?;
    }
    let started_before = old.as_ref().and_then(|row| row.started_at);
    let mut row = TurnRow {
        turn,
        id: snapshot.id.to_owned(),
        status: snapshot.status,
        error_at: snapshot.error_at,
        // A later record that lacks the start does not take it away.
        started_at: snapshot.times.started_at.or(started_before),
        completed_at: snapshot.times.completed_at,
        duration_ms: snapshot.times.duration_ms,
        first_user_item: old.as_ref().and_then(|row| row.first_user_item),
        final_agent_item: old.and_then(|row| row.final_agent_item),
    };
    point(&mut row, rows.landmarks(turn)?);
    rows.put_turn(key, &row)
}

/// Sets the summary pointers of a changed turn from its items.
fn point(row: &mut TurnRow, items: Landmarks) {
    let ended = row.status != TurnStatus::InProgress;
    row.first_user_item = row.first_user_item.or(items.first_user);
    row.final_agent_item = items
        .last_final
        .or(items.last_plain.filter(|_| ended))
        .or(row.final_agent_item);
}

fn put_item<R: Rows>(
    rows: &mut R,
    state: &mut ThreadState,
    ordinal: Ordinal,
    turn_id: &str,
    item: &ItemHead<'_>,
    created_at_ms: Option<i64>,
) -> Result<(), R::Error> {
    let name = match rows.turn_name(turn_id)? {
        Some(name) => name,
        None => {
            let name = TurnName {
                turn: state.take_turn_no(),
                row: None,
            };
            rows.put_turn_name(turn_id, name)?;
            name
        }
    };
    let key = put_snapshot(rows, ordinal, name.turn, item, created_at_ms)?;
    let Some(turn_key) = name.row else {
        return Ok(());
    };
    let opens = item.kind == ItemKind::UserMessage;
    let closes = item.kind == ItemKind::AgentMessage && item.phase == Some(Phase::FinalAnswer);
    if !opens && !closes {
        return Ok(());
    }
    let Some(mut row) = rows.turn(turn_key)? else {
        return Ok(());
    };
    if opens {
        row.first_user_item = row.first_user_item.or(Some(key));
    } else {
        row.final_agent_item = Some(key);
    }
    rows.put_turn(turn_key, &row)
}

/// Writes an item's row and gives its key: a known item keeps its place and time.
fn put_snapshot<R: Rows>(
    rows: &mut R,
    ordinal: Ordinal,
    turn: TurnNo,
    item: &ItemHead<'_>,
    created_at_ms: Option<i64>,
) -> Result<Ordinal, R::Error> {
    let known = match rows.item_key(turn, &item.id)? {
        Some(key) => rows.item(key)?.map(|row| (key, row.created_at_ms)),
        None => None,
    };
    let (key, created_at_ms) = known.unwrap_or((ordinal, created_at_ms));
    let row = ItemRow {
        turn,
        id: item.id.to_string(),
        kind: item.kind,
        phase: item.phase,
        created_at_ms,
        sources: vec![ordinal],
    };
    rows.put_item(key, &row)?;
    Ok(key)
}
