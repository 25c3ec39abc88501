//! Owns the journal file that is made ready ahead: filled with zeros and synced while appends go
//! on in the file before, so that none waits for that. It must not know who does it, or when.
//!
//! The file has a temporary name until it is begun: what a crash leaves of it is void. [S:names-4]

use std::io::ErrorKind;
use std::sync::Arc;

use super::{Journal, LiveFile};
use crate::disk::{Disk, DiskFile};
use crate::error::{DiskFailure, failed};
use crate::journal::file::create_filled;
use crate::layout::{NEXT_JOURNAL, journal_path};

/// What there is for the next beginning.
#[derive(Debug)]
pub(crate) enum Ahead {
    Nothing,
    /// Somebody fills it.
    Filling,
    /// Its bytes are durable.
    Ready(Prepared),
    /// That failed; it is not tried again for the same beginning.
    Failed,
}

#[derive(Debug)]
pub(crate) struct Prepared {
    capacity: u64,
    file: Arc<dyn DiskFile>,
}

/// A file that is to be filled. It needs nothing of the journal while that is done.
#[derive(Debug)]
pub(crate) struct FilePlan {
    disk: Arc<dyn Disk>,
    capacity: u64,
}

impl FilePlan {
    /// Fills it and makes the zeros durable. Where that fails nothing of it stays.
    pub(crate) fn run(&self) -> Result<Prepared, DiskFailure> {
        let (disk, path) = (&*self.disk, NEXT_JOURNAL);
        match disk.remove(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("remove", path)(error));
            }
            _ => {}
        }
        let capacity = self.capacity;
        let file = create_filled(disk, path, capacity)?;
        match file.sync() {
            Ok(()) => Ok(Prepared { capacity, file }),
            Err(error) => {
                // A file that failed once is never used. [S:journal-6]
                let _ = disk.remove(path);
                Err(failed("sync", path)(error))
            }
        }
    }
}

impl Journal {
    /// A plan for the file after the active one, where an append would have to make that: this
    /// owner fills one file after the other, the active one is more than half full, and none stands
    /// there that can be recycled.
    pub(crate) fn plan_file(&mut self) -> Option<FilePlan> {
        if !self.wants_file() {
            return None;
        }
        self.ahead = Ahead::Filling;
        Some(FilePlan {
            disk: Arc::clone(&self.disk),
            capacity: self.size(0, false).wanted,
        })
    }

    /// Whether [`Journal::plan_file`] has a plan.
    pub(crate) fn wants_file(&self) -> bool {
        let newest = self.live.back();
        let takes_batches = newest.is_some_and(LiveFile::takes_batches);
        let is_idle = matches!(self.ahead, Ahead::Nothing) && takes_batches;
        let may_grow = self.grows() && self.live.len() < self.files_max;
        let is_half_full = self.end.offset > self.active().capacity / 2;
        is_idle && may_grow && is_half_full && {
            let wanted = self.size(0, false).wanted;
            self.usable(wanted / 2).is_none()
        }
    }

    /// Takes over what became of a plan.
    pub(crate) fn finish_file(&mut self, result: Result<Prepared, DiskFailure>) {
        self.ahead = match result {
            Ok(ready) => Ahead::Ready(ready),
            Err(failure) => {
                tracing::warn!(%failure, "no journal file is made ready ahead");
                Ahead::Failed
            }
        };
        if !self.grows() {
            // The journal was made small meanwhile.
            self.give_back_ready();
        }
    }

    /// The capacity of the file that is ready.
    pub(super) fn ready_bytes(&self) -> Option<u64> {
        match &self.ahead {
            Ahead::Ready(ready) => Some(ready.capacity),
            Ahead::Nothing | Ahead::Filling | Ahead::Failed => None,
        }
    }

    /// Takes the file that is ready, if it is as large as this, under a name that nothing has.
    pub(super) fn take_ready(&mut self, capacity: u64) -> Option<(u64, Arc<dyn DiskFile>)> {
        self.ready_bytes().filter(|ready| *ready >= capacity)?;
        if let Err(failure) = self.name_ready() {
            tracing::warn!(%failure, "the journal file that is ready is not used");
            return None;
        }
        match std::mem::replace(&mut self.ahead, Ahead::Nothing) {
            Ahead::Ready(ready) => Some((ready.capacity, ready.file)),
            Ahead::Nothing | Ahead::Filling | Ahead::Failed => None,
        }
    }

    fn name_ready(&mut self) -> Result<(), DiskFailure> {
        loop {
            let path = journal_path(self.next_slot);
            let stands = self.disk.id_at(&path);
            if stands.map_err(failed("look at", &path))?.is_none() {
                let renamed = self.disk.rename(NEXT_JOURNAL, &path);
                return renamed.map_err(failed("rename", NEXT_JOURNAL));
            }
            // What stands there is not known to be nobody's.
            self.next_slot = self.next_slot.wrapping_add(1);
        }
    }

    /// Removes the file that is ready, if there is one: its room is needed, or it never will be.
    /// Returns whether that gave room back.
    pub(super) fn give_back_ready(&mut self) -> bool {
        if self.ready_bytes().is_none() {
            return false;
        }
        let removed = self.disk.remove(NEXT_JOURNAL);
        if let Err(error) = &removed {
            tracing::warn!(%error, "a journal file that was made ready stays");
        }
        self.ahead = Ahead::Nothing;
        removed.is_ok()
    }

    /// A file was begun: what failed may be tried again for the next.
    pub(super) fn begun_anew(&mut self) {
        if matches!(self.ahead, Ahead::Failed) {
            self.ahead = Ahead::Nothing;
        }
    }
}
