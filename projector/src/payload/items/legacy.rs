//! Owns what a legacy replay reads of an event; it must not know the state of the replay.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::payload::ItemHead;
use crate::payload::Rejected;
use crate::payload::UserText;
use crate::payload::items::collab::CollabEvent;
use crate::payload::items::error::ErrorInfo;
use crate::payload::items::events::{
    AssessedAction, Assessment, Event, UserMessage, Verdict, event,
};
use crate::payload::items::head;
use crate::payload::items::turn_item::{Extension, TurnItem};
use crate::payload::json::scan;
use crate::payload::json::wire::{Text, split_fields};
use crate::rows::{ItemKind, ItemTimes, Phase};

/// What a legacy replay (rules 11.2) needs of one event that concerns items.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
pub enum LegacyHead<'a> {
    /// `user_message`: pushes an item with the next number.
    UserMessage {
        /// What the user wrote.
        user: UserText<'a>,
    },
    /// `agent_message`: pushes an item with the next number unless `is_empty`.
    AgentMessage {
        /// Its phase.
        phase: Option<Phase>,
        /// Without text: no item, no number, no turn.
        is_empty: bool,
    },
    /// `agent_reasoning`, `agent_reasoning_raw_content`: joins a reasoning item that is last in the
    /// current turn, else pushes one with the next number; nothing if `is_empty`.
    Reasoning {
        /// Without text: no effect.
        is_empty: bool,
    },
    /// `context_compacted`: pushes an item with the next number.
    ContextCompacted,
    /// A tool event: upserts the item `id` in the turn that `turn` names.
    Upsert {
        /// The item's id (call, event or target id).
        id: Cow<'a, str>,
        /// What it is.
        kind: ItemKind,
        /// Where it goes.
        turn: InTurn<'a>,
        /// Whether it is a begin (or any state still in progress by its kind of event).
        is_begin: bool,
    },
    /// `entered_review_mode`, `exited_review_mode`.
    Review {
        /// `EnteredReviewMode` or `ExitedReviewMode`.
        kind: ItemKind,
        /// The turn to find or open; `None`: the current one.
        turn_id: Option<Cow<'a, str>>,
        /// `None`: the next number.
        item_id: Option<Cow<'a, str>>,
    },
    /// `item_started`, `item_completed`; `item.legacy` says what to do with it.
    Item {
        /// The turn that the event names.
        turn_id: Cow<'a, str>,
        /// The item.
        item: ItemHead<'a>,
        /// Whether it is `item_started`.
        is_begin: bool,
        /// When it began and ended, as an `item_completed` says.
        times: ItemTimes,
    },
    /// `error`: fails the current turn if `affects_turn`.
    Error {
        /// False for errors about a refused request.
        affects_turn: bool,
    },
    /// An item event of a known type that makes no item (approved or targetless assessments).
    NoItem,
}

/// Which turn a legacy event upserts into.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
pub enum InTurn<'a> {
    /// The current turn, opened when there is none.
    Current,
    /// The current turn if it has this id, else the first finished one; dropped without a match.
    ById(Cow<'a, str>),
}

/// A hook prompt found in a `response_item`.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
pub struct HookPromptHead<'a> {
    /// The message's id; without one the fold makes an id up.
    pub id: Option<Cow<'a, str>>,
}

/// Decodes the payload of an event; `Ok(None)` when events of that type do not concern items.
///
/// # Errors
///
/// Says why the reference would reject the line.
pub fn legacy_head<'a>(
    event_type: &str,
    payload: &'a RawValue,
) -> Result<Option<LegacyHead<'a>>, Rejected> {
    let Some(event) = event(event_type, payload) else {
        return Ok(None);
    };
    scan::check_strings(payload.get())?;
    let event = event.map_err(|error| Rejected::from_json(&error))?;
    Ok(Some(event_head(event)))
}

/// Whether an event that does not decode brings an item of a kind that is not known.
pub(crate) fn is_of_unknown_kind(event_type: &str, payload: &RawValue) -> bool {
    let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
    let kind = || -> Option<(String, Option<String>)> {
        let [item] = split_fields(payload, ["item"])?;
        let [kind, extension] = split_fields(item?, ["type", "kind"])?;
        Some((text(kind?)?, extension.and_then(text)))
    };
    if !matches!(event_type, "item_started" | "item_completed") {
        return false;
    }
    match kind() {
        Some((kind, Some(extension))) if kind == "Extension" => {
            !Extension::TAGS.contains(&extension.as_str())
        }
        Some((kind, _)) => !TurnItem::TAGS.contains(&kind.as_str()),
        None => false,
    }
}

fn event_head(event: Event<'_>) -> LegacyHead<'_> {
    use ItemKind as Kind;
    match event {
        Event::UserMessage(event) => user_message(*event),
        Event::AgentMessage(event) => LegacyHead::AgentMessage {
            phase: event.phase.map(head::phase),
            is_empty: event.message.is_empty(),
        },
        Event::Reasoning(event) | Event::RawReasoning(event) => LegacyHead::Reasoning {
            is_empty: event.text.is_empty(),
        },
        Event::ContextCompacted => LegacyHead::ContextCompacted,
        Event::SearchBegin(event) => begin(Kind::WebSearch, event.call_id),
        Event::SearchEnd(event) => end(Kind::WebSearch, event.call_id),
        Event::ExecBegin(event) => exec(event.call_id, event.turn_id, true),
        Event::ExecEnd(event) => exec(event.call_id, event.turn_id, false),
        Event::Assessment(event) => assessment(*event),
        Event::PatchRequest(event) => patch(event.call_id, event.turn_id, true),
        Event::PatchBegin(event) => patch(event.call_id, event.turn_id, true),
        Event::PatchEnd(event) => patch(event.call_id, event.turn_id, false),
        Event::DynamicRequest(event) => dynamic(event.call_id, event.turn_id, true),
        Event::DynamicResponse(event) => dynamic(event.call_id, event.turn_id, false),
        Event::McpBegin(event) => begin(Kind::McpToolCall, event.call_id),
        Event::McpEnd(event) => end(Kind::McpToolCall, event.call_id),
        Event::ViewImage(event) => end(Kind::ImageView, event.call_id),
        Event::ImageBegin(event) => begin(Kind::ImageGeneration, event.call_id),
        Event::ImageEnd(event) => end(Kind::ImageGeneration, event.call_id),
        Event::Collab(event) => collab(*event),
        Event::Activity(event) => end(Kind::SubAgentActivity, event.event_id),
        Event::EnteredReview(event) => {
            review(Kind::EnteredReviewMode, event.turn_id, event.item_id)
        }
        Event::ExitedReview(event) => review(Kind::ExitedReviewMode, event.turn_id, event.item_id),
        Event::ItemStarted(event) => item(event.turn_id, event.item, true, ItemTimes::default()),
        Event::ItemCompleted(event) => {
            let times = ItemTimes {
                started_at_ms: event.started_at_ms,
                completed_at_ms: Some(event.completed_at_ms).filter(|at| *at != 0),
            };
            item(event.turn_id, event.item, false, times)
        }
        Event::Error(event) => LegacyHead::Error {
            affects_turn: event.codex_error_info.is_none_or(ErrorInfo::affects_turn),
        },
    }
}

fn collab(event: CollabEvent<'_>) -> LegacyHead<'_> {
    let kind = ItemKind::CollabAgentToolCall;
    match event {
        CollabEvent::SpawnBegin(event) => begin(kind, event.call_id),
        CollabEvent::SpawnEnd(event) => end(kind, event.call_id),
        CollabEvent::InteractionBegin(event) => begin(kind, event.call_id),
        CollabEvent::InteractionEnd(event) => end(kind, event.call_id),
        CollabEvent::WaitingBegin(event) => begin(kind, event.call_id),
        CollabEvent::WaitingEnd(event) => end(kind, event.call_id),
        CollabEvent::CloseBegin(event) | CollabEvent::ResumeBegin(event) => {
            begin(kind, event.call_id)
        }
        CollabEvent::CloseEnd(event) | CollabEvent::ResumeEnd(event) => end(kind, event.call_id),
    }
}

fn user_message(event: UserMessage<'_>) -> LegacyHead<'_> {
    let has_urls = event.images.is_some_and(|images| !images.is_empty());
    let has_images = has_urls || !event.local_images.is_empty();
    LegacyHead::UserMessage {
        user: UserText::new(event.message.0, has_images),
    }
}

fn assessment(event: Assessment<'_>) -> LegacyHead<'_> {
    let is_command = matches!(
        event.action,
        AssessedAction::Command(_) | AssessedAction::Execve(_)
    );
    match event.target_item_id {
        Some(target) if is_command && event.status != Verdict::Approved => {
            let is_begin = event.status == Verdict::InProgress;
            let turn = by_id_or_current(event.turn_id);
            upsert(ItemKind::CommandExecution, target, turn, is_begin)
        }
        _ => LegacyHead::NoItem,
    }
}

fn begin(kind: ItemKind, id: Text<'_>) -> LegacyHead<'_> {
    upsert(kind, id, InTurn::Current, true)
}

fn end(kind: ItemKind, id: Text<'_>) -> LegacyHead<'_> {
    upsert(kind, id, InTurn::Current, false)
}

fn upsert<'a>(
    kind: ItemKind,
    Text(id): Text<'a>,
    turn: InTurn<'a>,
    is_begin: bool,
) -> LegacyHead<'a> {
    LegacyHead::Upsert {
        id,
        kind,
        turn,
        is_begin,
    }
}

fn exec<'a>(id: Text<'a>, Text(turn_id): Text<'a>, is_begin: bool) -> LegacyHead<'a> {
    upsert(
        ItemKind::CommandExecution,
        id,
        InTurn::ById(turn_id),
        is_begin,
    )
}

fn patch<'a>(id: Text<'a>, turn_id: Text<'a>, is_begin: bool) -> LegacyHead<'a> {
    upsert(
        ItemKind::FileChange,
        id,
        by_id_or_current(turn_id),
        is_begin,
    )
}

fn dynamic<'a>(id: Text<'a>, turn_id: Text<'a>, is_begin: bool) -> LegacyHead<'a> {
    upsert(
        ItemKind::DynamicToolCall,
        id,
        by_id_or_current(turn_id),
        is_begin,
    )
}

fn by_id_or_current(Text(turn_id): Text<'_>) -> InTurn<'_> {
    match turn_id.is_empty() {
        true => InTurn::Current,
        false => InTurn::ById(turn_id),
    }
}

fn review<'a>(
    kind: ItemKind,
    turn_id: Option<Text<'a>>,
    item_id: Option<Text<'a>>,
) -> LegacyHead<'a> {
    let inner = |text: Option<Text<'a>>| text.map(|Text(text)| text);
    LegacyHead::Review {
        kind,
        turn_id: inner(turn_id),
        item_id: inner(item_id),
    }
}

fn item<'a>(
    Text(turn_id): Text<'a>,
    item: TurnItem<'a>,
    is_begin: bool,
    times: ItemTimes,
) -> LegacyHead<'a> {
    LegacyHead::Item {
        turn_id,
        item: head::head(item),
        is_begin,
        times,
    }
}
