//! What the store says of an import while it is under way.

use std::io::Read;

use crate::*;

const PATH: &str = "rollout.jsonl";
const BYTES: u64 = 1 << 40;
const MODIFIED: i64 = 7;

/// Gives lines, and before each looks whether the store calls the source imported.
struct Watched<'s> {
    store: &'s Store,
    lines: std::vec::IntoIter<Vec<u8>>,
    rest: Vec<u8>,
    records_seen: u64,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let early = self.store.import_is_current(PATH, BYTES, MODIFIED);
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
    assert!(turnleaf_projector::fold::is_boundary(&boundary));
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
    let imported = store.import(source, &mut |_| {}).unwrap().unwrap();
    assert_eq!(imported.added_records, 4);
    assert_eq!(watched.records_seen, 2, "a segment was published meanwhile");
    let current = store.import_is_current(PATH, BYTES, MODIFIED);
    assert_eq!(current.map(|known| known.records), Some(4));
}
