//! Owns what the fold remembers of a thread between records; it must not know rows.
//!
//! The state is small: ids, counters and the thread's own facts. What an interpreter would keep for
//! every turn is looked up in the rows instead.

use bincode::de::{BorrowDecode, BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};
use turnleaf_format::Ordinal;

use crate::payload::{PathFamily, Rejection};
use crate::rows::TurnNo;

/// An ordinal inside a persisted state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct At(pub Ordinal);

impl Encode for At {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.0.0.encode(encoder)
    }
}

impl<C> Decode<C> for At {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<At, DecodeError> {
        u64::decode(decoder).map(|ordinal| At(Ordinal(ordinal)))
    }
}

impl<'de, C> BorrowDecode<'de, C> for At {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(
        decoder: &mut D,
    ) -> Result<At, DecodeError> {
        At::decode(decoder)
    }
}

/// How a thread's records are interpreted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Mode {
    /// By replay: items come from events, turns from their order.
    Legacy,
    /// Record by record: each is a snapshot of one turn or one item.
    Paginated,
}

/// Everything the fold must know to take the next record of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct ThreadState {
    /// Overrides the mode that the thread declares.
    pub forced: Option<Mode>,
    /// What the first `session_meta` declared; a thread without one is legacy.
    pub declared: Option<Mode>,
    /// Ordinal of the first `session_meta`.
    pub head_at: Option<At>,
    /// How many records were inherited when the first one was taken: a base that is found later
    /// puts others before them.
    pub inherited: u64,
    /// Where it was read what the thread was called before any record that is folded.
    pub called_by: Option<CalledBy>,
    /// A rollout goes on from another one, and its first line is still to come.
    pub begins: bool,
    /// Host family of the thread's own directory.
    pub head_paths: Option<PathFamily>,
    /// Accepted records so far: the index of the next one, which implicit turn ids carry.
    pub records: u64,
    /// Records that are no line of the thread's file, as [`Decoded::is_uncounted`] says.
    ///
    /// [`Decoded::is_uncounted`]: crate::payload::Decoded::is_uncounted
    pub uncounted: u64,
    /// Number of the next turn.
    pub turns: u32,
    /// Items that got a number so far (since the last rollback counted them anew).
    pub numbered_items: u64,
    /// The current turn of a legacy replay.
    pub open: Option<OpenTurn>,
    /// Calls of a legacy thread that have no output yet, the newest last.
    pub calls: Vec<PendingCall>,
    /// The upstream ordinal that the next record of a paginated thread should have.
    pub upstream_next: u64,
    /// First upstream ordinal of a subagent's own history; what is below is model context only.
    pub own_history_start: u64,
    /// What was found wrong, by reason.
    pub anomalies: Vec<Anomaly>,
    /// Kinds that are not known, in the order in which they came: the first
    /// [`ThreadState::UNKNOWN_KINDS_MAX`] of them.
    pub unknown: Vec<UnknownKind>,
    /// The thread's facts.
    pub meta: ThreadMeta,
}

impl ThreadState {
    /// Unknown kinds of a thread that are told by name.
    pub const UNKNOWN_KINDS_MAX: usize = 32;

    /// A new thread that is interpreted as `mode`, whatever it declares.
    #[must_use]
    pub fn forced(mode: Mode) -> ThreadState {
        ThreadState {
            forced: Some(mode),
            ..ThreadState::default()
        }
    }

    /// How records are interpreted now.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.forced.or(self.declared).unwrap_or(Mode::Legacy)
    }

    pub(super) fn take_turn_no(&mut self) -> TurnNo {
        let turn = TurnNo(self.turns);
        self.turns = self
            .turns
            .checked_add(1)
            .expect("a thread has fewer than 2^32 turns");
        turn
    }

    pub(super) fn note_unknown(&mut self, name: &str) {
        let known = self.unknown.iter().position(|kind| kind.name == name);
        if let Some(at) = known {
            self.unknown[at].count += 1;
        } else if self.unknown.len() < ThreadState::UNKNOWN_KINDS_MAX {
            let name = name.to_owned();
            self.unknown.push(UnknownKind { name, count: 1 });
        }
    }

    pub(super) fn note(&mut self, kind: AnomalyKind, ordinal: Ordinal) {
        match self
            .anomalies
            .iter_mut()
            .find(|anomaly| anomaly.kind == kind)
        {
            Some(anomaly) => anomaly.count += 1,
            None => self.anomalies.push(Anomaly {
                kind,
                count: 1,
                first: At(ordinal),
            }),
        }
    }
}

/// An older rollout, of which a thread keeps what it is called and when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct CalledBy {
    /// Its number.
    pub rollout: u64,
    /// One past the last of its records that was read for it.
    pub read_end: At,
    /// Whether that was found which the thread is called by.
    pub is_called: bool,
}

/// The current turn of a legacy replay.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OpenTurn {
    /// Key of its row.
    pub first: At,
    /// Its number.
    pub turn: TurnNo,
    /// Its id.
    pub id: String,
    /// A record began it, so user messages do not split it.
    pub explicit: bool,
    /// A compaction happened in it, so it is kept even when empty.
    pub saw_compaction: bool,
    /// It has items.
    pub has_items: bool,
    /// Key of its last item while that is a reasoning item, which later reasoning joins.
    pub last_reasoning: Option<At>,
}

/// A call that waits for its output.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PendingCall {
    /// Its id.
    pub id: String,
    /// Key of its row.
    pub at: At,
}

/// One kind of anomaly of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Anomaly {
    /// What is wrong.
    pub kind: AnomalyKind,
    /// How often.
    pub count: u64,
    /// Where first.
    pub first: At,
}

/// A kind of records or items that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct UnknownKind {
    /// Where its name stands in a record, and the name: `item Sleep`.
    pub name: String,
    /// How often it came.
    pub count: u64,
}

/// What can be wrong with a record; none of it stops a fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum AnomalyKind {
    /// The line is not a record.
    Rejected(Rejection),
    /// Upstream ordinals leave a gap before this record.
    OrdinalGap,
    /// The upstream ordinal was there before, or a higher one was.
    OrdinalRepeated,
    /// A record of a paginated thread has no upstream ordinal.
    OrdinalMissing,
    /// The timestamp cannot be read.
    Timestamp,
    /// A record continued a line that was complete.
    AfterLineEnd,
    /// An item names a turn that the thread does not have, and is left out.
    UnknownTurn,
    /// The rows could not take the record, which nothing in a record should cause.
    PassedBy,
}

/// What an anomaly says about the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnomalyClass {
    /// A kind, or a form, that this version does not know: kept, and nothing is wrong with it.
    Unknown,
    /// A known kind, or none, whose bytes are not as they should be.
    Malformed,
    /// A record that is not where it should be.
    OutOfOrder,
}

impl AnomalyKind {
    /// What it says about the history.
    #[must_use]
    pub fn class(self) -> AnomalyClass {
        match self {
            AnomalyKind::Rejected(reason) => match reason {
                Rejection::NoEnvelope
                | Rejection::UnknownType
                | Rejection::UnknownEvent
                | Rejection::UnknownItem
                | Rejection::TooLarge => AnomalyClass::Unknown,
                Rejection::NotUtf8
                | Rejection::NotJson
                | Rejection::Payload
                | Rejection::NoTimestamp
                | Rejection::TimestampType
                | Rejection::HeadLacks(_) => AnomalyClass::Malformed,
            },
            AnomalyKind::Timestamp | AnomalyKind::AfterLineEnd | AnomalyKind::PassedBy => {
                AnomalyClass::Malformed
            }
            AnomalyKind::OrdinalGap
            | AnomalyKind::OrdinalRepeated
            | AnomalyKind::OrdinalMissing
            | AnomalyKind::UnknownTurn => AnomalyClass::OutOfOrder,
        }
    }
}

/// Facts about a thread that listings show. Each is bounded: an id by
/// [`crate::payload::ID_BYTES_MAX`], any other text by [`crate::payload::TEXT_BYTES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[allow(missing_docs)] // Most names are those of the record's keys.
pub struct ThreadMeta {
    /// Canonical id: that of the first `session_meta`.
    pub id: Option<String>,
    pub session_id: Option<String>,
    pub forked_from: Option<String>,
    pub parent: Option<String>,
    pub created_at_ms: Option<i64>,
    /// First line timestamp, which stands for a head without a time.
    pub first_at_ms: Option<i64>,
    /// Latest line timestamp.
    pub updated_at_ms: Option<i64>,
    /// Line timestamp of the latest start of a turn, rising by at least 1 ms each time.
    pub recency_at_ms: Option<i64>,
    /// Name given by the user through our own record.
    pub name: Option<String>,
    /// When it was given or taken away, Unix milliseconds; `None` when it never was.
    pub named_at_ms: Option<i64>,
    /// The latest time that any of its names states, also one that is still to come.
    pub name_stated_at_ms: Option<i64>,
    pub preview: Option<String>,
    pub first_user_message: Option<String>,
    pub title: Option<String>,
    pub model: Option<String>,
    pub effort: Option<String>,
    pub model_provider: Option<String>,
    pub cwd: Option<String>,
    pub tokens_used: Option<i64>,
    pub git_commit: Option<String>,
    pub git_branch: Option<String>,
    pub git_repository_url: Option<String>,
    /// A bare name, or the JSON text of a structured source.
    pub source: Option<String>,
    pub thread_source: Option<String>,
    pub agent_nickname: Option<String>,
    pub agent_role: Option<String>,
    pub agent_path: Option<String>,
    /// The client that began the thread.
    pub originator: Option<String>,
    pub cli_version: Option<String>,
    /// `None` means enabled.
    pub memory_mode: Option<String>,
    /// Context window of the head.
    pub first_window_id: Option<String>,
    /// Context window since the latest compaction that names one.
    pub window_id: Option<String>,
}
