//! Forks and reverts as a caller sees them.

use serde_json::Value;

use crate::*;

const A: &str = "019c0000-0000-7000-8000-00000000000a";
const B: &str = "019c0000-0000-7000-8000-00000000000b";

fn line(second: u64, kind: &str, payload: &str) -> String {
    format!(
        "{{\"timestamp\":\"2026-01-01T00:00:{second:02}.000Z\",\"type\":\"{kind}\",\
         \"payload\":{payload}}}"
    )
}

fn head(id: &str) -> String {
    let time = "2026-01-01T00:00:00.000Z";
    let payload = format!(
        r#"{{"id":"{id}","timestamp":"{time}","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null,"history_mode":"paginated"}}"#
    );
    line(0, "session_meta", &payload)
}

/// The lines of a turn in which something is said.
fn turn(second: u64, id: &str, said: &str) -> Vec<String> {
    let item = format!(
        r#"{{"type":"item_completed","thread_id":"{A}","turn_id":"{id}","item":{{"type":"UserMessage","id":"i-{id}","content":[{{"type":"text","text":"{said}"}}]}}}}"#
    );
    vec![
        line(
            second,
            "event_msg",
            &format!(r#"{{"type":"task_started","turn_id":"{id}"}}"#),
        ),
        line(second, "event_msg", &item),
        line(
            second,
            "event_msg",
            &format!(r#"{{"type":"task_complete","turn_id":"{id}"}}"#),
        ),
    ]
}

fn append(store: &Store, id: &str, lines: &[String]) -> Appended {
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    store.append(id, None, &lines).unwrap()
}

/// A store with a thread of three turns.
fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    store.create_thread(A).unwrap();
    append(&store, A, &[head(A)]);
    for number in 1..4 {
        append(
            &store,
            A,
            &turn(number, &format!("t{number}"), &format!("said {number}")),
        );
    }
    (dir, store)
}

fn turns(store: &Store, id: &str) -> Vec<Value> {
    let request = TurnsRequest {
        thread: id.to_owned(),
        cursor: None,
        limit: 100,
        order: Order::Ascending,
        items: ItemsView::Full,
    };
    store.turns(&request).unwrap().values()
}

fn turn_ids(store: &Store, id: &str) -> String {
    let turns = turns(store, id);
    let ids: Vec<_> = turns
        .iter()
        .map(|turn| turn["id"].as_str().unwrap())
        .collect();
    ids.join(" ")
}

#[test]
fn a_fork_shows_what_was_there_and_goes_on_alone() {
    let (_dir, store) = store();
    store.set_name(A, "the first").unwrap();
    let fork = |id: &str, point| store.fork(A, id, &point).unwrap().inherited.0;
    assert_eq!(fork(B, ForkPoint::ThroughTurn("t2".into())), 7);
    assert_eq!(fork("before", ForkPoint::BeforeTurn("t2".into())), 4);
    assert_eq!(fork("latest", ForkPoint::Latest), 11);
    assert_eq!(fork("some", ForkPoint::AtOrdinal(Ordinal(5))), 5);
    assert_eq!(fork("nothing", ForkPoint::AtOrdinal(Ordinal(0))), 0);
    assert_eq!(turn_ids(&store, B), "t1 t2");
    assert_eq!(turn_ids(&store, "before"), "t1");
    assert_eq!(turn_ids(&store, "latest"), "t1 t2 t3");
    assert_eq!(turn_ids(&store, "nothing"), "");
    append(&store, B, &turn(9, "t9", "said in the fork"));
    append(&store, A, &turn(10, "t10", "said in the first"));
    assert_eq!(turn_ids(&store, B), "t1 t2 t9");
    assert_eq!(turn_ids(&store, A), "t1 t2 t3 t10");
    // A turn that the cut divides is open no more in a thread that nobody works on.
    let cut = turns(&store, "some");
    assert_eq!(cut[1]["status"], "interrupted");
    assert_eq!(cut[1]["items"].as_array().unwrap().len(), 0);
    let shown = store.show(B).unwrap();
    assert_eq!(shown.thread["name"], Value::Null);
    assert_eq!(shown.thread["forkedFromId"], A);
    let of_base = store.show(A).unwrap().thread;
    assert_eq!(shown.thread["preview"], of_base["preview"]);
    assert_eq!(shown.thread["cwd"], "/w");
    assert_eq!(store.forks_of(A).unwrap(), [B, "before", "latest", "some"]);
    // Others go on from it.
    let refused = store.delete(A).unwrap_err();
    assert!(refused.to_string().contains("before, latest"), "{refused}");
    for id in [B, "before", "latest", "some", A] {
        store.delete(id).unwrap();
    }
}

#[test]
fn a_revert_takes_turns_back_and_keeps_the_name() {
    let (dir, store) = store();
    store.set_name(A, "the first").unwrap();
    let request = TurnsRequest {
        thread: A.to_owned(),
        cursor: None,
        limit: 1,
        order: Order::Ascending,
        items: ItemsView::NotLoaded,
    };
    let cursor = store.turns(&request).unwrap().next_cursor;
    let reverted = store.revert(A, "t2").unwrap();
    assert_eq!(reverted.inherited, Ordinal(4));
    assert_eq!(turn_ids(&store, A), "t1");
    assert_eq!(store.show(A).unwrap().thread["name"], "the first");
    let stale = store.turns(&TurnsRequest { cursor, ..request });
    assert_eq!(stale.unwrap_err().kind(), ErrorKind::Invalid);
    let appended = append(&store, A, &turn(8, "t8", "said instead"));
    assert_eq!((appended.first, appended.end), (Ordinal(5), Ordinal(8)));
    let lines = turn(8, "t8", "said instead");
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    assert!(store.append(A, Some(Ordinal(5)), &lines).unwrap().duplicate);
    assert!(store.append(A, Some(Ordinal(2)), &lines).is_err());
    // A revert of the revert, and one beyond the base.
    store.revert(A, "t8").unwrap();
    append(&store, A, &turn(9, "t9", "said at last"));
    assert_eq!(turn_ids(&store, A), "t1 t9");
    assert_eq!(store.rollback(A, 2).unwrap().inherited, Ordinal(1));
    append(&store, A, &turn(10, "t10", "begun anew"));
    let check = |store: &Store| {
        assert_eq!(turn_ids(store, A), "t10");
        let rollouts = store.rollouts(A).unwrap();
        let of: Vec<_> = rollouts
            .iter()
            .map(|info| (info.is_current, info.records))
            .collect();
        assert_eq!(of, [(false, 11), (false, 4), (false, 4), (true, 4)]);
        assert_eq!(rollouts[0].base, None);
        let base = rollouts[3].base.clone().unwrap();
        assert_eq!((base.thread.as_str(), base.id.as_str()), (A, A));
        assert_eq!(base.end, Ordinal(1));
        assert_eq!(store.show(A).unwrap().thread["name"], "the first");
        assert!(store.verify(None, &mut |_| {}).unwrap().is_ok());
    };
    check(&store);
    store.seal_all().unwrap();
    check(&store);
    store.close().unwrap();
    let path = dir.path().join("store");
    std::fs::remove_file(path.join("index.redb")).unwrap();
    let store = Store::open(&path).unwrap();
    check(&store);
    store.delete(A).unwrap();
    assert!(store.rollouts(A).is_err());
    store.close().unwrap();
    assert_eq!(Store::open(&path).unwrap().log_threads().len(), 0);
}

/// A thread that is taken back to before anybody spoke is still called by what was said first, and
/// began when it began; a fork of it is called by what it shows.
#[test]
fn a_thread_keeps_what_it_is_called_by() {
    let (dir, store) = store();
    // One whose first record begins a turn, so that nothing is left of it.
    store.create_thread("bare").unwrap();
    append(&store, "bare", &turn(5, "t5", "said 1"));
    let facts = |store: &Store, id: &str| {
        let thread = store.show(id).unwrap().thread;
        [thread["preview"].clone(), thread["createdAt"].clone()]
    };
    let before = [A, "bare"].map(|id| facts(&store, id));
    assert_eq!(before[0][0], "said 1");
    store.fork(A, "base", &ForkPoint::Latest).unwrap();
    let of_fork = append(&store, "base", &turn(7, "t7", "said in a fork"));
    assert_eq!(of_fork.end, Ordinal(13));
    for (id, turn) in [(A, "t1"), ("bare", "t5"), ("base", "t1")] {
        store.revert(id, turn).unwrap();
    }
    assert_eq!([A, "bare"].map(|id| facts(&store, id)), before);
    assert_eq!(store.index_difference("bare").unwrap(), None);
    assert_eq!(facts(&store, "base")[0], "said 1");
    append(&store, A, &turn(8, "t8", "said anew"));
    append(&store, "bare", &turn(8, "t8", "said anew"));
    store.revert(A, "t8").unwrap();
    append(&store, A, &turn(9, "t9", "said at last"));
    store.fork(A, B, &ForkPoint::Latest).unwrap();
    let check = |store: &Store| {
        assert_eq!([A, "bare"].map(|id| facts(store, id)), before);
        assert_eq!(turn_ids(store, A), "t9");
        assert_eq!(turn_ids(store, "bare"), "t8");
        assert_eq!(facts(store, B)[0], "said at last");
        let found = ["bare", A, "base", B].map(|id| store.index_difference(id).unwrap());
        assert_eq!(found, [const { None }; 4]);
    };
    check(&store);
    store.seal_all().unwrap();
    store.rebuild_index(&mut |_| {}).unwrap();
    check(&store);
    store.close().unwrap();
    check(&Store::open(&dir.path().join("store")).unwrap());
}

#[test]
fn a_name_that_was_taken_away_stays_away() {
    let (_dir, store) = store();
    store.set_name(A, "for a while").unwrap();
    append(&store, A, &turn(7, "t7", "said under that name"));
    store.set_name(A, "").unwrap();
    store.revert(A, "t7").unwrap();
    assert_eq!(store.show(A).unwrap().thread["name"], Value::Null);
}

/// A fork is a thread of its own before it has a record of its own.
#[test]
fn a_fork_without_a_record_has_no_name_of_its_origin() {
    let (_dir, store) = store();
    store.set_name(A, "the first").unwrap();
    store.fork(A, B, &ForkPoint::Latest).unwrap();
    assert_eq!(store.rollouts(B).unwrap()[0].records, 0);
    let shown = store.show(B).unwrap();
    assert_eq!(shown.thread["name"], Value::Null);
    assert_eq!(shown.thread["forkedFromId"], A);
    assert_eq!(turn_ids(&store, B), "t1 t2 t3");
    append(&store, B, &turn(8, "t8", "said in the fork"));
    assert_eq!(store.show(B).unwrap().thread["name"], Value::Null);
    assert_eq!(turn_ids(&store, B), "t1 t2 t3 t8");
}

/// Reverts beside each other and beside appends: each is made on what the one before left.
#[test]
fn reverts_at_once_take_back_one_turn_each() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| store.rollback(A, 1).unwrap());
        }
    });
    assert_eq!(turn_ids(&store, A), "t1");
    assert!(store.verify(None, &mut |_| {}).unwrap().is_ok());
}

/// The index of what was shown without its base is not gone on with.
#[test]
fn a_base_that_is_found_later_is_shown() {
    let (dir, store) = store();
    for number in 20..60 {
        append(
            &store,
            A,
            &turn(number, &format!("t{number}"), "said for long"),
        );
    }
    let committer = store.source.owner().unwrap();
    let id = |id: &str| turnleaf_engine::format::ThreadId::parse(id).unwrap();
    store.create_thread(B).unwrap();
    let thread = store.source.find_thread(B).unwrap();
    let awaited = turnleaf_engine::format::catalogue::Awaited {
        id: id(A),
        stated_end: 124,
        stated_bytes: 0,
    };
    let mut log = committer.lock();
    let origin = Some(turnleaf_engine::Origin::Awaited(awaited));
    let (rollout, ticket) = log.stage_rollout(thread, &id("r"), origin, true).unwrap();
    committer.settle(log, ticket).unwrap();
    append(&store, B, &turn(8, "t8", "said behind it"));
    append(&store, B, &turn(9, "t9", "said behind it"));
    assert_eq!(turn_ids(&store, B), "t8 t9");
    // Within a run the chain is not known without reading.
    store.seal_all().unwrap();
    let (_, reader) = store.source.find(A).unwrap();
    let base = reader.base_at(Ordinal(124)).unwrap().unwrap();
    let mut log = committer.lock();
    let ticket = log.stage_origin(rollout, turnleaf_engine::Origin::Base(base));
    committer.settle(log, ticket.unwrap()).unwrap();
    let check = |store: &Store| {
        let shown = turn_ids(store, B);
        assert!(
            shown.starts_with("t1 t2 t3 t20") && shown.ends_with("t57 t8 t9"),
            "{shown}"
        );
        assert!(store.verify(None, &mut |_| {}).unwrap().is_ok());
    };
    check(&store);
    store.close().unwrap();
    check(&Store::open(&dir.path().join("store")).unwrap());
}

/// What a lineage shows is what its records would show in one piece: for forks and reverts at any
/// record, and for forks of those.
#[test]
fn a_lineage_is_folded_like_its_records() {
    for case in crate::tests::cases() {
        let Some(bytes) = crate::tests::file(&case, "rollout.jsonl") else {
            continue;
        };
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let lines = &lines[..lines.len() - 1];
        if lines.len() < 4 || lines.len() > 400 || bytes.len() > 1 << 20 {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        store.create_thread("whole").unwrap();
        store.append("whole", None, lines).unwrap();
        let whole = turns(&store, "whole");
        let step = lines.len() / 3;
        for cut in std::collections::BTreeSet::from([1, step, 2 * step, lines.len() - 1]) {
            let at = cut as u64;
            let (fork, again) = (format!("fork-{cut}"), format!("again-{cut}"));
            fork_with_context(&store, "whole", &fork, at);
            let middle = usize::midpoint(cut, lines.len());
            if cut < middle {
                store.append(&fork, None, &lines[cut..middle]).unwrap();
            }
            store.fork(&fork, &again, &ForkPoint::Latest).unwrap();
            for (id, from) in [(&fork, middle), (&again, middle)] {
                if from < lines.len() {
                    store.append(id, None, &lines[from..]).unwrap();
                }
                let shown = turns(&store, id);
                assert_eq!(shown, whole, "{} cut at {cut}: {id}", case.display());
            }
            for (part, at) in [1, cut, middle].into_iter().enumerate() {
                let probe = format!("{again}-{part}");
                fork_with_context(&store, &again, &probe, at.min(lines.len()) as u64);
            }
        }
    }
}

/// Forks a thread; the fork resumes with what was said that it would.
fn fork_with_context(store: &Store, of: &str, fork: &str, at: u64) {
    let point = ForkPoint::AtOrdinal(Ordinal(at));
    let context = |id: &str, upto: &ForkPoint| {
        let mut lines = Vec::new();
        let report = store.context(id, upto, &mut lines).unwrap();
        let ordinals = store.context_ordinals(id, upto).unwrap();
        (lines, report, ordinals)
    };
    let foreseen = context(of, &point);
    store.fork(of, fork, &point).unwrap();
    assert!(
        foreseen == context(fork, &ForkPoint::Latest),
        "{of} at {at}"
    );
}
