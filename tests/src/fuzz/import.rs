//! Any bytes as a rollout, in two captures: the store holds the records that a naive cut into lines
//! says, exports the same bytes, adds only what is new, and its pages show what the lines fold to.
//!
//! Input: where to cut, flags, the rollout.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::Value;
use turnleaf::{
    ForkPoint, ImportSource, Imported, ItemsRequest, ItemsView, Options, Order, Skip, Store,
    TurnsRequest,
};
use turnleaf_engine::Snapshot;
use turnleaf_engine::disk::Disk;
use turnleaf_format::record::{Flags, Kind};
use turnleaf_format::{Ordinal, ThreadId};
use turnleaf_projector::fold::ThreadState;

use super::{Bytes, assert_same};
use crate::projection::fold;
use crate::sim_disk::SimDisk;
use crate::stores::open_store;

const HINT: &str = "fuzz-thread";
/// Of the flags: the first capture breaks off where it is cut.
const BROKEN: u8 = 1;
/// Bits of the flags that, all set, let large lines follow: then segments are written at once.
const LARGE: u8 = 0x0e;

/// A record as a naive reader expects it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    bytes: Vec<u8>,
    flags: Flags,
}

/// A source that ends, or breaks, behind its bytes.
struct Source<'a>(&'a [u8], bool);

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() && self.1 {
            return Err(io::Error::other("the file is cut"));
        }
        self.0.read(buffer)
    }
}

/// Runs the target.
///
/// # Panics
/// When a law is broken.
pub fn run(input: &[u8]) {
    let mut input = Bytes(input);
    let (cut, flags) = (input.byte(), input.byte());
    let mut bytes = input.rest().to_vec();
    let cut = bytes.len() * usize::from(cut) / 255;
    if flags & LARGE == LARGE {
        for number in 0..flags >> 4 {
            bytes.resize(bytes.len() + 150_000, b'a' + number);
            bytes.push(b'\n');
        }
    }
    let options = Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 1 << 20,
        seal_bytes_min: 64 << 10,
        reserve_bytes: 0,
        ..Options::default()
    };
    let disk = SimDisk::new();
    let store = open_store(&disk, &options).expect("memory");
    let first = import(&store, Source(&bytes[..cut], flags & BROKEN != 0), 1);
    let whole = import(&store, Source(&bytes, false), 2);
    let blank = bytes.iter().all(u8::is_ascii_whitespace);
    let whole = match whole {
        Ok(whole) => whole,
        Err(skip) => {
            assert_eq!(skip == Skip::Empty, blank, "{skip}");
            let found = matches!(skip, Skip::Differs { .. } | Skip::Broken { .. });
            assert!(!found, "the same bytes again: {skip}");
            return;
        }
    };
    assert!(!blank, "blank lines are imported");
    check_thread(&whole.thread, &bytes);
    let expect = expected(&bytes, cut, &first, &whole.thread);
    assert_eq!(whole.records, expect.len() as u64, "records");
    assert_eq!(whole.bytes, bytes.len() as u64, "bytes");
    check_records(&disk, &options, &whole.thread, &expect);
    let mut out = Vec::new();
    let written = store.export(&whole.thread, .., &mut out);
    written.expect("memory");
    assert_same("export and import", &out, &bytes);
    let again = import(&store, Source(&bytes, false), 3);
    assert_eq!(again.map(|again| again.added_records), Ok(0));
    check_pages(&store, &whole.thread, &expect);
    assert!(store.verify(None, &mut |_| {}).expect("memory").is_ok());
}

fn import(store: &Store, mut source: Source<'_>, modified_ns: i64) -> Result<Imported, Skip> {
    let file_bytes = source.0.len() as u64;
    let source = ImportSource {
        path: "fuzz",
        thread_hint: Some(HINT),
        plain: &mut source,
        file_bytes,
        modified_ns,
        archived: false,
    };
    let imported = store.import(source, &mut |_| {});
    imported.expect("the store takes any bytes").done()
}

/// The records of both captures, by cutting at line feeds.
fn expected(bytes: &[u8], cut: usize, first: &Result<Imported, Skip>, thread: &str) -> Vec<Line> {
    let before = match first {
        Ok(first) if first.thread == thread => cut,
        // Of a source that breaks off, the lines before are taken.
        Err(Skip::Broken { after, .. }) => {
            let feed = bytes[..cut].iter().rposition(|byte| *byte == b'\n');
            let before = feed.map_or(0, |at| at + 1);
            assert_eq!(*after, before as u64, "bytes that are records");
            before
        }
        _ => 0,
    };
    let (one, other) = bytes.split_at(before);
    let mut lines = cut_lines(one);
    let open = lines
        .last()
        .is_some_and(|line| line.flags.has(Flags::NO_LINE_FEED));
    let mut more = cut_lines(other);
    if let Some(line) = more.first_mut().filter(|_| open) {
        line.flags = line.flags.with(Flags::CONTINUES);
    }
    lines.append(&mut more);
    lines
}

fn cut_lines(bytes: &[u8]) -> Vec<Line> {
    let line = |line: &[u8]| match line.strip_suffix(b"\n") {
        Some(line) => Line {
            bytes: line.to_vec(),
            flags: Flags::NONE,
        },
        None => Line {
            bytes: line.to_vec(),
            flags: Flags::NO_LINE_FEED,
        },
    };
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(line)
        .collect()
}

/// The thread is the one that the name says, or that some line says.
fn check_thread(thread: &str, bytes: &[u8]) {
    let says = |line: &[u8]| {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let Ok(line) = serde_json::from_slice::<Value>(line) else {
            return false;
        };
        line["payload"]["id"] == thread || line["id"] == thread
    };
    let mut lines = bytes.split(|byte| *byte == b'\n');
    assert!(thread == HINT || lines.any(says), "nothing says {thread:?}");
}

/// What another reader of the log finds.
fn check_records(disk: &SimDisk, options: &Options, thread: &str, expect: &[Line]) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let snapshot = Snapshot::open(&shared, options).expect("memory");
    let id = ThreadId::parse(thread).expect("a thread has an id");
    let number = snapshot.state().thread_number(&id);
    let reader = number.and_then(|number| snapshot.state().reader(number));
    let reader = reader.expect("the thread is there");
    let mut found = Vec::new();
    let read = reader.records(Ordinal(0), reader.end(), &mut |record| {
        assert_eq!(record.kind, Kind::LINE);
        let flags = [Flags::NO_LINE_FEED, Flags::CONTINUES].into_iter();
        let flags = flags.filter(|flag| record.flags.has(*flag));
        found.push(Line {
            bytes: record.bytes().unwrap_or_default().to_vec(),
            flags: flags.fold(Flags::NONE, Flags::with),
        });
        ControlFlow::Continue(())
    });
    read.expect("memory");
    assert!(found == expect, "other records than lines");
}

fn check_pages(store: &Store, thread: &str, expect: &[Line]) {
    store
        .context_ordinals(thread, &ForkPoint::Latest)
        .expect("the context");
    let turns = store.turns(&TurnsRequest {
        thread: thread.to_owned(),
        cursor: None,
        limit: 1000,
        order: Order::Ascending,
        items: ItemsView::Full,
    });
    let items = store.items(&ItemsRequest {
        thread: thread.to_owned(),
        turn: None,
        all: false,
        cursor: None,
        limit: 1000,
        order: Order::Ascending,
    });
    let (turns, items) = (turns.expect("a page"), items.expect("a page"));
    if expect.iter().any(|line| line.flags.has(Flags::CONTINUES)) {
        return;
    }
    let lines: Vec<Vec<u8>> = expect.iter().map(|line| line.bytes.clone()).collect();
    let rows = fold(&lines, ThreadState::default()).rows;
    let expect: Vec<&str> = rows
        .turns()
        .map(|(_, turn)| turn.id.as_str())
        .take(1000)
        .collect();
    let found: Vec<&str> = turns.turns.iter().map(|turn| turn.id.as_str()).collect();
    assert!(found == expect, "other turns than the lines fold to");
    let expect: Vec<u64> = rows.items().map(|(at, _)| at.0).take(1000).collect();
    let found: Vec<u64> = items.items.iter().map(|item| item.ordinal.0).collect();
    assert!(
        found.iter().all(|at| expect.contains(at)),
        "an item of no line"
    );
}
