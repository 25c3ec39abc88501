//! Owns the crash rig: a workload is stopped at every call to the disk, what survives is chosen by
//! every policy, the survivor is opened twice, the opening is stopped too, and an oracle judges.
//!
//! The workload runs once: the disk remembers how it stood at each call, and the expectation what
//! was promised by then. Equal survivors of equal promises are judged once.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use crate::oracle::{Expectation, Promise, Rec};
use crate::rng::Rng;
use crate::sim_disk::{CrashPolicy, SimDisk};

/// What was found on a disk.
pub type Found = BTreeMap<String, Vec<Rec>>;

/// How many times the usual number of seeds the rigs try: `TURNLEAF_CRASH_SCALE`, else 1.
///
/// # Panics
/// If the variable is not a number: a run that tries less than it was told to proves nothing.
#[must_use]
pub fn scale() -> u64 {
    match std::env::var("TURNLEAF_CRASH_SCALE") {
        Err(std::env::VarError::NotPresent) => 1,
        text => {
            let number = text.ok().and_then(|text| text.parse().ok());
            number.expect("TURNLEAF_CRASH_SCALE is a whole number")
        }
    }
}

/// How much a rig run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Survivors of one crash that were opened and judged.
    pub states: u64,
    /// Survivors of a second crash, during the opening.
    pub double_states: u64,
    /// Survivors of a crash after, or during, the opening that followed the end of the process.
    pub killed_states: u64,
    /// Survivors that were not judged, because the same bytes were before, of the same promise.
    pub repeats: u64,
    /// Time of it all.
    pub spent: Duration,
}

impl Coverage {
    /// All survivors that were judged.
    #[must_use]
    pub fn judged(&self) -> u64 {
        self.states + self.double_states + self.killed_states
    }

    /// Adds what another run did.
    pub fn add(&mut self, other: Coverage) {
        self.states += other.states;
        self.double_states += other.double_states;
        self.killed_states += other.killed_states;
        self.repeats += other.repeats;
        self.spent += other.spent;
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (states, double, killed) = (self.states, self.double_states, self.killed_states);
        let (repeats, seconds) = (self.repeats, self.spent.as_secs_f64());
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let (all, rate) = (self.judged(), self.judged() as f64 / seconds.max(1e-3));
        let share = double * 100 / all.max(1);
        write!(
            f,
            "{all} states: {states} of a crash, {double} ({share} %) of a second one, {killed} of \
             one after a kill; {repeats} repeats left out; {seconds:.1} s, {rate:.0} states/s"
        )
    }
}

/// A workload and how its disk is read again.
pub struct Rig<'a> {
    /// What the workload begins with; empty when it is new.
    pub on: SimDisk,
    /// Runs until it is done, and tells what it was promised.
    pub workload: &'a dyn Fn(&SimDisk, &mut Expectation),
    /// Opens the disk for writing and reads everything.
    pub recover: &'a dyn Fn(&SimDisk) -> Result<Found, String>,
    /// Opens for writing what `recover` left, and reads everything in the plainest way.
    pub reopen: &'a dyn Fn(&SimDisk) -> Result<Found, String>,
    /// Crash at every so manieth call.
    pub step: u64,
    /// Seeds for the policies that take one.
    pub seeds: u64,
    /// Crashes in the middle of every opening.
    pub seconds: u64,
    /// At every so manieth of those calls the process ends and the machine goes on, until it stops
    /// after or during the opening that follows; 0 for never.
    pub kills: u64,
}

/// Which survivors were judged: their digest, and the version of the promise.
pub type Seen = HashSet<(u64, usize)>;

impl Rig<'_> {
    /// Runs the rig: a crash at every `step`th call, and one after the last.
    ///
    /// # Errors
    /// One line with the call, policy and seed of the first violation.
    pub fn run(&self) -> Result<Coverage, String> {
        let begun = Instant::now();
        let disk = self.on.fork();
        let mut expectation = Expectation::beside(&disk);
        disk.record(self.step);
        (self.workload)(&disk, &mut expectation);
        let ops = disk.ops();
        let mut moments = disk.recorded();
        moments.push((ops, disk.fork()));
        let mut coverage = Coverage::default();
        let mut seen = Seen::new();
        for (number, (at, moment)) in (0_u64..).zip(moments) {
            let promise = expectation.at(at);
            let kind = disk.kind_of(at);
            if number.checked_rem(self.kills) == Some(0) {
                self.judge_killed(&moment, promise.1, at, &mut coverage)
                    .map_err(|why| format!("killed at call {at} ({kind}) of {ops}: {why}"))?;
            }
            for policy in CrashPolicy::ALL {
                let seeds = if policy.is_random() { self.seeds } else { 1 };
                for seed in 0..seeds {
                    let seed = seed.wrapping_mul(0x1234_5678_9abc).wrapping_add(at);
                    let survivor = moment.after_crash(policy, seed);
                    self.judge(&survivor, promise, seed, &mut seen, &mut coverage)
                        .map_err(|why| {
                            format!("crash at call {at} ({kind}) of {ops}, {policy:?}, seed {seed}: {why}")
                        })?;
                }
            }
        }
        coverage.spent += begun.elapsed();
        Ok(coverage)
    }

    /// Opens a survivor twice, then copies of it with further crashes during the opening, each of
    /// which must find what the first opening found.
    ///
    /// # Errors
    /// A sentence that names the violation.
    pub fn judge(
        &self,
        survivor: &SimDisk,
        (version, promise): (usize, &Promise),
        seed: u64,
        seen: &mut Seen,
        coverage: &mut Coverage,
    ) -> Result<(), String> {
        if !seen.insert((survivor.digest(), version)) {
            coverage.repeats += 1;
            return Ok(());
        }
        coverage.states += 1;
        if self.seconds > 0 {
            survivor.record(1);
        }
        let found = self.twice(survivor, promise)?;
        let moments = survivor.recorded();
        let mut rng = Rng::new(seed);
        for _ in 0..self.seconds {
            let chosen = usize::try_from(rng.below(moments.len() as u64)).unwrap_or(0);
            let policy = CrashPolicy::by_number(rng.number());
            let seed = rng.number();
            let Some((call, moment)) = moments.get(chosen) else {
                break;
            };
            let survivor = moment.after_crash(policy, seed);
            if !seen.insert((survivor.digest(), version)) {
                coverage.repeats += 1;
                continue;
            }
            coverage.double_states += 1;
            let again = self.twice(&survivor, promise).and_then(|again| {
                let same = again == found;
                same.then_some(())
                    .ok_or("the opening had found something else".into())
            });
            again.map_err(|why| {
                format!("then call {call} of the openings, {policy:?}, seed {seed}: {why}")
            })?;
        }
        Ok(())
    }

    /// The process ends and another opens what the cache shows: what it finds is as good as
    /// acknowledged from then on, and a crash takes nothing of it.
    fn judge_killed(
        &self,
        moment: &SimDisk,
        promise: &Promise,
        seed: u64,
        coverage: &mut Coverage,
    ) -> Result<(), String> {
        let disk = moment.fork();
        disk.record(1);
        let found = (self.recover)(&disk)?;
        promise.judge(&found)?;
        let during = disk.recorded();
        let mut seen = HashSet::new();
        let mut rng = Rng::new(seed);
        let mut crash = |disk: &SimDisk, policy: CrashPolicy, seed| {
            let survivor = disk.after_crash(policy, seed);
            if !seen.insert(survivor.digest()) {
                coverage.repeats += 1;
                return Ok(None);
            }
            coverage.killed_states += 1;
            (self.recover)(&survivor).map(Some)
        };
        for policy in CrashPolicy::ALL {
            let seed = rng.number();
            let place =
                |why: &str| format!("then after the opening, {policy:?}, seed {seed}: {why}");
            match crash(&disk, policy, seed) {
                Ok(Some(again)) if again != found => return Err(place("what was shown is lost")),
                Ok(_) => {}
                Err(why) => return Err(place(&why)),
            }
        }
        for _ in 0..during.len().min(4) {
            let chosen = usize::try_from(rng.below(during.len() as u64)).unwrap_or(0);
            let (call, moment) = &during[chosen];
            let (policy, seed) = (CrashPolicy::by_number(rng.number()), rng.number());
            let again = crash(moment, policy, seed)
                .and_then(|again| again.map_or(Ok(()), |again| promise.judge(&again)));
            again.map_err(|why| {
                format!("then at call {call}, in the opening, {policy:?}, seed {seed}: {why}")
            })?;
        }
        Ok(())
    }

    fn twice(&self, disk: &SimDisk, promise: &Promise) -> Result<Found, String> {
        let first = (self.recover)(disk)?;
        promise.judge(&first)?;
        let again = (self.reopen)(disk).map_err(|why| format!("second opening: {why}"))?;
        if first == again {
            Ok(first)
        } else {
            Err("the second opening finds something else".into())
        }
    }
}

impl fmt::Debug for Rig<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rig")
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}
