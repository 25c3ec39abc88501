//! Owns the legacy events that concern items, as they are written; it must not know how they are
//! served or replayed.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::collab::{CollabEvent, collab_event};
use super::error::ErrorEvent;
use super::paths::Place;
use super::shapes::{
    ActivityKind, Changes, EndStatus, ExecSource, ImageDetail, MemoryCitation, MessagePhase,
    ParsedCommand, ReviewOutput, ReviewTarget, SearchAction, TextElement, ToolContent, ToolResult,
};
use super::turn_item::TurnItem;
use super::wire::{AbsolutePath, AgentPath, Any, Empty, List, Str, Text, ThreadId, tagged};
use crate::one_tag;

/// A legacy event that concerns items, or an error.
#[derive(Debug)]
pub(super) enum Event<'a> {
    UserMessage(Box<UserMessage<'a>>),
    AgentMessage(AgentMessage<'a>),
    Reasoning(Reasoning<'a>),
    RawReasoning(Reasoning<'a>),
    ContextCompacted,
    SearchBegin(CallBegin<'a>),
    SearchEnd(SearchEnd<'a>),
    ExecBegin(Box<ExecBegin<'a>>),
    ExecEnd(Box<ExecEnd<'a>>),
    Assessment(Box<Assessment<'a>>),
    PatchRequest(PatchRequest<'a>),
    PatchBegin(PatchBegin<'a>),
    PatchEnd(PatchEnd<'a>),
    DynamicRequest(DynamicRequest<'a>),
    DynamicResponse(Box<DynamicResponse<'a>>),
    McpBegin(Box<McpBegin<'a>>),
    McpEnd(Box<McpEnd<'a>>),
    ViewImage(ViewImage<'a>),
    ImageBegin(CallBegin<'a>),
    ImageEnd(ImageEnd<'a>),
    Collab(Box<CollabEvent<'a>>),
    Activity(Activity<'a>),
    EnteredReview(EnteredReview<'a>),
    ExitedReview(ExitedReview<'a>),
    ItemStarted(Box<ItemStarted<'a>>),
    ItemCompleted(Box<ItemCompleted<'a>>),
    Error(ErrorEvent<'a>),
}

/// Decodes an event by its type; `None` when events of that type do not concern items.
pub(super) fn event<'a>(
    event_type: &str,
    payload: &'a RawValue,
) -> Option<Result<Event<'a>, serde_json::Error>> {
    let text = payload.get();
    macro_rules! read {
        ($variant:ident) => {
            one_tag::from_str(text).map(Event::$variant)
        };
    }
    Some(match event_type {
        "user_message" => read!(UserMessage),
        "agent_message" => read!(AgentMessage),
        "agent_reasoning" => read!(Reasoning),
        "agent_reasoning_raw_content" => read!(RawReasoning),
        "context_compacted" => one_tag::from_str(text).map(|Empty {}| Event::ContextCompacted),
        "web_search_begin" => read!(SearchBegin),
        "web_search_end" => read!(SearchEnd),
        "exec_command_begin" => read!(ExecBegin),
        "exec_command_end" => read!(ExecEnd),
        "guardian_assessment" => read!(Assessment),
        "apply_patch_approval_request" => read!(PatchRequest),
        "patch_apply_begin" => read!(PatchBegin),
        "patch_apply_end" => read!(PatchEnd),
        "dynamic_tool_call_request" => read!(DynamicRequest),
        "dynamic_tool_call_response" => read!(DynamicResponse),
        "mcp_tool_call_begin" => read!(McpBegin),
        "mcp_tool_call_end" => read!(McpEnd),
        "view_image_tool_call" => read!(ViewImage),
        "image_generation_begin" => read!(ImageBegin),
        "image_generation_end" => read!(ImageEnd),
        "sub_agent_activity" => read!(Activity),
        "entered_review_mode" => read!(EnteredReview),
        "exited_review_mode" => read!(ExitedReview),
        "item_started" => read!(ItemStarted),
        "item_completed" => read!(ItemCompleted),
        "error" => read!(Error),
        _ => {
            let event = collab_event(event_type, text)?;
            event.map(|event| Event::Collab(Box::new(event)))
        }
    })
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct UserMessage<'a> {
    pub(super) client_id: Option<Str<'a>>,
    pub(super) message: Text<'a>,
    pub(super) images: Option<Vec<Str<'a>>>,
    #[serde(default)]
    pub(super) image_details: Vec<Option<ImageDetail>>,
    #[serde(default)]
    pub(super) local_images: Vec<Str<'a>>,
    #[serde(default)]
    pub(super) local_image_details: Vec<Option<ImageDetail>>,
    #[serde(default)]
    pub(super) text_elements: Vec<TextElement<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct AgentMessage<'a> {
    pub(super) message: Str<'a>,
    pub(super) phase: Option<MessagePhase>,
    pub(super) memory_citation: Option<MemoryCitation<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Reasoning<'a> {
    pub(super) text: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct CallBegin<'a> {
    pub(super) call_id: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct SearchEnd<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) query: Str<'a>,
    pub(super) action: SearchAction<'a>,
    pub(super) results: Option<List<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct ExecBegin<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) process_id: Option<Str<'a>>,
    pub(super) turn_id: Text<'a>,
    pub(super) command: Vec<Str<'a>>,
    pub(super) cwd: Place,
    pub(super) parsed_cmd: Vec<ParsedCommand<'a>>,
    #[serde(default)]
    pub(super) source: ExecSource,
    interaction_input: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct ExecEnd<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) process_id: Option<Str<'a>>,
    pub(super) turn_id: Text<'a>,
    pub(super) command: Vec<Str<'a>>,
    pub(super) cwd: Place,
    pub(super) parsed_cmd: Vec<ParsedCommand<'a>>,
    #[serde(default)]
    pub(super) source: ExecSource,
    interaction_input: Option<Str<'a>>,
    #[serde(default)]
    completed_at_ms: i64,
    stdout: Str<'a>,
    stderr: Str<'a>,
    // Missing means empty, but null does not.
    #[serde(default, deserialize_with = "present")]
    pub(super) aggregated_output: Option<Str<'a>>,
    pub(super) exit_code: i32,
    pub(super) duration: Duration,
    formatted_output: Str<'a>,
    pub(super) status: EndStatus,
}

fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Str<'a>>, D::Error> {
    Str::deserialize(from).map(Some)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    InProgress,
    Approved,
    Denied,
    TimedOut,
    Aborted,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct Assessment<'a> {
    id: Str<'a>,
    pub(super) target_item_id: Option<Text<'a>>,
    #[serde(default)]
    pub(super) turn_id: Text<'a>,
    pub(super) status: Verdict,
    pub(super) action: AssessedAction<'a>,
}

tagged!(
    /// What an assessment is about; only commands make items.
    AssessedAction by "type" {
        "command" => Command(AssessedCommand<'a>),
        "execve" => Execve(AssessedExecve<'a>),
        "apply_patch" => ApplyPatch(AssessedPatch<'a>),
        "network_access" => NetworkAccess(AssessedNetwork<'a>),
        "mcp_tool_call" => McpToolCall(AssessedMcp<'a>),
        "request_permissions" => RequestPermissions(AssessedPermissions<'a>),
    }
);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AssessedSource {
    Shell,
    UnifiedExec,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct AssessedCommand<'a> {
    source: AssessedSource,
    pub(super) command: Str<'a>,
    pub(super) cwd: Place,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct AssessedExecve<'a> {
    source: AssessedSource,
    pub(super) program: Str<'a>,
    pub(super) argv: Vec<Str<'a>>,
    pub(super) cwd: Place,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct AssessedPatch<'a> {
    cwd: Place,
    files: Vec<Place>,
    #[serde(skip)]
    _borrow: std::marker::PhantomData<&'a ()>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct AssessedNetwork<'a> {
    target: Str<'a>,
    host: Str<'a>,
    protocol: Str<'a>,
    port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct AssessedMcp<'a> {
    server: Str<'a>,
    tool_name: Str<'a>,
    connector_id: Option<Str<'a>>,
    connector_name: Option<Str<'a>>,
    tool_title: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct AssessedPermissions<'a> {
    reason: Option<Str<'a>>,
    permissions: Any<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct PatchRequest<'a> {
    pub(super) call_id: Text<'a>,
    #[serde(default)]
    pub(super) turn_id: Text<'a>,
    pub(super) changes: Changes<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct PatchBegin<'a> {
    pub(super) call_id: Text<'a>,
    #[serde(default)]
    pub(super) turn_id: Text<'a>,
    auto_approved: bool,
    pub(super) changes: Changes<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct PatchEnd<'a> {
    pub(super) call_id: Text<'a>,
    #[serde(default)]
    pub(super) turn_id: Text<'a>,
    stdout: Str<'a>,
    stderr: Str<'a>,
    success: bool,
    #[serde(default)]
    pub(super) changes: Changes<'a>,
    pub(super) status: EndStatus,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(super) struct DynamicRequest<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) turn_id: Text<'a>,
    pub(super) namespace: Option<Str<'a>>,
    pub(super) tool: Str<'a>,
    pub(super) arguments: Any<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct DynamicResponse<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) turn_id: Text<'a>,
    pub(super) namespace: Option<Str<'a>>,
    pub(super) tool: Str<'a>,
    pub(super) arguments: Any<'a>,
    pub(super) content_items: Vec<ToolContent<'a>>,
    pub(super) success: bool,
    error: Option<Str<'a>>,
    pub(super) duration: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Invocation<'a> {
    pub(super) server: Str<'a>,
    pub(super) tool: Str<'a>,
    pub(super) arguments: Option<Any<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct McpBegin<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) invocation: Invocation<'a>,
    pub(super) connector_id: Option<Str<'a>>,
    pub(super) mcp_app_resource_uri: Option<Str<'a>>,
    pub(super) link_id: Option<Str<'a>>,
    pub(super) app_name: Option<Str<'a>>,
    pub(super) action_name: Option<Str<'a>>,
    pub(super) plugin_id: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct McpEnd<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) invocation: Invocation<'a>,
    pub(super) connector_id: Option<Str<'a>>,
    pub(super) mcp_app_resource_uri: Option<Str<'a>>,
    pub(super) link_id: Option<Str<'a>>,
    pub(super) app_name: Option<Str<'a>>,
    pub(super) action_name: Option<Str<'a>>,
    pub(super) plugin_id: Option<Str<'a>>,
    pub(super) duration: Duration,
    pub(super) result: Result<ToolResult<'a>, Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ViewImage<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) path: Place,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ImageEnd<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) status: Str<'a>,
    pub(super) revised_prompt: Option<Str<'a>>,
    pub(super) result: Str<'a>,
    pub(super) saved_path: Option<AbsolutePath<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct Activity<'a> {
    pub(super) event_id: Text<'a>,
    #[serde(default)]
    occurred_at_ms: i64,
    pub(super) agent_thread_id: ThreadId<'a>,
    pub(super) agent_path: AgentPath<'a>,
    pub(super) kind: ActivityKind,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct EnteredReview<'a> {
    target: ReviewTarget<'a>,
    pub(super) user_facing_hint: Option<Str<'a>>,
    pub(super) turn_id: Option<Text<'a>>,
    pub(super) item_id: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ExitedReview<'a> {
    pub(super) turn_id: Option<Text<'a>>,
    pub(super) item_id: Option<Text<'a>>,
    pub(super) review_output: Option<ReviewOutput<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct ItemStarted<'a> {
    thread_id: ThreadId<'a>,
    pub(super) turn_id: Text<'a>,
    pub(super) item: TurnItem<'a>,
    #[serde(default)]
    started_at_ms: i64,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct ItemCompleted<'a> {
    thread_id: ThreadId<'a>,
    pub(super) turn_id: Text<'a>,
    pub(super) item: TurnItem<'a>,
    pub(super) started_at_ms: Option<i64>,
    #[serde(default)]
    pub(super) completed_at_ms: i64,
}
