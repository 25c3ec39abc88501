//! Imports of the whole store that are large enough to go straight into a segment, and those that
//! go on where an earlier one ended.

use turnleaf_tests::crash_rig::Rig;
use turnleaf_tests::oracle::{Expectation, Rec};
use turnleaf_tests::rollouts::RolloutMode;
use turnleaf_tests::sim_disk::SimDisk;

use super::store::{recover, rig, rollout, run};

/// More new bytes than an import puts through the journal.
const NEW_BYTES: u64 = 1300 << 10;

/// Lines of a rollout in three parts: some, more than a mebibyte, some.
fn parts() -> (String, Vec<Rec>, [usize; 2]) {
    let (thread, lines) = rollout(RolloutMode::Legacy, 6, NEW_BYTES);
    let first = 12.min(lines.len() / 4);
    let second = lines.len() - first;
    let bytes: usize = lines[first..second].iter().map(Vec::len).sum();
    assert!(
        bytes > 1 << 20,
        "{bytes} bytes take the way of a large import"
    );
    (thread, lines, [first, second])
}

/// Imports the file while it grows twice: through the journal, as a run, through the journal.
fn growing(disk: &SimDisk, expectation: &mut Expectation) {
    let (thread, lines, [first, second]) = parts();
    run(disk, expectation, |work| {
        work.import(&thread, &lines[..first], 0)?;
        work.import(&thread, &lines[..second], first)?;
        work.import(&thread, &lines, second)
    });
}

/// A power cut in the middle of a large import, and of the imports before and after it.
#[test]
fn a_large_import_survives_a_crash() {
    match rig((16, 1, 1), &growing).run() {
        Ok(coverage) => println!("store, large import: {coverage}"),
        Err(violation) => panic!("store, large import: {violation}"),
    }
}

/// Wherever the power went, the same import goes on from there and ends with every line once.
#[test]
fn a_large_import_goes_on_after_a_crash() {
    let (thread, lines, [first, second]) = parts();
    let whole = SimDisk::new();
    whole.record(4);
    growing(&whole, &mut Expectation::default());
    let mut resumed = 0;
    for (at, moment) in whole.recorded() {
        let disk = moment.after_crash(turnleaf_tests::sim_disk::CrashPolicy::Mixed, at);
        let mut expectation = Expectation::default();
        run(&disk, &mut expectation, |work| {
            for end in [first, second, lines.len()] {
                // Nothing is judged by it here.
                work.import(&thread, &lines[..end.max(first)], 0);
            }
            Some(())
        });
        let found = recover(&disk).unwrap_or_else(|why| panic!("crash at call {at}: {why}"));
        let right = found.get(&thread) == Some(&lines);
        let count = found.get(&thread).map(Vec::len);
        assert!(
            right,
            "crash at call {at}: {count:?} of {} lines, or others",
            lines.len()
        );
        resumed += 1;
    }
    assert!(resumed > 10, "{resumed} crashes");
    println!("store, import resumed after {resumed} crashes");
}

/// An index that is made from nothing, stopped at every call: the log answers, or the new index.
#[test]
fn a_rebuild_of_the_index_survives_a_crash_at_every_call() {
    let disk = SimDisk::new();
    run(
        &disk,
        &mut Expectation::default(),
        super::store::working_day,
    );
    let found = recover(&disk.fork()).unwrap();
    let workload = |disk: &SimDisk, expectation: &mut Expectation| {
        expectation.adopt(found.clone());
        run(disk, expectation, |work| {
            work.store.rebuild_index(&mut |_| {}).ok().map(drop)
        });
    };
    let rig = Rig {
        on: disk.fork(),
        step: 1,
        kills: 8,
        ..rig((1, 1, 1), &workload)
    };
    match rig.run() {
        Ok(coverage) => println!("store, rebuild: {coverage}"),
        Err(violation) => panic!("store, rebuild: {violation}"),
    }
}
