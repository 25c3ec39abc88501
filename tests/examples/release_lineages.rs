//! Writes the store that stands for format 2: `release_lineages DIR`. Once it is released it is never
//! written again; every later version opens it.
//!
//! It has what format 2 adds: a fork, a fork of a fork, a revert and one of a revert, a base that is
//! awaited and one that was found late, a deleted fork; records of lineages in a segment of the
//! catalogue and in the journal; and it began as a store of format 1.

#![allow(
    clippy::unwrap_used,
    reason = "a tool for ourselves fails by panicking"
)]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use turnleaf_engine::disk::{Disk, OsDisk};
use turnleaf_engine::{Log, Options, Origin, Outcome, Owner, SealGoal, Snapshot, Ticket};
use turnleaf_format::catalogue::{Awaited, Base};
use turnleaf_format::{Ordinal, StoreId, ThreadId, ThreadNumber};
use turnleaf_tests::released::line_of;
use turnleaf_tests::stores::{line, seal};

fn options() -> Options {
    Options {
        journal_first_bytes: 32 << 10,
        journal_file_bytes: 64 << 10,
        segment_boundary_bytes: 32 << 10,
        seal_bytes_min: 64 << 10,
        reserve_bytes: 0,
        ..Options::default()
    }
}

fn id(text: &str) -> ThreadId {
    ThreadId::parse(text).unwrap()
}

/// An hour later at every opening.
fn open(disk: &Arc<dyn Disk>, hour: i64) -> Log {
    let owner = Owner {
        pid: 7,
        host: "release".into(),
        since_ms: 1_800_000_000_000 + hour * 3_600_000,
    };
    let opened = Log::open(Arc::clone(disk), options(), &owner, StoreId([8; 16]));
    let (log, report) = opened.unwrap();
    assert_eq!(report.damage, []);
    log
}

fn durable(log: &mut Log, ticket: Ticket) {
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
}

fn thread(log: &mut Log, name: &str) -> ThreadNumber {
    let (thread, ticket) = log.stage_thread(&id(name)).unwrap();
    durable(log, ticket);
    thread
}

/// Lines that name their rollout and their place in it.
fn append(log: &mut Log, rollout: ThreadNumber, name: &str, count: usize) {
    let from = log.staged_end(rollout).unwrap().0;
    for at in from..from + count as u64 {
        let bytes = format!("{{\"of\":\"{name}\",\"at\":{at}}}");
        let staged = log.stage(rollout, None, &[line(bytes.as_bytes())]).unwrap();
        durable(log, staged.ticket);
    }
}

fn base(log: &Log, rollout: ThreadNumber, end: u64) -> Base {
    let reader = log.state().reader(rollout).unwrap();
    reader.base_at(Ordinal(end)).unwrap().unwrap()
}

fn fork(log: &mut Log, name: &str, of: ThreadNumber, end: u64) -> ThreadNumber {
    let base = base(log, of, end);
    let (thread, ticket) = log.stage_fork(&id(name), base).unwrap();
    durable(log, ticket);
    thread
}

/// The thread shows a new rollout from here on, which goes on from the one that it showed.
fn revert(log: &mut Log, thread: ThreadNumber, end: u64) -> ThreadNumber {
    let name = log.state().thread(thread).unwrap().id.clone();
    let origin = Origin::Base(base(log, log.state().current(thread), end));
    let staged = log.stage_rollout(thread, &name, Some(origin), true);
    let (rollout, ticket) = staged.unwrap();
    durable(log, ticket);
    rollout
}

fn awaits(log: &mut Log, rollout: ThreadNumber, base: &str, stated_end: u64) {
    let awaited = Awaited {
        id: id(base),
        stated_end,
        stated_bytes: 0,
    };
    let ticket = log.stage_origin(rollout, Origin::Awaited(awaited));
    durable(log, ticket.unwrap());
}

fn main() {
    let Some(dir) = std::env::args().nth(1).map(PathBuf::from) else {
        eprintln!("usage: release_lineages DIR");
        std::process::exit(2);
    };
    let root = dir.join("store");
    assert!(!root.exists(), "a released store is never written again");
    let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(&root));

    // A store of format 1.
    let mut log = open(&disk, 0);
    let root_thread = thread(&mut log, "root");
    append(&mut log, root_thread, "root", 8);
    let late = thread(&mut log, "late");
    append(&mut log, late, "late", 2);
    let plain = thread(&mut log, "plain");
    append(&mut log, plain, "plain", 3);
    log.close().unwrap();

    // Lineages, which are sealed.
    let mut log = open(&disk, 1);
    let fork_1 = fork(&mut log, "fork", root_thread, 6);
    append(&mut log, fork_1, "fork", 3);
    let second = revert(&mut log, root_thread, 4);
    append(&mut log, second, "root, second rollout", 2);
    awaits(&mut log, late, "root", 5);
    let waiting = thread(&mut log, "waiting");
    append(&mut log, waiting, "waiting", 2);
    awaits(&mut log, waiting, "never-here", 70);
    let gone = fork(&mut log, "gone", fork_1, 1);
    append(&mut log, gone, "gone", 1);
    seal(&mut log, b"\xff notes of no version");
    log.clean_up(1).unwrap();
    log.close().unwrap();

    // More of them, which stay in the journal.
    let mut log = open(&disk, 2);
    let ticket = log.stage_deletion(gone).unwrap();
    durable(&mut log, ticket);
    let fork_2 = fork(&mut log, "fork-of-fork", fork_1, 8);
    append(&mut log, fork_2, "fork of fork", 2);
    let third = revert(&mut log, root_thread, 5);
    append(&mut log, third, "root, third rollout", 1);
    let found = base(&log, root_thread, 5);
    let ticket = log.stage_origin(late, Origin::Base(found)).unwrap();
    durable(&mut log, ticket);
    append(&mut log, late, "late", 1);
    append(&mut log, fork_1, "fork", 1);
    assert!(log.plan_seal(SealGoal::Due).is_none());
    log.close().unwrap();
    write_expected(&dir, &disk);
}

/// What every later version must read: what each rollout shows, lines escaped.
fn write_expected(dir: &Path, disk: &Arc<dyn Disk>) {
    let snapshot = Snapshot::open(disk, &options()).unwrap();
    assert_eq!(snapshot.report().damage, []);
    let state = snapshot.state();
    let threads = state.threads();
    for (thread, fact) in threads {
        for rollout in state.rollouts_of(thread) {
            let reader = state.reader(rollout).unwrap();
            let mut text = String::new();
            let read = reader.records(Ordinal(0), reader.end(), &mut |record| {
                text.push_str(&line_of(record));
                ControlFlow::Continue(())
            });
            read.unwrap();
            // The rollout that is shown has the thread's name alone.
            let name = if state.current(thread) == rollout {
                fact.id.to_string()
            } else {
                format!("{}.{rollout}", fact.id)
            };
            fs::write(dir.join(format!("{name}.txt")), text).unwrap();
        }
    }
}
