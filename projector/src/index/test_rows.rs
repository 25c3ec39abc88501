//! Owns made-up rows for tests.

use proptest::prelude::*;
use turnleaf_format::Ordinal;

use crate::rows::{ItemKind, ItemRow, Phase, TurnNo, TurnRow, TurnStatus};

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
        Some(Phase::FinalAnswer),
    ])
}

/// Any turn rows.
pub(crate) fn turn_rows() -> impl Strategy<Value = TurnRow> {
    let times = any::<(Option<i64>, Option<i64>, Option<i64>)>();
    let places = prop::array::uniform3(prop::option::of(ordinals()));
    (any::<u32>(), ".{0,40}", statuses(), times, places).prop_map(
        |(turn, id, status, times, [error_at, first_user_item, final_agent_item])| TurnRow {
            turn: TurnNo(turn),
            id,
            status,
            error_at,
            started_at: times.0,
            completed_at: times.1,
            duration_ms: times.2,
            first_user_item,
            final_agent_item,
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
        any::<Option<i64>>(),
        sources,
    )
        .prop_map(|(turn, id, kind, phase, created_at_ms, sources)| ItemRow {
            turn: TurnNo(turn),
            id,
            kind,
            phase,
            created_at_ms,
            sources,
        })
}

/// A plain turn row.
pub(crate) fn turn(number: u32, id: &str) -> TurnRow {
    TurnRow {
        turn: TurnNo(number),
        id: id.to_owned(),
        status: TurnStatus::InProgress,
        error_at: None,
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
        sources: vec![Ordinal(first)],
    }
}
