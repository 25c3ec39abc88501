//! Owns the canonical items as they are written in `item_started` and `item_completed`; it must
//! not know how they are served.

use std::time::Duration;

use serde::Deserialize;

use crate::payload::items::shapes::{
    ActivityKind, AgentStates, CallStatus, CamelAction, Changes, CommandStatus, EndStatus,
    ExecSource, McpStatus, MemoryCitation, MessagePhase, ParsedCommand, ReviewOutput, ReviewTarget,
    SearchAction, ToolContent, ToolResult, UserInput,
};
use crate::payload::json::paths::Place;
use crate::payload::json::wire::{
    AbsolutePath, AgentPath, Any, Effort, List, Str, Text, ThreadId, tagged,
};

tagged!(
    /// A canonical item.
    TurnItem by "type" {
        "UserMessage" => UserMessage(UserMessage<'a>),
        "HookPrompt" => HookPrompt(HookPrompt<'a>),
        "AgentMessage" => AgentMessage(AgentMessage<'a>),
        "Plan" => Plan(Plan<'a>),
        "Reasoning" => Reasoning(Reasoning<'a>),
        "CommandExecution" => CommandExecution(Box<CommandExecution<'a>>),
        "DynamicToolCall" => DynamicToolCall(Box<DynamicToolCall<'a>>),
        "CollabAgentToolCall" => CollabAgentToolCall(Box<CollabAgentToolCall<'a>>),
        "SubAgentActivity" => SubAgentActivity(SubAgentActivity<'a>),
        "WebSearch" => WebSearch(WebSearch<'a>),
        "ImageView" => ImageView(ImageView<'a>),
        "Extension" => Extension(Extension<'a>),
        "ImageGeneration" => ImageGeneration(ImageGeneration<'a>),
        "EnteredReviewMode" => EnteredReviewMode(EnteredReviewMode<'a>),
        "ExitedReviewMode" => ExitedReviewMode(ExitedReviewMode<'a>),
        "FileChange" => FileChange(FileChangeItem<'a>),
        "McpToolCall" => McpToolCall(Box<McpToolCall<'a>>),
        "ContextCompaction" => ContextCompaction(ContextCompaction<'a>),
    }
);

tagged!(
    /// An item that an extension owns.
    Extension by "kind" {
        "image_gen.generation" => Image(ExtensionImage<'a>),
        "clock.sleep" => Sleep(ExtensionSleep<'a>),
        "web.search" => Search(ExtensionSearch<'a>),
    }
);

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct UserMessage<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) client_id: Option<Str<'a>>,
    pub(crate) content: Vec<UserInput<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct HookPrompt<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) fragments: Vec<HookFragment<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(crate) struct HookFragment<'a> {
    pub(crate) text: Str<'a>,
    pub(crate) hook_run_id: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct AgentMessage<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) content: Vec<AgentContent<'a>>,
    pub(crate) phase: Option<MessagePhase>,
    pub(crate) memory_citation: Option<MemoryCitation<'a>>,
}

tagged!(
    /// One part of an agent message.
    AgentContent by "type" {
        "Text" => Text(AgentText<'a>),
    }
);

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct AgentText<'a> {
    pub(crate) text: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct Plan<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) text: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct Reasoning<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) summary_text: Vec<Str<'a>>,
    #[serde(default)]
    pub(crate) raw_content: Vec<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct CommandExecution<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) process_id: Option<Str<'a>>,
    pub(crate) command: Vec<Str<'a>>,
    pub(crate) cwd: Place,
    pub(crate) parsed_cmd: Vec<ParsedCommand<'a>>,
    pub(crate) source: ExecSource,
    pub(crate) plugin_id: Option<Str<'a>>,
    pub(crate) script_path: Option<Str<'a>>,
    interaction_input: Option<Str<'a>>,
    pub(crate) status: CommandStatus,
    stdout: Option<Str<'a>>,
    stderr: Option<Str<'a>>,
    pub(crate) aggregated_output: Option<Str<'a>>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) duration: Option<Duration>,
    formatted_output: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct DynamicToolCall<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) namespace: Option<Str<'a>>,
    pub(crate) tool: Str<'a>,
    pub(crate) arguments: Any<'a>,
    pub(crate) status: CallStatus,
    pub(crate) content_items: Option<Vec<ToolContent<'a>>>,
    pub(crate) success: Option<bool>,
    error: Option<Str<'a>>,
    pub(crate) duration: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CollabTool {
    SpawnAgent,
    SendInput,
    ResumeAgent,
    Wait,
    CloseAgent,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct CollabAgentToolCall<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) tool: CollabTool,
    pub(crate) status: CallStatus,
    pub(crate) sender_thread_id: ThreadId<'a>,
    #[serde(default)]
    pub(crate) receiver_thread_ids: Vec<ThreadId<'a>>,
    #[serde(default)]
    receiver_agents: Vec<AgentRef<'a>>,
    pub(crate) prompt: Option<Str<'a>>,
    pub(crate) model: Option<Str<'a>>,
    pub(crate) reasoning_effort: Option<Effort<'a>>,
    #[serde(default)]
    pub(crate) agents_states: AgentStates<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct AgentRef<'a> {
    thread_id: ThreadId<'a>,
    agent_nickname: Option<Str<'a>>,
    #[serde(alias = "agent_type")]
    agent_role: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct SubAgentActivity<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) kind: ActivityKind,
    pub(crate) agent_thread_id: ThreadId<'a>,
    pub(crate) agent_path: AgentPath<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct WebSearch<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) query: Str<'a>,
    pub(crate) action: SearchAction<'a>,
    pub(crate) results: Option<List<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ImageView<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) path: Place,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(crate) struct ExtensionImage<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) status: Str<'a>,
    pub(crate) revised_prompt: Option<Str<'a>>,
    pub(crate) result: Str<'a>,
    pub(crate) saved_path: Option<AbsolutePath<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(crate) struct ExtensionSleep<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) duration_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ExtensionSearch<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) query: Str<'a>,
    pub(crate) action: Option<CamelAction<'a>>,
    pub(crate) results: Option<List<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ImageGeneration<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) status: Str<'a>,
    pub(crate) revised_prompt: Option<Str<'a>>,
    pub(crate) result: Str<'a>,
    pub(crate) saved_path: Option<AbsolutePath<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct EnteredReviewMode<'a> {
    pub(crate) id: Text<'a>,
    target: ReviewTarget<'a>,
    pub(crate) user_facing_hint: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ExitedReviewMode<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) review_output: Option<ReviewOutput<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct FileChangeItem<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) changes: Changes<'a>,
    pub(crate) status: Option<EndStatus>,
    auto_approved: Option<bool>,
    stdout: Option<Str<'a>>,
    stderr: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(crate) struct McpToolCall<'a> {
    pub(crate) id: Text<'a>,
    pub(crate) server: Str<'a>,
    pub(crate) tool: Str<'a>,
    pub(crate) arguments: Any<'a>,
    pub(crate) connector_id: Option<Str<'a>>,
    pub(crate) mcp_app_resource_uri: Option<Str<'a>>,
    pub(crate) link_id: Option<Str<'a>>,
    pub(crate) app_name: Option<Str<'a>>,
    pub(crate) action_name: Option<Str<'a>>,
    pub(crate) plugin_id: Option<Str<'a>>,
    pub(crate) status: McpStatus,
    pub(crate) result: Option<ToolResult<'a>>,
    pub(crate) error: Option<McpError<'a>>,
    pub(crate) duration: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct McpError<'a> {
    pub(crate) message: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ContextCompaction<'a> {
    pub(crate) id: Text<'a>,
}
