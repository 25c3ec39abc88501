//! Properties of the fold over the lines of the shared cases.

use proptest::prelude::*;
use turnleaf_format::Ordinal;

use super::cases::cases;
use crate::fold::{MemRows, Mode, ThreadState, apply};
use crate::payload::{
    Effect, Part, decode, decode_metadata, decode_part, is_boundary, is_complete_line,
};

fn states() -> [ThreadState; 2] {
    [ThreadState::default(), ThreadState::forced(Mode::Legacy)]
}

/// What a state is after it was stored and read again.
fn stored(state: &ThreadState) -> ThreadState {
    let config = bincode::config::standard();
    let bytes = bincode::encode_to_vec(state, config).expect("a state is encoded");
    bincode::decode_from_slice(&bytes, config)
        .expect("a state is decoded")
        .0
}

#[test]
fn a_prefix_and_the_rest_are_the_whole() {
    let Some(cases) = cases() else { return };
    for case in &cases {
        for start in states() {
            let (whole, end) = case.fold(start.clone(), |_| true);
            for cut in [1, case.lines.len() / 3, case.lines.len() / 2] {
                let (mut rows, mut state) = (MemRows::default(), start.clone());
                for at in 0..case.lines.len() {
                    if at == cut {
                        state = stored(&state);
                    }
                    let decoded = case.decoded(at);
                    let Ok(()) = apply(&mut rows, &mut state, Ordinal(at as u64), &decoded);
                }
                assert_eq!(
                    (&rows, &state),
                    (&whole, &end),
                    "{} cut at {cut}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn a_line_in_two_records_is_the_line() {
    let Some(cases) = cases() else { return };
    for case in cases.iter().filter(|case| case.lines.len() < 60) {
        for line in case.lines.iter().filter(|line| line.len() < 4000) {
            let whole = decode(line);
            for cut in (0..line.len()).step_by(7) {
                let head = decode_part(
                    &line[..cut],
                    Part {
                        unterminated: true,
                        head_bytes: 0,
                    },
                );
                let rest = decode_part(
                    line,
                    Part {
                        unterminated: false,
                        head_bytes: cut,
                    },
                );
                if is_complete_line(&line[..cut]) {
                    assert!(matches!(rest.effect, Effect::Continued | Effect::Blank));
                } else {
                    assert!(
                        matches!(head.effect, Effect::Pending | Effect::Blank),
                        "{head:?}"
                    );
                    assert_eq!(rest, whole);
                }
            }
        }
    }
}

#[test]
fn boundaries_are_the_usable_compactions() {
    let Some(cases) = cases() else { return };
    let mut boundaries = 0;
    for line in cases.iter().flat_map(|case| &case.lines) {
        let usable = matches!(decode(line).effect, Effect::Compacted(c) if c.is_usable);
        assert_eq!(is_boundary(line), usable);
        boundaries += usize::from(usable);
    }
    assert!(boundaries > 5);
}

#[test]
fn deep_nesting_and_repeated_keys_are_no_danger() {
    let times = 300_000;
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(times), close.repeat(times));
    let envelope = |kind: &str, payload: &str| {
        format!("{{\"timestamp\":\"t\",\"type\":\"{kind}\",\"payload\":{payload}}}")
    };
    for nested in [deep("[", "]"), deep("{\"a\":", "}"), "[".repeat(300_000)] {
        for payload in [
            nested.clone(),
            format!("{{\"type\":\"item_completed\",\"turn_id\":\"t\",\"item\":{nested}}}"),
            format!("{{\"type\":\"message\",\"role\":\"user\",\"content\":{nested}}}"),
            format!("{{\"type\":\"x\",\"a\":{nested}}}"),
            format!("{{\"message\":\"\",\"replacement_history\":{nested}}}"),
            format!("{{\"full\":true,\"state\":{nested}}}"),
        ] {
            for kind in [
                "event_msg",
                "response_item",
                "compacted",
                "world_state",
                "turn_context",
            ] {
                let _ = decode(envelope(kind, &payload).as_bytes());
            }
        }
        let _ = decode(nested.as_bytes());
    }
    let _ = decode(br#"{"timestamp":"a","timestamp":"b","type":"x","type":"y","payload":{}}"#);
}

#[test]
fn a_rollback_of_many_turns_leaves_the_oldest() {
    let event = |payload: &str| {
        format!(r#"{{"timestamp":"x","type":"event_msg","payload":{{{payload}}}}}"#).into_bytes()
    };
    let user = &event(r#""type":"user_message","message":"m""#);
    let back = &event(r#""type":"thread_rolled_back","num_turns":700"#);
    let (mut rows, mut state) = (MemRows::default(), ThreadState::default());
    for at in 0..800 {
        let Ok(()) = apply(&mut rows, &mut state, Ordinal(at), &decode(user));
    }
    let Ok(()) = apply(&mut rows, &mut state, Ordinal(800), &decode(back));
    let Ok(()) = apply(&mut rows, &mut state, Ordinal(801), &decode(user));
    assert_eq!((rows.turns().count(), rows.items().count()), (101, 101));
    let last = rows.items().next_back().expect("an item").1;
    assert_eq!((last.id.as_str(), state.records), ("item-101", 802));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn changed_lines_never_stop_the_fold(
        pick in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6),
        head_bytes in any::<usize>(),
    ) {
        let Some(cases) = cases() else { return Ok(()) };
        let lines: Vec<&Vec<u8>> = cases.iter().flat_map(|case| &case.lines).collect();
        let mut line = lines[pick.index(lines.len())].clone();
        for (at, byte, edit) in edits {
            if line.is_empty() {
                break;
            }
            let at = at.index(line.len());
            match edit {
                0 => line[at] = byte,
                1 => line.insert(at, byte),
                2 => line.truncate(at),
                _ => drop(line.remove(at)),
            }
        }
        let decoded = decode(&line);
        let _ = (is_boundary(&line), decode_metadata(&line, 0));
        let _ = decode_part(&line, Part { unterminated: true, head_bytes });
        for mut state in states() {
            let mut rows = MemRows::default();
            let Ok(()) = apply(&mut rows, &mut state, Ordinal(0), &decoded);
            let Ok(()) = apply(&mut rows, &mut state, Ordinal(1), &decoded);
        }
    }
}
