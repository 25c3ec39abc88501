//! Owns the rows of pages as they are served: typed heads, and bodies that are already JSON text.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use turnleaf_engine::format::Ordinal;

/// JSON text of upstream's protocol, shared with whoever else was served it. Cheap to clone.
#[derive(Clone)]
pub struct Body(Arc<RawValue>);

impl Body {
    /// The text of a value.
    pub(super) fn of(value: &Value) -> Body {
        let text = serde_json::value::to_raw_value(value);
        Body(text.expect("a value is JSON").into())
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// The text as a tree.
    ///
    /// # Panics
    /// Never: the text is JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::from_str(self.get()).expect("a body is JSON")
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Body) -> bool {
        self.get() == other.get()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// An item of a page. Serialized it is what upstream's protocol serves, without a look into the
/// body: `{"turnId","itemId","createdAtMs","startedAtMs","completedAtMs","ordinal","item"}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServedItem {
    /// Ordinal of the record that began it.
    #[serde(serialize_with = "number")]
    pub ordinal: Ordinal,
    /// The turn it belongs to; `None` where no record names it.
    pub turn_id: Option<String>,
    /// Its id, unique within the turn.
    pub item_id: String,
    /// Time of the record that began it, Unix milliseconds.
    pub created_at_ms: Option<i64>,
    /// When it began, as its records say, Unix milliseconds.
    pub started_at_ms: Option<i64>,
    /// When it ended, as its records say, Unix milliseconds.
    pub completed_at_ms: Option<i64>,
    /// The item.
    pub item: Body,
}

/// A turn of a page. Serialized it is what upstream's protocol serves.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServedTurn {
    /// Its id.
    pub id: String,
    /// The turn that it was begun for, its own one included, where its records say that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_turn_id: Option<String>,
    /// `completed`, `interrupted`, `failed` or `inProgress`.
    pub status: &'static str,
    /// What it failed of.
    pub error: Option<Body>,
    /// When it began, Unix milliseconds: as its records say, or else the time of the first one. Not
    /// part of upstream's protocol.
    #[serde(skip)]
    pub began_at_ms: Option<i64>,
    /// When it began, as its records say, Unix seconds.
    pub started_at: Option<i64>,
    /// When it ended, Unix seconds.
    pub completed_at: Option<i64>,
    /// How long it took, milliseconds.
    pub duration_ms: Option<i64>,
    /// Which of its items are here.
    pub items_view: ItemsView,
    /// Those items.
    pub items: Vec<Body>,
    /// Where its items go on that did not fit: a cursor of [`Store::items`] of this turn.
    ///
    /// [`Store::items`]: crate::Store::items
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_next_cursor: Option<String>,
}

/// How much of a turn's items a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ItemsView {
    /// None.
    NotLoaded,
    /// The first user message and the final agent message.
    Summary,
    /// All, up to 8 MiB of JSON. The items of a turn that has more end there, and its
    /// `itemsNextCursor` goes on: it is a cursor of [`Store::items`] of that turn, oldest first.
    ///
    /// [`Store::items`]: crate::Store::items
    Full,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
fn number<S: Serializer>(ordinal: &Ordinal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(ordinal.0)
}

/// Length of what is served as JSON text.
pub(super) fn json_bytes(served: &impl Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What is served is JSON, and counting does not fail.
    let _ = serde_json::to_writer(&mut count, served);
    count.0
}
