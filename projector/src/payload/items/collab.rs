//! Owns the legacy events about calls to other agents, as they are written; it must not know how
//! they are served or replayed.

use serde::Deserialize;

use crate::payload::items::shapes::{AgentStates, AgentStatus};
use crate::payload::json::one_tag;
use crate::payload::json::wire::{Effort, Str, Text, ThreadId};

/// A call to other agents begins or ends.
#[derive(Debug)]
pub(crate) enum CollabEvent<'a> {
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
pub(crate) fn collab_event<'a>(
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
pub(crate) struct SpawnBegin<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) sender_thread_id: ThreadId<'a>,
    pub(crate) prompt: Str<'a>,
    pub(crate) model: Str<'a>,
    pub(crate) reasoning_effort: Effort<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct SpawnEnd<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) sender_thread_id: ThreadId<'a>,
    pub(crate) new_thread_id: Option<ThreadId<'a>>,
    pub(crate) prompt: Str<'a>,
    pub(crate) model: Str<'a>,
    pub(crate) reasoning_effort: Effort<'a>,
    pub(crate) status: AgentStatus<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct InteractionBegin<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) sender_thread_id: ThreadId<'a>,
    pub(crate) receiver_thread_id: ThreadId<'a>,
    pub(crate) prompt: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct InteractionEnd<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) sender_thread_id: ThreadId<'a>,
    pub(crate) receiver_thread_id: ThreadId<'a>,
    pub(crate) prompt: Str<'a>,
    pub(crate) status: AgentStatus<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct WaitingBegin<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) sender_thread_id: ThreadId<'a>,
    pub(crate) receiver_thread_ids: Vec<ThreadId<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct WaitingEnd<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) sender_thread_id: ThreadId<'a>,
    pub(crate) statuses: AgentStates<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct AgentBegin<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) sender_thread_id: ThreadId<'a>,
    pub(crate) receiver_thread_id: ThreadId<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct AgentEnd<'a> {
    pub(crate) call_id: Text<'a>,
    pub(crate) sender_thread_id: ThreadId<'a>,
    pub(crate) receiver_thread_id: ThreadId<'a>,
    pub(crate) status: AgentStatus<'a>,
}
