//! What is wrong with a thread is counted, and never stops it.

use turnleaf_format::Ordinal;

use crate::context::ContextScan;
use crate::fold::{AnomalyClass, AnomalyKind, MemRows, ThreadState, apply};
use crate::payload::{Decoded, Effect, Part, Rejection, decode, decode_metadata, decode_part};
use crate::render;

const ID: &str = "019f0000-0000-7000-8000-000000000001";

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
            Rejection::NoTimestamp,
        ),
        (
            br#"{"timestamp":null,"type":"event_msg","payload":{}}"#,
            Rejection::NoTimestamp,
        ),
        (
            br#"{"timestamp":1780000000123,"type":"event_msg","payload":{}}"#,
            Rejection::TimestampType,
        ),
        (
            br#"{"timestamp":1780000000123,"type":"event_msg","payload":null}"#,
            Rejection::NoEnvelope,
        ),
        (br#"{"timestamp":"x","payload":{}}"#, Rejection::NoEnvelope),
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
fn what_newer_runtimes_note_beside_the_history_is_known() {
    let line = |kind: &str, payload: &str| {
        format!(r#"{{"timestamp":"2026-07-09T10:00:00Z","type":"{kind}","payload":{payload}}}"#)
    };
    let kinds = [
        "token_usage_record",
        "security_risk_score",
        "realtime_item",
        "retained_context",
        "dynamic_tools_updated",
    ];
    for kind in kinds {
        let state = check(&[decode(line(kind, r#"{"usage":{}}"#).as_bytes())], &[]);
        assert_eq!(state.records, 1, "{kind} takes a record index");
        let malformed = line(kind, "[]");
        let reason = AnomalyKind::Rejected(Rejection::Payload);
        check(&[decode(malformed.as_bytes())], &[(reason, 1, 0)]);
    }
    for event in [
        "environment_connected",
        "thread_queue_changed",
        "safety_buffering",
    ] {
        let event = line("event_msg", &format!(r#"{{"type":"{event}"}}"#));
        check(&[decode(event.as_bytes())], &[]);
    }
}

#[test]
fn an_unknown_kind_is_told_from_a_damaged_record() {
    let item = |item: &str| {
        let payload = format!(
            r#"{{"type":"item_completed","thread_id":"{ID}","turn_id":"t","item":{item}}}"#
        );
        format!(r#"{{"timestamp":"2026-07-09T10:00:00Z","type":"event_msg","payload":{payload}}}"#)
    };
    let class = |line: &str| match decode(line.as_bytes()).effect {
        Effect::Rejected(reason) => Some((reason, AnomalyKind::Rejected(reason).class())),
        _ => None,
    };
    let unknown = Some((Rejection::UnknownItem, AnomalyClass::Unknown));
    let malformed = Some((Rejection::Payload, AnomalyClass::Malformed));
    assert_eq!(class(&item(r#"{"type":"Sleep","id":"s"}"#)), unknown);
    assert_eq!(
        class(&item(r#"{"type":"Extension","kind":"a.b","id":"s"}"#)),
        unknown
    );
    assert_eq!(
        class(&item(
            r#"{"type":"Extension","kind":"clock.sleep","id":"s"}"#
        )),
        malformed
    );
    assert_eq!(class(&item(r#"{"type":"Plan","id":"s"}"#)), malformed);
    assert_eq!(class(&item("7")), malformed);
    assert_eq!(AnomalyKind::OrdinalGap.class(), AnomalyClass::OutOfOrder);
    assert_eq!(AnomalyKind::Timestamp.class(), AnomalyClass::Malformed);
}

#[test]
fn a_later_head_whose_ids_are_none_is_no_record() {
    let head = decode(HEAD.as_bytes());
    let later = HEAD.replacen("\"ordinal\":0", "\"ordinal\":1", 1);
    let odd = |from: &str, to: &str| later.replacen(from, to, 1);
    let id = format!("\"id\":\"{ID}\"");
    for line in [
        odd(&id, "\"id\":\"mine\""),
        odd(&id, &format!("{id},\"session_id\":\"s\"")),
        odd(&id, &format!("{id},\"forked_from_id\":\"\"")),
        odd(&id, &format!("{id},\"parent_thread_id\":\"p\"")),
    ] {
        let reason = AnomalyKind::Rejected(Rejection::Payload);
        let state = check(&[head.clone(), decode(line.as_bytes())], &[(reason, 1, 1)]);
        assert_eq!((state.records, state.upstream_next), (1, 2), "{line}");
        let mut scan = ContextScan::new(&state);
        assert!(
            scan.feed(Ordinal(1), &decode(line.as_bytes()))
                .is_continue()
        );
        assert!(scan.feed(Ordinal(0), &head).is_continue());
        let range = scan.finish();
        assert_eq!(
            (range.start, range.skipped),
            (Some(Ordinal(0)), vec![Ordinal(1)])
        );
    }
    // What a head calls its own thread is not judged.
    check(
        &[decode(
            odd(&id, "\"id\":\"mine\"")
                .replace("l\":1", "l\":0")
                .as_bytes(),
        )],
        &[],
    );
    check(
        &[
            head.clone(),
            decode(odd(&id, &id.to_uppercase().replace("ID", "id")).as_bytes()),
        ],
        &[],
    );
}

#[test]
fn a_rollout_that_goes_on_with_another_one_begins_where_that_ends() {
    let base = format!(
        r#""history_base":{{"thread_id":"{ID}","end_ordinal_exclusive":3,"end_byte_offset":9}},"#
    );
    let head = HEAD.replacen("\"cwd\"", &format!("{base}\"cwd\""), 1);
    let head = head.replacen("\"ordinal\":0", "\"ordinal\":3", 1);
    let next = counted(4);
    check_lines(&[&head, &next], &[]);
    let late = HEAD.replacen("\"ordinal\":0", "\"ordinal\":3", 1);
    check_lines(&[&late, &next], &[(AnomalyKind::OrdinalGap, 1, 0)]);
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
    // Also where the record is served, as from files that were joined.
    let said = r#"{"type":"user_message","message":"m"}"#;
    let said = counted(1).replace(
        r#"{"type":"token_count","info":null,"rate_limits":null}"#,
        said,
    );
    let served = render::render("i", &[said.as_bytes()]);
    assert!(served.is_some(), "{said}");
    assert_eq!(
        render::render("i", &[format!("\u{feff}{said}").as_bytes()]),
        served
    );
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
        decode_metadata(br#"{"name":"My thread"}"#, 7),
    ];
    let state = check(&records, &[]);
    assert_eq!(
        (state.meta.name.as_deref(), state.records, state.uncounted),
        (Some("My thread"), 1, 1)
    );
    assert_eq!(state.meta.named_at_ms, Some(7), "when it was appended");
    let dated = decode_metadata(br#"{"name":"x","at_ms":5}"#, 7);
    assert_eq!(check(&[dated], &[]).meta.named_at_ms, Some(5));
    let ahead = decode_metadata(br#"{"name":"x","at_ms":9}"#, 7);
    let meta = check(&[ahead, decode_metadata(br#"{"name":"y"}"#, 8)], &[]).meta;
    let times = (meta.named_at_ms, meta.name_stated_at_ms);
    assert_eq!(times, (Some(8), Some(9)), "what is given later is newer");
    check(
        &[decode_metadata(b"{", 7)],
        &[(AnomalyKind::Rejected(Rejection::Payload), 1, 0)],
    );
}

/// A file may hold any number of kinds; the state of its thread stays small.
#[test]
fn unknown_kinds_are_bounded() {
    let line = |kind: String| {
        format!(r#"{{"timestamp":"2026-07-09T10:00:00Z","type":"{kind}","payload":{{}}}}"#)
    };
    let lines: Vec<String> = (0..40).map(|at| line(format!("k{at}"))).collect();
    let lines = [lines.clone(), lines, vec![line("x".repeat(5000))]].concat();
    let records: Vec<_> = lines.iter().map(|line| decode(line.as_bytes())).collect();
    assert!(records[80].unknown.as_ref().unwrap().len() < 80);
    let unknown = AnomalyKind::Rejected(Rejection::UnknownType);
    let state = check(&records, &[(unknown, 81, 0)]);
    assert_eq!(state.unknown.len(), ThreadState::UNKNOWN_KINDS_MAX);
    assert!(state.unknown.iter().all(|kind| kind.count == 2));
}
