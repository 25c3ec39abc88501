//! Writes the store that stands for a released format: `release DIR`. Once it is released it is
//! never written again; every later version opens it.
//!
//! It has one of everything: a run, a pack, a segment of the catalogue, several journal files, a
//! record of chunks, an import, boundaries, records of both kinds and all flags, losses, a torn tail.

#![allow(
    clippy::unwrap_used,
    reason = "a tool for ourselves fails by panicking"
)]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use turnleaf_engine::disk::{Disk, OsDisk};
use turnleaf_engine::{
    Log, NewRecord, Options, Outcome, Owner, SealGoal, Snapshot, find_repairs, repair,
};
use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::record::{Entry, Flags, Kind};
use turnleaf_format::{Ordinal, StoreId, ThreadId, ThreadNumber};
use turnleaf_tests::rollouts::{Rollout, RolloutMode};

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

/// A store at work, an hour later at every opening.
struct Work {
    disk: Arc<dyn Disk>,
    log: Log,
}

impl Work {
    fn open(disk: &Arc<dyn Disk>, hour: i64) -> Work {
        let owner = owner(hour);
        let (log, report) =
            Log::open(Arc::clone(disk), options(), &owner, StoreId([7; 16])).unwrap();
        assert_eq!(report.damage, []);
        let disk = Arc::clone(disk);
        Work { disk, log }
    }

    fn thread(&mut self, id: &str) -> ThreadNumber {
        let (number, ticket) = self
            .log
            .stage_thread(&ThreadId::parse(id).unwrap())
            .unwrap();
        self.log.commit_all();
        assert!(matches!(self.log.outcome(ticket), Outcome::Durable));
        number
    }

    fn append(&mut self, thread: ThreadNumber, lines: &[&[u8]]) {
        for batch in lines.chunks(5) {
            let records: Vec<_> = batch.iter().map(|line| record(line)).collect();
            self.commit(thread, &records);
        }
    }

    fn commit(&mut self, thread: ThreadNumber, records: &[NewRecord<'_>]) {
        let staged = self.log.stage(thread, None, records).unwrap();
        self.log.commit_all();
        assert!(matches!(self.log.outcome(staged.ticket), Outcome::Durable));
    }

    fn seal(&mut self) {
        while let Some(plan) = self.log.plan_seal(SealGoal::Everything) {
            let done = plan.run(&|_, _, _| b"\xff notes of no version".to_vec());
            drop(plan);
            self.log.finish_seal(done).unwrap();
            self.log.commit_all();
        }
        self.log.clean_up(1).unwrap();
    }

    /// A thread whose records go straight to a segment.
    fn import(&mut self, thread: ThreadNumber, lines: &[&[u8]]) {
        self.log.lease(thread).unwrap();
        let mut run = self.log.begin_run(thread).unwrap();
        let mut bytes = 0;
        for line in lines {
            run.push(&Entry::inline(Kind::LINE, flags_of(line), 1, line))
                .unwrap();
            bytes += line.len() as u64 + 1;
        }
        let ordinal_end = run.next();
        let done = run.finish(b"", false).unwrap();
        let import = CatalogueRecord::Import {
            thread,
            source_bytes: bytes,
            ordinal_end,
            file_bytes: bytes,
            modified_ns: -1,
            path: "sessions/rollout.jsonl".to_owned(),
        };
        let ticket = self.log.stage_segment(&done, &[import]);
        self.log.commit_all();
        assert!(matches!(self.log.outcome(ticket), Outcome::Durable));
        self.log.return_lease(thread);
    }
}

fn owner(hour: i64) -> Owner {
    Owner {
        pid: 7,
        host: "release".into(),
        since_ms: 1_790_000_000_000 + hour * 3_600_000,
    }
}

fn flags_of(line: &[u8]) -> Flags {
    let text = String::from_utf8_lossy(line);
    if text.contains("\"compacted\"") {
        Flags::BOUNDARY
    } else {
        Flags::NONE
    }
}

fn record(bytes: &[u8]) -> NewRecord<'_> {
    NewRecord {
        kind: Kind::LINE,
        flags: flags_of(bytes),
        timestamp_ms: 1_790_000_000_123,
        bytes,
    }
}

fn rollout(mode: RolloutMode, seed: u64, bytes: u64) -> (String, Vec<u8>) {
    let rollout = Rollout::new(mode, seed, bytes);
    let mut plain = Vec::new();
    rollout.write(&mut plain).unwrap();
    (rollout.thread_id(), plain)
}

fn lines(plain: &[u8]) -> Vec<&[u8]> {
    plain
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect()
}

fn main() {
    let Some(dir) = std::env::args().nth(1).map(PathBuf::from) else {
        eprintln!("usage: release DIR");
        std::process::exit(2);
    };
    let root = dir.join("store");
    assert!(!root.exists(), "a released store is never written again");
    let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(&root));
    let (legacy, legacy_bytes) = rollout(RolloutMode::Legacy, 1, 120_000);
    let (paginated, paginated_bytes) = rollout(RolloutMode::Paginated, 2, 120_000);
    let (legacy_lines, paginated_lines) = (lines(&legacy_bytes), lines(&paginated_bytes));

    let mut work = Work::open(&disk, 0);
    let imported = work.thread(&legacy);
    let (first, rest) = legacy_lines.split_at(legacy_lines.len() / 2);
    work.import(imported, first);
    let appended = work.thread(&paginated);
    let half = paginated_lines.len() / 2;
    work.append(appended, &paginated_lines[..half]);
    let odd = work.thread("odd-bytes");
    odd_records(&mut work, odd);
    for id in ["tiny-1", "tiny-2"] {
        let tiny = work.thread(id);
        work.append(tiny, &[b"{}"]);
    }
    work.seal();
    work.log.close().unwrap();

    // What a second owner appends; some of it stays in the journal.
    let mut work = Work::open(&disk, 1);
    work.append(imported, rest);
    work.append(odd, &[b"to be damaged in a segment".as_slice(); 3]);
    work.append(work_thread(&work, "odd-bytes"), &[b"and what follows it"]);
    work.seal();
    work.append(appended, &paginated_lines[half..half + 3]);
    work.append(odd, &[b"to be damaged in the journal"]);
    work.append(appended, &paginated_lines[half + 3..]);
    work.append(odd, &[b"the last record"]);
    work.log.close().unwrap();

    lose(&root, &disk);
    tear(&root, &disk);
    write_expected(&dir, &disk);
}

fn work_thread(work: &Work, id: &str) -> ThreadNumber {
    let id = ThreadId::parse(id).unwrap();
    work.log.state().thread_number(&id).unwrap()
}

/// Lines that nobody would write, all flags, a record of ours, a record of chunks.
fn odd_records(work: &mut Work, thread: ThreadNumber) {
    let large = b"0123456789abcdef".repeat(150_000);
    let with = |kind, flags, bytes| NewRecord {
        kind,
        flags,
        timestamp_ms: -1,
        bytes,
    };
    let unended = Flags::NO_LINE_FEED;
    work.commit(
        thread,
        &[
            with(Kind::LINE, Flags::NONE, b"".as_slice()),
            with(Kind::LINE, Flags::NONE, b"\xff\xfe\0 not text\r"),
            with(Kind::METADATA, Flags::NONE, br#"{"name":"odd"}"#),
            with(Kind(77), Flags::NONE, b"a kind of the future"),
            with(Kind::LINE, unended, b"{\"half\":"),
            with(Kind::LINE, Flags::CONTINUES, b"1}"),
        ],
    );
    work.commit(thread, &[with(Kind::LINE, Flags::BOUNDARY, &large)]);
}

/// A frame and a block rot; somebody accepts it.
fn lose(root: &Path, disk: &Arc<dyn Disk>) {
    flip(root, "journal", b"to be damaged in the journal");
    let wanted = |disk: &Arc<dyn Disk>| {
        let snapshot = Snapshot::open(disk, &options()).unwrap();
        find_repairs(&snapshot, None).unwrap()
    };
    let due = wanted(disk);
    assert!(!due.is_empty(), "a frame is damaged");
    repair(
        disk,
        &options(),
        &owner(2),
        &due,
        &|_, _, _| Vec::new(),
        &|_| None,
    )
    .unwrap();
    assert_eq!(wanted(disk), []);
    let snapshot = Snapshot::open(disk, &options()).unwrap();
    let state = snapshot.state();
    let odd = state
        .thread_number(&ThreadId::parse("odd-bytes").unwrap())
        .unwrap();
    let info = state
        .segments()
        .into_iter()
        .rfind(|info| info.runs.iter().any(|(thread, _, _)| *thread == odd));
    let path = root.join(info.unwrap().path);
    let mut bytes = fs::read(&path).unwrap();
    bytes[128 + 64 + 5] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let due = wanted(disk);
    assert!(!due.is_empty(), "a block is damaged");
    repair(
        disk,
        &options(),
        &owner(3),
        &due,
        &|_, _, _| Vec::new(),
        &|_| None,
    )
    .unwrap();
    assert_eq!(wanted(disk), []);
}

/// Changes a byte of the newest place that holds `text`.
fn flip(root: &Path, dir: &str, text: &[u8]) {
    for entry in fs::read_dir(root.join(dir)).unwrap().flatten() {
        let mut bytes = fs::read(entry.path()).unwrap();
        let found = bytes.windows(text.len()).rposition(|window| window == text);
        if let Some(at) = found {
            bytes[at] ^= 4;
            fs::write(entry.path(), &bytes).unwrap();
            return;
        }
    }
    panic!("nothing holds the text");
}

/// A write that did not finish behind the last group; the next owner keeps a copy of it.
fn tear(root: &Path, disk: &Arc<dyn Disk>) {
    let mut work = Work::open(disk, 4);
    let odd = work_thread(&work, "odd-bytes");
    work.append(odd, &[b"before the torn write"]);
    work.append(odd, &[b"a torn write that nobody was told of"]);
    drop(work);
    flip(root, "journal", b"a torn write that nobody was told of");
    let work = Work::open(disk, 5);
    assert!(
        work.disk.list("quarantine").unwrap().len() > 1,
        "copies are kept"
    );
    work.log.close().unwrap();
}

/// What every later version must read: each thread's records, lines escaped.
fn write_expected(dir: &Path, disk: &Arc<dyn Disk>) {
    let snapshot = Snapshot::open(disk, &options()).unwrap();
    assert_eq!(snapshot.report().damage, []);
    for (number, fact) in snapshot.state().threads() {
        let reader = snapshot.state().reader(number).unwrap();
        let mut text = String::new();
        let read = reader.records(Ordinal(0), reader.end(), &mut |record| {
            text.push_str(&turnleaf_tests::released::line_of(record));
            ControlFlow::Continue(())
        });
        read.unwrap();
        fs::write(dir.join(format!("{}.txt", fact.id)), text).unwrap();
    }
}
