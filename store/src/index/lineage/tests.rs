//! What forks and reverted threads take from the rows of others, and what is folded for them.

use turnleaf_engine::format::{ThreadChain, ThreadNumber};
use turnleaf_projector::fold::ThreadState;
use turnleaf_projector::index::{Shared, ThreadRow};

use crate::*;

fn line(payload: &str) -> String {
    format!(r#"{{"timestamp":"2026-01-01T00:00:01.000Z","type":"event_msg","payload":{payload}}}"#)
}

/// A turn in which a user says something and is answered, as legacy threads have it.
fn turn(id: &str) -> Vec<String> {
    vec![
        line(&format!(r#"{{"type":"task_started","turn_id":"{id}"}}"#)),
        line(&format!(
            r#"{{"type":"user_message","message":"ask {id}"}}"#
        )),
        line(&format!(
            r#"{{"type":"agent_message","message":"say {id}"}}"#
        )),
        line(&format!(r#"{{"type":"task_complete","turn_id":"{id}"}}"#)),
    ]
}

fn append(store: &Store, id: &str, lines: &[String]) {
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    store.append(id, None, &lines).unwrap();
}

fn store(turns: usize) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    store.create_thread("a").unwrap();
    for number in 0..turns {
        append(&store, "a", &turn(&format!("t{number}")));
    }
    (dir, store)
}

fn turns(store: &Store, id: &str) -> Vec<String> {
    let request = TurnsRequest {
        thread: id.to_owned(),
        cursor: None,
        limit: 1000,
        order: Order::Ascending,
        items: ItemsView::Full,
    };
    let page = store.turns(&request).unwrap();
    page.turns.into_iter().map(|turn| turn.id).collect()
}

fn row(store: &Store, rollout: ThreadNumber) -> ThreadRow {
    let row = store
        .index
        .with(|index| Ok(index.reader()?.thread(rollout)?));
    row.unwrap().unwrap_or_default()
}

/// The row of the rollout that a thread shows.
fn shown(store: &Store, id: &str) -> ThreadRow {
    row(store, store.source.find(id).unwrap().0)
}

/// The threads in the index are as the log makes them, and as a new index has them.
fn is_right(store: &Store, ids: &[&str]) {
    let before: Vec<_> = ids.iter().map(|id| turns(store, id)).collect();
    for id in ids {
        assert_eq!(store.index_difference(id).unwrap(), None, "{id}");
    }
    store.rebuild_index(&mut |_| {}).unwrap();
    let after: Vec<_> = ids.iter().map(|id| turns(store, id)).collect();
    assert_eq!(before, after);
    for id in ids {
        assert_eq!(store.index_difference(id).unwrap(), None, "{id}");
    }
}

#[test]
fn a_fork_has_rows_of_its_own_turns_alone() {
    let (_dir, store) = store(40);
    assert_eq!(turns(&store, "a").len(), 40);
    let of_base = row(&store, ThreadNumber(1)).rows;
    store.fork("a", "b", &ForkPoint::Latest).unwrap();
    store
        .fork("a", "c", &ForkPoint::BeforeTurn("t20".into()))
        .unwrap();
    append(&store, "b", &turn("mine"));
    append(&store, "a", &turn("t40"));
    assert_eq!(turns(&store, "b").len(), 41);
    assert_eq!(turns(&store, "c").len(), 20);
    // The last turn that is inherited and the own one; and up to the cut.
    assert!(shown(&store, "b").rows * 15 < of_base);
    assert!(shown(&store, "c").rows * 15 < of_base);
    // A fork of a fork takes from whoever has the rows.
    store.fork("b", "d", &ForkPoint::Latest).unwrap();
    append(&store, "d", &turn("mine too"));
    assert_eq!(turns(&store, "d").len(), 42);
    assert!(shown(&store, "d").rows * 15 < of_base);
    is_right(&store, &["a", "b", "c", "d"]);
}

#[test]
fn a_reverted_thread_keeps_the_rows_it_had() {
    let (_dir, store) = store(40);
    turns(&store, "a");
    let of_base = row(&store, ThreadNumber(1)).rows;
    for last in ["t38", "t37", "t30"] {
        store.revert("a", last).unwrap();
        append(&store, "a", &turn("anew"));
        assert_eq!(turns(&store, "a").last().unwrap(), "anew");
        assert!(shown(&store, "a").rows * 15 < of_base);
        assert_eq!(store.show("a").unwrap().thread["preview"], "ask t0");
        append(&store, "a", &turn("and more"));
    }
    store.fork("a", "b", &ForkPoint::Latest).unwrap();
    assert_eq!(turns(&store, "b").len(), 32);
    assert!(shown(&store, "b").rows * 10 < of_base);
    is_right(&store, &["a", "b"]);
}

/// A rollback in either of them takes back turns that both show.
#[test]
fn a_change_before_the_cut_is_one_of_whoever_makes_it() {
    let roll_back = |turns: u32| {
        let payload = format!(r#"{{"type":"thread_rolled_back","num_turns":{turns}}}"#);
        vec![line(&payload)]
    };
    let (_dir, store) = store(40);
    store.fork("a", "b", &ForkPoint::Latest).unwrap();
    store.fork("a", "c", &ForkPoint::Latest).unwrap();
    for id in ["a", "b", "c"] {
        assert_eq!(turns(&store, id).len(), 40);
    }
    // It is nobody's business what a base does behind the cut.
    append(&store, "a", &turn("t40"));
    append(&store, "a", &roll_back(1));
    assert_eq!(turns(&store, "a").len(), 40);
    assert!(matches!(shown(&store, "b").shared, Shared::Prefix(_)));
    append(&store, "a", &roll_back(5));
    assert_eq!(turns(&store, "a").len(), 35);
    assert_eq!(shown(&store, "b").shared, Shared::Broken);
    assert_eq!(turns(&store, "b").len(), 40);
    append(&store, "c", &roll_back(8));
    append(&store, "c", &turn("mine"));
    assert_eq!(turns(&store, "c").len(), 33);
    assert_eq!(shown(&store, "c").shared, Shared::Nothing);
    is_right(&store, &["a", "b", "c"]);
}

/// Rows of a base that are not those of the log take with them whatever shows them, at the first
/// look at any of them.
#[test]
fn rows_of_another_history_are_shown_by_nobody() {
    let (dir, store) = store(40);
    store.fork("a", "b", &ForkPoint::Latest).unwrap();
    append(&store, "b", &turn("b1"));
    append(&store, "b", &turn("b2"));
    store.fork("b", "c", &ForkPoint::Latest).unwrap();
    append(&store, "c", &turn("c1"));
    assert_eq!(turns(&store, "c").len(), 43);
    let spoil = store.index.with(|index| {
        let mut batch = index.writer()?;
        let mut rows = batch.thread(ThreadNumber(1))?;
        let end = rows.row().applied_end;
        let state = rows.state::<ThreadState>()?.unwrap();
        rows.put_watermark(end, ThreadChain(7), &state)?;
        Ok(batch.commit(true)?)
    });
    spoil.unwrap();
    store.close().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    assert_eq!(turns(&store, "c").len(), 43);
    is_right(&store, &["a", "b", "c"]);
}

/// Lists show what the index knew of a thread whose rows are to be made anew.
#[test]
fn lists_show_a_thread_whose_base_changed() {
    let (dir, store) = store(40);
    store.fork("a", "b", &ForkPoint::Latest).unwrap();
    append(&store, "b", &turn("mine"));
    store.set_name("b", "called so").unwrap();
    turns(&store, "b");
    let roll_back = line(r#"{"type":"thread_rolled_back","num_turns":9}"#);
    append(&store, "a", &[roll_back]);
    turns(&store, "a");
    assert_eq!(shown(&store, "b").shared, Shared::Broken);
    store.close().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let page = store.threads(&crate::tests::all_threads());
    let names = page
        .unwrap()
        .threads
        .into_iter()
        .map(|thread| thread["name"].clone());
    assert!(names.collect::<Vec<_>>().contains(&"called so".into()));
    assert_eq!(turns(&store, "b").len(), 41);
    assert!(matches!(shown(&store, "b").shared, Shared::Prefix(_)));
}
