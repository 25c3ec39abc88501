//! Which readers a store asks for, header by header: those of format 1 until something of a lineage
//! is written, and then those of format 2 wherever such a record may stand.

use std::fs;

use turnleaf_format::catalogue::Base;
use turnleaf_format::frame::{FrameHeader, HEADER_BYTES, Position};
use turnleaf_format::journal::{FRAMES_OFFSET, HEADER_OFFSETS, JournalHeader};
use turnleaf_format::record::{Entries, payload_crc};
use turnleaf_format::segment::{SegmentHeader, TRAILER_BYTES, Trailer};
use turnleaf_format::{FORMAT_WRITTEN_BY, Format, Version};

use super::*;
use crate::recovery::Refusal;

const STORE: StoreId = StoreId([7; 16]);

/// A header and what it asks for.
struct Asks {
    path: String,
    /// Where it begins, and its bytes; the last 4 are its checksum.
    at: usize,
    len: usize,
    /// Where in the header the number stands.
    number_at: usize,
    readable_by: Format,
    is_of_catalogue: bool,
}

fn bytes_of(home: &Home, path: &str) -> Vec<u8> {
    fs::read(home.dir.path().join("store").join(path)).unwrap()
}

fn paths(home: &Home, dir: &str) -> Vec<String> {
    let found = fs::read_dir(home.dir.path().join("store").join(dir)).unwrap();
    let names = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut paths: Vec<_> = names
        .filter(|name| name.ends_with(".tlj") || name.ends_with(".tls"))
        .map(|name| format!("{dir}/{name}"))
        .collect();
    paths.sort();
    paths
}

fn of_this_build(version: Version) -> Format {
    assert_eq!(version, Version::asking_for(version.readable_by));
    version.readable_by
}

/// The headers of a journal file, then its frames. No frame asks for more than the headers.
fn of_journal(home: &Home, path: &str) -> Vec<Asks> {
    let bytes = bytes_of(home, path);
    let copies = HEADER_OFFSETS.map(|at| usize::try_from(at).unwrap());
    let headers = copies.map(|at| JournalHeader::decode(&bytes[at..]).unwrap());
    assert_eq!(headers[0], headers[1]);
    let of_file = of_this_build(headers[0].version);
    let asks = |at, len, number_at, readable_by| Asks {
        path: path.to_owned(),
        at,
        len,
        number_at,
        readable_by,
        is_of_catalogue: false,
    };
    let mut found: Vec<_> = copies.map(|at| asks(at, 512, 7, of_file)).into();
    let mut at = usize::try_from(FRAMES_OFFSET).unwrap();
    let place = |at: usize| Position {
        generation: headers[0].generation,
        offset: at as u64,
    };
    while let Some(head) = bytes.get(at..).filter(|rest| rest.len() >= HEADER_BYTES) {
        let Ok((frame, _)) = FrameHeader::decode(head, STORE, place(at)) else {
            break;
        };
        let body = &head[HEADER_BYTES..][..frame.body_len as usize];
        let kinds = Entries::new(body, frame.entry_count).map(|entry| entry.unwrap().kind);
        let needed = kinds.map(Kind::readable_by).max();
        assert_eq!(frame.readable_by, needed.unwrap_or(Format::FIRST), "{path}");
        assert!(frame.readable_by <= of_file, "{path} at {at}");
        found.push(asks(at, HEADER_BYTES, 6, frame.readable_by));
        at += usize::try_from(frame.stride()).unwrap();
    }
    found
}

/// The header of a segment and its trailer.
fn of_segment(home: &Home, path: &str) -> Vec<Asks> {
    let bytes = bytes_of(home, path);
    let header = SegmentHeader::decode(&bytes).unwrap();
    let at = bytes.len() - TRAILER_BYTES;
    let trailer = Trailer::decode(&bytes[at..], bytes.len() as u64).unwrap();
    let asks = |at, len, version| Asks {
        path: path.to_owned(),
        at,
        len,
        number_at: 7,
        readable_by: of_this_build(version),
        is_of_catalogue: path.starts_with("catalogue"),
    };
    vec![
        asks(0, 128, header.version),
        asks(at, TRAILER_BYTES, trailer.version),
    ]
}

fn of_journals(home: &Home) -> Vec<Asks> {
    let paths = paths(home, "journal");
    let found = paths.iter().flat_map(|path| of_journal(home, path));
    found.collect()
}

fn of_segments(home: &Home) -> Vec<Asks> {
    let paths = [paths(home, "segments"), paths(home, "catalogue")].concat();
    let found = paths.iter().flat_map(|path| of_segment(home, path));
    found.collect()
}

/// The path of the journal file of the highest generation, and what its header asks for.
fn newest(home: &Home) -> (String, Format) {
    let paths = paths(home, "journal").into_iter();
    let headers = paths.map(|path| {
        let header = JournalHeader::decode(&bytes_of(home, &path)).unwrap();
        (header.generation, path, header.version.readable_by)
    });
    let (_, path, readable_by) = headers.max().unwrap();
    (path, readable_by)
}

fn fork(log: &mut Log, name: &str, base: Base) -> ThreadNumber {
    let id = ThreadId::parse(name).unwrap();
    let (thread, ticket) = log.stage_fork(&id, base).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    thread
}

fn base(log: &Log, rollout: ThreadNumber, end: u64) -> Base {
    let reader = log.state().reader(rollout).unwrap();
    reader.base_at(Ordinal(end)).unwrap().unwrap()
}

/// Records of every kind of file, none of a lineage.
fn plain(log: &mut Log) -> ThreadNumber {
    let a = thread(log, "a");
    for round in 0..200_u32 {
        append(log, a, &[&vec![b'x'; 1000 + round as usize]]);
    }
    seal(log, SealGoal::Everything);
    append(log, a, &[b"a"]);
    a
}

/// [S:version-5]
#[test]
fn a_store_without_lineages_asks_for_readers_of_format_1() {
    let home = home();
    for _ in 0..3 {
        let mut log = home.open();
        if log.state().threads().count() == 0 {
            plain(&mut log);
        }
        seal(&mut log, SealGoal::Everything);
        log.close().unwrap();
        let (journals, segments) = (of_journals(&home), of_segments(&home));
        assert!(segments.iter().any(|found| found.is_of_catalogue));
        assert!(segments.iter().any(|found| !found.is_of_catalogue));
        for found in journals.iter().chain(&segments) {
            assert_eq!(found.readable_by, Format::FIRST, "{}", found.path);
        }
    }
}

/// [S:version-4] [S:version-5]
#[test]
fn the_first_fork_begins_a_journal_file_for_readers_of_format_2() {
    let home = home();
    let mut log = home.open();
    let a = plain(&mut log);
    log.close().unwrap();
    let (before, asked) = newest(&home);
    assert_eq!(asked, Format::FIRST);
    let old = [paths(&home, "segments"), paths(&home, "catalogue")].concat();
    let mut log = home.open();
    // What is committed with it, before and behind it, goes where it has room.
    let plain_one = log.stage_thread(&ThreadId::parse("b").unwrap()).unwrap();
    let base = base(&log, a, 2);
    fork(&mut log, "c", base);
    assert!(matches!(log.outcome(plain_one.1), Outcome::Durable));
    append(&mut log, a, &[b"behind it"]);
    let (path, asked) = newest(&home);
    assert_eq!(asked, Format::LINEAGES);
    assert_ne!(
        path, before,
        "the file before goes on for readers of format 1"
    );
    let found = of_journal(&home, &path);
    let frames: Vec<_> = found[2..].iter().map(|asks| asks.readable_by.0).collect();
    assert_eq!(frames, [2, 1], "only the frame with such records asks");
    assert!(
        of_journal(&home, &before)
            .iter()
            .all(|asks| asks.readable_by == Format::FIRST)
    );
    seal(&mut log, SealGoal::Everything);
    log.close().unwrap();
    let new = of_segments(&home).into_iter();
    let new: Vec<_> = new.filter(|found| !old.contains(&found.path)).collect();
    assert!(new.iter().any(|found| found.is_of_catalogue));
    assert!(new.iter().any(|found| !found.is_of_catalogue));
    for found in new {
        let expected = if found.is_of_catalogue { 2 } else { 1 };
        assert_eq!(found.readable_by.0, expected, "{}", found.path);
    }
    // From a checkpoint as from the records.
    for _ in 0..2 {
        let mut log = home.open();
        append(&mut log, a, &[&[b'y'; 40_000]]);
        append(&mut log, a, &[&[b'y'; 40_000]]);
        drop(log);
        assert_eq!(newest(&home).1, Format::LINEAGES);
        let _ = fs::remove_file(home.dir.path().join("store/catalogue/checkpoint"));
    }
}

/// Makes each header that asks for format 2 ask for the one after this build's: what this build is
/// to that store, a reader of format 1 is to the store as it was.
fn ask_for_more(home: &Home) {
    for found in of_journals(home).into_iter().chain(of_segments(home)) {
        if found.readable_by == Format::FIRST {
            continue;
        }
        let mut bytes = bytes_of(home, &found.path);
        let header = &mut bytes[found.at..found.at + found.len];
        header[found.number_at] = FORMAT_WRITTEN_BY.0 + 1;
        let seed: &[u8] = if found.number_at == 6 { &STORE.0 } else { &[] };
        let check = payload_crc(&[seed, &header[..found.len - 4]].concat());
        header[found.len - 4..].copy_from_slice(&check.to_le_bytes());
        fs::write(home.dir.path().join("store").join(&found.path), bytes).unwrap();
    }
}

fn is_newer<T>(opened: Result<T, OpenError>) -> bool {
    matches!(opened, Err(OpenError::Refused(Refusal::Newer { .. })))
}

/// [S:version-2]
#[test]
fn a_reader_of_format_1_refuses_lineages_as_newer() {
    for (sealed, closed) in [(false, false), (false, true), (true, true)] {
        let home = home();
        let mut log = home.open();
        let a = plain(&mut log);
        let base = base(&log, a, 2);
        let b = fork(&mut log, "b", base);
        append(&mut log, b, &[b"b"]);
        if sealed {
            seal(&mut log, SealGoal::Everything);
        }
        if closed {
            log.close().unwrap();
        } else {
            drop(log);
        }
        ask_for_more(&home);
        let all = || {
            let dirs = ["journal", "segments", "catalogue"].map(|dir| paths(&home, dir));
            let paths = dirs.concat().into_iter();
            paths
                .map(|path| (bytes_of(&home, &path), path))
                .collect::<Vec<_>>()
        };
        let before = all();
        assert!(is_newer(Snapshot::open(&home.disk(), &home.options)));
        let opened = Log::open(home.disk(), home.options.clone(), &owner(), STORE);
        assert!(is_newer(opened));
        assert!(
            before == all(),
            "who does not understand a store writes nothing"
        );
        if sealed {
            // The journal alone is gone: what is left of the catalogue asks, too.
            for path in paths(&home, "journal") {
                fs::remove_file(home.dir.path().join("store").join(path)).unwrap();
            }
            assert!(is_newer(Snapshot::open(&home.disk(), &home.options)));
        }
    }
}
