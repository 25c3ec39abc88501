//! Workloads on a disk that refuses calls, and then loses power.

use std::io::ErrorKind;
use std::time::Instant;

use turnleaf_engine::SealGoal;
use turnleaf_tests::crash_rig::{Coverage, Seen};
use turnleaf_tests::oracle::Expectation;
use turnleaf_tests::sim_disk::{CrashPolicy, Fault, SimDisk};

use super::{Density, Work, recover, rig, run};

const FAULTS: [Fault; 3] = [
    Fault::Fail(ErrorKind::Other),
    Fault::Short(ErrorKind::Other),
    Fault::Fail(ErrorKind::StorageFull),
];

/// Goes on after every refusal.
fn stubborn(work: &mut Work<'_>) -> Option<()> {
    let a = work.create("a").or_else(|| work.create("a"))?;
    let b = work.create("b").or_else(|| work.create("b"))?;
    for round in 0..8 {
        let _ = work.append("a", a, &[400 * round, 3]);
        let _ = work.append("b", b, &[900, 0]);
        if round == 5 {
            let _ = work.log.mark();
        }
    }
    Some(())
}

fn sealing(work: &mut Work<'_>) -> Option<()> {
    let a = work.create("a").or_else(|| work.create("a"))?;
    let b = work.create("b").or_else(|| work.create("b"))?;
    for _ in 0..6 {
        for _ in 0..3 {
            let _ = work.append("a", a, &[1500, 700]);
        }
        let _ = work.append("b", b, &[90]);
        let _ = work.seal(SealGoal::Due);
    }
    let _ = work.seal(SealGoal::Everything);
    let _ = work.log.shrink_journal();
    let _ = work.append("b", b, &[90]);
    let _ = work.delete(a);
    let _ = work.append("b", b, &[90]);
    Some(())
}

type Workload = fn(&mut Work<'_>) -> Option<()>;

fn calls(work: Workload) -> u64 {
    let whole = SimDisk::new();
    run(&whole, &mut Expectation::default(), work);
    whole.ops()
}

/// The faults happen, the workload ends, the power goes.
fn crash_at_the_end(work: Workload, faults: &[(u64, Fault)], coverage: &mut Coverage) {
    let disk = SimDisk::new();
    for (at, fault) in faults {
        disk.plan(*at, *fault);
    }
    let mut expectation = Expectation::default();
    run(&disk, &mut expectation, work);
    disk.heal();
    assert!(
        !disk.synced_after_failure(),
        "{faults:?}: a file was synced again after a failed sync"
    );
    let density = Density {
        step: 1,
        seeds: 1,
        seconds: 0,
    };
    let unused = |_: &SimDisk, _: &mut Expectation| {};
    let rig = rig(density, &unused);
    let promise = (0, expectation.promise());
    let mut seen = Seen::new();
    for policy in CrashPolicy::ALL {
        let seed = faults[0].0;
        let survivor = disk.after_crash(policy, seed);
        if let Err(why) = rig.judge(&survivor, promise, seed, &mut seen, coverage) {
            panic!("{faults:?}, {policy:?}, seed {seed}: {why}");
        }
    }
}

#[test]
fn a_failed_call_costs_no_acknowledged_record() {
    let mut coverage = Coverage::default();
    let begun = Instant::now();
    for (work, step) in [(stubborn as Workload, 1), (sealing, 3)] {
        for at in (0..calls(work)).step_by(step) {
            for fault in FAULTS {
                crash_at_the_end(work, &[(at, fault)], &mut coverage);
            }
        }
    }
    coverage.spent += begun.elapsed();
    println!("one failed call: {coverage}");
}

/// The second fault hits the fail-over that the first one caused.
#[test]
fn a_failed_fail_over_costs_no_acknowledged_record() {
    let mut coverage = Coverage::default();
    let begun = Instant::now();
    for at in 0..calls(stubborn) {
        for behind in 1..16 {
            let fault = FAULTS[usize::try_from((at + behind) % 3).unwrap_or(0)];
            let faults = [(at, fault), (at + behind, fault)];
            crash_at_the_end(stubborn, &faults, &mut coverage);
        }
    }
    coverage.spent += begun.elapsed();
    println!("two failed calls: {coverage}");
}

/// A fault first, then a crash at every call: the repair of the fault is interrupted.
#[test]
fn a_fail_over_survives_a_crash() {
    let mut coverage = Coverage::default();
    let density = Density {
        step: 5,
        seeds: 1,
        seconds: 1,
    };
    for at in (0..calls(stubborn)).step_by(6) {
        let fault = FAULTS[usize::try_from(at / 6 % 3).unwrap_or(0)];
        let workload = |disk: &SimDisk, expectation: &mut Expectation| {
            disk.plan(at, fault);
            run(disk, expectation, stubborn);
        };
        match rig(density, &workload).run() {
            Ok(done) => coverage.add(done),
            Err(violation) => panic!("{fault:?} at call {at}; {violation}"),
        }
    }
    println!("a failed call before the crash: {coverage}");
}

/// A disk that refuses one kind of call for ever fails appends, but takes none back.
#[test]
fn a_disk_that_fails_for_ever_loses_nothing() {
    let mut states = 0;
    for at in 0..calls(stubborn) {
        let disk = SimDisk::new();
        disk.plan(at, Fault::FailForEver(ErrorKind::Other));
        let mut expectation = Expectation::default();
        run(&disk, &mut expectation, stubborn);
        disk.heal();
        let survivor = disk.after_crash(CrashPolicy::Nothing, at);
        let found = recover(&survivor).unwrap_or_else(|why| panic!("call {at}: {why}"));
        if let Err(violation) = expectation.promise().judge(&found) {
            panic!("for ever from call {at}: {violation}");
        }
        states += 1;
    }
    println!("failing for ever: {states} states");
}

/// A file that could not be removed goes at the next call: as much is left in the end as without the
/// failure. A journal file that stayed may be begun anew in the place of another.
#[test]
fn what_could_not_be_removed_goes_later() {
    use turnleaf_engine::disk::Disk;
    let left = |fails: Option<u64>| {
        let disk = SimDisk::new();
        if let Some(at) = fails {
            disk.plan(at, Fault::Fail(ErrorKind::Other));
        }
        run(&disk, &mut Expectation::default(), |work| {
            sealing(work)?;
            disk.heal();
            work.log.clean_up(0).ok()
        });
        let list = |dir| disk.list(dir).unwrap_or_default();
        let names = ["segments", "catalogue"].map(list);
        (disk.kinds(), (list("journal").len(), names))
    };
    let (kinds, names) = left(None);
    let removes = kinds.iter().enumerate();
    let removes = removes.filter(|(_, kind)| **kind == "remove");
    let mut count = 0;
    for (at, _) in removes {
        let (_, after) = left(Some(at as u64));
        assert_eq!(after, names, "a file stays since call {at} failed");
        count += 1;
    }
    assert!(count >= 3, "only {count} removals were tried");
}
