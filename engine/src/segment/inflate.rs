//! Owns the pool of zstd decompression contexts, which all stores of a process share.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zstd::bulk::Decompressor;

/// Decompression contexts kept for the next read: as many as read at once, within reason.
const INFLATERS_MAX: usize = 8;

/// Decompression contexts that wait for the next read, of whatever store: they know nothing of what
/// they inflated, and setting one up costs more than inflating a small block (40 % of the time of
/// opening and reading a small store, measured; `cpuid` traps on virtual machines).
static WAITING: Mutex<Vec<Decompressor<'static>>> = Mutex::new(Vec::new());

pub(super) fn take_inflater() -> io::Result<Decompressor<'static>> {
    let kept = waiting().pop();
    kept.map_or_else(Decompressor::new, Ok)
}

pub(super) fn give_back_inflater(inflater: Decompressor<'static>) {
    let mut waiting = waiting();
    if waiting.len() < INFLATERS_MAX {
        waiting.push(inflater);
    }
}

fn waiting() -> MutexGuard<'static, Vec<Decompressor<'static>>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}
