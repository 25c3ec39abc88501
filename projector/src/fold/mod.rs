//! Owns what records do: from exact bytes to a decoded record ([`decode`]), and from there to the
//! rows and the small state of a thread ([`apply`]). It must not know how rows are stored or items
//! are served.
//!
//! Both steps are total: a line that is no record is kept, counted and passed by, and nothing in a
//! thread stops its projection. Decoding needs no state, so it can run ahead and in parallel;
//! applying takes the records of one thread in order.

mod apply;
mod legacy;
mod mem_rows;
mod paginated;
mod state;

#[cfg(test)]
mod tests;

pub use apply::{apply, pass_by};
pub use mem_rows::MemRows;
pub use state::{
    Anomaly, AnomalyClass, AnomalyKind, At, Mode, OpenTurn, PendingCall, ThreadMeta, ThreadState,
};
