//! Who works with the index waits for nobody else who does.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::{ItemsView, Order, Store, TurnsPage, TurnsRequest};

fn message(text: &str) -> Vec<u8> {
    let payload = format!(r#"{{"type":"user_message","message":"{text}","images":[]}}"#);
    format!(r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{payload}}}"#)
        .into_bytes()
}

fn newest(store: &Store, id: &str) -> TurnsPage {
    let request = TurnsRequest {
        thread: id.into(),
        cursor: None,
        limit: 1,
        order: Order::Descending,
        items: ItemsView::Summary,
    };
    store.turns(&request).unwrap()
}

/// While the one thread is being caught up, whose batch is not committed yet, the other one is
/// caught up and paged. A page that waits never comes.
#[test]
fn a_page_does_not_wait_for_another_thread_that_is_caught_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for id in ["slow", "quick"] {
        store.create_thread(id).unwrap();
        store.append(id, None, &[&message(id)]).unwrap();
    }
    let (slow, _) = store.source.find("slow").unwrap();
    let (told, done) = mpsc::channel();
    thread::scope(|scope| {
        store
            .index
            .with(|index| {
                store.index.alone_with(&[slow], || {
                    let mut batch = index.writer()?;
                    batch.remove_thread(slow);
                    scope.spawn(|| told.send(newest(&store, "quick").turns.len()));
                    let shown = done.recv_timeout(Duration::from_secs(60));
                    assert_eq!(shown, Ok(1), "the page waits");
                    Ok(batch.commit(false)?)
                })
            })
            .unwrap();
    });
    assert_eq!(newest(&store, "slow").turns.len(), 1);
}

/// Many who want the same thread caught up: one does it, all see it whole.
#[test]
fn readers_of_one_thread_see_all_that_was_appended_before() {
    const READERS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.create_thread("a").unwrap();
    for round in 0..20 {
        let text = format!("{round}");
        store.append("a", None, &[&message(&text)]).unwrap();
        thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    let page = newest(&store, "a");
                    assert_eq!(page.values()[0]["items"][0]["content"][0]["text"], *text);
                });
            }
        });
    }
    assert_eq!(store.index_difference("a").unwrap(), None);
    assert_eq!(store.damage_seen(), []);
}
