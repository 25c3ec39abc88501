//! Owns the sealer as a step function: plan, (run elsewhere), publish, clean up.

mod cleanup;
mod lease;
mod plan;
mod publish;
mod state;

pub(super) use state::SealState;
pub use state::Unsealable;

/// How much a sealing step takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealGoal {
    /// What is due: threads with enough in the journal, and the oldest file when the journal is at
    /// its budget.
    Due,
    /// Everything that the journal holds.
    Everything,
}
