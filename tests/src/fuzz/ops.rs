//! Any bytes as what a log is asked to do: appends, groups, seals, packs, imports, forks, reverts,
//! deletions, failing calls, owners that end, are killed, or lose power. What is found is what was promised, each time.
//!
//! Input: one byte for each operation, with its arguments behind it.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::sync::Arc;

use turnleaf_engine::disk::Disk;
use turnleaf_engine::{
    Log, OpenError, Options, Origin, Outcome, Record, Refusal, SealGoal, Snapshot, State,
};
use turnleaf_format::{Ordinal, ThreadId, ThreadNumber};

use super::Bytes;
use crate::crash_rig::Found;
use crate::oracle::{Expectation, Rec};
use crate::sim_disk::{CrashPolicy, Fault, SimDisk};
use crate::stores::{import, line, open_log};

const THREADS: [&str; 4] = ["a", "b", "c", "d"];
const OPERATIONS_MAX: usize = 160;
/// The byte that deletes a thread.
pub(super) const DELETES: u8 = 0xfc;
/// The byte that forks a thread.
pub(super) const FORKS: u8 = 0xfb;
/// The byte that reverts a thread.
pub(super) const REVERTS: u8 = 0xfa;

fn options() -> Options {
    Options {
        journal_first_bytes: 16 << 10,
        journal_file_bytes: 32 << 10,
        journal_files_max: 3,
        seal_bytes_min: 8 << 10,
        segment_boundary_bytes: 16 << 10,
        segment_bytes_max: 64 << 10,
        reserve_bytes: 8 << 10,
        ..Options::default()
    }
}

/// Runs the target.
///
/// # Panics
/// When a law is broken.
pub fn run(input: &[u8]) {
    let mut run = Run {
        input: Bytes(input),
        disk: SimDisk::new(),
        log: None,
        expectation: Expectation::default(),
        staged: 0,
        stuck: false,
    };
    run.open();
    for _ in 0..OPERATIONS_MAX {
        if run.input.0.is_empty() {
            break;
        }
        let _ = run.step();
    }
    run.lose_power(CrashPolicy::Everything, 0);
    run.lose_power(CrashPolicy::Everything, 1);
}

struct Run<'a> {
    input: Bytes<'a>,
    disk: SimDisk,
    log: Option<Log>,
    expectation: Expectation,
    /// Records and rollouts so far; makes each another.
    staged: usize,
    /// A batch waits for room that nobody can make: nothing can be said of later ones.
    stuck: bool,
}

fn shown(state: &State) -> Result<Found, String> {
    let mut found = Found::new();
    let threads = state.threads();
    let rollouts = threads.flat_map(|(thread, _)| state.rollouts_of(thread));
    for number in rollouts {
        let reader = state.reader(number).ok_or("a rollout without a view")?;
        let id = state.rollout_id(number).ok_or("a rollout without an id")?;
        let mut records: Vec<Rec> = Vec::new();
        let mut keep = |record: &Record<'_>| {
            records.push(record.bytes().unwrap_or_default().to_vec());
            ControlFlow::Continue(())
        };
        let read = reader.records(Ordinal(0), reader.end(), &mut keep);
        read.map_err(|error| error.to_string())?;
        found.insert(id.to_string(), records);
    }
    Ok(found)
}

impl Run<'_> {
    /// Opens the log for its next owner, before whom a reader looks; judges what is shown.
    fn open(&mut self) {
        let before = self.glance();
        let opened = open_log(&self.disk, options()).or_else(|_| {
            // A planned failure was met; a disk that works shows everything.
            self.disk.heal();
            open_log(&self.disk, options())
        });
        let (log, report) = opened.unwrap_or_else(|error| panic!("the log is refused: {error}"));
        if let Some(damage) = report.damage.first() {
            panic!("failing calls and power cuts are no damage: {damage}");
        }
        let found = shown(log.state()).unwrap_or_else(|why| panic!("{why}"));
        if let Err(violation) = self.expectation.promise().judge(&found) {
            panic!("{violation}");
        }
        assert!(before == found, "a reader before saw something else");
        self.expectation.adopt(found);
        self.stuck = false;
        self.log = Some(log);
    }

    fn glance(&self) -> Found {
        let (shared, before): (Arc<dyn Disk>, u64) = (Arc::new(self.disk.clone()), self.disk.ops());
        let found = match Snapshot::open(&shared, &options()) {
            Ok(snapshot) => shown(snapshot.state()),
            Err(OpenError::Refused(Refusal::NoStore)) => Ok(Found::new()),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(self.disk.ops(), before, "reading wrote");
        found.unwrap_or_else(|why| panic!("a reader: {why}"))
    }

    fn step(&mut self) -> Option<()> {
        let byte = self.input.byte();
        let operation = byte % 16;
        if self.stuck && operation < 14 {
            return None;
        }
        match operation {
            _ if byte == DELETES => self.delete(),
            _ if byte == FORKS => self.go_on(true),
            _ if byte == REVERTS => self.go_on(false),
            0..6 => {
                let (name, number) = self.shown()?;
                let batch = self.batch(&name, 4);
                self.append(&name, number, batch)
            }
            6 | 7 => self.group(),
            8 => self.seal(SealGoal::Due),
            9 => self.seal(SealGoal::Everything),
            10 => self.log.as_mut()?.mark().ok(),
            11 => {
                let keep = self.input.below(3);
                self.log.as_mut()?.clean_up(keep).ok()
            }
            12 => self.log.as_mut()?.shrink_journal().ok(),
            13 => self.import(),
            14 => {
                self.plan();
                Some(())
            }
            _ => {
                self.end_owner();
                Some(())
            }
        }
    }

    fn plan(&mut self) {
        let at = self.disk.ops() + u64::from(self.input.byte() % 64);
        let kind = [ErrorKind::Other, ErrorKind::StorageFull][self.input.below(2)];
        let fault = [Fault::Fail(kind), Fault::Short(kind)][self.input.below(2)];
        self.disk.plan(at, fault);
    }

    /// The owner closes, is killed, or loses power; the next one opens.
    fn end_owner(&mut self) {
        match self.input.below(4) {
            0 => {
                let log = self.log.take();
                drop(log.map(Log::close));
                self.open();
            }
            1 => {
                self.log = None;
                self.open();
            }
            _ => {
                let policy = CrashPolicy::by_number(u64::from(self.input.byte()));
                let seed = u64::from(self.input.byte());
                self.lose_power(policy, seed);
            }
        }
    }

    fn lose_power(&mut self, policy: CrashPolicy, seed: u64) {
        let survivor = self.disk.after_crash(policy, seed);
        self.log = None;
        self.disk = survivor;
        self.open();
    }

    fn thread(&mut self) -> Option<(String, ThreadNumber)> {
        let mut name = THREADS[self.input.below(4)].to_owned();
        let log = self.log.as_mut()?;
        // Another one takes the place of one that is deleted.
        let is_deleted = |name: &str| {
            let mut deleted = log.state().deleted();
            deleted.any(|(_, fact)| fact.id.as_str() == name)
        };
        while is_deleted(&name) {
            name.push('_');
        }
        let id = ThreadId::parse(&name).ok()?;
        if let Some(number) = log.state().thread_number(&id) {
            return Some((name, number));
        }
        let (number, ticket) = log.stage_thread(&id).ok()?;
        self.expectation.stage(&name, Vec::new());
        log.commit_all();
        if matches!(log.outcome(ticket), Outcome::Durable) {
            self.expectation.acknowledge();
            return Some((name, number));
        }
        self.expectation.refuse();
        None
    }

    /// The rollout that a thread shows, with its id, which no other one has here.
    fn shown(&mut self) -> Option<(String, ThreadNumber)> {
        let (_, thread) = self.thread()?;
        let state = self.log.as_ref()?.state();
        let rollout = state.current(thread);
        Some((state.rollout_id(rollout)?.to_string(), rollout))
    }

    /// A fork, or a further rollout of a thread, that goes on from a prefix of any thread.
    fn go_on(&mut self, is_fork: bool) -> Option<()> {
        let (_, of) = self.shown()?;
        let (_, thread) = self.thread()?;
        let reader = self.log.as_ref()?.state().reader(of)?;
        let end = 1 + u64::from(self.input.byte()) % reader.end().0.max(1);
        let base = reader.base_at(Ordinal(end)).ok()??;
        let mut records: Vec<Rec> = Vec::new();
        let read = reader.records(Ordinal(0), Ordinal(end), &mut |record| {
            records.push(record.bytes().unwrap_or_default().to_vec());
            ControlFlow::Continue(())
        });
        read.ok()?;
        let log = self.log.as_mut()?;
        self.staged += 1;
        let name = format!("{}-{}", THREADS[self.input.below(4)], self.staged);
        let id = ThreadId::parse(&name).ok()?;
        let ticket = if is_fork {
            log.stage_fork(&id, base).ok()?.1
        } else {
            let origin = Some(Origin::Base(base));
            log.stage_rollout(thread, &id, origin, true).ok()?.1
        };
        self.expectation.stage(&name, records);
        log.commit_all();
        if matches!(log.outcome(ticket), Outcome::Durable) {
            self.expectation.acknowledge();
            return Some(());
        }
        self.expectation.refuse();
        None
    }

    fn delete(&mut self) -> Option<()> {
        let (_, number) = self.thread()?;
        let log = self.log.as_mut()?;
        let state = log.state();
        let ids = state
            .rollouts_of(number)
            .filter_map(|of| state.rollout_id(of));
        let gone: Vec<String> = ids.map(ToString::to_string).collect();
        let ticket = log.stage_deletion(number).ok()?;
        for name in gone {
            self.expectation.stage_deletion(&name);
        }
        log.commit_all();
        if matches!(log.outcome(ticket), Outcome::Durable) {
            self.expectation.acknowledge();
            return log.clean_up(1).ok();
        }
        self.expectation.refuse();
        None
    }

    fn batch(&mut self, name: &str, most: u8) -> Vec<Rec> {
        let count = 1 + self.input.below(most);
        let record = |_| {
            self.staged += 1;
            let size = [1, 10, 120, 700, 1500][self.input.below(5)];
            format!("{name} {} ", self.staged).into_bytes().repeat(size)
        };
        (0..count).map(record).collect()
    }

    fn append(&mut self, name: &str, number: ThreadNumber, batch: Vec<Rec>) -> Option<()> {
        let records: Vec<_> = batch.iter().map(|bytes| line(bytes)).collect();
        let staged = self.log.as_mut()?.stage(number, None, &records).ok()?;
        self.expectation.stage(name, batch);
        self.settle(vec![staged.ticket])
    }

    /// Several batches in one commit.
    fn group(&mut self) -> Option<()> {
        let mut members = Vec::new();
        for _ in 0..2 + self.input.below(4) {
            members.push(self.shown()?);
        }
        let mut tickets = Vec::new();
        for (name, number) in members {
            let batch = self.batch(&name, 2);
            let records: Vec<_> = batch.iter().map(|bytes| line(bytes)).collect();
            let staged = self.log.as_mut()?.stage(number, None, &records).ok();
            let Some(staged) = staged else { break };
            self.expectation.stage(&name, batch);
            tickets.push(staged.ticket);
        }
        self.settle(tickets)
    }

    /// Waits for batches, which become durable in order or not at all.
    fn settle(&mut self, mut tickets: Vec<turnleaf_engine::Ticket>) -> Option<()> {
        for _ in 0..20 {
            let log = self.log.as_mut()?;
            log.commit_all();
            let outcomes: Vec<Outcome> =
                tickets.iter().map(|ticket| log.outcome(*ticket)).collect();
            let is_durable = |outcome: &&Outcome| matches!(outcome, Outcome::Durable);
            let durable = outcomes.iter().take_while(is_durable).count();
            self.expectation.acknowledge_first(durable);
            tickets.drain(..durable);
            match outcomes.get(durable) {
                None => return Some(()),
                // A seal that fails is tried again.
                Some(Outcome::Pending) => drop(self.seal(SealGoal::Due)),
                Some(_) => {
                    self.expectation.refuse();
                    return None;
                }
            }
        }
        self.stuck = true;
        None
    }

    fn seal(&mut self, goal: SealGoal) -> Option<()> {
        let log = self.log.as_mut()?;
        while let Some(plan) = log.plan_seal(goal) {
            let done = plan.run(&|_, _, _| Vec::new());
            drop(plan);
            log.finish_seal(done).ok()?;
            log.commit_all();
            log.clean_up(1).ok()?;
        }
        Some(())
    }

    fn import(&mut self) -> Option<()> {
        let (name, number) = self.shown()?;
        let lines = self.batch(&name, 12);
        let log = self.log.as_mut()?;
        log.lease(number).ok()?;
        let done = import(log, &mut self.expectation, (&name, number), lines, &[]);
        log.return_lease(number);
        done
    }
}
