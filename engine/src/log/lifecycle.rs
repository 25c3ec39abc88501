//! Owns what becomes of a thread as a whole: its creation, its archive, its deletion.

use std::collections::BTreeSet;

use turnleaf_format::catalogue::{Awaited, CatalogueRecord};
use turnleaf_format::{Ordinal, SegmentId, ThreadId, ThreadNumber};

use super::{AppendError, Log, PINNED_BYTES, Ticket};

impl Log {
    /// Stages the creation of a thread; batches for it may be staged at once, behind it. One of
    /// which only a name was imported is created with that name.
    ///
    /// # Errors
    /// [`AppendError::Exists`], [`AppendError::Deleted`].
    pub fn stage_thread(&mut self, id: &ThreadId) -> Result<(ThreadNumber, Ticket), AppendError> {
        let known = self.state.catalogue.numbers.get(id).copied();
        let known = known.filter(|thread| self.state.is_announced(*thread));
        if let Some(thread) = known.filter(|_| !self.staging.creations.contains_key(id)) {
            return self.stage_arrival(thread, id);
        }
        let thread = self.new_thread(id)?;
        let at_ms = self.now_ms;
        let created = CatalogueRecord::ThreadCreated {
            thread,
            id: id.clone(),
            at_ms,
        };
        let ticket = self.stage_catalogue(&[created]);
        self.staging.creations.insert(id.clone(), (thread, ticket));
        self.stage_fact_of(thread, ticket);
        Ok((thread, ticket))
    }

    /// Stages the creation of a thread whose id is that of one that was deleted, with what its
    /// first rollout waits for. It has nothing of the old one, whose deletion is durable.
    /// [S:catalogue-16]
    ///
    /// # Errors
    /// [`AppendError::Exists`] for an id that is free, or that of a thread that is there.
    pub fn stage_thread_again(
        &mut self,
        id: &ThreadId,
        awaited: Option<Awaited>,
    ) -> Result<(ThreadNumber, Ticket), AppendError> {
        if !self.state.was_deleted(id) || self.staging.creations.contains_key(id) {
            return Err(AppendError::Exists);
        }
        let thread = self.state.catalogue.next_thread();
        let created = CatalogueRecord::ThreadCreatedAgain {
            thread,
            id: id.clone(),
            at_ms: self.now_ms,
        };
        let awaits = awaited.map(|awaited| CatalogueRecord::Awaits {
            rollout: thread,
            awaited,
        });
        let facts: Vec<CatalogueRecord> = [Some(created), awaits].into_iter().flatten().collect();
        let ticket = self.stage_catalogue(&facts);
        self.staging.creations.insert(id.clone(), (thread, ticket));
        self.stage_fact_of(thread, ticket);
        Ok((thread, ticket))
    }

    /// The number of a thread that is about to be created, whose id must be free.
    pub(super) fn new_thread(&mut self, id: &ThreadId) -> Result<ThreadNumber, AppendError> {
        let is_taken = self.state.thread_number(id).is_some();
        if is_taken || self.staging.creations.contains_key(id) {
            return Err(AppendError::Exists);
        }
        if self.state.was_deleted(id) {
            return Err(AppendError::Deleted);
        }
        Ok(self.state.catalogue.next_thread())
    }

    /// Stages that a thread is there of which only a name was imported before. [S:catalogue-15]
    fn stage_arrival(
        &mut self,
        thread: ThreadNumber,
        id: &ThreadId,
    ) -> Result<(ThreadNumber, Ticket), AppendError> {
        if !self.state.is_announced(thread) {
            return Err(AppendError::Exists);
        }
        let arrived = CatalogueRecord::Import {
            thread,
            source_bytes: 0,
            ordinal_end: Ordinal(0),
            file_bytes: 0,
            modified_ns: 0,
            path: String::new(),
        };
        let ticket = self.stage_catalogue(&[arrived]);
        self.staging.creations.insert(id.clone(), (thread, ticket));
        self.stage_fact_of(thread, ticket);
        Ok((thread, ticket))
    }

    /// Stages that a name of a thread is about to be appended that was imported from the list at
    /// `path`, of `file_bytes` bytes. A thread that is not there stays hidden with it: the
    /// catalogue says so before the name is durable, because a name alone would show the thread.
    /// `None` for the ticket of a thread that is there, and nothing was staged. [S:catalogue-14]
    ///
    /// # Errors
    /// [`AppendError::Deleted`].
    pub fn stage_announcement(
        &mut self,
        id: &ThreadId,
        path: &str,
        file_bytes: u64,
    ) -> Result<(ThreadNumber, Option<Ticket>), AppendError> {
        let known = self.state.catalogue.numbers.get(id).copied();
        if self.state.was_deleted(id) {
            return Err(AppendError::Deleted);
        }
        if let Some(thread) = known.filter(|thread| !self.state.is_announced(*thread)) {
            return Ok((thread, None));
        }
        let thread = known.unwrap_or_else(|| self.state.catalogue.next_thread());
        let end = self.staged_end(thread).unwrap_or(Ordinal(0));
        let announced = CatalogueRecord::Import {
            thread,
            source_bytes: 0,
            ordinal_end: end.plus(1),
            file_bytes: file_bytes.max(1),
            modified_ns: 0,
            path: path.to_owned(),
        };
        let created = CatalogueRecord::ThreadCreated {
            thread,
            id: id.clone(),
            at_ms: self.now_ms,
        };
        let is_new = known.is_none();
        let facts = [created, announced];
        let ticket = self.stage_catalogue(&facts[usize::from(!is_new)..]);
        if is_new {
            self.staging.creations.insert(id.clone(), (thread, ticket));
        }
        self.stage_fact_of(thread, ticket);
        Ok((thread, Some(ticket)))
    }

    /// Stages that a thread is archived, or no longer. `None` when it is so already. The reserve
    /// serves for it where the disk is full.
    ///
    /// # Errors
    /// [`AppendError::NoThread`].
    pub fn stage_archive(
        &mut self,
        thread: ThreadNumber,
        archived: bool,
    ) -> Result<Option<Ticket>, AppendError> {
        let fact = self.state.thread(thread).ok_or(AppendError::NoThread)?;
        if fact.archived == archived {
            return Ok(None);
        }
        let at_ms = self.now_ms;
        self.staging.may_use_reserve = true;
        Ok(Some(self.stage_catalogue(&[CatalogueRecord::Archived {
            thread,
            at_ms,
            archived,
        }])))
    }

    /// Stages the deletion of a thread, whatever state it is in: from its commit on the thread is
    /// hidden and nothing of it is asked for. What was staged for it before goes with it. The
    /// reserve serves for it where the disk is full. [S:catalogue-9]
    ///
    /// # Errors
    /// [`AppendError::NoThread`]; [`AppendError::Busy`] while an import has one of its rollouts, or
    /// something may be about to go on from it; [`AppendError::IsBase`].
    pub fn stage_deletion(&mut self, thread: ThreadNumber) -> Result<Ticket, AppendError> {
        let staged = self.stage_deletions(&[thread]);
        staged.map_err(|(_, reason)| reason)
    }

    /// As [`Log::stage_deletion`], of several threads: all of them go, or none. They may go on from
    /// each other. The reserve holds a thousand.
    ///
    /// # Errors
    /// As [`Log::stage_deletion`], with the thread: [`AppendError::IsBase`] where one goes on from
    /// it that stays.
    pub fn stage_deletions(
        &mut self,
        threads: &[ThreadNumber],
    ) -> Result<Ticket, (ThreadNumber, AppendError)> {
        let gone: BTreeSet<ThreadNumber> = threads.iter().copied().collect();
        for thread in threads {
            self.may_be_deleted(*thread, &gone)
                .map_err(|reason| (*thread, reason))?;
        }
        let at_ms = self.now_ms;
        self.staging.may_use_reserve = true;
        let deleted = |thread: &ThreadNumber| CatalogueRecord::Deleted {
            thread: *thread,
            at_ms,
        };
        let facts: Vec<CatalogueRecord> = threads.iter().map(deleted).collect();
        let ticket = self.stage_catalogue(&facts);
        // No import may take one before that is durable.
        for thread in threads {
            self.stage_fact_of(*thread, ticket);
        }
        Ok(ticket)
    }

    fn may_be_deleted(
        &self,
        thread: ThreadNumber,
        gone: &BTreeSet<ThreadNumber>,
    ) -> Result<(), AppendError> {
        self.state.thread(thread).ok_or(AppendError::NoThread)?;
        let catalogue = &self.state.catalogue;
        let leased = |of| self.leases.contains(&of);
        if catalogue.rollouts_of(thread).any(leased) || self.has_staged_fact(thread) {
            return Err(AppendError::Busy);
        }
        let stays = |rollout| {
            let of = self.state.thread_of(rollout);
            of.is_some_and(|of| !gone.contains(&of))
        };
        if self.state.referrers_of(thread).any(stays) {
            return Err(AppendError::IsBase);
        }
        Ok(())
    }

    /// Notes that a fact about a rollout is staged, and so about its thread.
    pub(super) fn stage_fact_of(&mut self, rollout: ThreadNumber, ticket: Ticket) {
        let thread = self.state.catalogue.thread_of(rollout);
        for of in [Some(rollout), thread].into_iter().flatten() {
            let durable = self.durable_end(of);
            let staged = self.staging.threads.entry(of).or_insert(durable);
            staged.facts_upto = ticket.count;
        }
    }

    /// Forgets a thread whose deletion is durable: its frames, and segments that hold nothing else;
    /// they are among `held`. Readers keep what they hold.
    pub(super) fn forget_thread(&mut self, thread: ThreadNumber, held: &[SegmentId]) {
        let rollouts: Vec<_> = self.state.catalogue.rollouts_of(thread).collect();
        for rollout in rollouts {
            self.forget_rollout(rollout);
        }
        for segment in held {
            self.queue_removal_if_unused(*segment);
        }
    }

    fn forget_rollout(&mut self, thread: ThreadNumber) {
        let view = self.state.threads.remove(&thread);
        for frame in view.iter().flat_map(|view| &view.frames) {
            self.journal.released(frame.file.generation, frame.stride());
        }
        self.backlog.frames -= view.map_or(0, |view| view.frames.len());
        self.backlog.forget_thread(thread);
        for generation in self.closed.forget_thread(thread) {
            self.journal.released(generation, PINNED_BYTES);
        }
        self.sealing.forget_thread(thread);
    }
}
