//! Owns the facade: it wires the log and the index into one store of thread history. It must not
//! know bytes of the format or rules of the fold.
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
#[cfg(turnleaf_bugs)]
#[path = "../../tests/zoo/bugs.rs"]
mod bugs;
mod commit;
mod doctor;
mod error;
mod import;
mod index_file;
mod leaves;
mod listing;
mod lives;
mod open;
mod repair;
mod run_notes;
mod sealer;
mod source;
mod sync;
mod verify;

#[cfg(test)]
mod tests;

pub use append::{AppendStream, Appended, Line, StreamError};
pub use doctor::Diagnosis;
pub use error::{Error, ErrorKind, Part};
pub use import::{ImportProgress, ImportSource, Imported, Importer, Skip};
pub use leaves::{
    AnomalyCount, ContextReport, Counts, ItemsPage, ItemsRequest, ItemsView, RebuildReport,
    ShowThread, SortKey, SourceKind, ThreadCounts, ThreadHealth, ThreadsPage, ThreadsRequest,
    TurnHead, TurnsPage, TurnsRequest, bound_to, same_directory,
};
pub use open::{OlderLog, Store, system_owner};
pub use repair::{NamedRepair, RepairReport};
pub use sealer::{SealReport, SealerState, Woken};
pub use source::{Clock, ThreadSummary};
pub use turnleaf_engine::{
    Acceptance, Damage, Footprint, OpenReport, Options, Owner, Remark, Repair, SegmentInfo,
    TailVerdict, Unsealable,
};
pub use turnleaf_projector::fold::AnomalyClass;
pub use turnleaf_projector::index::Order;
pub use turnleaf_projector::item::user_title;
pub use turnleaf_projector::world_state::WorldState;
pub use verify::{IndexState, Stats, VerifyReport};
