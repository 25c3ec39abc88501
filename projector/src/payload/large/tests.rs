//! A line read in pieces says what it says when it is held.

use proptest::prelude::*;

use super::LargeLine;
use crate::payload::{Decoded, Effect, Rejection, decode};

/// Reads a line in pieces of this many bytes.
fn in_pieces(line: &[u8], bytes: usize) -> Decoded<'static> {
    let mut large = LargeLine::new();
    line.chunks(bytes).for_each(|piece| large.push(piece));
    large.finish()
}

/// What the pieces must say where the whole line says this.
fn expected<'a>(whole: &Decoded<'a>) -> Decoded<'a> {
    let reads = matches!(
        &whole.effect,
        Effect::Blank
            | Effect::Compacted(_)
            | Effect::Rejected(
                Rejection::NotUtf8
                    | Rejection::NotJson
                    | Rejection::NoEnvelope
                    | Rejection::NoTimestamp
                    | Rejection::TimestampType
            )
    );
    if reads {
        return whole.clone();
    }
    Decoded {
        timestamp_ms: whole.timestamp_ms,
        upstream_ordinal: whole.upstream_ordinal,
        ..Decoded::bare(Effect::Rejected(Rejection::TooLarge))
    }
}

fn check(line: &str) {
    let whole = expected(&decode(line.as_bytes()));
    for bytes in [1, 2, 3, 7, 64, 1 << 20] {
        assert_eq!(in_pieces(line.as_bytes(), bytes), whole, "{bytes}: {line}");
    }
}

fn record(kind: &str, payload: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-01-01T00:00:00Z","ordinal":7,"type":"{kind}","payload":{payload}}}"#
    )
}

#[test]
fn compactions_are_read_as_if_they_were_held() {
    let image = format!(
        r#"{{"type":"message","role":"user","content":[{{"type":"input_image","image_url":"{}"}}]}}"#,
        "\u{20ac}".repeat(500_000)
    );
    for payload in [
        r#"{"message":"","replacement_history":[],"window_number":1,"window_id":"w\u00e9"}"#,
        r#"{"window_id":3,"replacement_history":[{"type":"reasoning","id":"i","summary":[]}],"message":"m"}"#,
        r#"{"message":"m","replacement_history":null,"window_number":1}"#,
        r#"{"message":"m","replacement_history":[]}"#,
        r#"{"message":"m"}"#,
        r#" { "message" : "m" , "more" : [ {} , [ ] , -1.5e+3 , true , null ] , "window_number" : 18446744073709551615 , "replacement_history" : [ ] } "#,
        r#"{"message":"m","replacement_history":[],"window_number":1,"x":{"message":1,"window_number":2}}"#,
        r#"{"message":"m","message":"n"}"#,
        r#"{"replacement_history":[1],"message":1,"replacement_history":[],"message":"m","window_number":"x","window_number":1}"#,
        r#"{"message":"m","replacement_history":[{"type":"reasoning","summary":1,"summary":[]}],"window_number":1}"#,
    ] {
        let line = record("compacted", payload);
        assert!(
            matches!(decode(line.as_bytes()).effect, Effect::Compacted(_)),
            "{line}"
        );
        check(&line);
    }
    let twice = record("compacted", r#"{"message":"m","window_number":1}"#);
    let twice = twice.replacen(
        "payload",
        r#"payload":{"message":1,"replacement_history":[]},"payload"#,
        1,
    );
    assert!(matches!(decode(twice.as_bytes()).effect, Effect::Compacted(c) if !c.is_usable));
    check(&twice);
    let large = record(
        "compacted",
        &format!(r#"{{"message":"m","replacement_history":[{image}],"window_number":1}}"#),
    );
    check(&large);
    assert_eq!(
        in_pieces(large.as_bytes(), 1 << 20),
        decode(large.as_bytes())
    );
}

#[test]
fn what_is_no_compaction_keeps_its_place_and_time() {
    check(&record(
        "response_item",
        r#"{"type":"message","role":"user","content":[]}"#,
    ));
    check(&record(
        "event_msg",
        r#"{"type":"user_message","message":"m"}"#,
    ));
    check(&record("from_the_future", "[]"));
    check(&record("compacted", r#"{"message":"m"}"#).replace("\"ordinal\":7,", ""));
    for payload in [
        "[]",
        "1",
        "{}",
        r#"{"message":1}"#,
        r#"{"message":"m","window_number":-1}"#,
        r#"{"message":"m","replacement_history":[1]}"#,
        r#"{"message":"m","replacement_history":[{}]}"#,
        r#"{"message":"m","replacement_history":{}}"#,
    ] {
        let line = record("compacted", payload);
        let (held, pieces) = (decode(line.as_bytes()), in_pieces(line.as_bytes(), 5));
        assert_eq!(held.effect, Effect::Rejected(Rejection::Payload), "{line}");
        assert_eq!(pieces, held, "{line}");
    }
}

#[test]
fn what_is_no_record_is_none_in_pieces() {
    let line = record(
        "compacted",
        r#"{"message":"m \ud83d\ude00","a":[1,2.5e-3,true]}"#,
    );
    check(&line);
    for bad in [
        r#"{"#,
        "[1,]",
        "[01]",
        "[1.]",
        "[-]",
        "[1e]",
        "[truth]",
        "[nul",
        r#"{"a"}"#,
        r#"{"a":1,}"#,
        r#"["\x"]"#,
        r#"["\ud800"]"#,
        r#"["\udc00"]"#,
        r#"["\ud800\u0041"]"#,
        r#"["\u12"]"#,
        "[\"\u{1}\"]",
        "[] []",
        "[}",
        "]",
        "{]",
        "[1 2]",
        r#"{"a" 1}"#,
        "[\"a",
        "+1",
        "1",
        "null",
        "[1e5,-0,0.5]",
        r#"{"timestamp":"x","type":"y","payload":null}"#,
        r#"{"type":"y","payload":{}}"#,
        r#"{"timestamp":null,"type":"y","payload":{}}"#,
        r#"{"timestamp":1780000000123,"type":"y","payload":{}}"#,
        r#"{"timestamp":{"a":[1]},"type":"y","payload":{}}"#,
        r#"{"timestamp":1,"type":"y","payload":null}"#,
        r#"{"timestamp":1,"ordinal":1.5,"type":"y","payload":{}}"#,
        r#"{"timestamp":"x","timestamp":"y","type":"compacted","payload":{"message":"m"}}"#,
        r#"{"timestamp":"x","ordinal":1.5,"type":"compacted","payload":{"message":"m"}}"#,
        r#"{"timestamp":"x","ordinal":{"a":1},"type":"compacted","payload":{"message":"m"}}"#,
    ] {
        check(bad);
    }
    check("");
    check(" \t ");
    let mut cut = line.as_bytes().to_vec();
    cut[20] = 0xff;
    assert_eq!(in_pieces(&cut, 3), decode(&cut));
    for end in 1..line.len() {
        let pieces = in_pieces(&line.as_bytes()[..end], 4);
        assert_eq!(pieces.effect, Effect::Rejected(Rejection::NotJson), "{end}");
    }
}

proptest! {
    #[test]
    fn a_spoilt_line_is_the_same_in_pieces(at in 0..200_usize, byte in any::<u8>(), bytes in 1..9_usize) {
        let line = record("compacted", r#"{"message":"\ud83d\ude00","replacement_history":[{"type":"x","a":[-1.5e3,null]}],"window_number":12,"window_id":"w"}"#);
        let mut line = line.into_bytes();
        let at = at % line.len();
        line[at] = byte;
        let held = decode(&line);
        // The head of a file of 2025 has no envelope, and a blank line no record.
        prop_assume!(!matches!(held.effect, Effect::BareHead(_) | Effect::Blank));
        let whole = match held.effect {
            Effect::Rejected(Rejection::Payload) => held.clone(),
            _ => expected(&held),
        };
        prop_assert_eq!(in_pieces(&line, bytes), whole);
    }
}
