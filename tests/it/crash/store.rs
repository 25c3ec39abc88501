//! The whole store on the simulated disk, index included: what the index answers after a crash is
//! what an index that was made from nothing answers.

use std::fmt::Write;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use turnleaf::{
    Error, ImportSource, ItemsRequest, ItemsView, Options, Order, Owner, Store, TurnsRequest,
};
use turnleaf_engine::Log;
use turnleaf_engine::disk::Disk;
use turnleaf_format::StoreId;
use turnleaf_tests::crash_rig::{Coverage, Found, Rig, Seen, scale};
use turnleaf_tests::oracle::{Expectation, Rec};
use turnleaf_tests::rng::Rng;
use turnleaf_tests::rollouts::{Rollout, RolloutMode};
use turnleaf_tests::sim_disk::{CrashPolicy, Fault, SimDisk};

pub(super) fn options() -> Options {
    Options {
        journal_first_bytes: 32 << 10,
        journal_file_bytes: 64 << 10,
        journal_files_max: 4,
        seal_bytes_min: 16 << 10,
        segment_boundary_bytes: 32 << 10,
        segment_bytes_max: 64 << 10,
        reserve_bytes: 8 << 10,
        ..Options::default()
    }
}

pub(super) fn open(disk: &SimDisk) -> Result<Store, Error> {
    let owner = Owner {
        pid: 1,
        host: "sim".into(),
        since_ms: 1,
    };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    // The store's identity is chosen here, so that every run writes the same checksums.
    let (log, report) =
        Log::open(Arc::clone(&shared), options(), &owner, StoreId([9; 16])).map_err(Error::Open)?;
    if !report.created {
        drop(log);
    } else {
        log.close()?;
    }
    Store::open_on(shared, options(), &owner, false, || 1)
}

/// Everything that the index answers about a thread, as text.
pub(super) fn answers(store: &Store, thread: &str) -> Result<String, Error> {
    let mut text = String::new();
    for order in [Order::Ascending, Order::Descending] {
        let mut cursor = None;
        loop {
            let page = store.turns(&TurnsRequest {
                thread: thread.to_owned(),
                cursor,
                limit: 2,
                order,
                items: ItemsView::Full,
            })?;
            for turn in &page.values() {
                let _ = writeln!(text, "{turn}");
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
    }
    let mut cursor = None;
    loop {
        let page = store.items(&ItemsRequest {
            thread: thread.to_owned(),
            turn: None,
            all: false,
            cursor,
            limit: 50,
            order: Order::Descending,
        })?;
        for item in &page.values() {
            let _ = writeln!(text, "{item}");
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(text);
        }
    }
}

pub(super) fn lines_of(store: &Store, thread: &str) -> Result<Vec<Rec>, Error> {
    let mut bytes = Vec::new();
    store.export(thread, .., &mut bytes)?;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    Ok(lines.map(<[u8]>::to_vec).collect())
}

/// Openings that found no index, one that they trusted, one that they moved aside.
static INDEXES: [AtomicU64; 3] = [AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)];

/// Opens the store, reads the log and asks the index that the crash left; then an index made from
/// nothing must answer the same.
pub(super) fn recover(disk: &SimDisk) -> Result<Found, String> {
    check(disk).map_err(|error| error.to_string())?
}

fn check(disk: &SimDisk) -> Result<Result<Found, String>, Error> {
    let kept = disk
        .bytes("index.redb")
        .is_some_and(|bytes| !bytes.is_empty());
    let store = open(disk)?;
    if let Some(damage) = store.report().damage.first() {
        return Ok(Err(format!("a power cut is no damage: {damage}")));
    }
    let threads: Vec<String> = store.log_threads().into_iter().map(|t| t.id).collect();
    let mut found = Found::new();
    let mut before = Vec::new();
    for thread in &threads {
        found.insert(thread.clone(), lines_of(&store, thread)?);
        before.push(answers(&store, thread)?);
    }
    let doubted = disk.bytes("index.bad-1").is_some();
    INDEXES[usize::from(kept) + usize::from(doubted)].fetch_add(1, Ordering::Relaxed);
    store.rebuild_index(&mut |_| {})?;
    for (thread, before) in threads.iter().zip(&before) {
        if answers(&store, thread)? != *before {
            return Ok(Err(format!(
                "the index had answered otherwise about {thread}"
            )));
        }
    }
    if let Some((_, damage)) = store.verify(None, &mut |_| {})?.damage.first() {
        return Ok(Err(format!("a power cut is no damage: {damage}")));
    }
    store.close()?;
    Ok(Ok(found))
}

/// A rollout as lines, their line feeds included, and its thread.
pub(super) fn rollout(mode: RolloutMode, seed: u64, bytes: u64) -> (String, Vec<Rec>) {
    let rollout = Rollout::new(mode, seed, bytes);
    let mut plain = Vec::new();
    let written = rollout.write(&mut plain);
    written.expect("a vector takes every byte");
    let lines = plain.split_inclusive(|byte| *byte == b'\n');
    (rollout.thread_id(), lines.map(<[u8]>::to_vec).collect())
}

/// A store at work, and what it promised.
pub(super) struct Work<'w> {
    pub(super) store: Store,
    pub(super) expectation: &'w mut Expectation,
}

impl Work<'_> {
    fn settle<T>(&mut self, done: Result<T, Error>) -> Option<T> {
        match done {
            Ok(done) => {
                self.expectation.acknowledge();
                Some(done)
            }
            Err(_) => {
                self.expectation.refuse();
                None
            }
        }
    }

    fn create(&mut self, thread: &str) -> Option<()> {
        self.expectation.stage(thread, Vec::new());
        let done = self.store.create_thread(thread);
        self.settle(done)
    }

    fn append(&mut self, thread: &str, lines: &[Rec]) -> Option<()> {
        self.expectation.stage(thread, lines.to_vec());
        let bare: Vec<&[u8]> = lines
            .iter()
            .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
            .collect();
        let done = self.store.append(thread, None, &bare);
        self.settle(done).map(drop)
    }

    /// An import takes any number of lines at a time, and any number of them may be found after a
    /// crash. The first `known` lines are there already.
    pub(super) fn import(&mut self, thread: &str, lines: &[Rec], known: usize) -> Option<()> {
        if known == 0 {
            self.expectation.stage(thread, Vec::new());
        }
        let new = lines[known..].iter();
        self.expectation
            .stage_all(thread, new.map(|line| vec![line.clone()]));
        let plain: Vec<u8> = lines.concat();
        let mut rest = plain.as_slice();
        let source = ImportSource {
            path: "rollout.jsonl",
            thread_hint: None,
            plain: &mut rest,
            file_bytes: plain.len() as u64,
            modified_ns: 1,
            archived: false,
        };
        let done = self.store.import(source, &mut |_| {});
        let settled = self.settle(done);
        if settled.is_none() {
            // What was imported before the failure stays, and what is shown is durable.
            let shown = lines_of(&self.store, thread).ok()?;
            let shown = shown.get(known..).unwrap_or_default().to_vec();
            self.expectation.stage(thread, shown);
            self.expectation.acknowledge();
        }
        settled?.done().ok().map(drop)
    }

    fn delete(&mut self, thread: &str) -> Option<()> {
        self.expectation.stage_deletion(thread);
        let done = self.store.delete(thread);
        self.settle(done)
    }

    fn ask(&self, thread: &str) -> Option<()> {
        answers(&self.store, thread).ok().map(drop)
    }
}

pub(super) fn run(
    disk: &SimDisk,
    expectation: &mut Expectation,
    work: impl Fn(&mut Work<'_>) -> Option<()>,
) {
    if let Ok(store) = open(disk) {
        let mut working = Work { store, expectation };
        let _ = work(&mut working);
        let _ = working.store.close();
    }
}

/// Appends, pages between them, an import, a rebuild, sealing. A step that fails ends nothing.
pub(super) fn working_day(work: &mut Work<'_>) -> Option<()> {
    let (legacy, lines) = rollout(RolloutMode::Legacy, 3, 4 << 10);
    let (paginated, source) = rollout(RolloutMode::Paginated, 4, 4 << 10);
    work.create(&legacy).or_else(|| work.create(&legacy))?;
    for (round, batch) in lines.chunks(3).enumerate() {
        let _ = work.append(&legacy, batch);
        if round == 1 || round == 3 {
            let _ = work.ask(&legacy);
        }
    }
    let _ = work.import(&paginated, &source, 0);
    let _ = work.ask(&paginated);
    let _ = work.store.rebuild_index(&mut |_| {});
    let _ = work.store.seal_all();
    let _ = work.append(&legacy, &lines[..2]);
    let _ = work.ask(&legacy);
    let _ = work.ask(&paginated);
    Some(())
}

/// A working day, after which a thread is archived and the other one deleted.
fn last_day(work: &mut Work<'_>) -> Option<()> {
    working_day(work)?;
    let threads = work.store.log_threads();
    let [first, second] = threads.as_slice() else {
        return None;
    };
    let _ = work.store.archive(&first.id);
    let _ = work.delete(&second.id);
    let _ = work.ask(&first.id);
    Some(())
}

pub(super) fn rig<'a>(
    (step, seeds, seconds): (u64, u64, u64),
    workload: &'a dyn Fn(&SimDisk, &mut Expectation),
) -> Rig<'a> {
    Rig {
        on: SimDisk::new(),
        workload,
        recover: &recover,
        reopen: &recover,
        step: (step / scale()).max(1),
        // A state of the whole store costs ten times one of the log.
        seeds: seeds * scale().div_ceil(8),
        seconds,
        kills: 2,
    }
}

#[test]
fn log_and_index_survive_a_crash_of_the_store() {
    let workload = |disk: &SimDisk, expectation: &mut Expectation| {
        run(disk, expectation, last_day);
    };
    match rig((3, 1, 1), &workload).run() {
        Ok(coverage) => println!("store: {coverage}; indexes {INDEXES:?}"),
        Err(violation) => panic!("store: {violation}"),
    }
}

/// Every call fails once, log and index alike; the store goes on, and then the power goes.
#[test]
fn log_and_index_survive_a_call_that_fails() {
    let whole = SimDisk::new();
    run(&whole, &mut Expectation::default(), last_day);
    let mut coverage = Coverage::default();
    let begun = Instant::now();
    let step = usize::try_from((5 / scale()).max(1)).unwrap_or(1);
    for at in (0..whole.ops()).step_by(step) {
        let fault = match at % 3 {
            0 => Fault::Fail(ErrorKind::Other),
            1 => Fault::Short(ErrorKind::Other),
            _ => Fault::Fail(ErrorKind::StorageFull),
        };
        let disk = SimDisk::new();
        disk.plan(at, fault);
        let mut expectation = Expectation::beside(&disk);
        run(&disk, &mut expectation, last_day);
        disk.heal();
        let unused = |_: &SimDisk, _: &mut Expectation| {};
        let rig = rig((1, 1, 0), &unused);
        let mut seen = Seen::new();
        for policy in CrashPolicy::ALL {
            let survivor = disk.after_crash(policy, at);
            let promise = (0, expectation.promise());
            if let Err(why) = rig.judge(&survivor, promise, at, &mut seen, &mut coverage) {
                panic!(
                    "{fault:?} at call {at} ({}), {policy:?}: {why}",
                    disk.kind_of(at)
                );
            }
        }
    }
    coverage.spent += begun.elapsed();
    println!("store, one failed call: {coverage}");
}

/// Nothing but the workload decides what is written: no clock, no random number, no order of a map.
#[test]
fn the_same_day_writes_the_same_bytes() {
    let trace = || {
        let disk = SimDisk::new();
        disk.trace();
        run(&disk, &mut Expectation::default(), last_day);
        (disk.ops(), disk.trace_hash(), disk.digest())
    };
    assert_eq!(trace(), trace());
}

/// A wrong bit in the index costs time, never an answer.
#[test]
fn a_flipped_bit_in_the_index_changes_no_answer() {
    let disk = SimDisk::new();
    run(&disk, &mut Expectation::default(), last_day);
    let disk = disk.after_crash(CrashPolicy::Everything, 0);
    let whole = recover(&disk.fork());
    let bytes = disk.bytes("index.redb").map_or(0, |bytes| bytes.len());
    assert!(bytes > 0 && whole.is_ok(), "{bytes} bytes; {whole:?}");
    let mut rng = Rng::new(1);
    let begun = Instant::now();
    let flips = 150 * scale().div_ceil(8);
    for _ in 0..flips {
        let (at, bit) = (rng.below(bytes as u64), rng.below(8));
        let rotten = disk.fork();
        rotten.flip("index.redb", at, u8::try_from(bit).unwrap_or(0));
        let found = recover(&rotten);
        assert!(found == whole, "bit {bit} of byte {at}: {:?}", found.err());
    }
    println!(
        "store: {flips} flipped bits; {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}
