//! Owns what records do: from exact bytes to a decoded record ([`decode`]), and from there to the
//! rows and the small state of a thread ([`apply`]). It must not know how rows are stored or items
//! are served.
//!
//! Both steps are total: a line that is no record is kept, counted and passed by, and nothing in a
//! thread stops its projection. Decoding needs no state, so it can run ahead and in parallel;
//! applying takes the records of one thread in order.

mod apply;
mod bounds;
mod decode;
mod effect;
mod event;
mod incomplete;
mod json;
mod large;
mod legacy;
mod mem_rows;
mod owned;
mod paginated;
mod payload;
mod response;
mod state;
mod syntax;
mod time;

#[cfg(test)]
mod tests;

pub use apply::{apply, pass_by};
pub(crate) use bounds::cut_text;
pub use bounds::{ID_BYTES_MAX, TEXT_BYTES_MAX, short_id, short_text};
pub use decode::{
    OPAQUE_BYTES, Part, decode, decode_metadata, decode_part, is_boundary, is_complete_line,
};
pub use effect::{
    BareHead, CallHead, Compacted, Decoded, Effect, Git, HeadField, MetadataHead, PathFamily,
    Rejection, ResponseHead, SessionMeta, Settings, TurnContext, TurnTimes,
};
pub use large::LargeLine;
pub use mem_rows::MemRows;
pub use state::{
    Anomaly, AnomalyClass, AnomalyKind, At, Mode, OpenTurn, PendingCall, ThreadMeta, ThreadState,
};
