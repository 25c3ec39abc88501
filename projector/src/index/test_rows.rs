//! Owns made-up rows for tests.

use proptest::prelude::*;
use turnleaf_format::Ordinal;

use crate::rows::{ItemKind, ItemRow, ItemTimes, Phase, TurnNo, TurnRow, TurnStatus};

fn ordinals() -> impl Strategy<Value = Ordinal> {
    prop_oneof![0..600_u64, any::<u64>()].prop_map(Ordinal)
}

fn statuses() -> impl Strategy<Value = TurnStatus> {
    use TurnStatus::{Completed, Failed, InProgress, Interrupted};
    prop::sample::select(vec![InProgress, Completed, Interrupted, Failed])
}

fn kinds() -> impl Strategy<Value = ItemKind> {
    use ItemKind::{AgentMessage, CommandExecution, Reasoning, Sleep, UserMessage};
    prop::sample::select(vec![
        UserMessage,
        AgentMessage,
        Reasoning,
        CommandExecution,
        Sleep,
    ])
}

fn phases() -> impl Strategy<Value = Option<Phase>> {
    prop::sample::select(vec![
        None,
        Some(Phase::Commentary),
        Some(Phase::PartialAnswer),
        Some(Phase::FinalAnswer),
    ])
}

/// An id and a root: none, the id itself, or another one.
fn ids_and_roots() -> impl Strategy<Value = (String, Option<String>)> {
    (".{0,40}", 0..3, ".{0,40}").prop_map(|(id, root, other)| match root {
        0 => (id, None),
        1 => (id.clone(), Some(id)),
        _ => (id, Some(other)),
    })
}

/// Any turn rows.
pub(crate) fn turn_rows() -> impl Strategy<Value = TurnRow> {
    let times = any::<[Option<i64>; 4]>();
    let places = prop::array::uniform3(prop::option::of(ordinals()));
    (any::<u32>(), ids_and_roots(), statuses(), times, places).prop_map(
        |(turn, (id, root), status, times, [error_at, first_user_item, final_agent_item])| {
            let [began_at_ms, started_at, completed_at, duration_ms] = times;
            TurnRow {
                turn: TurnNo(turn),
                id,
                root,
                status,
                error_at,
                began_at_ms,
                started_at,
                completed_at,
                duration_ms,
                first_user_item,
                final_agent_item,
            }
        },
    )
}

/// Any item rows.
pub(crate) fn item_rows() -> impl Strategy<Value = ItemRow> {
    let sources = prop::collection::vec(ordinals(), 0..5);
    (
        any::<u32>(),
        ".{0,40}",
        kinds(),
        phases(),
        any::<[Option<i64>; 3]>(),
        sources,
    )
        .prop_map(|(turn, id, kind, phase, times, sources)| ItemRow {
            turn: TurnNo(turn),
            id,
            kind,
            phase,
            created_at_ms: times[0],
            times: ItemTimes {
                started_at_ms: times[1],
                completed_at_ms: times[2],
            },
            sources,
        })
}

/// A plain turn row.
pub(crate) fn turn(number: u32, id: &str) -> TurnRow {
    TurnRow {
        turn: TurnNo(number),
        id: id.to_owned(),
        root: None,
        status: TurnStatus::InProgress,
        error_at: None,
        began_at_ms: None,
        started_at: Some(1_783_591_201),
        completed_at: None,
        duration_ms: None,
        first_user_item: None,
        final_agent_item: None,
    }
}

/// A plain item row, rendered from its first record.
pub(crate) fn item(number: u32, id: &str, first: u64) -> ItemRow {
    ItemRow {
        turn: TurnNo(number),
        id: id.to_owned(),
        kind: ItemKind::AgentMessage,
        phase: Some(Phase::Commentary),
        created_at_ms: Some(1_783_591_201_000 + i64::try_from(first).unwrap_or(0)),
        times: ItemTimes::default(),
        sources: vec![Ordinal(first)],
    }
}
