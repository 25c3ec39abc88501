//! The log on the simulated disk: stopped at every call, opened twice, judged.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod background;
mod failing;
mod full;
mod lineage;
mod plan;
mod random;
mod reads;
mod states;
mod stopped;
mod store;
mod store_import;
mod store_imports;
mod store_lineages;
mod store_reads;
mod unread;
mod unread_store;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use turnleaf_engine::disk::Disk;
use turnleaf_engine::{
    AppendError, FileMade, FilePlan, Log, NewRecord, OpenError, Options, Outcome, Owner, Reader,
    Record, Refusal, SealGoal, Snapshot, State,
};
use turnleaf_format::{Ordinal, StoreId, ThreadId, ThreadNumber};
use turnleaf_tests::crash_rig::{Found, Rig, scale};
use turnleaf_tests::oracle::{Expectation, Rec};
use turnleaf_tests::rng::Rng;
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::line;

/// Owners that went on in the newest journal file. [S:journal-14]
static GONE_ON: AtomicU64 = AtomicU64::new(0);

fn options() -> Options {
    Options {
        journal_first_bytes: 16 << 10,
        journal_file_bytes: 32 << 10,
        journal_files_max: 3,
        seal_bytes_min: 8 << 10,
        segment_boundary_bytes: 16 << 10,
        segment_bytes_max: 64 << 10,
        reserve_bytes: 0,
        checkpoint_records_min: background::records_min(),
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> Result<Log, String> {
    let owner = Owner {
        pid: 1,
        host: "sim".into(),
        since_ms: 1,
    };
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let opened = Log::open(disk, options(), &owner, StoreId([9; 16]));
    let (log, report) = opened.map_err(|error| error.to_string())?;
    GONE_ON.fetch_add(u64::from(report.goes_on), Ordering::Relaxed);
    match report.damage.first() {
        None => Ok(log),
        Some(damage) => Err(format!("a power cut is no damage: {damage}")),
    }
}

fn records(reader: &Reader, back: bool) -> Result<Vec<Rec>, String> {
    let mut records: Vec<Rec> = Vec::new();
    let mut keep = |record: &Record<'_>| {
        records.push(record.bytes().unwrap_or_default().to_vec());
        ControlFlow::Continue(())
    };
    let read = if back {
        reader.records_back(reader.end(), &mut keep)
    } else {
        reader.records(Ordinal(0), reader.end(), &mut keep)
    };
    read.map_err(|error| error.to_string())?;
    Ok(records)
}

/// Reads everything as a client does.
fn read(state: &State) -> Result<Found, String> {
    let mut found = BTreeMap::new();
    for (name, rollout) in lineage::rollouts(state) {
        let reader = state.reader(rollout).ok_or("a rollout without a view")?;
        found.insert(name, records(&reader, false)?);
    }
    lineage::add_lists(state, &mut found)?;
    Ok(found)
}

/// Reads everything in both directions, and checks every chain.
fn read_closely(state: &State) -> Result<Found, String> {
    let found = read(state)?;
    for (name, number) in lineage::rollouts(state) {
        let reader = state.reader(number).ok_or("a rollout without a view")?;
        let mut back = records(&reader, true)?;
        back.reverse();
        if found.get(&name) != Some(&back) {
            return Err(format!("{name} reads another way backward"));
        }
        let mut damage = Vec::new();
        state
            .verify_thread(number, &mut |found| damage.push(found.to_string()))
            .map_err(|error| error.to_string())?;
        if let Some(damage) = damage.first() {
            return Err(damage.clone());
        }
    }
    Ok(found)
}

/// Reads as a reader does that never writes.
fn glance(disk: &SimDisk) -> Result<Option<Found>, String> {
    let before = disk.ops();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let seen = match Snapshot::open(&shared, &options()) {
        Ok(snapshot) => {
            if let Some(damage) = snapshot.report().damage.first() {
                return Err(format!("a power cut is no damage: {damage}"));
            }
            background::compare(disk, snapshot.state())?;
            Some(read(snapshot.state())?)
        }
        // A crash may come before there is anything; then nothing may be found later either.
        Err(OpenError::Refused(Refusal::NoStore)) => None,
        Err(error) => return Err(format!("a reader before: {error}")),
    };
    if disk.ops() == before {
        Ok(seen)
    } else {
        Err("reading wrote".into())
    }
}

/// Opens for writing and reads; a reader before and a reader beside the owner must see the same.
fn recover(disk: &SimDisk) -> Result<Found, String> {
    lineage::check_formats(disk)?;
    let before = glance(disk)?.unwrap_or_default();
    let log = open(disk)?;
    let found = read_closely(log.state())?;
    if before != found {
        return Err("a reader before saw something else".into());
    }
    if glance(disk)?.as_ref() != Some(&found) {
        return Err("a reader beside the owner sees something else".into());
    }
    log.close().map_err(|error| error.to_string())?;
    Ok(found)
}

/// What a survivor was judged by closely is read a second time as a client does.
fn reopen(disk: &SimDisk) -> Result<Found, String> {
    let log = open(disk)?;
    let found = read(log.state())?;
    log.close().map_err(|error| error.to_string())?;
    Ok(found)
}

/// A log at work, and what it promised.
struct Work<'w> {
    log: Log,
    expectation: &'w mut Expectation,
    /// Records staged so far; makes every record another.
    staged: usize,
    /// A batch waits for room that nobody can make: nothing can be said of later ones.
    stuck: bool,
    /// A journal file that is to be made ready.
    plan: Option<FilePlan>,
    /// One that was, and nobody knows it.
    made: Option<FileMade>,
}

impl Work<'_> {
    fn create(&mut self, name: &str) -> Option<ThreadNumber> {
        (!self.stuck).then_some(())?;
        let (thread, ticket) = self.log.stage_thread(&ThreadId::parse(name).ok()?).ok()?;
        self.expectation.stage(name, Vec::new());
        self.log.commit_all();
        if matches!(self.log.outcome(ticket), Outcome::Durable) {
            self.expectation.acknowledge();
            return Some(thread);
        }
        self.expectation.refuse();
        None
    }

    fn delete(&mut self, thread: ThreadNumber) -> Option<()> {
        self.delete_all(&[thread])
    }

    /// Deletes threads with all their rollouts, unless one is a base of another that stays.
    fn delete_all(&mut self, threads: &[ThreadNumber]) -> Option<()> {
        (!self.stuck).then_some(())?;
        let state = self.log.state();
        let goes = |rollout| {
            let of = state.thread_of(rollout);
            of.is_some_and(|of| threads.contains(&of))
        };
        let goes_on_from = |rollout| state.bases(rollout).next().map(|base| base.rollout);
        let all = lineage::rollouts(state).into_iter();
        let (own, others): (Vec<_>, Vec<_>) = all.partition(|(_, rollout)| goes(*rollout));
        let mut others = others.into_iter();
        let is_base = others.any(|(_, other)| goes_on_from(other).is_some_and(goes));
        let mut gone: Vec<String> = own.into_iter().map(|(name, _)| name).collect();
        for thread in threads {
            gone.push(lineage::list_of(state.thread(*thread)?.id.as_str()));
        }
        let ticket = match self.log.stage_deletions(threads) {
            Ok(ticket) => ticket,
            Err((_, AppendError::Busy | AppendError::NoThread)) => return None,
            Err(refused) => {
                let is_right = is_base && refused.1 == AppendError::IsBase;
                assert!(is_right, "{threads:?}: {refused:?}");
                return None;
            }
        };
        assert!(!is_base, "{threads:?}");
        for name in gone {
            self.expectation.stage_deletion(&name);
        }
        self.log.commit_all();
        if matches!(self.log.outcome(ticket), Outcome::Durable) {
            self.expectation.acknowledge();
            return self.log.clean_up(1).ok();
        }
        self.expectation.refuse();
        None
    }

    fn batch(&mut self, name: &str, sizes: &[usize]) -> Vec<Rec> {
        let record = |size: &usize| {
            self.staged += 1;
            let head = format!("{name} {} ", self.staged);
            // A long period: inflating the copies of a short one took a sixth of all time.
            let mut period = head.clone().into_bytes();
            let mut rng = Rng::new(self.staged as u64);
            period.extend((0..12).flat_map(|_| rng.number().to_le_bytes()));
            let bytes = period.iter().copied().cycle();
            bytes.take(head.len() * (1 + size / 6)).collect()
        };
        sizes.iter().map(record).collect()
    }

    /// Appends one batch and waits for it; `None` when it was refused.
    fn append(&mut self, name: &str, thread: ThreadNumber, sizes: &[usize]) -> Option<()> {
        (!self.stuck).then_some(())?;
        let batch = self.batch(name, sizes);
        let records: Vec<NewRecord<'_>> = batch.iter().map(|bytes| line(bytes)).collect();
        let staged = self.log.stage(thread, None, &records).ok()?;
        self.expectation.stage(name, batch);
        for _ in 0..20 {
            self.log.commit_all();
            match self.log.outcome(staged.ticket) {
                Outcome::Durable => {
                    self.expectation.acknowledge();
                    return Some(());
                }
                Outcome::Failed(_) | Outcome::Refused => {
                    self.expectation.refuse();
                    return None;
                }
                // A seal that fails is tried again.
                Outcome::Pending => drop(self.seal(SealGoal::Due)),
            }
        }
        self.stuck = true;
        None
    }

    /// What the background does beside sealing, one step of it, where it is done at all.
    fn background(&mut self) {
        if !background::is_done() {
            return;
        }
        self.log.checkpoint();
        match (self.made.take(), self.plan.take()) {
            (Some(made), _) => self.log.finish_file(made),
            (None, Some(plan)) => self.made = Some(plan.run()),
            (None, None) => self.plan = background::counted(self.log.plan_file()),
        }
    }

    fn seal(&mut self, goal: SealGoal) -> Option<()> {
        let mut refused = 0;
        while let Some(plan) = self.log.plan_seal(goal) {
            let done = plan.run(&|_, _, _| Vec::new());
            drop(plan);
            let ticket = self.log.finish_seal(done).ok()?;
            self.log.commit_all();
            // What cannot be removed now goes later.
            let _ = self.log.clean_up(1);
            self.background();
            let outcome = ticket.map(|ticket| self.log.outcome(ticket));
            refused += usize::from(matches!(outcome, Some(Outcome::Failed(_))));
            // A disk that fails for ever takes no publication.
            (refused < 8).then_some(())?;
        }
        Some(())
    }
}

fn run(
    disk: &SimDisk,
    expectation: &mut Expectation,
    work: impl FnOnce(&mut Work<'_>) -> Option<()>,
) {
    run_and_end(disk, expectation, false, work);
}

/// An owner that works, and closes the log or is killed.
fn run_and_end(
    disk: &SimDisk,
    expectation: &mut Expectation,
    closes: bool,
    work: impl FnOnce(&mut Work<'_>) -> Option<()>,
) {
    if let Ok(log) = open(disk) {
        let mut working = Work {
            log,
            expectation,
            staged: 0,
            stuck: false,
            plan: None,
            made: None,
        };
        let _ = work(&mut working);
        // A batch that still waits has no outcome; closing would give it one that nobody hears.
        if closes && !working.log.has_staged() {
            let _ = working.log.close();
        }
    }
}

/// How densely a workload is stopped.
#[derive(Debug, Clone, Copy)]
struct Density {
    step: u64,
    seeds: u64,
    seconds: u64,
}

fn rig<'a>(density: Density, workload: &'a dyn Fn(&SimDisk, &mut Expectation)) -> Rig<'a> {
    Rig {
        on: SimDisk::new(),
        workload,
        recover: &recover,
        reopen: &reopen,
        step: density.step,
        seeds: density.seeds * scale(),
        seconds: density.seconds,
        // A killed owner leaves bytes and names in the cache: [R:confirm-1], [R:set-19].
        kills: 1,
    }
}
