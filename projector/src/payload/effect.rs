//! Owns what one record means by itself; it must not know the state of a thread or its rows.

use std::borrow::Cow;
use std::fmt;

use crate::payload::{HookPromptHead, LegacyHead};

/// One decoded record.
#[derive(Debug, Clone, PartialEq, bincode::Encode, bincode::BorrowDecode)]
pub struct Decoded<'a> {
    /// The line's timestamp, Unix milliseconds; `None` when it cannot be read.
    pub timestamp_ms: Option<i64>,
    /// The ordinal that the line carries. Data, never our order.
    pub upstream_ordinal: Option<u64>,
    /// Whether the legacy persistence policy keeps such a record (the filtered view).
    pub kept: bool,
    /// Host family of an absolute path that only its own family of hosts reads.
    pub paths: Option<PathFamily>,
    /// Whether the reference refuses the line although it is accepted here: a bare path where a
    /// `file:` URI belongs. Such a record counts, but is not handed to the runtime's model.
    pub is_lenient: bool,
    /// Whether the record goes on with the line of the record before it, so that both are one line.
    /// Bytes do not tell that: whoever knows the record's flags says it.
    pub continues: bool,
    /// Of a line that is rejected because its kind is not known: what kind that is.
    pub unknown: Option<Cow<'a, str>>,
    /// What it does.
    pub effect: Effect<'a>,
}

impl<'a> Decoded<'a> {
    /// A record without envelope data.
    pub(crate) fn bare(effect: Effect<'a>) -> Decoded<'a> {
        Decoded {
            timestamp_ms: None,
            upstream_ordinal: None,
            kept: false,
            paths: None,
            is_lenient: false,
            continues: false,
            unknown: None,
            effect,
        }
    }

    /// Whether totals leave the record out, because it is no line of the thread's file by itself:
    /// it is our own, or goes on with a line that is counted already.
    #[must_use]
    pub fn is_uncounted(&self) -> bool {
        self.continues || matches!(self.effect, Effect::Metadata(_))
    }

    /// Whether the line is one that readers take: it counts as a record of the thread.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        !matches!(
            self.effect,
            Effect::Blank
                | Effect::Pending
                | Effect::Continued
                | Effect::Rejected(_)
                | Effect::BareHead(_)
                | Effect::IncompleteHead(..)
                | Effect::Metadata(_)
        )
    }
}

/// Which hosts write absolute paths like this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub enum PathFamily {
    /// Begins with `/`.
    Posix,
    /// Begins with a drive or with two separators.
    Windows,
}

impl PathFamily {
    /// The family of `path`; `None` when it is relative for every host.
    #[must_use]
    pub fn of(path: &str) -> Option<PathFamily> {
        match path.as_bytes() {
            [b'/', ..] => Some(PathFamily::Posix),
            [b'\\', b'\\', ..] => Some(PathFamily::Windows),
            [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic() => {
                Some(PathFamily::Windows)
            }
            _ => None,
        }
    }
}

/// What a head must have for the reference to take it, and may lack here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
#[allow(missing_docs)] // The names are those of the keys.
pub enum HeadField {
    /// `timestamp` of the line.
    LineTimestamp,
    Timestamp,
    Cwd,
    Originator,
    CliVersion,
}

impl HeadField {
    /// The field as people find it in the line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            HeadField::LineTimestamp => "timestamp of the line",
            HeadField::Timestamp => "payload.timestamp",
            HeadField::Cwd => "payload.cwd",
            HeadField::Originator => "payload.originator",
            HeadField::CliVersion => "payload.cli_version",
        }
    }
}

/// What is wrong with a head that the reference refuses, and that is taken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct HeadLack {
    /// Which field.
    pub field: HeadField,
    /// It is there, in another type.
    pub is_there: bool,
}

impl fmt::Display for HeadLack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.field.name();
        match self.is_there {
            true => write!(f, "a {name} that is no text"),
            false => write!(f, "no {name}"),
        }
    }
}

/// Why a line is not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub enum Rejection {
    /// Its bytes are not UTF-8.
    NotUtf8,
    /// It is not one JSON value, or escapes half of a surrogate pair.
    NotJson,
    /// Type or payload is missing or has another type.
    NoEnvelope,
    /// The type of the record is not known.
    UnknownType,
    /// The type of the event is not known.
    UnknownEvent,
    /// The type of the item that an event brings is not known.
    UnknownItem,
    /// The payload does not have the shape of its type.
    Payload,
    /// A `session_meta` that lacks this field, or has it in another type.
    HeadLacks(HeadLack),
    /// Over [`OPAQUE_BYTES`](super::OPAQUE_BYTES) and no compaction: kept, of which only the
    /// envelope is read.
    TooLarge,
    /// It has type and payload, and no timestamp.
    NoTimestamp,
    /// It has type and payload, and a timestamp that is no text, such as a number.
    TimestampType,
}

/// What one record does to a thread.
#[derive(Debug, Clone, PartialEq, bincode::Encode, bincode::BorrowDecode)]
pub enum Effect<'a> {
    /// Nothing but white space.
    Blank,
    /// Not a record; kept and counted.
    Rejected(Rejection),
    /// The line has not ended, and what is there is not a record yet.
    Pending,
    /// The line was complete before this record went on with it; what it adds has no meaning.
    Continued,
    /// A head line from before lines had envelopes.
    BareHead(BareHead<'a>),
    /// A `session_meta` that lacks a field: no record, but it says whose the file is.
    IncompleteHead(Box<SessionMeta<'a>>, HeadLack),
    /// Our own record: the user named the thread.
    Metadata(MetadataHead<'a>),
    /// An accepted record that changes nothing.
    Ignored,
    /// `session_meta`.
    SessionMeta(Box<SessionMeta<'a>>),
    /// `response_item`.
    Response(ResponseHead<'a>),
    /// `compacted`.
    Compacted(Compacted<'a>),
    /// `turn_context`.
    TurnContext(TurnContext<'a>),
    /// `inter_agent_communication`.
    InterAgent,
    /// `task_started`.
    TurnStarted {
        /// The turn.
        id: Cow<'a, str>,
        /// The turn that it was begun for.
        root: Option<Cow<'a, str>>,
        /// Unix seconds.
        started_at: Option<i64>,
    },
    /// `task_complete`.
    TurnCompleted {
        /// The turn.
        id: Cow<'a, str>,
        /// The turn that it was begun for.
        root: Option<Cow<'a, str>>,
        /// Whether the event says that the turn failed.
        has_error: bool,
        /// The event's times.
        times: TurnTimes,
    },
    /// `turn_aborted`.
    TurnAborted {
        /// The turn, when the event names one.
        id: Option<Cow<'a, str>>,
        /// The turn that it was begun for.
        root: Option<Cow<'a, str>>,
        /// The event's times.
        times: TurnTimes,
    },
    /// `thread_rolled_back` by so many turns.
    RolledBack(u32),
    /// `token_count`; `None` without info.
    TokenCount(Option<i64>),
    /// `thread_settings_applied`.
    Settings(Box<Settings<'a>>),
    /// `thread_goal_updated`: the objective, trimmed.
    Goal(Cow<'a, str>),
    /// An event about items.
    Item(LegacyHead<'a>),
}

/// Times of an event that ends a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub struct TurnTimes {
    /// Unix seconds.
    pub started_at: Option<i64>,
    /// Unix seconds.
    pub completed_at: Option<i64>,
    /// Milliseconds.
    pub duration_ms: Option<i64>,
}

/// What is read of the head of a file without envelopes.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
pub struct BareHead<'a> {
    /// The thread.
    pub id: Cow<'a, str>,
    /// When it began, Unix milliseconds.
    pub created_at_ms: Option<i64>,
}

/// What our own metadata record says.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
pub struct MetadataHead<'a> {
    /// The thread's new name; `Some("")` clears it.
    pub name: Option<Cow<'a, str>>,
    /// When it was given, Unix milliseconds: as stated, and not later than we learned of it.
    pub named_at_ms: i64,
    /// When it says that it was given. The clock that says so may be ahead of ours.
    pub stated_at_ms: i64,
}

/// What is read of a `session_meta`.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
#[allow(missing_docs)] // The names are those of the record's keys.
pub struct SessionMeta<'a> {
    pub id: Cow<'a, str>,
    pub session_id: Option<Cow<'a, str>>,
    pub forked_from: Option<Cow<'a, str>>,
    pub parent: Option<Cow<'a, str>>,
    /// Whether all these ids are such as the reference takes: UUIDs.
    pub has_thread_ids: bool,
    pub created_at_ms: Option<i64>,
    pub cwd: Cow<'a, str>,
    pub originator: Cow<'a, str>,
    pub cli_version: Cow<'a, str>,
    /// A bare name, or the JSON text of a structured source.
    pub source: Cow<'a, str>,
    pub thread_source: Option<Cow<'a, str>>,
    pub agent_nickname: Option<Cow<'a, str>>,
    pub agent_role: Option<Cow<'a, str>>,
    pub agent_path: Option<Cow<'a, str>>,
    pub model_provider: Option<Cow<'a, str>>,
    pub memory_mode: Option<Cow<'a, str>>,
    pub is_paginated: bool,
    /// Whether the history before this rollout lies in another one.
    pub has_base: bool,
    /// First upstream ordinal of a subagent's own history.
    pub own_history_start: Option<u64>,
    pub window_id: Option<Cow<'a, str>>,
    pub git: Option<Git<'a>>,
}

/// Git data of a `session_meta`.
#[derive(Debug, Clone, PartialEq, Eq, Default, bincode::Encode, bincode::BorrowDecode)]
#[allow(missing_docs)] // The names are those of the record's keys.
pub struct Git<'a> {
    pub commit: Option<Cow<'a, str>>,
    pub branch: Option<Cow<'a, str>>,
    pub repository_url: Option<Cow<'a, str>>,
}

/// What is read of a `response_item`.
#[derive(Debug, Clone, PartialEq, Eq, Default, bincode::Encode, bincode::BorrowDecode)]
pub struct ResponseHead<'a> {
    /// A ghost snapshot: the legacy loader leaves it out, so it takes no record index.
    pub is_ghost: bool,
    /// Delivers a message of another agent, which proves a user turn (rules 15).
    pub proves_user_turn: bool,
    /// A user message made of hook prompts.
    pub hook: Option<HookPromptHead<'a>>,
    /// The call of a tool, or its output.
    pub call: Option<CallHead<'a>>,
}

/// What is read of the call of a tool.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
pub enum CallHead<'a> {
    /// The call of this id runs a command.
    Command(Cow<'a, str>),
    /// What the call of this id gave, whatever it ran.
    Output(Cow<'a, str>),
}

/// What is read of a `compacted`.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
pub struct Compacted<'a> {
    /// It has a replacement history and a window number, so nothing before it is needed to resume.
    pub is_usable: bool,
    /// The window that starts here.
    pub window_id: Option<Cow<'a, str>>,
}

/// What is read of a `turn_context`.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
#[allow(missing_docs)] // The names are those of the record's keys.
pub struct TurnContext<'a> {
    pub turn_id: Option<Cow<'a, str>>,
    pub cwd: Cow<'a, str>,
    pub model: Cow<'a, str>,
    pub effort: Option<Cow<'a, str>>,
}

/// What is read of `thread_settings_applied`.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
#[allow(missing_docs)] // The names are those of the record's keys.
pub struct Settings<'a> {
    pub cwd: Cow<'a, str>,
    pub model: Cow<'a, str>,
    pub model_provider: Cow<'a, str>,
    pub effort: Option<Cow<'a, str>>,
}
