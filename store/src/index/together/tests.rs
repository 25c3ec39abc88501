//! Threads that are taken together, beside others who take one of them.

use super::*;
use crate::Store;

fn message(text: &str) -> Vec<u8> {
    let payload = format!(r#"{{"type":"user_message","message":"{text}","images":[]}}"#);
    format!(r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{payload}}}"#)
        .into_bytes()
}

fn store(dir: &std::path::Path) -> Store {
    let store = Store::open(dir).unwrap();
    for id in ["a", "b"] {
        store.create_thread(id).unwrap();
        store
            .append(id, None, &[&message("1"), &message("2")])
            .unwrap();
    }
    store
}

/// A thread as somebody knew it before others applied its records.
fn unapplied(store: &Store, id: &str) -> Short {
    let (number, reader) = store.source.find(id).unwrap();
    let from = Ordinal(0);
    Short {
        number,
        from,
        reader,
    }
}

/// What was applied meanwhile is not applied again: the rows are those that the log makes.
#[test]
fn records_that_others_applied_are_not_folded_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let both = ["a", "b"].map(|id| unapplied(&store, id));
    store.show("a").unwrap();
    let taken = store.index.with(|index| Ok(store.take_short(index, &both)));
    assert_eq!(taken.unwrap(), None, "one of them was overtaken");
    for id in ["a", "b"] {
        assert_eq!(store.index_difference(id).unwrap(), None);
        let shown = store.show(id).unwrap();
        assert_eq!((shown.records, shown.turns), (2, 2));
    }
}

/// The same for who takes the thread alone.
#[test]
fn a_batch_that_begins_elsewhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    store.show("a").unwrap();
    let Short { number, reader, .. } = unapplied(&store, "a");
    for from in [0, 1, 3] {
        let span = (Ordinal(from), reader.end());
        let fed = store.index.with(|index| {
            let fed = store.feed(index, number, &reader, span);
            Ok(fed.map(|fed| fed.end))
        });
        assert!(fed.unwrap().is_err(), "from {from}");
    }
    assert_eq!(store.index_difference("a").unwrap(), None);
}

/// Rows of a thread that was deleted meanwhile do not come back.
#[test]
fn a_thread_that_was_deleted_meanwhile_gets_no_rows() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let both = ["a", "b"].map(|id| unapplied(&store, id));
    store.delete("a").unwrap();
    let rows = store.index.with(|index| {
        assert_eq!(store.take_short(index, &both), None);
        Ok(index.reader()?.thread(both[0].number)?)
    });
    assert_eq!(rows.unwrap(), None);
}
