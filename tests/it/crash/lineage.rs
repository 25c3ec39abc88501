//! Forks and further rollouts of a thread: each is there with the whole prefix that it goes on
//! from, or not at all.

use turnleaf_engine::{Origin, Outcome, SealGoal, State};
use turnleaf_format::catalogue::Base;
use turnleaf_format::{Ordinal, ThreadId, ThreadNumber};
use turnleaf_tests::crash_rig::Found;
use turnleaf_tests::oracle::Rec;

use super::{Density, Work, rig, run};

/// All rollouts, each under its id, which no two have here.
pub(super) fn rollouts(state: &State) -> impl Iterator<Item = (String, ThreadNumber)> {
    let threads = state.threads();
    let all = threads.flat_map(|(thread, _)| state.rollouts_of(thread));
    all.filter_map(|rollout| Some((state.rollout_id(rollout)?.to_string(), rollout)))
}

/// Adds which further rollouts each thread has; it shows the newest of them.
pub(super) fn add_lists(state: &State, found: &mut Found) -> Result<(), String> {
    for (thread, fact) in state.threads() {
        let all: Vec<ThreadNumber> = state.rollouts_of(thread).collect();
        if all.last() != Some(&state.current(thread)) {
            return Err(format!("{} shows an older rollout", fact.id));
        }
        let ids = all[1..].iter().map(|rollout| state.rollout_id(*rollout));
        let ids: Vec<Rec> = ids.flatten().map(|id| id.as_str().into()).collect();
        if !ids.is_empty() {
            found.insert(list_of(fact.id.as_str()), ids);
        }
    }
    Ok(())
}

/// No thread has this name.
fn list_of(thread: &str) -> String {
    format!("rollouts of {thread}")
}

impl Work<'_> {
    /// Where a rollout ends so many records after its beginning, and what it shows up to there.
    fn prefix(&self, rollout: ThreadNumber, end: u64) -> Option<(Base, Vec<Rec>)> {
        let reader = self.log.state().reader(rollout)?;
        let base = reader.base_at(Ordinal(end)).ok()??;
        let shown = super::records(&reader, false).ok()?;
        Some((base, shown[..usize::try_from(end).ok()?].to_vec()))
    }

    fn settled(&mut self, ticket: turnleaf_engine::Ticket) -> Option<()> {
        self.log.commit_all();
        if matches!(self.log.outcome(ticket), Outcome::Durable) {
            self.expectation.acknowledge();
            return Some(());
        }
        self.expectation.refuse();
        None
    }

    /// A thread that goes on from a rollout.
    pub(super) fn fork(&mut self, name: &str, of: ThreadNumber, end: u64) -> Option<ThreadNumber> {
        (!self.stuck).then_some(())?;
        let (base, shown) = self.prefix(of, end)?;
        let id = ThreadId::parse(name).ok()?;
        let (thread, ticket) = self.log.stage_fork(&id, base).ok()?;
        self.expectation.stage(name, shown);
        self.settled(ticket).map(|()| thread)
    }

    /// A further rollout of a thread, which goes on from the one that it shows, or another one.
    pub(super) fn revert(
        &mut self,
        thread: &str,
        name: &str,
        of: ThreadNumber,
        end: u64,
    ) -> Option<ThreadNumber> {
        (!self.stuck).then_some(())?;
        let number = self
            .log
            .state()
            .thread_number(&ThreadId::parse(thread).ok()?)?;
        let (base, shown) = self.prefix(of, end)?;
        let id = ThreadId::parse(name).ok()?;
        let origin = Some(Origin::Base(base));
        let staged = self.log.stage_rollout(number, &id, origin, true);
        let (rollout, ticket) = staged.ok()?;
        self.expectation.stage(name, shown);
        self.expectation.stage(&list_of(thread), vec![name.into()]);
        self.settled(ticket).map(|()| rollout)
    }
}

/// The first record of a lineage begins a journal file for newer readers. [S:version-4]
#[test]
fn forks_and_reverts_survive_a_crash_at_every_call() {
    let density = Density {
        step: 1,
        seeds: 6,
        seconds: 1,
    };
    let done = rig(density, &|disk, expectation| {
        run(disk, expectation, |work| {
            let a = work.create("a")?;
            work.append("a", a, &[700, 10, 300])?;
            let b = work.fork("b", a, 2)?;
            work.append("b", b, &[400])?;
            work.append("a", a, &[10])?;
            let a_2 = work.revert("a", "a-2", a, 1)?;
            work.append("a-2", a_2, &[90, 2000])?;
            work.seal(SealGoal::Everything)?;
            let c = work.fork("c", b, 3)?;
            work.append("c", c, &[50])?;
            work.log.shrink_journal().ok()?;
            let c_2 = work.revert("c", "c-2", c, 2)?;
            work.append("c-2", c_2, &[90])
        });
    })
    .run();
    match done {
        Ok(coverage) => println!("fork: {coverage}"),
        Err(violation) => panic!("fork: {violation}"),
    }
}
