//! Owns the facade: it wires the log and the index into one store of thread history. It must not
//! know bytes of the format or rules of the fold.
//!
//! [`Store`] has all operations.
//!
//! - *Open*: [`Store::open`] to write, [`Store::open_to_read`] to read with the index,
//!   [`Store::open_log`] beside an owner.
//! - *Write*: [`Store::create_thread`], [`Store::append`], [`Store::import`], [`Store::set_name`],
//!   [`Store::archive`], [`Store::delete`]. Each is durable when it returns.
//! - *Read*: [`Store::turns`], [`Store::items`], [`Store::threads`], [`Store::show`],
//!   [`Store::context`], [`Store::export`]. Each sees every append that returned before it began.
//! - *Health*: [`Store::verify`], [`Store::diagnosis`], [`Store::repair`].
//!
//! A thread is named by the text of its id, 1 to 128 letters, digits, `-` or `_`, as clients and
//! records have it. Each call checks it before it does anything; another text is
//! [`ErrorKind::Invalid`].
//!
//! An ordinal is a record's place in its thread, from 0 without gaps. Ranges are half-open: `end`
//! is one past the last. Times are Unix milliseconds where a name ends in `_ms` or `Ms`, else Unix
//! seconds. JSON has the field names of the agent's app-server protocol.
//!
//! Every operation fails with one [`Error`]; [`Error::kind`] says what can be done about it. A read
//! that meets damage goes on around it. What it met is in its answer, where that has a `damage`,
//! and in [`Store::damage_seen`].
//!
//! ```no_run
//! use turnleaf::{ItemsView, Order, Store, TurnsRequest};
//!
//! # fn main() -> Result<(), turnleaf::Error> {
//! let store = Store::open(std::path::Path::new("history"))?;
//! let page = store.turns(&TurnsRequest {
//!     thread: "019f0000-0000-7000-8000-000000000001".into(),
//!     cursor: None,
//!     limit: 20,
//!     order: Order::Descending,
//!     items: ItemsView::Summary,
//! })?;
//! println!("{} turns", page.turns.len());
//! # Ok(())
//! # }
//! ```

mod append;
mod commit;
mod damage;
mod damage_list;
mod error;
mod health;
mod import;
mod index;
mod lifecycle;
mod lineage;
mod lines;
mod notes;
mod older_log;
mod open;
mod reads;
mod seal_all;
mod sealer;
mod source;
mod sync;

#[cfg(test)]
mod tests;

pub use append::{AppendStream, Appended, Line, StreamError};
pub use commit::Clock;
pub use error::{Error, ErrorKind, Part};
pub use health::{
    AnomalyCount, Diagnosis, GivenUp, IndexState, NamedRepair, RepairReport, Stats, ThreadHealth,
    VerifyReport,
};
pub use import::{
    AwaitedBase, ImportOutcome, ImportProgress, ImportSource, Imported, Importer, Imports,
    KnownName, ListedName, NoBase, Preview, Previewer, Skip, WrittenAnew,
};
pub use index::RebuildReport;
pub use lifecycle::{KeptBase, Subtree};
pub use lineage::{BaseInfo, ForkPoint, Forked, Reverted, RolloutInfo};
pub use older_log::OlderLog;
pub use open::{Store, system_owner};
pub use reads::{
    Body, ContextReport, Counts, ItemsPage, ItemsRequest, ItemsView, RolloutFile, RolloutWritten,
    ServedItem, ServedTurn, ShowThread, SortKey, SourceKind, ThreadCounts, ThreadSegment,
    ThreadsPage, ThreadsRequest, TurnsPage, TurnsRequest, bound_to, same_directory,
};
pub use seal_all::SealReport;
pub use sealer::{SealerState, Woken};
pub use source::ThreadSummary;

// Types of the crates below that stand in a signature or a public field of this one.
pub use serde_json::Value;
pub use turnleaf_engine::disk;
pub use turnleaf_engine::format::record::{Flags, Kind};
pub use turnleaf_engine::format::{
    DecodeError, Generation, Ordinal, Problem, SegmentId, ThreadChain, ThreadNumber,
};
pub use turnleaf_engine::{
    AppendError, Cause, Damage, DiskFailure, Footprint, Loss, LossRecord, OpenError, OpenReport,
    Options, Owner, Refusal, Remark, Repair, SegmentInfo, SystemError, TailVerdict, Unreadable,
    Unsealable,
};
pub use turnleaf_projector::codec::Malformed;
pub use turnleaf_projector::fold::{AnomalyClass, UnknownKind};
pub use turnleaf_projector::index::{
    Damage as IndexDamage, IndexError, Order, Place as IndexPlace, Table as IndexTable,
};
pub use turnleaf_projector::payload::{HeadField, HeadLack, user_title};
pub use turnleaf_projector::uuid::uuid;
pub use turnleaf_projector::world_state::WorldState;
