//! Owns the OS thread of the projector and the time it gives to turns. It must not know what a turn
//! does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::sync::{Condvar, JoinHandle, Mutex, MutexGuard, thread};

/// Between the append that wakes it and its first turn: what a burst brings is taken together.
const SETTLE: Duration = Duration::from_millis(200);
/// After this long without a change the index is made durable.
const IDLE: Duration = Duration::from_secs(1);
/// Behind a failure of the index.
const REST: Duration = Duration::from_secs(5);
/// Of its time it works one part in so many where commits follow each other,
const BUSY_SHARE: u32 = 16;
/// and where they do not.
const QUIET_SHARE: u32 = 2;
/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It looked at threads; more may be left.
    Took {
        /// Whether commits came meanwhile.
        beside_commits: bool,
    },
    /// Nothing changed that it has not looked at.
    Nothing,
    /// The index cannot be used now.
    Failed,
}

/// What the OS thread does, step by step.
pub(crate) type Steps = Box<dyn FnMut(Step) -> Turn + Send>;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Turn,
    /// What was applied is made durable.
    MakeDurable,
}

/// The projector as those see it who append or close.
#[derive(Debug, Default)]
pub(crate) struct Projector {
    pub(super) signal: Arc<Signal>,
    /// The OS thread, once there was something to do.
    begun: Mutex<Option<JoinHandle<()>>>,
}

impl Projector {
    /// Says that something became durable. What `begin` hands out gets an OS thread, once.
    pub(crate) fn tell(&self, begin: impl FnOnce() -> Steps) {
        if !self.signal.sleeps.load(Ordering::Relaxed) {
            return;
        }
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        self.signal.ask(Asked::Work);
        if begun.is_some() {
            return;
        }
        let mut steps = begin();
        let signal = Arc::clone(&self.signal);
        let spawned = thread::Builder::new()
            .name("turnleaf-projector".into())
            .spawn(move || run(&signal, &mut steps));
        match spawned {
            Ok(handle) => *begun = Some(handle),
            Err(error) => tracing::debug!(%error, "the index follows when somebody reads"),
        }
    }

    /// Waits until the OS thread has ended, if there is one.
    pub(crate) fn stop(&self) {
        let begun = self.begun.lock();
        let handle = begun.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            self.signal.ask(Asked::End);
            // A panic of a turn does not end it; another one costs nobody anything.
            let _ = handle.join();
        }
    }
}

/// What is asked of the OS thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    Work,
    End,
}

#[derive(Debug)]
pub(super) struct Signal {
    /// Whether it does nothing until it is asked to. Set before it looks for work a last time, so
    /// that no change goes by unseen: the log's lock orders that look and every change.
    pub(super) sleeps: AtomicBool,
    asked: Mutex<Asked>,
    changed: Condvar,
}

impl Default for Signal {
    fn default() -> Signal {
        Signal {
            sleeps: AtomicBool::new(true),
            asked: Mutex::new(Asked::Nothing),
            changed: Condvar::new(),
        }
    }
}

impl Signal {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, what: Asked) {
        let mut asked = self.asked();
        if *asked != Asked::End {
            *asked = what;
        }
        self.sleeps.store(false, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Sleeps until somebody appends; `false` when it is to end.
    fn sleep(&self) -> bool {
        let mut asked = self.asked();
        while *asked == Asked::Nothing {
            let woken = self.changed.wait(asked);
            asked = woken.unwrap_or_else(PoisonError::into_inner);
        }
        let goes_on = *asked != Asked::End;
        if goes_on {
            *asked = Asked::Nothing;
        }
        goes_on
    }

    /// Lets time go by; `false` when it is to end.
    fn pause(&self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        let mut asked = self.asked();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if *asked == Asked::End || left.is_zero() {
                return *asked != Asked::End;
            }
            let waited = self.changed.wait_timeout(asked, left);
            (asked, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Gives the turns their time, until the store closes.
fn run(signal: &Signal, steps: &mut Steps) {
    while signal.sleep() && work(signal, steps) {}
}

/// Works until nothing is left; `false` when it is to end.
fn work(signal: &Signal, steps: &mut Steps) -> bool {
    let (mut is_idle, mut pause) = (false, SETTLE);
    while signal.pause(pause) {
        let begun = Instant::now();
        let turn = steps(Step::Turn);
        let took = begun.elapsed();
        (is_idle, pause) = match turn {
            Turn::Took { beside_commits } => {
                let share = if beside_commits {
                    BUSY_SHARE
                } else {
                    QUIET_SHARE
                };
                (false, (took * (share - 1)).min(REST))
            }
            Turn::Nothing if !is_idle => (true, IDLE),
            Turn::Nothing => {
                steps(Step::MakeDurable);
                signal.sleeps.store(true, Ordering::Relaxed);
                if steps(Step::Turn) == Turn::Nothing {
                    return true;
                }
                signal.sleeps.store(false, Ordering::Relaxed);
                (false, SETTLE)
            }
            Turn::Failed => {
                let goes_on = signal.pause(REST);
                signal.sleeps.store(true, Ordering::Relaxed);
                return goes_on;
            }
        };
    }
    false
}
