//! Forks and further rollouts of a thread: each is there with the whole prefix that it goes on
//! from, or not at all.

use turnleaf_engine::disk::Disk;
use turnleaf_engine::{AppendError, Origin, Outcome, SealGoal, State};
use turnleaf_format::catalogue::Base;
use turnleaf_format::frame::{self, FrameHeader, Position};
use turnleaf_format::journal::{self, FRAMES_OFFSET, HEADER_OFFSETS, JournalHeader};
use turnleaf_format::{Ordinal, ThreadId, ThreadNumber};
use turnleaf_tests::crash_rig::{Found, Rig};
use turnleaf_tests::oracle::{Expectation, Rec};
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::STORE;

use super::{Density, Work, recover, rig, run};

/// All rollouts, each under its name.
pub(super) fn rollouts(state: &State) -> Vec<(String, ThreadNumber)> {
    let threads = state.threads();
    let all = threads.flat_map(|(thread, _)| state.rollouts_of(thread));
    let named = all.filter_map(|rollout| {
        let id = state.rollout_id(rollout)?.to_string();
        Some((name_of(state, rollout, &id), rollout))
    });
    named.collect()
}

/// What a rollout is called: by its id, which no two have here. One that got its base late has
/// another name from then on, because it shows other records; and so have those that go on from it.
pub(super) fn name_of(state: &State, rollout: ThreadNumber, id: &str) -> String {
    let bases = state.bases(rollout).map(|base| base.rollout);
    let lineage = std::iter::once(rollout).chain(bases);
    let late = lineage.filter(|of| {
        let id = state.rollout_id(*of).map_or("", ThreadId::as_str);
        id.ends_with(LATE) && state.origin(*of).is_some()
    });
    format!("{id}{}", WHOLE.repeat(late.count()))
}

/// What a name has more for each base that was found late.
const WHOLE: &str = ", whole";

/// A thread with all that were forked from it, however far.
pub(super) fn with_forks(state: &State, thread: ThreadNumber) -> Vec<ThreadNumber> {
    let mut all = vec![thread];
    let mut at = 0;
    while let Some(thread) = all.get(at) {
        let forks: Vec<_> = state
            .referrers_of(*thread)
            .filter_map(|rollout| state.thread_of(rollout))
            .collect();
        for fork in forks {
            if !all.contains(&fork) {
                all.push(fork);
            }
        }
        at += 1;
    }
    all
}

/// How the ids of rollouts end that may get a base late.
const LATE: &str = "-late";

/// Whether a rollout may get a base still.
pub(super) fn is_late(state: &State, rollout: ThreadNumber) -> bool {
    let id = state.rollout_id(rollout);
    id.is_some_and(|id| id.as_str().ends_with(LATE)) && state.origin(rollout).is_none()
}

/// Nothing in a journal file asks for more than the file's header does: a reader of format 1 that
/// opens it is never surprised. [S:version-4]
pub(super) fn check_formats(disk: &SimDisk) -> Result<(), String> {
    // A crash may come before there is a directory.
    for file in disk.list("journal").unwrap_or_default() {
        let path = format!("journal/{}", file.name);
        let bytes = disk.bytes(&path).unwrap_or_default();
        let copies = HEADER_OFFSETS.map(|at| usize::try_from(at).ok());
        let headers = copies.into_iter().flatten().filter_map(|at| {
            let copy = bytes.get(at..at + journal::HEADER_BYTES)?;
            JournalHeader::decode(copy).ok()
        });
        let Some(header) = headers.max_by_key(|header| header.generation) else {
            continue;
        };
        let first = usize::try_from(FRAMES_OFFSET).map_err(|_| "a large offset")?;
        for at in (first..bytes.len().saturating_sub(frame::HEADER_BYTES)).step_by(8) {
            let place = Position {
                generation: header.generation,
                offset: at as u64,
            };
            let copy = &bytes[at..at + frame::HEADER_BYTES];
            let Ok((found, _)) = FrameHeader::decode(copy, STORE, place) else {
                continue;
            };
            if found.readable_by > header.version.readable_by {
                return Err(format!("{path}, {at}: a frame asks for more than its file"));
            }
        }
    }
    Ok(())
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
pub(super) fn list_of(thread: &str) -> String {
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
        let called = format!("{name}{}", name_of(self.log.state(), base.rollout, ""));
        let (thread, ticket) = self.log.stage_fork(&id, base).ok()?;
        self.expectation.stage(&called, shown);
        self.settled(ticket).map(|()| thread)
    }

    /// A further rollout of a thread, which goes on from nothing.
    pub(super) fn further(&mut self, thread: &str, name: &str) -> Option<ThreadNumber> {
        (!self.stuck).then_some(())?;
        let thread_id = ThreadId::parse(thread).ok()?;
        let number = self.log.state().thread_number(&thread_id)?;
        let id = ThreadId::parse(name).ok()?;
        let (rollout, ticket) = self.log.stage_rollout(number, &id, None, true).ok()?;
        self.expectation.stage(name, Vec::new());
        self.expectation.stage(&list_of(thread), vec![name.into()]);
        self.settled(ticket).map(|()| rollout)
    }

    /// The base of a rollout is found: it shows that before what it has.
    pub(super) fn bind(&mut self, late: ThreadNumber, of: ThreadNumber, end: u64) -> Option<()> {
        (!self.stuck).then_some(())?;
        let (base, before) = self.prefix(of, end)?;
        let state = self.log.state();
        let goes_on = |rollout| {
            let mut bases = state.bases(rollout).map(|base| base.rollout);
            rollout == late || bases.any(|base| base == late)
        };
        let is_circle = goes_on(base.rollout);
        let mut changed = Vec::new();
        for (name, rollout) in rollouts(state) {
            if !goes_on(rollout) {
                continue;
            }
            let shown = super::records(&state.reader(rollout)?, false).ok()?;
            changed.push((name, [&before[..], &shown[..]].concat()));
        }
        let found = name_of(state, base.rollout, "");
        let ticket = match self.log.stage_origin(late, Origin::Base(base)) {
            Ok(ticket) => ticket,
            Err(AppendError::Busy) => return None,
            Err(_) if is_circle => return None,
            Err(error) => panic!("{late:?} on {base:?}: {error:?}"),
        };
        assert!(!is_circle, "{late:?} on {base:?}");
        for (name, shown) in changed {
            self.expectation.stage_deletion(&name);
            let name = format!("{name}{WHOLE}{found}");
            self.expectation.stage(&name, shown);
        }
        self.settled(ticket)
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
        let called = format!("{name}{}", name_of(self.log.state(), base.rollout, ""));
        let origin = Some(Origin::Base(base));
        let staged = self.log.stage_rollout(number, &id, origin, true);
        let (rollout, ticket) = staged.ok()?;
        self.expectation.stage(&called, shown);
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

/// Threads of which one goes on from the other are deleted together: all of them or none, wherever
/// it is stopped.
#[test]
fn threads_that_are_deleted_together_go_together() {
    let density = Density {
        step: 1,
        seeds: 4,
        seconds: 1,
    };
    let workload = |disk: &SimDisk, expectation: &mut Expectation| {
        run(disk, expectation, |work| {
            let a = work.create("a")?;
            work.append("a", a, &[700, 10, 300])?;
            let b = work.fork("b", a, 2)?;
            work.append("b", b, &[400])?;
            let c = work.fork("c", b, 3)?;
            work.revert("c", "c-2", c, 1)?;
            work.seal(SealGoal::Everything)?;
            let d = work.create("d")?;
            work.append("d", d, &[50])?;
            assert_eq!(
                work.delete_all(&[a, b]),
                None,
                "a third one goes on from it"
            );
            work.delete_all(&[c, b, a])?;
            work.append("d", d, &[50])?;
            work.seal(SealGoal::Everything)
        });
    };
    let recovered = |disk: &SimDisk| {
        let found = recover(disk)?;
        let there = ["a", "b", "c", "c-2"].iter();
        let there = there.filter(|name| found.contains_key(**name)).count();
        if found.contains_key("d") && there % 4 != 0 {
            return Err(format!("{there} of 4 rollouts are left"));
        }
        Ok(found)
    };
    let rig = Rig {
        recover: &recovered,
        ..rig(density, &workload)
    };
    match rig.run() {
        Ok(coverage) => println!("delete together: {coverage}"),
        Err(violation) => panic!("delete together: {violation}"),
    }
}
