//! Contexts and exports of damaged threads, and beside an owner.

mod losses;

use std::fs;
use std::io::{Cursor, Read, Write, repeat};
use std::path::Path;
use std::sync::Arc;

use turnleaf_engine::disk::OsDisk;

use crate::{ContextReport, ForkPoint, ImportSource, Options, Ordinal, Store, system_owner};

/// A paginated thread of 1200 turns, in one segment; its lines.
fn sealed(dir: &Path) -> Vec<String> {
    let at = r#""timestamp":"2026-01-01T00:00:00Z""#;
    let head = r#""id":"a","timestamp":"2026-01-01T00:00:00Z","cwd":"/w","originator":"o""#;
    let mut lines = vec![format!(
        r#"{{{at},"ordinal":0,"type":"session_meta","payload":{{{head},"cli_version":"1","history_mode":"paginated"}}}}"#
    )];
    let mut push = |payload: String| {
        let ordinal = lines.len();
        lines.push(format!(
            r#"{{{at},"ordinal":{ordinal},"type":"event_msg","payload":{{{payload}}}}}"#
        ));
    };
    for turn in 0..1200_u64 {
        push(format!(r#""type":"task_started","turn_id":"t{turn}""#));
        // Nothing that a block could pack away.
        let word = |at: u64| (turn * 1000 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let text: String = (0..60).map(|at| format!("{:016x}", word(at))).collect();
        push(format!(r#""type":"user_message","message":"{text}""#));
        push(format!(
            r#""type":"task_complete","turn_id":"t{turn}","last_agent_message":null"#
        ));
    }
    let store = Store::open(dir).unwrap();
    let bytes: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let source = ImportSource {
        path: "a.jsonl",
        thread_hint: None,
        plain: &mut bytes.as_bytes(),
        file_bytes: bytes.len() as u64,
        modified_ns: 0,
        archived: false,
    };
    // More than a mebibyte: it is in no journal file that could stand in.
    store.import(source, &mut |_| {}).unwrap().done().unwrap();
    store.close().unwrap();
    lines
}

/// One bit of the only segment, in the middle of its blocks.
fn flip(dir: &Path) {
    let entry = fs::read_dir(dir.join("segments")).unwrap().next();
    let path = entry.unwrap().unwrap().path();
    let mut bytes = fs::read(&path).unwrap();
    let within = bytes.len() / 4;
    bytes[within] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// The context as lines, and what it says; its ordinals name just these lines.
fn context(store: &Store, lines: &[String]) -> (Vec<Ordinal>, ContextReport) {
    let mut out = Vec::new();
    let report = store.context("a", &ForkPoint::Latest, &mut out).unwrap();
    let ordinals = store.context_ordinals("a", &ForkPoint::Latest).unwrap();
    let at = |ordinal: &Ordinal| format!("{}\n", lines[usize::try_from(ordinal.0).unwrap()]);
    let expect: String = ordinals.iter().map(at).collect();
    assert!(out == expect.as_bytes(), "{} bytes", out.len());
    assert_eq!(report.records, ordinals.len() as u64);
    (ordinals, report)
}

#[test]
fn a_context_gives_what_damage_left() {
    let dir = tempfile::tempdir().unwrap();
    let lines = sealed(dir.path());
    flip(dir.path());
    let store = Store::open_to_read(dir.path()).unwrap();
    let (ordinals, report) = context(&store, &lines);
    assert!(ordinals.len() > 2000 && ordinals.len() < lines.len());
    assert_eq!(report.given_up, []);
    let seen = store.damage_seen();
    let (first, end) = seen[0].ordinals.unwrap();
    let expect = (0..first.0).chain(end.0..lines.len() as u64);
    assert!(ordinals.into_iter().eq(expect.map(Ordinal)));
}

#[test]
fn a_context_gives_what_an_accepted_loss_left_and_names_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let lines = sealed(dir.path());
    flip(dir.path());
    Store::repair(dir.path(), None).unwrap();
    let store = Store::open_to_read(dir.path()).unwrap();
    let (ordinals, report) = context(&store, &lines);
    let [lost] = &report.given_up[..] else {
        panic!("{:?}", report.given_up)
    };
    assert!(!lost.is_empty() && ordinals.len() > 2000);
    let expect = (0..lost.start.0).chain(lost.end.0..lines.len() as u64);
    assert!(ordinals.into_iter().eq(expect.map(Ordinal)));
    assert_eq!(store.damage_seen(), []);
    assert_eq!(store.show("a").unwrap().resume_from, Some(Ordinal(0)));
}

/// Journal files are recycled under a reader that does not own the store: it looks again.
#[test]
fn an_export_beside_an_owner_follows_records_into_segments() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        journal_first_bytes: 1 << 20,
        journal_file_bytes: 1 << 20,
        journal_files_max: 3,
        seal_bytes_min: 64 << 10,
        ..Options::default()
    };
    let disk = Arc::new(OsDisk::new(dir.path()));
    let store = Store::open_on(disk, options, &system_owner(), true, || 1).unwrap();
    store.create_thread("a").unwrap();
    let line = |at: usize| format!("{at} {}", "x".repeat(60_000));
    let append = |from: usize, end: usize| {
        for at in from..end {
            store.append("a", None, &[line(at).as_bytes()]).unwrap();
        }
    };
    append(0, 10);
    let reader = Store::open_log(dir.path()).unwrap();
    // Enough to write over every journal file that the reader knows.
    append(10, 300);
    let mut out = Vec::new();
    reader.export("a", .., &mut out).unwrap();
    let expect: String = (0..10).map(|at| format!("{}\n", line(at))).collect();
    assert!(out == expect.as_bytes(), "{} bytes", out.len());
    assert_eq!(reader.damage_seen(), []);
}

/// A paginated thread with a record of 66 MiB between two turns; its lines as a source that is not
/// held.
fn with_large(before: &str, behind: &str) -> (impl Read, u64) {
    let at = r#""timestamp":"2026-01-01T00:00:00Z""#;
    let mut ordinal = 0;
    let mut line = |kind: &str, payload: &str| {
        ordinal += 1;
        let ordinal = ordinal - 1;
        format!("{{{at},\"ordinal\":{ordinal},\"type\":\"{kind}\",\"payload\":{{{payload}}}}}\n")
    };
    let head = r#""id":"a","timestamp":"2026-01-01T00:00:00Z","cwd":"/w","originator":"o","cli_version":"1","history_mode":"paginated""#;
    let turn = |line: &mut dyn FnMut(&str, &str) -> String, id: &str| {
        let start = line(
            "event_msg",
            &format!(r#""type":"task_started","turn_id":"{id}""#),
        );
        let settings = r#""cwd":"/w","approval_policy":"never","sandbox_policy":{"type":"read-only"},"model":"m","summary":"auto""#;
        let context = line("turn_context", &format!(r#""turn_id":"{id}",{settings}"#));
        let user = line("event_msg", r#""type":"user_message","message":"m""#);
        let done = format!(r#""type":"task_complete","turn_id":"{id}","last_agent_message":null"#);
        [start, context, user, line("event_msg", &done)].concat()
    };
    let mut first = line("session_meta", head);
    first += &turn(&mut line, "t1");
    let large = line("KIND", "LARGE");
    let large = large.replace("KIND\",\"payload\":{LARGE", before);
    let (large, _) = large.split_at(large.len() - 3);
    let rest = format!("{behind}\n{}", turn(&mut line, "t2"));
    let bytes = 66_u64 << 20;
    let len = (first.len() + large.len() + rest.len()) as u64 + bytes;
    let head = Cursor::new(first + large).chain(repeat(b'A').take(bytes));
    (head.chain(Cursor::new(rest)), len)
}

fn import(store: &Store, (mut plain, file_bytes): (impl Read, u64)) {
    let source = ImportSource {
        path: "a.jsonl",
        thread_hint: None,
        plain: &mut plain,
        file_bytes,
        modified_ns: 0,
        archived: false,
    };
    store.import(source, &mut |_| {}).unwrap().done().unwrap();
}

#[test]
fn a_compaction_of_any_size_is_where_resuming_begins() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let before = r#"compacted","payload":{"message":"","replacement_history":[{"type":"message","role":"user","content":[{"type":"input_image","image_url":""#;
    import(
        &store,
        with_large(before, r#""}]}],"window_number":1,"window_id":"w"}}"#),
    );
    let shown = store.show("a").unwrap();
    assert_eq!((shown.records, shown.anomalies), (10, vec![]));
    assert_eq!(shown.resume_from, Some(Ordinal(5)));
    assert_eq!(
        store.context_ordinals("a", &ForkPoint::Latest).unwrap(),
        [0, 5, 6, 7, 8, 9].map(Ordinal)
    );
    let mut out = Counted(0);
    let report = store.context("a", &ForkPoint::Latest, &mut out).unwrap();
    assert_eq!((report.records, out.0 > 66 << 20), (6, true));
}

#[test]
fn a_large_record_that_is_not_read_leaves_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let before = r#"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":""#;
    import(&store, with_large(before, r#""}]}}"#));
    let shown = store.show("a").unwrap();
    let odd: Vec<_> = shown
        .anomalies
        .iter()
        .map(|odd| (&*odd.reason, odd.first.0))
        .collect();
    assert_eq!(odd, [("rejected: too large to be parsed", 5)]);
    assert_eq!(store.index_difference("a").unwrap(), None);
    // The runtime reads it, so whoever resumes gets it.
    let all: Vec<Ordinal> = (0..10).map(Ordinal).collect();
    assert_eq!(
        store.context_ordinals("a", &ForkPoint::Latest).unwrap(),
        all
    );
}

/// Bytes that were written.
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
