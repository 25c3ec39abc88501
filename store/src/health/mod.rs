//! Owns the reports on the state of a store and its threads, and the repairs of damage.

pub(crate) mod anomalies;
mod doctor;
mod repair;
mod stats;
mod threads;
mod verify;

pub use anomalies::AnomalyCount;
pub use doctor::{Diagnosis, GivenUp};
pub use repair::{NamedRepair, RepairReport};
pub use stats::Stats;
pub use threads::ThreadHealth;
pub use verify::{IndexState, VerifyReport};
