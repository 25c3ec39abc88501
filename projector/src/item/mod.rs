//! Owns the content of items: what a fold must know about a payload (heads), and the JSON that is
//! served for it (rendering). It must not know turns, rows or ordinals.
//!
//! Heads are the hot path of a rebuild: borrowed, typed, large fields skipped. Rendering happens
//! per page and reads the same typed structs, so that both accept exactly the same payloads.

mod call;
mod collab;
mod commands;
mod error;
mod events;
mod head;
mod hook;
mod legacy;
mod paths;
mod render;
mod review;
mod scan;
mod serve_collab;
mod serve_event;
mod serve_item;
mod served;
mod shapes;
mod text;
mod turn_item;
mod wire;

#[cfg(test)]
mod tests;

pub use call::render_call;
pub use head::{ItemHead, LegacyUse, UserText, turn_item_head, user_title};
pub use hook::hook_prompt_head;
pub(crate) use legacy::is_of_unknown_kind;
pub use legacy::{HookPromptHead, InTurn, LegacyHead, legacy_head};
pub(crate) use render::error_of_end;
pub use render::{render, turn_error};
pub(crate) use wire::is_thread_id;

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
