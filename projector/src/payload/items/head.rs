//! Owns what a fold reads of a canonical item; it must not know how the item is served.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::payload::Rejected;
use crate::payload::items::shapes::{MessagePhase, UserInput};
use crate::payload::items::turn_item::{Extension, TurnItem};
use crate::payload::json::scan;
use crate::payload::json::wire::Text;
use crate::payload::short::{cut_text, short_text};
use crate::rows::{ItemKind, Phase};

/// Marks where the request itself begins in a text that an editor put together.
const REQUEST_MARKER: &str = "## My request for Codex:";

/// What the fold needs of the item inside `item_started` and `item_completed`.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
pub struct ItemHead<'a> {
    /// The item's id, unique within its turn; may be empty.
    pub id: Cow<'a, str>,
    /// Which served item it becomes.
    pub kind: ItemKind,
    /// Phase, for agent messages.
    pub phase: Option<Phase>,
    /// What the user wrote, for user messages.
    pub user: Option<UserText<'a>>,
    /// What a legacy replay does with it.
    pub legacy: LegacyUse,
}

/// What a legacy replay does with an item event (rules 11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub enum LegacyUse {
    /// Nothing: a legacy event covers it, or it is a plan without text.
    Ignored,
    /// Upsert into the turn that the event names; dropped when no turn has that id.
    Upsert,
    /// As `Upsert`, but a turn id that no turn has opens a new non-explicit turn.
    Review,
}

/// What a user wrote, from which the thread's preview and title are taken (rules 16).
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
pub struct UserText<'a> {
    /// The request itself: what follows the request marker, else everything; trimmed, not empty,
    /// cut after [`crate::payload::TEXT_BYTES_MAX`].
    pub title: Option<Cow<'a, str>>,
    /// Whether images (by URL or by path) came with it.
    pub has_images: bool,
}

impl<'a> UserText<'a> {
    /// Of all text parts, joined without a separator, untrimmed.
    #[must_use]
    pub fn new(text: Cow<'a, str>, has_images: bool) -> UserText<'a> {
        let title = match text {
            Cow::Borrowed(text) => Cow::Borrowed(request(text)),
            Cow::Owned(text) => Cow::Owned(short_text(request(&text)).to_owned()),
        };
        UserText {
            title: Some(cut_text(title)).filter(|title| !title.is_empty()),
            has_images,
        }
    }

    /// The title, or `[Image]` for images without text.
    #[must_use]
    pub fn preview(&self) -> Option<&str> {
        let image = self.has_images.then_some("[Image]");
        self.title.as_deref().or(image)
    }
}

/// What a served `userMessage` asks, as lists show it, the same for a turn as for its thread: the
/// request without what a client put before it, or `[Image]` for images without text. `None` for
/// neither, and for other items.
#[must_use]
pub fn user_title(item: &Value) -> Option<String> {
    if item["type"] != "userMessage" {
        return None;
    }
    let (mut text, mut has_images) = (String::new(), false);
    for part in item["content"].as_array()? {
        match part["type"].as_str() {
            Some("text") => text.push_str(part["text"].as_str().unwrap_or_default()),
            Some("image" | "localImage") => has_images = true,
            _ => {}
        }
    }
    let user = UserText::new(Cow::Owned(text), has_images);
    user.preview().map(str::to_owned)
}

fn request(text: &str) -> &str {
    match text.split_once(REQUEST_MARKER) {
        Some((_, request)) => request.trim(),
        None => text.trim(),
    }
}

/// Decodes the `item` of an `item_started` or `item_completed` payload.
///
/// # Errors
///
/// Says why the reference would reject the line.
pub fn turn_item_head(item: &RawValue) -> Result<ItemHead<'_>, Rejected> {
    scan::check_strings(item.get())?;
    let item = serde_json::from_str(item.get()).map_err(|error| Rejected::from_json(&error))?;
    Ok(head(item))
}

/// The head of a decoded item.
pub(crate) fn head(item: TurnItem<'_>) -> ItemHead<'_> {
    let legacy = legacy_use(&item);
    let phase = match &item {
        TurnItem::AgentMessage(message) => message.phase.map(phase),
        _ => None,
    };
    let user = match &item {
        TurnItem::UserMessage(message) => Some(user_text(&message.content)),
        _ => None,
    };
    let (kind, Text(id)) = identity(item);
    ItemHead {
        id,
        kind,
        phase,
        user,
        legacy,
    }
}

/// The served phase.
pub(crate) fn phase(phase: MessagePhase) -> Phase {
    match phase {
        MessagePhase::Commentary => Phase::Commentary,
        MessagePhase::PartialAnswer => Phase::PartialAnswer,
        MessagePhase::FinalAnswer => Phase::FinalAnswer,
    }
}

fn legacy_use(item: &TurnItem<'_>) -> LegacyUse {
    match item {
        TurnItem::Plan(plan) if plan.text.is_empty() => LegacyUse::Ignored,
        TurnItem::Plan(_)
        | TurnItem::HookPrompt(_)
        | TurnItem::CommandExecution(_)
        | TurnItem::DynamicToolCall(_)
        | TurnItem::CollabAgentToolCall(_)
        | TurnItem::SubAgentActivity(_)
        | TurnItem::Extension(_) => LegacyUse::Upsert,
        TurnItem::EnteredReviewMode(_) | TurnItem::ExitedReviewMode(_) => LegacyUse::Review,
        TurnItem::UserMessage(_)
        | TurnItem::AgentMessage(_)
        | TurnItem::Reasoning(_)
        | TurnItem::WebSearch(_)
        | TurnItem::ImageView(_)
        | TurnItem::ImageGeneration(_)
        | TurnItem::FileChange(_)
        | TurnItem::McpToolCall(_)
        | TurnItem::ContextCompaction(_) => LegacyUse::Ignored,
    }
}

fn identity(item: TurnItem<'_>) -> (ItemKind, Text<'_>) {
    match item {
        TurnItem::UserMessage(item) => (ItemKind::UserMessage, item.id),
        TurnItem::HookPrompt(item) => (ItemKind::HookPrompt, item.id),
        TurnItem::AgentMessage(item) => (ItemKind::AgentMessage, item.id),
        TurnItem::Plan(item) => (ItemKind::Plan, item.id),
        TurnItem::Reasoning(item) => (ItemKind::Reasoning, item.id),
        TurnItem::CommandExecution(item) => (ItemKind::CommandExecution, item.id),
        TurnItem::DynamicToolCall(item) => (ItemKind::DynamicToolCall, item.id),
        TurnItem::CollabAgentToolCall(item) => (ItemKind::CollabAgentToolCall, item.id),
        TurnItem::SubAgentActivity(item) => (ItemKind::SubAgentActivity, item.id),
        TurnItem::WebSearch(item) => (ItemKind::WebSearch, item.id),
        TurnItem::ImageView(item) => (ItemKind::ImageView, item.id),
        TurnItem::Extension(Extension::Image(item)) => (ItemKind::ImageGeneration, item.id),
        TurnItem::Extension(Extension::Sleep(item)) => (ItemKind::Sleep, item.id),
        TurnItem::Extension(Extension::Search(item)) => (ItemKind::WebSearch, item.id),
        TurnItem::ImageGeneration(item) => (ItemKind::ImageGeneration, item.id),
        TurnItem::EnteredReviewMode(item) => (ItemKind::EnteredReviewMode, item.id),
        TurnItem::ExitedReviewMode(item) => (ItemKind::ExitedReviewMode, item.id),
        TurnItem::FileChange(item) => (ItemKind::FileChange, item.id),
        TurnItem::McpToolCall(item) => (ItemKind::McpToolCall, item.id),
        TurnItem::ContextCompaction(item) => (ItemKind::ContextCompaction, item.id),
    }
}

fn user_text<'a>(content: &[UserInput<'a>]) -> UserText<'a> {
    let mut text = Cow::Borrowed("");
    let mut has_images = false;
    for input in content {
        match input {
            UserInput::Text(part) if text.is_empty() => text = part.text.decoded(),
            UserInput::Text(part) => text.to_mut().push_str(&part.text.decoded()),
            UserInput::Image(_) | UserInput::LocalImage(_) => has_images = true,
            _ => {}
        }
    }
    UserText::new(text, has_images)
}
