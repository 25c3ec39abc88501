//! Owns the parts that several payloads share, as they are written; it must not know how they are
//! served.

use serde::Deserialize;

use super::paths::Place;
use super::wire::{Any, Empty, Entries, List, Str, Text, ThreadId, tagged};

/// State of a call. Each kind of item uses a subset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CommandStatus {
    InProgress,
    Completed,
    Failed,
    Declined,
}

/// State of an exec or patch that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EndStatus {
    Completed,
    Failed,
    Declined,
}

/// State of a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CallStatus {
    InProgress,
    Completed,
    Failed,
}

impl CallStatus {
    /// Status of a call that ended.
    pub(super) fn ended(is_success: bool) -> CallStatus {
        match is_success {
            true => CallStatus::Completed,
            false => CallStatus::Failed,
        }
    }
}

/// State of an MCP call, which alone is written in camel case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum McpStatus {
    InProgress,
    Completed,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MessagePhase {
    Commentary,
    PartialAnswer,
    FinalAnswer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExecSource {
    #[default]
    Agent,
    UserShell,
    UnifiedExecStartup,
    UnifiedExecInteraction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ActivityKind {
    Started,
    Interacted,
    Interrupted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ImageDetail {
    Auto,
    Low,
    High,
    Original,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct ByteRange {
    pub(super) start: u64,
    pub(super) end: u64,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct TextElement<'a> {
    pub(super) byte_range: ByteRange,
    pub(super) placeholder: Option<Str<'a>>,
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
pub(super) struct InputText<'a> {
    pub(super) text: Str<'a>,
    #[serde(default)]
    pub(super) text_elements: Vec<TextElement<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct InputImage<'a> {
    pub(super) image_url: Str<'a>,
    pub(super) detail: Option<ImageDetail>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct InputLocalImage<'a> {
    pub(super) path: Str<'a>,
    pub(super) detail: Option<ImageDetail>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct InputAudio<'a> {
    pub(super) audio_url: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct InputLocalAudio<'a> {
    pub(super) path: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct InputName<'a> {
    pub(super) name: Str<'a>,
    pub(super) path: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(super) struct MemoryCitation<'a> {
    pub(super) entries: Vec<CitationEntry<'a>>,
    pub(super) rollout_ids: Vec<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(super) struct CitationEntry<'a> {
    pub(super) path: Str<'a>,
    pub(super) line_start: u32,
    pub(super) line_end: u32,
    pub(super) note: Str<'a>,
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
pub(super) struct ReadCommand<'a> {
    pub(super) cmd: Str<'a>,
    pub(super) name: Str<'a>,
    pub(super) path: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ListCommand<'a> {
    pub(super) cmd: Str<'a>,
    pub(super) path: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct SearchCommand<'a> {
    pub(super) cmd: Str<'a>,
    pub(super) query: Option<Str<'a>>,
    pub(super) path: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct UnknownCommand<'a> {
    pub(super) cmd: Str<'a>,
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
pub(super) struct FileContent<'a> {
    pub(super) content: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct FileUpdate<'a> {
    pub(super) unified_diff: Str<'a>,
    pub(super) move_path: Option<Str<'a>>,
}

/// Changes by path.
pub(super) type Changes<'a> = Entries<Text<'a>, FileChange<'a>>;

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
pub(super) struct SearchQueries<'a> {
    pub(super) query: Option<Str<'a>>,
    pub(super) queries: Option<Vec<Str<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct SearchPage<'a> {
    pub(super) url: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct SearchPattern<'a> {
    pub(super) url: Option<Str<'a>>,
    pub(super) pattern: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "snake_case")]
pub(super) enum AgentStatus<'a> {
    PendingInit,
    Running,
    Interrupted,
    Completed(Option<Str<'a>>),
    Errored(Str<'a>),
    Shutdown,
    NotFound,
}

/// States of agents by thread.
pub(super) type AgentStates<'a> = Entries<ThreadId<'a>, AgentStatus<'a>>;

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
pub(super) struct TargetBranch<'a> {
    branch: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct TargetCommit<'a> {
    sha: Str<'a>,
    title: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct TargetCustom<'a> {
    instructions: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct ReviewOutput<'a> {
    pub(super) findings: Vec<Finding<'a>>,
    overall_correctness: Str<'a>,
    pub(super) overall_explanation: Str<'a>,
    overall_confidence_score: f32,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[expect(dead_code, reason = "declared for acceptance only")]
pub(super) struct Finding<'a> {
    pub(super) title: Str<'a>,
    pub(super) body: Str<'a>,
    confidence_score: f32,
    priority: i32,
    pub(super) code_location: CodeLocation<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct CodeLocation<'a> {
    pub(super) absolute_file_path: Str<'a>,
    pub(super) line_range: LineRange,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct LineRange {
    pub(super) start: u32,
    pub(super) end: u32,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(super) struct ToolResult<'a> {
    pub(super) content: List<'a>,
    pub(super) structured_content: Option<Any<'a>>,
    pub(super) is_error: Option<bool>,
    #[serde(rename = "_meta")]
    pub(super) meta: Option<Any<'a>>,
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
pub(super) struct ToolText<'a> {
    pub(super) text: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(super) struct ToolImage<'a> {
    pub(super) image_url: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(super) struct ToolAudio<'a> {
    pub(super) audio_url: Str<'a>,
}

/// The command of an exec, which items and events describe alike.
#[derive(Debug)]
pub(super) struct Exec<'a> {
    pub(super) command: &'a [Str<'a>],
    pub(super) cwd: &'a Place,
    pub(super) parsed_cmd: &'a [ParsedCommand<'a>],
    pub(super) source: ExecSource,
    pub(super) process_id: Option<Str<'a>>,
    pub(super) plugin_id: Option<Str<'a>>,
    pub(super) script_path: Option<Str<'a>>,
    pub(super) status: CommandStatus,
    pub(super) aggregated_output: Option<Str<'a>>,
    pub(super) exit_code: Option<i32>,
    pub(super) duration_ms: Option<i64>,
}
