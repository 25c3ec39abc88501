//! Owns the thread of execution that seals in the background and marks idle moments.

use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use turnleaf_engine::SealGoal;

use crate::append::settle;
use crate::error::Error;
use crate::run_notes;
use crate::source::Shared;

/// Recycled journal files that are kept for the next burst.
pub(crate) const FREE_FILES: usize = 2;
/// After this long without an append the journal is marked, so that a later open can prove that
/// everything before was durable.
const IDLE: Duration = Duration::from_secs(1);
/// How long the sealer rests after a failure before it tries again.
const REST: Duration = Duration::from_millis(200);

pub(crate) fn spawn(shared: Arc<Shared>) -> Result<JoinHandle<()>, Error> {
    let spawned = thread::Builder::new()
        .name("turnleaf-sealer".into())
        .spawn(move || {
            run(&shared);
        });
    spawned.map_err(|source| Error::Source {
        path: "a new thread of execution".into(),
        source,
    })
}

/// Asks the sealer to end.
pub(crate) fn stop(shared: &Shared) {
    shared.lock().set_sealing(false);
    shared.work.notify_all();
}

fn run(shared: &Shared) {
    let mut marked = false;
    loop {
        let step = step(shared, SealGoal::Due);
        let mut log = shared.lock();
        if !log.is_sealing() {
            return;
        }
        marked &= step != Step::Sealed;
        if step == Step::Sealed || (step == Step::Nothing && log.seal_is_due()) {
            continue;
        }
        let pause = if step == Step::Failed { REST } else { IDLE };
        let waited = shared.work.wait_timeout(log, pause);
        let (again, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        log = again;
        marked &= waited.timed_out();
        if waited.timed_out() && !marked && step == Step::Nothing {
            marked = log.mark().is_ok();
        }
    }
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Sealed,
    Nothing,
    Failed,
}

/// Seals once, if anything is to be sealed.
pub(crate) fn step(shared: &Shared, goal: SealGoal) -> Step {
    let Some(plan) = shared.lock().plan_seal(goal) else {
        return Step::Nothing;
    };
    // The segment is written without the log: appends go on meanwhile.
    let done = plan.run(&run_notes::make);
    drop(plan);
    let settled = {
        let mut log = shared.lock();
        match log.finish_seal(done) {
            Ok(Some(ticket)) => settle(shared, log, ticket).map_err(|error| error.to_string()),
            Ok(None) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    };
    if let Err(error) = &settled {
        tracing::warn!(error, "sealing failed; the journal keeps the records");
    }
    if let Err(failure) = shared.lock().clean_up(FREE_FILES) {
        tracing::warn!(%failure, "an unneeded file stays");
    }
    shared.settled.notify_all();
    if settled.is_ok() {
        Step::Sealed
    } else {
        Step::Failed
    }
}
