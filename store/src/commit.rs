//! Owns the protocol of all who change a log together: who commits, who waits, who is woken, and
//! what becomes of the others when one of them panics.
//!
//! The log is a plain value behind one mutex ([`Committer`]). Three parties meet there.
//!
//! - A *follower* staged a batch or a fact under the lock and waits for its outcome, or for
//!   something else that a commit brings about ([`Committer::wait_for`]). It sleeps on `settled`.
//! - The *leader* is whoever of them finds something staged and no group being written. It takes
//!   the whole staged group under the lock, writes and syncs it without, while others stage the
//!   next, and moves the end under the lock again. Then it wakes all followers, and the first that
//!   finds its batch still waiting leads next. Nobody leads for others only: once its own wait is
//!   over, it returns.
//! - The *sealer* (`sealer.rs`) writes segments without the lock and publishes each with a fact. It
//!   waits for that fact's commit like a follower, and for something to seal on `work`. It also
//!   makes the next journal file ready, without the log, so that a leader need not.
//!
//! A leader whose batch needs room that only a seal makes is a follower until that seal is over.
//! Facts never wait for room, so the sealer never waits for a follower that waits for it.
//!
//! Whatever may end a wait is followed by a wake-up, under or after the lock: the end of a commit,
//! also of one that could not begin (`settled`); the end of a seal, of an import's lease, of a
//! sealer or of a leader that panicked (`settled`); something to seal, a journal file that is half
//! full, room that is needed, the close of the store (`work`).
//!
//! A panic costs nobody else their wait. A leader that panics stops the log ([`Log::stop`]): what
//! was staged has failed, and every later write is refused with [`Error::Stopped`] until the store
//! is opened anew. A sealer that panics is not replaced: imports and archives go on, appends go on
//! while the journal has room for them within its budget, and are refused after that.
//!
//! Lock order: the index, shared, or alone to open or replace it (`index/slot.rs`); the one thread
//! whose rows are caught up with the log, or lists of threads while they are put in order
//! (`reads/lists.rs`), never both; the log; what the engine holds for a moment (open
//! segments, inflated blocks). Nobody asks for the index while it holds the log.

use std::sync::{Arc, PoisonError};

use turnleaf_engine::format::{ThreadId, ThreadNumber};
use turnleaf_engine::{Begin, Log, Outcome, Ticket};

use crate::damage_list::DamageList;
use crate::error::{Error, Part};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// Tells the time as Unix milliseconds. What it says is data: nothing is decided by it.
pub type Clock = fn() -> i64;

/// The log of an owner with what its OS threads share.
#[derive(Debug)]
pub(crate) struct Committer {
    log: Mutex<Log>,
    clock: Clock,
    pub(crate) damage_list: Arc<DamageList>,
    /// Wakes whoever waits for a commit, or for a thread that is being sealed or imported.
    settled: Condvar,
    /// Wakes the sealer.
    pub(crate) work: Condvar,
}

impl Committer {
    pub(crate) fn new(log: Log, clock: Clock, damage_list: Arc<DamageList>) -> Committer {
        Committer {
            log: Mutex::new(log),
            clock,
            damage_list,
            settled: Condvar::new(),
            work: Condvar::new(),
        }
    }

    /// Unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        (self.clock)()
    }

    /// The log. A panic while somebody stages leaves it consistent: a batch enters in one step. A
    /// panic in a commit stops it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes all followers.
    pub(crate) fn wake(&self) {
        self.settled.notify_all();
    }

    fn wait<'a>(&'a self, log: MutexGuard<'a, Log>) -> MutexGuard<'a, Log> {
        let woken = self.settled.wait(log);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `look` finds what is waited for, and leads commits meanwhile where nobody else
    /// does. `look` must find something once nothing is staged, sealed or leased any more.
    pub(crate) fn wait_for<'s, T>(
        &'s self,
        mut log: MutexGuard<'s, Log>,
        mut look: impl FnMut(&Log) -> Option<T>,
    ) -> (MutexGuard<'s, Log>, T) {
        loop {
            if let Some(found) = look(&log) {
                return (log, found);
            }
            // It outlives the lock, which a panic gives back first.
            let leading = Leading::begin(self);
            log = self.lead_or_wait(log);
            leading.end();
        }
    }

    /// Leads one commit, or sleeps until something happened.
    fn lead_or_wait<'s>(&'s self, mut log: MutexGuard<'s, Log>) -> MutexGuard<'s, Log> {
        // A commit may begin a journal file, whose header says when.
        log.set_now(self.now_ms());
        match log.begin_commit() {
            Begin::Commit(commit) => {
                drop(log);
                let result = commit.run();
                log = self.lock();
                log.finish_commit(commit, result);
                self.wake();
                if log.seal_is_due() || log.file_is_due() {
                    self.work.notify_all();
                }
                log
            }
            Begin::Failed => {
                self.wake();
                log
            }
            Begin::Idle => self.wait(log),
            Begin::OverBudget => {
                self.work.notify_all();
                self.wait(log)
            }
        }
    }

    /// Waits until the outcome of a staged batch is known.
    pub(crate) fn settle<'s>(
        &'s self,
        log: MutexGuard<'s, Log>,
        ticket: Ticket,
    ) -> Result<(), Error> {
        let (log, outcome) = self.wait_for(log, |log| match log.outcome(ticket) {
            Outcome::Pending => None,
            known => Some(known),
        });
        match outcome {
            Outcome::Failed(_) if log.is_stopped() => Err(Error::Stopped(Part::Commit)),
            Outcome::Failed(failure) => Err(Error::NotDurable(failure)),
            Outcome::Refused => Err(Error::Stopped(Part::Sealer)),
            Outcome::Durable | Outcome::Pending => Ok(()),
        }
    }

    /// Waits until nothing of a thread is staged that was when this was called.
    pub(crate) fn wait_for_staged<'s>(
        &'s self,
        log: MutexGuard<'s, Log>,
        thread: ThreadNumber,
    ) -> MutexGuard<'s, Log> {
        let Some(ticket) = log.staged_of(thread) else {
            return log;
        };
        let is_known = |log: &Log| !matches!(log.outcome(ticket), Outcome::Pending);
        self.wait_for(log, |log| is_known(log).then_some(())).0
    }

    /// Waits until no fact about any of these threads is staged any more: which rollout it shows,
    /// what goes on from it, that it is deleted.
    pub(crate) fn wait_for_facts<'s>(
        &'s self,
        log: MutexGuard<'s, Log>,
        threads: &[ThreadNumber],
    ) -> MutexGuard<'s, Log> {
        let has_none = |log: &Log| !threads.iter().any(|thread| log.has_staged_fact(*thread));
        self.wait_for(log, |log| has_none(log).then_some(())).0
    }

    /// Waits until the creation of a thread of this id, if one is staged, became durable or failed.
    pub(crate) fn wait_for_creation<'s>(
        &'s self,
        log: MutexGuard<'s, Log>,
        id: &ThreadId,
    ) -> MutexGuard<'s, Log> {
        let is_known = |log: &Log| log.staged_creation(id).is_none();
        self.wait_for(log, |log| is_known(log).then_some(())).0
    }

    /// Number of a thread that exists, or a new thread's; durable when this returns.
    pub(crate) fn find_or_create(&self, id: &ThreadId) -> Result<ThreadNumber, Error> {
        let mut log = self.wait_for_creation(self.lock(), id);
        let is_there = |number: &ThreadNumber| !log.state().is_announced(*number);
        if let Some(number) = log.state().thread_number(id).filter(is_there) {
            return Ok(number);
        }
        log.set_now(self.now_ms());
        let (number, ticket) = log.stage_thread(id).map_err(|reason| Error::Append {
            thread: id.to_string(),
            reason,
        })?;
        self.settle(log, ticket)?;
        Ok(number)
    }
}

/// Stops the log when it is dropped by a panic: whoever leads has one from before it takes the
/// group until that is settled.
struct Leading<'s> {
    committer: &'s Committer,
    is_over: bool,
}

impl<'s> Leading<'s> {
    fn begin(committer: &'s Committer) -> Leading<'s> {
        Leading {
            committer,
            is_over: false,
        }
    }

    fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            tracing::error!("a commit panicked; nothing is written until the store is opened anew");
            self.committer.lock().stop();
            self.committer.wake();
            self.committer.work.notify_all();
        }
    }
}

#[cfg(all(test, turnleaf_orders))]
mod orders;
#[cfg(test)]
mod tests;
