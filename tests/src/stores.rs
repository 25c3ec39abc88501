//! Owns what rigs begin with: who owns a store on a simulated disk, which store it is, how it is
//! opened and sealed, and which files it has. All of it is the same in every run.

use std::sync::Arc;

use turnleaf::{Error, Options, Owner, Store};
use turnleaf_engine::disk::{Disk, EntryKind};
use turnleaf_engine::{Log, OpenError, OpenReport, SealGoal};
use turnleaf_format::StoreId;

use crate::sim_disk::SimDisk;

/// The store of all rigs, so that the same work writes the same bytes.
pub const STORE: StoreId = StoreId([9; 16]);

/// The owner of all rigs.
#[must_use]
pub fn owner() -> Owner {
    Owner {
        pid: 1,
        host: "sim".into(),
        since_ms: 1,
    }
}

/// Opens the log, or creates it.
///
/// # Errors
/// As [`Log::open`].
pub fn open_log(disk: &SimDisk, options: Options) -> Result<(Log, OpenReport), OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Log::open(disk, options, &owner(), STORE)
}

/// Opens the store, or creates it, without a thread of its own: what it does follows from what it
/// is asked.
///
/// # Errors
/// As [`Store::open_on`].
pub fn open_store(disk: &SimDisk, options: &Options) -> Result<Store, Error> {
    // Only a log can be told which store it is.
    if disk.bytes("LOCK").is_none() {
        open_log(disk, options.clone())
            .map_err(Error::Open)?
            .0
            .close()?;
    }
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open_on(shared, options.clone(), &owner(), false, || 1)
}

/// Seals everything that the journal holds.
///
/// # Panics
/// When the disk fails.
pub fn seal(log: &mut Log, notes: &[u8]) {
    while let Some(plan) = log.plan_seal(SealGoal::Everything) {
        let done = plan.run(&|_, _, _| notes.to_vec());
        drop(plan);
        log.finish_seal(done).expect("sealed");
        log.commit_all();
    }
}

/// The files of the log, by path.
///
/// # Panics
/// When the disk does not have the directories of a store.
#[must_use]
pub fn log_files(disk: &SimDisk) -> Vec<String> {
    let mut files = Vec::new();
    for dir in ["journal", "segments", "catalogue"] {
        for entry in disk.list(dir).expect("a store has its directories") {
            if entry.kind == EntryKind::File {
                files.push(format!("{dir}/{}", entry.name));
            }
        }
    }
    files
}
