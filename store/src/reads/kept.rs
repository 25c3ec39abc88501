//! Owns the bodies that are kept, so that one that was served is not made again for as long as
//! there is room.
//!
//! A body is known by the records it is made of, and records never change: what is kept is never
//! wrong, it can only be asked for no more. A page that is made of kept bodies does not meet what
//! happened to their records since.

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use turnleaf_engine::format::{Ordinal, ThreadNumber};

use super::served::Body;

/// Bytes of bodies that are kept.
pub(super) const KEPT_BYTES_MAX: u64 = 16 << 20;
/// What one kept body costs besides its text.
const ENTRY_BYTES: u64 = 128;
/// Bodies that room is made for at first: some KiB each.
const KEPT_BODIES: usize = 4096;

/// Rollout, the item's first record, and a hash of all that its body is made of.
pub(super) type Key = (ThreadNumber, Ordinal, u64);

/// Bodies that were served last.
pub(crate) struct Bodies(Cache<Key, Body, ByBytes>);

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Body> for ByBytes {
    fn weight(&self, _: &Key, body: &Body) -> u64 {
        body.get().len() as u64 + ENTRY_BYTES
    }
}

impl Default for Bodies {
    fn default() -> Bodies {
        Bodies(Cache::with_weighter(KEPT_BODIES, KEPT_BYTES_MAX, ByBytes))
    }
}

impl Bodies {
    pub(super) fn get(&self, key: &Key) -> Option<Body> {
        self.0.get(key)
    }

    /// Keeps a body for as long as there is room; those that were asked for least go first.
    pub(super) fn keep(&self, key: Key, body: Body) {
        self.0.insert(key, body);
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.0.weight()
    }
}

impl std::fmt::Debug for Bodies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Bodies").field(&self.0.weight()).finish()
    }
}
