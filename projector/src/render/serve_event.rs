//! Owns the way from legacy events to served items (rules 11.2); it must not know the replay.
//! A begin shows the call in progress, an end its result.

use serde_json::{Value, json};

use crate::payload::items::events::{
    AssessedAction, Assessment, DynamicRequest, DynamicResponse, Event, ExecBegin, ExecEnd,
    McpBegin, McpEnd, UserMessage, Verdict,
};
use crate::payload::items::shapes::{CallStatus, CommandStatus, EndStatus, Exec};
use crate::render::commands;
use crate::render::review;
use crate::render::serve_collab;
use crate::render::serve_item;
use crate::render::served::{self, DynamicCall, McpApp, McpCall};

/// Shown when a review began without a hint.
const REVIEW_REQUESTED: &str = "Review requested.";

/// The served item of an event, under `id`; `None` for events that make none.
pub(crate) fn served(id: &str, event: &Event<'_>) -> Option<Value> {
    Some(match event {
        Event::UserMessage(event) => user_message(id, event),
        Event::AgentMessage(event) => served::agent_message(
            id,
            event.message.value(),
            event.phase,
            event.memory_citation.as_ref(),
        ),
        Event::Reasoning(event) => served::reasoning(id, json!([event.text.value()]), json!([])),
        Event::RawReasoning(event) => served::reasoning(id, json!([]), json!([event.text.value()])),
        Event::ContextCompacted => served::context_compaction(id),
        Event::SearchBegin(_) => served::web_search(id, json!(""), None, None),
        Event::SearchEnd(event) => {
            let action = served::search_action(&event.action);
            served::web_search(id, event.query.value(), Some(action), event.results)
        }
        Event::ExecBegin(event) => exec_begin(id, event),
        Event::ExecEnd(event) => exec_end(id, event),
        Event::Assessment(event) => return assessment(id, event),
        Event::PatchRequest(event) => served::file_change(id, &event.changes, None),
        Event::PatchBegin(event) => served::file_change(id, &event.changes, None),
        Event::PatchEnd(event) => served::file_change(id, &event.changes, Some(event.status)),
        Event::DynamicRequest(event) => dynamic_request(id, event),
        Event::DynamicResponse(event) => dynamic_response(id, event),
        Event::McpBegin(event) => mcp_begin(id, event),
        Event::McpEnd(event) => mcp_end(id, event),
        Event::ViewImage(event) => served::image_view(id, event.path.text()),
        Event::ImageBegin(_) => served::image_generation(id, json!(""), None, json!(""), None),
        Event::ImageEnd(event) => served::image_generation(
            id,
            event.status.value(),
            event.revised_prompt,
            event.result.value(),
            event.saved_path.as_ref().map(|path| path.0.as_ref()),
        ),
        Event::Collab(event) => serve_collab::served(id, event),
        Event::Activity(event) => {
            served::sub_agent_activity(id, event.kind, &event.agent_thread_id, &event.agent_path.0)
        }
        Event::EnteredReview(event) => {
            let hint = event.user_facing_hint.map(|hint| hint.value());
            served::entered_review(id, hint.unwrap_or_else(|| json!(REVIEW_REQUESTED)))
        }
        Event::ExitedReview(event) => {
            served::exited_review(id, review::text(event.review_output.as_ref()))
        }
        Event::ItemStarted(event) => serve_item::served(id, &event.item),
        Event::ItemCompleted(event) => serve_item::served(id, &event.item),
        Event::Error(_) => return None,
    })
}

/// Text first, then images by URL, then images by path.
fn user_message(id: &str, event: &UserMessage<'_>) -> Value {
    let mut content = Vec::new();
    if !event.message.0.trim().is_empty() {
        content.push(served::input_text(
            json!(event.message.0),
            &event.text_elements,
        ));
    }
    for (at, image) in event.images.iter().flatten().enumerate() {
        let detail = event.image_details.get(at).copied().flatten();
        content.push(served::input_image(image.value(), detail));
    }
    for (at, image) in event.local_images.iter().enumerate() {
        let detail = event.local_image_details.get(at).copied().flatten();
        content.push(served::input_local_image(image.value(), detail));
    }
    served::user_message(id, event.client_id, content)
}

fn exec_begin(id: &str, event: &ExecBegin<'_>) -> Value {
    let exec = Exec {
        command: &event.command,
        cwd: &event.cwd,
        parsed_cmd: &event.parsed_cmd,
        source: event.source,
        process_id: event.process_id,
        plugin_id: None,
        script_path: None,
        status: CommandStatus::InProgress,
        aggregated_output: None,
        exit_code: None,
        duration_ms: None,
    };
    served::command_execution(id, &exec)
}

fn exec_end(id: &str, event: &ExecEnd<'_>) -> Value {
    let status = match event.status {
        EndStatus::Completed => CommandStatus::Completed,
        EndStatus::Failed => CommandStatus::Failed,
        EndStatus::Declined => CommandStatus::Declined,
    };
    let exec = Exec {
        command: &event.command,
        cwd: &event.cwd,
        parsed_cmd: &event.parsed_cmd,
        source: event.source,
        process_id: event.process_id,
        plugin_id: None,
        script_path: None,
        status,
        aggregated_output: event.aggregated_output,
        exit_code: Some(event.exit_code),
        duration_ms: served::millis(event.duration),
    };
    served::command_execution(id, &exec)
}

fn assessment(id: &str, event: &Assessment<'_>) -> Option<Value> {
    event.target_item_id.as_ref()?;
    let status = match event.status {
        Verdict::InProgress => "inProgress",
        Verdict::Denied | Verdict::Aborted => "declined",
        Verdict::TimedOut => "failed",
        Verdict::Approved => return None,
    };
    let (line, cwd) = match &event.action {
        AssessedAction::Command(action) => (action.command.text(), &action.cwd),
        AssessedAction::Execve(action) => {
            // The program that ran stands in for the name it was given.
            let argv = std::iter::once(&action.program).chain(action.argv.iter().skip(1));
            (commands::line(argv), &action.cwd)
        }
        _ => return None,
    };
    Some(served::assessed_command(id, &line, cwd.text(), status))
}

fn dynamic_request(id: &str, event: &DynamicRequest<'_>) -> Value {
    served::dynamic_call(&DynamicCall {
        id,
        namespace: event.namespace,
        tool: event.tool,
        arguments: event.arguments,
        status: CallStatus::InProgress,
        content_items: None,
        success: None,
        duration: None,
    })
}

fn dynamic_response(id: &str, event: &DynamicResponse<'_>) -> Value {
    served::dynamic_call(&DynamicCall {
        id,
        namespace: event.namespace,
        tool: event.tool,
        arguments: event.arguments,
        status: CallStatus::ended(event.success),
        content_items: Some(&event.content_items),
        success: Some(event.success),
        duration: Some(event.duration),
    })
}

fn mcp_begin(id: &str, event: &McpBegin<'_>) -> Value {
    served::mcp_call(&McpCall {
        id,
        server: event.invocation.server,
        tool: event.invocation.tool,
        status: CallStatus::InProgress,
        arguments: event.invocation.arguments,
        app: McpApp {
            connector_id: event.connector_id,
            link_id: event.link_id,
            resource_uri: event.mcp_app_resource_uri,
            app_name: event.app_name,
            action_name: event.action_name,
        },
        plugin_id: event.plugin_id,
        result: None,
        error: None,
        duration: None,
    })
}

fn mcp_end(id: &str, event: &McpEnd<'_>) -> Value {
    let (result, error) = match &event.result {
        Ok(result) => (Some(result), None),
        Err(message) => (None, Some(*message)),
    };
    let is_success = result.is_some_and(|result| result.is_error != Some(true));
    served::mcp_call(&McpCall {
        id,
        server: event.invocation.server,
        tool: event.invocation.tool,
        status: CallStatus::ended(is_success),
        arguments: event.invocation.arguments,
        app: McpApp {
            connector_id: event.connector_id,
            link_id: event.link_id,
            resource_uri: event.mcp_app_resource_uri,
            app_name: event.app_name,
            action_name: event.action_name,
        },
        plugin_id: event.plugin_id,
        result,
        error,
        duration: Some(event.duration),
    })
}
