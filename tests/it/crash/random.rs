//! Workloads that nobody thought of: what a log is asked to do, where calls fail, where the process
//! ends and where the power goes, all from a seed.
//!
//! The tests here are programs that found something.

use std::io::ErrorKind;

use turnleaf_engine::{Outcome, SealGoal};
use turnleaf_format::{ThreadId, ThreadNumber};
use turnleaf_tests::oracle::Expectation;
use turnleaf_tests::rng::Rng;
use turnleaf_tests::sim_disk::{Fault, SimDisk};
use turnleaf_tests::stores::{self, line};

use super::plan::Plan;
use super::{Work, lineage, read, run_and_end};

const THREADS: [&str; 4] = ["a", "b", "c", "d"];

/// The rollout that a thread shows, with its id, which no other rollout has here.
fn shown(work: &mut Work<'_>, rng: &mut Rng, plan: &Plan) -> Option<(String, ThreadNumber)> {
    let (name, number) = if plan.lineages && rng.below(2) == 0 {
        any_thread(work, rng)?
    } else {
        thread(work, rng)?
    };
    let rollout = work.log.state().current(number);
    if rollout == number {
        return Some((lineage::name_of(work.log.state(), rollout, &name), number));
    }
    let id = work.log.state().rollout_id(rollout)?.to_string();
    Some((lineage::name_of(work.log.state(), rollout, &id), rollout))
}

/// Forks among the others.
fn any_thread(work: &Work<'_>, rng: &mut Rng) -> Option<(String, ThreadNumber)> {
    let threads = work.log.state().threads();
    let all: Vec<_> = threads
        .map(|(number, fact)| (fact.id.to_string(), number))
        .collect();
    let at = rng.below(all.len().max(1) as u64);
    all.get(usize::try_from(at).ok()?).cloned()
}

/// A fork, a revert, a further rollout, or a base that one of those gets late.
fn lineage(work: &mut Work<'_>, rng: &mut Rng) -> Option<()> {
    let all = lineage::rollouts(work.log.state());
    let at = rng.below(all.len().max(1) as u64);
    let of = all.get(usize::try_from(at).ok()?)?.1;
    let end = work.log.state().reader(of)?.end().0;
    let (cut, kind) = (1 + rng.below(end.max(1)), rng.below(4));
    let name = format!("r{}", work.staged);
    work.staged += 1;
    if kind == 0 {
        return work.fork(&name, of, cut).map(drop);
    }
    let (thread, number) = any_thread(work, rng)?;
    match kind {
        1 => work.revert(&thread, &name, of, cut).map(drop),
        2 => work.further(&thread, &format!("{name}-late")).map(drop),
        _ => {
            let state = work.log.state();
            let late = |rollout: &ThreadNumber| lineage::is_late(state, *rollout);
            let late: Vec<_> = state.rollouts_of(number).filter(late).collect();
            let late = *late.first()?;
            work.bind(late, of, cut)
        }
    }
}

fn thread(work: &mut Work<'_>, rng: &mut Rng) -> Option<(String, ThreadNumber)> {
    let mut name = THREADS[usize::try_from(rng.below(4)).ok()?].to_owned();
    // Another one takes the place of one that is deleted.
    let state = work.log.state();
    while state.deleted().any(|(_, fact)| fact.id.as_str() == name) {
        name.push('_');
    }
    let known = state.thread_number(&ThreadId::parse(&name).ok()?);
    let number = known.or_else(|| work.create(&name))?;
    Some((name, number))
}

fn size(rng: &mut Rng) -> usize {
    let largest = [1, 40, 700, 3000, 9000];
    let largest = largest[usize::try_from(rng.below(5)).unwrap_or(0)];
    usize::try_from(rng.below(largest)).unwrap_or(0)
}

/// Several batches in one commit.
fn group(work: &mut Work<'_>, rng: &mut Rng, plan: &Plan) -> Option<()> {
    let mut members = Vec::new();
    for _ in 0..2 + rng.below(4) {
        members.push(shown(work, rng, plan)?);
    }
    let mut tickets = Vec::new();
    for (name, number) in members {
        let sizes: Vec<usize> = (0..1 + rng.below(3)).map(|_| size(rng) / 4).collect();
        let batch = work.batch(&name, &sizes);
        let records: Vec<_> = batch.iter().map(|bytes| line(bytes)).collect();
        let staged = work.log.stage(number, None, &records).ok()?;
        work.expectation.stage(&name, batch);
        tickets.push(staged.ticket);
    }
    for _ in 0..20 {
        work.log.commit_all();
        let outcomes = tickets.iter().map(|ticket| work.log.outcome(*ticket));
        let outcomes: Vec<Outcome> = outcomes.collect();
        let durable = outcomes
            .iter()
            .take_while(|outcome| matches!(outcome, Outcome::Durable));
        let durable = durable.count();
        work.expectation.acknowledge_first(durable);
        tickets.drain(..durable);
        match outcomes.get(durable) {
            None => return Some(()),
            Some(Outcome::Pending) => drop(work.seal(SealGoal::Due)),
            Some(_) => {
                work.expectation.refuse();
                return None;
            }
        }
    }
    work.stuck = true;
    None
}

fn import(work: &mut Work<'_>, rng: &mut Rng, plan: &Plan) -> Option<()> {
    let (name, number) = shown(work, rng, plan)?;
    work.log.lease(number).ok()?;
    let lines = work.batch(&name, &[size(rng); 12]);
    let thread = (name.as_str(), number);
    let done = stores::import(&mut work.log, work.expectation, thread, lines, &[]);
    work.log.return_lease(number);
    done
}

fn step(work: &mut Work<'_>, rng: &mut Rng, plan: &Plan) -> Option<()> {
    (!work.stuck).then_some(())?;
    work.background();
    let kinds = 20 + if plan.deletes { 2 } else { 0 } + if plan.lineages { 6 } else { 0 };
    match rng.below(kinds) {
        0..10 => {
            let (name, number) = shown(work, rng, plan)?;
            let sizes: Vec<usize> = (0..1 + rng.below(3)).map(|_| size(rng)).collect();
            work.append(&name, number, &sizes)
        }
        10..14 => group(work, rng, plan),
        14 => work.seal(SealGoal::Due),
        15 => work.seal(SealGoal::Everything),
        16 => work.log.mark().ok(),
        17 => work.log.clean_up(usize::try_from(rng.below(3)).ok()?).ok(),
        18 => work.log.shrink_journal().ok(),
        19 => import(work, rng, plan),
        20..22 if plan.deletes => {
            if !plan.lineages {
                let (_, thread) = thread(work, rng)?;
                return work.delete(thread);
            }
            let (_, thread) = any_thread(work, rng)?;
            if rng.below(2) == 0 {
                return work.delete(thread);
            }
            let all = lineage::with_forks(work.log.state(), thread);
            work.delete_all(&all)
        }
        _ => lineage(work, rng),
    }
}

/// Some owners one after the other, each of which does some steps and closes the log or is killed.
pub(super) fn program(
    disk: &SimDisk,
    expectation: &mut Expectation,
    plan: &Plan,
) -> Result<(), String> {
    let mut rng = Rng::new(plan.seed);
    // Apart from the rest, so that a program does the same whoever closes.
    let mut closes = Rng::new(plan.seed ^ 0xc1);
    for owner in 0..(1 + rng.below(3)).min(plan.owners) {
        let steps = (3 + rng.below(14)).min(plan.steps);
        let closes = closes.below(2) == 0;
        let mut violation = None;
        run_and_end(disk, expectation, closes, |work| {
            // What an opening shows is promised from then on.
            let shown = read(work.log.state());
            match shown.and_then(|shown| work.expectation.promise().judge(&shown).map(|()| shown)) {
                Ok(shown) => work.expectation.adopt(shown),
                Err(why) => {
                    violation = Some(format!("owner {owner} opens: {why}"));
                    return None;
                }
            }
            let mut rng = Rng::new(plan.seed ^ (owner + 1) << 32);
            work.staged = usize::try_from(owner).ok()? * 1000;
            for _ in 0..steps {
                let _ = step(work, &mut rng, plan);
            }
            Some(())
        });
        violation.map_or(Ok(()), Err)?;
    }
    Ok(())
}

/// Crashes one program at every so manieth call, besides the faults that are planned.
fn crash(seed: u64, every: u64, faults: &[(u64, Fault)]) {
    let faults = faults.to_vec();
    let plan = Plan {
        every,
        faults,
        ..Plan::of_seed(seed)
    };
    if let Err(violation) = plan.judge() {
        panic!("{plan}: {violation}");
    }
}

/// A catalogue segment whose name a failed directory sync lost: the next owner saw it in the cache
/// and counted on it.
#[test]
fn a_catalogue_segment_without_a_durable_name_costs_nothing() {
    let plans = [
        (80, Fault::Short(ErrorKind::StorageFull)),
        (133, Fault::Fail(ErrorKind::StorageFull)),
        (58, Fault::Fail(ErrorKind::StorageFull)),
    ];
    crash(221, 1, &plans);
}

/// Two catalogue segments with the same records: the name of the first was lost, so it was written
/// again, and the next owner relied on the first and removed the second.
#[test]
fn a_catalogue_segment_that_was_written_again_is_the_one_that_counts() {
    let plans = [
        (162, Fault::Fail(ErrorKind::StorageFull)),
        (94, Fault::Short(ErrorKind::StorageFull)),
        (117, Fault::Fail(ErrorKind::StorageFull)),
    ];
    crash(227, 1, &plans);
}

/// Killed between the renaming of a catalogue segment and the sync of its directory.
#[test]
fn a_catalogue_segment_whose_name_was_not_synced_costs_nothing() {
    crash(1211, 1, &[]);
}

/// A journal file whose name a failed directory sync lost: it stayed in the cache, and a later owner
/// recycled it.
#[test]
fn a_journal_file_that_was_never_used_is_not_recycled() {
    let plans = [
        (148, Fault::Fail(ErrorKind::Other)),
        (143, Fault::Short(ErrorKind::Other)),
        (96, Fault::Fail(ErrorKind::Other)),
    ];
    crash(321, 1, &plans);
}

/// A journal file that was removed comes back with a header that counts on a catalogue segment, while
/// an opening makes that segment's name anew.
#[test]
fn a_catalogue_segment_is_never_away() {
    let plans = [
        (90, Fault::Short(ErrorKind::Other)),
        (58, Fault::Fail(ErrorKind::StorageFull)),
        (152, Fault::Fail(ErrorKind::StorageFull)),
    ];
    for step in 1..=3 {
        crash(1123, step, &plans);
    }
}
