//! Owns the hold that one import has on a thread, and the closing of a damaged one.

use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, ThreadNumber};

use crate::error::{Cause, Damage, ReadError};
use crate::layout::{TEMPORARY, segment_path};
use crate::log::{AppendError, Log};
use crate::seal::{Part, RunWriter};

impl Log {
    /// Hands a thread to one import: appends to it are refused until the lease is returned. The
    /// thread must have no staged batch.
    ///
    /// # Errors
    /// [`AppendError::NoThread`], [`AppendError::Busy`], [`AppendError::Quarantined`].
    pub fn lease(&mut self, thread: ThreadNumber) -> Result<(), AppendError> {
        self.state.thread(thread).ok_or(AppendError::NoThread)?;
        if self.quarantined.contains(&thread) {
            return Err(AppendError::Quarantined);
        }
        // Two segments must not take over the same runs. [S:catalogue-8]
        let is_being_sealed = self.is_being_sealed(thread);
        #[cfg(turnleaf_bugs)]
        let is_being_sealed = is_being_sealed && !crate::bugs::LeasedWhileSealed.planted();
        let is_busy = is_being_sealed || self.staged.contains_key(&thread);
        if is_busy || !self.leases.insert(thread) {
            return Err(AppendError::Busy);
        }
        Ok(())
    }

    /// Whether a segment with records of the thread is being written or published.
    #[must_use]
    pub fn is_being_sealed(&self, thread: ThreadNumber) -> bool {
        self.in_seal.contains(&thread)
    }

    /// Ends a lease.
    pub fn return_lease(&mut self, thread: ThreadNumber) {
        self.leases.remove(&thread);
    }

    /// Closes a thread to appends because a read met damage that costs it records. It stays
    /// readable. `[R:quarantine]`
    pub fn quarantine(&mut self, thread: ThreadNumber) {
        if !self.state.catalogue.is_deleted(thread) {
            self.quarantined.insert(thread);
        }
    }

    /// Begins a segment for a leased thread, drained of what the journal and packs hold of it.
    ///
    /// # Errors
    /// When the disk refuses or what is to be drained is damaged.
    ///
    /// # Panics
    /// If the thread is not leased.
    pub fn begin_run(&mut self, thread: ThreadNumber) -> Result<RunWriter, ReadError> {
        assert!(
            self.leases.contains(&thread),
            "a run is begun under a lease"
        );
        let reader = self
            .state
            .reader(thread)
            .expect("a leased thread has a view");
        let part = Part::of(reader);
        if let Some(at) = part.reader.view.next_given_up(part.end) {
            // What comes before it is sealed first; then the run begins behind it.
            return Err(behind_a_loss(thread, at).into());
        }
        let plan = self.plan_of(Class::Run, Vec::new());
        RunWriter::begin(&plan, part)
    }

    /// Removes the unfinished file of a run that was abandoned, if it is still there.
    pub fn abandon_run(&mut self, run: RunWriter) {
        let path = format!("{}{TEMPORARY}", segment_path(Class::Run, run.segment()));
        drop(run);
        if let Err(error) = self.disk.remove(&path) {
            tracing::debug!(%error, path, "an abandoned segment file stays until the next open");
        }
    }
}

fn behind_a_loss(thread: ThreadNumber, at: Ordinal) -> Damage {
    Damage {
        file: crate::layout::JOURNAL.to_owned(),
        offset: 0,
        length: 0,
        thread: Some(thread),
        ordinals: Some((at, at.plus(1))),
        cause: Cause::Missing,
    }
}
