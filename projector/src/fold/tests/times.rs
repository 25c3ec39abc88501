//! When turns and items began and ended, and for which turn: what is known first stands.

use turnleaf_format::Ordinal;

use crate::fold::{MemRows, Mode, ThreadState, apply};

use crate::payload::decode;
use crate::rows::{ItemRow, ItemTimes, TurnRow};

const THREAD: &str = "019f0000-0000-7000-8000-000000000001";

fn event(second: usize, payload: &str) -> String {
    format!(
        "{{\"timestamp\":\"2026-07-09T10:00:{second:02}.000Z\",\"type\":\"event_msg\",\
         \"payload\":{payload}}}"
    )
}

fn sleep(turn: &str, more: &str) -> String {
    format!(
        r#"{{"type":"item_completed","thread_id":"{THREAD}","turn_id":"{turn}",{}{more}}}"#,
        r#""item":{"type":"Extension","kind":"clock.sleep","id":"s","durationMs":1}"#
    )
}

fn folded(mode: Mode, payloads: &[String]) -> (Vec<TurnRow>, Vec<ItemRow>) {
    let (mut rows, mut state) = (MemRows::default(), ThreadState::forced(mode));
    for (at, payload) in payloads.iter().enumerate() {
        let line = event(at, payload);
        let decoded = decode(line.as_bytes());
        assert!(decoded.is_accepted(), "{line}");
        let Ok(()) = apply(&mut rows, &mut state, Ordinal(at as u64), &decoded);
    }
    let turns = rows.turns().map(|(_, row)| row.clone()).collect();
    let items = rows.items().map(|(_, row)| row.clone()).collect();
    (turns, items)
}

#[test]
fn the_first_times_of_an_item_stand() {
    let start = r#"{"type":"task_started","turn_id":"t","model_context_window":null}"#.to_owned();
    let check = |snapshots: &[&str], started_at_ms, completed_at_ms| {
        for mode in [Mode::Legacy, Mode::Paginated] {
            let more = snapshots.iter().map(|more| sleep("t", more));
            let payloads: Vec<String> = [start.clone()].into_iter().chain(more).collect();
            let (_, items) = folded(mode, &payloads);
            let expected = ItemTimes {
                started_at_ms,
                completed_at_ms,
            };
            assert_eq!(items[0].times, expected, "{mode:?}: {snapshots:?}");
        }
    };
    check(&[""], None, None);
    check(&[r#","completed_at_ms":7"#], None, Some(7));
    let (begun, ended) = (
        r#","started_at_ms":0,"completed_at_ms":0"#,
        r#","started_at_ms":5,"completed_at_ms":9"#,
    );
    check(&[begun, ended], Some(0), Some(9));
    check(&[ended, begun], Some(5), Some(9));
    check(&[ended, r#","completed_at_ms":11"#], Some(5), Some(9));
}

#[test]
fn a_turn_keeps_the_first_root_and_the_time_of_its_first_record() {
    let started = |more: &str| {
        format!(r#"{{"type":"task_started","turn_id":"t","model_context_window":null{more}}}"#)
    };
    let ended = |kind: &str, more: &str| format!(r#"{{"type":"{kind}","turn_id":"t"{more}}}"#);
    let root = |mode, payloads: &[String]| {
        let (turns, _) = folded(mode, payloads);
        assert_eq!(turns[0].began_at_ms, Some(1_783_591_200_000));
        turns[0].root.clone()
    };
    let named = |root: &str| format!(r#","root_turn_id":"{root}""#);
    let aborted = format!(r#","reason":"interrupted"{}"#, named("c"));
    let cases = [
        (vec![started("")], None, None),
        (vec![started(&named("a"))], Some("a"), Some("a")),
        (
            vec![started(&named("a")), ended("task_complete", &named("b"))],
            Some("a"),
            Some("a"),
        ),
        // Only a paginated turn learns it later.
        (
            vec![started(""), ended("task_complete", &named("b"))],
            None,
            Some("b"),
        ),
        (
            vec![started(""), ended("turn_aborted", &aborted)],
            None,
            Some("c"),
        ),
    ];
    for (payloads, legacy, paginated) in cases {
        assert_eq!(root(Mode::Legacy, &payloads).as_deref(), legacy);
        assert_eq!(root(Mode::Paginated, &payloads).as_deref(), paginated);
    }
}

#[test]
fn a_legacy_turn_that_no_record_announces_has_a_beginning() {
    let said = r#"{"type":"user_message","message":"hello"}"#.to_owned();
    let (turns, _) = folded(Mode::Legacy, &[said]);
    assert_eq!(turns[0].started_at, None);
    assert_eq!(turns[0].began_at_ms, Some(1_783_591_200_000));
}
