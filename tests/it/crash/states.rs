//! As many states as asked for: programs from seeds, on all cores, until so many survivors were
//! judged.

use std::sync::atomic::Ordering;
use std::time::Instant;

use turnleaf_tests::crash_rig::{Coverage, scale};

use turnleaf_tests::oracle::Expectation;
use turnleaf_tests::parallel::in_parallel;
use turnleaf_tests::sim_disk::SimDisk;

use super::GONE_ON;
use super::plan::{Plan, shrink};

/// States that a plain run of the tests judges.
const STATES: u64 = 24_000;
/// Programs between two looks at how many states there are; their number is the same on every
/// machine, and so is what is judged.
const ROUND: u64 = 32;

/// Prints the violation, makes it smaller, and fails with the line that runs it again.
fn fail(plan: Plan, violation: String) -> ! {
    println!("TURNLEAF_CRASH_PLAN=\"{plan}\": {violation}");
    let (plan, violation) = shrink(plan, violation, &Plan::judge);
    panic!("TURNLEAF_CRASH_PLAN=\"{plan}\": {violation}");
}

fn wanted() -> u64 {
    match std::env::var("TURNLEAF_CRASH_STATES") {
        Err(std::env::VarError::NotPresent) => STATES * scale(),
        text => {
            let number = text.ok().and_then(|text| text.parse().ok());
            number.expect("TURNLEAF_CRASH_STATES is a whole number")
        }
    }
}

#[test]
fn programs_from_seeds_lose_nothing() {
    if let Ok(plan) = std::env::var("TURNLEAF_CRASH_PLAN") {
        let plan: Plan = plan.parse().unwrap_or_else(|why| panic!("{why}"));
        match plan.judge() {
            Ok(coverage) => println!("{plan}: {coverage}"),
            Err(violation) => fail(plan, violation),
        }
        return;
    }
    let (begun, wanted) = (Instant::now(), wanted());
    let mut coverage = Coverage::default();
    let mut programs = 0;
    while coverage.judged() < wanted {
        let round = programs..programs + ROUND;
        let judged = in_parallel(round.clone(), &|number| Plan::number(number).judge());
        for (number, result) in round.zip(judged) {
            match result {
                Ok(done) => coverage.add(done),
                Err(violation) => fail(Plan::number(number), violation),
            }
        }
        programs += ROUND;
    }
    coverage.spent = begun.elapsed();
    println!("crash states of {programs} programs: {coverage}");
    let gone_on = GONE_ON.load(Ordering::Relaxed);
    println!("owners that went on behind a clean close: {gone_on}");
    assert!(gone_on > programs, "the way of a clean close is not taken");
    let (second, all) = (coverage.double_states, coverage.judged());
    assert!(
        second * 4 >= all,
        "only {second} of {all} are of a second crash"
    );
}

#[test]
fn the_same_seed_makes_the_same_calls() {
    let trace = |number| {
        let disk = SimDisk::new();
        disk.trace();
        let mut expectation = Expectation::beside(&disk);
        Plan::number(number).run(&disk, &mut expectation).unwrap();
        disk.trace_hash()
    };
    for number in 0..6 {
        assert_eq!(trace(number), trace(number), "program {number}");
        assert_ne!(trace(number), trace(number + 2), "program {number}");
    }
}
