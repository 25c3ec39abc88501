//! Owns the shapes of served items (rules 10.1): one builder for each item that several payloads
//! make. It must not know those payloads.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::payload::items::hook;
use crate::payload::items::shapes::{
    ActivityKind, AgentStates, AgentStatus, CallStatus, CamelAction, Changes, CommandStatus,
    EndStatus, Exec, ExecSource, FileChange, ImageDetail, MemoryCitation, MessagePhase,
    SearchAction, SearchPage, SearchPattern, SearchQueries, TextElement, ToolContent, ToolResult,
};
use crate::payload::items::turn_item::CollabTool;
use crate::payload::json::wire::{Any, List, Str, ThreadId};
use crate::render::commands;

/// A text that may be missing; served as null.
pub(crate) fn or_null(text: Option<Str<'_>>) -> Value {
    text.map_or(Value::Null, |text| text.value())
}

fn any_or_null(value: Option<Any<'_>>) -> Value {
    value.map_or(Value::Null, |value| value.value())
}

/// The item of a user message that is nothing but hook prompts.
pub(crate) fn hook_prompt(item_id: &str, payload: &RawValue) -> Option<Value> {
    let (_, fragments) = hook::hook_prompt(payload)?;
    let fragments: Vec<Value> = fragments
        .iter()
        .map(|(run, text)| json!({ "text": text, "hookRunId": run }))
        .collect();
    Some(json!({ "type": "hookPrompt", "id": item_id, "fragments": fragments }))
}

/// Whole milliseconds; `None` when they do not fit.
pub(crate) fn millis(duration: Duration) -> Option<i64> {
    i64::try_from(duration.as_millis()).ok()
}

pub(crate) fn user_message(id: &str, client_id: Option<Str<'_>>, content: Vec<Value>) -> Value {
    json!({
        "type": "userMessage",
        "id": id,
        "clientId": or_null(client_id),
        "content": content,
    })
}

pub(crate) fn input_text(text: Value, elements: &[TextElement<'_>]) -> Value {
    let elements = elements.iter().map(|element| {
        let range = element.byte_range;
        json!({
            "byteRange": { "start": range.start, "end": range.end },
            "placeholder": or_null(element.placeholder),
        })
    });
    json!({ "type": "text", "text": text, "text_elements": elements.collect::<Vec<_>>() })
}

pub(crate) fn input_image(url: Value, detail: Option<ImageDetail>) -> Value {
    json!({ "type": "image", "detail": detail.map(image_detail), "url": url })
}

pub(crate) fn input_local_image(path: Value, detail: Option<ImageDetail>) -> Value {
    json!({ "type": "localImage", "detail": detail.map(image_detail), "path": path })
}

fn image_detail(detail: ImageDetail) -> &'static str {
    match detail {
        ImageDetail::Auto => "auto",
        ImageDetail::Low => "low",
        ImageDetail::High => "high",
        ImageDetail::Original => "original",
    }
}

pub(crate) fn agent_message(
    id: &str,
    text: Value,
    phase: Option<MessagePhase>,
    citation: Option<&MemoryCitation<'_>>,
) -> Value {
    let phase = phase.map(|phase| match phase {
        MessagePhase::Commentary => "commentary",
        MessagePhase::PartialAnswer => "partial_answer",
        MessagePhase::FinalAnswer => "final_answer",
    });
    json!({
        "type": "agentMessage",
        "id": id,
        "text": text,
        "phase": phase,
        "memoryCitation": citation.map(memory_citation),
    })
}

fn memory_citation(citation: &MemoryCitation<'_>) -> Value {
    let entries = citation.entries.iter().map(|entry| {
        json!({
            "path": entry.path.value(),
            "lineStart": entry.line_start,
            "lineEnd": entry.line_end,
            "note": entry.note.value(),
        })
    });
    let entries: Vec<Value> = entries.collect();
    json!({ "entries": entries, "threadIds": texts(&citation.rollout_ids) })
}

pub(crate) fn texts(texts: &[Str<'_>]) -> Value {
    texts.iter().map(Str::value).collect()
}

pub(crate) fn reasoning(id: &str, summary: Value, content: Value) -> Value {
    json!({ "type": "reasoning", "id": id, "summary": summary, "content": content })
}

pub(crate) fn command_execution(id: &str, exec: &Exec<'_>) -> Value {
    let output = exec.aggregated_output.filter(|output| !output.is_empty());
    let source = match exec.source {
        ExecSource::Agent => "agent",
        ExecSource::UserShell => "userShell",
        ExecSource::UnifiedExecStartup => "unifiedExecStartup",
        ExecSource::UnifiedExecInteraction => "unifiedExecInteraction",
    };
    let mut item = json!({
        "type": "commandExecution",
        "id": id,
        "command": commands::line(exec.command),
        "cwd": exec.cwd.text(),
        "processId": or_null(exec.process_id),
        "source": source,
        "status": command_status(exec.status),
        "commandActions": commands::actions(exec.parsed_cmd, exec.cwd),
        "aggregatedOutput": or_null(output),
        "exitCode": exec.exit_code,
        "durationMs": exec.duration_ms,
    });
    // Only newer records say where a command came from.
    for (key, text) in [
        ("pluginId", exec.plugin_id),
        ("scriptPath", exec.script_path),
    ] {
        if let Some(text) = text {
            item[key] = text.value();
        }
    }
    item
}

fn command_status(status: CommandStatus) -> &'static str {
    match status {
        CommandStatus::InProgress => "inProgress",
        CommandStatus::Completed => "completed",
        CommandStatus::Failed => "failed",
        CommandStatus::Declined => "declined",
    }
}

/// A command that was only assessed: it has a line, but no argv and no result.
pub(crate) fn assessed_command(id: &str, line: &str, cwd: &str, status: &str) -> Value {
    json!({
        "type": "commandExecution",
        "id": id,
        "command": line,
        "cwd": cwd,
        "processId": null,
        "source": "agent",
        "status": status,
        "commandActions": commands::unknown_action(line),
        "aggregatedOutput": null,
        "exitCode": null,
        "durationMs": null,
    })
}

/// Files in the order of their paths; of a repeated path the last change counts.
pub(crate) fn file_change(id: &str, changes: &Changes<'_>, status: Option<EndStatus>) -> Value {
    let by_path: BTreeMap<&str, &FileChange<'_>> = changes
        .0
        .iter()
        .map(|(path, change)| (path.0.as_ref(), change))
        .collect();
    let changes = by_path.into_iter().map(|(path, change)| {
        let (kind, diff) = change_kind(change);
        json!({ "path": path, "kind": kind, "diff": diff })
    });
    let changes: Vec<Value> = changes.collect();
    let status = match status {
        None => "inProgress",
        Some(EndStatus::Completed) => "completed",
        Some(EndStatus::Failed) => "failed",
        Some(EndStatus::Declined) => "declined",
    };
    json!({ "type": "fileChange", "id": id, "changes": changes, "status": status })
}

fn change_kind(change: &FileChange<'_>) -> (Value, Value) {
    match change {
        FileChange::Add(file) => (json!({ "type": "add" }), file.content.value()),
        FileChange::Delete(file) => (json!({ "type": "delete" }), file.content.value()),
        FileChange::Update(update) => {
            let mut diff = update.unified_diff.text();
            if let Some(path) = update.move_path {
                diff.push_str("\n\nMoved to: ");
                diff.push_str(&path.text());
            }
            (
                json!({ "type": "update", "move_path": or_null(update.move_path) }),
                json!(diff),
            )
        }
    }
}

/// What an MCP call is served from.
pub(crate) struct McpCall<'a> {
    pub(crate) id: &'a str,
    pub(crate) server: Str<'a>,
    pub(crate) tool: Str<'a>,
    pub(crate) status: CallStatus,
    pub(crate) arguments: Option<Any<'a>>,
    pub(crate) app: McpApp<'a>,
    pub(crate) plugin_id: Option<Str<'a>>,
    pub(crate) result: Option<&'a ToolResult<'a>>,
    pub(crate) error: Option<Str<'a>>,
    pub(crate) duration: Option<Duration>,
}

/// The app behind an MCP call; served only with a connector.
pub(crate) struct McpApp<'a> {
    pub(crate) connector_id: Option<Str<'a>>,
    pub(crate) link_id: Option<Str<'a>>,
    pub(crate) resource_uri: Option<Str<'a>>,
    pub(crate) app_name: Option<Str<'a>>,
    pub(crate) action_name: Option<Str<'a>>,
}

pub(crate) fn mcp_call(call: &McpCall<'_>) -> Value {
    let app = &call.app;
    let context = app.connector_id.map(|connector_id| {
        json!({
            "connectorId": connector_id.value(),
            "linkId": or_null(app.link_id),
            "resourceUri": or_null(app.resource_uri),
            "appName": or_null(app.app_name),
            "actionName": or_null(app.action_name),
        })
    });
    let result = call.result.map(|result| {
        json!({
            "content": result.content.value(),
            "structuredContent": any_or_null(result.structured_content),
            "_meta": any_or_null(result.meta),
        })
    });
    let mut item = json!({
        "type": "mcpToolCall",
        "id": call.id,
        "server": call.server.value(),
        "tool": call.tool.value(),
        "status": call_status(call.status),
        "arguments": any_or_null(call.arguments),
        "appContext": context,
        "pluginId": or_null(call.plugin_id),
        "result": result,
        "error": call.error.map(|message| json!({ "message": message.value() })),
        "durationMs": call.duration.and_then(millis),
    });
    if let Some(uri) = app.resource_uri {
        item["mcpAppResourceUri"] = uri.value();
    }
    item
}

fn call_status(status: CallStatus) -> &'static str {
    match status {
        CallStatus::InProgress => "inProgress",
        CallStatus::Completed => "completed",
        CallStatus::Failed => "failed",
    }
}

/// What a dynamic tool call is served from.
pub(crate) struct DynamicCall<'a> {
    pub(crate) id: &'a str,
    pub(crate) namespace: Option<Str<'a>>,
    pub(crate) tool: Str<'a>,
    pub(crate) arguments: Any<'a>,
    pub(crate) status: CallStatus,
    pub(crate) content_items: Option<&'a [ToolContent<'a>]>,
    pub(crate) success: Option<bool>,
    pub(crate) duration: Option<Duration>,
}

pub(crate) fn dynamic_call(call: &DynamicCall<'_>) -> Value {
    let content = |content: &ToolContent<'_>| match content {
        ToolContent::Text(part) => json!({ "type": "inputText", "text": part.text.value() }),
        ToolContent::Image(part) => {
            json!({ "type": "inputImage", "imageUrl": part.image_url.value() })
        }
        ToolContent::Audio(part) => {
            json!({ "type": "inputAudio", "audioUrl": part.audio_url.value() })
        }
    };
    let content_items: Option<Vec<Value>> = call
        .content_items
        .map(|items| items.iter().map(content).collect());
    json!({
        "type": "dynamicToolCall",
        "id": call.id,
        "namespace": or_null(call.namespace),
        "tool": call.tool.value(),
        "arguments": call.arguments.value(),
        "status": call_status(call.status),
        "contentItems": content_items,
        "success": call.success,
        "durationMs": call.duration.and_then(millis),
    })
}

/// What a call to another agent is served from.
pub(crate) struct CollabCall<'a> {
    pub(crate) id: &'a str,
    pub(crate) tool: CollabTool,
    pub(crate) status: CallStatus,
    pub(crate) sender: &'a ThreadId<'a>,
    pub(crate) receivers: Vec<&'a ThreadId<'a>>,
    pub(crate) prompt: Option<Str<'a>>,
    pub(crate) model: Option<Str<'a>>,
    pub(crate) effort: Option<&'a str>,
    pub(crate) states: Vec<(&'a ThreadId<'a>, &'a AgentStatus<'a>)>,
}

pub(crate) fn collab_call(call: &CollabCall<'_>) -> Value {
    let tool = match call.tool {
        CollabTool::SpawnAgent => "spawnAgent",
        CollabTool::SendInput => "sendInput",
        CollabTool::ResumeAgent => "resumeAgent",
        CollabTool::Wait => "wait",
        CollabTool::CloseAgent => "closeAgent",
    };
    let receivers: Vec<&str> = call.receivers.iter().map(|id| id.0.as_ref()).collect();
    let states = call
        .states
        .iter()
        .map(|(id, status)| (id.0.to_string(), agent_state(status)));
    json!({
        "type": "collabAgentToolCall",
        "id": call.id,
        "tool": tool,
        "status": call_status(call.status),
        "senderThreadId": call.sender.0,
        "receiverThreadIds": receivers,
        "prompt": or_null(call.prompt),
        "model": or_null(call.model),
        "reasoningEffort": call.effort,
        "agentsStates": Value::Object(states.collect()),
    })
}

/// The states of a payload as [`CollabCall`] takes them.
pub(crate) fn state_list<'a>(
    states: &'a AgentStates<'a>,
) -> Vec<(&'a ThreadId<'a>, &'a AgentStatus<'a>)> {
    states.0.iter().map(|(id, status)| (id, status)).collect()
}

fn agent_state(status: &AgentStatus<'_>) -> Value {
    let (status, message) = match status {
        AgentStatus::PendingInit => ("pendingInit", None),
        AgentStatus::Running => ("running", None),
        AgentStatus::Interrupted => ("interrupted", None),
        AgentStatus::Completed(message) => ("completed", *message),
        AgentStatus::Errored(message) => ("errored", Some(*message)),
        AgentStatus::Shutdown => ("shutdown", None),
        AgentStatus::NotFound => ("notFound", None),
    };
    json!({ "status": status, "message": or_null(message) })
}

pub(crate) fn sub_agent_activity(
    id: &str,
    kind: ActivityKind,
    thread: &ThreadId<'_>,
    path: &str,
) -> Value {
    let kind = match kind {
        ActivityKind::Started => "started",
        ActivityKind::Interacted => "interacted",
        ActivityKind::Interrupted => "interrupted",
    };
    json!({
        "type": "subAgentActivity",
        "id": id,
        "kind": kind,
        "agentThreadId": thread.0,
        "agentPath": path,
    })
}

pub(crate) fn web_search(
    id: &str,
    query: Value,
    action: Option<Value>,
    results: Option<List<'_>>,
) -> Value {
    json!({
        "type": "webSearch",
        "id": id,
        "query": query,
        "action": action,
        "results": results.map(|results| results.value()),
    })
}

pub(crate) fn search_action(action: &SearchAction<'_>) -> Value {
    match action {
        SearchAction::Search(body) => search_queries(body),
        SearchAction::OpenPage(body) => search_page(body),
        SearchAction::FindInPage(body) => search_pattern(body),
        SearchAction::Other => json!({ "type": "other" }),
    }
}

pub(crate) fn camel_action(action: &CamelAction<'_>) -> Value {
    match action {
        CamelAction::Search(body) => search_queries(body),
        CamelAction::OpenPage(body) => search_page(body),
        CamelAction::FindInPage(body) => search_pattern(body),
        CamelAction::Other => json!({ "type": "other" }),
    }
}

fn search_queries(body: &SearchQueries<'_>) -> Value {
    let queries = body.queries.as_deref().map(texts);
    json!({ "type": "search", "query": or_null(body.query), "queries": queries })
}

fn search_page(body: &SearchPage<'_>) -> Value {
    json!({ "type": "openPage", "url": or_null(body.url) })
}

fn search_pattern(body: &SearchPattern<'_>) -> Value {
    json!({
        "type": "findInPage",
        "url": or_null(body.url),
        "pattern": or_null(body.pattern),
    })
}

pub(crate) fn image_view(id: &str, path: &str) -> Value {
    json!({ "type": "imageView", "id": id, "path": path })
}

pub(crate) fn image_generation(
    id: &str,
    status: Value,
    revised_prompt: Option<Str<'_>>,
    result: Value,
    saved_path: Option<&str>,
) -> Value {
    let mut item = json!({
        "type": "imageGeneration",
        "id": id,
        "status": status,
        "revisedPrompt": or_null(revised_prompt),
        "result": result,
    });
    if let Some(path) = saved_path {
        item["savedPath"] = json!(path);
    }
    item
}

pub(crate) fn entered_review(id: &str, review: Value) -> Value {
    json!({ "type": "enteredReviewMode", "id": id, "review": review })
}

pub(crate) fn exited_review(id: &str, review: String) -> Value {
    json!({ "type": "exitedReviewMode", "id": id, "review": review })
}

pub(crate) fn context_compaction(id: &str) -> Value {
    json!({ "type": "contextCompaction", "id": id })
}
