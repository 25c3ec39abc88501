//! A key that an object repeats means its last value, wherever it stands.

use serde_json::Value;

use super::cases::cases;
use crate::payload::{Effect, LargeLine, decode};
use crate::render;

/// The value as JSON text, in which every object has each key twice; only the second one counts.
fn doubled(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let key = |key: &str| Value::from(key).to_string();
            let wrong = fields.keys().map(|name| format!("{}:\"wrong\"", key(name)));
            out.push('{');
            out.push_str(&wrong.collect::<Vec<_>>().join(","));
            for (name, value) in fields {
                out.push(',');
                out.push_str(&key(name));
                out.push(':');
                doubled(value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                doubled(value, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[test]
fn lines_that_repeat_every_key_say_what_they_say_without() {
    let Some(cases) = cases() else { return };
    let (mut records, mut items) = (0, 0);
    for line in cases.iter().flat_map(|case| &case.lines) {
        let Ok(value) = serde_json::from_slice::<Value>(line) else {
            continue;
        };
        // Empty objects repeat nothing, and numbers may be written another way.
        let plain = value.to_string();
        let mut twice = String::new();
        doubled(&value, &mut twice);
        let expected = decode(plain.as_bytes());
        if !expected.is_accepted() {
            continue;
        }
        assert_eq!(decode(twice.as_bytes()), expected, "{twice}");
        records += 1;
        let served = render::render("i", &[plain.as_bytes()]);
        assert_eq!(render::render("i", &[twice.as_bytes()]), served, "{twice}");
        items += usize::from(served.is_some());
        let error = render::turn_error(plain.as_bytes());
        assert_eq!(render::turn_error(twice.as_bytes()), error, "{twice}");
        if matches!(expected.effect, Effect::Compacted(_)) {
            let mut large = LargeLine::new();
            twice
                .as_bytes()
                .chunks(7)
                .for_each(|piece| large.push(piece));
            assert_eq!(large.finish(), expected, "{twice}");
        }
    }
    println!("{records} records, {items} items");
    assert!(
        records > 500 && items > 100,
        "{records} records, {items} items"
    );
}

#[test]
fn the_last_type_chooses() {
    let line = |payload: &str| {
        format!(r#"{{"timestamp":"2026-07-09T10:00:00Z","type":"event_msg","payload":{payload}}}"#)
    };
    let says = |payload: &str, other: &str| {
        assert_eq!(
            decode(line(payload).as_bytes()),
            decode(line(other).as_bytes())
        );
    };
    says(
        r#"{"type":"agent_message","message":"m","type":"user_message"}"#,
        r#"{"type":"user_message","message":"m"}"#,
    );
    says(
        r#"{"type":"agent_message_delta","message":"m","type":"user_message"}"#,
        r#"{"type":"user_message","message":"m"}"#,
    );
    says(
        r#"{"type":"token_count","info":null,"turn_id":"t","type":"turn_started"}"#,
        r#"{"type":"turn_started","turn_id":"t"}"#,
    );
}
