//! An index that says something else than the log is found, and made anew.

use turnleaf_engine::format::Ordinal;
use turnleaf_projector::rows::Rows;

use crate::{IndexState, ItemsRequest, Order, Store};

fn texts(store: &Store) -> String {
    let request = ItemsRequest {
        thread: "a".into(),
        turn: None,
        all: false,
        cursor: None,
        limit: 100,
        order: Order::Ascending,
    };
    serde_json::to_string(&store.items(&request).unwrap().items).unwrap()
}

#[test]
fn rows_that_the_log_does_not_make_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.create_thread("a").unwrap();
    for text in ["one", "two"] {
        let payload = format!(r#"{{"type":"user_message","message":"{text}","images":[]}}"#);
        let line = format!(
            r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{payload}}}"#
        );
        store.append("a", None, &[line.as_bytes()]).unwrap();
    }
    let shown = texts(&store);
    let verified = |store: &Store| store.verify(None, &mut |_| {}).unwrap();
    assert_eq!(verified(&store).index, IndexState::Right);
    // An item is told of another record, with all checksums, counts and digests right.
    let (number, _) = store.source.find("a").unwrap();
    store
        .index
        .with(|index| {
            let mut batch = index.writer()?;
            let mut rows = batch.thread(number)?;
            let mut row = rows.item(Ordinal(0))?.unwrap();
            row.sources = vec![Ordinal(1)];
            rows.put_item(Ordinal(0), &row)?;
            Ok(batch.commit(true)?)
        })
        .unwrap();
    assert_ne!(texts(&store), shown);
    let report = verified(&store);
    assert!(report.is_log_ok() && !report.is_ok());
    let IndexState::Differs(threads) = report.index else {
        panic!("{:?}", report.index)
    };
    assert_eq!(threads[0].0, "a");
    // Verifying changed nothing; a rebuild does.
    assert_ne!(texts(&store), shown);
    store.rebuild_index(&mut |_| {}).unwrap();
    assert_eq!(texts(&store), shown);
    assert!(verified(&store).is_ok());
}

#[test]
fn what_was_not_applied_yet_is_no_difference() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.create_thread("a").unwrap();
    store.append("a", None, &[b"{}"]).unwrap();
    assert_eq!(store.index_difference("a").unwrap(), None);
    let _ = texts(&store);
    store.append("a", None, &[b"nonsense"]).unwrap();
    assert_eq!(store.index_difference("a").unwrap(), None);
    store.close().unwrap();
    // Beside an owner the index is not looked at.
    let owner = Store::open(dir.path()).unwrap();
    let beside = Store::open_log(dir.path()).unwrap();
    let report = beside.verify(None, &mut |_| {}).unwrap();
    assert_eq!(report.index, IndexState::NotVerified);
    drop(owner);
}

/// What the log cannot show any more is damage of the log, however often that is found.
#[test]
fn records_that_are_damaged_are_no_difference_of_the_index() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.create_thread("a").unwrap();
    store.append("a", None, &[b"one", b"two"]).unwrap();
    let _ = texts(&store);
    store.seal_all().unwrap();
    let [segment] = &store.stats().unwrap().segments[..] else {
        panic!("one segment");
    };
    let mut options = std::fs::File::options();
    let file = options
        .read(true)
        .write(true)
        .open(dir.path().join(&segment.path))
        .unwrap();
    // Behind the headers of the file and of its first block.
    let at = turnleaf_engine::format::segment::HEADER_BYTES as u64 + 80;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    for round in 0..3 {
        let report = store.verify(None, &mut |_| {}).unwrap();
        assert!(!report.damage.is_empty(), "round {round}");
        assert_eq!(report.index, IndexState::Right, "round {round}");
    }
}
