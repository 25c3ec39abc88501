//! Bytes that rot: every byte of every file of a small store is changed, every length cut off, every
//! sector zeroed. What is read is right or is said to be damaged, at the right place.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use turnleaf_engine::disk::{Access, Disk, DiskFile, EntryKind};
use turnleaf_engine::{
    Damage, Log, NewRecord, Options, Owner, ReadError, Record, SealGoal, Snapshot, State,
    TailVerdict,
};
use turnleaf_format::frame::{self, FrameHeader, Position};
use turnleaf_format::journal::{self, JournalHeader};
use turnleaf_format::record::{Flags, Kind};
use turnleaf_format::{Ordinal, StoreId, ThreadId};
use turnleaf_tests::crash_rig::scale;
use turnleaf_tests::rng::Rng;
use turnleaf_tests::sim_disk::SimDisk;

const SECTOR: usize = 512;

fn options() -> Options {
    Options {
        journal_first_bytes: 32 << 10,
        journal_file_bytes: 32 << 10,
        seal_bytes_min: 4 << 10,
        segment_boundary_bytes: 8 << 10,
        segment_bytes_max: 16 << 10,
        reserve_bytes: 0,
        ..Options::default()
    }
}

type Truth = BTreeMap<String, Vec<Vec<u8>>>;

/// A store with segments, a pack, a catalogue segment, and records that only the journal holds.
fn build() -> (SimDisk, Truth) {
    let disk = SimDisk::new();
    let owner = Owner {
        pid: 1,
        host: "sim".into(),
        since_ms: 1,
    };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (mut log, _) =
        Log::open(Arc::clone(&shared), options(), &owner, StoreId([9; 16])).expect("a store");
    let mut rng = Rng::new(7);
    let mut truth = Truth::new();
    for (name, records) in [("a", 60), ("b", 6), ("c", 9)] {
        let id = ThreadId::parse(name).expect("an id");
        let (thread, _) = log.stage_thread(&id).expect("a new thread");
        log.commit_all();
        for number in 0..records {
            let bytes: Vec<u8> = (0..rng.below(400))
                .map(|_| u8::try_from(32 + rng.below(64)).unwrap_or(0))
                .chain(format!("{name}{number}").into_bytes())
                .collect();
            let record = NewRecord {
                kind: Kind::LINE,
                flags: Flags::NONE,
                timestamp_ms: 1,
                bytes: &bytes,
            };
            log.stage(thread, None, &[record]).expect("room");
            log.commit_all();
            truth.entry(name.to_owned()).or_default().push(bytes);
            if (name, number) == ("a", 40) || (name, number) == ("c", 5) {
                seal(&mut log);
            }
        }
    }
    log.close().expect("a clean close");
    // Opening it once more removes what is replaced.
    let (log, _) = Log::open(shared, options(), &owner, StoreId([9; 16])).expect("a store");
    log.close().expect("a clean close");
    (disk, truth)
}

fn seal(log: &mut Log) {
    while let Some(plan) = log.plan_seal(SealGoal::Everything) {
        let done = plan.run(&|_, _, _| b"notes".to_vec());
        log.finish_seal(done).expect("sealed");
        log.commit_all();
        log.clean_up(1).expect("cleaned");
    }
}

/// What a look at a changed store came to.
#[derive(Debug, Default)]
struct Seen {
    /// Why it was not opened at all.
    refused: Option<String>,
    damage: Vec<Damage>,
    remarks: Vec<String>,
    lost: usize,
    wrong: usize,
}

fn look(disk: &SimDisk, truth: &Truth) -> Seen {
    let mut seen = Seen::default();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let snapshot = match Snapshot::open(&shared, &options()) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            seen.refused = Some(error.to_string());
            return seen;
        }
    };
    seen.damage.clone_from(&snapshot.report().damage);
    let remarks = snapshot.report().remarks.iter();
    seen.remarks = remarks.map(ToString::to_string).collect();
    if snapshot.report().tail != TailVerdict::Clean {
        // Rot in the last group, with no frame behind it, looks like a write that did not finish.
        seen.remarks.push("journal/ has a torn tail".to_owned());
    }
    let state = snapshot.state();
    let mut known = 0;
    for (number, fact) in state.threads() {
        let Some(expect) = truth.get(&fact.id.to_string()) else {
            seen.wrong += 1;
            continue;
        };
        known += 1;
        let reader = state.reader(number).expect("a known thread has a view");
        let mut found = vec![false; expect.len()];
        let mut from = Ordinal(0);
        while from < reader.end() {
            let read = reader.records(from, reader.end(), &mut |record: &Record<'_>| {
                let at = usize::try_from(record.ordinal.0).unwrap_or(usize::MAX);
                match expect.get(at) {
                    Some(right) if record.bytes() == Some(right) => found[at] = true,
                    _ => seen.wrong += 1,
                }
                ControlFlow::Continue(())
            });
            match read {
                Ok(()) => break,
                Err(ReadError::Damaged(damage)) => {
                    let behind = damage.ordinals.map_or(reader.end(), |(_, end)| end);
                    from = behind.max(from.plus(1));
                    seen.damage.push(*damage);
                }
                Err(error) => {
                    seen.refused = Some(error.to_string());
                    break;
                }
            }
        }
        seen.lost += found.iter().filter(|found| !**found).count();
        verify(state, number, &mut seen);
    }
    // A thread that the catalogue lost is lost with all its records.
    if known < truth.len() {
        let whole: usize = truth.values().map(Vec::len).sum();
        seen.lost = seen.lost.max(whole / truth.len());
    }
    for info in state.segments() {
        let mut damage = Vec::new();
        let read = state.verify_segment(info.segment, &mut |found| damage.push(found.clone()));
        if let Err(error) = read {
            seen.refused = Some(error.to_string());
        }
        seen.damage.extend(damage);
    }
    let read = state.verify_catalogue(&mut |found| seen.damage.push(found.clone()));
    if let Err(error) = read {
        seen.refused = Some(error.to_string());
    }
    seen
}

fn verify(state: &State, number: turnleaf_format::ThreadNumber, seen: &mut Seen) {
    let mut damage = Vec::new();
    if let Err(error) = state.verify_thread(number, &mut |found| damage.push(found.clone())) {
        seen.refused = Some(error.to_string());
    }
    seen.damage.extend(damage);
}

/// A row of the table.
#[derive(Debug, Default)]
struct Row {
    changes: usize,
    located: usize,
    lost_most: usize,
    /// First bytes of changes that nothing showed.
    missed: Vec<usize>,
}

impl Row {
    fn take(&mut self, path: &str, at: Range<usize>, seen: &Seen) {
        assert_eq!(
            seen.wrong, 0,
            "{path}, bytes {at:?}: wrong records were read"
        );
        assert_eq!(seen.refused, None, "{path}, bytes {at:?}: nothing was read");
        self.changes += 1;
        self.lost_most = self.lost_most.max(seen.lost);
        if seen.damage.is_empty() && seen.remarks.is_empty() {
            self.missed.push(at.start);
            return;
        }
        let (start, end) = (at.start as u64, at.end as u64);
        let here = |damage: &Damage| {
            let behind = damage.offset + damage.length;
            damage.file == path && (damage.length == 0 || damage.offset < end && start < behind)
        };
        let named = seen.remarks.iter().any(|remark| remark.contains(path));
        self.located += usize::from(named || seen.damage.iter().any(here));
    }

    fn print(&self, path: &str, change: &str) {
        let (changes, located, lost) = (self.changes, self.located, self.lost_most);
        let found = changes - self.missed.len();
        println!("| {path} | {change} | {changes} | {found} | {located} | {lost} |");
    }
}

/// The parts of a file that mean something: all of a segment; of a journal file both copies of the
/// header and the frames of its generation.
fn meaning(bytes: &[u8], is_journal: bool) -> Vec<Range<usize>> {
    if !is_journal {
        return std::iter::once(0..bytes.len()).collect();
    }
    let header = JournalHeader::decode(&bytes[..journal::HEADER_BYTES]).expect("a header");
    let first = usize::try_from(journal::FRAMES_OFFSET).expect("small");
    let mut end = first;
    let place = |offset: usize| Position {
        generation: header.generation,
        offset: offset as u64,
    };
    while let Ok((frame, _)) = FrameHeader::decode(&bytes[end..], header.store, place(end)) {
        end += usize::try_from(frame.stride()).expect("small");
    }
    let copies = [0, first / 2].map(|at| at..at + journal::HEADER_BYTES);
    copies
        .into_iter()
        .chain(std::iter::once(first..end))
        .collect()
}

fn files(disk: &SimDisk) -> Vec<String> {
    let mut files = Vec::new();
    for dir in ["segments", "catalogue", "journal"] {
        for entry in disk.list(dir).expect("a directory") {
            if entry.kind == EntryKind::File {
                files.push(format!("{dir}/{}", entry.name));
            }
        }
    }
    files
}

#[test]
fn every_changed_byte_is_found_and_no_wrong_byte_is_read() {
    let (disk, truth) = build();
    let whole = look(&disk, &truth);
    assert_eq!((whole.lost, whole.wrong, whole.damage.len()), (0, 0, 0));
    assert_eq!((whole.refused, whole.remarks.len()), (None, 0));
    let bits = if scale() > 1 { 0..8_u64 } else { 0..1 };
    println!("| file | change | changes | detected | located | most records lost |");
    println!("|---|---|---|---|---|---|");
    let newest = files(&disk).pop().expect("a journal file");
    for path in files(&disk) {
        let bytes = disk.bytes(&path).expect("a file");
        let meaning = meaning(&bytes, path.starts_with("journal/"));
        let used = meaning.last().map_or(0, |part| part.end);
        let mut flips = Row::default();
        for at in meaning.iter().cloned().flatten() {
            for bit in bits.clone() {
                let changed = disk.fork();
                let bit = (bit + at as u64) % 8;
                changed.flip(&path, at as u64, u8::try_from(bit).unwrap_or(0));
                flips.take(&path, at..at + 1, &look(&changed, &truth));
            }
        }
        flips.print(&path, "one bit");
        // Without magic and place, the last frame of the newest file is not known to be one.
        let last_header = |at: &usize| path == newest && at + frame::HEADER_BYTES >= used;
        assert!(
            flips.missed.iter().all(last_header),
            "{path}: {:?}",
            flips.missed
        );
        let mut cuts = Row::default();
        for len in (0..used).step_by(37) {
            let changed = disk.fork();
            file(&changed, &path).set_len(len as u64).expect("memory");
            cuts.take(&path, len..used, &look(&changed, &truth));
        }
        cuts.print(&path, "cut off");
        // A newest journal file without one frame header is one that was being created.
        let known = if path == newest {
            journal::FRAMES_OFFSET + frame::HEADER_BYTES as u64
        } else {
            0
        };
        assert!(
            cuts.missed.iter().all(|at| (*at as u64) < known),
            "{path}: {:?}",
            cuts.missed
        );
        let mut sectors = Row::default();
        for at in (0..used).step_by(SECTOR) {
            let end = bytes.len().min(at + SECTOR);
            if bytes[at..end].iter().all(|byte| *byte == 0) {
                continue;
            }
            let changed = disk.fork();
            let zeros = vec![0; end - at];
            file(&changed, &path)
                .write_at(at as u64, &zeros)
                .expect("memory");
            sectors.take(&path, at..end, &look(&changed, &truth));
        }
        sectors.print(&path, "a sector zeroed");
        // Without its last group the newest journal file ends before.
        let last = |at: &usize| path == newest && at + SECTOR >= used;
        assert!(
            sectors.missed.iter().all(last),
            "{path}: {:?}",
            sectors.missed
        );
    }
}

fn file(disk: &SimDisk, path: &str) -> Arc<dyn DiskFile> {
    disk.open(path, Access::ReadWrite).expect("a file")
}
