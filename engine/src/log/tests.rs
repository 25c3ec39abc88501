//! The log through its public surface on the operating system's disk.

mod ahead;
mod checkpoint;
mod counts;
mod disks;
mod formats;
mod held;
mod lifecycle;
mod lineage;
mod seals;
mod short_runs;
mod unfinished;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use turnleaf_format::record::{Flags, Kind};
use turnleaf_format::{Ordinal, SegmentId, StoreId, ThreadId, ThreadNumber};

use super::*;
use crate::Reader;
use crate::disk::{Access, OsDisk};
use crate::lock::Owner;

impl Log {
    /// The id that the next segment gets.
    pub(crate) fn next_segment(&mut self) -> SegmentId {
        self.state.catalogue.next_segment()
    }
}

struct Home {
    dir: tempfile::TempDir,
    options: Options,
}

fn home() -> Home {
    let options = Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 256 << 10,
        journal_files_max: 4,
        seal_bytes_min: 64 << 10,
        segment_boundary_bytes: 128 << 10,
        segment_bytes_max: 512 << 10,
        reserve_bytes: 8 << 10,
        ..Options::default()
    };
    Home {
        dir: tempfile::tempdir().unwrap(),
        options,
    }
}

fn owner() -> Owner {
    Owner {
        pid: 1,
        host: "here".into(),
        since_ms: 5,
    }
}

impl Home {
    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(OsDisk::new(&self.dir.path().join("store")))
    }

    fn open(&self) -> Log {
        let (log, report) = Log::open(
            self.disk(),
            self.options.clone(),
            &owner(),
            StoreId([7; 16]),
        )
        .unwrap();
        assert_eq!(report.damage, []);
        log
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::open(&self.disk(), &self.options).unwrap()
    }
}

fn line(bytes: &[u8]) -> NewRecord<'_> {
    NewRecord {
        kind: Kind::LINE,
        flags: Flags::NONE,
        timestamp_ms: 1,
        bytes,
    }
}

fn thread(log: &mut Log, name: &str) -> ThreadNumber {
    let (thread, ticket) = log.stage_thread(&ThreadId::parse(name).unwrap()).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    thread
}

fn append(log: &mut Log, thread: ThreadNumber, lines: &[&[u8]]) {
    let records: Vec<_> = lines.iter().map(|bytes| line(bytes)).collect();
    let staged = log.stage(thread, None, &records).unwrap();
    log.commit_all();
    while matches!(log.outcome(staged.ticket), Outcome::Pending) {
        seal(log, SealGoal::Due);
        log.commit_all();
    }
    assert!(matches!(log.outcome(staged.ticket), Outcome::Durable));
}

fn seal(log: &mut Log, goal: SealGoal) -> usize {
    let mut segments = 0;
    while let Some(plan) = log.plan_seal(goal) {
        let done = plan.run(&|_, _, _| b"notes".to_vec());
        log.finish_seal(done).unwrap();
        log.commit_all();
        log.clean_up(1).unwrap();
        segments += 1;
    }
    segments
}

fn all(reader: &Reader) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    reader
        .records(Ordinal(0), reader.end(), &mut |record| {
            assert_eq!(record.ordinal, Ordinal(found.len() as u64));
            found.push(record.bytes().unwrap().to_vec());
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut back = Vec::new();
    reader
        .records_back(reader.end(), &mut |record| {
            back.push(record.bytes().unwrap().to_vec());
            ControlFlow::Continue(())
        })
        .unwrap();
    back.reverse();
    assert!(found == back, "both directions agree");
    let every: Vec<Ordinal> = (0..found.len() as u64).map(Ordinal).collect();
    for ordinals in every.chunks(7) {
        let got = reader.get(ordinals).unwrap();
        for (ordinal, record) in ordinals.iter().zip(&got) {
            assert_eq!(record.ordinal, *ordinal);
            let expected = &found[usize::try_from(ordinal.0).unwrap()];
            assert!(record.bytes() == Some(expected), "record {ordinal}");
        }
    }
    found
}

#[test]
fn what_is_appended_is_read_again_after_a_reopen() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"one", b"", b"three"]);
    append(&mut log, a, &[b"four"]);
    assert_eq!(
        all(&log.state().reader(a).unwrap()),
        [&b"one"[..], b"", b"three", b"four"]
    );
    log.close().unwrap();
    let log = home.open();
    assert_eq!(all(&log.state().reader(a).unwrap()).len(), 4);
    let totals = log
        .state()
        .verify_thread(a, &mut |damage| panic!("{damage}"))
        .unwrap();
    assert_eq!((totals.records, totals.bytes), (4, 12));
}

#[test]
fn a_long_history_of_many_threads_survives_sealing_and_reopening() {
    let home = home();
    let mut log = home.open();
    let threads: Vec<_> = (0..5).map(|n| thread(&mut log, &format!("t{n}"))).collect();
    let mut expected: BTreeMap<ThreadNumber, Vec<Vec<u8>>> = BTreeMap::new();
    for round in 0..300_usize {
        let slot = if round % 3 == 0 {
            0
        } else {
            round % threads.len()
        };
        let bytes = format!("{round}:")
            .into_bytes()
            .repeat(1 + (round * 37) % 1500);
        append(&mut log, threads[slot], &[&bytes, b"x"]);
        let lines = expected.entry(threads[slot]).or_default();
        lines.extend([bytes, b"x".to_vec()]);
        if round % 10 == 0 {
            seal(&mut log, SealGoal::Due);
        }
    }
    let check = |state: &State| {
        for (thread, lines) in &expected {
            assert!(&all(&state.reader(*thread).unwrap()) == lines);
            state
                .verify_thread(*thread, &mut |damage| panic!("{damage}"))
                .unwrap();
        }
        for segment in state.segments() {
            state
                .verify_segment(segment.segment, &mut |damage| panic!("{damage}"))
                .unwrap();
        }
    };
    check(log.state());
    let newest = log.state().segments().last().map(|info| info.segment);
    assert!(newest > Some(SegmentId(4)), "{newest:?}");
    assert!(
        log.journal_size().1 <= 6,
        "the budget holds: {:?}",
        log.journal_size()
    );
    log.close().unwrap();
    check(home.snapshot().state());
    let mut log = home.open();
    check(log.state());
    seal(&mut log, SealGoal::Everything);
    check(log.state());
    let left: u64 = threads
        .iter()
        .map(|thread| log.state().journal_bytes(*thread))
        .sum();
    assert_eq!(left, 0);
    drop(log);
    check(home.open().state());
}

#[test]
fn a_record_of_many_chunks_is_one_record() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    let huge: Vec<u8> = (0..40_000_000_u32).map(|n| (n % 251) as u8).collect();
    append(&mut log, a, &[b"before"]);
    append(&mut log, a, &[&huge]);
    append(&mut log, a, &[b"after"]);
    let expected = [b"before".to_vec(), huge, b"after".to_vec()];
    assert!(all(&log.state().reader(a).unwrap()) == expected);
    seal(&mut log, SealGoal::Everything);
    assert!(all(&log.state().reader(a).unwrap()) == expected);
    drop(log);
    assert!(all(&home.open().state().reader(a).unwrap()) == expected);
}

#[test]
fn a_run_written_by_an_import_follows_what_the_journal_held() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"one"]);
    log.lease(a).unwrap();
    assert_eq!(log.stage(a, None, &[line(b"no")]), Err(AppendError::Busy));
    let mut run = log.begin_run(a).unwrap();
    for n in 0..1000 {
        let bytes = format!("line {n}");
        let entry =
            turnleaf_format::record::Entry::inline(Kind::LINE, Flags::NONE, 0, bytes.as_bytes());
        run.push(&entry).unwrap();
    }
    assert_eq!(run.next(), Ordinal(1001));
    let done = run.finish(&[], false).unwrap();
    let ticket = log.stage_segment(&done, &[]);
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    log.return_lease(a);
    append(&mut log, a, &[b"last"]);
    let lines = all(&log.state().reader(a).unwrap());
    assert_eq!((lines.len(), &lines[1000][..]), (1002, &b"line 999"[..]));
    drop(log);
    assert_eq!(all(&home.open().state().reader(a).unwrap()), lines);
}

/// [R:owner-1]
#[test]
fn the_second_owner_learns_who_the_first_is() {
    let home = home();
    let log = home.open();
    let second = Log::open(
        home.disk(),
        home.options.clone(),
        &owner(),
        StoreId([8; 16]),
    );
    match second {
        Err(OpenError::Owned(Some(found))) => {
            assert_eq!(found, owner());
            let told = "process 1 on here, since 1970-01-01T00:00:00.005Z";
            assert_eq!(found.to_string(), told);
        }
        other => panic!("{other:?}"),
    }
    assert!(home.snapshot().state().threads().next().is_none());
    drop(log);
    home.open();
}

#[test]
fn a_batch_is_refused_when_the_thread_ends_elsewhere() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"one"]);
    let refused = log.stage(a, Some(Ordinal(0)), &[line(b"two")]);
    let conflict = AppendError::Conflict {
        expected: Ordinal(0),
        end: Ordinal(1),
    };
    assert_eq!(refused, Err(conflict));
    assert!(log.stage(a, Some(Ordinal(1)), &[line(b"two")]).is_ok());
    let too_large = [line(&[0; 9 << 20]), line(&[0; 9 << 20])];
    assert!(matches!(
        log.stage(a, None, &too_large),
        Err(AppendError::TooLarge { .. })
    ));
    let unknown = log.stage(ThreadNumber(99), None, &[line(b"x")]);
    assert_eq!(unknown, Err(AppendError::NoThread));
}

/// [R:owner-2] A directory that is moved, replaced or copied over under its owner is not
/// acknowledged into.
#[test]
fn an_owner_whose_directory_was_taken_acknowledges_nothing() {
    fn moved(from: &Path, to: &Path) {
        std::fs::rename(from, to).unwrap();
    }
    fn copied(from: &Path, to: &Path) {
        moved(from, to);
        let copy = Command::new("cp").arg("-r").args([to, from]).status();
        assert!(copy.unwrap().success());
    }
    fn unlocked(from: &Path, _: &Path) {
        std::fs::remove_file(from.join(crate::layout::LOCK)).unwrap();
    }
    fn without_journal(from: &Path, to: &Path) {
        copied(&from.join(crate::layout::JOURNAL), to);
    }
    let ways: [fn(&Path, &Path); 4] = [moved, copied, unlocked, without_journal];
    for (number, take_away) in ways.into_iter().enumerate() {
        let home = home();
        let mut log = home.open();
        let thread = thread(&mut log, "a");
        append(&mut log, thread, &[b"one"]);
        take_away(&home.dir.path().join("store"), &home.dir.path().join("old"));
        let record = line(b"two");
        let staged = log.stage(thread, None, &[record]).unwrap();
        log.commit_all();
        let Outcome::Failed(failure) = log.outcome(staged.ticket) else {
            panic!("way {number}: acknowledged into a place that is gone");
        };
        assert!(failure.to_string().contains("moved, replaced"), "{failure}");
        // And never again, also where it is put back.
        let staged = log.stage(thread, None, &[record]).unwrap();
        log.commit_all();
        assert!(matches!(log.outcome(staged.ticket), Outcome::Failed(_)));
        assert!(log.close().is_ok());
    }
}

#[test]
fn a_closed_thread_keeps_its_files_and_no_other_thread_waits_for_it() {
    // [R:quarantine] [R:located]
    let home = home();
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    append(&mut log, a, &[b"kept"]);
    log.quarantine(a);
    assert_eq!(
        log.stage(a, None, &[line(b"no")]),
        Err(AppendError::Quarantined)
    );
    assert_eq!(log.lease(a), Err(AppendError::Quarantined));
    let large = vec![b'x'; 60 << 10];
    for _ in 0..40 {
        append(&mut log, b, &[&large]);
        seal(&mut log, SealGoal::Due);
    }
    assert!(log.state().segments().len() > 1, "the other one is sealed");
    seal(&mut log, SealGoal::Everything);
    log.shrink_journal().unwrap();
    assert_eq!(all(&log.state().reader(a).unwrap()), [b"kept"]);
    drop(log);
    let log = home.open();
    assert_eq!(all(&log.state().reader(a).unwrap()), [b"kept"]);
    assert_eq!(all(&log.state().reader(b).unwrap()).len(), 40);
}
