//! Owns the rows that the fold produces and the surface through which it reads and writes them; it
//! must not know how they are stored.
//!
//! Two implementations stand behind [`Rows`]: plain maps (tests, and answers without an index) and
//! a redb transaction. A row holds ids, states, times and ordinals, never payloads: bodies are read
//! from the log and rendered on demand.

use bincode::{Decode, Encode};
use turnleaf_format::Ordinal;

/// Dense number of a turn id within its thread, given at the first mention of the turn, so that
/// rows do not repeat the id. Items may mention a turn before (or without) its turn row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct TurnNo(pub u32);

/// State of a turn as served (`completed`, `interrupted`, `failed`, `inProgress`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum TurnStatus {
    /// Began and did not end.
    InProgress,
    /// Ended well.
    Completed,
    /// Was aborted.
    Interrupted,
    /// Ended with an error.
    Failed,
}

/// Which served item a row stands for; the served `type` tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs)] // The names are the served tags.
pub enum ItemKind {
    UserMessage,
    HookPrompt,
    AgentMessage,
    Plan,
    Reasoning,
    CommandExecution,
    FileChange,
    McpToolCall,
    DynamicToolCall,
    CollabAgentToolCall,
    SubAgentActivity,
    WebSearch,
    ImageView,
    Sleep,
    ImageGeneration,
    EnteredReviewMode,
    ExitedReviewMode,
    ContextCompaction,
}

/// Phase of an agent message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Phase {
    /// Between tool calls.
    Commentary,
    /// A part of the answer, before its end.
    PartialAnswer,
    /// Ends the turn.
    FinalAnswer,
}

/// One turn, keyed by the ordinal of the record that began it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnRow {
    /// The turn's number in its thread.
    pub turn: TurnNo,
    /// The turn's id.
    pub id: String,
    /// The turn that it was begun for, its own one included; the first record that names one
    /// counts.
    pub root: Option<String>,
    /// Its state.
    pub status: TurnStatus,
    /// Ordinal of the record that holds its error.
    pub error_at: Option<Ordinal>,
    /// Line timestamp of its first record, Unix milliseconds; `None` when it could not be read.
    pub began_at_ms: Option<i64>,
    /// Unix seconds, as its records say.
    pub started_at: Option<i64>,
    /// Unix seconds.
    pub completed_at: Option<i64>,
    /// Milliseconds.
    pub duration_ms: Option<i64>,
    /// First ordinal of the item that opens the summary (the first user message).
    pub first_user_item: Option<Ordinal>,
    /// First ordinal of the item that closes the summary (the final agent message).
    pub final_agent_item: Option<Ordinal>,
}

/// One item, keyed by the ordinal of its first record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRow {
    /// The turn it belongs to.
    pub turn: TurnNo,
    /// Its id, unique within the turn.
    pub id: String,
    /// What it is now; a later snapshot may change it.
    pub kind: ItemKind,
    /// Phase, for agent messages.
    pub phase: Option<Phase>,
    /// Line timestamp of the first record, Unix milliseconds; `None` when it could not be read.
    pub created_at_ms: Option<i64>,
    /// When it began and ended, as the first snapshots that know it say.
    pub times: ItemTimes,
    /// Ordinals of the records it is rendered from, ascending: the newest snapshot, or all the
    /// parts of a merged reasoning item.
    pub sources: Vec<Ordinal>,
}

/// When an item began and ended, Unix milliseconds; 0 is no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct ItemTimes {
    /// When it began.
    pub started_at_ms: Option<i64>,
    /// When it ended.
    pub completed_at_ms: Option<i64>,
}

impl ItemTimes {
    /// These, and where they say nothing, the `later` ones.
    #[must_use]
    pub fn or(self, later: ItemTimes) -> ItemTimes {
        ItemTimes {
            started_at_ms: self.started_at_ms.or(later.started_at_ms),
            completed_at_ms: self.completed_at_ms.or(later.completed_at_ms),
        }
    }
}

/// A turn id as the thread knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnName {
    /// Its number.
    pub turn: TurnNo,
    /// Key of its turn row; `None` while only items mentioned it.
    pub row: Option<Ordinal>,
}

/// The items of a turn that its summary may point to, by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Landmarks {
    /// The first user message.
    pub first_user: Option<Ordinal>,
    /// The last agent message that is a final answer.
    pub last_final: Option<Ordinal>,
    /// The last agent message without a phase.
    pub last_plain: Option<Ordinal>,
}

/// What a fold reads and writes of one thread.
///
/// `Error` is the storage's; plain maps never fail.
pub trait Rows {
    /// Failure of the storage behind the rows.
    type Error;

    /// Looks a turn id up. When several turns of the thread had the id, the first one answers.
    fn turn_name(&mut self, id: &str) -> Result<Option<TurnName>, Self::Error>;
    /// Gives a turn id its number and, once known, the key of its row; replaces what was known.
    /// The fold calls this for the first turn of an id only: a later turn with the same id has a
    /// row and a number, but the id keeps naming the first.
    fn put_turn_name(&mut self, id: &str, name: TurnName) -> Result<(), Self::Error>;
    /// The id of a turn number: from its row, or from its name while it has no row.
    fn turn_id(&mut self, turn: TurnNo) -> Result<Option<String>, Self::Error>;
    /// A turn row by its key.
    fn turn(&mut self, first: Ordinal) -> Result<Option<TurnRow>, Self::Error>;
    /// Writes a turn row.
    fn put_turn(&mut self, first: Ordinal, row: &TurnRow) -> Result<(), Self::Error>;
    /// Keys of the newest `count` turn rows, newest first.
    fn newest_turns(&mut self, count: usize) -> Result<Vec<Ordinal>, Self::Error>;
    /// Number of turn rows.
    fn turn_count(&mut self) -> Result<u64, Self::Error>;

    /// Key of an item row by turn and item id. When several items of a turn have the id (the fold
    /// writes a new key with a known id), the first one answers.
    fn item_key(&mut self, turn: TurnNo, id: &str) -> Result<Option<Ordinal>, Self::Error>;
    /// An item row by its key.
    fn item(&mut self, first: Ordinal) -> Result<Option<ItemRow>, Self::Error>;
    /// Writes an item row (and its id's pointer, and its place in its turn).
    fn put_item(&mut self, first: Ordinal, row: &ItemRow) -> Result<(), Self::Error>;
    /// The landmarks among the items of a turn, as the items are now.
    fn landmarks(&mut self, turn: TurnNo) -> Result<Landmarks, Self::Error>;
    /// Number of item rows.
    fn item_count(&mut self) -> Result<u64, Self::Error>;

    /// The row of a command that only response items hold, by its key.
    fn call(&mut self, first: Ordinal) -> Result<Option<ItemRow>, Self::Error>;
    /// Writes such a row. It is no item, and counts nowhere.
    fn put_call(&mut self, first: Ordinal, row: &ItemRow) -> Result<(), Self::Error>;
    /// Removes the rows of such commands from a key on.
    fn remove_calls(&mut self, from: Ordinal) -> Result<(), Self::Error>;

    /// Says that a record begins a turn, of which nothing was written yet: what the fold remembers
    /// before it, so that another thread may go on from here. Rows that nobody shares need not
    /// keep it.
    fn keep_savepoint<S: Encode>(
        &mut self,
        at: Ordinal,
        turn: TurnNo,
        state: &S,
    ) -> Result<(), Self::Error>;

    /// Removes a turn row, its items, and the name of its id if that name points to this row.
    fn remove_turn(&mut self, first: Ordinal) -> Result<(), Self::Error>;
}
