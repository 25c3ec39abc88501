//! Workloads on a disk that works until the power goes.

use turnleaf_engine::{Outcome, SealGoal};
use turnleaf_format::Ordinal;
use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_tests::stores::{self, line};

use super::{Density, Work, rig, run};

fn stop(name: &str, density: Density, work: fn(&mut Work<'_>) -> Option<()>) {
    let done = rig(density, &|disk, expectation| run(disk, expectation, work)).run();
    match done {
        Ok(coverage) => println!("{name}: {coverage}"),
        Err(violation) => panic!("{name}: {violation}"),
    }
}

#[test]
fn appends_survive_a_crash_at_every_call() {
    let density = Density {
        step: 1,
        seeds: 8,
        seconds: 2,
    };
    stop("append", density, |work| {
        let a = work.create("a")?;
        work.append("a", a, &[10, 2000])?;
        let b = work.create("b")?;
        for round in 0..6 {
            work.append("b", b, &[600 * round, 1])?;
            work.append("a", a, &[3000])?;
        }
        let c = work.create("c")?;
        work.append("c", c, &[0])?;
        work.log.mark().ok()?;
        work.append("c", c, &[1, 2, 3])
    });
}

#[test]
fn sealing_and_recycling_survive_a_crash_at_every_call() {
    let density = Density {
        step: 1,
        seeds: 2,
        seconds: 1,
    };
    stop("seal", density, |work| {
        let a = work.create("a")?;
        let b = work.create("b")?;
        for round in 0..30 {
            work.append("a", a, &[1500, 700])?;
            work.append("b", b, &[90])?;
            if round % 7 == 0 {
                work.seal(SealGoal::Due)?;
            }
        }
        work.seal(SealGoal::Everything)?;
        work.log.shrink_journal().ok()?;
        work.append("b", b, &[90])
    });
}

/// Small threads only: the budget is reached, and what is left in the oldest file goes into packs.
#[test]
fn packs_survive_a_crash_at_every_call() {
    let density = Density {
        step: 1,
        seeds: 2,
        seconds: 1,
    };
    stop("pack", density, |work| {
        let mut threads = Vec::new();
        for round in 0..60 {
            if round % 5 == 0 {
                let name = format!("t{round}");
                threads.push((work.create(&name)?, name));
            }
            let (thread, name) = threads[(round * 7) % threads.len()].clone();
            work.append(&name, thread, &[1900])?;
        }
        Some(())
    });
}

#[test]
fn an_import_survives_a_crash_at_every_call() {
    let density = Density {
        step: 1,
        seeds: 8,
        seconds: 2,
    };
    stop("import", density, |work| {
        let a = work.create("a")?;
        work.append("a", a, &[100])?;
        work.log.lease(a).ok()?;
        let lines = work.batch("a", &[3000; 40]);
        let fact = CatalogueRecord::Import {
            thread: a,
            source_bytes: 1,
            ordinal_end: Ordinal(41),
            file_bytes: 1,
            modified_ns: 1,
            path: "x".into(),
        };
        stores::import(&mut work.log, work.expectation, ("a", a), lines, &[fact])?;
        work.log.return_lease(a);
        work.append("a", a, &[100])
    });
}

#[test]
fn a_group_is_a_prefix_of_whole_batches() {
    let density = Density {
        step: 1,
        seeds: 12,
        seconds: 2,
    };
    stop("group", density, |work| {
        let a = work.create("a")?;
        let b = work.create("b")?;
        for _ in 0..5 {
            let mut last = None;
            for (name, thread) in [("a", a), ("b", b), ("a", a)] {
                let batch = work.batch(name, &[600, 6]);
                let records = [line(&batch[0]), line(&batch[1])];
                last = Some(work.log.stage(thread, None, &records).ok()?.ticket);
                work.expectation.stage(name, batch);
            }
            work.log.commit_all();
            matches!(work.log.outcome(last?), Outcome::Durable)
                .then(|| work.expectation.acknowledge())?;
        }
        Some(())
    });
}

/// A thread with a segment, one that shares a pack, and one that only the journal holds.
#[test]
fn deletions_survive_a_crash_at_every_call() {
    let density = Density {
        step: 1,
        seeds: 4,
        seconds: 2,
    };
    stop("delete", density, |work| {
        let a = work.create("a")?;
        let b = work.create("b")?;
        let c = work.create("c")?;
        for _ in 0..4 {
            work.append("a", a, &[1500, 700])?;
        }
        work.append("b", b, &[90])?;
        work.append("c", c, &[90])?;
        work.seal(SealGoal::Everything)?;
        work.append("a", a, &[300])?;
        work.append("b", b, &[300])?;
        work.delete(a)?;
        work.append("c", c, &[300])?;
        work.delete(b)?;
        work.seal(SealGoal::Everything)?;
        work.log.shrink_journal().ok()?;
        let d = work.create("d")?;
        work.append("d", d, &[300])?;
        work.delete(d)?;
        work.append("c", c, &[300])
    });
}
