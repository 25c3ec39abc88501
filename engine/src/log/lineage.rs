//! Owns what makes a lineage grow: forks, further rollouts of a thread, bases that were found, and
//! which rollout a thread shows. None of it copies a record. [S:lineage-1]

use turnleaf_format::catalogue::{Awaited, Base, CatalogueRecord};
use turnleaf_format::{ThreadId, ThreadNumber};

use super::{AppendError, Log, Ticket};
use crate::catalogue::Origin;

impl Log {
    /// Stages the creation of a thread whose first rollout goes on from a prefix of another. The
    /// base's thread cannot be deleted from here on.
    ///
    /// # Errors
    /// [`AppendError::Exists`], [`AppendError::Deleted`] of the id; [`AppendError::NoThread`],
    /// [`AppendError::Busy`] of the base, see [`Log::stage_origin`].
    pub fn stage_fork(
        &mut self,
        id: &ThreadId,
        base: Base,
    ) -> Result<(ThreadNumber, Ticket), AppendError> {
        self.may_be_a_base(base)?;
        let thread = self.new_thread(id)?;
        let created = CatalogueRecord::ThreadCreated {
            thread,
            id: id.clone(),
            at_ms: self.now_ms,
        };
        let based = self.origin_record(thread, Origin::Base(base));
        let ticket = self.stage_catalogue(&[created, based]);
        self.staging.creations.insert(id.clone(), (thread, ticket));
        self.stage_fact_of(thread, ticket);
        self.stage_fact_of(base.rollout, ticket);
        Ok((thread, ticket))
    }

    /// Stages the creation of a thread whose first rollout waits for its base.
    ///
    /// # Errors
    /// [`AppendError::Exists`], [`AppendError::Deleted`].
    pub fn stage_awaiting_thread(
        &mut self,
        id: &ThreadId,
        awaited: Awaited,
    ) -> Result<(ThreadNumber, Ticket), AppendError> {
        let thread = self.new_thread(id)?;
        let created = CatalogueRecord::ThreadCreated {
            thread,
            id: id.clone(),
            at_ms: self.now_ms,
        };
        let awaits = CatalogueRecord::Awaits {
            rollout: thread,
            awaited,
        };
        let ticket = self.stage_catalogue(&[created, awaits]);
        self.staging.creations.insert(id.clone(), (thread, ticket));
        self.stage_fact_of(thread, ticket);
        Ok((thread, ticket))
    }

    /// Stages a further rollout of a thread, and where `is_current`, that the thread shows it from
    /// here on. Batches for it may be staged at once, behind it.
    ///
    /// # Errors
    /// [`AppendError::NoThread`] for the thread; as [`Log::stage_origin`] for what it goes on from.
    pub fn stage_rollout(
        &mut self,
        thread: ThreadNumber,
        id: &ThreadId,
        origin: Option<Origin>,
        is_current: bool,
    ) -> Result<(ThreadNumber, Ticket), AppendError> {
        self.state.thread(thread).ok_or(AppendError::NoThread)?;
        let base = origin.as_ref().and_then(|origin| match origin {
            Origin::Base(base) => Some(*base),
            Origin::Awaited(_) => None,
        });
        if let Some(base) = base {
            self.may_be_a_base(base)?;
        }
        let rollout = self.state.catalogue.next_thread();
        let at_ms = self.now_ms;
        let mut facts = vec![CatalogueRecord::RolloutCreated {
            rollout,
            thread,
            id: id.clone(),
            at_ms,
        }];
        facts.extend(origin.map(|origin| self.origin_record(rollout, origin)));
        facts.extend(is_current.then_some(CatalogueRecord::Current {
            thread,
            rollout,
            at_ms,
        }));
        let ticket = self.stage_catalogue(&facts);
        for of in [Some(thread), Some(rollout), base.map(|base| base.rollout)] {
            of.into_iter().for_each(|of| self.stage_fact_of(of, ticket));
        }
        Ok((rollout, ticket))
    }

    /// Stages what a rollout goes on from that is there already: its base was found, or its source
    /// says what it waits for.
    ///
    /// # Errors
    /// [`AppendError::NoThread`] where the rollout or the base is not there, or the base ends
    /// before the cut, or goes on from the rollout itself; [`AppendError::Exists`] where a base is
    /// known; [`AppendError::Busy`] while a deletion of the base's thread, another fact about it,
    /// or what the rollout goes on from is staged.
    pub fn stage_origin(
        &mut self,
        rollout: ThreadNumber,
        origin: Origin,
    ) -> Result<Ticket, AppendError> {
        self.state.thread_of(rollout).ok_or(AppendError::NoThread)?;
        if self.state.catalogue.base(rollout).is_some() {
            return Err(AppendError::Exists);
        }
        if self.staging.origins.contains_key(&rollout) {
            return Err(AppendError::Busy);
        }
        let mut of = vec![rollout];
        let mut base_of = None;
        if let Origin::Base(base) = &origin {
            self.may_be_a_base(*base)?;
            if self.will_go_on_from(base.rollout, rollout) {
                return Err(AppendError::NoThread);
            }
            base_of = Some(base.rollout);
            of.push(base.rollout);
        }
        let record = self.origin_record(rollout, origin);
        let ticket = self.stage_catalogue(&[record]);
        self.staging.origins.insert(rollout, (base_of, ticket));
        of.into_iter().for_each(|of| self.stage_fact_of(of, ticket));
        Ok(ticket)
    }

    /// Stages that a thread shows another one of its rollouts; `None` when it does already.
    ///
    /// # Errors
    /// [`AppendError::NoThread`] where the rollout is none of the thread's.
    pub fn stage_current(
        &mut self,
        thread: ThreadNumber,
        rollout: ThreadNumber,
    ) -> Result<Option<Ticket>, AppendError> {
        if self.state.thread_of(rollout) != Some(thread) {
            return Err(AppendError::NoThread);
        }
        if self.state.current(thread) == rollout {
            return Ok(None);
        }
        let at_ms = self.now_ms;
        let ticket = self.stage_catalogue(&[CatalogueRecord::Current {
            thread,
            rollout,
            at_ms,
        }]);
        self.stage_fact_of(thread, ticket);
        Ok(Some(ticket))
    }

    /// Whether a rollout is another one, or goes on from it once what is staged is durable.
    #[must_use]
    pub fn will_go_on_from(&self, rollout: ThreadNumber, other: ThreadNumber) -> bool {
        let durable = |rollout| self.state.catalogue.base(rollout).map(|base| base.rollout);
        let staged = |rollout| self.staging.origins.get(&rollout)?.0;
        let next = |rollout: &ThreadNumber| durable(*rollout).or_else(|| staged(*rollout));
        std::iter::successors(Some(rollout), next).any(|at| at == other)
    }

    /// Whether a rollout can be a base up to that end, now and when what is staged is durable.
    fn may_be_a_base(&self, base: Base) -> Result<(), AppendError> {
        let thread = self.state.thread_of(base.rollout);
        let thread = thread.ok_or(AppendError::NoThread)?;
        let view = self.state.threads.get(&base.rollout);
        if view.is_none_or(|view| view.end < base.end) {
            return Err(AppendError::NoThread);
        }
        // Its deletion may be staged.
        if self.has_staged_fact(thread) {
            return Err(AppendError::Busy);
        }
        Ok(())
    }

    fn origin_record(&self, rollout: ThreadNumber, origin: Origin) -> CatalogueRecord {
        match origin {
            Origin::Base(base) => CatalogueRecord::Based {
                rollout,
                base,
                at_ms: self.now_ms,
            },
            Origin::Awaited(awaited) => CatalogueRecord::Awaits { rollout, awaited },
        }
    }
}
