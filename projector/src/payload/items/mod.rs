//! Owns the payloads that concern items, as they are written, and what a fold must know of them
//! (heads). It must not know turns, rows or ordinals, nor how items are served.
//!
//! Heads are the hot path of a rebuild: borrowed, typed, large fields skipped. Rendering reads the
//! same typed structs per page, so both accept exactly the same payloads.

pub(crate) mod collab;
pub(crate) mod error;
pub(crate) mod events;
mod head;
pub(crate) mod hook;
mod legacy;
pub(crate) mod shapes;
pub(crate) mod turn_item;

pub(crate) use error::error_of_end;
pub use head::{ItemHead, LegacyUse, UserText, turn_item_head, user_title};
pub use hook::hook_prompt_head;
pub(crate) use legacy::is_of_unknown_kind;
pub use legacy::{HookPromptHead, InTurn, LegacyHead, legacy_head};

/// Why a payload does not decode; the whole line is rejected then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected(pub &'static str);

impl Rejected {
    /// The reason behind a failed decode, in words that do not depend on the payload.
    fn from_json(error: &serde_json::Error) -> Self {
        match error.classify() {
            serde_json::error::Category::Data => {
                Rejected("unknown variant, missing field or wrong type")
            }
            _ => Rejected("not a JSON value"),
        }
    }
}
