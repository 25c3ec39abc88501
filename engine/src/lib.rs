//! Owns the log of a turnleaf store: journal, segments, catalogue, recovery and readers. It must
//! not know turns, JSON or the index.
//!
//! [`Log`] is a store open for writing, [`Snapshot`] one that is only read; both show a [`State`],
//! from which a [`Reader`] per thread is taken.

mod catalogue;
mod damage_list;
pub mod disk;
mod error;
mod journal;
mod layout;
mod lengths;
mod lock;
mod log;
mod options;
mod read;
mod recovery;
mod repair;
mod reserve;
mod segment;
mod state;
mod stretch;
mod view;

pub use catalogue::{ImportFact, LossRecord, Origin, ThreadFact};
pub use damage_list::remember;
pub use error::{Cause, Damage, DiskFailure, ReadError, SystemError, Unreadable};
pub use lock::Owner;
pub use log::{
    AppendError, BATCH_BYTES_MAX, Begin, CheckpointPlan, Commit, FileMade, FilePlan, Footprint,
    Log, NewRecord, Notes, OpenError, OpenReport, Outcome, RunWriter, SealError, SealGoal,
    SealPlan, SealedSegments, Snapshot, Staged, Ticket, Unsealable,
};
pub use options::Options;
pub use read::{GoesOn, PARSED_BYTES_MAX, Payload, Reader, Record, RunNotes, Totals};
pub use recovery::{Loss, Refusal, Remark, TailVerdict, store_exists};
pub use repair::{IdOf, Repair, RepairError, Repaired, find_repairs, repair, repairs_for};
pub use state::{SegmentInfo, State};
pub use turnleaf_format as format;
