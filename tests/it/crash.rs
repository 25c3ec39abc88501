//! The log on the simulated disk: stopped at every call, opened twice, judged.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use turnleaf_engine::disk::Disk;
use turnleaf_engine::{Begin, Log, NewRecord, Options, Outcome, Owner, SealGoal, Snapshot, State};
use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::record::{Entry, Flags, Kind};
use turnleaf_format::{Ordinal, StoreId, ThreadId, ThreadNumber};
use turnleaf_tests::crash_rig::{Found, Rig};
use turnleaf_tests::oracle::Expectation;
use turnleaf_tests::sim_disk::{Fault, SimDisk};

fn options() -> Options {
    Options {
        journal_first_bytes: 16 << 10,
        journal_file_bytes: 32 << 10,
        journal_files_max: 3,
        seal_bytes_min: 8 << 10,
        segment_boundary_bytes: 16 << 10,
        segment_bytes_max: 64 << 10,
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> Option<Log> {
    try_open(disk).ok()
}

fn try_open(disk: &SimDisk) -> Result<Log, String> {
    let owner = Owner {
        pid: 1,
        host: "sim".into(),
        since_ms: 1,
    };
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let opened = Log::open(disk, options(), &owner, StoreId([9; 16]));
    let (log, report) = opened.map_err(|error| error.to_string())?;
    match report.damage.first() {
        None => Ok(log),
        Some(damage) => Err(format!("a power cut is no damage: {damage}")),
    }
}

fn read(state: &State) -> Result<Found, String> {
    let mut found = BTreeMap::new();
    for (number, fact) in state.threads() {
        let reader = state.reader(number).ok_or("a thread without a view")?;
        let mut records = Vec::new();
        let mut keep = |record: &turnleaf_engine::Record<'_>| {
            records.push(record.bytes().unwrap_or_default().to_vec());
            ControlFlow::Continue(())
        };
        reader
            .records(Ordinal(0), reader.end(), &mut keep)
            .map_err(|error| error.to_string())?;
        state
            .verify_thread(number, &mut |damage| panic!("{damage}"))
            .map_err(|error| error.to_string())?;
        found.insert(fact.id.to_string(), records);
    }
    Ok(found)
}

/// Opens for writing and reads; a snapshot taken before must agree and must not write.
fn recover(disk: &SimDisk) -> Result<Found, String> {
    let before = disk.ops();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let snapshot = Snapshot::open(&shared, &options()).ok();
    let seen = snapshot
        .map(|snapshot| read(snapshot.state()))
        .transpose()?;
    if disk.ops() != before {
        return Err("reading wrote".into());
    }
    let log = try_open(disk)?;
    let found = read(log.state())?;
    if seen.is_some_and(|seen| seen != found) {
        return Err("the reader saw something else".into());
    }
    log.close().map_err(|error| error.to_string())?;
    Ok(found)
}

fn line(bytes: &[u8]) -> NewRecord<'_> {
    NewRecord {
        kind: Kind::LINE,
        flags: Flags::NONE,
        timestamp_ms: 1,
        bytes,
    }
}

struct Work<'w> {
    log: Log,
    expectation: &'w mut Expectation,
}

impl Work<'_> {
    fn create(&mut self, name: &str) -> Option<ThreadNumber> {
        let (thread, ticket) = self.log.stage_thread(&ThreadId::parse(name).ok()?).ok()?;
        self.log.commit_all();
        matches!(self.log.outcome(ticket), Outcome::Durable).then(|| {
            self.expectation.acked.entry(name.to_owned()).or_default();
            thread
        })
    }

    fn append(&mut self, name: &str, thread: ThreadNumber, sizes: &[usize]) -> Option<()> {
        let next = self.expectation.acked.get(name).map_or(0, Vec::len);
        let batch: Vec<Vec<u8>> = sizes
            .iter()
            .enumerate()
            .map(|(at, size)| {
                format!("{name} {} ", next + at)
                    .into_bytes()
                    .repeat(1 + size / 6)
            })
            .collect();
        let records: Vec<NewRecord<'_>> = batch.iter().map(|bytes| line(bytes)).collect();
        let staged = self.log.stage(thread, None, &records).ok()?;
        self.expectation.pending.push((name.to_owned(), batch));
        for _ in 0..20 {
            self.log.commit_all();
            match self.log.outcome(staged.ticket) {
                Outcome::Durable => {
                    self.expectation.acknowledge();
                    return Some(());
                }
                // A batch that failed may still be found after a crash, but is not promised.
                Outcome::Failed(_) => return None,
                Outcome::Pending => self.seal(SealGoal::Due)?,
            }
        }
        None
    }

    fn seal(&mut self, goal: SealGoal) -> Option<()> {
        while let Some(plan) = self.log.plan_seal(goal) {
            let done = plan.run(&|_, _, _| Vec::new());
            drop(plan);
            self.log.finish_seal(done).ok()?;
            self.log.commit_all();
            self.log.clean_up(1).ok()?;
        }
        Some(())
    }
}

fn run(disk: &SimDisk, expectation: &mut Expectation, work: impl Fn(&mut Work<'_>) -> Option<()>) {
    if let Some(log) = open(disk) {
        let mut working = Work { log, expectation };
        let _ = work(&mut working);
    }
}

fn rig(name: &str, step: u64, seeds: u64, workload: &dyn Fn(&SimDisk, &mut Expectation)) {
    let coverage = Rig {
        workload,
        recover: &recover,
        step,
        seeds,
    }
    .run();
    println!(
        "{name}: {} crash states, {} with a second crash",
        coverage.states, coverage.double_states
    );
}

#[test]
fn appends_survive_a_crash_at_every_call() {
    rig("append", 1, 16, &|disk, expectation| {
        run(disk, expectation, |work| {
            let a = work.create("a")?;
            work.append("a", a, &[10, 2000])?;
            let b = work.create("b")?;
            for round in 0..6 {
                work.append("b", b, &[600 * round, 1])?;
                work.append("a", a, &[3000])?;
            }
            Some(())
        });
    });
}

#[test]
fn sealing_and_recycling_survive_a_crash_at_every_call() {
    rig("seal", 1, 6, &|disk, expectation| {
        run(disk, expectation, |work| {
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
    });
}

#[test]
fn an_import_survives_a_crash_at_every_call() {
    rig("import", 1, 16, &|disk, expectation| {
        run(disk, expectation, |work| {
            let a = work.create("a")?;
            work.append("a", a, &[100])?;
            work.log.lease(a).ok()?;
            let mut writer = work.log.begin_run(a).ok()?;
            let lines: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; 3000 + usize::from(n)]).collect();
            for bytes in &lines {
                writer
                    .push(&Entry::inline(Kind::LINE, Flags::NONE, 0, bytes))
                    .ok()?;
            }
            let done = writer.finish(&[]).ok()?;
            work.expectation.pending.push(("a".to_owned(), lines));
            let fact = CatalogueRecord::Import {
                thread: a,
                source_bytes: 1,
                ordinal_end: Ordinal(41),
                file_bytes: 1,
                modified_ns: 1,
                path: "x".into(),
            };
            let ticket = work.log.stage_segment(&done, &[fact]);
            work.log.commit_all();
            matches!(work.log.outcome(ticket), Outcome::Durable)
                .then(|| work.expectation.acknowledge())?;
            work.log.return_lease(a);
            work.append("a", a, &[100])
        });
    });
}

#[test]
fn a_group_is_a_prefix_of_whole_batches() {
    rig("group", 1, 16, &|disk, expectation| {
        run(disk, expectation, |work| {
            let a = work.create("a")?;
            let b = work.create("b")?;
            for _ in 0..5 {
                let mut last = None;
                for (name, thread) in [("a", a), ("b", b), ("a", a)] {
                    let staged_before = work.expectation.pending.len();
                    let bytes = vec![b'x'; 500 + staged_before];
                    let batch = vec![bytes.clone(), b"second".to_vec()];
                    let records = [line(&bytes), line(b"second")];
                    last = Some(work.log.stage(thread, None, &records).ok()?.ticket);
                    work.expectation.pending.push((name.to_owned(), batch));
                }
                work.log.commit_all();
                matches!(work.log.outcome(last?), Outcome::Durable)
                    .then(|| work.expectation.acknowledge())?;
            }
            Some(())
        });
    });
}

/// Every write and sync of a workload fails once: the writer fails over, what it acknowledges is
/// there after a crash at the end, and what it refused is not promised.
#[test]
fn a_failed_write_or_sync_costs_no_acknowledged_record() {
    let workload = |disk: &SimDisk, expectation: &mut Expectation| {
        run(disk, expectation, |work| {
            let a = work.create("a")?;
            for round in 0..12 {
                // A refused batch may come back only as a whole, and only before the next.
                work.expectation.pending.clear();
                work.append("a", a, &[400 * round])?;
            }
            Some(())
        });
    };
    let whole = SimDisk::new();
    workload(&whole, &mut Expectation::default());
    let mut survived = 0;
    for at in 0..whole.ops() {
        for error in [std::io::ErrorKind::Other, std::io::ErrorKind::StorageFull] {
            let disk = SimDisk::new();
            disk.plan(at, Fault::Fail(error));
            let mut expectation = Expectation::default();
            workload(&disk, &mut expectation);
            disk.heal();
            for policy in turnleaf_tests::sim_disk::CrashPolicy::ALL {
                let survivor = disk.after_crash(policy, at);
                let place = format!("call {at} fails, {policy:?}");
                match recover(&survivor) {
                    Ok(found) => {
                        if let Err(violation) = expectation.judge(&found) {
                            panic!("{place}: {violation}");
                        }
                        survived += 1;
                    }
                    Err(why) => panic!("{place}: {why}"),
                }
            }
        }
    }
    println!("failed calls: {survived} states");
}

#[test]
fn a_full_disk_takes_appends_again_once_there_is_room() {
    let disk = SimDisk::new();
    let mut log = open(&disk).unwrap();
    let (a, _) = log.stage_thread(&ThreadId::parse("a").unwrap()).unwrap();
    log.commit_all();
    disk.set_capacity(Some(20 << 10));
    let bytes = vec![b'x'; 3000];
    let mut acknowledged = 0;
    let mut refused = 0;
    while refused < 3 {
        let staged = log.stage(a, None, &[line(&bytes)]).unwrap();
        log.commit_all();
        match log.outcome(staged.ticket) {
            Outcome::Durable => acknowledged += 1,
            Outcome::Failed(_) => refused += 1,
            Outcome::Pending => panic!("nothing is sealed here"),
        }
    }
    assert_eq!(log.state().reader(a).unwrap().end(), Ordinal(acknowledged));
    disk.set_capacity(None);
    let staged = log.stage(a, None, &[line(&bytes)]).unwrap();
    match log.begin_commit() {
        Begin::Commit(commit) => {
            let result = commit.run();
            log.finish_commit(commit, result);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(log.outcome(staged.ticket), Outcome::Durable));
    drop(log);
    let found = recover(&disk.after_crash(turnleaf_tests::sim_disk::CrashPolicy::Nothing, 0));
    assert_eq!(found.unwrap()["a"].len() as u64, acknowledged + 1);
}
