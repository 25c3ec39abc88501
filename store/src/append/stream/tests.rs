//! Lines from a stream, and the thread that they may begin.

use crate::*;

const HEAD: &str = r#"{"timestamp":"2026-01-01T00:00:00.000Z","type":"session_meta","payload":{"id":"a","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w","originator":"t","cli_version":"0"}}"#;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

/// What is told of the batches: first ordinal and end.
fn append(
    store: &Store,
    text: &str,
    batch_lines: usize,
    create: bool,
) -> Result<Vec<(u64, u64)>, StreamError> {
    let mut told = Vec::new();
    let stream = AppendStream {
        thread: "a",
        input: &mut text.as_bytes(),
        batch_lines,
        create,
    };
    store.append_stream(stream, &mut |appended| {
        told.push((appended.first.0, appended.end.0));
        Ok(())
    })?;
    Ok(told)
}

fn exported(store: &Store) -> String {
    let mut out = Vec::new();
    store.export("a", .., &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn lines_come_in_batches_without_their_line_feeds() {
    let (_dir, store) = store();
    store.create_thread("a").unwrap();
    assert_eq!(append(&store, "", 2, false).unwrap(), []);
    let told = append(&store, "one\n\nthree\n", 2, false).unwrap();
    assert_eq!(told, [(0, 2), (2, 3)]);
    let told = append(&store, "four\nfive", 2, false).unwrap();
    assert_eq!(told, [(3, 5)], "the last line needs no line feed");
    assert_eq!(exported(&store), "one\n\nthree\nfour\nfive\n");
}

#[test]
fn a_thread_is_created_from_its_own_head_alone() {
    let (_dir, store) = store();
    let refused = append(&store, "one\n", 1, false);
    assert!(matches!(
        refused,
        Err(StreamError::Store(Error::NoThread(_)))
    ));
    for text in ["", "one\n"] {
        let refused = append(&store, text, 1, true);
        assert!(matches!(refused, Err(StreamError::NoHead)), "{text:?}");
    }
    let other = HEAD.replace(r#""id":"a""#, r#""id":"b""#);
    let refused = append(&store, &other, 1, true);
    assert!(matches!(refused, Err(StreamError::OtherHead(id)) if id == "b"));
    assert!(store.log_threads().is_empty());
    let told = append(&store, &format!("{HEAD}\none\n"), 1, true).unwrap();
    assert_eq!(told, [(0, 1), (1, 2)]);
    // It is there now: lines of any kind are taken.
    assert_eq!(append(&store, "two\n", 1, true).unwrap(), [(2, 3)]);
    assert_eq!(exported(&store), format!("{HEAD}\none\ntwo\n"));
}
