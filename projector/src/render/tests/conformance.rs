//! What is served for the lines of the conformance cases, compared with what is expected there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance/dev");

/// The folders of the cases; none where the cases are not at hand.
pub(super) fn cases() -> Vec<PathBuf> {
    let Ok(folders) = std::fs::read_dir(CASES) else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "no cases at {CASES}"
        );
        println!("skip: no cases at {CASES}");
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = folders
        .map(|entry| entry.expect("a folder").path())
        .collect();
    folders.sort();
    folders
}

/// A file of a case, stored plain or compressed.
pub(super) fn read(folder: &Path, name: &str) -> Option<Vec<u8>> {
    let plain = folder.join(name);
    if plain.exists() {
        return Some(std::fs::read(plain).expect("readable"));
    }
    let packed = folder.join(format!("{name}.gz"));
    if !packed.exists() {
        return None;
    }
    let output = Command::new("gzip")
        .arg("-dc")
        .arg(packed)
        .output()
        .expect("gzip runs");
    assert!(output.status.success());
    Some(output.stdout)
}

pub(super) fn lines(folder: &Path) -> Vec<Vec<u8>> {
    let bytes = read(folder, "rollout.jsonl").expect("an input");
    bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

fn expected(folder: &Path, name: &str) -> Option<Value> {
    let ours = read(folder, &format!("{name}.ours.json"));
    let bytes = ours.or_else(|| read(folder, &format!("{name}.json")))?;
    Some(serde_json::from_slice(&bytes).expect("JSON"))
}

/// The event payload of a line that is valid JSON.
fn event_payload(line: &[u8]) -> Option<Value> {
    let line: Value = serde_json::from_slice(line).ok()?;
    (line["type"] == "event_msg").then(|| line["payload"].clone())
}

#[test]
fn paginated_items_are_served_as_expected() {
    let mut compared = 0;
    for folder in cases() {
        let Some(expected) = expected(&folder, "expected.paginated") else {
            continue;
        };
        let lines = lines(&folder);
        let mut newest = HashMap::new();
        for line in &lines {
            let Some(payload) = event_payload(line) else {
                continue;
            };
            let text = payload.to_string();
            let event_type = payload["type"].as_str().unwrap_or_default();
            if event_type != "item_completed" {
                continue;
            }
            if let Ok(Some(LegacyHead::Item { turn_id, item, .. })) =
                legacy_head(event_type, raw(&text))
            {
                newest.insert((turn_id.into_owned(), item.id.into_owned()), line);
            }
        }
        for row in expected["items"].as_array().expect("items") {
            let (turn, id) = (row["turn_id"].as_str(), row["item_id"].as_str());
            let key = (
                turn.expect("a turn").to_owned(),
                id.expect("an id").to_owned(),
            );
            let line = newest
                .get(&key)
                .unwrap_or_else(|| panic!("{folder:?}: no line of {key:?}"));
            let served = render(&key.1, &[line]).expect("served");
            assert_eq!(served, row["item"], "{folder:?}");
            compared += 1;
        }
    }
    println!("{compared} paginated items compared");
}

#[test]
fn turn_errors_are_served_as_expected() {
    for folder in cases() {
        let Some(expected) = expected(&folder, "expected.paginated") else {
            continue;
        };
        let mut errors = HashMap::new();
        for line in lines(&folder) {
            let Some(payload) = event_payload(&line) else {
                continue;
            };
            if let (Some(id), Some(error)) = (payload["turn_id"].as_str(), turn_error(&line)) {
                errors.insert(id.to_owned(), error);
            }
        }
        for row in expected["turns"].as_array().expect("turns") {
            let id = row["turn_id"].as_str().expect("an id");
            let served = errors.get(id).cloned().unwrap_or_default();
            assert_eq!(served, row["error"], "{folder:?} {id}");
        }
    }
}

/// Items of a full replay whose id comes from the line: the newest line of the id shows them.
#[test]
fn legacy_calls_are_served_as_expected() {
    let mut compared = 0;
    for folder in cases() {
        let Some(expected) = expected(&folder, "expected.turns") else {
            continue;
        };
        let lines = lines(&folder);
        let turns = expected.as_array().expect("turns");
        for item in turns
            .iter()
            .flat_map(|turn| turn["items"].as_array().expect("items"))
        {
            let Some(id) = item["id"].as_str() else {
                continue;
            };
            let candidates: Vec<Value> = lines
                .iter()
                .filter(|line| line_id(line).as_deref() == Some(id))
                .filter_map(|line| render(id, &[line]))
                .collect();
            if candidates.is_empty() {
                assert!(id.starts_with("item-"), "{folder:?}: no line of {id}");
                continue;
            }
            assert!(
                candidates.contains(item),
                "{folder:?}: {item}\nnot in {candidates:#?}"
            );
            compared += 1;
        }
    }
    println!("{compared} legacy items compared");
}

/// Whether lines of reasoning that follow each other, or a single line, show the item.
fn is_shown(lines: &[Vec<u8>], id: &str, item: &Value) -> bool {
    let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
    if item["type"] != "reasoning" {
        return lines
            .iter()
            .any(|line| render(id, &[line]).as_ref() == Some(item));
    }
    let parts: Vec<&[u8]> = lines
        .into_iter()
        .filter(|line| is_reasoning(line))
        .collect();
    let count = |name: &str| item[name].as_array().map_or(0, Vec::len);
    let mut runs = parts.windows(count("summary") + count("content"));
    runs.any(|run| render(id, run).as_ref() == Some(item))
}

fn is_reasoning(line: &[u8]) -> bool {
    let Some(payload) = event_payload(line) else {
        return false;
    };
    let text = payload.to_string();
    let head = legacy_head(payload["type"].as_str().unwrap_or_default(), raw(&text));
    matches!(head, Ok(Some(LegacyHead::Reasoning { is_empty: false })))
}

/// Items whose id was made up by the replay: some line must show each of them.
#[test]
fn numbered_legacy_items_are_served_as_expected() {
    let mut compared = 0;
    for folder in cases() {
        let Some(expected) = expected(&folder, "expected.turns") else {
            continue;
        };
        let lines = lines(&folder);
        let turns = expected.as_array().expect("turns");
        for item in turns
            .iter()
            .flat_map(|turn| turn["items"].as_array().expect("items"))
        {
            let Some(id) = item["id"].as_str().filter(|id| id.starts_with("item-")) else {
                continue;
            };
            assert!(is_shown(&lines, id, item), "{folder:?}: {item}");
            compared += 1;
        }
    }
    println!("{compared} numbered items compared");
}

/// The id that a line gives its item, if it gives one.
fn line_id(line: &[u8]) -> Option<String> {
    let whole: Value = serde_json::from_slice(line).ok()?;
    let text = whole["payload"].to_string();
    if whole["type"] == "response_item" {
        return Some(hook_prompt_head(raw(&text))?.id?.into_owned());
    }
    match legacy_head(whole["payload"]["type"].as_str()?, raw(&text)).ok()?? {
        LegacyHead::Upsert { id, .. } => Some(id.into_owned()),
        LegacyHead::Review { item_id, .. } => item_id.map(|id| id.into_owned()),
        LegacyHead::Item { item, .. } => Some(item.id.into_owned()),
        _ => None,
    }
}
