//! Owns what opening a store means: survey (evidence), verdicts (pure tables), replay (the state
//! that the evidence adds up to). It writes nothing; repairs are named steps of the owner.

mod catalogue;
mod checkpoint;
mod findings;
mod journal;
mod listed;
mod replay;
mod segments;
mod set;
mod survey;
mod threads;
mod unused;
mod verdict;

pub(crate) use catalogue::sum_of_records;
pub(crate) use findings::{Findings, costs_no_record};
pub use findings::{Loss, Remark};
pub(crate) use replay::{CatalogueFrom, Replayed, replay};
pub use set::Refusal;
pub use survey::store_exists;
pub(crate) use survey::{Survey, survey};
pub(crate) use unused::leftovers;
pub use verdict::ends::TailVerdict;

/// Why a store could not be replayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Disk(#[from] crate::error::DiskFailure),
}

#[cfg(test)]
mod tests;
