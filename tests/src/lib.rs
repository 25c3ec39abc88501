//! Owns the rigs: what tests of several crates share. It must not be needed to use the store.

pub mod rollouts;
