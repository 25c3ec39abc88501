//! Bytes that rot: every byte of every file of the log of a small store is changed, the file is cut
//! at every length, every sector zeroed. What is read is right, what is spoilt is said to be, at the
//! right place, and what stands beside it is read.

mod index;
mod laws;
mod look;
mod pieces;

use std::sync::Arc;

use laws::{Change, Verdict, Whole};
use look::{Truth, look};
use pieces::{Piece, pieces};
use turnleaf::Store;
use turnleaf_engine::disk::{Access, Disk};
use turnleaf_engine::{Log, NewRecord, Options};
use turnleaf_format::record::{Flags, Kind};
use turnleaf_format::{ThreadId, ThreadNumber};
use turnleaf_tests::crash_rig::scale;
use turnleaf_tests::parallel::in_parallel;
use turnleaf_tests::rng::Rng;
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::{log_files, open_log, owner, seal};

const SECTOR: usize = 512;
/// Records that each owner appends to each thread. The first one seals twice, so that a segment has
/// blocks of one thread, and another one is a pack.
const OWNERS: [[(&str, u64); 3]; 2] = [
    [("a", 50), ("b", 6), ("c", 9)],
    [("a", 12), ("b", 2), ("c", 1)],
];
/// Behind these records of the first owner everything is sealed.
const SEALED: [&str; 2] = ["a40", "c5"];
/// So many records stand in a block.
const BLOCK: usize = 8;

fn options() -> Options {
    Options {
        journal_first_bytes: 16 << 10,
        journal_file_bytes: 16 << 10,
        seal_bytes_min: 4 << 10,
        segment_boundary_bytes: 8 << 10,
        segment_bytes_max: 16 << 10,
        reserve_bytes: 0,
        ..Options::default()
    }
}

/// A store with a segment of several blocks, a pack, a catalogue segment, journal files that a
/// sealed one and an open one begin, and records of every thread in the newest.
fn build() -> (SimDisk, Truth) {
    let disk = SimDisk::new();
    let mut rng = Rng::new(7);
    let mut truth = Truth::new();
    for (owner, counts) in OWNERS.into_iter().enumerate() {
        let (mut log, _) = open_log(&disk, options()).expect("a store");
        for (name, count) in counts {
            let thread = thread_of(&mut log, name);
            let (_, lines) = truth.entry(thread).or_default();
            for _ in 0..count {
                let text = format!("{name}{}", lines.len());
                let noise = (0..rng.below(120)).map(|_| 32 + rng.below(64));
                let mut bytes: Vec<u8> = noise.filter_map(|byte| byte.try_into().ok()).collect();
                bytes.extend(text.as_bytes());
                append(&mut log, thread, &bytes, lines.len().is_multiple_of(BLOCK));
                lines.push(bytes);
                if SEALED.contains(&text.as_str()) {
                    seal(&mut log, b"notes");
                    log.clean_up(1).expect("cleaned");
                }
            }
            truth.entry(thread).or_default().0 = name.to_owned();
        }
        // Behind an owner that was killed the next one begins a file, and the frames of the catalogue
        // that the one before sealed stay live.
        if owner + 1 == OWNERS.len() {
            log.close().expect("a clean close");
        }
    }
    (disk, truth)
}

fn thread_of(log: &mut Log, name: &str) -> ThreadNumber {
    let id = ThreadId::parse(name).expect("an id");
    if let Some(known) = log.state().thread_number(&id) {
        return known;
    }
    let (thread, _) = log.stage_thread(&id).expect("a new thread");
    log.commit_all();
    thread
}

fn append(log: &mut Log, thread: ThreadNumber, bytes: &[u8], begins: bool) {
    let flags = if begins { Flags::BOUNDARY } else { Flags::NONE };
    let record = NewRecord {
        kind: Kind::LINE,
        flags,
        timestamp_ms: 1,
        bytes,
    };
    log.stage(thread, None, &[record]).expect("room");
    log.commit_all();
}

impl Change {
    pub(super) fn make(&self, disk: &SimDisk, path: &str) {
        let file = disk.open(path, Access::ReadWrite).expect("a file");
        match self {
            Change::Bit(at, bit) => disk.flip(path, *at, *bit),
            Change::Cut(len) => file.set_len(*len).expect("memory"),
            Change::Zeroed(bytes) => {
                let zeros = vec![0; usize::try_from(bytes.end - bytes.start).expect("small")];
                file.write_at(bytes.start, &zeros).expect("memory");
            }
        }
    }
}

/// All changes of a file, by their kind. A plain run takes a bit of every byte that means something.
fn changes(bytes: &[u8], pieces: &[Piece]) -> [(&'static str, Vec<Change>); 4] {
    let len = bytes.len() as u64;
    let means = |at: &u64| pieces.iter().any(|piece| piece.bytes.contains(at));
    let (meant, rest): (Vec<u64>, Vec<u64>) = (0..len).partition(means);
    let bits = if scale() > 1 { 8 } else { 1 };
    let every = if scale() > 1 { 1 } else { 8 };
    let flips = |places: Vec<u64>, every| {
        let bits = places
            .into_iter()
            .step_by(every)
            .flat_map(|at| (at..at + bits).map(move |bit| (at, bit % 8)));
        let bit = |(at, bit)| Change::Bit(at, u8::try_from(bit).unwrap_or(0));
        bits.map(bit).collect()
    };
    [
        ("one bit", flips(meant, 1)),
        ("one bit that means nothing", flips(rest, every)),
        ("cut off", (0..len).map(Change::Cut).collect()),
        ("a sector zeroed", sectors(bytes)),
    ]
}

/// Every sector in turn, but for those that are zero.
fn sectors(bytes: &[u8]) -> Vec<Change> {
    let parts = (0_u64..).step_by(SECTOR).zip(bytes.chunks(SECTOR));
    let full = parts.filter(|(_, part)| part.iter().any(|byte| *byte != 0));
    let zeroed = |(at, part): (u64, &[u8])| Change::Zeroed(at..at + part.len() as u64);
    full.map(zeroed).collect()
}

/// A row of the table.
#[derive(Debug, Default)]
struct Row {
    changes: usize,
    detected: usize,
    located: usize,
    /// Changes that cost records, and nothing said so.
    lost_unseen: usize,
    lost_most: usize,
    broken: Vec<String>,
}

impl Row {
    fn take(&mut self, change: &Change, verdict: &Verdict) {
        self.changes += 1;
        self.detected += usize::from(verdict.is_detected);
        self.located += usize::from(verdict.is_located);
        self.lost_unseen += usize::from(!verdict.is_detected && verdict.lost > 0);
        self.lost_most = self.lost_most.max(verdict.lost);
        let broken = verdict.broken.map(|law| format!("{change:?}: {law}"));
        self.broken.extend(broken);
    }

    fn print(&self, path: &str, kind: &str) {
        let (changes, detected, located) = (self.changes, self.detected, self.located);
        let (most, unseen) = (self.lost_most, self.lost_unseen);
        println!("| {path} | {kind} | {changes} | {detected} | {located} | {most} | {unseen} |");
    }
}

#[test]
fn every_changed_byte_is_found_and_no_wrong_byte_is_read() {
    let (disk, truth) = build();
    let files: Vec<(String, Vec<u8>, Vec<Piece>)> = log_files(&disk)
        .into_iter()
        .map(|path| {
            let bytes = disk.bytes(&path).expect("a file");
            let pieces = pieces(&path, &bytes);
            (path, bytes, pieces)
        })
        .collect();
    let frames: Vec<(String, Piece)> = files
        .iter()
        .flat_map(|(path, _, pieces)| pieces.iter().map(|piece| (path.clone(), piece.clone())))
        .filter(|(_, piece)| piece.what == "frame")
        .collect();
    let mut journal = files
        .iter()
        .filter(|(path, ..)| path.starts_with("journal/"));
    let newest = journal.next_back().and_then(|(path, _, pieces)| {
        let last = pieces.last()?;
        (last.what == "marker").then(|| (path.clone(), last.bytes.end))
    });
    let newest = newest.expect("a marker ends the newest journal file");
    let unspoilt = look(&disk, &truth, &newest);
    let is_whole = unspoilt.places.is_empty() && unspoilt.lost.is_empty() && unspoilt.wrong == 0;
    assert!(is_whole && !unspoilt.refused && !unspoilt.panicked);
    println!("| file | change | changes | detected | located | most records lost | lost unseen |");
    println!("|---|---|---|---|---|---|---|");
    let mut broken = Vec::new();
    for (path, bytes, pieces) in &files {
        let whole = Whole {
            path,
            pieces,
            frames: &frames,
            is_newest: *path == newest.0,
        };
        for (kind, changes) in changes(bytes, pieces) {
            let judge = |number: u64| {
                let change = &changes[usize::try_from(number).expect("small")];
                let spoilt = disk.fork();
                change.make(&spoilt, path);
                whole.judge(change, &look(&spoilt, &truth, &newest))
            };
            let mut row = Row::default();
            let verdicts = in_parallel(0..changes.len() as u64, &judge);
            let judged = changes.iter().zip(&verdicts);
            judged.for_each(|(change, verdict)| row.take(change, verdict));
            if row.changes > 0 {
                row.print(path, kind);
            }
            broken.extend(row.broken.iter().map(|law| format!("{path}: {law}")));
        }
    }
    let shown = &broken[..broken.len().min(20)];
    assert!(
        broken.is_empty(),
        "{} broken laws: {shown:#?}",
        broken.len()
    );
}

/// What live frames hold of the catalogue is not given up with its segment: the threads keep their
/// ids. [R:cat-5]
#[test]
fn a_repair_of_a_catalogue_that_frames_hold_costs_nothing() {
    let (disk, truth) = build();
    let files = log_files(&disk);
    let mut segments = files.iter().filter(|path| path.starts_with("catalogue/"));
    let path = segments.next().expect("a catalogue segment");
    for change in [
        Change::Bit(300, 2),
        Change::Zeroed(0..512),
        Change::Cut(200),
    ] {
        let spoilt = disk.fork();
        change.make(&spoilt, path);
        let shared: Arc<dyn Disk> = Arc::new(spoilt.clone());
        let done = Store::repair_on(&shared, &options(), &owner(), None).expect("repaired");
        assert_eq!((done.done.len(), done.due.len()), (1, 0), "{change:?}");
        // The next owner does without the segment, and seals the catalogue anew.
        for _ in 0..2 {
            let (mut log, _) = open_log(&spoilt, options()).expect("an open store");
            seal(&mut log, b"notes");
            log.clean_up(1).expect("cleaned");
            log.close().expect("a clean close");
        }
        let seen = look(&spoilt, &truth, &(String::new(), 0));
        assert!(seen.lost.is_empty() && seen.wrong == 0, "{change:?}");
        assert!(seen.places.is_empty(), "{change:?}: {:?}", seen.places);
    }
}
