use super::*;
use crate::reads::kept::KEPT_BYTES_MAX;
use crate::*;

const A: &str = "019c0000-0000-7000-8000-00000000000a";
const B: &str = "019c0000-0000-7000-8000-00000000000b";

fn append(store: &Store, payload: &Value) {
    let line = json!({
        "timestamp": "2026-01-01T00:00:00.000Z", "type": "event_msg", "payload": payload,
    });
    store
        .append(A, None, &[line.to_string().as_bytes()])
        .unwrap();
}

fn begin(store: &Store) {
    store.create_thread(A).unwrap();
    let head = json!({
        "timestamp": "2026-01-01T00:00:00.000Z", "type": "session_meta",
        "payload": {
            "id": A, "timestamp": "2026-01-01T00:00:00.000Z", "cwd": "/w", "originator": "t",
            "cli_version": "0", "source": "cli", "model_provider": null,
            "history_mode": "paginated",
        },
    });
    store
        .append(A, None, &[head.to_string().as_bytes()])
        .unwrap();
    append(store, &json!({"type": "task_started", "turn_id": "t"}));
}

fn say(store: &Store, item: &str, text: &str) {
    append(
        store,
        &json!({
            "type": "item_completed", "thread_id": A, "turn_id": "t", "completed_at_ms": 1,
            "item": {"type": "UserMessage", "id": item, "content": [{"type": "text", "text": text}]},
        }),
    );
}

fn items(store: &Store, id: &str, limit: usize) -> Vec<ServedItem> {
    let request = ItemsRequest {
        thread: id.to_owned(),
        turn: None,
        all: false,
        cursor: None,
        limit,
        order: Order::Descending,
    };
    store.items(&request).unwrap().items
}

fn said(store: &Store, id: &str) -> Vec<String> {
    let items = items(store, id, 100).into_iter();
    let text = |item: ServedItem| item.item.to_value()["content"][0]["text"].clone();
    items
        .map(|item| text(item).as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_body_is_made_once_until_its_item_changes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    begin(&store);
    say(&store, "i1", "one");
    say(&store, "i2", "two");
    let first = items(&store, A, 100);
    let again = items(&store, A, 100);
    assert_eq!(first, again);
    let same = first.iter().zip(&again);
    assert!(
        same.clone()
            .all(|(a, b)| std::ptr::eq(a.item.get(), b.item.get()))
    );
    // A later snapshot of the item, in the place of the first one.
    say(&store, "i1", "one, at last");
    assert_eq!(said(&store, A), ["two", "one, at last"]);
    // Turns show the same bodies.
    let request = TurnsRequest {
        thread: A.to_owned(),
        cursor: None,
        limit: 1,
        order: Order::Ascending,
        items: ItemsView::Full,
    };
    let turn = store.turns(&request).unwrap().turns.remove(0);
    let shown: Vec<&str> = turn.items.iter().map(Body::get).collect();
    let newest = items(&store, A, 100);
    assert!(std::ptr::eq(shown[1], newest[0].item.get()));
    assert!(shown[0].contains("one, at last"));
}

/// A fork shows the items that it inherited as they were where it was cut.
#[test]
fn a_fork_keeps_bodies_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    begin(&store);
    say(&store, "i1", "one");
    store.fork(A, B, &ForkPoint::Latest).unwrap();
    assert_eq!(said(&store, A), said(&store, B));
    say(&store, "i1", "changed");
    assert_eq!(said(&store, A), ["changed"]);
    assert_eq!(said(&store, B), ["one"]);
}

#[test]
fn kept_bodies_stay_within_their_bound() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    begin(&store);
    let large = "x".repeat(64 << 10);
    for item in 0..400 {
        say(&store, &format!("i{item}"), &large);
    }
    let newest = items(&store, A, 7);
    assert_eq!(newest.len(), 7);
    assert!(store.bodies.bytes() >= 7 * (64 << 10));
    let mut cursor = None;
    for _ in 0..8 {
        let request = ItemsRequest {
            thread: A.to_owned(),
            turn: None,
            all: false,
            cursor,
            limit: 50,
            order: Order::Ascending,
        };
        cursor = store.items(&request).unwrap().next_cursor;
        assert!(store.bodies.bytes() <= KEPT_BYTES_MAX);
    }
    assert_eq!(items(&store, A, 7), newest);
}
