//! Owns the legacy events that concern items, as they are written; it must not know how they are
//! served or replayed.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::payload::items::collab::{CollabEvent, collab_event};
use crate::payload::items::error::ErrorEvent;
use crate::payload::items::shapes::{
    ActivityKind, Changes, EndStatus, ExecSource, ImageDetail, MemoryCitation, MessagePhase,
    ParsedCommand, ReviewOutput, ReviewTarget, SearchAction, TextElement, ToolContent, ToolResult,
};
use crate::payload::items::turn_item::TurnItem;
use crate::payload::json::one_tag;
use crate::payload::json::paths::Place;
use crate::payload::json::wire::{
    AbsolutePath, AgentPath, Any, Empty, List, Str, Text, ThreadId, tagged,
};

/// A legacy event that concerns items, or an error.
#[derive(Debug)]
pub(crate) enum Event<'a> {
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
pub(crate) fn event<'a>(
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
pub(crate) struct UserMessage<'a> {
    pub(crate) client_id: Option<Str<'a>>,
    pub(crate) message: Text<'a>,
    pub(crate) images: Option<Vec<Str<'a>>>,
    #[serde(default)]
    pub(crate) image_details: Vec<Option<ImageDetail>>,
    #[serde(default)]
    pub(crate) local_images: Vec<Str<'a>>,
    #[serde(default)]
    pub(crate) local_image_details: Vec<Option<ImageDetail>>,
    #[serde(default)]
    pub(crate) text_elements: Vec<TextElement<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct AgentMessage<'a> {
    pub(crate) message: Str<'a>,
    pub(crate) phase: Option<MessagePhase>,
    pub(crate) memory_citation: Option<MemoryCitation<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct Reasoning<'a> {
    pub(crate) text: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct CallBegin<'a> {
    pub(crate) call_id: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct SearchEnd<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) query: Str<'a>,
    pub(crate) action: SearchAction<'a>,
    pub(crate) results: Option<List<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct ExecBegin<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) process_id: Option<Str<'a>>,
    pub(crate) turn_id: Text<'a>,
    pub(crate) command: Vec<Str<'a>>,
    pub(crate) cwd: Place,
    pub(crate) parsed_cmd: Vec<ParsedCommand<'a>>,
    #[serde(default)]
    pub(crate) source: ExecSource,
    interaction_input: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct ExecEnd<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) process_id: Option<Str<'a>>,
    pub(crate) turn_id: Text<'a>,
    pub(crate) command: Vec<Str<'a>>,
    pub(crate) cwd: Place,
    pub(crate) parsed_cmd: Vec<ParsedCommand<'a>>,
    #[serde(default)]
    pub(crate) source: ExecSource,
    interaction_input: Option<Str<'a>>,
    #[serde(default)]
    completed_at_ms: i64,
    stdout: Str<'a>,
    stderr: Str<'a>,
    // Missing means empty, but null does not.
    #[serde(default, deserialize_with = "present")]
    pub(crate) aggregated_output: Option<Str<'a>>,
    pub(crate) exit_code: i32,
    pub(crate) duration: Duration,
    formatted_output: Str<'a>,
    pub(crate) status: EndStatus,
}

fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Str<'a>>, D::Error> {
    Str::deserialize(from).map(Some)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    InProgress,
    Approved,
    Denied,
    TimedOut,
    Aborted,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct Assessment<'a> {
    id: Str<'a>,
    pub(crate) target_item_id: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) turn_id: Text<'a>,
    pub(crate) status: Verdict,
    pub(crate) action: AssessedAction<'a>,
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
pub(crate) enum AssessedSource {
    Shell,
    UnifiedExec,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct AssessedCommand<'a> {
    source: AssessedSource,
    pub(crate) command: Str<'a>,
    pub(crate) cwd: Place,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct AssessedExecve<'a> {
    source: AssessedSource,
    pub(crate) program: Str<'a>,
    pub(crate) argv: Vec<Str<'a>>,
    pub(crate) cwd: Place,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct AssessedPatch<'a> {
    cwd: Place,
    files: Vec<Place>,
    #[serde(skip)]
    _borrow: std::marker::PhantomData<&'a ()>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct AssessedNetwork<'a> {
    target: Str<'a>,
    host: Str<'a>,
    protocol: Str<'a>,
    port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct AssessedMcp<'a> {
    server: Str<'a>,
    tool_name: Str<'a>,
    connector_id: Option<Str<'a>>,
    connector_name: Option<Str<'a>>,
    tool_title: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct AssessedPermissions<'a> {
    reason: Option<Str<'a>>,
    permissions: Any<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct PatchRequest<'a> {
    pub(crate) call_id: Text<'a>,
    #[serde(default)]
    pub(crate) turn_id: Text<'a>,
    pub(crate) changes: Changes<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct PatchBegin<'a> {
    pub(crate) call_id: Text<'a>,
    #[serde(default)]
    pub(crate) turn_id: Text<'a>,
    auto_approved: bool,
    pub(crate) changes: Changes<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct PatchEnd<'a> {
    pub(crate) call_id: Text<'a>,
    #[serde(default)]
    pub(crate) turn_id: Text<'a>,
    stdout: Str<'a>,
    stderr: Str<'a>,
    success: bool,
    #[serde(default)]
    pub(crate) changes: Changes<'a>,
    pub(crate) status: EndStatus,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(crate) struct DynamicRequest<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) turn_id: Text<'a>,
    pub(crate) namespace: Option<Str<'a>>,
    pub(crate) tool: Str<'a>,
    pub(crate) arguments: Any<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct DynamicResponse<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) turn_id: Text<'a>,
    pub(crate) namespace: Option<Str<'a>>,
    pub(crate) tool: Str<'a>,
    pub(crate) arguments: Any<'a>,
    pub(crate) content_items: Vec<ToolContent<'a>>,
    pub(crate) success: bool,
    error: Option<Str<'a>>,
    pub(crate) duration: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct Invocation<'a> {
    pub(crate) server: Str<'a>,
    pub(crate) tool: Str<'a>,
    pub(crate) arguments: Option<Any<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct McpBegin<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) invocation: Invocation<'a>,
    pub(crate) connector_id: Option<Str<'a>>,
    pub(crate) mcp_app_resource_uri: Option<Str<'a>>,
    pub(crate) link_id: Option<Str<'a>>,
    pub(crate) app_name: Option<Str<'a>>,
    pub(crate) action_name: Option<Str<'a>>,
    pub(crate) plugin_id: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct McpEnd<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) invocation: Invocation<'a>,
    pub(crate) connector_id: Option<Str<'a>>,
    pub(crate) mcp_app_resource_uri: Option<Str<'a>>,
    pub(crate) link_id: Option<Str<'a>>,
    pub(crate) app_name: Option<Str<'a>>,
    pub(crate) action_name: Option<Str<'a>>,
    pub(crate) plugin_id: Option<Str<'a>>,
    pub(crate) duration: Duration,
    pub(crate) result: Result<ToolResult<'a>, Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ViewImage<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) path: Place,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ImageEnd<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) status: Str<'a>,
    pub(crate) revised_prompt: Option<Str<'a>>,
    pub(crate) result: Str<'a>,
    pub(crate) saved_path: Option<AbsolutePath<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct Activity<'a> {
    pub(crate) event_id: Text<'a>,
    #[serde(default)]
    occurred_at_ms: i64,
    pub(crate) agent_thread_id: ThreadId<'a>,
    pub(crate) agent_path: AgentPath<'a>,
    pub(crate) kind: ActivityKind,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct EnteredReview<'a> {
    target: ReviewTarget<'a>,
    pub(crate) user_facing_hint: Option<Str<'a>>,
    pub(crate) turn_id: Option<Text<'a>>,
    pub(crate) item_id: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ExitedReview<'a> {
    pub(crate) turn_id: Option<Text<'a>>,
    pub(crate) item_id: Option<Text<'a>>,
    pub(crate) review_output: Option<ReviewOutput<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct ItemStarted<'a> {
    thread_id: ThreadId<'a>,
    pub(crate) turn_id: Text<'a>,
    pub(crate) item: TurnItem<'a>,
    #[serde(default)]
    started_at_ms: i64,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct ItemCompleted<'a> {
    thread_id: ThreadId<'a>,
    pub(crate) turn_id: Text<'a>,
    pub(crate) item: TurnItem<'a>,
    pub(crate) started_at_ms: Option<i64>,
    #[serde(default)]
    pub(crate) completed_at_ms: i64,
}
