//! Owns the sealer as a step function: plan, (run elsewhere), publish, clean up.

mod cleanup;
mod lease;
mod plan;
mod publish;
mod state;
mod write;

use turnleaf_format::frame::Position;

pub(super) use state::SealState;
pub use state::Unsealable;
pub(crate) use write::Part;
pub use write::{Notes, RunWriter, SealError, SealPlan, SealedSegments};

/// How much a sealing step takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealGoal {
    /// What is due: threads with enough in the journal, and the oldest file when the journal is at
    /// its budget.
    Due,
    /// Everything that the journal holds.
    Everything,
    /// What the journal holds of threads that begin in it before one place, and of the catalogue
    /// where it begins before another: beside appends this comes to an end.
    Before {
        /// The place for threads.
        records: Position,
        /// The place for the catalogue.
        facts: Position,
    },
}
