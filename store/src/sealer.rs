//! Owns the OS thread that works in the background: it makes the next journal file ready,
//! seals, writes checkpoints of the catalogue and marks idle moments. A state, and turns that move
//! it. It must not know what is worth sealing, nor for how long a failure rests.
//!
//! `commit.rs` says how it meets those who append.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use turnleaf_engine::format::ThreadNumber;
use turnleaf_engine::{Damage, DiskFailure, Log, ReadError, SealError, SealGoal, SealPlan};

use crate::commit::Committer;
use crate::error::Error;
use crate::notes;
use crate::sync::{JoinHandle, MutexGuard, thread};

/// Recycled journal files that are kept for the next burst.
pub(crate) const FREE_FILES: usize = 2;
/// After this long without an append the journal is marked, so that a later open can prove that
/// everything before was durable.
const IDLE: Duration = Duration::from_secs(1);
/// How long a rest is after a failure; the engine says how many of them.
const REST: Duration = Duration::from_millis(200);

/// Where the sealer stands between two turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealerState {
    /// Something may be due: the next turn follows at once.
    Ready,
    /// Nothing is due until it is woken, or for a while.
    Waits {
        /// Something failed, and is tried again after some rests.
        rests: bool,
        /// For how long nothing has woken it.
        quiet: Duration,
    },
    /// The store is closing.
    Closed,
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Somebody has work, or there was no wait.
    ByWork,
    /// Nobody; the wait took as long as it may.
    ByTime,
}

impl SealerState {
    /// How long it waits at most.
    fn pause(self) -> Duration {
        match self {
            SealerState::Ready | SealerState::Closed => Duration::ZERO,
            SealerState::Waits { rests: true, .. } => REST,
            SealerState::Waits { rests: false, .. } => IDLE,
        }
    }
}

pub(crate) fn spawn(committer: Arc<Committer>) -> Result<JoinHandle<()>, Error> {
    let spawned = thread::Builder::new()
        .name("turnleaf-sealer".into())
        .spawn(move || {
            run(&committer);
        });
    spawned.map_err(|source| Error::Source {
        path: "a new OS thread".into(),
        source,
    })
}

/// Asks the sealer to end.
pub(crate) fn stop(committer: &Committer) {
    committer.lock().set_sealing(false);
    committer.work.notify_all();
}

/// Says that the sealer is no more when it is dropped by a panic.
struct Alive<'s>(&'s Committer);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!(
                "the sealer panicked; nothing is sealed until the store is opened anew"
            );
            self.0.lock().sealer_died();
            self.0.wake();
        }
    }
}

fn run(committer: &Committer) {
    let _alive = Alive(committer);
    let (mut state, mut woken) = (SealerState::Ready, Woken::ByWork);
    loop {
        let log;
        (state, log) = turn(committer, state, woken);
        woken = Woken::ByWork;
        match state {
            SealerState::Ready => {}
            SealerState::Closed => return,
            SealerState::Waits { .. } => {
                let waited = committer.work.wait_timeout(log, state.pause());
                let (log, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                drop(log);
                if waited.timed_out() {
                    woken = Woken::ByTime;
                }
            }
        }
    }
}

/// One turn of the sealer: it does each of its works once, if anything is due, and says where it
/// stands then. Under the lock that is handed back nothing has become due since.
pub(crate) fn turn(
    committer: &Committer,
    state: SealerState,
    woken: Woken,
) -> (SealerState, MutexGuard<'_, Log>) {
    let mut quiet = Duration::ZERO;
    if let (SealerState::Waits { .. }, Woken::ByTime) = (state, woken) {
        let mut log = committer.lock();
        if let SealerState::Waits {
            rests,
            quiet: before,
        } = state
        {
            quiet = before + state.pause();
            if rests {
                log.rest_seals();
            }
        }
        // One for each idle second that had news: the log knows.
        if quiet >= IDLE
            && !log.seal_is_due()
            && let Err(failure) = log.mark()
        {
            tracing::warn!(%failure, "the journal is not marked");
        }
    }
    make_file_ready(committer);
    let sealed = match step(committer, SealGoal::Due) {
        Ok(Step::Nothing) => false,
        Ok(Step::Sealed) => true,
        Ok(Step::LeftOut(thread, error)) => {
            tracing::warn!(thread = thread.0, %error, "a thread is not sealed for now");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "sealing failed; the journal keeps the records");
            false
        }
    };
    checkpoint(committer);
    let log = committer.lock();
    let next = if !log.is_sealing() {
        SealerState::Closed
    } else if log.seal_is_due() || log.file_is_due() {
        SealerState::Ready
    } else {
        SealerState::Waits {
            rests: log.seal_rests(),
            quiet: if sealed { Duration::ZERO } else { quiet },
        }
    };
    (next, log)
}

/// Makes the next journal file ready, where an append would have to, without the log.
fn make_file_ready(committer: &Committer) {
    let plan = committer.lock().plan_file();
    if let Some(plan) = plan {
        let made = plan.run();
        committer.lock().finish_file(made);
    }
}

/// Writes the catalogue's checkpoint, where one is worth it, without the log: appends go on.
pub(crate) fn checkpoint(committer: &Committer) {
    let plan = committer.lock().plan_checkpoint();
    if let Some(plan) = plan {
        let result = plan.run();
        committer.lock().finish_checkpoint(result);
    }
}

/// Brings the journal below its budget before an owner begins: those before it may have been killed
/// one after the other, each with a file of its own.
pub(crate) fn make_room(committer: &Committer) {
    let is_at_budget = || committer.lock().journal_is_at_budget();
    if !is_at_budget() {
        return;
    }
    if committer.lock().journal_holds_little() {
        while goes_on(step(committer, SealGoal::Everything)) {}
        if let Err(failure) = committer.lock().shrink_journal() {
            tracing::warn!(%failure, "the journal stays as large as it is");
        }
    }
    while is_at_budget() && goes_on(step(committer, SealGoal::Due)) {}
}

/// Whether more may be sealed. A thread that was left out rests, so the next plan is without it.
fn goes_on(step: Result<Step, Error>) -> bool {
    match step {
        Ok(Step::Sealed) => true,
        Ok(Step::LeftOut(thread, error)) => {
            tracing::warn!(thread = thread.0, %error, "a thread is not sealed for now");
            true
        }
        Ok(Step::Nothing) | Err(_) => false,
    }
}

/// What a step came to.
#[derive(Debug)]
pub(crate) enum Step {
    Sealed,
    Nothing,
    /// The records of one thread could not be read; the others can be sealed without it.
    LeftOut(ThreadNumber, ReadError),
}

/// Seals once, if anything is to be sealed.
fn step(committer: &Committer, goal: SealGoal) -> Result<Step, Error> {
    let mut log = committer.lock();
    let plan = log.plan_seal(goal);
    let is_idle = plan.is_none() && !log.is_sealing_now();
    drop(log);
    if is_idle {
        // Who waits for room may have lost the hope for it since: an import or damage took the
        // thread that could have been sealed.
        committer.wake();
    }
    plan.map_or(Ok(Step::Nothing), |plan| run_plan(committer, plan))
}

/// Takes a plan back when it is dropped by a panic: no thread stays reserved for it.
struct Planned<'s> {
    committer: &'s Committer,
    is_over: bool,
}

impl Drop for Planned<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.committer.lock().abandon_seal();
            self.committer.wake();
        }
    }
}

pub(crate) fn run_plan(committer: &Committer, plan: SealPlan) -> Result<Step, Error> {
    let mut planned = Planned {
        committer,
        is_over: false,
    };
    // The segment is written without the log: appends go on meanwhile.
    let done = plan.run(&notes::make);
    drop(plan);
    let finished = committer.lock().finish_seal(done);
    planned.is_over = true;
    let settled = match finished {
        Ok(Some(ticket)) => committer
            .settle(committer.lock(), ticket)
            .map(|()| Step::Sealed),
        Ok(None) => Ok(Step::Sealed),
        Err(SealError {
            thread: Some(thread),
            error,
        }) => {
            if let ReadError::Damaged(damage) = &error {
                let found = std::iter::once(Damage::clone(damage));
                committer
                    .damage_list
                    .add(found, || committer.lock().check_owned());
            }
            Ok(Step::LeftOut(thread, error))
        }
        Err(SealError {
            thread: None,
            error,
        }) => Err(Error::Disk(not_written(error))),
    };
    if let Err(failure) = committer.lock().clean_up(FREE_FILES) {
        tracing::warn!(%failure, "an unneeded file stays");
    }
    committer.wake();
    // Whoever found this seal under way may plan the next.
    committer.work.notify_all();
    settled
}

/// A segment that reads otherwise than it was written is a failure of the disk.
fn not_written(error: ReadError) -> DiskFailure {
    match error {
        ReadError::Disk(failure) => failure,
        ReadError::Damaged(damage) => DiskFailure {
            operation: "read back",
            source: std::io::Error::other(damage.cause.to_string()),
            path: damage.file,
        },
    }
}
