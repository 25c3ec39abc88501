//! The facts of a thread (rules 16).

use turnleaf_format::Ordinal;

use crate::fold::{MemRows, ThreadMeta, ThreadState, apply};

use crate::payload::{TEXT_BYTES_MAX, decode};

const ID: &str = "019f0000-0000-7000-8000-000000000001";

fn line(second: u32, kind: &str, payload: &str) -> String {
    format!(
        "{{\"timestamp\":\"2026-07-09T10:00:{second:02}.000Z\",\"type\":\"{kind}\",\
         \"payload\":{payload}}}"
    )
}

fn head(id: &str, more: &str) -> String {
    let payload = format!(
        r#"{{"id":"{id}","timestamp":"2026-07-09T10:00:00.000Z","cwd":"/w",{}{more}}}"#,
        r#""originator":"o","cli_version":"1.2","model_provider":"p""#
    );
    line(0, "session_meta", &payload)
}

fn user(text: &str) -> String {
    line(
        1,
        "event_msg",
        &format!(r#"{{"type":"user_message","message":"{text}"}}"#),
    )
}

fn facts(lines: &[String]) -> ThreadMeta {
    let (mut rows, mut state) = (MemRows::default(), ThreadState::default());
    for (at, line) in (0_u64..).zip(lines) {
        let decoded = decode(line.as_bytes());
        assert!(decoded.is_accepted(), "{line}");
        let Ok(()) = apply(&mut rows, &mut state, Ordinal(at), &decoded);
    }
    state.meta
}

#[test]
fn the_first_user_text_gives_preview_and_title() {
    let asked = user(" ask ## My request for Codex: do it ");
    let meta = facts(&[head(ID, ""), user("  "), asked, user("b")]);
    assert_eq!(meta.preview.as_deref(), Some("do it"));
    assert_eq!(meta.first_user_message.as_deref(), Some("do it"));
    assert_eq!(meta.title.as_deref(), Some("do it"));
    let long = facts(&[user(&"\u{e4}".repeat(4000))]);
    assert_eq!(long.title.map(|title| title.len()), Some(TEXT_BYTES_MAX));
}

#[test]
fn a_goal_gives_the_preview_only() {
    let goal = format!(
        r#"{{"type":"thread_goal_updated","threadId":"{ID}","goal":{{"threadId":"{ID}",{}{}}}}}"#,
        r#""objective":" ship ","status":"active","tokensUsed":1,"timeUsedSeconds":2,"#,
        r#""createdAt":1,"updatedAt":2"#
    );
    let meta = facts(&[head(ID, ""), line(2, "event_msg", &goal), user("x")]);
    assert_eq!(meta.preview.as_deref(), Some("ship"));
    assert_eq!(meta.first_user_message.as_deref(), Some("x"));
}

#[test]
fn only_the_canonical_head_speaks() {
    let other = "019f0000-0000-7000-8000-0000000000ff";
    let git = r#","git":{"branch":"b"},"memory_mode":"disabled""#;
    let meta = facts(&[head(ID, ""), head(other, git)]);
    assert_eq!((meta.git_branch, meta.memory_mode), (None, None));
    let meta = facts(&[head(ID, r#","agent_type":"r""#), head(ID, git)]);
    assert_eq!(meta.git_branch.as_deref(), Some("b"));
    assert_eq!(meta.memory_mode.as_deref(), Some("disabled"));
    assert_eq!(meta.agent_role.as_deref(), Some("r"));
    assert_eq!(
        (meta.id.as_deref(), meta.session_id.as_deref()),
        (Some(ID), Some(ID))
    );
    assert_eq!(meta.source.as_deref(), Some("vscode"));
    assert_eq!(meta.created_at_ms, Some(1_783_591_200_000));
}

#[test]
fn the_latest_context_and_tokens_count() {
    let context = |model: &str, more: &str| {
        let payload = format!(
            r#"{{"cwd":"/x",{}"summary":"auto","model":"{model}"{more}}}"#,
            r#""approval_policy":"never","sandbox_policy":{"type":"read-only"},"#
        );
        line(3, "turn_context", &payload)
    };
    let usage = |total: i64| {
        format!(
            r#"{{{}"output_tokens":0,"reasoning_output_tokens":0,"total_tokens":{total}}}"#,
            r#""input_tokens":0,"cached_input_tokens":0,"#
        )
    };
    let tokens = |total: i64| {
        let usage = usage(total);
        let info = format!(r#"{{"total_token_usage":{usage},"last_token_usage":{usage}}}"#);
        line(
            4,
            "event_msg",
            &format!(r#"{{"type":"token_count","info":{info}}}"#),
        )
    };
    let empty = line(5, "event_msg", r#"{"type":"token_count","info":null}"#);
    let start = line(6, "event_msg", r#"{"type":"task_started","turn_id":"t"}"#);
    let meta = facts(&[
        head(ID, ""),
        context("m1", r#","effort":"high""#),
        context("m2", ""),
        tokens(7),
        tokens(5),
        empty,
        start.clone(),
        start,
    ]);
    assert_eq!(
        (meta.model.as_deref(), meta.effort, meta.tokens_used),
        (Some("m2"), None, Some(5))
    );
    assert_eq!(meta.cwd.as_deref(), Some("/w"));
    assert_eq!(meta.updated_at_ms, Some(1_783_591_206_000));
    assert_eq!(meta.recency_at_ms, Some(1_783_591_206_001));
}

#[test]
fn a_thread_stays_in_the_directory_it_began_in() {
    let settings = format!(
        r#"{{"type":"thread_settings_applied","thread_id":"{ID}","thread_settings":{{{}{}}}}}"#,
        r#""model":"m","model_provider_id":"p","cwd":"/elsewhere","approval_policy":"never","#,
        r#""permission_profile":{},"collaboration_mode":{},"approvals_reviewer":"user""#
    );
    let meta = facts(&[head(ID, ""), line(2, "event_msg", &settings)]);
    assert_eq!(meta.model.as_deref(), Some("m"));
    assert_eq!(meta.cwd.as_deref(), Some("/w"));
}

#[test]
fn a_reasoning_item_has_a_bound_and_what_follows_begins_another() {
    let part = line(1, "event_msg", r#"{"type":"agent_reasoning","text":"t"}"#);
    let decoded = decode(part.as_bytes());
    let (mut rows, mut state) = (MemRows::default(), ThreadState::default());
    for at in 0..5000 {
        let Ok(()) = apply(&mut rows, &mut state, Ordinal(at), &decoded);
    }
    let joined: Vec<usize> = rows.items().map(|(_, item)| item.sources.len()).collect();
    assert_eq!(joined, [4096, 904]);
}
