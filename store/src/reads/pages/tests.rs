//! Pages that end because of their bytes: nothing is lost, doubled or out of order behind them.

use serde_json::Value;

use super::fill::PAGE_BYTES_MAX;
use crate::{ErrorKind, ItemsRequest, ItemsView, Order, Ordinal, Store, TurnsRequest};

/// A thread whose user messages, each a turn of its own, have these lengths.
fn thread(dir: &std::path::Path, lengths: &[usize]) -> Store {
    let store = Store::open(dir).unwrap();
    store.create_thread("a").unwrap();
    for (at, length) in lengths.iter().enumerate() {
        let text = format!("{at:06}{}", "x".repeat(*length));
        let payload = format!(r#"{{"type":"user_message","message":"{text}","images":[]}}"#);
        let line = format!(
            r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{payload}}}"#
        );
        store.append("a", None, &[line.as_bytes()]).unwrap();
    }
    store
}

/// A page: its rows, and where it goes on.
type Page = (Vec<Value>, Option<String>);

fn items(store: &Store, cursor: Option<String>, limit: usize, order: Order) -> Page {
    let request = ItemsRequest {
        thread: "a".into(),
        turn: None,
        all: false,
        cursor,
        limit,
        order,
    };
    let page = store.items(&request).unwrap();
    (page.values(), page.next_cursor)
}

fn turns(store: &Store, cursor: Option<String>, limit: usize, order: Order) -> Page {
    let request = TurnsRequest {
        thread: "a".into(),
        cursor,
        limit,
        order,
        items: ItemsView::Full,
    };
    let page = store.turns(&request).unwrap();
    (page.values(), page.next_cursor)
}

/// Follows the cursors of pages of so many rows; the rows of each page.
fn follow(
    store: &Store,
    page: fn(&Store, Option<String>, usize, Order) -> Page,
    limit: usize,
    order: Order,
) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let (rows, next) = page(store, cursor, limit, order);
        assert!(!rows.is_empty(), "a page has a row");
        pages.push(rows);
        match next {
            Some(next) => cursor = Some(next),
            None => return pages,
        }
    }
}

#[test]
fn pages_end_at_their_bytes_and_their_cursors_go_on_behind_what_fitted() {
    let dir = tempfile::tempdir().unwrap();
    let mib = 1 << 20;
    // Small ones before large ones, one that is a page by itself, and small ones behind it.
    let mut lengths = vec![10; 40];
    lengths.extend([900_000; 12]);
    lengths.extend([9 * mib, 10, 10, 5 * mib, 5 * mib, 10]);
    let store = thread(dir.path(), &lengths);
    for order in [Order::Ascending, Order::Descending] {
        for page in [items, turns] {
            let one_by_one: Vec<Value> = follow(&store, page, 1, order).concat();
            assert_eq!(one_by_one.len(), lengths.len());
            let pages = follow(&store, page, 1000, order);
            assert!(
                pages.concat() == one_by_one,
                "{order:?}: all rows, each once"
            );
            assert_eq!(pages.len(), 5, "{order:?}: a page is filled");
            for rows in &pages {
                let bytes: usize = rows.iter().map(|row| row.to_string().len()).sum();
                assert!(bytes <= PAGE_BYTES_MAX || rows.len() == 1, "{bytes} bytes");
            }
        }
    }
}

/// A cursor at an item of one turn says nothing about the items of another.
#[test]
fn a_cursor_of_another_turn_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = thread(dir.path(), &[10; 3]);
    let page = |turn: Option<&Value>, cursor: Option<&String>, limit| {
        store.items(&ItemsRequest {
            thread: "a".into(),
            turn: turn.map(|turn| turn.as_str().unwrap().to_owned()),
            all: false,
            cursor: cursor.cloned(),
            limit,
            order: Order::Ascending,
        })
    };
    let all = page(None, None, 3).unwrap().values();
    let cursor = page(None, None, 1).unwrap().next_cursor;
    let of = |row: usize| page(Some(&all[row]["turnId"]), cursor.as_ref(), 3);
    assert_eq!(of(0).unwrap().items, []);
    for row in [1, 2] {
        assert_eq!(of(row).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn a_page_that_ended_at_its_bytes_is_found_again_backwards() {
    let dir = tempfile::tempdir().unwrap();
    let store = thread(dir.path(), &[3_000_000; 7]);
    let request = |cursor, order| ItemsRequest {
        thread: "a".into(),
        turn: None,
        all: false,
        cursor,
        limit: 1000,
        order,
    };
    let first = store.items(&request(None, Order::Ascending)).unwrap();
    assert_eq!(first.items.len(), 2);
    let second = request(first.next_cursor, Order::Ascending);
    let second = store.items(&second).unwrap();
    let back = request(second.backwards_cursor, Order::Descending);
    let back = store.items(&back).unwrap();
    assert!(back.items == [&second.items[0], &first.items[1]].map(Clone::clone));
}

/// A line that begins a turn.
fn start(turn: &str) -> String {
    let payload =
        format!(r#"{{"type":"task_started","turn_id":"{turn}","model_context_window":null}}"#);
    format!(r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{payload}}}"#)
}

fn statuses(store: &Store) -> Vec<String> {
    let (turns, _) = turns(store, None, 100, Order::Ascending);
    let status = |turn: &Value| turn["status"].as_str().unwrap().to_owned();
    turns.iter().map(status).collect()
}

#[test]
fn a_turn_without_an_end_goes_on_only_while_its_writer_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.create_thread("a").unwrap();
    for turn in ["first", "second"] {
        store.append("a", None, &[start(turn).as_bytes()]).unwrap();
    }
    assert_eq!(statuses(&store), ["interrupted", "inProgress"]);
    store.close().unwrap();
    let read = Store::open_to_read(dir.path()).unwrap();
    assert_eq!(statuses(&read), ["interrupted", "interrupted"]);
    drop(read);
    let store = Store::open(dir.path()).unwrap();
    store
        .set_name("a", "a name is no work on a thread")
        .unwrap();
    assert_eq!(statuses(&store), ["interrupted", "interrupted"]);
    store.append("a", None, &[b"{}"]).unwrap();
    assert_eq!(statuses(&store), ["interrupted", "inProgress"]);
    store.archive("a").unwrap();
    assert_eq!(statuses(&store), ["interrupted", "interrupted"]);
    store.close().unwrap();

    // A retry of what stands there is the work of somebody who is there.
    let store = Store::open(dir.path()).unwrap();
    store.unarchive("a").unwrap();
    assert_eq!(statuses(&store), ["interrupted", "interrupted"]);
    let again = store.append("a", Some(Ordinal(1)), &[start("second").as_bytes()]);
    assert!(again.unwrap().duplicate);
    assert_eq!(statuses(&store), ["interrupted", "inProgress"]);
}

#[test]
fn every_turn_has_a_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.create_thread("a").unwrap();
    let said = |started: &str| {
        let payload = format!(
            r#"{{"type":"task_started","turn_id":"t","model_context_window":null{started}}}"#
        );
        format!(r#"{{"timestamp":"2026-01-01T00:00:02Z","type":"event_msg","payload":{payload}}}"#)
    };
    let user = r#"{"timestamp":"2026-01-01T00:00:01.250Z","type":"event_msg","payload":{"type":"user_message","message":"m"}}"#;
    for line in [user, &said(""), &said(r#","started_at":1767225601"#)] {
        store.append("a", None, &[line.as_bytes()]).unwrap();
    }
    let request = |order| TurnsRequest {
        thread: "a".into(),
        cursor: None,
        limit: 10,
        order,
        items: ItemsView::NotLoaded,
    };
    let page = store.turns(&request(Order::Ascending)).unwrap();
    let began: Vec<_> = page.turns.iter().map(|turn| turn.began_at_ms).collect();
    assert_eq!(
        began,
        [1_767_225_601_250, 1_767_225_602_000, 1_767_225_601_000].map(Some)
    );
    // What the protocol tells is what the records say.
    let started: Vec<_> = page.turns.iter().map(|turn| turn.started_at).collect();
    assert_eq!(started, [None, None, Some(1_767_225_601)]);
    let mut back = store.turns(&request(Order::Descending)).unwrap();
    back.turns.reverse();
    assert_eq!(back.turns, page.turns);
}

/// One turn has no more bytes than a page, too: its items go on behind a cursor of its own.
#[test]
fn the_items_of_a_turn_end_at_the_bytes_of_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let store = thread(dir.path(), &[10]);
    for at in 0..20 {
        let text = format!("{at:06}{}", "x".repeat(900_000));
        let payload = format!(r#"{{"type":"agent_message","message":"{text}"}}"#);
        let line = format!(
            r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{payload}}}"#
        );
        store.append("a", None, &[line.as_bytes()]).unwrap();
    }
    let (shown, next) = turns(&store, None, 10, Order::Descending);
    assert!(shown.len() == 1 && next.is_none());
    assert!(shown[0].to_string().len() <= PAGE_BYTES_MAX + 1000);
    let mut all = shown[0]["items"].as_array().unwrap().clone();
    let mut cursor = shown[0]["itemsNextCursor"].as_str().map(str::to_owned);
    assert!(cursor.is_some() && all.len() > 5);
    while let Some(from) = cursor {
        let request = ItemsRequest {
            thread: "a".into(),
            turn: shown[0]["id"].as_str().map(str::to_owned),
            cursor: Some(from),
            limit: 1000,
            order: Order::Ascending,
            all: false,
        };
        let page = store.items(&request).unwrap();
        all.extend(page.items.iter().map(|item| item.item.to_value()));
        cursor = page.next_cursor;
    }
    let (one_by_one, _) = items(&store, None, 1000, Order::Ascending);
    assert!(one_by_one.len() < 21, "they are more than a page");
    let one_by_one = follow(&store, items, 1, Order::Ascending).concat();
    let expect: Vec<Value> = one_by_one.iter().map(|row| row["item"].clone()).collect();
    assert!(all == expect, "all items, each once");
}
