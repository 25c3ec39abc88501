//! Owns the rigs: what tests of several crates share. It must not be needed to use the store.

pub mod answers;
pub mod around;
pub mod crash_rig;
pub mod fuzz;
pub mod hooked;
pub mod long_life;
pub mod many_threads;
pub mod oracle;
pub mod parallel;
pub mod projection;
pub mod released;
pub mod rng;
pub mod rollouts;
pub mod sim_disk;
pub mod soup;
pub mod stores;
pub mod texts;
pub mod traffic;
