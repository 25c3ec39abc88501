//! What meets an append from elsewhere.

use std::io::{BufRead, Read};
use std::sync::atomic::{AtomicI64, Ordering};

use turnleaf_engine::format::journal::{HEADER_BYTES, JournalHeader};

use crate::*;

const HEAD: &[u8] = br#"{"timestamp":"2026-01-01T00:00:00.000Z","type":"session_meta","payload":{"id":"a","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null}}
"#;

/// A stream during which somebody else creates the thread.
struct Overtaken<'s> {
    store: &'s Store,
    rest: &'static [u8],
}

impl Read for Overtaken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.rest.read(buffer)
    }
}

impl BufRead for Overtaken<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        let _ = self.store.create_thread("a");
        Ok(self.rest)
    }

    fn consume(&mut self, amount: usize) {
        self.rest.consume(amount);
    }
}

/// A thread that is to be created where there is none may be created by another meanwhile.
#[test]
fn a_thread_that_another_created_is_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut input = Overtaken {
        store: &store,
        rest: HEAD,
    };
    let stream = AppendStream {
        thread: "a",
        input: &mut input,
        batch_lines: 1,
        create: true,
    };
    let mut ends = Vec::new();
    let done = store.append_stream(stream, &mut |appended| {
        ends.push(appended.end.0);
        Ok(())
    });
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(ends, [1]);
}

static NOW: AtomicI64 = AtomicI64::new(1_000);

/// The header of a journal file says when the file was begun, not when a thread was created last.
#[test]
fn a_header_says_when_its_file_was_begun() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 64 << 10,
        ..Options::default()
    };
    let disk = std::sync::Arc::new(turnleaf_engine::disk::OsDisk::new(dir.path()));
    let clock = || NOW.load(Ordering::Relaxed);
    let store = Store::open_on(disk, options, &system_owner(), false, clock).unwrap();
    store.create_thread("a").unwrap();
    NOW.store(5_000, Ordering::Relaxed);
    for _ in 0..4 {
        store.append("a", None, &[&[b'x'; 40_000]]).unwrap();
    }
    let mut times = Vec::new();
    for entry in std::fs::read_dir(dir.path().join("journal")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let header = JournalHeader::decode(&bytes[..HEADER_BYTES]).unwrap();
        times.push((header.generation, header.created_ms));
    }
    times.sort_unstable();
    assert!(times.len() > 1, "{times:?}");
    let (_, newest) = times[times.len() - 1];
    assert_eq!(newest, 5_000, "{times:?}");
}
