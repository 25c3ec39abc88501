//! What happens while an import is under way.

mod again;
mod cuts;
mod heads;
mod lineage;
mod written_anew;

use std::io::Read;

use crate::*;

const PATH: &str = "rollout.jsonl";
const BYTES: u64 = 1 << 40;
const MODIFIED: i64 = 7;

/// Whether the source was imported as it stands.
fn current(store: &Store, path: &str, file_bytes: u64, modified_ns: i64) -> Option<Imported> {
    let importer = store.importer().unwrap();
    importer.is_current(path, file_bytes, modified_ns)
}

/// Gives lines, and before each looks whether the store calls the source imported.
struct Watched<'s> {
    store: &'s Store,
    lines: std::vec::IntoIter<Vec<u8>>,
    rest: Vec<u8>,
    records_seen: u64,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let early = current(self.store, PATH, BYTES, MODIFIED);
        assert_eq!(early, None, "the source is not read to its end");
        let known = self.store.log_threads();
        let records = known.iter().map(|thread| thread.records).max();
        self.records_seen = self.records_seen.max(records.unwrap_or(0));
        if self.rest.is_empty() {
            self.rest = self.lines.next().unwrap_or_default();
        }
        let len = self.rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&self.rest[..len]);
        self.rest.drain(..len);
        Ok(len)
    }
}

/// Segments are published on the way, each with how far the import is. A process that is killed
/// behind one of them must find more to do, or the rest of the source is never imported.
#[test]
fn a_source_is_not_current_before_it_was_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let line = |kind: &str, payload: &str| {
        let time = "2026-01-01T00:00:00.000Z";
        let line = format!(r#"{{"timestamp":"{time}","type":"{kind}","payload":{payload}}}"#);
        format!("{line}\n").into_bytes()
    };
    let head = line(
        "session_meta",
        r#"{"id":"a","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null}"#,
    );
    let boundary = line(
        "compacted",
        r#"{"message":"","replacement_history":[],"window_number":1}"#,
    );
    assert!(turnleaf_projector::payload::is_boundary(&boundary));
    let noise = [vec![b'x'; 9 << 20], b"\n".to_vec()].concat();
    let lines = vec![head, noise.clone(), boundary, noise];
    let mut watched = Watched {
        store: &store,
        lines: lines.into_iter(),
        rest: Vec::new(),
        records_seen: 0,
    };
    let source = ImportSource {
        path: PATH,
        thread_hint: None,
        plain: &mut watched,
        file_bytes: BYTES,
        modified_ns: MODIFIED,
        archived: false,
    };
    let imported = store.import(source, &mut |_| {}).unwrap().done().unwrap();
    assert_eq!(imported.added_records, 4);
    assert_eq!(watched.records_seen, 2, "a segment was published meanwhile");
    let current = current(&store, PATH, BYTES, MODIFIED);
    assert_eq!(current.map(|known| known.records), Some(4));
}

/// Gives its bytes, and appends to the thread when so many were given.
struct Intruding<'s> {
    store: &'s Store,
    bytes: &'s [u8],
    given: usize,
    intrudes_at: usize,
    appended: bool,
}

impl Read for Intruding<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.given >= self.intrudes_at && !self.appended {
            self.appended = true;
            self.store.append("a", None, &[b"intruder"]).unwrap();
        }
        let rest = &self.bytes[self.given..];
        let len = rest.len().min(buffer.len()).min(64 << 10);
        buffer[..len].copy_from_slice(&rest[..len]);
        self.given += len;
        Ok(len)
    }
}

/// An import adds behind what it compared the source with, and nowhere else.
#[test]
fn an_append_during_an_import_is_not_mixed_with_it() {
    let line = [vec![b'x'; 99_999], b"\n".to_vec()].concat();
    let head = br#"{"timestamp":"2026-01-01T00:00:00.000Z","type":"session_meta","payload":{"id":"a","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null}}"#;
    // More than is looked at before the comparison; then a rest for the journal, or for a segment.
    let known = [&head[..], b"\n", &line.repeat(25)].concat();
    for (rest, intrudes_after) in [(1, 100_000), (30, 500_000)] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let import = |plain: &mut dyn Read| {
            let source = ImportSource {
                path: PATH,
                thread_hint: None,
                plain,
                file_bytes: BYTES,
                modified_ns: MODIFIED,
                archived: false,
            };
            store.import(source, &mut |_| {})
        };
        import(&mut known.as_slice()).unwrap().done().unwrap();
        let bytes = [known.clone(), line.repeat(rest)].concat();
        let mut intruding = Intruding {
            store: &store,
            bytes: &bytes,
            given: 0,
            intrudes_at: known.len() + intrudes_after,
            appended: false,
        };
        let refused = import(&mut intruding).map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::Busy), "{rest} lines more");
        assert!(intruding.appended);
        let mut out = Vec::new();
        store.export("a", .., &mut out).unwrap();
        assert!(out == [known.as_slice(), b"intruder\n"].concat());
        // The thread is not kept from others.
        store.append("a", None, &[b"more"]).unwrap();
    }
}
