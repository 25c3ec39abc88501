//! Any bytes as what `append` reads, in any pieces and batches: what is acknowledged is what a
//! naive cut into lines says, and the export is exactly that.
//!
//! Input: lines of a batch, sizes of the pieces, flags, the stream.

use std::io::{self, BufReader, Read};

use serde_json::Value;
use turnleaf::{AppendStream, Options, Store, StreamError};

use super::{Bytes, assert_same};
use crate::rng::Rng;
use crate::sim_disk::SimDisk;
use crate::stores::open_store;

const THREAD: &str = "fuzz";

/// Of the flags: the thread is created by the stream.
pub(super) const CREATE: u8 = 1;
/// Of the flags: reading fails where the stream would end.
const BROKEN: u8 = 2;
/// Of the flags: a byte 1 stands for many bytes.
const LONG: u8 = 4;
/// Of the flags: the thread is not there.
const NO_THREAD: u8 = 8;
/// Of the flags: the second acknowledgement cannot be told.
const DEAF: u8 = 16;

const LONG_BYTES: usize = 70_000;
const LONG_COUNT: usize = 40;

/// A stream that comes in pieces.
struct Pieces<'a> {
    rest: &'a [u8],
    rng: Rng,
    largest: u64,
    broken: bool,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() && self.broken {
            return Err(io::Error::other("the pipe broke"));
        }
        let piece = usize::try_from(1 + self.rng.below(self.largest)).unwrap_or(1);
        let len = piece.min(self.rest.len()).min(buffer.len());
        let (piece, rest) = self.rest.split_at(len);
        buffer[..len].copy_from_slice(piece);
        self.rest = rest;
        Ok(len)
    }
}

/// How it must end.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Done,
    NoHead,
    OtherHead,
    Read,
    Tell,
    Refused,
}

/// Runs the target.
///
/// # Panics
/// When a law is broken.
pub fn run(input: &[u8]) {
    let mut input = Bytes(input);
    let batch_lines = 1 + input.below(40);
    let (pieces, flags) = (input.byte(), input.byte());
    let bytes = stretched(input.rest(), flags & LONG != 0);
    let disk = SimDisk::new();
    let options = Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 256 << 10,
        seal_bytes_min: 64 << 10,
        reserve_bytes: 8 << 10,
        ..Options::default()
    };
    let store = open_store(&disk, &options).expect("memory");
    let create = flags & CREATE != 0;
    let exists = flags & NO_THREAD == 0 && !create;
    if exists {
        store.create_thread(THREAD).expect("a new thread");
    }
    let mut ends = Vec::new();
    let mut stream = Pieces {
        rest: &bytes,
        rng: Rng::new(u64::from(pieces)),
        largest: 1 << (pieces % 18),
        broken: flags & BROKEN != 0,
    };
    let mut buffered = BufReader::with_capacity(1 + usize::from(pieces) * 16, &mut stream);
    let done = store.append_stream(
        AppendStream {
            thread: THREAD,
            input: &mut buffered,
            batch_lines,
            create,
        },
        &mut |appended| {
            ends.push(appended.end.0);
            if flags & DEAF != 0 && ends.len() == 2 {
                return Err(io::Error::other("nobody listens"));
            }
            Ok(())
        },
    );
    let (end, expect) = expected(&bytes, flags, batch_lines, exists);
    let done = match done {
        Ok(()) => End::Done,
        Err(StreamError::NoHead) => End::NoHead,
        Err(StreamError::OtherHead(_)) => End::OtherHead,
        Err(StreamError::Read(_)) => End::Read,
        Err(StreamError::Tell(_)) => End::Tell,
        // No line here is so long.
        Err(StreamError::Store(_) | StreamError::LineTooLong { .. }) => End::Refused,
    };
    assert_eq!(done, end);
    let total = expect.len() as u64;
    let batch = batch_lines as u64;
    let full = (1..=total / batch).map(|number| number * batch);
    let rest = (!total.is_multiple_of(batch)).then_some(total);
    let acknowledged: Vec<u64> = full.chain(rest).collect();
    assert_eq!(ends, acknowledged, "acknowledgements");
    check(&store, &expect);
    store.close().expect("memory");
    check(&open_store(&disk, &options).expect("memory"), &expect);
}

fn stretched(bytes: &[u8], long: bool) -> Vec<u8> {
    let mut left = if long { LONG_COUNT } else { 0 };
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        if *byte == 1 && left > 0 {
            left -= 1;
            out.resize(out.len() + LONG_BYTES, b'x');
        } else {
            out.push(*byte);
        }
    }
    out
}

/// How the stream must end and the lines that must be stored, each without its line feed.
fn expected(bytes: &[u8], flags: u8, batch: usize, exists: bool) -> (End, Vec<&[u8]>) {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    // Behind the last line feed there is no line; what a broken stream holds there is none yet.
    let last = lines.pop().unwrap_or_default();
    let broken = flags & BROKEN != 0;
    if !last.is_empty() && !broken {
        lines.push(last);
    }
    let create = flags & CREATE != 0;
    if !exists && !create {
        return (End::Refused, Vec::new());
    }
    let end = if broken { End::Read } else { End::Done };
    let Some(first) = lines.first() else {
        let headless = create && !broken;
        return (if headless { End::NoHead } else { end }, lines);
    };
    if create {
        let head: Value = serde_json::from_slice(first).unwrap_or_default();
        match (head["type"].as_str(), head["payload"]["id"].as_str()) {
            (Some("session_meta"), Some(THREAD)) => {}
            (Some("session_meta"), _) => return (End::OtherHead, Vec::new()),
            _ => return (End::NoHead, Vec::new()),
        }
    }
    if broken {
        lines.truncate(lines.len() / batch * batch);
    }
    if flags & DEAF != 0 && lines.len() > batch {
        lines.truncate(2 * batch);
        return (End::Tell, lines);
    }
    (end, lines)
}

fn check(store: &Store, expect: &[&[u8]]) {
    let known = store.log_threads().iter().any(|known| known.id == THREAD);
    assert!(known || expect.is_empty(), "the thread is not there");
    if known {
        let mut plain = Vec::new();
        for line in expect {
            plain.extend_from_slice(line);
            plain.push(b'\n');
        }
        let mut out = Vec::new();
        store.export(THREAD, .., &mut out).expect("memory");
        assert_same("export and acknowledged lines", &out, &plain);
    }
    let verified = store.verify(None, &mut |_| {}).expect("memory");
    assert!(verified.is_ok(), "a verification finds damage");
}
