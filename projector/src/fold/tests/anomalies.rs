//! What is wrong with a thread is counted, and never stops it.

use turnleaf_format::Ordinal;

use crate::fold::{
    AnomalyKind, Decoded, MemRows, Part, Rejection, ThreadState, apply, decode, decode_metadata,
    decode_part,
};

const HEAD: &str = concat!(
    r#"{"timestamp":"2026-07-09T10:00:00.000Z","ordinal":0,"type":"session_meta","payload":{"#,
    r#""id":"019f0000-0000-7000-8000-000000000001","timestamp":"2026-07-09T10:00:00.000Z","#,
    r#""cwd":"/w","originator":"o","cli_version":"0","history_mode":"paginated"}}"#
);

fn counted(at: u64) -> String {
    format!(
        r#"{{"timestamp":"2026-07-09T10:00:00Z","ordinal":{at},"type":"event_msg","payload":{}}}"#,
        r#"{"type":"token_count","info":null,"rate_limits":null}"#
    )
}

fn check(records: &[Decoded<'_>], expected: &[(AnomalyKind, u64, u64)]) -> ThreadState {
    let (mut rows, mut state) = (MemRows::default(), ThreadState::default());
    for (at, decoded) in (0_u64..).zip(records) {
        let Ok(()) = apply(&mut rows, &mut state, Ordinal(at), decoded);
    }
    let found: Vec<_> = state
        .anomalies
        .iter()
        .map(|found| (found.kind, found.count, found.first.0.0))
        .collect();
    assert_eq!(found, expected);
    state
}

fn check_lines(lines: &[&str], expected: &[(AnomalyKind, u64, u64)]) {
    let records: Vec<_> = lines.iter().map(|line| decode(line.as_bytes())).collect();
    check(&records, expected);
}

#[test]
fn upstream_ordinals_are_watched() {
    let lines = [0, 1, 2, 3, 4, 9].map(counted);
    let line = |at: usize| lines[at].as_str();
    check_lines(&[HEAD, line(1), line(2), line(3)], &[]);
    check_lines(
        &[HEAD, line(2), line(3)],
        &[(AnomalyKind::OrdinalGap, 1, 1)],
    );
    check_lines(
        &[HEAD, line(1), line(1), line(2)],
        &[(AnomalyKind::OrdinalRepeated, 1, 2)],
    );
    let bare = line(1).replace("\"ordinal\":1,", "");
    check_lines(
        &[HEAD, &bare, line(1)],
        &[(AnomalyKind::OrdinalMissing, 1, 1)],
    );
    let null = line(1).replace("\"ordinal\":1,", "\"ordinal\":null,");
    check_lines(
        &[HEAD, &null, line(1)],
        &[(AnomalyKind::OrdinalMissing, 1, 1)],
    );
    let unknown = line(1).replace("token_count", "from_the_future");
    let rejected = AnomalyKind::Rejected(Rejection::UnknownEvent);
    check_lines(&[HEAD, &unknown, line(2)], &[(rejected, 1, 1)]);
    check_lines(
        &[HEAD, &line(1).replace("2026-07-09T1", "x")],
        &[(AnomalyKind::Timestamp, 1, 1)],
    );
}

#[test]
fn every_rejection_has_its_reason() {
    let surrogate = counted(1).replace("rate_limits\":null", "x\":\"\\ud800 \"");
    let unknown = br#"{"timestamp":"x","type":"event_msg","payload":{"type":"new"}}"#;
    for (line, reason) in [
        (&b"{\"timestamp\":\"\xff\"}"[..], Rejection::NotUtf8),
        (b"{\"timestamp\":", Rejection::NotJson),
        (b"[1,2]", Rejection::NoEnvelope),
        (b"null", Rejection::NoEnvelope),
        (
            br#"{"type":"event_msg","payload":{}}"#,
            Rejection::NoEnvelope,
        ),
        (
            br#"{"timestamp":"x","type":"new","payload":{}}"#,
            Rejection::UnknownType,
        ),
        (
            br#"{"timestamp":"x","type":"event_msg","payload":{}}"#,
            Rejection::Payload,
        ),
        (unknown, Rejection::UnknownEvent),
        (surrogate.as_bytes(), Rejection::NotJson),
    ] {
        check(&[decode(line)], &[(AnomalyKind::Rejected(reason), 1, 0)]);
    }
    check_lines(&["", "  \t\r"], &[]);
}

#[test]
fn escaped_backslashes_are_no_surrogates() {
    for text in [r"\\ud800", r"\ud83d\ude80", r"\u0000\\\ud83d\ude80"] {
        let line = counted(1).replace("rate_limits\":null", &format!("x\":\"{text}\""));
        assert!(decode(line.as_bytes()).is_accepted(), "{line}");
    }
}

#[test]
fn a_byte_order_mark_and_a_carriage_return_are_passed_over() {
    let line = format!("\u{feff}{}\r", counted(1));
    assert_eq!(decode(line.as_bytes()), decode(counted(1).as_bytes()));
}

#[test]
fn pieces_of_a_line_count_once() {
    let line = counted(1);
    let part = |unterminated, head_bytes| Part {
        unterminated,
        head_bytes,
    };
    let head = decode(HEAD.as_bytes());
    let cut = decode_part(&line.as_bytes()[..30], part(true, 0));
    let rest = decode_part(line.as_bytes(), part(false, 30));
    let state = check(&[head.clone(), cut, rest], &[]);
    assert_eq!((state.records, state.upstream_next), (2, 2));

    let whole = decode_part(line.as_bytes(), part(true, 0));
    let ended = decode_part(line.as_bytes(), part(false, line.len()));
    let state = check(&[head.clone(), whole.clone(), ended], &[]);
    assert_eq!(state.records, 2);

    let more = format!("{line}tail");
    let ended = decode_part(more.as_bytes(), part(false, line.len()));
    check(&[head, whole, ended], &[(AnomalyKind::AfterLineEnd, 1, 2)]);
}

#[test]
fn our_own_records_change_the_name_only() {
    let records = [
        decode(HEAD.as_bytes()),
        decode_metadata(br#"{"name":"My thread"}"#),
    ];
    let state = check(&records, &[]);
    assert_eq!(
        (state.meta.name.as_deref(), state.records),
        (Some("My thread"), 1)
    );
    check(
        &[decode_metadata(b"{")],
        &[(AnomalyKind::Rejected(Rejection::Payload), 1, 0)],
    );
}
