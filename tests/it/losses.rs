//! Losses on the simulated disk: a damaged store is repaired, the repair is stopped at every call,
//! or the call fails, and done again. Nothing that could be read before is ever away, and in the end both threads take
//! appends and nothing is damaged.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use turnleaf::{Options, Store};
use turnleaf_engine::Snapshot;
use turnleaf_engine::disk::Disk;
use turnleaf_tests::around::read_around;
use turnleaf_tests::rollouts::{Rollout, RolloutMode};
use turnleaf_tests::sim_disk::{CrashPolicy, Fault, SimDisk};
use turnleaf_tests::stores::{self, open_log, open_store, owner};

pub(crate) fn options() -> Options {
    Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 64 << 10,
        segment_boundary_bytes: 64 << 10,
        reserve_bytes: 0,
        ..Options::default()
    }
}

pub(crate) fn open(disk: &SimDisk) -> Result<Store, turnleaf::Error> {
    open_store(disk, &options())
}

/// Seals everything that the journal holds.
pub(crate) fn seal(disk: &SimDisk) {
    let (mut log, _) = open_log(disk, options()).unwrap();
    stores::seal(&mut log, b"");
    log.close().unwrap();
}

/// Two threads, half in one segment, half in the journal.
pub(crate) fn store() -> (SimDisk, Vec<String>) {
    let disk = SimDisk::new();
    let mut ids = Vec::new();
    let rollouts = [1, 2].map(|seed| Rollout::new(RolloutMode::Paginated, seed, 150_000));
    let mut halves = Vec::new();
    let work = open(&disk).unwrap();
    for rollout in &rollouts {
        let mut plain = Vec::new();
        rollout.write(&mut plain).unwrap();
        let lines = plain.split_inclusive(|byte| *byte == b'\n');
        let lines: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
        work.create_thread(&rollout.thread_id()).unwrap();
        let (first, second) = lines.split_at(lines.len() * 2 / 3);
        append(&work, &rollout.thread_id(), first);
        halves.push(second.to_vec());
        ids.push(rollout.thread_id());
    }
    work.close().unwrap();
    seal(&disk);
    let work = open(&disk).unwrap();
    for (id, half) in ids.iter().zip(&halves) {
        append(&work, id, half);
    }
    work.turns(&turns(&ids[0])).unwrap();
    work.close().unwrap();
    (disk, ids)
}

pub(crate) fn turns(id: &str) -> turnleaf::TurnsRequest {
    turnleaf::TurnsRequest {
        thread: id.to_owned(),
        cursor: None,
        limit: 100,
        order: turnleaf::Order::Descending,
        items: turnleaf::ItemsView::Full,
    }
}

pub(crate) fn append(store: &Store, id: &str, lines: &[Vec<u8>]) {
    for batch in lines.chunks(7) {
        let lines: Vec<&[u8]> = batch.iter().map(|line| line.trim_ascii_end()).collect();
        store.append(id, None, &lines).unwrap();
    }
}

/// What can be read, around what is damaged.
pub(crate) fn readable(disk: &SimDisk) -> BTreeMap<String, Vec<Vec<u8>>> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let snapshot = Snapshot::open(&shared, &options()).unwrap();
    let mut found = BTreeMap::new();
    for (number, fact) in snapshot.state().threads() {
        let reader = snapshot.state().reader(number).unwrap();
        let mut lines: Vec<Vec<u8>> = Vec::new();
        read_around(&reader, &mut |record| {
            lines.push(record.bytes().unwrap().to_vec());
        });
        found.insert(fact.id.to_string(), lines);
    }
    found
}

fn repair(disk: &SimDisk) -> Result<usize, turnleaf::Error> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let report = Store::repair_on(&shared, &options(), &owner(), None)?;
    assert_eq!(report.due, []);
    Ok(report.done.len())
}

/// The store is whole again: nothing is damaged, everything takes appends, pages can be read.
fn check(disk: &SimDisk, ids: &[String], before: &BTreeMap<String, Vec<Vec<u8>>>, place: &str) {
    assert!(readable(disk) == *before, "{place}: what could be read");
    let store = open(disk).unwrap_or_else(|error| panic!("{place}: {error}"));
    for id in ids {
        let more = [&b"{}"[..]];
        store
            .append(id, None, &more)
            .unwrap_or_else(|error| panic!("{place}: {error}"));
        store
            .turns(&turns(id))
            .unwrap_or_else(|error| panic!("{place}: {error}"));
    }
    let report = store.verify(None, &mut |_| {}).unwrap();
    assert!(report.is_ok(), "{place}: {:?}", report.damage);
    assert_eq!(store.damage_seen(), [], "{place}");
    store.close().unwrap();
}

/// A bit at each of some places of one file.
fn damaged(whole: &SimDisk, file: &str, places: &[u64]) -> SimDisk {
    let disk = whole.fork();
    for place in places {
        disk.flip(file, *place, 3);
    }
    disk
}

#[test]
fn repairs_of_losses_survive_a_crash_at_every_call() {
    let (whole, ids) = store();
    let complete = readable(&whole);
    let segment = "segments/0000000000000001.tls";
    let middle = whole.bytes(segment).unwrap().len() as u64 / 2;
    let journal = needed_frame(&whole);
    // A frame in the midst of the journal: its header, its body.
    let cases = [
        ("a block", damaged(&whole, segment, &[middle])),
        ("two blocks", damaged(&whole, segment, &[400, middle])),
        (
            "the header of a frame",
            damaged(&whole, &journal.0, &[journal.1 + 30]),
        ),
        (
            "the body of a frame",
            damaged(&whole, &journal.0, &[journal.1 + 130]),
        ),
        ("a segment", {
            let disk = whole.fork();
            disk.remove(segment).unwrap();
            disk.sync_dir("segments").unwrap();
            disk
        }),
    ];
    let mut states = 0;
    for (what, disk) in cases {
        let before = readable(&disk);
        assert!(before != complete, "{what}: something is lost");
        let repaired = disk.fork();
        let first = repaired.ops();
        assert!(repair(&repaired).unwrap() > 0, "{what}");
        let calls = repaired.ops();
        check(&repaired, &ids, &before, what);
        for at in first..calls {
            let policy = CrashPolicy::by_number(at);
            let place = format!("{what}: call {at}, {policy:?}");
            let stopped = disk.fork();
            stopped.plan(at, Fault::Crash);
            assert!(repair(&stopped).is_err(), "{place}: stops the repair");
            let after = stopped.after_crash(policy, at);
            assert!(readable(&after) == before, "{place}: what could be read");
            repair(&after).unwrap_or_else(|error| panic!("{place}: {error}"));
            check(&after, &ids, &before, &place);
            for fault in [Fault::Fail, Fault::Short, Fault::FailForEver] {
                let fault = fault(std::io::ErrorKind::StorageFull);
                let place = format!("{what}: call {at}, {fault:?}");
                let refused = disk.fork();
                refused.plan(at, fault);
                // It may do without the call.
                let _ = repair(&refused);
                refused.heal();
                assert!(readable(&refused) == before, "{place}: what could be read");
                repair(&refused).unwrap_or_else(|error| panic!("{place}: {error}"));
                check(&refused, &ids, &before, &place);
                states += 1;
            }
            states += 1;
        }
    }
    println!("losses: {states} states");
}

/// A journal file and where a frame begins in it that holds what nothing else does.
fn needed_frame(disk: &SimDisk) -> (String, u64) {
    let whole = readable(disk);
    for slot in 0..16 {
        let name = format!("journal/{slot:08x}.tlj");
        let Some(bytes) = disk.bytes(&name) else {
            continue;
        };
        let places = (8192..bytes.len() - 4).step_by(8);
        let frames = places.filter(|at| &bytes[*at..at + 4] == b"TLFR");
        for place in frames.map(|at| at as u64) {
            if readable(&damaged(disk, &name, &[place + 130])) != whole {
                return (name, place);
            }
        }
    }
    panic!("the journal holds nothing that is needed")
}
