//! Reads that fail, or show a bit that the disk does not have: nothing wrong is read, and nothing
//! is made of it that outlasts it. [R:unreadable] [R:reread]

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::sync::Arc;

use turnleaf_engine::disk::Disk;
use turnleaf_engine::{Log, Owner, SealGoal, State};
use turnleaf_format::{Ordinal, StoreId, ThreadId};
use turnleaf_tests::crash_rig::{Found, scale};
use turnleaf_tests::oracle::Expectation;
use turnleaf_tests::rng::Rng;
use turnleaf_tests::sim_disk::{ReadFault, SimDisk};

use super::plan::Plan;
use super::{Work, options, recover};

/// Reads what can be read and holds it against the truth; where damage was reported, what is
/// missing may be, but what is there is right.
fn read_against(state: &State, truth: &Found) -> Result<(), String> {
    for (number, fact) in state.threads() {
        let reader = state.reader(number).ok_or("a thread without a view")?;
        let Some(records) = truth.get(fact.id.as_str()) else {
            return Err(format!("thread {} was never created", fact.id));
        };
        let mut wrong = None;
        let mut next = 0;
        // A failure of the reading is an answer: it says that it is none.
        let read = reader.records(Ordinal(0), reader.end(), &mut |record| {
            let at = usize::try_from(record.ordinal.0).unwrap_or(usize::MAX);
            let right = records
                .get(at)
                .is_some_and(|right| Some(right.as_slice()) == record.bytes());
            if !right || at != next {
                wrong = Some(at);
                return ControlFlow::Break(());
            }
            next = at + 1;
            ControlFlow::Continue(())
        });
        if let Some(at) = wrong {
            return Err(format!(
                "thread {}: record {at} is wrong, or not the next",
                fact.id
            ));
        }
        if read.is_ok() && next as u64 != reader.end().0 {
            return Err(format!("thread {}: {next} records without a word", fact.id));
        }
    }
    Ok(())
}

/// An owner opens the store, reads it, goes on working, and closes it, with faults on the way. What
/// it was promised is in `expectation`; what was there before is `truth`.
fn owner(disk: &SimDisk, truth: &Found, expectation: &mut Expectation) -> Result<(), String> {
    let owner = Owner {
        pid: 2,
        host: "sim".into(),
        since_ms: 2,
    };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let Ok((log, report)) = Log::open(shared, options(), &owner, StoreId([9; 16])) else {
        return Ok(());
    };
    read_against(log.state(), truth)?;
    if report.damage.is_empty() {
        // Nothing was reported, so nothing may be missing.
        for (thread, records) in truth {
            let number = ThreadId::parse(thread).ok();
            let number = number.and_then(|id| log.state().thread_number(&id));
            let reader = number.and_then(|number| log.state().reader(number));
            let end = reader.map_or(0, |reader| reader.end().0);
            if end < records.len() as u64 {
                return Err(format!("thread {thread} ends at {end} without a word"));
            }
        }
    }
    let mut work = Work {
        log,
        expectation,
        staged: 7000,
        stuck: false,
        plan: None,
        made: None,
    };
    for name in truth.keys() {
        let number = ThreadId::parse(name).ok();
        if let Some(number) = number.and_then(|id| work.log.state().thread_number(&id)) {
            let _ = work.append(name, number, &[300, 20]);
        }
    }
    let _ = work.seal(SealGoal::Everything);
    let _ = work.log.shrink_journal();
    let _ = work.log.close();
    Ok(())
}

/// What programs leave, and what is right about it.
fn stores(count: u64) -> Vec<(Plan, SimDisk, Found)> {
    let stores = (0..)
        .map(|number| Plan::of_seed(2 * number + 1))
        .filter_map(|plan| {
            let disk = SimDisk::new();
            plan.run(&disk, &mut Expectation::default()).unwrap();
            let found = recover(&disk.fork()).unwrap();
            (found.values().flatten().count() > 10).then_some((plan, disk.fork(), found))
        });
    stores.take(usize::try_from(count).unwrap()).collect()
}

/// One fault at every reading call of an owner.
fn fault_at_every_read(what: &str, fault: impl Fn(u64) -> ReadFault) {
    let [mut faults, mut retried] = [0; 2];
    for (plan, disk, truth) in stores(6 * scale()) {
        for at in 0.. {
            let disk = disk.fork();
            let fault = fault(at ^ plan.seed << 20);
            disk.plan_read(at, fault);
            let mut expectation = Expectation::default();
            expectation.adopt(truth.clone());
            let done = owner(&disk, &truth, &mut expectation);
            let met = disk.read_faults_met();
            if met.is_empty() {
                break;
            }
            faults += 1;
            disk.heal();
            // A read that fails once is tried again, and nobody notices. [R:unreadable]
            if fault == ReadFault::Fail(ErrorKind::Other) && met[0].starts_with("read_at") {
                let before: usize = truth.values().map(Vec::len).sum();
                let acked = expectation.promise().acknowledged();
                let after: usize = acked.values().map(Vec::len).sum();
                assert_eq!(after, before + 2 * truth.len(), "{what}: {plan}, {met:?}");
                retried += 1;
            }
            let found = done.and_then(|()| recover(&disk.fork()));
            let judged = found.and_then(|found| expectation.promise().judge(&found));
            if let Err(violation) = judged {
                panic!("{what}: {plan}, {fault:?} at read {at}, {met:?}: {violation}");
            }
        }
    }
    assert!(faults > 100, "{what}: only {faults} faults");
    println!("{what}: {faults} faults, {retried} were tried again");
}

#[test]
fn a_read_that_fails_once_costs_nothing() {
    fault_at_every_read("a read that fails", |_| ReadFault::Fail(ErrorKind::Other));
}

#[test]
fn a_place_that_cannot_be_read_costs_nothing_that_stays() {
    fault_at_every_read("a place that fails", |_| {
        ReadFault::FailForEver(ErrorKind::Other)
    });
}

#[test]
fn a_short_read_costs_nothing() {
    fault_at_every_read("a short read", |_| ReadFault::Short);
}

#[test]
fn a_bit_that_only_a_read_shows_costs_nothing() {
    for round in 0..4 {
        fault_at_every_read("a flipped bit", |at| {
            ReadFault::Flip(Rng::new(at ^ round << 40).number())
        });
    }
}
