//! Owns the parts that several payloads share, as they are written; it must not know how they are
//! served.

use serde::Deserialize;

use crate::payload::json::paths::Place;
use crate::payload::json::wire::{Any, Empty, Entries, List, Str, Text, ThreadId, tagged};

/// State of a call. Each kind of item uses a subset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CommandStatus {
    InProgress,
    Completed,
    Failed,
    Declined,
}

/// State of an exec or patch that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndStatus {
    Completed,
    Failed,
    Declined,
}

/// State of a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallStatus {
    InProgress,
    Completed,
    Failed,
}

impl CallStatus {
    /// Status of a call that ended.
    pub(crate) fn ended(is_success: bool) -> CallStatus {
        match is_success {
            true => CallStatus::Completed,
            false => CallStatus::Failed,
        }
    }
}

/// State of an MCP call, which alone is written in camel case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum McpStatus {
    InProgress,
    Completed,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessagePhase {
    Commentary,
    PartialAnswer,
    FinalAnswer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExecSource {
    #[default]
    Agent,
    UserShell,
    UnifiedExecStartup,
    UnifiedExecInteraction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ActivityKind {
    Started,
    Interacted,
    Interrupted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ImageDetail {
    Auto,
    Low,
    High,
    Original,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct ByteRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct TextElement<'a> {
    pub(crate) byte_range: ByteRange,
    pub(crate) placeholder: Option<Str<'a>>,
}

tagged!(
    /// One part of what a user sent.
    UserInput by "type" {
        "text" => Text(InputText<'a>),
        "image" => Image(InputImage<'a>),
        "local_image" => LocalImage(InputLocalImage<'a>),
        "audio" => Audio(InputAudio<'a>),
        "local_audio" => LocalAudio(InputLocalAudio<'a>),
        "skill" => Skill(InputName<'a>),
        "mention" => Mention(InputName<'a>),
    }
);

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct InputText<'a> {
    pub(crate) text: Str<'a>,
    #[serde(default)]
    pub(crate) text_elements: Vec<TextElement<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct InputImage<'a> {
    pub(crate) image_url: Str<'a>,
    pub(crate) detail: Option<ImageDetail>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct InputLocalImage<'a> {
    pub(crate) path: Str<'a>,
    pub(crate) detail: Option<ImageDetail>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct InputAudio<'a> {
    pub(crate) audio_url: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct InputLocalAudio<'a> {
    pub(crate) path: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct InputName<'a> {
    pub(crate) name: Str<'a>,
    pub(crate) path: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(crate) struct MemoryCitation<'a> {
    pub(crate) entries: Vec<CitationEntry<'a>>,
    pub(crate) rollout_ids: Vec<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(crate) struct CitationEntry<'a> {
    pub(crate) path: Str<'a>,
    pub(crate) line_start: u32,
    pub(crate) line_end: u32,
    pub(crate) note: Str<'a>,
}

tagged!(
    /// What a command was recognised to do.
    ParsedCommand by "type" {
        "read" => Read(ReadCommand<'a>),
        "list_files" => ListFiles(ListCommand<'a>),
        "search" => Search(SearchCommand<'a>),
        "unknown" => Unknown(UnknownCommand<'a>),
    }
);

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ReadCommand<'a> {
    pub(crate) cmd: Str<'a>,
    pub(crate) name: Str<'a>,
    pub(crate) path: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ListCommand<'a> {
    pub(crate) cmd: Str<'a>,
    pub(crate) path: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct SearchCommand<'a> {
    pub(crate) cmd: Str<'a>,
    pub(crate) query: Option<Str<'a>>,
    pub(crate) path: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct UnknownCommand<'a> {
    pub(crate) cmd: Str<'a>,
}

tagged!(
    /// What a patch does to one file.
    FileChange by "type" {
        "add" => Add(FileContent<'a>),
        "delete" => Delete(FileContent<'a>),
        "update" => Update(FileUpdate<'a>),
    }
);

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct FileContent<'a> {
    pub(crate) content: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct FileUpdate<'a> {
    pub(crate) unified_diff: Str<'a>,
    pub(crate) move_path: Option<Str<'a>>,
}

/// Changes by path.
pub(crate) type Changes<'a> = Entries<Text<'a>, FileChange<'a>>;

tagged!(
    /// What a web search did; unknown actions count as `other`.
    SearchAction by "type" {
        "search" => Search(SearchQueries<'a>),
        "open_page" => OpenPage(SearchPage<'a>),
        "find_in_page" => FindInPage(SearchPattern<'a>),
    } else Other
);

tagged!(
    /// The same in the spelling of the `web.search` extension.
    CamelAction by "type" {
        "search" => Search(SearchQueries<'a>),
        "openPage" => OpenPage(SearchPage<'a>),
        "findInPage" => FindInPage(SearchPattern<'a>),
    } else Other
);

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct SearchQueries<'a> {
    pub(crate) query: Option<Str<'a>>,
    pub(crate) queries: Option<Vec<Str<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct SearchPage<'a> {
    pub(crate) url: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct SearchPattern<'a> {
    pub(crate) url: Option<Str<'a>>,
    pub(crate) pattern: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "snake_case")]
pub(crate) enum AgentStatus<'a> {
    PendingInit,
    Running,
    Interrupted,
    Completed(Option<Str<'a>>),
    Errored(Str<'a>),
    Shutdown,
    NotFound,
}

/// States of agents by thread.
pub(crate) type AgentStates<'a> = Entries<ThreadId<'a>, AgentStatus<'a>>;

tagged!(
    /// What a review looks at; never served.
    ReviewTarget by "type" {
        "uncommittedChanges" => UncommittedChanges(Empty),
        "baseBranch" => BaseBranch(TargetBranch<'a>),
        "commit" => Commit(TargetCommit<'a>),
        "custom" => Custom(TargetCustom<'a>),
    }
);

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct TargetBranch<'a> {
    branch: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct TargetCommit<'a> {
    sha: Str<'a>,
    title: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct TargetCustom<'a> {
    instructions: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct ReviewOutput<'a> {
    pub(crate) findings: Vec<Finding<'a>>,
    overall_correctness: Str<'a>,
    pub(crate) overall_explanation: Str<'a>,
    overall_confidence_score: f32,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(crate) struct Finding<'a> {
    pub(crate) title: Str<'a>,
    pub(crate) body: Str<'a>,
    confidence_score: f32,
    priority: i32,
    pub(crate) code_location: CodeLocation<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct CodeLocation<'a> {
    pub(crate) absolute_file_path: Str<'a>,
    pub(crate) line_range: LineRange,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct LineRange {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(crate) struct ToolResult<'a> {
    pub(crate) content: List<'a>,
    pub(crate) structured_content: Option<Any<'a>>,
    pub(crate) is_error: Option<bool>,
    #[serde(rename = "_meta")]
    pub(crate) meta: Option<Any<'a>>,
}

tagged!(
    /// One part of what a dynamic tool returned.
    ToolContent by "type" {
        "inputText" => Text(ToolText<'a>),
        "inputImage" => Image(ToolImage<'a>),
        "inputAudio" => Audio(ToolAudio<'a>),
    }
);

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ToolText<'a> {
    pub(crate) text: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(crate) struct ToolImage<'a> {
    pub(crate) image_url: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(crate) struct ToolAudio<'a> {
    pub(crate) audio_url: Str<'a>,
}

/// The command of an exec, which items and events describe alike.
#[derive(Debug)]
pub(crate) struct Exec<'a> {
    pub(crate) command: &'a [Str<'a>],
    pub(crate) cwd: &'a Place,
    pub(crate) parsed_cmd: &'a [ParsedCommand<'a>],
    pub(crate) source: ExecSource,
    pub(crate) process_id: Option<Str<'a>>,
    pub(crate) plugin_id: Option<Str<'a>>,
    pub(crate) script_path: Option<Str<'a>>,
    pub(crate) status: CommandStatus,
    pub(crate) aggregated_output: Option<Str<'a>>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) duration_ms: Option<i64>,
}
