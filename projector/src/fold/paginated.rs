//! Owns the interpretation of paginated threads (rules 13): one record, one snapshot of a turn or
//! an item.

use turnleaf_format::Ordinal;

use crate::fold::state::ThreadState;
use crate::payload::{Decoded, Effect, TurnTimes};
use crate::payload::{ItemHead, LegacyHead};
use crate::rows::{
    ItemKind, ItemRow, ItemTimes, Landmarks, Phase, Rows, TurnName, TurnNo, TurnRow, TurnStatus,
};

pub(super) fn apply<R: Rows>(
    rows: &mut R,
    state: &mut ThreadState,
    ordinal: Ordinal,
    decoded: &Decoded<'_>,
) -> Result<(), R::Error> {
    let (id, root, status, error_at, times) = match &decoded.effect {
        Effect::TurnStarted {
            id,
            root,
            started_at,
        } => {
            let times = TurnTimes {
                started_at: *started_at,
                ..TurnTimes::default()
            };
            (id, root, TurnStatus::InProgress, None, times)
        }
        Effect::TurnCompleted {
            id,
            root,
            has_error: true,
            times,
        } => (id, root, TurnStatus::Failed, Some(ordinal), *times),
        Effect::TurnCompleted {
            id,
            root,
            has_error: false,
            times,
        } => (id, root, TurnStatus::Completed, None, *times),
        Effect::TurnAborted {
            id: Some(id),
            root,
            times,
        } => (id, root, TurnStatus::Interrupted, None, *times),
        Effect::Item(LegacyHead::Item {
            turn_id,
            item,
            is_begin: false,
            times,
        }) => {
            let snapshot = ItemSnapshot {
                item,
                created_at_ms: decoded.timestamp_ms,
                times: *times,
            };
            return put_item(rows, state, ordinal, turn_id, &snapshot);
        }
        _ => return Ok(()),
    };
    put_turn(
        rows,
        state,
        ordinal,
        Snapshot {
            id,
            created_at_ms: decoded.timestamp_ms,
            root: root.as_deref(),
            status,
            error_at,
            times,
        },
    )
}

struct Snapshot<'a> {
    id: &'a str,
    created_at_ms: Option<i64>,
    root: Option<&'a str>,
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
    let root_before = old.as_ref().and_then(|row| row.root.clone());
    let mut row = TurnRow {
        turn,
        id: snapshot.id.to_owned(),
        root: root_before.or_else(|| snapshot.root.map(str::to_owned)),
        status: snapshot.status,
        error_at: snapshot.error_at,
        began_at_ms: match &old {
            Some(row) => row.began_at_ms,
            None => snapshot.created_at_ms,
        },
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

/// An item as one record tells it.
struct ItemSnapshot<'a> {
    item: &'a ItemHead<'a>,
    created_at_ms: Option<i64>,
    times: ItemTimes,
}

fn put_item<R: Rows>(
    rows: &mut R,
    state: &mut ThreadState,
    ordinal: Ordinal,
    turn_id: &str,
    snapshot: &ItemSnapshot<'_>,
) -> Result<(), R::Error> {
    let item = snapshot.item;
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
    let key = put_snapshot(rows, ordinal, name.turn, snapshot)?;
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

/// Writes an item's row and gives its key: a known item keeps its place and times.
fn put_snapshot<R: Rows>(
    rows: &mut R,
    ordinal: Ordinal,
    turn: TurnNo,
    snapshot: &ItemSnapshot<'_>,
) -> Result<Ordinal, R::Error> {
    let item = snapshot.item;
    let known = match rows.item_key(turn, &item.id)? {
        Some(key) => rows.item(key)?.map(|row| (key, row)),
        None => None,
    };
    let (key, created_at_ms, times) = match known {
        Some((key, row)) => (key, row.created_at_ms, row.times.or(snapshot.times)),
        None => (ordinal, snapshot.created_at_ms, snapshot.times),
    };
    let row = ItemRow {
        turn,
        id: item.id.to_string(),
        kind: item.kind,
        phase: item.phase,
        created_at_ms,
        times,
        sources: vec![ordinal],
    };
    rows.put_item(key, &row)?;
    Ok(key)
}
