//! Tests of heads and rendering through their public functions.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{render, turn_error};
use crate::payload::{
    ItemHead, LegacyHead, Rejected, hook_prompt_head, legacy_head, turn_item_head,
};

mod conformance;
mod events;
mod hooks;
mod items;
mod mutation;

const THREAD: &str = "019f0000-0000-7000-8000-000000000066";

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).expect("a JSON text")
}

fn line_of(line_type: &str, payload: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-07-09T10:00:00.250Z","type":"{line_type}","payload":{payload}}}"#
    )
}

fn item_line(item: &str) -> String {
    let payload = format!(
        r#"{{"type":"item_completed","thread_id":"{THREAD}","turn_id":"t","item":{item}}}"#
    );
    line_of("event_msg", &payload)
}

/// The head of an item and what is served for it, from one text of it.
fn item(text: &str) -> Result<(ItemHead<'_>, Value), Rejected> {
    let head = turn_item_head(raw(text))?;
    let line = item_line(text);
    let served = render(&head.id, &[line.as_bytes()]).expect("an accepted item is served");
    Ok((head, served))
}

/// Checks what is served for a canonical item.
fn check_item(item_json: Value, expect: Value) {
    let text = item_json.to_string();
    let (_, served) = item(&text).unwrap_or_else(|why| panic!("{why:?}: {text}"));
    assert_eq!(served, expect, "{text}");
}

fn check_rejected(item_json: Value) {
    let text = item_json.to_string();
    assert!(item(&text).is_err(), "accepted: {text}");
}

/// Checks the head and the served form of a legacy event, served under the id `it`.
fn check_event(event: Value, check: impl FnOnce(LegacyHead<'_>), expect: Value) {
    let text = event.to_string();
    let event_type = event["type"].as_str().expect("a type");
    let head = legacy_head(event_type, raw(&text)).unwrap_or_else(|why| panic!("{why:?}: {text}"));
    check(head.expect("an item event"));
    let line = line_of("event_msg", &text);
    let served = render("it", &[line.as_bytes()]).unwrap_or(Value::Null);
    assert_eq!(served, expect, "{text}");
}

fn check_event_rejected(event: Value) {
    let text = event.to_string();
    let event_type = event["type"].as_str().expect("a type");
    assert!(
        legacy_head(event_type, raw(&text)).is_err(),
        "accepted: {text}"
    );
}

#[test]
fn an_error_is_served_from_its_event_and_from_a_completion() {
    let error = json!({
        "type": "error",
        "message": "broke",
        "codex_error_info": { "response_stream_disconnected": { "http_status_code": 502 } },
    });
    let expect = json!({
        "message": "broke",
        "codexErrorInfo": { "responseStreamDisconnected": { "httpStatusCode": 502 } },
        "additionalDetails": null,
    });
    let line = line_of("event_msg", &error.to_string());
    assert_eq!(turn_error(line.as_bytes()), Some(expect.clone()));
    for completion in ["task_complete", "turn_complete"] {
        let event = json!({ "type": completion, "turn_id": "t", "error": error });
        let line = line_of("event_msg", &event.to_string());
        assert_eq!(turn_error(line.as_bytes()), Some(expect.clone()));
    }
    let without = json!({ "type": "task_complete", "turn_id": "t", "error": null });
    assert_eq!(
        turn_error(line_of("event_msg", &without.to_string()).as_bytes()),
        None
    );
    assert_eq!(turn_error(b"{"), None);
}

#[test]
fn errors_about_refused_requests_do_not_fail_a_turn() {
    let check = |info: Value, expect: bool| {
        let event = json!({ "type": "error", "message": "m", "codex_error_info": info });
        let text = event.to_string();
        let head = legacy_head("error", raw(&text)).expect("accepted");
        assert_eq!(
            head,
            Some(LegacyHead::Error {
                affects_turn: expect
            }),
            "{text}"
        );
    };
    check(Value::Null, true);
    check(json!("other"), true);
    check(json!("bad_request"), true);
    check(json!("thread_rollback_failed"), false);
    check(
        json!({ "active_turn_not_steerable": { "turn_kind": "review" } }),
        false,
    );
    check_event_rejected(json!({ "type": "error", "message": "m", "codex_error_info": "new" }));
    check_event_rejected(json!({ "type": "error" }));
}
