//! Owns the writing of the catalogue's checkpoint: when one is worth it, and how its file comes to
//! stand there. It is a cache: the log is as good without it. [S:checkpoint-1]

use std::io::ErrorKind;
use std::sync::Arc;

use turnleaf_format::checkpoint::CheckpointHeader;
use turnleaf_format::{Ordinal, StoreId, ThreadChain, ThreadNumber};

use super::Log;
use crate::disk::Disk;
use crate::error::{DiskFailure, failed};
use crate::layout::{CATALOGUE, CHECKPOINT, TEMPORARY};
use crate::lock::Ownership;

/// How the checkpoint stands to the catalogue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checkpointed {
    /// The newest one that was tried ends here.
    pub(super) end: Ordinal,
    pub(super) state: CheckpointState,
}

/// Whether a checkpoint may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckpointState {
    /// None, while a repair has the store.
    Off,
    /// The next one, when it is worth it.
    Idle,
    /// One is being written.
    Writing,
}

/// A checkpoint that is to be written. It needs nothing of the log while that is done.
#[derive(Debug)]
pub struct CheckpointPlan {
    disk: Arc<dyn Disk>,
    owned: Arc<Ownership>,
    /// The sum of the records before an ordinal, and the catalogue's chain there.
    store: StoreId,
    end: (Ordinal, ThreadChain),
    items: Vec<u8>,
}

impl CheckpointPlan {
    /// Writes it beside the one before and puts it in its place; blocks for as long as the device
    /// takes. A crash leaves the one before, or none, or this one.
    ///
    /// # Errors
    /// When the disk refuses, or the store is owned no longer; nothing is lost. Hand the result to
    /// [`Log::finish_checkpoint`] in either case.
    pub fn run(&self) -> Result<(), DiskFailure> {
        let temporary = format!("{CHECKPOINT}{TEMPORARY}");
        let written = self.write(&temporary);
        if written.is_err() && self.owned.check().is_ok() {
            // What a full disk took of it is given back; else the next owner removes it.
            let _ = self.disk.remove(&temporary);
        }
        written
    }

    fn write(&self, temporary: &str) -> Result<(), DiskFailure> {
        // In a directory that took this one's place the name is that of others. [R:owner-2]
        self.owned.check()?;
        match self.disk.remove(temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("remove", temporary)(error));
            }
            _ => {}
        }
        let header = CheckpointHeader {
            store: self.store,
            end: self.end.0,
            chain: self.end.1,
            body_len: self.items.len() as u64,
            digest: *blake3::hash(&self.items).as_bytes(),
        };
        let file = self.disk.create(temporary);
        let file = file.map_err(failed("create", temporary))?;
        let head = header.encode();
        let written = file.write_at(0, &head);
        let written = written.and_then(|()| file.write_at(head.len() as u64, &self.items));
        written.map_err(failed("write", temporary))?;
        file.sync().map_err(failed("sync", temporary))?;
        self.owned.check()?;
        self.disk
            .rename(temporary, CHECKPOINT)
            .map_err(failed("rename", temporary))?;
        self.disk
            .sync_dir(CATALOGUE)
            .map_err(failed("sync the directory", CATALOGUE))
    }
}

impl Log {
    /// Plans a checkpoint of the catalogue where one is worth it: at least half as many records
    /// came since the newest as there are threads and segments, and not a few. So what is written
    /// grows with the records, and an opening reads half as much again as is in use. None while
    /// seals rest or the disk is full.
    pub fn plan_checkpoint(&mut self) -> Option<CheckpointPlan> {
        let view = self.state.threads.get(&ThreadNumber::CATALOGUE)?;
        let (end, chain) = (view.end, view.chain);
        let at = &self.checkpointed;
        let may_write = at.state == CheckpointState::Idle && !self.is_stopped();
        if !may_write || !view.holes.is_empty() {
            return None;
        }
        // Room and the device are for what is needed.
        if self.journal.is_reserved() || self.sealing.rests() {
            return None;
        }
        let news = end.0.saturating_sub(at.end.0);
        let catalogue = &self.state.catalogue;
        let least = self.options.checkpoint_records_min;
        let least = least.max(catalogue.checkpoint_weight() / 2);
        if news < least || !catalogue.fits_a_checkpoint() {
            return None;
        }
        let mut items = Vec::new();
        catalogue.items().for_each(|item| item.encode(&mut items));
        // Where it fails it is tried again after as many records.
        self.checkpointed = Checkpointed {
            end,
            state: CheckpointState::Writing,
        };
        Some(CheckpointPlan {
            disk: Arc::clone(&self.disk),
            owned: Arc::clone(&self.owned),
            store: self.state.store,
            end: (end, chain),
            items,
        })
    }

    /// Writes a checkpoint, on the caller's thread, where one is worth it.
    pub fn checkpoint(&mut self) {
        if let Some(plan) = self.plan_checkpoint() {
            let result = plan.run();
            self.finish_checkpoint(result);
        }
    }

    /// Takes note of what became of a plan: further ones may follow.
    pub fn finish_checkpoint(&mut self, result: Result<(), DiskFailure>) {
        self.checkpointed.state = CheckpointState::Idle;
        if let Err(failure) = result {
            tracing::warn!(%failure, "the catalogue has no new checkpoint");
        }
    }
}
