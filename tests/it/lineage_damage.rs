//! Damage of what a fork goes on from: the fork says what it lacks and whose that was, shows the
//! rest under the same ordinals, and never takes a later record of the other thread for one that it
//! inherited.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::sync::Arc;

use turnleaf::Store;
use turnleaf_engine::disk::Disk;
use turnleaf_engine::{
    Cause, Damage, Log, Origin, Outcome, ReadError, SegmentInfo, Snapshot, State,
};
use turnleaf_format::catalogue::Base;
use turnleaf_format::segment::BLOCK_HEADER_BYTES;
use turnleaf_format::{Ordinal, ThreadId, ThreadNumber};
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::{line, log_files, open_log, open_store, owner, seal};

use crate::losses::options;

/// Behind the header of a segment and that of its first block.
const IN_FIRST_BLOCK: u64 = 128 + BLOCK_HEADER_BYTES as u64 + 2;

fn append(log: &mut Log, thread: ThreadNumber, text: &str) {
    let staged = log.stage(thread, None, &[line(text.as_bytes())]).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(staged.ticket), Outcome::Durable));
}

fn id(name: &str) -> ThreadId {
    ThreadId::parse(name).unwrap()
}

fn number(state: &State, name: &str) -> ThreadNumber {
    state.thread_number(&id(name)).unwrap()
}

/// A thread of three records, and a fork of it, of all of them, with one of its own.
fn store(is_sealed: bool) -> SimDisk {
    let disk = SimDisk::new();
    let (mut log, _) = open_log(&disk, options()).unwrap();
    let (a, ticket) = log.stage_thread(&id("a")).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    for text in ["record a0", "record a1", "record a2"] {
        append(&mut log, a, text);
    }
    if is_sealed {
        seal(&mut log, b"");
    }
    let base: Base = log
        .state()
        .reader(a)
        .unwrap()
        .base_at(Ordinal(3))
        .unwrap()
        .unwrap();
    let (b, ticket) = log.stage_fork(&id("b"), base).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    append(&mut log, b, "record b3");
    log.close().unwrap();
    disk
}

/// The journal file that holds a text, and where it stands.
fn place_of(disk: &SimDisk, text: &str) -> (String, u64) {
    let files = log_files(disk).into_iter();
    let place = |file: String| {
        let bytes = disk.bytes(&file)?;
        let mut windows = bytes.windows(text.len());
        let at = windows.position(|window| window == text.as_bytes())?;
        Some((file, at as u64))
    };
    files.filter_map(place).next().unwrap()
}

/// What a thread shows, by ordinal, and what is damaged of that.
fn shown(disk: &SimDisk, name: &str) -> (Vec<(u64, String)>, Vec<Damage>) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let snapshot = Snapshot::open(&shared, &options()).unwrap();
    let reader = snapshot.state().reader(number(snapshot.state(), name));
    let reader = reader.unwrap();
    let (mut lines, mut met, mut from) = (Vec::new(), Vec::new(), Ordinal(0));
    while from < reader.end() {
        let read = reader.records(from, reader.end(), &mut |record| {
            let text = String::from_utf8(record.bytes().unwrap().to_vec()).unwrap();
            lines.push((record.ordinal.0, text));
            ControlFlow::Continue(())
        });
        let Err(error) = read else { break };
        let ReadError::Damaged(damage) = error else {
            panic!("memory does not fail: {error}");
        };
        from = reader.behind(&damage);
        met.push(*damage);
    }
    // Backwards as forwards, as far as the first damage.
    let mut back = Vec::new();
    let read = reader.records_back(reader.end(), &mut |record| {
        back.push(record.ordinal.0);
        ControlFlow::Continue(())
    });
    assert_eq!(read.is_err(), !met.is_empty(), "{name}: {read:?}");
    let mut forwards = lines.iter().rev().map(|(at, _)| *at);
    assert!(
        back.iter().all(|at| forwards.next() == Some(*at)),
        "{back:?}"
    );
    (lines, met)
}

fn repair(disk: &SimDisk) -> Vec<&'static str> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let report = Store::repair_on(&shared, &options(), &owner(), None).unwrap();
    assert_eq!(report.due, []);
    report.done.iter().map(|done| done.repair.name()).collect()
}

fn texts(lines: &[(u64, &str)]) -> Vec<(u64, String)> {
    let owned = lines
        .iter()
        .map(|(at, text)| (*at, format!("record {text}")));
    owned.collect()
}

/// After a repair both threads go on, each on its own.
fn goes_on(disk: &SimDisk, kept: &[(u64, &str)]) {
    let (mut log, report) = open_log(disk, options()).unwrap();
    assert_eq!(report.damage, []);
    let (a, b) = (number(log.state(), "a"), number(log.state(), "b"));
    append(&mut log, a, "record a3");
    append(&mut log, b, "record b4");
    log.close().unwrap();
    let (lines, met) = shown(disk, "b");
    assert_eq!(
        lines,
        [texts(kept), texts(&[(3, "b3"), (4, "b4")])].concat()
    );
    assert_eq!(met, []);
    let (lines, met) = shown(disk, "a");
    assert_eq!(lines, [texts(kept), texts(&[(3, "a3")])].concat());
    assert_eq!(met, []);
    let (log, _) = open_log(disk, options()).unwrap();
    for thread in [a, b] {
        let mut found = Vec::new();
        log.state()
            .verify_thread(thread, &mut |damage| found.push(damage.clone()))
            .unwrap();
        assert_eq!(found, []);
    }
}

/// The frame says whose it is: its thread is closed, and the fork says what it lacks.
#[test]
fn a_fork_names_the_thread_that_lost_what_it_inherits() {
    let disk = store(false);
    let (file, body) = place_of(&disk, "record a1");
    disk.flip(&file, body, 1);
    let (lines, met) = shown(&disk, "b");
    assert_eq!(lines, texts(&[(0, "a0"), (2, "a2"), (3, "b3")]));
    let [damage] = met.as_slice() else {
        panic!("{met:?}");
    };
    assert_eq!(damage.thread, Some(ThreadNumber(1)));
    assert_eq!(damage.ordinals, Some((Ordinal(1), Ordinal(2))));
    assert!(repair(&disk).contains(&"accept-loss"));
    goes_on(&disk, &[(0, "a0"), (2, "a2")]);
}

/// Nothing says whose the frame was, and nothing of its thread follows it: the fork knows that
/// there was more. [R:lineage-1]
#[test]
fn a_thread_that_lost_its_end_does_not_give_those_ordinals_again() {
    let disk = store(false);
    let (file, body) = place_of(&disk, "record a2");
    // The header of the frame stands before it.
    disk.flip(&file, body - 60, 1);
    let (lines, met) = shown(&disk, "b");
    assert_eq!(lines, texts(&[(0, "a0"), (1, "a1"), (3, "b3")]));
    let [damage] = met.as_slice() else {
        panic!("{met:?}");
    };
    assert_eq!(damage.thread, Some(ThreadNumber(1)));
    assert_eq!(damage.ordinals, Some((Ordinal(2), Ordinal(3))));
    assert!(repair(&disk).contains(&"accept-loss"));
    goes_on(&disk, &[(0, "a0"), (1, "a1")]);
}

/// A fork that says of its base what was never so. [R:lineage-2]
#[test]
fn a_base_with_another_chain_at_the_cut_is_told() {
    let disk = store(false);
    let (mut log, _) = open_log(&disk, options()).unwrap();
    let a = log.state().reader(number(log.state(), "a")).unwrap();
    let right = a.base_at(Ordinal(2)).unwrap().unwrap();
    let wrong = Base {
        chain: a.base_at(Ordinal(1)).unwrap().unwrap().chain,
        ..right
    };
    for (name, base) in [("right", right), ("wrong", wrong)] {
        let (_, ticket) = log.stage_fork(&id(name), base).unwrap();
        log.commit_all();
        assert!(matches!(log.outcome(ticket), Outcome::Durable));
    }
    let wrong = number(log.state(), "wrong");
    log.close().unwrap();
    for is_sealed in [false, true] {
        if is_sealed {
            let (mut log, _) = open_log(&disk, options()).unwrap();
            seal(&mut log, b"");
            log.close().unwrap();
        }
        let store = open_store(&disk, &options()).unwrap();
        for only in [None, Some("wrong"), Some("right"), Some("a")] {
            let report = store.verify(only, &mut |_| {}).unwrap();
            let told: Vec<_> = report.damage.iter().map(|(_, damage)| damage).collect();
            if matches!(only, Some("right" | "a")) {
                assert!(told.is_empty(), "{told:?}");
                continue;
            }
            let [damage] = told.as_slice() else {
                panic!("{told:?}");
            };
            assert_eq!((damage.thread, damage.ordinals), (Some(wrong), None));
            assert_eq!(damage.cause, Cause::Chain);
        }
        // It closes nothing: all is readable, and what is wrong is not known.
        store.append("wrong", None, &[b"{}"]).unwrap();
    }
}

/// What is damaged of a thread is told to it, to its fork, and to whoever asks for everything.
#[test]
fn verify_names_the_forks_that_inherit_a_damage() {
    let disk = store(true);
    let mut files = log_files(&disk).into_iter();
    let segment = files.find(|file| file.starts_with("segments/")).unwrap();
    disk.flip(&segment, IN_FIRST_BLOCK, 1);
    let store = open_store(&disk, &options()).unwrap();
    for only in [None, Some("a"), Some("b")] {
        let report = store.verify(only, &mut |_| {}).unwrap();
        let costs = |found: &&(Option<String>, Damage)| found.1.ordinals.is_some();
        let (whose, damage) = report.damage.iter().find(costs).unwrap();
        assert_eq!(whose.as_deref(), Some("a"), "{only:?}");
        assert_eq!(store.inheriting_threads(damage), ["b"], "{only:?}");
    }
    let health = store.diagnosis();
    assert_eq!(health.closed_threads, Vec::<String>::new());
    drop(store);
    // Listed, and so met by the next opening.
    let store = open_store(&disk, &options()).unwrap();
    let health = store.diagnosis();
    assert_eq!(health.closed_threads, ["a"]);
    assert_eq!(store.inheriting_threads(&health.damage[0].1), ["b"]);
    store.append("b", None, &[b"{}"]).unwrap();
}

/// Each rollout of a thread is repaired, not only the one that it shows.
#[test]
fn a_repair_of_a_thread_is_one_of_all_its_rollouts() {
    for only in [None, Some("a")] {
        let disk = store(true);
        let (mut log, _) = open_log(&disk, options()).unwrap();
        // What the fork has goes into another pack.
        seal(&mut log, b"");
        let a = number(log.state(), "a");
        let base = log.state().reader(a).unwrap().base_at(Ordinal(1)).unwrap();
        let mut old = a;
        for name in ["a-2", "a-3"] {
            let origin = base.map(Origin::Base);
            let (rollout, ticket) = log.stage_rollout(a, &id(name), origin, true).unwrap();
            log.commit_all();
            assert!(matches!(log.outcome(ticket), Outcome::Durable));
            append(&mut log, rollout, &format!("record of {name}"));
            if name == "a-2" {
                old = rollout;
            }
        }
        seal(&mut log, b"");
        // The journal goes on to other files, so nothing repeats what the segment holds.
        let (z, _) = log.stage_thread(&id("z")).unwrap();
        for _ in 0..4 {
            append(&mut log, z, &"z".repeat(60_000));
            seal(&mut log, b"");
        }
        let segments = log.state().segments();
        let holds = |info: &&SegmentInfo| info.runs.iter().any(|(of, _, _)| *of == old);
        let file = segments.iter().find(holds).unwrap().path.clone();
        log.close().unwrap();
        disk.flip(&file, IN_FIRST_BLOCK, 1);
        let due = |disk: &SimDisk| {
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            let store = Store::open_to_read_on(shared, &options(), &owner()).unwrap();
            store.find_repairs(only).unwrap()
        };
        assert!(!due(&disk).is_empty(), "{only:?}");
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let report = Store::repair_on(&shared, &options(), &owner(), only).unwrap();
        let done: Vec<_> = report.done.iter().map(|done| done.repair.name()).collect();
        assert!(done.contains(&"accept-loss"), "{only:?}: {done:?}");
        assert_eq!(due(&disk), [], "{only:?}");
        let store = open_store(&disk, &options()).unwrap();
        let report = store.verify(None, &mut |_| {}).unwrap();
        assert_eq!(report.damage, [], "{only:?}");
    }
}
