//! Owns the way from canonical items to served ones, field by field (rules 10.3); it must not know
//! lines. Fields that are not read here are dropped on purpose.

use serde_json::{Value, json};

use crate::payload::items::shapes::{CallStatus, Exec, McpStatus, UserInput};
use crate::payload::items::turn_item::{
    AgentContent, AgentMessage, CollabAgentToolCall, CommandExecution, DynamicToolCall, Extension,
    HookPrompt, McpToolCall, TurnItem,
};
use crate::render::review;
use crate::render::served::{self, CollabCall, DynamicCall, McpApp, McpCall};

/// The served form of `item`, under `id`.
pub(crate) fn served(id: &str, item: &TurnItem<'_>) -> Value {
    match item {
        TurnItem::UserMessage(item) => {
            let content = item.content.iter().map(input).collect();
            served::user_message(id, item.client_id, content)
        }
        TurnItem::HookPrompt(item) => hook_prompt(id, item),
        TurnItem::AgentMessage(item) => agent_message(id, item),
        TurnItem::Plan(item) => json!({ "type": "plan", "id": id, "text": item.text.value() }),
        TurnItem::Reasoning(item) => served::reasoning(
            id,
            served::texts(&item.summary_text),
            served::texts(&item.raw_content),
        ),
        TurnItem::CommandExecution(item) => command_execution(id, item),
        TurnItem::DynamicToolCall(item) => dynamic_call(id, item),
        TurnItem::CollabAgentToolCall(item) => collab_call(id, item),
        TurnItem::SubAgentActivity(item) => {
            served::sub_agent_activity(id, item.kind, &item.agent_thread_id, &item.agent_path.0)
        }
        TurnItem::WebSearch(item) => {
            let action = served::search_action(&item.action);
            served::web_search(id, item.query.value(), Some(action), item.results)
        }
        TurnItem::ImageView(item) => served::image_view(id, item.path.text()),
        TurnItem::Extension(item) => extension(id, item),
        TurnItem::ImageGeneration(item) => served::image_generation(
            id,
            item.status.value(),
            item.revised_prompt,
            item.result.value(),
            item.saved_path.as_ref().map(|path| path.0.as_ref()),
        ),
        TurnItem::EnteredReviewMode(item) => {
            served::entered_review(id, item.user_facing_hint.value())
        }
        TurnItem::ExitedReviewMode(item) => {
            served::exited_review(id, review::text(item.review_output.as_ref()))
        }
        TurnItem::FileChange(item) => served::file_change(id, &item.changes, item.status),
        TurnItem::McpToolCall(item) => mcp_call(id, item),
        TurnItem::ContextCompaction(_) => served::context_compaction(id),
    }
}

fn input(input: &UserInput<'_>) -> Value {
    match input {
        UserInput::Text(part) => served::input_text(part.text.value(), &part.text_elements),
        UserInput::Image(part) => served::input_image(part.image_url.value(), part.detail),
        UserInput::LocalImage(part) => served::input_local_image(part.path.value(), part.detail),
        UserInput::Audio(part) => json!({ "type": "audio", "url": part.audio_url.value() }),
        UserInput::LocalAudio(part) => json!({ "type": "localAudio", "path": part.path.value() }),
        UserInput::Skill(part) => {
            json!({ "type": "skill", "name": part.name.value(), "path": part.path.value() })
        }
        UserInput::Mention(part) => {
            json!({ "type": "mention", "name": part.name.value(), "path": part.path.value() })
        }
    }
}

fn hook_prompt(id: &str, item: &HookPrompt<'_>) -> Value {
    let fragments = item.fragments.iter().map(|fragment| {
        json!({ "text": fragment.text.value(), "hookRunId": fragment.hook_run_id.value() })
    });
    json!({ "type": "hookPrompt", "id": id, "fragments": fragments.collect::<Vec<_>>() })
}

fn agent_message(id: &str, item: &AgentMessage<'_>) -> Value {
    let part = |AgentContent::Text(part): &AgentContent<'_>| part.text.text();
    let text: String = item.content.iter().map(part).collect();
    served::agent_message(id, json!(text), item.phase, item.memory_citation.as_ref())
}

fn command_execution(id: &str, item: &CommandExecution<'_>) -> Value {
    let exec = Exec {
        command: &item.command,
        cwd: &item.cwd,
        parsed_cmd: &item.parsed_cmd,
        source: item.source,
        process_id: item.process_id,
        plugin_id: item.plugin_id,
        script_path: item.script_path,
        status: item.status,
        aggregated_output: item.aggregated_output,
        exit_code: item.exit_code,
        duration_ms: item.duration.and_then(served::millis),
    };
    served::command_execution(id, &exec)
}

fn dynamic_call(id: &str, item: &DynamicToolCall<'_>) -> Value {
    served::dynamic_call(&DynamicCall {
        id,
        namespace: item.namespace,
        tool: item.tool,
        arguments: item.arguments,
        status: item.status,
        content_items: item.content_items.as_deref(),
        success: item.success,
        duration: item.duration,
    })
}

fn collab_call(id: &str, item: &CollabAgentToolCall<'_>) -> Value {
    served::collab_call(&CollabCall {
        id,
        tool: item.tool,
        status: item.status,
        sender: &item.sender_thread_id,
        receivers: item.receiver_thread_ids.iter().collect(),
        prompt: item.prompt,
        model: item.model,
        effort: item
            .reasoning_effort
            .as_ref()
            .map(|effort| effort.0.as_ref()),
        states: served::state_list(&item.agents_states),
    })
}

fn extension(id: &str, item: &Extension<'_>) -> Value {
    match item {
        Extension::Image(item) => served::image_generation(
            id,
            item.status.value(),
            item.revised_prompt,
            item.result.value(),
            item.saved_path.as_ref().map(|path| path.0.as_ref()),
        ),
        Extension::Sleep(item) => {
            json!({ "type": "sleep", "id": id, "durationMs": item.duration_ms })
        }
        Extension::Search(item) => {
            let action = item.action.as_ref().map(served::camel_action);
            served::web_search(id, item.query.value(), action, item.results)
        }
    }
}

fn mcp_call(id: &str, item: &McpToolCall<'_>) -> Value {
    let status = match item.status {
        McpStatus::InProgress => CallStatus::InProgress,
        McpStatus::Completed => CallStatus::Completed,
        McpStatus::Failed => CallStatus::Failed,
    };
    served::mcp_call(&McpCall {
        id,
        server: item.server,
        tool: item.tool,
        status,
        arguments: Some(item.arguments),
        app: McpApp {
            connector_id: item.connector_id,
            link_id: item.link_id,
            resource_uri: item.mcp_app_resource_uri,
            app_name: item.app_name,
            action_name: item.action_name,
        },
        plugin_id: item.plugin_id,
        result: item.result.as_ref(),
        error: item.error.as_ref().map(|error| error.message),
        duration: item.duration,
    })
}
