//! Owns the acceptance of `event_msg` payloads; item events are the item module's.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::payload::items;
use crate::payload::json::one_tag;
use crate::payload::json::pieces::{Object, Str, Text, tag};
use crate::payload::json::read;
use crate::payload::records::{cow, is_approval_policy};
use crate::payload::{Effect, PathFamily, Rejection, Settings, TurnTimes};
use crate::payload::{ItemHead, LegacyHead};
use crate::rows::ItemKind;

/// A decoded payload, of an event or of any other record.
pub(crate) struct Event<'a> {
    pub(crate) effect: Effect<'a>,
    /// Whether the persistence policy of legacy threads keeps it.
    pub(crate) kept: bool,
    pub(crate) paths: Option<PathFamily>,
    pub(crate) is_lenient: bool,
}

impl<'a> Event<'a> {
    pub(crate) fn new(effect: Effect<'a>, kept: bool) -> Event<'a> {
        Event {
            effect,
            kept,
            paths: None,
            is_lenient: false,
        }
    }
}

/// Decodes a payload, or says why the reference rejects it.
pub(crate) fn event(payload: &str) -> Result<Event<'_>, Rejection> {
    let tag = tag(payload).ok_or(Rejection::Payload)?;
    let own = match tag.as_ref() {
        "task_started" | "turn_started" => turn_started(payload),
        "task_complete" | "turn_complete" => turn_completed(payload),
        "turn_aborted" => turn_aborted(payload),
        "thread_rolled_back" => rolled_back(payload),
        "token_count" => token_count(payload),
        "thread_goal_updated" => goal(payload),
        "thread_settings_applied" => return settings(payload).ok_or(Rejection::Payload),
        _ => return item_event(&tag, payload),
    };
    own.map(|effect| Event::new(effect, true))
        .ok_or(Rejection::Payload)
}

fn item_event<'a>(tag: &str, payload: &'a str) -> Result<Event<'a>, Rejection> {
    let raw: &'a RawValue = serde_json::from_str(payload).map_err(|_| Rejection::Payload)?;
    match items::legacy_head(tag, raw) {
        Ok(Some(head)) => {
            let kept = is_kept(tag, &head);
            let is_lenient = has_bare_path(&head, payload);
            Ok(Event {
                is_lenient,
                ..Event::new(Effect::Item(head), kept)
            })
        }
        Ok(None) if tag == "warning" => {
            read_tagged::<Warning<'_>>(payload).ok_or(Rejection::Payload)?;
            Ok(Event::new(Effect::Ignored, false))
        }
        Ok(None) if is_silent(tag) => {
            read_tagged::<IgnoredAny>(payload).ok_or(Rejection::Payload)?;
            Ok(Event::new(Effect::Ignored, false))
        }
        Ok(None) => Err(Rejection::UnknownEvent),
        Err(_) if items::is_of_unknown_kind(tag, raw) => Err(Rejection::UnknownItem),
        Err(_) => Err(Rejection::Payload),
    }
}

fn read_tagged<'a, T: Deserialize<'a>>(payload: &'a str) -> Option<T> {
    one_tag::from_str(payload).ok()
}

fn is_kept(tag: &str, head: &LegacyHead<'_>) -> bool {
    match tag {
        "user_message"
        | "agent_message"
        | "agent_reasoning"
        | "agent_reasoning_raw_content"
        | "entered_review_mode"
        | "exited_review_mode"
        | "patch_apply_end"
        | "context_compacted"
        | "mcp_tool_call_end"
        | "web_search_end"
        | "image_generation_end"
        | "sub_agent_activity" => true,
        "item_completed" => match head {
            LegacyHead::Item { item, .. } => matches!(item.kind, ItemKind::Plan | ItemKind::Sleep),
            _ => false,
        },
        _ => false,
    }
}

/// Whether a command's directory or a viewed image stands as a bare path, not as a `file:` URI.
fn has_bare_path(head: &LegacyHead<'_>, payload: &str) -> bool {
    let (LegacyHead::Upsert { kind, .. }
    | LegacyHead::Item {
        item: ItemHead { kind, .. },
        ..
    }) = head
    else {
        return false;
    };
    let written: &[u8] = match kind {
        ItemKind::CommandExecution => b"\"cwd\":\"file:",
        ItemKind::ImageView => b"\"path\":\"file:",
        _ => return false,
    };
    // Quotes inside of strings are escaped, so this finds keys only.
    if memchr::memmem::find(payload.as_bytes(), written).is_some() {
        return false;
    }
    #[derive(Deserialize)]
    struct Places<'a> {
        #[serde(borrow)]
        cwd: Option<Text<'a>>,
        #[serde(borrow)]
        path: Option<Text<'a>>,
        #[serde(borrow)]
        item: Option<Box<Places<'a>>>,
    }
    let Some(places) = read::<Places<'_>>(payload) else {
        return false;
    };
    let places = places
        .item
        .map_or([places.cwd, places.path], |item| [item.cwd, item.path]);
    places
        .iter()
        .flatten()
        .any(|place| !place.as_str().starts_with("file:"))
}

/// Events that say nothing about items and turns: known, so that they count as records.
fn is_silent(tag: &str) -> bool {
    matches!(
        tag,
        "agent_message_content_delta"
            | "agent_message_delta"
            | "agent_reasoning_delta"
            | "agent_reasoning_raw_content_delta"
            | "agent_reasoning_section_break"
            | "auth_recovery_completed"
            | "auth_recovery_started"
            | "background_event"
            | "deprecation_notice"
            | "elicitation_abandoned"
            | "elicitation_request"
            | "environment_connected"
            | "environment_disconnected"
            | "exec_approval_request"
            | "exec_command_output_delta"
            | "get_history_entry_response"
            | "guardian_warning"
            | "hook_completed"
            | "hook_started"
            | "list_custom_prompts_response"
            | "list_skills_response"
            | "mcp_list_tools_response"
            | "mcp_startup_complete"
            | "mcp_startup_update"
            | "model_reroute"
            | "model_verification"
            | "patch_apply_updated"
            | "plan_delta"
            | "plan_update"
            | "raw_response_completed"
            | "raw_response_item"
            | "realtime_conversation_closed"
            | "realtime_conversation_list_voices_response"
            | "realtime_conversation_realtime"
            | "realtime_conversation_sdp"
            | "realtime_conversation_started"
            | "reasoning_content_delta"
            | "reasoning_raw_content_delta"
            | "request_permissions"
            | "request_user_input"
            | "safety_buffering"
            | "session_configured"
            | "shutdown_complete"
            | "skills_update_available"
            | "stream_error"
            | "terminal_interaction"
            | "thread_name_updated"
            | "thread_queue_changed"
            | "turn_diff"
            | "turn_moderation_metadata"
            | "undo_completed"
            | "undo_started"
    )
}

#[derive(Deserialize)]
struct Warning<'a> {
    #[serde(rename = "message", borrow)]
    _message: Str<'a>,
}

#[derive(Deserialize)]
struct TurnStarted<'a> {
    #[serde(borrow)]
    turn_id: Text<'a>,
    #[serde(borrow)]
    root_turn_id: Option<Text<'a>>,
    started_at: Option<i64>,
    #[serde(rename = "model_context_window")]
    _model_context_window: Option<i64>,
}

fn turn_started(payload: &str) -> Option<Effect<'_>> {
    let keys: TurnStarted<'_> = read_tagged(payload)?;
    Some(Effect::TurnStarted {
        id: keys.turn_id.0,
        root: cow(keys.root_turn_id),
        started_at: keys.started_at,
    })
}

#[derive(Deserialize)]
struct TurnCompleted<'a> {
    #[serde(borrow)]
    turn_id: Text<'a>,
    #[serde(borrow)]
    root_turn_id: Option<Text<'a>>,
    #[serde(rename = "last_agent_message", borrow)]
    _last_agent_message: Option<Str<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    started_at: Option<i64>,
    completed_at: Option<i64>,
    duration_ms: Option<i64>,
}

fn turn_completed(payload: &str) -> Option<Effect<'_>> {
    let keys: TurnCompleted<'_> = read_tagged(payload)?;
    // The error is read when a turn is served; a line whose error cannot be read is no record.
    let has_error = keys.error.is_some();
    if let Some(error) = keys.error {
        items::error_of_end(error)?;
    }
    let times = TurnTimes {
        started_at: keys.started_at,
        completed_at: keys.completed_at,
        duration_ms: keys.duration_ms,
    };
    Some(Effect::TurnCompleted {
        id: keys.turn_id.0,
        root: cow(keys.root_turn_id),
        has_error,
        times,
    })
}

#[derive(Deserialize)]
struct TurnAborted<'a> {
    #[serde(borrow)]
    turn_id: Option<Text<'a>>,
    #[serde(borrow)]
    root_turn_id: Option<Text<'a>>,
    #[serde(rename = "reason")]
    _reason: AbortReason,
    started_at: Option<i64>,
    completed_at: Option<i64>,
    duration_ms: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum AbortReason {
    Interrupted,
    Replaced,
    ReviewEnded,
    BudgetLimited,
}

fn turn_aborted(payload: &str) -> Option<Effect<'_>> {
    let keys: TurnAborted<'_> = read_tagged(payload)?;
    let times = TurnTimes {
        started_at: keys.started_at,
        completed_at: keys.completed_at,
        duration_ms: keys.duration_ms,
    };
    Some(Effect::TurnAborted {
        id: cow(keys.turn_id),
        root: cow(keys.root_turn_id),
        times,
    })
}

fn rolled_back(payload: &str) -> Option<Effect<'_>> {
    #[derive(Deserialize)]
    struct Keys {
        num_turns: u32,
    }
    Some(Effect::RolledBack(read_tagged::<Keys>(payload)?.num_turns))
}

#[derive(Deserialize)]
struct TokenCount {
    info: Option<TokenInfo>,
    #[serde(rename = "rate_limits")]
    _rate_limits: Option<Object>,
}

#[derive(Deserialize)]
struct TokenInfo {
    total_token_usage: TokenUsage,
    #[serde(rename = "last_token_usage")]
    _last_token_usage: TokenUsage,
    #[serde(rename = "model_context_window")]
    _model_context_window: Option<i64>,
}

#[derive(Deserialize)]
#[allow(dead_code)] // Most are read for their types only.
struct TokenUsage {
    input_tokens: i64,
    cached_input_tokens: i64,
    output_tokens: i64,
    reasoning_output_tokens: i64,
    total_tokens: i64,
}

fn token_count(payload: &str) -> Option<Effect<'_>> {
    let keys: TokenCount = read_tagged(payload)?;
    Some(Effect::TokenCount(
        keys.info.map(|info| info.total_token_usage.total_tokens),
    ))
}

#[derive(Deserialize)]
struct GoalEvent<'a> {
    #[serde(rename = "threadId", borrow)]
    _thread_id: Str<'a>,
    #[serde(borrow)]
    goal: Goal<'a>,
}

#[derive(Deserialize)]
struct Goal<'a> {
    #[serde(borrow)]
    objective: Text<'a>,
    #[serde(rename = "status")]
    _status: GoalStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum GoalStatus {
    Active,
    Paused,
    Blocked,
    UsageLimited,
    BudgetLimited,
    Complete,
}

fn goal(payload: &str) -> Option<Effect<'_>> {
    let keys: GoalEvent<'_> = read_tagged(payload)?;
    Some(Effect::Goal(match keys.goal.objective.0 {
        Cow::Borrowed(objective) => Cow::Borrowed(objective.trim()),
        Cow::Owned(objective) => Cow::Owned(objective.trim().to_owned()),
    }))
}

#[derive(Deserialize)]
struct SettingsEvent<'a> {
    #[serde(borrow)]
    thread_settings: SettingsKeys<'a>,
}

#[derive(Deserialize)]
struct SettingsKeys<'a> {
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    model_provider_id: Text<'a>,
    #[serde(borrow)]
    approval_policy: &'a RawValue,
    #[serde(rename = "approvals_reviewer", borrow)]
    _approvals_reviewer: Str<'a>,
    #[serde(rename = "permission_profile")]
    _permission_profile: Object,
    #[serde(borrow)]
    cwd: Text<'a>,
    #[serde(borrow)]
    reasoning_effort: Option<Text<'a>>,
    #[serde(rename = "collaboration_mode")]
    _collaboration_mode: Object,
}

fn settings(payload: &str) -> Option<Event<'_>> {
    let keys = read_tagged::<SettingsEvent<'_>>(payload)?.thread_settings;
    let family = PathFamily::of(keys.cwd.as_str())?;
    if !is_approval_policy(keys.approval_policy.get()) {
        return None;
    }
    let settings = Settings {
        cwd: keys.cwd.0,
        model: keys.model.0,
        model_provider: keys.model_provider_id.0,
        effort: cow(keys.reasoning_effort),
    };
    Some(Event {
        paths: Some(family),
        ..Event::new(Effect::Settings(Box::new(settings)), true)
    })
}
