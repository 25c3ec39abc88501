//! Commands that a legacy thread holds only as response items: they have rows of their own beside
//! the items, and change nothing else.

use turnleaf_format::Ordinal;

use crate::fold::{MemRows, Mode, ThreadState, apply};

use crate::payload::decode;
use crate::rows::{ItemRow, TurnNo};

fn line(second: usize, kind: &str, payload: &str) -> String {
    format!(
        "{{\"timestamp\":\"2026-07-09T10:00:{second:02}.000Z\",\"type\":\"{kind}\",\
         \"payload\":{payload}}}"
    )
}

fn user(text: &str) -> (&'static str, String) {
    (
        "event_msg",
        format!(r#"{{"type":"user_message","message":"{text}"}}"#),
    )
}

fn rolled_back(turns: u32) -> (&'static str, String) {
    (
        "event_msg",
        format!(r#"{{"type":"thread_rolled_back","num_turns":{turns}}}"#),
    )
}

fn call(name: &str, id: &str) -> (&'static str, String) {
    let keys = format!(r#""name":"{name}","arguments":"{{}}","call_id":"{id}""#);
    (
        "response_item",
        format!(r#"{{"type":"function_call",{keys}}}"#),
    )
}

fn output(id: &str) -> (&'static str, String) {
    let keys = format!(r#""call_id":"{id}","output":"x""#);
    (
        "response_item",
        format!(r#"{{"type":"function_call_output",{keys}}}"#),
    )
}

fn folded(mode: Mode, records: &[(&str, String)]) -> (MemRows, ThreadState) {
    let (mut rows, mut state) = (MemRows::default(), ThreadState::forced(mode));
    for (at, (kind, payload)) in records.iter().enumerate() {
        let line = line(at, kind, payload);
        let decoded = decode(line.as_bytes());
        assert!(decoded.is_accepted(), "{line}");
        let Ok(()) = apply(&mut rows, &mut state, Ordinal(at as u64), &decoded);
    }
    (rows, state)
}

/// Turn, id and records of each call.
fn calls(rows: &MemRows) -> Vec<(TurnNo, String, Vec<u64>)> {
    let shown = |(_, row): (Ordinal, &ItemRow)| {
        let sources = row.sources.iter().map(|at| at.0).collect();
        (row.turn, row.id.clone(), sources)
    };
    rows.calls().map(shown).collect()
}

#[test]
fn a_call_and_its_output_are_one_command_of_their_turn() {
    let records = [
        user("a"),
        call("shell", "one"),
        call("exec_command", "two"),
        call("update_plan", "three"),
        output("two"),
        output("three"),
        user("b"),
        output("one"),
        call("shell_command", "four"),
    ];
    let (rows, state) = folded(Mode::Legacy, &records);
    let expected = [
        (TurnNo(0), "one".to_owned(), vec![1, 7]),
        (TurnNo(0), "two".to_owned(), vec![2, 4]),
        (TurnNo(1), "four".to_owned(), vec![8]),
    ];
    assert_eq!(calls(&rows), expected);
    let times = |at: usize| {
        let (_, row) = rows.calls().nth(at).expect("a call");
        (row.times.started_at_ms, row.times.completed_at_ms)
    };
    let at = |second: i64| Some(1_783_591_200_000 + second * 1000);
    assert_eq!(times(0), (at(1), at(7)));
    assert_eq!(times(2), (at(8), None));
    // Items, their numbers and turns are those of a thread without such records.
    let others: Vec<_> = records
        .iter()
        .filter(|(kind, _)| *kind == "event_msg")
        .cloned()
        .collect();
    let (plain, plain_state) = folded(Mode::Legacy, &others);
    let ids =
        |rows: &MemRows| -> Vec<String> { rows.items().map(|(_, row)| row.id.clone()).collect() };
    assert_eq!(ids(&rows), ids(&plain));
    assert_eq!(state.numbered_items, plain_state.numbered_items);
    assert!(calls(&folded(Mode::Paginated, &records).0).is_empty());
}

#[test]
fn a_rollback_takes_the_calls_of_its_turns() {
    let records = [
        user("a"),
        call("shell", "one"),
        user("b"),
        call("shell", "two"),
        call("shell", "three"),
        rolled_back(1),
        output("three"),
        output("one"),
    ];
    let (rows, _) = folded(Mode::Legacy, &records);
    assert_eq!(calls(&rows), [(TurnNo(0), "one".to_owned(), vec![1, 7])]);
}

#[test]
fn a_call_before_any_turn_has_none_and_few_wait_for_their_output() {
    let (rows, state) = folded(Mode::Legacy, &[call("shell", "early"), user("a")]);
    assert!(calls(&rows).is_empty() && state.calls.is_empty());
    let many: Vec<_> = (0..100)
        .map(|at| call("shell", &format!("c{at}")))
        .collect();
    let (_, state) = folded(Mode::Legacy, &[&[user("a")][..], &many].concat());
    assert_eq!(state.calls.len(), 64);
    assert_eq!(state.calls[63].id, "c99");
}
