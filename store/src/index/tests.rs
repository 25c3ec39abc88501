//! One index for many OS threads, while others append.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::tests::all_threads;
use crate::*;

fn message(number: usize) -> Vec<u8> {
    let payload = format!(r#"{{"type":"user_message","message":"{number}","images":[]}}"#);
    format!(r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{payload}}}"#)
        .into_bytes()
}

fn newest(store: &Store) -> Vec<serde_json::Value> {
    let request = TurnsRequest {
        thread: "a".into(),
        cursor: None,
        limit: 1,
        order: Order::Descending,
        items: ItemsView::Summary,
    };
    store.turns(&request).unwrap().values()
}

/// A reader that waited for the index must not compare what it knew before with rows that others
/// applied meanwhile: it took them for records that the log had lost, and closed the thread.
#[test]
fn readers_that_wait_for_each_other_do_not_see_a_loss() {
    const APPENDS: usize = 400;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.create_thread("a").unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = newest(&store);
                    assert_eq!(store.index_difference("a").unwrap(), None);
                }
            });
        }
        for number in 0..APPENDS {
            let appended = store.append("a", None, &[&message(number)]);
            if appended.is_err() {
                done.store(true, Ordering::Relaxed);
            }
            assert_eq!(appended.unwrap().first.0, number as u64);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(store.damage_seen(), []);
    let shown = store.show("a").unwrap();
    assert_eq!((shown.records, shown.turns), (400, 400));
}

/// The index file is its owner's: whoever reads beside one keeps an index in memory.
#[test]
fn a_reader_beside_an_owner_leaves_the_index_alone() {
    let dir = tempfile::tempdir().unwrap();
    let owner = Store::open(dir.path()).unwrap();
    owner.create_thread("a").unwrap();
    owner.append("a", None, &[&message(0)]).unwrap();
    assert_eq!(newest(&owner).len(), 1);
    owner.append("a", None, &[&message(1)]).unwrap();
    let file = || std::fs::read(dir.path().join("index.redb")).unwrap();
    let before = file();
    let reader = Store::open_log(dir.path()).unwrap();
    assert_eq!(newest(&reader)[0]["items"][0]["content"][0]["text"], "1");
    let refused = reader.rebuild_index(&mut |_| {}).map(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert!(file() == before, "the index of the owner was written");
}

#[test]
fn times_are_told_in_milliseconds() {
    // The clock of an owner. Only one that is cut to seconds tells none but whole ones.
    let is_whole = |_: &u32| system_owner().since_ms % 1000 == 0;
    assert!((0..10_000_000).take_while(is_whole).count() < 10_000_000);
    // Times of lines order threads, and are those of items.
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for (id, time) in [("a", "00.002Z"), ("b", "00.001Z"), ("c", "00.003Z")] {
        let line = String::from_utf8(message(1)).unwrap();
        let line = line.replace("00Z", time);
        store.create_thread(id).unwrap();
        store.append(id, None, &[line.as_bytes()]).unwrap();
    }
    assert_eq!(list(&store, Order::Ascending, 10), ["b", "a", "c"]);
    let request = ItemsRequest {
        thread: "c".into(),
        turn: None,
        all: false,
        cursor: None,
        limit: 1,
        order: Order::Ascending,
    };
    let item = &store.items(&request).unwrap().values()[0];
    assert_eq!(item["createdAtMs"], 1_767_225_600_003_i64);
}

/// Ids of all threads by their latest record, in pages of so many.
fn list(store: &Store, order: Order, limit: usize) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let page = ThreadsRequest {
            cursor,
            limit,
            order,
            sort: SortKey::Updated,
            ..all_threads()
        };
        let page = store.threads(&page).unwrap();
        let shown = page.threads.iter();
        ids.extend(shown.map(|thread| thread["id"].as_str().unwrap().to_owned()));
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return ids,
        }
    }
}

#[test]
fn threads_of_one_time_are_listed_once_each_behind_any_cursor() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let ids = ["e", "c", "a", "d", "b"];
    for id in ids {
        store.create_thread(id).unwrap();
        store.append(id, None, &[&message(1)]).unwrap();
    }
    let backwards: Vec<&str> = ids.iter().rev().copied().collect();
    for limit in 1..=6 {
        assert_eq!(list(&store, Order::Ascending, limit), ids);
        assert_eq!(list(&store, Order::Descending, limit), backwards);
    }
}

/// More of a first rollout in which nobody speaks folds nothing of what is shown anew; what is said
/// in it at last does.
#[test]
fn a_first_rollout_that_grows_unspoken_costs_nothing_that_is_shown() {
    const T: &str = "019d0000-0000-7000-8000-000000000001";
    const B: &str = "019d0000-0001-7000-8000-0000000000b1";
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let line = |kind: &str, payload: &str| {
        let time = "2026-01-01T00:00:00.000Z";
        format!("{{\"timestamp\":\"{time}\",\"type\":\"{kind}\",\"payload\":{payload}}}\n")
    };
    let head = format!(
        r#"{{"id":"{T}","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w","originator":"t","cli_version":"0","source":"cli","history_mode":"legacy"}}"#
    );
    let head = line("session_meta", &head);
    let said = |text: &str| {
        let payload = format!(r#"{{"type":"user_message","message":"{text}","images":[]}}"#);
        line("event_msg", &payload)
    };
    let import = |name: &str, text: &str| {
        let source = ImportSource {
            path: &format!("/s/rollout-2026-01-01T00-00-00-{name}.jsonl"),
            thread_hint: None,
            plain: &mut text.as_bytes(),
            file_bytes: text.len() as u64,
            modified_ns: 1,
            archived: false,
        };
        store.import(source, &mut |_| {}).unwrap().done().unwrap();
    };
    let applied = || {
        store
            .index
            .with(|index| Ok(store.catch_up(index, T)?.bytes))
    };
    let preview = || store.show(T).unwrap().thread["preview"].clone();
    let mut first = head.clone() + &line("event_msg", r#"{"type":"token_count"}"#).repeat(40);
    import(T, &first);
    import(&format!("{T}_{B}"), &(head + &said("anew")));
    assert_eq!(preview(), "anew");
    for _ in 0..3 {
        first += &line("event_msg", r#"{"type":"token_count"}"#);
        import(T, &first);
        assert_eq!(applied().unwrap(), 0);
        assert_eq!(preview(), "anew");
    }
    first += &said("at first");
    import(T, &first);
    assert!(applied().unwrap() > 0);
    assert_eq!(preview(), "at first");
    assert_eq!(store.index_difference(T).unwrap(), None);
}
