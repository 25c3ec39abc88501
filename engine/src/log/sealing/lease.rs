//! Owns the hold that one import has on a thread, and the closing of a damaged one.

use turnleaf_format::ThreadNumber;
use turnleaf_format::segment::Class;

use super::write::RunWriter;
use crate::error::ReadError;
use crate::log::{AppendError, Log};
use crate::stretch::Sizes;

impl Log {
    /// Hands a thread to one import: appends to it are refused until the lease is returned. The
    /// thread must have no staged batch.
    ///
    /// # Errors
    /// [`AppendError::NoThread`], [`AppendError::Busy`], [`AppendError::Quarantined`].
    pub fn lease(&mut self, thread: ThreadNumber) -> Result<(), AppendError> {
        self.state.thread_of(thread).ok_or(AppendError::NoThread)?;
        if self.closed.contains(thread) {
            return Err(AppendError::Quarantined);
        }
        // Two segments must not take over the same runs. [S:catalogue-8]
        let is_being_sealed = self.is_being_sealed(thread);
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
            self.closed.close(thread);
        }
    }

    /// Begins a segment for a leased thread with its open stretch: what the journal and packs hold
    /// of it. Closed ones are sealed before, see [`Log::plan_closed`].
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
        let view = self.state.threads.get(&thread);
        let view = view.expect("a leased thread has a view");
        let open = self.open_of(view);
        let part = self.part_of(thread, open);
        let part = part.expect("a leased thread has a view");
        let closed = self.backlog.stretches.get(&thread);
        let closed = closed.is_some_and(|stretches| !stretches.closed.is_empty());
        assert!(!closed, "closed stretches are sealed before a run begins");
        let segment = self.state.catalogue.next_segment();
        let plan = self.plan_of(Vec::new());
        let begun = RunWriter::begin(&plan, segment, part, Sizes::of(&self.options));
        begun.map_err(|failure| {
            self.remove_unfinished(segment, Class::Run);
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
