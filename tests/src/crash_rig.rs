//! Owns the crash rig: a workload is stopped at every call to the disk, what survives is chosen by
//! every policy, the survivor is opened twice, and an oracle judges.

use std::collections::BTreeMap;

use crate::oracle::{Expectation, Rec};
use crate::sim_disk::{CrashPolicy, Fault, SimDisk};

/// What was found on a disk.
pub type Found = BTreeMap<String, Vec<Rec>>;

/// How much a rig run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Survivors of one crash that were opened and judged.
    pub states: u64,
    /// Survivors of a second crash, during the opening.
    pub double_states: u64,
}

/// A workload and how its disk is read again.
pub struct Rig<'a> {
    /// Runs until it is done or the disk stops it, and tells what it was promised.
    pub workload: &'a dyn Fn(&SimDisk, &mut Expectation),
    /// Opens the disk for writing and reads everything.
    pub recover: &'a dyn Fn(&SimDisk) -> Result<Found, String>,
    /// Crash at every so manieth call.
    pub step: u64,
    /// Seeds for the policies that take one.
    pub seeds: u64,
}

impl Rig<'_> {
    /// Runs the rig.
    ///
    /// # Panics
    /// With the call, policy and seed of the first violation.
    pub fn run(&self) -> Coverage {
        let disk = SimDisk::new();
        let mut whole = Expectation::default();
        (self.workload)(&disk, &mut whole);
        let ops = disk.ops();
        let mut coverage = Coverage::default();
        for at in (0..ops).step_by(usize::try_from(self.step).unwrap_or(1)) {
            let disk = SimDisk::new();
            disk.plan(at, Fault::Crash);
            let mut expectation = Expectation::default();
            (self.workload)(&disk, &mut expectation);
            for policy in CrashPolicy::ALL {
                let seeds = if policy.is_random() { self.seeds } else { 1 };
                for seed in 0..seeds {
                    let seed = seed.wrapping_mul(0x1234_5678_9abc).wrapping_add(at);
                    let place = format!("crash at call {at} of {ops}, {policy:?}, seed {seed}");
                    let survivor = disk.after_crash(policy, seed);
                    self.judge(&survivor, &expectation, &place, &mut coverage);
                }
            }
        }
        coverage
    }

    fn judge(
        &self,
        survivor: &SimDisk,
        expectation: &Expectation,
        place: &str,
        coverage: &mut Coverage,
    ) {
        let original = survivor.fork();
        let first = (self.recover)(survivor).unwrap_or_else(|why| panic!("{place}: {why}"));
        coverage.states += 1;
        if let Err(violation) = expectation.judge(&first) {
            panic!("{place}: {violation}");
        }
        let again = (self.recover)(survivor).unwrap_or_else(|why| panic!("{place}, again: {why}"));
        assert!(
            first == again,
            "{place}: the second opening finds something else"
        );
        // A second crash, in the middle of the first opening.
        let calls = survivor.ops();
        let second = coverage.states % calls.max(1);
        let disk = original;
        disk.plan(second, Fault::Crash);
        let _ = (self.recover)(&disk);
        let policy = CrashPolicy::ALL[usize::try_from(coverage.states % 8).unwrap_or(0)];
        let survivor = disk.after_crash(policy, coverage.states);
        let place = format!("{place}; then at call {second} of the opening, {policy:?}");
        let found = (self.recover)(&survivor).unwrap_or_else(|why| panic!("{place}: {why}"));
        coverage.double_states += 1;
        if let Err(violation) = expectation.judge(&found) {
            panic!("{place}: {violation}");
        }
    }
}

impl std::fmt::Debug for Rig<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rig")
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}
