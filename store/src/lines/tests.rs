//! Lines that lie in several records: what they are told to be, and what is read of them.

use std::path::Path;

use turnleaf_engine::NewRecord;
use turnleaf_projector::payload::decode_part;

use super::*;
use crate::Store;

const COMPACTION: &str = r#"{"timestamp":"2026-01-01T00:00:00.000Z","type":"compacted","payload":{"message":"","replacement_history":[],"window_number":1}}"#;

/// Adds a record as an import would.
fn add(store: &Store, flags: Flags, bytes: &[u8]) {
    let (number, _) = store.source.find("a").unwrap();
    let record = NewRecord {
        kind: Kind::LINE,
        flags,
        timestamp_ms: 1,
        bytes,
    };
    let committer = store.source.owner().unwrap();
    let mut log = committer.lock();
    let ticket = log.stage(number, None, &[record]).unwrap().ticket;
    committer.settle(log, ticket).unwrap();
}

/// Adds a line in pieces; the last one ends it unless it is `open`.
fn add_line(store: &Store, pieces: &[&[u8]], open: bool) {
    for (at, piece) in pieces.iter().enumerate() {
        let is_last = at + 1 == pieces.len();
        let mut flags = Flags::NONE;
        if open || !is_last {
            flags = flags.with(Flags::NO_LINE_FEED);
        }
        if at > 0 {
            flags = flags.with(Flags::CONTINUES);
        }
        add(store, flags, piece);
    }
}

fn store(dir: &Path) -> Store {
    let store = Store::open(dir).unwrap();
    store.create_thread("a").unwrap();
    store
}

fn reader(store: &Store) -> Reader {
    store.source.find("a").unwrap().1
}

/// What is told of a line that is too large to be held is what is told of one that is held.
#[test]
fn a_line_that_is_read_in_pieces_is_what_it_is_as_a_whole() {
    let all = COMPACTION.as_bytes();
    let (start, rest) = all.split_at(30);
    let (middle, end) = rest.split_at(40);
    let long = vec![b'x'; 2_500_000];
    let blank = vec![b' '; 2_500_000];
    let cases: [&[&[u8]]; 16] = [
        &[all],
        &[start],
        &[b""],
        &[b" \t"],
        &[all, b""],
        &[all, b" \t"],
        &[all, b"x"],
        &[all, b" {}"],
        &[all, &blank],
        &[all, &long],
        &[all, b" ", b"x"],
        &[all, b"x", b" "],
        &[start, rest],
        &[start, middle, end],
        &[start, b"x"],
        &[b" ", all],
    ];
    for (number, pieces) in cases.into_iter().enumerate() {
        for open in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let store = store(dir.path());
            add_line(&store, pieces, open);
            let joined = pieces.concat();
            let part = Part {
                unterminated: open,
                head_bytes: joined.len() - pieces[pieces.len() - 1].len(),
            };
            let last = Ordinal(pieces.len() as u64 - 1);
            let line = large_line(&reader(&store), Ordinal(0), last, open).unwrap();
            let (line, held) = (line.effect, decode_part(&joined, part).effect);
            let (line, held) = (format!("{line:?}"), format!("{held:?}"));
            assert_eq!(line, held, "case {number}, open: {open}");
        }
    }
}

/// The last record of the thread: what it is told to be, and its line.
fn last_line(store: &Store) -> (String, Vec<u8>) {
    let reader = reader(store);
    let at = Ordinal(reader.end().0 - 1);
    let record = reader.get(&[at]).unwrap().remove(0);
    let effect = decoded(&reader, &record, |decoded| format!("{:?}", decoded.effect));
    (effect.unwrap(), whole_line(&reader, record).unwrap())
}

/// A line is held as long as all its records together are small enough, however they share it.
#[test]
fn a_line_of_two_long_records_is_held() {
    let payload = format!(
        r#"{{"type":"user_message","message":"{}","images":[]}}"#,
        "x".repeat(3_000_000)
    );
    let line =
        format!(r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{payload}}}"#);
    for cut in [10, 1_000_000, 2_000_000, line.len() - 10] {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let (head, rest) = line.as_bytes().split_at(cut);
        add_line(&store, &[head, rest], false);
        let (effect, whole) = last_line(&store);
        let part = Part {
            unterminated: false,
            head_bytes: cut,
        };
        let held = decode_part(line.as_bytes(), part).effect;
        assert!(effect == format!("{held:?}"), "cut at {cut}");
        assert!(whole == line.as_bytes(), "cut at {cut}");
    }
}

/// A name that was given between two parts of a line is no part of it.
#[test]
fn a_line_begins_where_its_first_part_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    store.append("a", None, &[b"one"]).unwrap();
    add(&store, Flags::NO_LINE_FEED, b"{");
    store.set_name("a", "a name").unwrap();
    add(&store, Flags::CONTINUES, b"}");
    assert_eq!(line_start(&reader(&store), Ordinal(3)).unwrap(), Ordinal(1));
    assert_eq!(last_line(&store).1, b"{}");
}
