//! How a turn ends.

use turnleaf_format::Ordinal;

use crate::fold::{MemRows, ThreadState, apply};

use crate::payload::decode;
use crate::rows::TurnStatus;

/// Status of the only turn of a legacy thread, and the record that says what it failed of.
fn ending(events: &[&str]) -> (TurnStatus, Option<Ordinal>) {
    let (mut rows, mut state) = (MemRows::default(), ThreadState::default());
    for (at, event) in (0_u64..).zip(events) {
        let line = format!(
            r#"{{"timestamp":"2026-07-09T10:00:00.000Z","type":"event_msg","payload":{event}}}"#
        );
        let decoded = decode(line.as_bytes());
        assert!(decoded.is_accepted(), "{line}");
        let Ok(()) = apply(&mut rows, &mut state, Ordinal(at), &decoded);
    }
    let (_, row) = rows.turns().next().expect("one turn");
    (row.status, row.error_at)
}

const STARTED: &str = r#"{"type":"task_started","turn_id":"t","model_context_window":null}"#;
const FAILED: &str = r#"{"type":"task_complete","turn_id":"t","last_agent_message":null,
    "error":{"message":"no","codex_error_info":"other"}}"#;
const ERROR: &str = r#"{"type":"error","message":"no","codex_error_info":"other"}"#;

#[test]
fn a_turn_that_ends_with_an_error_failed() {
    let line = FAILED.replace('\n', "");
    let failed = |at| (TurnStatus::Failed, Some(Ordinal(at)));
    assert_eq!(ending(&[STARTED, &line]), failed(1));
    // What failed in between is what it failed of.
    assert_eq!(ending(&[STARTED, ERROR, &line]), failed(1));
    let without = line.replace(r#"{"message":"no","codex_error_info":"other"}"#, "null");
    assert_eq!(ending(&[STARTED, &without]), (TurnStatus::Completed, None));
}
