//! Threads of which single records were given up: what is said of them, and what is not joined.

use std::fs;
use std::path::Path;

use crate::{ForkPoint, Imported, ItemsRequest, Order, Ordinal, Skip, Store};

const THREAD: &str = "019c0000-0000-7000-8000-0000000000cc";

fn head() -> String {
    format!(
        r#"{{"timestamp":"2026-01-01T00:00:00.000Z","type":"session_meta","payload":{{"id":"{THREAD}","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null,"history_mode":"legacy"}}}}"#
    )
}

fn message(text: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-01-01T00:00:01.000Z","type":"event_msg","payload":{{"type":"user_message","message":"{text}","local_images":[],"text_elements":[]}}}}"#
    )
}

/// Spoils the batch in the journal that holds a text, and gives it up.
fn lose(dir: &Path, text: &str) {
    let mut hits = 0;
    for file in fs::read_dir(dir.join("journal")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let places: Vec<usize> = memchr::memmem::find_iter(&bytes, text).collect();
        for place in &places {
            bytes[*place] ^= 1;
        }
        hits += places.len();
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(hits, 1, "{text}");
    let report = Store::repair(dir, None).unwrap();
    assert!(report.due.is_empty() && !report.done.is_empty());
}

fn import(dir: &Path, plain: &str) -> Result<Imported, Skip> {
    let store = Store::open(dir).unwrap();
    let source = crate::ImportSource {
        path: "a.jsonl",
        thread_hint: None,
        plain: &mut plain.as_bytes(),
        file_bytes: plain.len() as u64,
        modified_ns: i64::try_from(plain.len()).unwrap(),
        archived: false,
    };
    let done = store.import(source, &mut |_| {}).unwrap().done();
    store.close().unwrap();
    done
}

/// Each line is a batch of its own.
fn append(dir: &Path, lines: &[String]) {
    let store = Store::open(dir).unwrap();
    store.create_thread(THREAD).unwrap();
    for line in lines {
        store.append(THREAD, None, &[line.as_bytes()]).unwrap();
    }
    store.close().unwrap();
}

#[test]
fn a_context_names_a_head_that_was_given_up() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), &[head(), message("one"), message("two")]);
    lose(dir.path(), "session_meta");
    let store = Store::open_to_read(dir.path()).unwrap();
    let mut out = Vec::new();
    let report = store.context(THREAD, &ForkPoint::Latest, &mut out).unwrap();
    assert_eq!(
        out,
        format!("{}\n{}\n", message("one"), message("two")).as_bytes()
    );
    assert_eq!(
        (report.records, report.given_up),
        (2, vec![Ordinal(0)..Ordinal(1)])
    );
}

/// The beginning and the end of a line are no line when what stood between them is gone.
#[test]
fn parts_of_a_line_are_not_joined_over_what_was_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let (head, line) = (head(), message("one two three"));
    let at = |text: &str| line.find(text).unwrap();
    let whole = format!("{head}\n{line}\n{}\n", message("four"));
    let until = |text: &str| head.len() + 1 + at(text);
    for end in [until("two"), until("three"), whole.len()] {
        import(dir.path(), &whole[..end]).unwrap();
    }
    lose(dir.path(), "two ");
    let store = Store::open(dir.path()).unwrap();
    let request = ItemsRequest {
        thread: THREAD.into(),
        turn: None,
        cursor: None,
        limit: 10,
        order: Order::Ascending,
        all: false,
    };
    let items = store.items(&request).unwrap().values();
    let texts: Vec<String> = items.iter().map(|item| item["item"].to_string()).collect();
    assert!(texts.len() == 1 && texts[0].contains("four"), "{texts:?}");
    let mut out = Vec::new();
    store.export(THREAD, .., &mut out).unwrap();
    let (before, behind) = (&line[..at("two")], &line[at("three")..]);
    let left = format!("{head}\n{before}\n{behind}\n{}\n", message("four"));
    assert_eq!(String::from_utf8(out).unwrap(), left);
    let mut out = Vec::new();
    store.context(THREAD, &ForkPoint::Latest, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(!out.contains("one three"), "{out}");
}

/// A file never had the names that were given here, so it lacks nothing when one is lost.
#[test]
fn a_lost_name_keeps_no_file_from_being_imported_again() {
    let dir = tempfile::tempdir().unwrap();
    let plain = format!("{}\n{}\n", head(), message("one"));
    import(dir.path(), &plain).unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.set_name(THREAD, "a name").unwrap();
    store.set_name(THREAD, "another").unwrap();
    store.close().unwrap();
    lose(dir.path(), "a name");
    assert_eq!(import(dir.path(), &plain).unwrap().added_records, 0);
    lose(dir.path(), "another");
    assert_eq!(import(dir.path(), &plain).unwrap().added_records, 0);
    let grown = format!("{plain}{}\n", message("two"));
    assert_eq!(import(dir.path(), &grown).unwrap().added_records, 1);
    assert_eq!(import(dir.path(), &grown).unwrap().added_records, 0);
    let store = Store::open_to_read(dir.path()).unwrap();
    let mut out = Vec::new();
    store.export(THREAD, .., &mut out).unwrap();
    assert_eq!(out, grown.as_bytes());
}

/// A repair finds the id in the thread's own first record, and what else that says comes with it.
#[test]
fn a_thread_whose_id_is_lost_is_found_under_it_again() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), &[head(), message("one")]);
    // The id stands in the record that made the thread, and in its first line.
    let path = fs::read_dir(dir.path().join("journal")).unwrap();
    let path = path.last().unwrap().unwrap().path();
    let mut bytes = fs::read(&path).unwrap();
    let place = memchr::memmem::find(&bytes, THREAD.as_bytes()).unwrap();
    bytes[place] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let report = Store::repair(dir.path(), None).unwrap();
    assert!(report.due.is_empty());
    let store = Store::open(dir.path()).unwrap();
    let shown = store.show(THREAD).unwrap();
    assert_eq!(shown.thread["cwd"], "/w");
    let mut out = Vec::new();
    store.export(THREAD, .., &mut out).unwrap();
    assert_eq!(out, format!("{}\n{}\n", head(), message("one")).as_bytes());
}
