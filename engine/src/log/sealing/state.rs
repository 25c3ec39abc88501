//! Owns the state of sealing: who may seal, what is being sealed, and what is left alone for a
//! while because it failed. It must not know what is worth sealing.
//!
//! There is one seal at a time. It is *written* without the log, then *published* by a commit; the
//! threads in it belong to it until the publication is settled, because two segments must not take
//! over the same runs. [S:catalogue-8]
//!
//! Time is counted in *rests*, which whoever seals reports ([`Log::rest_seals`]). After a failure
//! twice as many rests go by as after the one before, up to [`RESTS_MAX`]. What failed decides what
//! rests: a thread whose own records could not be read (the others are sealed without it), or
//! sealing as a whole where a segment could not be written or published.

use std::collections::{HashMap, HashSet};

use turnleaf_format::segment::Class;
use turnleaf_format::{SegmentId, ThreadNumber};

use super::SealGoal;
use super::write::{Part, Planned, SealError};
use crate::error::{Damage, ReadError};
use crate::log::Log;

/// Rests between two tries of what failed again and again.
const RESTS_MAX: u64 = 256;
/// Unfinished files that could not be removed; with so many no further segment is begun.
const LEFTOVERS_MAX: usize = 4;

/// Who seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    On,
    /// Nobody, and the journal knows no budget.
    Off,
    /// Nobody any more, and the journal stays in its budget.
    Died,
}

/// What is being sealed.
#[derive(Debug)]
enum Stage {
    Nothing,
    /// Segments are being written.
    Writing {
        segments: Vec<(SegmentId, Class)>,
        threads: HashSet<ThreadNumber>,
    },
    /// It waits for the commit that publishes it, and for the facts up to this one.
    Publishing {
        facts_upto: u64,
        threads: HashSet<ThreadNumber>,
    },
}

/// Why what the journal holds of a thread cannot be sealed for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsealable {
    /// Part of it is damaged; a repair says what becomes of it.
    Damaged,
    /// An import has the thread.
    Imported,
    /// It could not be read; that is tried again.
    Unread,
}

/// How long something is left alone.
#[derive(Debug, Clone, Copy, Default)]
struct Rest {
    failures: u32,
    /// The rest at which it is tried again.
    until: u64,
}

impl Rest {
    fn failed(&mut self, now: u64) {
        let rests = 1_u64 << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        self.until = now + rests.min(RESTS_MAX);
    }
}

/// The state of sealing.
#[derive(Debug)]
pub(in crate::log) struct SealState {
    mode: Mode,
    stage: Stage,
    /// Whether something may have become worth sealing since the last plan.
    is_due: bool,
    /// Rests that went by.
    now: u64,
    /// Sealing as a whole.
    all: Rest,
    /// Threads whose records could not be read.
    threads: HashMap<ThreadNumber, Rest>,
    /// Unfinished files to be removed.
    pub(super) leftovers: Vec<String>,
}

impl SealState {
    pub(in crate::log) fn new() -> SealState {
        SealState {
            mode: Mode::On,
            stage: Stage::Nothing,
            is_due: true,
            now: 0,
            all: Rest::default(),
            threads: HashMap::new(),
            leftovers: Vec::new(),
        }
    }

    /// Whether the journal has a budget: somebody seals, or did.
    pub(in crate::log) fn has_budget(&self) -> bool {
        self.mode != Mode::Off
    }

    /// Whether nobody makes room any more.
    pub(in crate::log) fn has_died(&self) -> bool {
        self.mode == Mode::Died
    }

    /// Notes that something may have become worth sealing.
    pub(in crate::log) fn due_if(&mut self, due: bool) {
        self.is_due |= due;
    }

    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.stage, Stage::Nothing)
    }

    /// Whether a seal may be planned.
    pub(super) fn may_plan(&self, goal: SealGoal) -> bool {
        let allowed = match goal {
            SealGoal::Due => self.mode == Mode::On && !self.rests(),
            SealGoal::Everything | SealGoal::Before { .. } => self.mode != Mode::Died,
        };
        allowed && !self.is_busy() && self.leftovers.len() < LEFTOVERS_MAX
    }

    /// Whether sealing as a whole is left alone for now.
    pub(in crate::log) fn rests(&self) -> bool {
        self.now < self.all.until
    }

    /// Whether a thread is left alone for now.
    pub(super) fn rests_thread(&self, thread: ThreadNumber) -> bool {
        self.threads
            .get(&thread)
            .is_some_and(|rest| self.now < rest.until)
    }

    /// Whether the newest seal of a thread's records failed.
    pub(super) fn has_failed(&self, thread: ThreadNumber) -> bool {
        self.threads.contains_key(&thread)
    }

    /// Unfinished files could not be removed. With too many of them sealing as a whole rests.
    pub(super) fn leftovers_stay(&mut self) {
        if self.leftovers.len() >= LEFTOVERS_MAX && !self.rests() {
            self.all.failed(self.now);
        }
    }

    /// Ends a round of plans in which nothing more was found: what is left alone because of a
    /// failure is tried again by the next round for everything.
    pub(super) fn found_nothing(&mut self, goal: SealGoal) {
        self.is_due = false;
        if goal != SealGoal::Due {
            for rest in self.threads.values_mut() {
                rest.until = self.now;
            }
        }
    }

    pub(super) fn write(&mut self, planned: &[Planned]) {
        self.is_due = true;
        let parts = planned.iter().flat_map(|planned| &planned.parts);
        let threads = parts.map(Part::thread).collect();
        let segments = planned.iter();
        let segments = segments.map(|planned| (planned.segment, planned.class));
        self.stage = Stage::Writing {
            segments: segments.collect(),
            threads,
        };
    }

    /// Begins the publication of what was written; `None` for a segment that needs none.
    pub(super) fn publish(&mut self, threads: HashSet<ThreadNumber>, facts_upto: Option<u64>) {
        for thread in &threads {
            self.threads.remove(thread);
        }
        self.stage = match facts_upto {
            Some(facts_upto) => Stage::Publishing {
                facts_upto,
                threads,
            },
            None => {
                self.all = Rest::default();
                Stage::Nothing
            }
        };
    }

    /// Ends a publication that became durable.
    pub(in crate::log) fn settled(&mut self, facts: u64) {
        if matches!(self.stage, Stage::Publishing { facts_upto, .. } if facts_upto <= facts) {
            self.stage = Stage::Nothing;
            self.all = Rest::default();
        }
    }

    /// Ends a publication that failed.
    pub(in crate::log) fn publication_failed(&mut self) {
        if matches!(self.stage, Stage::Publishing { .. }) {
            self.stage = Stage::Nothing;
            self.is_due = true;
            self.all.failed(self.now);
        }
    }

    /// Takes back the segments that are being written.
    pub(super) fn take_back(&mut self) -> Vec<(SegmentId, Class)> {
        let Stage::Writing { segments, .. } = &mut self.stage else {
            return Vec::new();
        };
        let written = std::mem::take(segments);
        self.stage = Stage::Nothing;
        self.is_due = true;
        written
    }

    /// A thread is no more: nothing of it is left alone any longer.
    pub(in crate::log) fn forget_thread(&mut self, thread: ThreadNumber) {
        self.threads.remove(&thread);
    }

    fn has(&self, thread: ThreadNumber) -> bool {
        match &self.stage {
            Stage::Nothing => false,
            Stage::Writing { threads, .. } | Stage::Publishing { threads, .. } => {
                threads.contains(&thread)
            }
        }
    }
}

impl Log {
    /// Switches sealing off (or on again): a test switch, and what a closing store does. Everything
    /// works without it; the journal then grows.
    pub fn set_sealing(&mut self, sealing: bool) {
        self.sealing.mode = if sealing { Mode::On } else { Mode::Off };
    }

    /// Whether sealing takes place.
    #[must_use]
    pub fn is_sealing(&self) -> bool {
        self.sealing.mode == Mode::On
    }

    /// Says that whoever sealed is no more: batches that need the room that it would have made are
    /// refused from now on ([`crate::Outcome::Refused`]).
    pub fn sealer_died(&mut self) {
        self.abandon_seal();
        self.sealing.mode = Mode::Died;
    }

    /// Whether [`Log::sealer_died`] was said.
    #[must_use]
    pub fn has_no_sealer(&self) -> bool {
        self.sealing.has_died()
    }

    /// Whether it is worth asking for a plan now.
    #[must_use]
    pub fn seal_is_due(&self) -> bool {
        !self.is_stopped() && self.sealing.is_due && self.sealing.may_plan(SealGoal::Due)
    }

    /// Whether a segment is being written or published: no other is planned meanwhile.
    #[must_use]
    pub fn is_sealing_now(&self) -> bool {
        self.sealing.is_busy()
    }

    /// Whether something failed and is left alone until enough rests went by.
    #[must_use]
    pub fn seal_rests(&self) -> bool {
        self.sealing.rests() || !self.sealing.threads.is_empty()
    }

    /// Threads of which the journal holds something that cannot be sealed for now, by number. The
    /// catalogue is among them.
    #[must_use]
    pub fn unsealable(&self) -> Vec<(ThreadNumber, Unsealable)> {
        let mut threads: Vec<_> = self.backlog.stretches.keys().copied().collect();
        let catalogue = self.state.threads.get(&ThreadNumber::CATALOGUE);
        if catalogue.is_some_and(|view| !view.frames.is_empty()) {
            threads.push(ThreadNumber::CATALOGUE);
        }
        threads.sort_unstable();
        let why = |thread: ThreadNumber| {
            let view = self.state.threads.get(&thread)?;
            let is_damaged = self.closed.contains(thread) || !view.holes.is_empty();
            if is_damaged {
                Some(Unsealable::Damaged)
            } else if self.leases.contains(&thread) {
                Some(Unsealable::Imported)
            } else if self.sealing.threads.contains_key(&thread) {
                Some(Unsealable::Unread)
            } else {
                None
            }
        };
        let threads = threads.into_iter();
        threads
            .filter_map(|thread| Some((thread, why(thread)?)))
            .collect()
    }

    /// Says that one rest went by since something failed.
    pub fn rest_seals(&mut self) {
        self.sealing.now += 1;
        let now = self.sealing.now;
        let over = |rest: &Rest| rest.failures > 0 && rest.until == now;
        if over(&self.sealing.all) || self.sealing.threads.values().any(over) {
            self.sealing.is_due = true;
        }
    }

    /// Whether a segment with records of the thread is being written or published.
    #[must_use]
    pub fn is_being_sealed(&self, thread: ThreadNumber) -> bool {
        self.sealing.has(thread)
    }

    /// Takes note of a seal that failed: whose fault it was decides what is left alone.
    pub(super) fn seal_failed(&mut self, failure: &SealError) {
        self.abandon_seal();
        let now = self.sealing.now;
        match (failure.thread, &failure.error) {
            (Some(thread), error) => {
                let rest = self.sealing.threads.entry(thread).or_default();
                rest.failed(now);
                // What is not right is read again before it is called damaged. [R:reread]
                let again = rest.failures > 1 && thread != ThreadNumber::CATALOGUE;
                match error {
                    ReadError::Damaged(damage) if again && costs_records(damage) => {
                        self.sealing.threads.remove(&thread);
                        self.quarantine(thread);
                        self.closed.tell(Damage::clone(damage));
                    }
                    _ => {}
                }
            }
            (None, _) => self.sealing.all.failed(now),
        }
    }

    /// Takes back a plan that was never finished: its files are removed.
    pub fn abandon_seal(&mut self) {
        for (segment, class) in self.sealing.take_back() {
            self.remove_unfinished(segment, class);
        }
    }
}

fn costs_records(damage: &Damage) -> bool {
    damage.ordinals.is_some_and(|(first, end)| first < end)
}
