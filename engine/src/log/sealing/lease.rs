//! Owns the hold that one import has on a thread, and the closing of a damaged one.

use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, ThreadNumber};

use crate::error::{Cause, Damage, ReadError};
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
        let is_busy = is_being_sealed || self.staged_of(thread).is_some();
        if is_busy || !self.leases.insert(thread) {
            return Err(AppendError::Busy);
        }
        Ok(())
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
        RunWriter::begin(&plan, part).map_err(|failure| {
            self.remove_unfinished(plan.segment, plan.class);
            failure.error
        })
    }

    /// Removes the file of a run that was abandoned: before it was finished, or because finishing
    /// it failed. What was published stays.
    pub fn abandon_run(&mut self, run: RunWriter) {
        let segment = run.segment();
        drop(run);
        self.remove_unfinished(segment, Class::Run);
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
