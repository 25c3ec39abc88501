//! Any bytes as a segment file or as a journal file of a store: what the engine reads is what a
//! naive reader finds there, a file that the naive reader calls right is read whole, and one that
//! the engine calls right is right.
//!
//! Input: flags, then the segment file; or the journal's header (both copies), then its frames.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use turnleaf_engine::disk::Disk;
use turnleaf_engine::{Options, Snapshot, State, TailVerdict};
use turnleaf_format::catalogue::{CatalogueRecord, Run};
use turnleaf_format::frame::{FrameHeader, Position, body_crc};
use turnleaf_format::journal::{Begun, JournalHeader};
use turnleaf_format::record::{Chunk, Entry, Flags};
use turnleaf_format::segment::Class;
use turnleaf_format::{
    Format, Generation, JournalChain, Ordinal, SegmentId, StoreId, ThreadChain, ThreadId,
    ThreadNumber, Version,
};

use super::naive::Piece;
use super::segment_naive::{self, Candidates, Identity};
use super::{Bytes, journal_naive, repaired};
use crate::around::go_around;
use crate::sim_disk::SimDisk;
use crate::stores::open_log;

/// Of the flags: a journal file, else a segment file.
pub(super) const JOURNAL: u8 = 1;
/// Of the flags: checksums are made right first.
pub(super) const REPAIRED: u8 = 2;
/// Of the flags: the second copy of the journal's header follows the first.
pub(super) const TWO_COPIES: u8 = 4;
/// Of the flags: what a segment lacks of its tables is looked for in its blocks.
pub(super) const NO_TABLES: u8 = 8;

/// Bytes of a journal file that are looked at.
const FILE_BYTES_MAX: usize = 256 << 10;
const HEADER: usize = 512;
const PATH: &str = "journal/00000000.tlj";

/// Runs the target.
///
/// # Panics
/// When a law is broken.
pub fn run(input: &[u8]) {
    let mut input = Bytes(input);
    let flags = input.byte();
    let bytes = input.rest();
    let bytes = &bytes[..bytes.len().min(FILE_BYTES_MAX)];
    if flags & JOURNAL == 0 {
        segment(flags, bytes.to_vec());
    } else {
        journal(flags, bytes);
    }
}

fn options() -> Options {
    Options {
        journal_first_bytes: 16 << 10,
        journal_file_bytes: 32 << 10,
        reserve_bytes: 0,
        ..Options::default()
    }
}

/// What the engine makes of a store.
#[derive(Debug, Default, PartialEq)]
struct Look {
    refused: bool,
    /// Damage, remarks, a torn tail, holes: as texts.
    odd: Vec<String>,
    /// By thread, in order: ordinal and piece.
    pieces: BTreeMap<u64, Vec<(u64, Piece)>>,
}

fn look(disk: &SimDisk) -> Look {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let before = disk.digest();
    let look = match Snapshot::open(&shared, &options()) {
        Err(_) => Look {
            refused: true,
            ..Look::default()
        },
        Ok(snapshot) => {
            let report = snapshot.report();
            let mut look = look_at(snapshot.state());
            let damage = report.damage.iter().map(ToString::to_string);
            look.odd.extend(damage);
            look.odd
                .extend(report.remarks.iter().map(ToString::to_string));
            if report.tail != TailVerdict::Clean {
                look.odd.push("a torn tail".into());
            }
            look
        }
    };
    assert_eq!(before, disk.digest(), "reading wrote");
    look
}

fn look_at(state: &State) -> Look {
    let mut look = Look::default();
    for (number, _) in state.threads() {
        let pieces = read(state, number, &mut look.odd);
        let whole = look.odd.is_empty();
        let mut odd = Vec::new();
        let verified = state.verify_thread(number, &mut |damage| odd.push(damage.to_string()));
        odd.extend(verified.err().map(|error| error.to_string()));
        if whole && odd.is_empty() {
            read_again(state, number, &pieces);
        }
        look.odd.append(&mut odd);
        look.pieces.insert(number.0, pieces);
    }
    let mut odd = Vec::new();
    let mut note = |damage: &turnleaf_engine::Damage| odd.push(damage.to_string());
    for info in state.segments() {
        if state.verify_segment(info.segment, &mut note).is_err() {
            note_error(&mut look.odd);
        }
    }
    if state.verify_catalogue(&mut note).is_err() {
        note_error(&mut look.odd);
    }
    look.odd.append(&mut odd);
    look
}

fn note_error(odd: &mut Vec<String>) {
    odd.push("a verification failed".into());
}

/// All pieces that can be read, damage passed over.
fn read(state: &State, number: ThreadNumber, odd: &mut Vec<String>) -> Vec<(u64, Piece)> {
    let reader = state.reader(number).expect("a known thread has a view");
    odd.extend(reader.holes().iter().map(|hole| format!("{hole:?}")));
    let mut pieces = Vec::new();
    let met = go_around(reader.end(), &mut |from, passed| {
        reader.entries(from, reader.end(), &mut |ordinal, entry| {
            pieces.push((ordinal.0, piece(entry)));
            if entry.completes() {
                *passed = ordinal.plus(1);
            }
            ControlFlow::Continue(())
        })
    });
    odd.extend(met.iter().map(ToString::to_string));
    pieces
}

/// The other ways to read a thread without damage come to the same.
fn read_again(state: &State, number: ThreadNumber, pieces: &[(u64, Piece)]) {
    let reader = state.reader(number).expect("a known thread has a view");
    let mut back = Vec::new();
    let read = reader.records_back(reader.end(), &mut |record| {
        back.push((record.ordinal, record.bytes().map(<[u8]>::to_vec)));
        ControlFlow::Continue(())
    });
    read.expect("what was read forward");
    back.reverse();
    let mut whole: BTreeMap<Ordinal, Vec<u8>> = BTreeMap::new();
    for (ordinal, piece) in pieces {
        let record = whole.entry(Ordinal(*ordinal)).or_default();
        record.extend_from_slice(&piece.bytes);
    }
    let count = back.len();
    let same = |(ordinal, bytes): &(Ordinal, Option<Vec<u8>>)| {
        bytes.is_none() || whole.get(ordinal) == bytes.as_ref()
    };
    assert!(back.iter().all(same), "a record reads another way backward");
    assert_eq!(count, whole.len(), "records backward");
    let wanted: Vec<Ordinal> = whole.keys().copied().step_by(3).collect();
    let got = reader.get(&wanted).expect("what was read forward");
    for record in got {
        let bytes = record.bytes();
        let same = bytes.is_none() || bytes == whole.get(&record.ordinal).map(Vec::as_slice);
        assert!(same, "record {} reads another way alone", record.ordinal);
    }
}

fn piece(entry: &Entry<'_>) -> Piece {
    let whole = match entry.chunk {
        None => Some(entry.crc),
        Some(Chunk { last, .. }) => last,
    };
    Piece {
        kind: entry.kind.0,
        flags: entry.flags.bits(),
        at_ms: entry.timestamp_ms,
        offset: entry.chunk.map_or(0, |chunk| chunk.offset),
        whole,
        bytes: entry.bytes.to_vec(),
    }
}

/// Nothing is read that no block or frame of the file holds.
fn check_sound(look: &Look, candidates: &Candidates) {
    for (thread, pieces) in &look.pieces {
        for (ordinal, piece) in pieces {
            let there = candidates.get(&(*thread, *ordinal, piece.offset));
            let known = there.is_some_and(|there| there.contains(piece));
            assert!(known, "thread {thread}: record {ordinal} is invented");
        }
    }
}

fn store_of(files: &[(&str, &[u8])]) -> SimDisk {
    let disk = SimDisk::new();
    for dir in ["", "journal", "segments", "catalogue", "quarantine"] {
        disk.create_dir(dir).expect("memory");
    }
    for (path, bytes) in files {
        let file = disk.create(path).expect("memory");
        file.write_at(0, bytes).expect("memory");
    }
    disk
}

fn segment(flags: u8, mut file: Vec<u8>) {
    if flags & REPAIRED != 0 {
        repaired::segment(&mut file);
    }
    let Some(id) = segment_naive::identity(&file) else {
        return;
    };
    let whole = segment_naive::whole(&file, &id);
    let (runs, stated) = published(&file, &id);
    if flags & NO_TABLES != 0 {
        // Digest and tables are gone; every block still proves itself.
        let end = file.len();
        file[end.saturating_sub(96)..].fill(0);
    }
    let candidates = segment_naive::candidates(&file, &id);
    let journal = journal_of(StoreId(id.store), facts(&file, &id, &runs));
    let dir = if id.class == 2 {
        "catalogue"
    } else {
        "segments"
    };
    let path = format!("{dir}/{:016x}.tls", id.segment);
    let disk = store_of(&[(PATH, &journal), (&path, &file)]);
    let look = look(&disk);
    if id.class == 2 {
        return;
    }
    check_sound(&look, &candidates);
    let from_begin = runs
        .iter()
        .all(|run| (run.first_ordinal.0, run.chain_before.0) == (0, 0));
    let no_tables = flags & NO_TABLES != 0;
    match whole {
        Some(expect) if stated && from_begin => {
            assert!(!look.refused, "a right segment is refused");
            let odd = &look.odd;
            assert!(no_tables || odd.is_empty(), "a right segment: {odd:?}");
            let mut pieces: BTreeMap<u64, Vec<(u64, Piece)>> = BTreeMap::new();
            for (thread, ordinal, piece) in expect {
                pieces.entry(thread).or_default().push((ordinal, piece));
            }
            assert!(look.pieces == pieces, "a right segment is not read whole");
        }
        None if stated && !look.refused => {
            assert!(!look.odd.is_empty(), "a bad segment is called right");
        }
        _ => {}
    }
}

/// The runs that the catalogue names: those of the footer, or, where there is none, one that the
/// blocks may fill.
fn published(file: &[u8], id: &Identity) -> (Vec<Run>, bool) {
    let stated = segment_naive::runs(file, id).filter(|runs| {
        let possible = |run: &segment_naive::Run| run.thread > 0 && run.first < run.end;
        (1..=64).contains(&runs.len()) && runs.iter().all(possible)
    });
    let is_stated = stated.is_some();
    let fallback = Run {
        thread: ThreadNumber(3),
        first_ordinal: Ordinal(0),
        ordinal_end: Ordinal(8),
        chain_before: ThreadChain::START,
        chain_after: ThreadChain(1),
        payload_bytes: 1,
    };
    let row = |run: &segment_naive::Run| Run {
        thread: ThreadNumber(run.thread),
        first_ordinal: Ordinal(run.first),
        ordinal_end: Ordinal(run.end),
        chain_before: ThreadChain(run.chain_before),
        chain_after: ThreadChain(run.chain_after),
        payload_bytes: run.payload_bytes,
    };
    let runs = stated.map(|runs| runs.iter().map(row).collect());
    (runs.unwrap_or_else(|| vec![fallback]), is_stated)
}

fn facts(file: &[u8], id: &Identity, runs: &[Run]) -> Vec<CatalogueRecord> {
    let store = StoreId(id.store);
    let mut facts = vec![
        CatalogueRecord::StoreCreated { store, at_ms: 1 },
        CatalogueRecord::Epoch {
            epoch: 1,
            at_ms: 1,
            pid: 1,
            host: "sim".into(),
        },
    ];
    if id.class == 2 {
        return facts;
    }
    for run in runs {
        let thread = run.thread;
        facts.push(CatalogueRecord::ThreadCreated {
            thread,
            id: ThreadId::parse(&format!("t{}", thread.0)).expect("an id"),
            at_ms: 1,
        });
    }
    let digest = file
        .len()
        .checked_sub(40)
        .and_then(|at| file[at..].first_chunk::<32>());
    facts.push(CatalogueRecord::SegmentPublished {
        segment: SegmentId(id.segment),
        class: if id.class == 1 {
            Class::Pack
        } else {
            Class::Run
        },
        file_bytes: file.len() as u64,
        digest: digest.copied().unwrap_or_default(),
        runs: runs.to_vec(),
    });
    facts
}

/// A journal file that holds these facts and a marker.
pub(super) fn journal_of(store: StoreId, facts: Vec<CatalogueRecord>) -> Vec<u8> {
    let mut body = Vec::new();
    let asked = facts.iter().map(|fact| fact.kind().readable_by());
    let readable_by = asked.max().unwrap_or(Format::FIRST);
    for fact in &facts {
        let payload = fact.encode();
        Entry::inline(fact.kind(), Flags::NONE, 1, &payload).encode(&mut body);
    }
    let place = |offset| Position {
        generation: Generation(1),
        offset,
    };
    let chain = JournalChain::start(store, Generation(1));
    let frame = FrameHeader {
        readable_by,
        place: place(8192),
        thread: ThreadNumber::CATALOGUE,
        first_ordinal: Ordinal(0),
        entry_count: u32::try_from(facts.len()).expect("few"),
        body_len: u32::try_from(body.len()).expect("small"),
        durable_upto: place(8192),
        epoch: 1,
        journal_chain: chain,
        thread_chain: ThreadChain::START,
        body_crc: body_crc(&body),
    };
    let (head, check) = frame.encode(store);
    let behind = place(8192 + frame.stride());
    let marker = FrameHeader {
        readable_by: Format::FIRST,
        place: behind,
        entry_count: 0,
        body_len: 0,
        durable_upto: behind,
        journal_chain: chain.after(check, frame.body_crc),
        body_crc: 0,
        ..frame
    };
    let capacity = (behind.offset + 96).next_multiple_of(4096);
    let header = JournalHeader {
        version: Version::asking_for(readable_by),
        store,
        generation: Generation(1),
        capacity,
        epoch: 1,
        oldest_live: Generation(1),
        previous_end: Position::default(),
        previous_chain: JournalChain(0),
        begun: Begun::First,
        catalogue_sealed_end: Ordinal(0),
        catalogue_chain: ThreadChain::START,
        created_ms: 1,
    };
    let mut file = vec![0; usize::try_from(capacity).expect("small")];
    let mut put = |offset: u64, bytes: &[u8]| {
        let at = usize::try_from(offset).expect("small");
        file[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(0, &header.encode());
    put(4096, &header.encode());
    put(8192, &head);
    put(8192 + 96, &body);
    put(behind.offset, &marker.encode(store).0);
    file
}

/// The file that an input stands for: the header in both places, the frames, zeros to the capacity.
fn journal_file(flags: u8, bytes: &[u8]) -> Vec<u8> {
    let (first, rest) = bytes.split_at(bytes.len().min(HEADER));
    let (second, frames) = if flags & TWO_COPIES == 0 {
        (first, rest)
    } else {
        rest.split_at(rest.len().min(HEADER))
    };
    let mut file = vec![0; journal_naive::FRAMES];
    file[..first.len()].copy_from_slice(first);
    file[4096..4096 + second.len()].copy_from_slice(second);
    file.extend_from_slice(frames);
    let capacity = super::naive::u64_at(first, 32).and_then(|len| usize::try_from(len).ok());
    let capacity = capacity.filter(|len| (file.len()..=FILE_BYTES_MAX).contains(len));
    file.resize(capacity.unwrap_or(file.len()), 0);
    file
}

fn journal(flags: u8, bytes: &[u8]) {
    let mut file = journal_file(flags, bytes);
    if flags & REPAIRED != 0 {
        repaired::journal(&mut file);
    }
    let disk = store_of(&[(PATH, &file)]);
    let before = look(&disk);
    if let Some((generation, store)) = journal_naive::generation(&file) {
        check_sound(
            &before,
            &journal_naive::candidates(&file, store, generation),
        );
        if !before.refused && before.odd.iter().all(|odd| odd == "a torn tail") {
            check_journal(&before, &file, store, generation);
        }
    } else {
        let read: usize = before.pieces.values().map(Vec::len).sum();
        assert_eq!(read, 0, "records without a header");
    }
    if before.odd.is_empty() {
        check_owners(&disk, &before);
    } else {
        drop(open_log(&disk, options()));
    }
}

/// What the engine calls right, apart from a torn end, the naive reader reads the same.
fn check_journal(look: &Look, file: &[u8], store: [u8; 16], generation: u64) {
    let naive = journal_naive::read(file, store, generation);
    let naive = naive.expect("the engine calls frames right that contradict each other");
    for (thread, pieces) in &look.pieces {
        let expect = naive.threads.get(thread).map_or(&[][..], Vec::as_slice);
        assert!(expect == pieces, "thread {thread} is read another way");
    }
    let records = |thread: &u64| naive.threads.get(thread).map_or(0, Vec::len);
    let unknown = |thread: &&u64| **thread > 0 && !look.pieces.contains_key(thread);
    let lost: usize = naive.threads.keys().filter(unknown).map(records).sum();
    // Deleted threads are hidden.
    let deletes = |(_, piece): &(u64, Piece)| (134..=135).contains(&piece.kind);
    let hides = naive
        .threads
        .get(&0)
        .is_some_and(|pieces| pieces.iter().any(deletes));
    assert!(lost == 0 || hides, "{lost} pieces are not shown");
    assert!(
        !naive.odd || hides,
        "the engine did not see what is odd between frames"
    );
}

/// An owner finds what a reader found, and so does the next one.
fn check_owners(disk: &SimDisk, before: &Look) {
    for round in 0..2 {
        match open_log(disk, options()) {
            Ok((log, _)) => {
                let found = look_at(log.state());
                assert!(found.pieces == before.pieces, "owner {round} finds others");
                if round == 0 {
                    drop(log);
                } else {
                    log.close().expect("memory");
                }
            }
            Err(error) => assert!(before.refused, "owner {round}: {error}"),
        }
    }
}
