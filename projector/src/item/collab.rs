//! Owns the legacy events about calls to other agents, as they are written; it must not know how
//! they are served or replayed.

use serde::Deserialize;

use super::shapes::{AgentStates, AgentStatus};
use super::wire::{Effort, Str, Text, ThreadId};
use crate::one_tag;

/// A call to other agents begins or ends.
#[derive(Debug)]
pub(super) enum CollabEvent<'a> {
    SpawnBegin(SpawnBegin<'a>),
    SpawnEnd(SpawnEnd<'a>),
    InteractionBegin(InteractionBegin<'a>),
    InteractionEnd(InteractionEnd<'a>),
    WaitingBegin(WaitingBegin<'a>),
    WaitingEnd(WaitingEnd<'a>),
    CloseBegin(AgentBegin<'a>),
    CloseEnd(AgentEnd<'a>),
    ResumeBegin(AgentBegin<'a>),
    ResumeEnd(AgentEnd<'a>),
}

/// Decodes an event by its type; `None` when that type is not about other agents.
pub(super) fn collab_event<'a>(
    event_type: &str,
    text: &'a str,
) -> Option<Result<CollabEvent<'a>, serde_json::Error>> {
    macro_rules! read {
        ($variant:ident) => {
            one_tag::from_str(text).map(CollabEvent::$variant)
        };
    }
    Some(match event_type {
        "collab_agent_spawn_begin" => read!(SpawnBegin),
        "collab_agent_spawn_end" => read!(SpawnEnd),
        "collab_agent_interaction_begin" => read!(InteractionBegin),
        "collab_agent_interaction_end" => read!(InteractionEnd),
        "collab_waiting_begin" => read!(WaitingBegin),
        "collab_waiting_end" => read!(WaitingEnd),
        "collab_close_begin" => read!(CloseBegin),
        "collab_close_end" => read!(CloseEnd),
        "collab_resume_begin" => read!(ResumeBegin),
        "collab_resume_end" => read!(ResumeEnd),
        _ => return None,
    })
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct SpawnBegin<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) sender_thread_id: ThreadId<'a>,
    pub(super) prompt: Str<'a>,
    pub(super) model: Str<'a>,
    pub(super) reasoning_effort: Effort<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct SpawnEnd<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) sender_thread_id: ThreadId<'a>,
    pub(super) new_thread_id: Option<ThreadId<'a>>,
    pub(super) prompt: Str<'a>,
    pub(super) model: Str<'a>,
    pub(super) reasoning_effort: Effort<'a>,
    pub(super) status: AgentStatus<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct InteractionBegin<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) sender_thread_id: ThreadId<'a>,
    pub(super) receiver_thread_id: ThreadId<'a>,
    pub(super) prompt: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct InteractionEnd<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) sender_thread_id: ThreadId<'a>,
    pub(super) receiver_thread_id: ThreadId<'a>,
    pub(super) prompt: Str<'a>,
    pub(super) status: AgentStatus<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct WaitingBegin<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) sender_thread_id: ThreadId<'a>,
    pub(super) receiver_thread_ids: Vec<ThreadId<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct WaitingEnd<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) sender_thread_id: ThreadId<'a>,
    pub(super) statuses: AgentStates<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct AgentBegin<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) sender_thread_id: ThreadId<'a>,
    pub(super) receiver_thread_id: ThreadId<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct AgentEnd<'a> {
    pub(super) call_id: Text<'a>,
    pub(super) sender_thread_id: ThreadId<'a>,
    pub(super) receiver_thread_id: ThreadId<'a>,
    pub(super) status: AgentStatus<'a>,
}
