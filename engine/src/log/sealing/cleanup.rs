//! Owns the removal of files that nothing needs any more, and the room that is held in reserve.

use std::sync::Arc;

use turnleaf_format::SegmentId;
use turnleaf_format::segment::Class;

use crate::error::{DiskFailure, failed};
use crate::layout::{TEMPORARY, segment_path};
use crate::log::{CommitState, Log};
use crate::reserve;

impl Log {
    /// Removes files that nothing needs any more: replaced segments that no reader holds, journal
    /// files beyond the recycled ones that `keep_free` allows.
    ///
    /// # Errors
    /// When the disk refuses; the rest is tried at the next call.
    pub fn clean_up(&mut self, keep_free: usize) -> Result<(), DiskFailure> {
        // In a directory that took this one's place the names are those of others. [R:owner-2]
        self.owned.check()?;
        let mut refused = self.remove_leftovers();
        self.journal.recycle();
        let mut gave_back = self.journal.trim(keep_free)?;
        let mut kept = Vec::new();
        for file in self.segment_files.take_removals() {
            let held = Arc::strong_count(&file) > 1;
            if held {
                kept.push(file);
                continue;
            }
            self.state.segments.forget(file.segment);
            let path = segment_path(file.class, file.segment);
            match self.disk.remove(&path) {
                Ok(()) => gave_back = true,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    refused = Err(failed("remove", &path)(error));
                    kept.push(file);
                }
            }
        }
        self.segment_files.queue_removals(kept);
        if gave_back {
            self.hold_reserve();
        }
        refused
    }

    /// Removes the file of a segment that was not published, whatever name it has by now. What
    /// cannot be removed is remembered, and tried again.
    pub(in crate::log) fn remove_unfinished(&mut self, segment: SegmentId, class: Class) {
        let path = segment_path(class, segment);
        let leftovers = &mut self.sealing.leftovers;
        leftovers.extend([format!("{path}{TEMPORARY}"), path]);
        if let Err(failure) = self.remove_leftovers() {
            tracing::warn!(%failure, "an unfinished segment stays for now");
        }
    }

    /// Tries again to remove what could not be removed.
    pub(super) fn remove_leftovers(&mut self) -> Result<(), DiskFailure> {
        if self.sealing.leftovers.is_empty() {
            return Ok(());
        }
        self.owned.check()?;
        let (disk, mut refused) = (&self.disk, Ok(()));
        self.sealing.leftovers.retain(|path| {
            let removed = disk.remove(path);
            let is_gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
            match removed.map_err(|error| (is_gone(&error), error)) {
                Ok(()) | Err((true, _)) => false,
                Err((false, error)) => {
                    refused = Err(failed("remove", path)(error));
                    true
                }
            }
        });
        refused
    }

    /// Holds the reserve again where some of it was spent and there is room.
    pub(in crate::log) fn hold_reserve(&self) {
        let bytes = self.options.reserve_bytes;
        if reserve::is_whole(&*self.disk, bytes) {
            return;
        }
        if let Err(failure) = reserve::hold(&*self.disk, bytes) {
            tracing::warn!(%failure, "nothing is held back for a full disk");
        }
    }

    /// Lets batches into a file that was begun out of the reserve, where that is whole again.
    pub(in crate::log) fn open_to_batches(&mut self) {
        if reserve::is_whole(&*self.disk, self.options.reserve_bytes) {
            self.journal.reserve_is_whole();
        }
    }

    /// Gives back the space of journal files that nothing needs: worth it after everything was
    /// sealed.
    ///
    /// # Errors
    /// When the disk refuses; nothing is lost.
    pub fn shrink_journal(&mut self) -> Result<(), DiskFailure> {
        if self.commit == CommitState::InFlight || self.has_staged() {
            return Ok(());
        }
        self.owned.check()?;
        let point = self.catalogue_point();
        self.journal.restart(point)?;
        self.clean_up(0)
    }
}
