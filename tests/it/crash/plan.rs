//! Owns the plan of one program: a line of text that says all of it, so that a failure is printed,
//! made smaller and run again.

use std::cell::RefCell;
use std::fmt;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use turnleaf_tests::crash_rig::{Coverage, Found, Rig};
use turnleaf_tests::oracle::Expectation;
use turnleaf_tests::rng::Rng;
use turnleaf_tests::sim_disk::{Fault, SimDisk};

use super::random::program;
use super::{Density, background, recover, rig};

/// How often a violation is tried to be made smaller.
const SHRINKINGS_MAX: usize = 200;

/// Names of the faults that plans have.
const FAULTS: [(&str, Fault); 4] = [
    ("fail", Fault::Fail(ErrorKind::Other)),
    ("short", Fault::Short(ErrorKind::Other)),
    ("fail-full", Fault::Fail(ErrorKind::StorageFull)),
    ("short-full", Fault::Short(ErrorKind::StorageFull)),
];

/// One program and where it is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// At most so many owners one after the other.
    pub(super) owners: u64,
    /// At most so many steps of each.
    pub(super) steps: u64,
    /// Crash at every so manieth call.
    pub(super) every: u64,
    /// Whether threads are deleted.
    pub(super) deletes: bool,
    /// Whether threads are forked and reverted, and rollouts get their base late.
    pub(super) lineages: bool,
    /// Whether background of the catalogue are written, and journal files made ready ahead.
    pub(super) background: bool,
    /// Calls that fail.
    pub(super) faults: Vec<(u64, Fault)>,
}

impl Plan {
    /// The whole program of a seed.
    pub(super) fn of_seed(seed: u64) -> Plan {
        Plan {
            seed,
            owners: 3,
            steps: 16,
            every: 1,
            deletes: false,
            lineages: false,
            background: false,
            faults: Vec::new(),
        }
    }

    /// Plans in a row: without faults and with three in turns.
    pub(super) fn number(number: u64) -> Plan {
        let seed = number / 2 * 2 + 1;
        let mut rng = Rng::new(!seed);
        let fault = |rng: &mut Rng| {
            let full = rng.below(2) * 2;
            let short = rng.below(2);
            let at = 20 + rng.below(150);
            (at, FAULTS[usize::try_from(full + short).unwrap_or(0)].1)
        };
        let faults = (0..number % 2 * 3).map(|_| fault(&mut rng)).collect();
        Plan {
            faults,
            every: 1 + rng.below(5),
            deletes: true,
            lineages: seed % 8 >= 5,
            background: seed % 4 == 1,
            ..Plan::of_seed(seed)
        }
    }

    /// Runs the program, faults and all.
    pub(super) fn run(&self, disk: &SimDisk, expectation: &mut Expectation) -> Result<(), String> {
        background::is_done_if(self.background);
        for (at, fault) in &self.faults {
            disk.plan(*at, *fault);
        }
        program(disk, expectation, self)
    }

    /// Runs the program, stops it, and judges. A panic is a violation like another.
    pub(super) fn judge(&self) -> Result<Coverage, String> {
        self.judge_by(&recover)
    }

    fn judge_by(
        &self,
        recover: &dyn Fn(&SimDisk) -> Result<Found, String>,
    ) -> Result<Coverage, String> {
        background::is_done_if(self.background);
        let violation = RefCell::new(None);
        let workload = |disk: &SimDisk, expectation: &mut Expectation| {
            *violation.borrow_mut() = self.run(disk, expectation).err();
        };
        let density = Density {
            step: self.every,
            seeds: 1,
            seconds: 2,
        };
        // More programs are worth more than more seeds of each.
        let rig = Rig {
            recover,
            seeds: 1,
            kills: 2,
            ..rig(density, &workload)
        };
        let ran = catch_unwind(AssertUnwindSafe(|| rig.run()));
        let ran = ran.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Err(format!("panicked: {}", text.unwrap_or_default()))
        });
        violation.into_inner().map_or(ran, Err)
    }

    /// Plans that are a bit less than this one, the boldest first.
    fn smaller(&self) -> Vec<Plan> {
        let mut plans = Vec::new();
        if self.deletes {
            plans.push(Plan {
                deletes: false,
                ..self.clone()
            });
        }
        if self.lineages {
            plans.push(Plan {
                lineages: false,
                ..self.clone()
            });
        }
        if self.background {
            plans.push(Plan {
                background: false,
                ..self.clone()
            });
        }
        if !self.faults.is_empty() {
            let faults = Vec::new();
            plans.push(Plan {
                faults,
                ..self.clone()
            });
        }
        for number in 0..self.faults.len() {
            let mut plan = self.clone();
            plan.faults.remove(number);
            plans.push(plan);
        }
        for owners in 1..self.owners {
            plans.push(Plan {
                owners,
                ..self.clone()
            });
        }
        for steps in [self.steps / 2, self.steps.saturating_sub(1)] {
            if steps < self.steps {
                plans.push(Plan {
                    steps,
                    ..self.clone()
                });
            }
        }
        plans
    }
}

/// Takes away what a violation does not need: the smallest plan found, and what it violates.
pub(super) fn shrink(
    mut plan: Plan,
    mut violation: String,
    judge: &dyn Fn(&Plan) -> Result<Coverage, String>,
) -> (Plan, String) {
    let mut left = SHRINKINGS_MAX;
    loop {
        let found = plan.smaller().into_iter().find_map(|smaller| {
            left = left.checked_sub(1)?;
            judge(&smaller).err().map(|why| (smaller, why))
        });
        match found {
            Some(found) => (plan, violation) = found,
            None => return (plan, violation),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, owners, steps, every) = (self.seed, self.owners, self.steps, self.every);
        write!(
            f,
            "seed={seed};owners={owners};steps={steps};every={every};"
        )?;
        let background = u8::from(self.background);
        write!(f, "deletes={};", u8::from(self.deletes))?;
        write!(f, "lineages={};", u8::from(self.lineages))?;
        write!(f, "background={background};faults=")?;
        for (place, (at, fault)) in self.faults.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let name = FAULTS.iter().find(|(_, known)| known == fault);
            write!(f, "{comma}{at}:{}", name.map_or("?", |(name, _)| name))?;
        }
        Ok(())
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Plan, String> {
        let mut plan = Plan::of_seed(0);
        for field in text.split(';') {
            let bad = || format!("{field:?} is no field of a plan");
            let (name, value) = field.split_once('=').ok_or_else(bad)?;
            let number = || value.parse::<u64>().map_err(|_| bad());
            match name {
                "seed" => plan.seed = number()?,
                "owners" => plan.owners = number()?,
                "steps" => plan.steps = number()?,
                "every" => plan.every = number()?,
                "deletes" => plan.deletes = number()? == 1,
                "lineages" => plan.lineages = number()? == 1,
                "background" => plan.background = number()? == 1,
                "faults" => {
                    for fault in value.split(',').filter(|fault| !fault.is_empty()) {
                        let (at, name) = fault.split_once(':').ok_or_else(bad)?;
                        let known = FAULTS.iter().find(|(known, _)| *known == name);
                        let fault = known.ok_or_else(bad)?.1;
                        plan.faults.push((at.parse().map_err(|_| bad())?, fault));
                    }
                }
                _ => return Err(bad()),
            }
        }
        Ok(plan)
    }
}

#[test]
fn a_plan_is_a_line_that_is_read_again() {
    for number in 0..20 {
        let plan = Plan::number(number);
        assert_eq!(plan.to_string().parse(), Ok(plan));
    }
    for bad in [
        "",
        "seed",
        "seed=x",
        "seed=1;faults=3",
        "seed=1;faults=3:x",
        "x=1",
    ] {
        assert!(bad.parse::<Plan>().is_err(), "{bad}");
    }
}

/// An engine that loses the newest record of every thread, once three journal files are there.
#[test]
fn a_violation_is_made_smaller() {
    let forgetful = |disk: &SimDisk| {
        let mut found = recover(disk)?;
        if disk.bytes("journal/00000003.tlj").is_some() {
            found.values_mut().for_each(|records| drop(records.pop()));
        }
        Ok(found)
    };
    let judge = |plan: &Plan| plan.judge_by(&forgetful);
    let (plan, violation) = (1..20)
        .map(|number| Plan::number(2 * number + 1))
        .find_map(|plan| judge(&plan).err().map(|why| (plan, why)))
        .expect("the bug is met");
    assert_eq!(plan.faults.len(), 3);
    let (small, why) = shrink(plan.clone(), violation, &judge);
    println!("{plan} shrinks to {small}: {why}");
    assert!(
        small.faults.is_empty() && small.steps < plan.steps,
        "{small}"
    );
    assert!(judge(&small).is_err(), "{small}");
    assert!(
        small.smaller().iter().all(|smaller| judge(smaller).is_ok()),
        "{small}"
    );
}
