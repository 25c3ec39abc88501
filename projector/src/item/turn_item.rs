//! Owns the canonical items as they are written in `item_started` and `item_completed`; it must
//! not know how they are served.

use std::time::Duration;

use serde::Deserialize;

use super::paths::Place;
use super::shapes::{
    ActivityKind, AgentStates, CallStatus, CamelAction, Changes, CommandStatus, EndStatus,
    ExecSource, McpStatus, MemoryCitation, MessagePhase, ParsedCommand, ReviewOutput, ReviewTarget,
    SearchAction, ToolContent, ToolResult, UserInput,
};
use super::wire::{AbsolutePath, AgentPath, Any, Effort, List, Str, Text, ThreadId, tagged};

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
pub(super) struct UserMessage<'a> {
    pub(super) id: Text<'a>,
    pub(super) client_id: Option<Str<'a>>,
    pub(super) content: Vec<UserInput<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct HookPrompt<'a> {
    pub(super) id: Text<'a>,
    pub(super) fragments: Vec<HookFragment<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(super) struct HookFragment<'a> {
    pub(super) text: Str<'a>,
    pub(super) hook_run_id: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct AgentMessage<'a> {
    pub(super) id: Text<'a>,
    pub(super) content: Vec<AgentContent<'a>>,
    pub(super) phase: Option<MessagePhase>,
    pub(super) memory_citation: Option<MemoryCitation<'a>>,
}

tagged!(
    /// One part of an agent message.
    AgentContent by "type" {
        "Text" => Text(AgentText<'a>),
    }
);

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct AgentText<'a> {
    pub(super) text: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Plan<'a> {
    pub(super) id: Text<'a>,
    pub(super) text: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Reasoning<'a> {
    pub(super) id: Text<'a>,
    pub(super) summary_text: Vec<Str<'a>>,
    #[serde(default)]
    pub(super) raw_content: Vec<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct CommandExecution<'a> {
    pub(super) id: Text<'a>,
    pub(super) process_id: Option<Str<'a>>,
    pub(super) command: Vec<Str<'a>>,
    pub(super) cwd: Place,
    pub(super) parsed_cmd: Vec<ParsedCommand<'a>>,
    pub(super) source: ExecSource,
    pub(super) plugin_id: Option<Str<'a>>,
    pub(super) script_path: Option<Str<'a>>,
    interaction_input: Option<Str<'a>>,
    pub(super) status: CommandStatus,
    stdout: Option<Str<'a>>,
    stderr: Option<Str<'a>>,
    pub(super) aggregated_output: Option<Str<'a>>,
    pub(super) exit_code: Option<i32>,
    pub(super) duration: Option<Duration>,
    formatted_output: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct DynamicToolCall<'a> {
    pub(super) id: Text<'a>,
    pub(super) namespace: Option<Str<'a>>,
    pub(super) tool: Str<'a>,
    pub(super) arguments: Any<'a>,
    pub(super) status: CallStatus,
    pub(super) content_items: Option<Vec<ToolContent<'a>>>,
    pub(super) success: Option<bool>,
    error: Option<Str<'a>>,
    pub(super) duration: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CollabTool {
    SpawnAgent,
    SendInput,
    ResumeAgent,
    Wait,
    CloseAgent,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct CollabAgentToolCall<'a> {
    pub(super) id: Text<'a>,
    pub(super) tool: CollabTool,
    pub(super) status: CallStatus,
    pub(super) sender_thread_id: ThreadId<'a>,
    #[serde(default)]
    pub(super) receiver_thread_ids: Vec<ThreadId<'a>>,
    #[serde(default)]
    receiver_agents: Vec<AgentRef<'a>>,
    pub(super) prompt: Option<Str<'a>>,
    pub(super) model: Option<Str<'a>>,
    pub(super) reasoning_effort: Option<Effort<'a>>,
    #[serde(default)]
    pub(super) agents_states: AgentStates<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct AgentRef<'a> {
    thread_id: ThreadId<'a>,
    agent_nickname: Option<Str<'a>>,
    #[serde(alias = "agent_type")]
    agent_role: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct SubAgentActivity<'a> {
    pub(super) id: Text<'a>,
    pub(super) kind: ActivityKind,
    pub(super) agent_thread_id: ThreadId<'a>,
    pub(super) agent_path: AgentPath<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct WebSearch<'a> {
    pub(super) id: Text<'a>,
    pub(super) query: Str<'a>,
    pub(super) action: SearchAction<'a>,
    pub(super) results: Option<List<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ImageView<'a> {
    pub(super) id: Text<'a>,
    pub(super) path: Place,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(super) struct ExtensionImage<'a> {
    pub(super) id: Text<'a>,
    pub(super) status: Str<'a>,
    pub(super) revised_prompt: Option<Str<'a>>,
    pub(super) result: Str<'a>,
    pub(super) saved_path: Option<AbsolutePath<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(super) struct ExtensionSleep<'a> {
    pub(super) id: Text<'a>,
    pub(super) duration_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ExtensionSearch<'a> {
    pub(super) id: Text<'a>,
    pub(super) query: Str<'a>,
    pub(super) action: Option<CamelAction<'a>>,
    pub(super) results: Option<List<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ImageGeneration<'a> {
    pub(super) id: Text<'a>,
    pub(super) status: Str<'a>,
    pub(super) revised_prompt: Option<Str<'a>>,
    pub(super) result: Str<'a>,
    pub(super) saved_path: Option<AbsolutePath<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct EnteredReviewMode<'a> {
    pub(super) id: Text<'a>,
    target: ReviewTarget<'a>,
    pub(super) user_facing_hint: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ExitedReviewMode<'a> {
    pub(super) id: Text<'a>,
    pub(super) review_output: Option<ReviewOutput<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct FileChangeItem<'a> {
    pub(super) id: Text<'a>,
    pub(super) changes: Changes<'a>,
    pub(super) status: Option<EndStatus>,
    auto_approved: Option<bool>,
    stdout: Option<Str<'a>>,
    stderr: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(super) struct McpToolCall<'a> {
    pub(super) id: Text<'a>,
    pub(super) server: Str<'a>,
    pub(super) tool: Str<'a>,
    pub(super) arguments: Any<'a>,
    pub(super) connector_id: Option<Str<'a>>,
    pub(super) mcp_app_resource_uri: Option<Str<'a>>,
    pub(super) link_id: Option<Str<'a>>,
    pub(super) app_name: Option<Str<'a>>,
    pub(super) action_name: Option<Str<'a>>,
    pub(super) plugin_id: Option<Str<'a>>,
    pub(super) status: McpStatus,
    pub(super) result: Option<ToolResult<'a>>,
    pub(super) error: Option<McpError<'a>>,
    pub(super) duration: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct McpError<'a> {
    pub(super) message: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ContextCompaction<'a> {
    pub(super) id: Text<'a>,
}
