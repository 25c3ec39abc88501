//! Owns heads that lack a field. The agent refuses such a file; here its other records are shown.

use serde_json::Value;

use crate::payload::json::time::timestamp_ms;
use crate::payload::spawned;
use crate::payload::{HeadField, HeadLack, SessionMeta};

/// Longer lines are not looked at: they are taken apart as a whole.
const LINE_BYTES_MAX: usize = 1 << 20;
/// How far into a line its type is looked for.
const LOOK_BYTES: usize = 512;

/// What a refused line says, if it is a `session_meta` that has an id and lacks a field.
pub(crate) fn incomplete_head(line: &str) -> Option<(SessionMeta<'static>, HeadLack)> {
    let look = &line.as_bytes()[..line.len().min(LOOK_BYTES)];
    memchr::memmem::find(look, b"\"session_meta\"")?;
    if line.len() > LINE_BYTES_MAX {
        return None;
    }
    let head: Value = serde_json::from_str(line).ok()?;
    if head.get("type")? != "session_meta" {
        return None;
    }
    let payload = head.get("payload")?;
    let text = |key: &str| payload.get(key).and_then(Value::as_str);
    let owned = |key: &str| text(key).map(|text| text.to_owned().into());
    let id = owned("id")?;
    let fields = [
        (&head["timestamp"], HeadField::LineTimestamp),
        (&payload["timestamp"], HeadField::Timestamp),
        (&payload["cwd"], HeadField::Cwd),
        (&payload["originator"], HeadField::Originator),
        (&payload["cli_version"], HeadField::CliVersion),
    ];
    let lacks = fields.into_iter().find(|(value, _)| !value.is_string());
    let lacks = lacks.map(|(value, field)| HeadLack {
        field,
        is_there: !value.is_null(),
    })?;
    let is_paginated = match text("history_mode") {
        None | Some("legacy") => false,
        Some("paginated") => true,
        // A newer version may know it.
        Some(_) => return None,
    };
    let source = match payload.get("source") {
        None | Some(Value::Null) => "vscode".to_owned(),
        Some(Value::String(name)) => name.clone(),
        Some(source) => source.to_string(),
    };
    let mut meta = SessionMeta {
        has_thread_ids: true,
        has_base: payload.get("history_base").is_some_and(Value::is_object),
        id,
        session_id: owned("session_id"),
        forked_from: owned("forked_from_id"),
        parent: owned("parent_thread_id"),
        created_at_ms: text("timestamp").and_then(timestamp_ms),
        cwd: owned("cwd").unwrap_or_default(),
        originator: owned("originator").unwrap_or_default(),
        cli_version: owned("cli_version").unwrap_or_default(),
        source: source.into(),
        thread_source: owned("thread_source"),
        agent_nickname: owned("agent_nickname"),
        agent_role: owned("agent_role").or_else(|| owned("agent_type")),
        agent_path: owned("agent_path"),
        model_provider: owned("model_provider"),
        memory_mode: owned("memory_mode"),
        is_paginated,
        own_history_start: payload["subagent_history_start_ordinal"].as_u64(),
        window_id: None,
        git: None,
    };
    spawned::complete(&mut meta);
    Some((meta, lacks))
}
