//! What the background does beside sealing, beside everything that a log does. Whoever opens a store
//! comes to the same with the catalogue's checkpoint and without [R:cat-9]; a journal file that was
//! made ready ahead costs nothing wherever it is stopped. [R:set-22]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use turnleaf_engine::disk::Disk;
use turnleaf_engine::{FilePlan, Options, SealGoal, Snapshot, State};
use turnleaf_tests::oracle::Expectation;
use turnleaf_tests::parallel::in_parallel;
use turnleaf_tests::sim_disk::SimDisk;

use super::plan::Plan;
use super::{Density, options, read, rig, run_and_end};

const PATH: &str = "catalogue/checkpoint";
/// Records of the catalogue that are worth a checkpoint.
const FEW: u64 = 3;

thread_local! {
    static RECORDS_MIN: Cell<u64> = Cell::new(Options::default().checkpoint_records_min);
}

/// Disks that were compared.
static COMPARED: AtomicU64 = AtomicU64::new(0);

/// Journal files that were planned.
static PLANNED: AtomicU64 = AtomicU64::new(0);

/// Says whether the background does anything, and so also for small catalogues, in logs that this
/// OS thread opens.
pub(super) fn is_done_if(is_done: bool) {
    let few = if is_done { FEW } else { u64::MAX };
    RECORDS_MIN.with(|min| min.set(few));
}

pub(super) fn is_done() -> bool {
    records_min() == FEW
}

pub(super) fn counted(plan: Option<FilePlan>) -> Option<FilePlan> {
    PLANNED.fetch_add(u64::from(plan.is_some()), Ordering::Relaxed);
    plan
}

pub(super) fn records_min() -> u64 {
    RECORDS_MIN.with(Cell::get)
}

/// All that a state says beside the records.
fn said(state: &State) -> String {
    let threads = state.threads().map(|(number, fact)| {
        let reader = state.reader(number);
        let end = reader.map(|reader| (reader.end(), reader.chain()));
        format!("{number:?} {fact:?} {end:?}\n")
    });
    let deleted = state.deleted();
    let deleted = deleted.map(|(number, fact)| format!("{number:?} {fact:?}\n"));
    let segments = format!("{:?}", state.segments());
    threads.chain(deleted).chain([segments]).collect()
}

/// A store that was read with a checkpoint, if there is one, is the same without.
pub(super) fn compare(disk: &SimDisk, with: &State) -> Result<(), String> {
    if disk.bytes(PATH).is_none() {
        return Ok(());
    }
    COMPARED.fetch_add(1, Ordering::Relaxed);
    let without = disk.fork();
    without.remove(PATH).map_err(|error| error.to_string())?;
    let without: Arc<dyn Disk> = Arc::new(without);
    let without = Snapshot::open(&without, &options()).map_err(|error| error.to_string())?;
    if let Some(damage) = without.report().damage.first() {
        return Err(format!("without the checkpoint: {damage}"));
    }
    let (with_it, without_it) = (said(with), said(without.state()));
    if with_it == without_it && read(with)? == read(without.state())? {
        Ok(())
    } else {
        Err(format!(
            "with the checkpoint:\n{with_it}without:\n{without_it}"
        ))
    }
}

/// Stopped at every call: while it is written, renamed, replaced.
#[test]
fn a_checkpoint_changes_no_answer_wherever_the_power_goes() {
    is_done_if(true);
    let workload = |disk: &SimDisk, expectation: &mut Expectation| {
        for owner in 0..2 {
            run_and_end(disk, expectation, owner == 0, |work| {
                for round in 0..3 {
                    let name = format!("t-{owner}-{round}");
                    let thread = work.create(&name)?;
                    work.append(&name, thread, &[900, 2000])?;
                    work.seal(SealGoal::Everything)?;
                    work.append(&name, thread, &[100])?;
                    work.log.checkpoint();
                    if round == 1 {
                        work.delete(thread)?;
                    }
                }
                Some(())
            });
        }
    };
    let density = Density {
        step: 1,
        seeds: 1,
        seconds: 1,
    };
    let coverage = rig(density, &workload).run().unwrap();
    println!("{coverage}");
    is_done_if(false);
}

#[test]
fn programs_with_a_background_lose_nothing() {
    let judged = in_parallel(0..24, &|number| {
        let plan = Plan {
            background: true,
            every: 7,
            ..Plan::number(3000 + number)
        };
        plan.judge().map_err(|why| format!("{plan}: {why}"))
    });
    for result in judged {
        result.unwrap();
    }
    assert!(COMPARED.load(Ordering::Relaxed) > 100);
    assert!(PLANNED.load(Ordering::Relaxed) > 10);
}

/// Stopped at every call: while a file is filled, and between that and its beginning.
#[test]
fn a_journal_file_that_is_made_ready_costs_nothing_wherever_the_power_goes() {
    is_done_if(true);
    let workload = |disk: &SimDisk, expectation: &mut Expectation| {
        for owner in 0..2 {
            run_and_end(disk, expectation, owner == 0, |work| {
                let name = format!("t-{owner}");
                let thread = work.create(&name)?;
                for _ in 0..20 {
                    work.append(&name, thread, &[3000])?;
                    work.background();
                }
                Some(())
            });
        }
    };
    let density = Density {
        step: 3,
        seeds: 1,
        seconds: 1,
    };
    let before = PLANNED.load(Ordering::Relaxed);
    let coverage = rig(density, &workload).run().unwrap();
    println!("{coverage}");
    assert!(PLANNED.load(Ordering::Relaxed) > before);
    is_done_if(false);
}
