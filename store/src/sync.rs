//! Owns the choice of locks and OS threads that a store is built on: the system's, or those of a
//! scheduler that chooses the order of all steps (`commit/orders.rs`).

#[cfg(all(test, turnleaf_orders))]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
};
#[cfg(not(all(test, turnleaf_orders)))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
};
