//! Owns the acceptance of the records that are neither response items nor events; it must not know
//! envelopes.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::payload::json::pieces::{Array, List, Object, Str, Text, tag};
use crate::payload::json::read;
use crate::payload::json::time::timestamp_ms;
use crate::payload::json::wire::is_thread_id;
use crate::payload::response::response;
use crate::payload::spawned;
use crate::payload::{Compacted, Git, PathFamily, SessionMeta, TurnContext};

pub(crate) fn cow(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.map(|text| text.0)
}

#[derive(Deserialize)]
struct SessionMetaKeys<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    session_id: Option<Text<'a>>,
    #[serde(borrow)]
    forked_from_id: Option<Text<'a>>,
    #[serde(borrow)]
    parent_thread_id: Option<Text<'a>>,
    #[serde(borrow)]
    timestamp: Text<'a>,
    #[serde(borrow)]
    cwd: Text<'a>,
    #[serde(borrow)]
    originator: Text<'a>,
    #[serde(borrow)]
    cli_version: Text<'a>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    thread_source: Option<Text<'a>>,
    #[serde(borrow)]
    agent_nickname: Option<Text<'a>>,
    #[serde(alias = "agent_type", borrow)]
    agent_role: Option<Text<'a>>,
    #[serde(borrow)]
    agent_path: Option<Text<'a>>,
    #[serde(borrow)]
    model_provider: Option<Text<'a>>,
    #[serde(rename = "base_instructions", borrow)]
    _base_instructions: Option<Instructions<'a>>,
    #[serde(borrow)]
    dynamic_tools: Option<Vec<Tool<'a>>>,
    #[serde(borrow)]
    memory_mode: Option<Text<'a>>,
    #[serde(default)]
    history_mode: HistoryMode,
    history_base: Option<Object>,
    subagent_history_start_ordinal: Option<u64>,
    #[serde(borrow)]
    context_window: Option<Window<'a>>,
    #[serde(borrow)]
    git: Option<GitKeys<'a>>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum HistoryMode {
    #[default]
    Legacy,
    Paginated,
}

#[derive(Deserialize)]
struct Instructions<'a> {
    #[serde(rename = "text", borrow)]
    _text: Str<'a>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Str<'a>>,
}

#[derive(Deserialize)]
struct Window<'a> {
    #[serde(borrow)]
    window_id: Text<'a>,
}

#[derive(Deserialize)]
struct GitKeys<'a> {
    #[serde(borrow)]
    commit_hash: Option<Text<'a>>,
    #[serde(borrow)]
    branch: Option<Text<'a>>,
    #[serde(borrow)]
    repository_url: Option<Text<'a>>,
}

/// `session_meta`. Ids are taken as they are: what a head calls its thread is not for the fold to
/// judge.
pub(crate) fn session_meta(payload: &str) -> Option<SessionMeta<'_>> {
    let keys: SessionMetaKeys<'_> = read(payload)?;
    // Tools are written in one of two forms; a mixture of them is refused.
    let tools = keys.dynamic_tools.unwrap_or_default();
    if tools
        .windows(2)
        .any(|two| two[0].kind.is_some() != two[1].kind.is_some())
    {
        return None;
    }
    let ids = [
        Some(&keys.id),
        keys.session_id.as_ref(),
        keys.forked_from_id.as_ref(),
        keys.parent_thread_id.as_ref(),
    ];
    let has_thread_ids = ids.iter().flatten().all(|id| is_thread_id(id.as_str()));
    let mut meta = SessionMeta {
        has_thread_ids,
        has_base: keys.history_base.is_some(),
        id: keys.id.0,
        session_id: cow(keys.session_id),
        forked_from: cow(keys.forked_from_id),
        parent: cow(keys.parent_thread_id),
        created_at_ms: timestamp_ms(keys.timestamp.as_str()),
        cwd: keys.cwd.0,
        originator: keys.originator.0,
        cli_version: keys.cli_version.0,
        source: source(keys.source)?,
        thread_source: cow(keys.thread_source),
        agent_nickname: cow(keys.agent_nickname),
        agent_role: cow(keys.agent_role),
        agent_path: cow(keys.agent_path),
        model_provider: cow(keys.model_provider),
        memory_mode: cow(keys.memory_mode),
        is_paginated: keys.history_mode == HistoryMode::Paginated,
        own_history_start: keys.subagent_history_start_ordinal,
        window_id: keys.context_window.map(|window| window.window_id.0),
        git: keys.git.map(|git| Git {
            commit: cow(git.commit_hash),
            branch: cow(git.branch),
            repository_url: cow(git.repository_url),
        }),
    };
    spawned::complete(&mut meta);
    Some(meta)
}

fn source(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let Some(raw) = raw.map(RawValue::get) else {
        return Some(Cow::Borrowed("vscode"));
    };
    if raw.starts_with('{') {
        return Some(Cow::Borrowed(raw));
    }
    let name: Text<'_> = read(raw)?;
    Some(match name.as_str() {
        "cli" | "vscode" | "exec" | "mcp" => name.0,
        _ => Cow::Borrowed("unknown"),
    })
}

#[derive(Deserialize)]
struct CompactedKeys<'a> {
    #[serde(rename = "message", borrow)]
    _message: Str<'a>,
    #[serde(borrow)]
    replacement_history: Option<List<HistoryItem<'a>>>,
    window_number: Option<u64>,
    #[serde(borrow)]
    window_id: Option<&'a RawValue>,
}

/// An entry of a replacement history: a response item.
#[derive(Deserialize)]
#[serde(try_from = "&'a RawValue", bound(deserialize = "'de: 'a"))]
struct HistoryItem<'a>(std::marker::PhantomData<&'a ()>);

impl<'a> TryFrom<&'a RawValue> for HistoryItem<'a> {
    type Error = &'static str;

    fn try_from(raw: &'a RawValue) -> Result<HistoryItem<'a>, &'static str> {
        response(raw.get()).ok_or("not a response item")?;
        Ok(HistoryItem(std::marker::PhantomData))
    }
}

/// `compacted`. An old window id is a number and stands for the window number when that is missing.
pub(crate) fn compacted(payload: &str) -> Option<Compacted<'_>> {
    let keys: CompactedKeys<'_> = read(payload)?;
    let (window_id, old_number) = match keys.window_id.map(RawValue::get) {
        Some(raw) if raw.starts_with('"') => (Some(read::<Text<'_>>(raw)?.0), None),
        Some(raw) => (None, Some(read::<u64>(raw)?)),
        None => (None, None),
    };
    let window_number = keys.window_number.or(old_number);
    let is_usable = keys.replacement_history.is_some() && window_number.is_some();
    Some(Compacted {
        is_usable,
        window_id,
    })
}

#[derive(Deserialize)]
struct TurnContextKeys<'a> {
    #[serde(borrow)]
    turn_id: Option<Text<'a>>,
    #[serde(borrow)]
    cwd: Text<'a>,
    #[serde(borrow)]
    approval_policy: &'a RawValue,
    #[serde(borrow)]
    sandbox_policy: &'a RawValue,
    #[serde(borrow)]
    permission_profile: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    effort: Option<Text<'a>>,
    #[serde(rename = "summary")]
    _summary: Summary,
    #[serde(rename = "personality")]
    _personality: Option<Personality>,
    #[serde(rename = "collaboration_mode")]
    _collaboration_mode: Option<Object>,
    #[serde(rename = "network")]
    _network: Option<Object>,
    #[serde(rename = "workspace_roots")]
    _workspace_roots: Option<Array>,
    #[serde(rename = "realtime_active")]
    _realtime_active: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Summary {
    Auto,
    Concise,
    Detailed,
    None,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Personality {
    None,
    Friendly,
    Pragmatic,
}

/// `turn_context`, and the family of hosts that its directory belongs to.
pub(crate) fn turn_context(payload: &str) -> Option<(TurnContext<'_>, PathFamily)> {
    let keys: TurnContextKeys<'_> = read(payload)?;
    let family = PathFamily::of(keys.cwd.as_str())?;
    let sandbox = tag(keys.sandbox_policy.get())?;
    let sandbox_is_known = matches!(
        sandbox.as_ref(),
        "danger-full-access" | "read-only" | "external-sandbox" | "workspace-write"
    );
    let profile = keys.permission_profile.map(|raw| tag(raw.get()));
    let profile_is_known = profile
        .is_none_or(|tag| matches!(tag.as_deref(), Some("managed" | "disabled" | "external")));
    if !sandbox_is_known || !profile_is_known || !is_approval_policy(keys.approval_policy.get()) {
        return None;
    }
    let effort = cow(keys.effort);
    if effort.as_deref() == Some("") {
        return None;
    }
    let context = TurnContext {
        turn_id: cow(keys.turn_id),
        cwd: keys.cwd.0,
        model: keys.model.0,
        effort,
    };
    Some((context, family))
}

pub(crate) fn is_approval_policy(json: &str) -> bool {
    #[derive(Deserialize)]
    struct Granular {
        #[serde(rename = "granular")]
        _granular: Object,
    }
    match json {
        "\"untrusted\"" | "\"on-request\"" | "\"on-failure\"" | "\"never\"" => true,
        _ => json.starts_with('{') && read::<Granular>(json).is_some(),
    }
}

/// `world_state`.
pub(crate) fn is_world_state(payload: &str) -> bool {
    #[derive(Deserialize)]
    struct Keys {
        #[serde(rename = "full")]
        _full: bool,
        #[serde(rename = "state")]
        _state: IgnoredAny,
    }
    read::<Keys>(payload).is_some()
}

/// `inter_agent_communication_metadata`.
pub(crate) fn is_communication_metadata(payload: &str) -> bool {
    #[derive(Deserialize)]
    struct Keys {
        #[serde(rename = "trigger_turn")]
        _trigger_turn: bool,
    }
    read::<Keys>(payload).is_some()
}
