//! Owns what opening a store means: survey (evidence), verdicts (pure tables), replay (the state
//! that the evidence adds up to). It writes nothing; repairs are named steps of the owner.

mod replay;
mod survey;
mod verdict;

pub(crate) use replay::{ReplayError, Replayed, replay};
pub(crate) use survey::{FileEvidence, Survey, survey};
pub use verdict::{Refusal, TailVerdict};

#[cfg(test)]
mod tests;
