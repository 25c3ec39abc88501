//! Owns the writing of the list of damage, for those who open the store later. It must not be
//! called under the lock of the log: it writes and syncs a file.

use std::sync::{Arc, Mutex, PoisonError};

use turnleaf_engine::disk::Disk;
use turnleaf_engine::format::StoreId;
use turnleaf_engine::{Damage, DiskFailure, remember};

/// Damage that waits at most for a disk that takes the list: there is no room for more in it.
const WAITING_MAX: usize = 256;

/// The list of damage, as this process writes it. [R:seg-16]
#[derive(Debug)]
pub(crate) struct DamageList {
    disk: Arc<dyn Disk>,
    store: StoreId,
    /// What is not written yet; held by whoever writes.
    waiting: Mutex<Vec<Damage>>,
}

impl DamageList {
    pub(crate) fn new(disk: Arc<dyn Disk>, store: StoreId) -> Arc<DamageList> {
        Arc::new(DamageList {
            disk,
            store,
            waiting: Mutex::default(),
        })
    }

    /// Lists damage, and what could not be listed before. `is_owned` fails where the directory is
    /// not the store's any more: nothing is written then. [R:owner-2]
    pub(crate) fn add(
        &self,
        found: impl Iterator<Item = Damage>,
        is_owned: impl FnOnce() -> Result<(), DiskFailure>,
    ) {
        let waiting = self.waiting.lock();
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        for damage in found {
            if waiting.len() < WAITING_MAX && !waiting.contains(&damage) {
                waiting.push(damage);
            }
        }
        if waiting.is_empty() {
            return;
        }
        match is_owned().and_then(|()| remember(&*self.disk, self.store, &waiting)) {
            Ok(()) => waiting.clear(),
            Err(failure) => {
                tracing::debug!(%failure, "who opens the store next does not know of the damage");
            }
        }
    }
}
