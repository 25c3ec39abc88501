//! Owns what records do to a thread: [`apply`] takes a decoded record to the rows and the small
//! state of its thread. It must not know how records are written, how rows are stored, or how items
//! are served.
//!
//! The step is total: a line that is no record is kept, counted and passed by, and nothing in a
//! thread stops its projection. It takes the records of one thread in order.

mod apply;
mod begin;
mod legacy;
mod mem_rows;
mod paginated;
mod state;

#[cfg(test)]
mod tests;

pub use apply::{apply, pass_by};
pub use begin::{begin_anew, go_on};
pub use mem_rows::MemRows;
pub use state::{
    Anomaly, AnomalyClass, AnomalyKind, At, CalledBy, Mode, OpenTurn, PendingCall, ThreadMeta,
    ThreadState, UnknownKind,
};
