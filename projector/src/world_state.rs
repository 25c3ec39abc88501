//! Owns the world state of a thread (rules 5.5): the newest baseline and the patches since; it must
//! not know where lines come from.

use std::ops::ControlFlow;

use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value};
use turnleaf_format::Ordinal;

use crate::payload::json::repeats::without_repeats;
use crate::payload::{Effect, decode};

/// The world state after some record.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldState {
    /// The state itself.
    pub value: Value,
    /// The record that changed it last.
    pub changed_at: Ordinal,
}

/// Walks a thread from the record in question to older ones, until it has met the baseline.
///
/// A compaction takes the baseline away; a patch without one is passed by. A state that cannot be
/// read (a number that no double holds) takes the baseline away, too.
#[derive(Debug, Default)]
pub struct WorldStateScan {
    /// Newest first.
    patches: Vec<(Ordinal, Value)>,
    baseline: Option<(Ordinal, Value)>,
}

impl WorldStateScan {
    /// Takes the next older line; says whether more are needed.
    pub fn feed(&mut self, ordinal: Ordinal, line: &[u8]) -> ControlFlow<()> {
        match decode(line).effect {
            Effect::Compacted(_) => ControlFlow::Break(()),
            Effect::Ignored => match payload(line) {
                None => ControlFlow::Continue(()),
                Some(Payload { state: None, .. }) => ControlFlow::Break(()),
                Some(Payload {
                    full,
                    state: Some(state),
                }) => {
                    if full {
                        self.baseline = Some((ordinal, state));
                        return ControlFlow::Break(());
                    }
                    self.patches.push((ordinal, state));
                    ControlFlow::Continue(())
                }
            },
            _ => ControlFlow::Continue(()),
        }
    }

    /// The state; `None` when there is none at that record.
    #[must_use]
    pub fn finish(self) -> Option<WorldState> {
        let (changed_at, value) = self.baseline?;
        let mut state = WorldState { value, changed_at };
        for (ordinal, patch) in self.patches.into_iter().rev() {
            merge(&mut state.value, patch);
            state.changed_at = ordinal;
        }
        Some(state)
    }
}

struct Payload {
    full: bool,
    /// `None` when it cannot be read.
    state: Option<Value>,
}

/// The payload of a line, if it is a `world_state`; the line is known to be a record.
fn payload(line: &[u8]) -> Option<Payload> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(rename = "type")]
        kind: String,
        #[serde(borrow)]
        payload: Keys<'a>,
    }
    #[derive(Deserialize)]
    struct Keys<'a> {
        full: bool,
        #[serde(borrow)]
        state: &'a serde_json::value::RawValue,
    }
    // Most records without effect are something else.
    memmem::find(line, b"\"full\"")?;
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let read = |line: &str| {
        let line: Line<'_> = serde_json::from_str(line).ok()?;
        (line.kind == "world_state").then(|| Payload {
            full: line.payload.full,
            state: serde_json::from_str(line.payload.state.get()).ok(),
        })
    };
    let line = std::str::from_utf8(line).ok()?;
    read(line).or_else(|| read(&without_repeats(line)?))
}

/// JSON merge patch (RFC 7396). It moves the values of a patch, where a library would copy them,
/// and is shorter than the dependency.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(&key);
        } else {
            merge(fields.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(kind: &str, payload: &str) -> String {
        format!(r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"{kind}","payload":{payload}}}"#)
    }

    fn full(state: &str) -> String {
        line(
            "world_state",
            &format!(r#"{{"full":true,"state":{state}}}"#),
        )
    }

    fn patch(state: &str) -> String {
        line(
            "world_state",
            &format!(r#"{{"full":false,"state":{state}}}"#),
        )
    }

    /// The states after each line.
    fn states(lines: &[String]) -> Vec<Option<(Value, u64)>> {
        let after = |end: usize| {
            let mut scan = WorldStateScan::default();
            for (at, line) in lines[..end].iter().enumerate().rev() {
                if scan.feed(Ordinal(at as u64), line.as_bytes()).is_break() {
                    break;
                }
            }
            let state = scan.finish()?;
            Some((state.value, state.changed_at.0))
        };
        (1..=lines.len()).map(after).collect()
    }

    #[test]
    fn patches_follow_the_newest_baseline() {
        let other = line(
            "event_msg",
            r#"{"type":"user_message","message":"full \"full\""}"#,
        );
        let compacted = line("compacted", r#"{"message":"m"}"#);
        let spaced = format!(
            "\u{feff}{}",
            r#"{ "payload": {"state": {"z": 1}, "full": true}, "type": "world_state",
                "timestamp": "2026-01-01T00:00:00Z" }"#
                .replace('\n', " ")
        );
        let lines = [
            patch(r#"{"lost":1}"#),
            full(r#"{"a":1,"b":{"c":2}}"#),
            other,
            patch(r#"{"b":{"c":null,"d":3}}"#),
            compacted,
            patch(r#"{"x":1}"#),
            full("[1]"),
            patch(r#"{"a":{"b":null,"c":1}}"#),
            patch("7"),
            full("1e999"),
            patch("{}"),
            spaced,
        ];
        let expect = [
            None,
            Some((json!({"a": 1, "b": {"c": 2}}), 1)),
            Some((json!({"a": 1, "b": {"c": 2}}), 1)),
            Some((json!({"a": 1, "b": {"d": 3}}), 3)),
            None,
            None,
            Some((json!([1]), 6)),
            Some((json!({"a": {"c": 1}}), 7)),
            Some((json!(7), 8)),
            None,
            None,
            Some((json!({"z": 1}), 11)),
        ];
        assert_eq!(states(&lines), expect);
    }

    #[test]
    fn merging_follows_the_examples_of_the_standard() {
        // RFC 7396, appendix A.
        let examples = [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ];
        for (target, patch, expect) in examples {
            let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let mut value = read(target);
            merge(&mut value, read(patch));
            assert_eq!(value, read(expect), "{target} with {patch}");
        }
    }
}
