//! Owns what records say: from exact bytes to a decoded record ([`decode`]), for old and new shapes
//! alike. It must not know the state of a thread, its rows, or how items are served.
//!
//! Decoding is total and needs no state, so it can run ahead and in parallel: a line that is no
//! record is an effect, too.

pub(crate) mod bounds;
mod decode;
mod effect;
mod event;
mod incomplete;
pub(crate) mod items;
pub(crate) mod json;
mod large;
mod owned;
mod places;
mod records;
mod response;
mod short;
mod spawned;
mod unknown;

pub use decode::{
    OPAQUE_BYTES, Part, decode, decode_metadata, decode_part, is_boundary, is_complete_line,
};
pub use effect::{
    BareHead, CallHead, Compacted, Decoded, Effect, Git, HeadField, HeadLack, MetadataHead,
    PathFamily, Rejection, ResponseHead, SessionMeta, Settings, TurnContext, TurnTimes,
};
pub use items::{
    HookPromptHead, InTurn, ItemHead, LegacyHead, LegacyUse, Rejected, UserText, hook_prompt_head,
    legacy_head, turn_item_head, user_title,
};
pub use json::time::timestamp_ms;
pub use json::wire::Entries;
pub use large::LargeLine;
pub use places::{Places, places};
pub use short::{ID_BYTES_MAX, TEXT_BYTES_MAX, short_id, short_text};
