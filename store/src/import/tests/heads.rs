//! Whose a source is, when it is read again, and what is noted of it.

use std::io::{Error, ErrorKind, Read};

use super::current;
use crate::*;

const TIME: &str = "2026-01-01T00:00:00.000Z";

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn source<'a>(plain: &'a mut dyn Read, hint: Option<&'a str>) -> ImportSource<'a> {
    ImportSource {
        path: "rollout.jsonl",
        thread_hint: hint,
        plain,
        file_bytes: 10,
        modified_ns: 7,
        archived: false,
    }
}

fn meta(id: &str, more: &str) -> String {
    format!(
        r#"{{"timestamp":"{TIME}","type":"session_meta","payload":{{"id":"{id}","timestamp":"{TIME}","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null{more}}}}}"#
    )
}

fn message(text: &str) -> String {
    format!(
        r#"{{"timestamp":"{TIME}","type":"event_msg","payload":{{"type":"user_message","message":"{text}","images":[]}}}}"#
    )
}

/// The runtime reads and writes UUIDs in lower case, whoever wrote the file.
#[test]
fn a_uuid_in_capitals_is_the_same_thread() {
    const ID: &str = "019f0000-0000-7000-8000-00000000abcd";
    let (_dir, store) = store();
    let mut text = meta(&ID.to_uppercase(), "") + "\n";
    for more in ["1", "2"] {
        text += &(message(more) + "\n");
        let imported = store.import(source(&mut text.as_bytes(), None), &mut |_| {});
        assert_eq!(imported.unwrap().done().unwrap().thread, ID);
    }
    let mut importer = store.importer().unwrap();
    importer
        .name(ListedName {
            thread: &ID.to_uppercase(),
            name: "named",
            named_at_ms: 5,
            list: ("session_index.jsonl", 100),
        })
        .unwrap();
    importer.finish().unwrap();
    assert_eq!(store.show(ID).unwrap().thread["name"], "named");
    assert_eq!(store.log_threads().len(), 1);
}

#[test]
fn the_head_of_a_source_says_whose_it_is() {
    let (plain, other) = (meta("a", ""), meta("b", ""));
    let newer = meta("a", r#","history_mode":"paginated""#);
    let unknown = meta("a", r#","history_mode":"scrolled""#);
    let bare = format!(r#"{{"id":"old","timestamp":"{TIME}"}}"#);
    let mode = || Skip::HistoryMode("scrolled".into());
    let text = message("x");
    let cases: Vec<(String, Option<&str>, Result<&str, Skip>)> = vec![
        (String::new(), Some("hint"), Err(Skip::Empty)),
        ("\n \t\n".into(), Some("hint"), Err(Skip::Empty)),
        ("no record\n".into(), Some("hint"), Err(Skip::NotARollout)),
        ("no record".into(), None, Err(Skip::NotARollout)),
        (format!("{text}\n"), Some("hint"), Ok("hint")),
        (
            format!("{text}\n"),
            None,
            Err(Skip::NoThread { has_meta: false }),
        ),
        (format!("{plain}\n"), Some("hint"), Ok("a")),
        (format!("{plain}\n{other}\n"), None, Ok("a")),
        (format!("{text}\nno record\n{other}\n"), None, Ok("b")),
        (format!("{bare}\n{text}\n"), Some("hint"), Ok("old")),
        (bare.clone(), None, Ok("old")),
        (format!("{bare}\n{plain}\n"), None, Ok("a")),
        (format!("{newer}\n"), None, Ok("a")),
        (format!("{unknown}\n"), Some("hint"), Err(mode())),
        (format!("{text}\n{unknown}\n"), None, Err(mode())),
        (
            format!("{text}\n"),
            Some("no/id"),
            Err(Skip::BadThreadId("no/id".into())),
        ),
    ];
    for (text, hint, expect) in cases {
        let (_dir, store) = store();
        let imported = store.import(source(&mut text.as_bytes(), hint), &mut |_| {});
        let imported = imported.unwrap().done().map(|imported| imported.thread);
        assert_eq!(imported, expect.map(str::to_owned), "{text:?} {hint:?}");
    }
}

/// Gives a few bytes at a time, with an error of a kind before each piece, or at a place.
struct Bumpy<'s> {
    bytes: &'s [u8],
    interrupts: bool,
    breaks_at: Option<usize>,
    given: usize,
    bump: bool,
}

impl Read for Bumpy<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.bump = !self.bump;
        if self.bump && self.interrupts {
            return Err(ErrorKind::Interrupted.into());
        }
        if self.breaks_at == Some(self.given) {
            return Err(Error::other("the disk is gone"));
        }
        let end = self.breaks_at.unwrap_or(self.bytes.len());
        let rest = &self.bytes[self.given..end];
        let len = rest.len().min(buffer.len()).min(100);
        buffer[..len].copy_from_slice(&rest[..len]);
        self.given += len;
        Ok(len)
    }
}

fn bumpy(bytes: &[u8], interrupts: bool, breaks_at: Option<usize>) -> Bumpy<'_> {
    Bumpy {
        bytes,
        interrupts,
        breaks_at,
        given: 0,
        bump: false,
    }
}

#[test]
fn reads_that_are_interrupted_are_made_again() {
    let (_dir, store) = store();
    let text = format!("{}\n{}\n", meta("a", ""), message("x").repeat(3));
    let mut plain = bumpy(text.as_bytes(), true, None);
    let imported = store.import(source(&mut plain, None), &mut |_| {}).unwrap();
    assert_eq!(imported.done().unwrap().added_records, 2);
    let mut out = Vec::new();
    store.export("a", .., &mut out).unwrap();
    assert!(out == text.as_bytes());
}

#[test]
fn what_came_before_a_read_that_fails_is_imported() {
    let text = format!("{}\n{}\n{}\n", meta("a", ""), message("x"), message("y"));
    let first = text.find('\n').unwrap() + 1;
    let second = first + text[first..].find('\n').unwrap() + 1;
    for (at, records) in [(0, None), (second, Some(2)), (second + 5, Some(2))] {
        let (_dir, store) = store();
        let mut plain = bumpy(text.as_bytes(), false, Some(at));
        let broken = store.import(source(&mut plain, None), &mut |_| {}).unwrap();
        let ImportOutcome::Skipped(Skip::Broken {
            after,
            why,
            imported,
        }) = broken
        else {
            panic!("{broken:?}");
        };
        assert!(why.contains("the disk is gone"), "{why}");
        assert_eq!(imported.map(|imported| imported.records), records, "{at}");
        assert_eq!(after, records.map_or(0, |_| second as u64));
        // It is not called whole, and the whole source adds the rest.
        assert_eq!(current(&store, "rollout.jsonl", 10, 7), None);
        let again = store.import(source(&mut text.as_bytes(), None), &mut |_| {});
        let again = again.unwrap().done().unwrap();
        assert_eq!(again.records, 3);
        assert_eq!(again.added_records, 3 - records.unwrap_or(0));
    }
}

/// Path, length and modification time, all of them.
#[test]
fn a_source_is_current_by_all_that_identifies_it() {
    let (_dir, store) = store();
    let text = format!("{}\n{}\n", meta("a", ""), message("x"));
    let imported = store.import(source(&mut text.as_bytes(), None), &mut |_| {});
    let imported = imported.unwrap().done().unwrap();
    let known = current(&store, "rollout.jsonl", 10, 7);
    let expect = Imported {
        added_records: 0,
        ..imported
    };
    assert_eq!(known, Some(expect));
    assert_eq!(current(&store, "other.jsonl", 10, 7), None);
    assert_eq!(current(&store, "rollout.jsonl", 11, 7), None);
    assert_eq!(current(&store, "rollout.jsonl", 10, 8), None);
}

/// What an import of a source that has nothing new writes: nothing, or where it was once.
#[test]
fn a_source_without_news_is_noted_once() {
    let (_dir, store) = store();
    let text = format!("{}\n{}\n", meta("a", ""), message("x"));
    let shorter = format!("{}\n", meta("a", ""));
    let end = || store.source.owner().unwrap().lock().journal_end();
    let import = |text: &str, path: &str, file_bytes: u64, modified_ns: i64| {
        let before = end();
        let source = ImportSource {
            path,
            thread_hint: None,
            plain: &mut text.as_bytes(),
            file_bytes,
            modified_ns,
            archived: false,
        };
        store.import(source, &mut |_| {}).unwrap().done().unwrap();
        end() != before
    };
    assert!(import(&text, "one", 10, 7));
    assert!(!import(&text, "one", 10, 7), "it is known");
    assert!(!import(&shorter, "two", 5, 6), "an earlier capture");
    assert!(current(&store, "one", 10, 7).is_some());
    for (path, file_bytes, modified_ns) in [("one", 10, 8), ("one", 12, 8), ("two", 12, 8)] {
        assert!(import(&text, path, file_bytes, modified_ns));
        let known = current(&store, path, file_bytes, modified_ns);
        assert!(known.is_some());
        assert!(!import(&text, path, file_bytes, modified_ns), "once");
    }
}

/// Whoever reads a long source is told how far it is, at most once for each mebibyte.
#[test]
fn a_long_import_tells_how_far_it_is() {
    let (_dir, store) = store();
    let line = message(&"y".repeat(100_000));
    let text = format!("{}\n{}", meta("a", ""), format!("{line}\n").repeat(50));
    let mut told = Vec::new();
    let imported = store.import(source(&mut text.as_bytes(), None), &mut |at| told.push(at));
    assert_eq!(imported.unwrap().done().unwrap().records, 51);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.windows(2).all(|pair| pair[1] - pair[0] > 1 << 20));
    assert!(told[0] > 1 << 20 && told[3] < text.len() as u64);
    // So is whoever has it compared with what is there.
    let mut again = Vec::new();
    let imported = store.import(source(&mut text.as_bytes(), None), &mut |at| again.push(at));
    assert_eq!(imported.unwrap().done().unwrap().added_records, 0);
    assert_eq!(again, told);
}

/// A source that has become shorter is told of: what it lost is kept.
#[test]
fn a_source_that_shrank_says_so() {
    let (_dir, store) = store();
    let text = format!("{}\n{}\n", meta("a", ""), message("x"));
    let shorter = format!("{}\n", meta("a", ""));
    let shrank_from = |text: &str| {
        let imported = store.import(source(&mut text.as_bytes(), None), &mut |_| {});
        imported.unwrap().done().unwrap().shrank_from
    };
    assert_eq!(shrank_from(&text), None);
    for _ in 0..2 {
        assert_eq!(shrank_from(&shorter), Some(text.len() as u64));
    }
    assert_eq!(shrank_from(&text), None);
}

/// What an import would come to is what it comes to, and looking writes nothing.
#[test]
fn a_preview_is_what_an_import_comes_to() {
    let (_dir, store) = store();
    let end = || store.source.owner().unwrap().lock().journal_end();
    let whole = format!("{}\n{}\n{}", meta("a", ""), message("x"), message("y"));
    let longer = format!("{whole}\n{}\n", message("z"));
    let other = format!("{}\n{}\n", meta("a", ""), message("other"));
    for (text, continues) in [
        (&whole[..whole.len() - 9], false),
        (&whole, true),
        (&whole, false),
        (&longer, true),
        (&whole, false),
        ("", false),
        (&other, false),
    ] {
        let before = end();
        let previewer = Previewer::new(Some(&store));
        let mut plain = text.as_bytes();
        let mut asked = source(&mut plain, None);
        asked.file_bytes = text.len() as u64;
        let told = previewer.preview(asked, &mut |_| {});
        assert_eq!(end(), before);
        let is_new = store.log_threads().is_empty();
        let mut plain = text.as_bytes();
        let mut asked = source(&mut plain, None);
        asked.file_bytes = text.len() as u64;
        let done = store.import(asked, &mut |_| {});
        let expect = done.unwrap().done().map(|imported| Preview {
            thread: "a".into(),
            rollout: "a".into(),
            is_new,
            is_written_anew: imported.written_anew.is_some(),
            records: store.counts(&["a".to_owned()]).counted[0].records,
            added_records: imported.added_records,
            continues,
            bytes: imported.shrank_from.unwrap_or(imported.bytes),
        });
        assert_eq!(told.unwrap().done(), expect, "{text}");
    }
    let empty = Previewer::new(None).preview(source(&mut whole.as_bytes(), None), &mut |_| {});
    assert_eq!(empty.unwrap().done().unwrap().added_records, 3);
    store.delete("a").unwrap();
    let deleted = Previewer::new(Some(&store));
    let told = deleted.preview(source(&mut longer.as_bytes(), None), &mut |_| {});
    assert_eq!(told.unwrap().done(), Err(Skip::Deleted("a".into())));
    let told = deleted.again(true);
    let told = told.preview(source(&mut longer.as_bytes(), None), &mut |_| {});
    let told = told.unwrap().done().unwrap();
    assert!(
        told.is_new && told.added_records == told.records,
        "{told:?}"
    );
}
