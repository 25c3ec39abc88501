//! Owns what waits for a commit: the two queues of frames, what became of those that left them, and
//! which threads have something in them.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use turnleaf_format::{Ordinal, ThreadChain, ThreadId, ThreadNumber};

use super::Log;
use crate::error::DiskFailure;
use crate::journal::{self, NewFrame};

/// Stretches of failed frames that are remembered.
const FAILURES_MAX: usize = 1000;

/// Names a staged batch until its outcome is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub(super) of_facts: bool,
    /// Frames of the queue up to and including the batch's last.
    pub(super) count: u64,
}

/// What became of a staged batch.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is not known yet.
    Pending,
    /// It is durable.
    Durable,
    /// It is not acknowledged, and this owner will never show it. Whether the disk has it is not
    /// known where a sync failed or the store was moved meanwhile: then the next owner, or the
    /// moved store, may show it, whole.
    Failed(Arc<DiskFailure>),
    /// It was not written, and never will be: the journal is at its budget, and whoever sealed is
    /// no more.
    Refused,
}

/// Why frames failed.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    Disk(Arc<DiskFailure>),
    /// There was no room, and nobody makes any.
    Refused,
}

/// Frames that wait for their commit, first in, first out.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) frames: VecDeque<NewFrame>,
    /// Frames that ever entered.
    pub(super) staged: u64,
    /// Frames whose outcome is known.
    pub(super) settled: u64,
    /// Frames that failed, with the newest reason; consecutive failures are merged, and at most
    /// [`FAILURES_MAX`] ranges are kept.
    pub(super) failures: VecDeque<(Range<u64>, Failure)>,
    /// Of frames up to this one it is no longer known which failed.
    forgotten: u64,
}

impl Queue {
    pub(super) fn push(&mut self, frames: Vec<NewFrame>) -> u64 {
        self.staged += frames.len() as u64;
        self.frames.extend(frames);
        self.staged
    }

    pub(super) fn fail(&mut self, failure: &Failure) {
        self.frames.clear();
        let failed = self.settled + 1..self.staged + 1;
        match self.failures.back_mut() {
            // What fails again and again takes one place.
            Some((range, reason)) if range.end == failed.start => {
                (range.end, *reason) = (failed.end, failure.clone());
            }
            _ if failed.is_empty() => {}
            _ => self.failures.push_back((failed, failure.clone())),
        }
        if self.failures.len() > FAILURES_MAX {
            let oldest = self.failures.pop_front();
            self.forgotten = oldest.map_or(0, |(range, _)| range.end - 1);
        }
        self.settled = self.staged;
    }

    fn outcome(&self, count: u64) -> Outcome {
        if count > self.settled {
            return Outcome::Pending;
        }
        let mut failures = self.failures.iter();
        let failed = failures.find(|(range, _)| range.contains(&count));
        // What is no longer known is not called durable.
        let unknown = self.failures.front().filter(|_| count <= self.forgotten);
        let failed = failed.or(unknown).map(|(_, failure)| failure.clone());
        failed.map_or(Outcome::Durable, |failure| match failure {
            Failure::Disk(failure) => Outcome::Failed(failure),
            Failure::Refused => Outcome::Refused,
        })
    }
}

/// What is staged of one thread, until all of it is settled.
#[derive(Debug, Clone, Copy)]
pub(super) struct StagedThread {
    /// Where the thread ends with its staged batches.
    pub(super) end: Ordinal,
    /// The chain there.
    pub(super) chain: ThreadChain,
    /// Its newest frame among the batches; 0 for none.
    pub(super) batches_upto: u64,
    /// The newest fact about it, or, of the catalogue, its newest frame; 0 for none.
    pub(super) facts_upto: u64,
}

/// What waits for a commit, and what became of what did.
///
/// INVARIANT: `threads`, `creations` and `origins` describe frames of the two queues, or of the
/// group in flight, and nothing that is settled. After a failure nothing is staged any more.
#[derive(Debug, Default)]
pub(super) struct Staging {
    /// Catalogue records. They are written before batches, so that publishing a segment never waits
    /// for the room that it makes.
    pub(super) facts: Queue,
    pub(super) batches: Queue,
    /// Threads of which something is staged.
    pub(super) threads: HashMap<ThreadNumber, StagedThread>,
    /// Threads whose creation is staged.
    pub(super) creations: HashMap<ThreadId, (ThreadNumber, Ticket)>,
    /// Rollouts of which it is staged what they go on from: that, and its ticket.
    pub(super) origins: HashMap<ThreadNumber, (Option<ThreadNumber>, Ticket)>,
    /// Whether a fact is staged that may use the disk reserve.
    pub(super) may_use_reserve: bool,
}

impl Staging {
    /// Whether a batch or fact waits for a commit that did not begin yet.
    pub(super) fn is_empty(&self) -> bool {
        self.facts.frames.is_empty() && self.batches.frames.is_empty()
    }

    fn outcome(&self, ticket: Ticket) -> Outcome {
        if ticket.of_facts {
            self.facts.outcome(ticket.count)
        } else {
            self.batches.outcome(ticket.count)
        }
    }

    /// The newest batch of a thread, or fact about it, that is not settled yet.
    fn newest_of(&self, thread: ThreadNumber) -> Option<Ticket> {
        let staged = self.threads.get(&thread)?;
        let batches = (staged.batches_upto > self.batches.settled).then_some(Ticket {
            of_facts: false,
            count: staged.batches_upto,
        });
        let facts = (staged.facts_upto > self.facts.settled).then_some(Ticket {
            of_facts: true,
            count: staged.facts_upto,
        });
        batches.or(facts)
    }

    /// Forgets what a commit settled: those threads are described by their view alone.
    pub(super) fn forget_settled(&mut self, commit: &journal::Commit) {
        self.may_use_reserve &= !self.facts.frames.is_empty();
        let mut facts = false;
        for placed in &commit.frames {
            let thread = placed.frame.thread;
            facts |= thread == ThreadNumber::CATALOGUE;
            if self.newest_of(thread).is_none() {
                self.threads.remove(&thread);
            }
        }
        if facts {
            let settled = (self.batches.settled, self.facts.settled);
            self.threads.retain(|_, staged| {
                staged.batches_upto > settled.0 || staged.facts_upto > settled.1
            });
            self.creations
                .retain(|_, (_, ticket)| ticket.count > settled.1);
            self.origins
                .retain(|_, (_, ticket)| ticket.count > settled.1);
        }
    }

    /// Fails the group in flight and everything staged behind it.
    pub(super) fn fail(&mut self, failure: &Failure) {
        self.facts.fail(failure);
        self.batches.fail(failure);
        self.may_use_reserve = false;
    }

    /// Forgets which threads something was staged of, and returns them.
    fn take_threads(&mut self) -> impl Iterator<Item = ThreadNumber> + use<> {
        self.creations.clear();
        self.origins.clear();
        std::mem::take(&mut self.threads).into_keys()
    }
}

impl Log {
    /// What became of a batch.
    #[must_use]
    pub fn outcome(&self, ticket: Ticket) -> Outcome {
        self.staging.outcome(ticket)
    }

    /// Whether a batch or fact waits for a commit that did not begin yet.
    #[must_use]
    pub fn has_staged(&self) -> bool {
        !self.staging.is_empty()
    }

    /// The newest batch of a thread, or fact about it, that is not settled yet; `None` when the
    /// thread is as [`Log::state`] shows it.
    #[must_use]
    pub fn staged_of(&self, thread: ThreadNumber) -> Option<Ticket> {
        self.staging.newest_of(thread)
    }

    /// Whether a fact about a thread is staged: its creation, its deletion, which rollout it shows,
    /// what goes on from it.
    #[must_use]
    pub fn has_staged_fact(&self, thread: ThreadNumber) -> bool {
        let staged = self.staging.threads.get(&thread);
        staged.is_some_and(|staged| staged.facts_upto > self.staging.facts.settled)
    }

    /// The creation of a thread, while it is only staged.
    #[must_use]
    pub fn staged_creation(&self, id: &ThreadId) -> Option<Ticket> {
        self.staging.creations.get(id).map(|(_, ticket)| *ticket)
    }

    /// Forgets what failed, and of each thread the first frames of a record whose others failed:
    /// they are void, and the record's ordinal is given again. [S:record-7] [R:frame-14]
    pub(super) fn forget_failed(&mut self) {
        for thread in self.staging.take_threads() {
            self.drop_unfinished(thread);
        }
    }
}
