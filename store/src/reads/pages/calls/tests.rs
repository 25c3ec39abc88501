//! Commands that only response items hold, among items, in pages of every size.

use serde_json::{Value, json};

use crate::tests::noise;
use crate::{ImportSource, ItemsRequest, Order, Store};

fn append(store: &Store, kind: &str, payload: &Value) {
    let line = json!({ "timestamp": "2026-07-09T10:00:00Z", "type": kind, "payload": payload });
    store
        .append("a", None, &[line.to_string().as_bytes()])
        .unwrap();
}

fn said(store: &Store, text: &str) {
    append(
        store,
        "event_msg",
        &json!({ "type": "user_message", "message": text }),
    );
}

fn ran(store: &Store, id: &str) {
    let arguments = json!({ "command": ["ls", id] }).to_string();
    let call = json!({
        "type": "function_call", "name": "shell", "arguments": arguments, "call_id": id,
    });
    append(store, "response_item", &call);
    let told = json!({ "output": "x\n", "metadata": { "exit_code": 0, "duration_seconds": 1.5 } });
    let output = json!({
        "type": "function_call_output", "call_id": id, "output": told.to_string(),
    });
    append(store, "response_item", &output);
}

/// The event that tells of the same command, as older agents wrote it.
fn told(store: &Store, turn: &str, id: &str) {
    let end = json!({
        "type": "exec_command_end", "call_id": id, "turn_id": turn, "command": ["ls"],
        "cwd": "/w", "parsed_cmd": [], "stdout": "", "stderr": "", "exit_code": 0,
        "duration": { "secs": 0, "nanos": 0 }, "formatted_output": "", "status": "completed",
    });
    append(store, "event_msg", &end);
}

fn store(dir: &std::path::Path) -> Store {
    let store = Store::open(dir).unwrap();
    store.create_thread("a").unwrap();
    let head = json!({
        "id": "019f0000-0000-7000-8000-000000000001", "timestamp": "2026-07-09T10:00:00Z",
        "cwd": "/home/w", "originator": "o", "cli_version": "0",
    });
    append(&store, "session_meta", &head);
    said(&store, "one");
    for id in ["a", "b", "c"] {
        ran(&store, id);
    }
    said(&store, "two");
    for id in ["d", "e"] {
        ran(&store, id);
        told(&store, "rollout-8", id);
    }
    ran(&store, "f");
    store
}

fn listed(store: &Store, turn: Option<&str>, all: bool, limit: usize, order: Order) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.items(&ItemsRequest {
            thread: "a".into(),
            turn: turn.map(str::to_owned),
            all,
            cursor,
            limit,
            order,
        });
        let page = page.unwrap();
        assert!(page.items.len() <= limit);
        rows.extend(page.values());
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return rows,
        }
    }
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|row| row["itemId"].as_str().unwrap())
        .collect()
}

#[test]
fn calls_stand_among_the_items_when_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let turns = [
        (None, vec!["item-1", "a", "b", "c", "item-2", "d", "e", "f"]),
        (Some("rollout-1"), vec!["item-1", "a", "b", "c"]),
        (Some("rollout-8"), vec!["item-2", "d", "e", "f"]),
    ];
    for (turn, expected) in turns {
        for order in [Order::Ascending, Order::Descending] {
            for limit in 1..10 {
                let mut rows = listed(&store, turn, true, limit, order);
                if order == Order::Descending {
                    rows.reverse();
                }
                assert_eq!(ids(&rows), expected, "{turn:?}, {order:?}, {limit}");
            }
        }
    }
    // The runtime shows those only that an event tells of.
    let plain = listed(&store, None, false, 3, Order::Ascending);
    assert_eq!(ids(&plain), ["item-1", "item-2", "d", "e"]);
    assert_eq!(store.show("a").unwrap().items, 4);
    let rows = listed(&store, None, true, 100, Order::Ascending);
    let at = 1_783_591_200_000_i64;
    let expected = json!({
        "turnId": "rollout-1", "itemId": "a", "createdAtMs": at, "startedAtMs": at,
        "completedAtMs": at, "ordinal": 2,
        "item": {
            "type": "commandExecution", "id": "a", "command": "ls a", "cwd": "/home/w",
            "processId": null, "source": "agent", "status": "completed",
            "commandActions": [{ "type": "unknown", "command": "ls a" }],
            "aggregatedOutput": "x\n", "exitCode": 0, "durationMs": 1500,
            "startedAtMs": at, "completedAtMs": at,
        },
    });
    assert_eq!(rows[1], expected);
    store.rebuild_index(&mut |_| {}).unwrap();
    assert_eq!(listed(&store, None, true, 100, Order::Ascending), rows);
    assert!(store.verify(None, &mut |_| {}).unwrap().is_ok());
}

#[test]
fn a_cursor_serves_the_list_with_calls_and_the_one_without() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let ask = |all, cursor| {
        let page = store.items(&ItemsRequest {
            thread: "a".into(),
            turn: None,
            all,
            cursor,
            limit: 2,
            order: Order::Ascending,
        });
        page.unwrap()
    };
    let first = ask(true, None);
    assert_eq!(ids(&first.values()), ["item-1", "a"]);
    let next = ask(false, first.next_cursor.clone());
    assert_eq!(ids(&next.values()), ["item-2", "d"]);
    assert_eq!(ids(&ask(true, first.next_cursor).values()), ["b", "c"]);
}

/// A command that nothing says the end of goes on as long as its turn does.
#[test]
fn a_command_without_an_output_goes_on_with_its_turn_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let call = json!({
        "type": "function_call", "name": "shell", "arguments": "{}", "call_id": "open",
    });
    let status = |store: &Store, id: &str| {
        let rows = listed(store, None, true, 100, Order::Ascending);
        let row = rows.into_iter().find(|row| row["itemId"] == id).unwrap();
        row["item"]["status"].clone()
    };
    append(&store, "response_item", &call);
    let ended = json!({ "type": "task_complete", "turn_id": "t" });
    let begun = json!({ "type": "task_started", "turn_id": "t", "model_context_window": null });
    append(&store, "event_msg", &begun);
    let mut later = call.clone();
    later["call_id"] = json!("later");
    append(&store, "response_item", &later);
    assert_eq!(
        (status(&store, "open"), status(&store, "later")),
        (json!("failed"), json!("inProgress"))
    );
    append(&store, "event_msg", &ended);
    assert_eq!(status(&store, "later"), "failed");
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(status(&store, "later"), "failed");
}

/// How a command ended whose output cannot be read is not known: it is left out, as other items
/// are, and is not said to have failed.
#[test]
fn a_command_whose_output_is_damaged_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let call = json!({
        "type": "function_call", "name": "shell", "arguments": "{}", "call_id": "large",
    });
    append(&store, "response_item", &call);
    let told = json!({ "output": noise(1 << 19), "metadata": { "exit_code": 0 } });
    let output = json!({
        "type": "function_call_output", "call_id": "large", "output": told.to_string(),
    });
    append(&store, "response_item", &output);
    store.seal_all().unwrap();
    let has = |store: &Store| {
        let rows = listed(store, None, true, 100, Order::Ascending);
        let found = rows.into_iter().find(|row| row["itemId"] == "large");
        found.map(|row| row["item"]["status"].clone())
    };
    assert_eq!(has(&store), Some(json!("completed")));
    store.close().unwrap();
    let segments = std::fs::read_dir(dir.path().join("segments")).unwrap();
    let mut paths: Vec<_> = segments.map(|entry| entry.unwrap().path()).collect();
    paths.sort_by_key(|path| path.metadata().unwrap().len());
    let largest = paths.pop().unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(has(&store), None);
    assert_ne!(store.damage_seen(), []);
    store.close().unwrap();
    // Nor when a repair gave the output up and the rows do not know that there was one.
    Store::repair(dir.path(), None).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_ne!(store.given_up("a").unwrap(), []);
    for _ in 0..2 {
        assert_eq!(has(&store), None);
        store.rebuild_index(&mut |_| {}).unwrap();
    }
    // A turn behind the loss says what it always did.
    said(&store, "three");
    let mut later = call;
    later["call_id"] = json!("later");
    append(&store, "response_item", &later);
    said(&store, "four");
    let rows = listed(&store, None, true, 100, Order::Ascending);
    let later = rows.iter().find(|row| row["itemId"] == "later").unwrap();
    assert_eq!(later["item"]["status"], "failed");
}

/// The same where damage is met by whoever makes the index, and nothing else of the output is known:
/// this run has no notes, because its last line was imported without an end.
#[test]
fn a_command_whose_output_the_index_never_saw_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let line = |kind: &str, payload: Value| {
        json!({ "timestamp": "2026-07-09T10:00:00Z", "type": kind, "payload": payload }).to_string()
    };
    let head = json!({
        "id": "a", "timestamp": "2026-07-09T10:00:00Z", "cwd": "/home/w", "originator": "o",
        "cli_version": "0",
    });
    let message = || json!({ "type": "user_message", "message": "m" });
    let call = json!({
        "type": "function_call", "name": "shell", "arguments": "{}", "call_id": "large",
    });
    let told = json!({ "output": noise(3 << 20), "metadata": { "exit_code": 0 } });
    let output = json!({
        "type": "function_call_output", "call_id": "large", "output": told.to_string(),
    });
    let text = [
        line("session_meta", head),
        line("event_msg", message()),
        line("response_item", call),
        line("response_item", output),
        line("event_msg", message()),
    ]
    .join("\n");
    let has = |store: &Store| {
        let rows = listed(store, None, true, 100, Order::Ascending);
        let found = rows.into_iter().find(|row| row["itemId"] == "large");
        found.map(|row| row["item"]["status"].clone())
    };
    let store = Store::open(dir.path()).unwrap();
    let source = ImportSource {
        path: "a.jsonl",
        thread_hint: None,
        plain: &mut text.as_bytes(),
        file_bytes: text.len() as u64,
        modified_ns: 0,
        archived: false,
    };
    let imported = store.import(source, &mut |_| {}).unwrap();
    imported.done().unwrap();
    assert_eq!(has(&store), Some(json!("completed")));
    store.close().unwrap();
    let mut segments = std::fs::read_dir(dir.path().join("segments")).unwrap();
    let path = segments.next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    for _ in 0..2 {
        let store = Store::open(dir.path()).unwrap();
        for _ in 0..2 {
            assert_eq!(has(&store), None);
        }
        let known = [store.damage_seen(), store.report.damage.clone()].concat();
        assert_ne!(known, []);
        store.close().unwrap();
    }
}
