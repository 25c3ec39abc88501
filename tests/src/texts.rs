//! Owns threads with a text of any size in any place: each string of each kind of record, one at a
//! time.

use serde_json::Value;

use crate::rollouts::{Rollout, RolloutMode};
use crate::soup;

/// One place of one kind of record that holds a string.
#[derive(Debug, Clone)]
pub struct Place {
    line: Value,
    /// Where in the line: keys and numbers of elements.
    pointer: String,
}

/// Every place: of the templates of random threads, and what generated rollouts have besides.
///
/// # Panics
/// When a line is no JSON.
#[must_use]
pub fn places() -> Vec<Place> {
    let mut lines: Vec<Value> = soup::one_of_each()
        .into_iter()
        .map(|(kind, payload)| {
            let payload: Value = serde_json::from_str(&payload).expect("templates are JSON");
            serde_json::json!({
                "timestamp": "2026-01-01T00:00:00Z", "type": kind, "payload": payload,
            })
        })
        .collect();
    for mode in [RolloutMode::Legacy, RolloutMode::Paginated] {
        let mut bytes = Vec::new();
        let rollout = Rollout::new(mode, 1, 64 << 10);
        rollout.write(&mut bytes).expect("memory does not fail");
        let read = |line: &[u8]| serde_json::from_slice(line).expect("a rollout is JSON");
        let ended = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        lines.extend(ended.split(|byte| *byte == b'\n').map(read));
    }
    let mut places: Vec<(String, Place)> = Vec::new();
    for line in &lines {
        let mut found = Vec::new();
        walk(line, &mut String::new(), &mut found);
        let name = |path: &str| line.pointer(path).map(Value::to_string);
        let kinds = ["/type", "/payload/type", "/payload/item/type"].map(name);
        for pointer in found {
            let name = format!("{kinds:?}{pointer}");
            if !places.iter().any(|(known, _)| *known == name) {
                let line = line.clone();
                places.push((name, Place { line, pointer }));
            }
        }
    }
    places.into_iter().map(|(_, place)| place).collect()
}

/// Paths of the strings of a value; of an array the first element stands for all.
fn walk(value: &Value, path: &mut String, found: &mut Vec<String>) {
    let below: Vec<(&str, &Value)> = match value {
        Value::String(_) => {
            found.push(path.clone());
            return;
        }
        Value::Array(elements) => elements
            .first()
            .map(|first| ("0", first))
            .into_iter()
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .collect(),
        _ => return,
    };
    for (key, value) in below {
        let length = path.len();
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        walk(value, path, found);
        path.truncate(length);
    }
}

impl Place {
    /// What the place is called in messages.
    #[must_use]
    pub fn name(&self) -> String {
        let kind = &self.line["payload"]["type"];
        format!("{} {kind} {}", self.line["type"], self.pointer)
    }

    /// The key that the string stands behind.
    #[must_use]
    pub fn key(&self) -> &str {
        self.pointer.rsplit('/').next().unwrap_or_default()
    }

    /// Whether the fold keeps such a text beside the log: an id, a name, a path.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        let key = self.key();
        let kept = [
            "id", "model", "cwd", "effort", "source", "message", "text", "role", "version",
        ];
        kept.iter().any(|part| key.to_lowercase().contains(part))
    }

    /// The record with at least so many bytes more at the place, which begins as it did.
    ///
    /// # Panics
    /// Never: the place is one of its line.
    #[must_use]
    pub fn grown(&self, bytes: usize) -> Vec<u8> {
        let mut line = self.line.clone();
        let place = line.pointer_mut(&self.pointer);
        let Some(Value::String(text)) = place else {
            panic!("{} is a string", self.name());
        };
        // Characters of several bytes, so that a bound falls within one.
        text.push_str(&"\u{20ac}\"a".repeat(bytes / 5 + 1));
        serde_json::to_vec(&line).expect("a value is JSON")
    }
}

/// Lines of a thread around others: a head, a turn before them, and one behind them.
#[must_use]
pub fn thread(is_paginated: bool, within: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mode = if is_paginated { "paginated" } else { "legacy" };
    let head = format!(
        "{}\"id\":\"x\",\"timestamp\":\"2026-01-01T00:00:00Z\",\"cwd\":\"/w\",\
         \"originator\":\"o\",\"cli_version\":\"1\",\"history_mode\":\"{mode}\"}}}}",
        record("session_meta")
    );
    let event = |rest: &str| format!("{}{rest}}}}}", record("event_msg"));
    let turn = |id: &str, text: &str| {
        let user = format!(
            "\"type\":\"item_completed\",\"thread_id\":\"x\",\"turn_id\":\"{id}\",\"item\":\
             {{\"type\":\"UserMessage\",\"id\":\"i-{id}\",\"content\":[{{\"type\":\"text\",\
             \"text\":\"{text}\",\"text_elements\":[]}}]}},\"completed_at_ms\":1"
        );
        let message = format!("\"type\":\"user_message\",\"message\":\"{text}\"");
        let end = "\"type\":\"task_complete\",\"last_agent_message\":null,\"turn_id\":";
        [
            event(&format!("\"type\":\"task_started\",\"turn_id\":\"{id}\"")),
            event(if is_paginated { &user } else { &message }),
            event(&format!("{end}\"{id}\"")),
        ]
        .map(String::into_bytes)
    };
    let mut lines = vec![head.into_bytes()];
    lines.extend(turn("t1", "first"));
    lines.extend(within);
    lines.extend(turn("last", "the last one"));
    lines
}

fn record(kind: &str) -> String {
    format!("{{\"timestamp\":\"2026-01-01T00:00:00Z\",\"type\":\"{kind}\",\"payload\":{{")
}
