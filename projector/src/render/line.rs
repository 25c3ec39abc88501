//! Owns the way from a source line to the served item or error; it must not know where lines come
//! from.

use serde_json::Value;
use serde_json::value::RawValue;

use super::error;
use crate::payload::items::error::error_of_end;
use crate::payload::items::events::{Event, event};
use crate::payload::json::repeats::without_repeats;
use crate::payload::json::scan;
use crate::payload::json::wire::split_fields;
use crate::render::serve_event;
use crate::render::served;

/// The served item from the exact lines of its source records, oldest first.
///
/// Only reasoning has several sources, which it joins; of other items the newest line counts.
/// `None` when a line does not decode or makes no item.
#[must_use]
pub fn render(item_id: &str, lines: &[&[u8]]) -> Option<Value> {
    rendered(item_id, lines).or_else(|| {
        let copies: Vec<Option<String>> = lines.iter().map(|line| copy(line)).collect();
        if copies.iter().all(Option::is_none) {
            return None;
        }
        let lines = copies.iter().zip(lines);
        let lines = lines.map(|(copy, line)| copy.as_ref().map_or(*line, String::as_bytes));
        rendered(item_id, &lines.collect::<Vec<_>>())
    })
}

/// The line without the values of keys that it repeats, if it does.
fn copy(line: &[u8]) -> Option<String> {
    without_repeats(std::str::from_utf8(plain(line)).ok()?)
}

fn rendered(item_id: &str, lines: &[&[u8]]) -> Option<Value> {
    let (newest, older) = lines.split_last()?;
    match older {
        [] => snapshot(item_id, newest),
        _ => reasoning(item_id, lines).or_else(|| snapshot(item_id, newest)),
    }
}

/// The served error of a turn from a `task_complete` line that has one, or from an `error` line.
#[must_use]
pub fn turn_error(line: &[u8]) -> Option<Value> {
    error_in(line).or_else(|| error_in(copy(line)?.as_bytes()))
}

fn error_in(line: &[u8]) -> Option<Value> {
    let (line_type, payload) = envelope(line)?;
    if line_type != "event_msg" {
        return None;
    }
    let [event_type, inner] = split_fields(payload, ["type", "error"])?;
    let error = match text(event_type?)?.as_str() {
        "error" => payload,
        "task_complete" | "turn_complete" => inner?,
        _ => return None,
    };
    error_of_end(error).as_ref().map(error::served)
}

/// The item as one line shows it.
fn snapshot(item_id: &str, line: &[u8]) -> Option<Value> {
    let (line_type, payload) = envelope(line)?;
    match line_type.as_str() {
        "response_item" => served::hook_prompt(item_id, payload),
        "event_msg" => serve_event::served(item_id, &read_event(payload)?),
        _ => None,
    }
}

/// Summary and content parts in the order of their lines.
fn reasoning(item_id: &str, lines: &[&[u8]]) -> Option<Value> {
    let (mut summary, mut content) = (Vec::new(), Vec::new());
    for line in lines {
        let (line_type, payload) = envelope(line)?;
        if line_type != "event_msg" {
            return None;
        }
        match read_event(payload)? {
            Event::Reasoning(part) => summary.push(part.text.value()),
            Event::RawReasoning(part) => content.push(part.text.value()),
            _ => return None,
        }
    }
    Some(served::reasoning(
        item_id,
        Value::Array(summary),
        Value::Array(content),
    ))
}

/// The line without a mark of the byte order.
fn plain(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}

/// Type and payload of a line.
pub(crate) fn envelope(line: &[u8]) -> Option<(String, &RawValue)> {
    let line: &RawValue = serde_json::from_slice(plain(line)).ok()?;
    let [line_type, payload] = split_fields(line, ["type", "payload"])?;
    Some((text(line_type?)?, payload?))
}

fn read_event(payload: &RawValue) -> Option<Event<'_>> {
    scan::check_strings(payload.get()).ok()?;
    let [event_type] = split_fields(payload, ["type"])?;
    event(&text(event_type?)?, payload)?.ok()
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}
