//! Owns the served form of legacy calls to other agents (rules 11.2); it must not know the replay.

use serde_json::Value;

use crate::payload::items::collab::{
    AgentBegin, AgentEnd, CollabEvent, InteractionBegin, InteractionEnd, SpawnBegin, SpawnEnd,
    WaitingBegin, WaitingEnd,
};
use crate::payload::items::shapes::{AgentStatus, CallStatus};
use crate::payload::items::turn_item::CollabTool;
use crate::payload::json::wire::ThreadId;
use crate::render::served::{self, CollabCall};

/// The served item of an event, under `id`.
pub(crate) fn served(id: &str, event: &CollabEvent<'_>) -> Value {
    match event {
        CollabEvent::SpawnBegin(event) => spawn_begin(id, event),
        CollabEvent::SpawnEnd(event) => spawn_end(id, event),
        CollabEvent::InteractionBegin(event) => interaction_begin(id, event),
        CollabEvent::InteractionEnd(event) => interaction_end(id, event),
        CollabEvent::WaitingBegin(event) => waiting_begin(id, event),
        CollabEvent::WaitingEnd(event) => waiting_end(id, event),
        CollabEvent::CloseBegin(event) => agent_begin(id, CollabTool::CloseAgent, event),
        CollabEvent::CloseEnd(event) => agent_end(id, CollabTool::CloseAgent, event),
        CollabEvent::ResumeBegin(event) => agent_begin(id, CollabTool::ResumeAgent, event),
        CollabEvent::ResumeEnd(event) => agent_end(id, CollabTool::ResumeAgent, event),
    }
}

fn agent_failed(status: &AgentStatus<'_>) -> bool {
    matches!(status, AgentStatus::Errored(_) | AgentStatus::NotFound)
}

/// A call to other agents that has neither prompt nor result.
fn bare_call<'a>(id: &'a str, tool: CollabTool, sender: &'a ThreadId<'a>) -> CollabCall<'a> {
    CollabCall {
        id,
        tool,
        status: CallStatus::InProgress,
        sender,
        receivers: Vec::new(),
        prompt: None,
        model: None,
        effort: None,
        states: Vec::new(),
    }
}

fn spawn_begin(id: &str, event: &SpawnBegin<'_>) -> Value {
    served::collab_call(&CollabCall {
        prompt: Some(event.prompt),
        model: Some(event.model),
        effort: Some(&event.reasoning_effort.0),
        ..bare_call(id, CollabTool::SpawnAgent, &event.sender_thread_id)
    })
}

fn spawn_end(id: &str, event: &SpawnEnd<'_>) -> Value {
    let agent = event.new_thread_id.as_ref();
    served::collab_call(&CollabCall {
        status: CallStatus::ended(agent.is_some() && !agent_failed(&event.status)),
        receivers: agent.into_iter().collect(),
        prompt: Some(event.prompt),
        model: Some(event.model),
        effort: Some(&event.reasoning_effort.0),
        states: agent
            .map(|agent| (agent, &event.status))
            .into_iter()
            .collect(),
        ..bare_call(id, CollabTool::SpawnAgent, &event.sender_thread_id)
    })
}

fn interaction_begin(id: &str, event: &InteractionBegin<'_>) -> Value {
    served::collab_call(&CollabCall {
        receivers: vec![&event.receiver_thread_id],
        prompt: Some(event.prompt),
        ..bare_call(id, CollabTool::SendInput, &event.sender_thread_id)
    })
}

fn interaction_end(id: &str, event: &InteractionEnd<'_>) -> Value {
    served::collab_call(&CollabCall {
        status: CallStatus::ended(!agent_failed(&event.status)),
        receivers: vec![&event.receiver_thread_id],
        prompt: Some(event.prompt),
        states: vec![(&event.receiver_thread_id, &event.status)],
        ..bare_call(id, CollabTool::SendInput, &event.sender_thread_id)
    })
}

fn waiting_begin(id: &str, event: &WaitingBegin<'_>) -> Value {
    served::collab_call(&CollabCall {
        receivers: event.receiver_thread_ids.iter().collect(),
        ..bare_call(id, CollabTool::Wait, &event.sender_thread_id)
    })
}

fn waiting_end(id: &str, event: &WaitingEnd<'_>) -> Value {
    let states = served::state_list(&event.statuses);
    let mut receivers: Vec<_> = states.iter().map(|(agent, _)| *agent).collect();
    receivers.sort();
    receivers.dedup();
    served::collab_call(&CollabCall {
        status: CallStatus::ended(!states.iter().any(|(_, status)| agent_failed(status))),
        receivers,
        states,
        ..bare_call(id, CollabTool::Wait, &event.sender_thread_id)
    })
}

fn agent_begin(id: &str, tool: CollabTool, event: &AgentBegin<'_>) -> Value {
    served::collab_call(&CollabCall {
        receivers: vec![&event.receiver_thread_id],
        ..bare_call(id, tool, &event.sender_thread_id)
    })
}

fn agent_end(id: &str, tool: CollabTool, event: &AgentEnd<'_>) -> Value {
    served::collab_call(&CollabCall {
        status: CallStatus::ended(!agent_failed(&event.status)),
        receivers: vec![&event.receiver_thread_id],
        states: vec![(&event.receiver_thread_id, &event.status)],
        ..bare_call(id, tool, &event.sender_thread_id)
    })
}
