//! Whatever a head accepts is served, and no bytes make anything panic.

use super::conformance::{cases, lines};
use super::*;

/// A small generator, so that a failure is repeated by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % (bound as u64).max(1)).unwrap_or(0)
    }
}

/// Reads a line as a fold does; whether a head saw an item in it.
fn check_line(line: &[u8], seed: u64) -> bool {
    let served = render("it", &[line]);
    let merged = render("it", &[line, line]);
    assert_eq!(served.is_some(), merged.is_some());
    drop(turn_error(line));
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        r#type: String,
        #[serde(borrow)]
        payload: &'a RawValue,
    }
    #[derive(serde::Deserialize)]
    struct Tag {
        r#type: String,
    }
    let Ok(line) = std::str::from_utf8(line) else {
        return false;
    };
    let Ok(line) = serde_json::from_str::<Line<'_>>(line) else {
        return false;
    };
    let accepted = match line.r#type.as_str() {
        "response_item" => hook_prompt_head(line.payload).is_some(),
        "event_msg" => {
            let Ok(tag) = serde_json::from_str::<Tag>(line.payload.get()) else {
                return false;
            };
            match legacy_head(&tag.r#type, line.payload) {
                Ok(Some(LegacyHead::NoItem | LegacyHead::Error { .. })) => return false,
                Ok(head) => head.is_some(),
                Err(_) => false,
            }
        }
        _ => false,
    };
    assert!(
        !accepted || served.is_some(),
        "seed {seed}: {}",
        line.payload.get()
    );
    accepted
}

fn mutate(line: &[u8], random: &mut Random) -> Vec<u8> {
    const BYTES: &[u8] = b"\"\\{}[],:0e-\x00\xff nullu";
    const WORDS: [&str; 8] = [
        "null",
        "\"x\"",
        "1e999",
        "\\ud800",
        "{}",
        "[]",
        "-1",
        "file:///%",
    ];
    let mut bytes = line.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 if !bytes.is_empty() => bytes[at] = BYTES[random.below(BYTES.len())],
            1 if !bytes.is_empty() => {
                drop(bytes.drain(at..(at + random.below(8)).min(bytes.len())))
            }
            2 => {
                let word = WORDS[random.below(WORDS.len())].bytes();
                drop(bytes.splice(at..at, word));
            }
            _ => bytes.truncate(bytes.len() - random.below(bytes.len().min(4))),
        }
    }
    bytes
}

/// Replaces one value somewhere in a JSON value, so that the text stays valid.
fn replace_one(value: &mut Value, random: &mut Random) {
    let replacements = [
        json!(null),
        json!("x"),
        json!(""),
        json!(-1),
        json!(1.5),
        json!(true),
        json!([]),
        json!({}),
        json!("in_progress"),
        json!({ "type": "text" }),
    ];
    let child = match value {
        Value::Object(map) if !map.is_empty() && random.below(6) > 0 => {
            let at = random.below(map.len());
            if random.below(8) == 0 {
                let key = map.keys().nth(at).cloned().unwrap_or_default();
                map.remove(&key);
                return;
            }
            map.values_mut().nth(at)
        }
        Value::Array(list) if !list.is_empty() && random.below(6) > 0 => {
            let at = random.below(list.len());
            list.get_mut(at)
        }
        _ => None,
    };
    match child {
        Some(child) => replace_one(child, random),
        None => *value = replacements[random.below(replacements.len())].clone(),
    }
}

#[test]
fn accepted_lines_are_served() {
    let (mut lines_seen, mut accepted, mut mutants_accepted) = (0, 0, 0);
    for folder in cases() {
        for (at, line) in lines(&folder).iter().enumerate() {
            // A long line mutates no differently, only slower.
            let rounds: u64 = if line.len() > 20_000 { 2 } else { 12 };
            lines_seen += 1;
            accepted += usize::from(check_line(line, 0));
            for round in 1..=rounds {
                let seed = round.wrapping_mul(1_000_003) + at as u64;
                let mut random = Random(seed);
                let mutant = mutate(line, &mut random);
                mutants_accepted += usize::from(check_line(&mutant, seed));
                if let Ok(mut value) = serde_json::from_slice::<Value>(line) {
                    replace_one(
                        value.get_mut("payload").unwrap_or(&mut json!(0)),
                        &mut random,
                    );
                    let mutant = value.to_string();
                    mutants_accepted += usize::from(check_line(mutant.as_bytes(), seed));
                }
            }
        }
    }
    println!("{lines_seen} lines, {accepted} with items, {mutants_accepted} mutants with items");
}

#[test]
fn rubbish_is_not_served() {
    for line in [
        &b""[..],
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b"{\"type\":\"event_msg\"}",
        b"\"\\",
    ] {
        assert_eq!(render("it", &[line]), None);
        assert_eq!(turn_error(line), None);
    }
}
