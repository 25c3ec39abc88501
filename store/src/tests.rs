//! The facade end to end over the conformance rollouts: import, pages, context, export, re-import.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::*;

/// The cases, or none where the folder is not there; a build that must have it says so.
pub(crate) fn cases() -> Vec<PathBuf> {
    let dir = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/conformance/dev"
    ));
    let Ok(found) = dir.read_dir() else {
        assert!(
            std::env::var("CI").is_err(),
            "the conformance cases are missing"
        );
        println!("skipped: the conformance cases are not here");
        return Vec::new();
    };
    let mut cases: Vec<PathBuf> = found.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// A file of a case, unpacked.
pub(crate) fn file(case: &Path, name: &str) -> Option<Vec<u8>> {
    let packed = case.join(format!("{name}.gz"));
    if packed.exists() {
        let out = Command::new("gzip")
            .arg("-dc")
            .arg(packed)
            .output()
            .unwrap();
        return Some(out.stdout);
    }
    case.join(name).read().ok()
}

trait ReadWhole {
    fn read(&self) -> std::io::Result<Vec<u8>>;
}

impl ReadWhole for PathBuf {
    fn read(&self) -> std::io::Result<Vec<u8>> {
        use std::io::Read;
        let mut bytes = Vec::new();
        std::fs::File::open(self)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

fn json_of(case: &Path, name: &str) -> Option<Value> {
    serde_json::from_slice(&file(case, name)?).ok()
}

fn import(store: &Store, bytes: &[u8], modified_ns: i64) -> Result<Imported, Skip> {
    let mut plain = bytes;
    let source = ImportSource {
        path: "rollout.jsonl",
        thread_hint: Some("fallback-id"),
        plain: &mut plain,
        file_bytes: bytes.len() as u64,
        modified_ns,
        archived: false,
    };
    store.import(source, &mut |_| {}).unwrap().done()
}

fn exported(store: &Store, thread: &str) -> Vec<u8> {
    let mut out = Vec::new();
    store.export(thread, .., &mut out).unwrap();
    out
}

fn items(store: &Store, thread: &str, order: Order, limit: usize) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let thread = thread.to_owned();
        let request = ItemsRequest {
            thread,
            turn: None,
            all: false,
            cursor,
            limit,
            order,
        };
        let page = store.items(&request).unwrap();
        all.extend(page.values());
        cursor = page.next_cursor;
        if cursor.is_none() {
            return all;
        }
    }
}

fn turns(store: &Store, thread: &str, limit: usize, items: ItemsView) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let (thread, order) = (thread.to_owned(), Order::Ascending);
        let request = TurnsRequest {
            thread,
            cursor,
            limit,
            order,
            items,
        };
        let page = store.turns(&request).unwrap();
        all.extend(page.values());
        cursor = page.next_cursor;
        if cursor.is_none() {
            return all;
        }
    }
}

#[test]
fn every_conformance_rollout_comes_back_byte_for_byte_and_pages_as_expected() {
    for case in cases() {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let rollout = file(&case, "rollout.jsonl").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let imported = import(&store, &rollout, 1).unwrap_or_else(|skip| panic!("{name}: {skip}"));
        assert!(
            exported(&store, &imported.thread) == rollout,
            "{name}: the export differs"
        );
        let again = import(&store, &rollout, 2).unwrap();
        assert_eq!(again.added_records, 0, "{name}");
        check_pages(&store, &case, &name, &imported.thread);
        store.seal_all().unwrap();
        assert!(
            exported(&store, &imported.thread) == rollout,
            "{name}: differs when sealed"
        );
        check_pages(&store, &case, &name, &imported.thread);
        assert!(store.verify(None, &mut |_| {}).unwrap().is_ok(), "{name}");
        // What came from the records one by one must be what the notes of the sealed run give.
        let leaves = turns(&store, &imported.thread, 100, ItemsView::Full);
        let before = items(&store, &imported.thread, Order::Ascending, 7);
        store.rebuild_index(&mut |_| {}).unwrap();
        assert_eq!(
            items(&store, &imported.thread, Order::Ascending, 1000),
            before,
            "{name}"
        );
        assert_eq!(
            turns(&store, &imported.thread, 100, ItemsView::Full),
            leaves,
            "{name}"
        );
        store.close().unwrap();
    }
}

fn check_pages(store: &Store, case: &Path, name: &str, thread: &str) {
    let context = json_of(case, "expected.context.json");
    if let Some(lines) = context
        .as_ref()
        .and_then(|context| context["lines"].as_array())
    {
        let ordinals = lines.iter().filter_map(Value::as_u64);
        let expected: Vec<Ordinal> = ordinals.map(Ordinal).collect();
        assert_eq!(
            store.context_ordinals(thread, &ForkPoint::Latest).unwrap(),
            expected,
            "{name}: context"
        );
    }
    let expected = json_of(case, "expected.paginated.ours.json")
        .or_else(|| json_of(case, "expected.paginated.json"));
    let Some(expected) = expected else { return };
    let found = items(store, thread, Order::Ascending, 3);
    let mut back = items(store, thread, Order::Descending, 3);
    back.reverse();
    assert_eq!(found, back, "{name}: newest first is the reverse");
    let rows = expected["items"].as_array().unwrap();
    assert_eq!(found.len(), rows.len(), "{name}: number of items");
    for (found, row) in found.iter().zip(rows) {
        assert_eq!(found["item"], row["item"], "{name}");
        assert_eq!(found["turnId"], row["turn_id"], "{name}");
        if !row["created_at_ms"].is_null() {
            assert_eq!(found["createdAtMs"], row["created_at_ms"], "{name}");
        }
    }
    let found = turns(store, thread, 2, ItemsView::Summary);
    let rows = expected["turns"].as_array().unwrap();
    assert_eq!(found.len(), rows.len(), "{name}: number of turns");
    for (found, row) in found.iter().zip(rows) {
        assert_eq!(found["id"], row["turn_id"], "{name}");
        let ids: Vec<&Value> = found["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| &item["id"])
            .collect();
        let expected: Vec<&Value> = row["summary_item_ids"].as_array().unwrap().iter().collect();
        assert_eq!(ids, expected, "{name}: summary of {}", row["turn_id"]);
    }
}

#[test]
fn a_file_that_grew_adds_only_its_suffix_whatever_line_it_was_cut_in() {
    let head = br#"{"timestamp":"2026-01-01T00:00:00.000Z","type":"session_meta","payload":{"id":"019f0000-0000-7000-8000-0000000000aa","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null}}"#;
    let line = br#"{"timestamp":"2026-01-01T00:00:01.000Z","type":"event_msg","payload":{"type":"user_message","message":"hello","local_images":[],"text_elements":[]}}"#;
    let whole = [&head[..], b"\n", line, b"\n", line, b"\r\n\n", line].concat();
    for cut in head.len()..whole.len() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let first = import(&store, &whole[..cut], 1).unwrap();
        store
            .turns(&TurnsRequest {
                thread: first.thread.clone(),
                cursor: None,
                limit: 5,
                order: Order::Ascending,
                items: ItemsView::Full,
            })
            .unwrap();
        let second = import(&store, &whole, 2).unwrap();
        assert!(exported(&store, &second.thread) == whole, "cut at {cut}");
        let found = turns(&store, &second.thread, 100, ItemsView::Full);
        let messages: usize = found
            .iter()
            .map(|t| t["items"].as_array().unwrap().len())
            .sum();
        assert_eq!(messages, 3, "cut at {cut}");
        if cut % 37 != 0 {
            continue;
        }
        store.rebuild_index(&mut |_| {}).unwrap();
        assert_eq!(
            turns(&store, &second.thread, 100, ItemsView::Full),
            found,
            "cut at {cut}"
        );
    }
}

/// The reader in Python, written from SPEC.md alone, finds the same records and chains in a store
/// with journal frames, packs, runs, large records and a catalogue.
#[test]
fn the_second_reader_agrees() {
    let reader = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../format-spec/reader/turnleaf_reader.py"
    );
    if Command::new("python3").arg("--version").output().is_err() {
        assert!(std::env::var("CI").is_err(), "python3 is missing");
        println!("skipped: there is no python3");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for thread in ["a", "b", "c"] {
        store.create_thread(thread).unwrap();
        store
            .append(thread, None, &[b"one", b"", b"{\"two\":2}"])
            .unwrap();
    }
    store.append("b", None, &[&vec![b'x'; 3 << 20]]).unwrap();
    store.seal_all().unwrap();
    store.append("a", None, &[b"after the seal"]).unwrap();
    store.append("c", None, &[&vec![b'y'; 20 << 20]]).unwrap();
    let expected = store.log_threads();
    store.close().unwrap();
    let out = Command::new("python3")
        .args([reader, "store"])
        .arg(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{said}");
    let totals: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    for thread in expected {
        let found = &totals["per_thread"][&thread.id];
        assert_eq!(found["records"], thread.records, "{said}");
        if totals["blocks_inflated"] == true {
            assert_eq!(
                found["chain"],
                format!("{:016x}", thread.chain.0),
                "{}",
                thread.id
            );
        }
    }
}

/// A source that gives its bytes and then breaks.
struct Breaking<'a>(&'a [u8]);

impl std::io::Read for Breaking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            return Err(std::io::Error::other("cut"));
        }
        self.0.read(buffer)
    }
}

/// Chunks of a line too long to be held are written before its end is known.
#[test]
fn a_source_that_breaks_off_within_a_huge_line_keeps_what_was_read_of_it() {
    const PIECE: usize = 16 << 20;
    let head = br#"{"timestamp":"2026-01-01T00:00:00.000Z","type":"session_meta","payload":{"id":"huge","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null}}"#;
    for more in [0, 1, 3 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut bytes = [&head[..], b"\n"].concat();
        let before = bytes.len();
        bytes.resize(before + PIECE + more, b'x');
        let source = ImportSource {
            path: "rollout.jsonl",
            thread_hint: Some("huge"),
            plain: &mut Breaking(&bytes),
            file_bytes: bytes.len() as u64,
            modified_ns: 1,
            archived: false,
        };
        let broken = store.import(source, &mut |_| {}).unwrap();
        let kept = match broken {
            ImportOutcome::Skipped(Skip::Broken { after, .. }) => usize::try_from(after).unwrap(),
            other => panic!("{more} bytes more: {other:?}"),
        };
        // A piece is handed out when a byte of the next one was seen.
        assert_eq!(kept, before + if more > 0 { PIECE } else { 0 });
        assert!(exported(&store, "huge") == bytes[..kept]);
        bytes.extend_from_slice(b"\n{}");
        import(&store, &bytes, 2).unwrap();
        assert!(exported(&store, "huge") == bytes);
        assert!(store.verify(None, &mut |_| {}).unwrap().is_ok());
    }
}

/// The oldest hundred threads, by when they began.
pub(crate) fn all_threads() -> ThreadsRequest {
    ThreadsRequest {
        cursor: None,
        limit: 100,
        order: Order::Ascending,
        sort: SortKey::Created,
        archived: false,
        cwds: Vec::new(),
        sources: Vec::new(),
        no_subagents: false,
        parent: None,
        ancestor: None,
        forks_of: None,
        search: None,
    }
}

/// Hexadecimal digits that do not repeat, so that they take as many bytes of a block.
pub(crate) fn noise(digits: usize) -> String {
    let mut state = 1_u64;
    let mut digit = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{:x}", state & 15)
    };
    (0..digits).map(|_| digit()).collect()
}
