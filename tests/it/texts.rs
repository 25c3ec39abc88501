//! Texts of any size in every string of every kind of record: nothing hangs, nothing panics, what
//! is kept beside the log is small, and the laws of the projection hold.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use turnleaf::{
    ForkPoint, ImportSource, ItemsRequest, ItemsView, Order, Store, ThreadsRequest, TurnsRequest,
};
use turnleaf_projector::codec;
use turnleaf_projector::fold::{Mode, ThreadState};
use turnleaf_projector::notes::Notes;
use turnleaf_projector::payload::decode;
use turnleaf_tests::answers::{all_threads, options};
use turnleaf_tests::crash_rig::scale;
use turnleaf_tests::parallel::in_parallel;
use turnleaf_tests::projection::{check_index, fold, render};
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::open_store;
use turnleaf_tests::texts::{Place, places, thread as around};

/// Sizes of the texts, and of how many kept and other places a plain run tries one.
const SIZES: [(usize, usize, usize); 3] = [(1 << 10, 1, 1), (100 << 10, 1, 3), (5 << 20, 16, 64)];
/// Records with a large text in one thread.
const AT_ONCE: usize = 8;
/// Most bytes of what the fold remembers of a thread: far below the megabyte that a row may have.
const STATE_BYTES_MAX: usize = 160 << 10;
/// Most bytes of what it takes of one record.
const DECODED_BYTES_MAX: usize = 20 << 10;

/// Fails the test instead of hanging with it.
fn within(minutes: u64, what: &str, work: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let worker = thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    let waited = ended.recv_timeout(Duration::from_secs(60 * minutes));
    assert_ne!(waited, Err(mpsc::RecvTimeoutError::Timeout), "{what} hangs");
    worker
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// The places that a size is tried at.
fn chosen((_, kept, others): (usize, usize, usize)) -> Vec<Place> {
    let step = |place: &Place| {
        let step = if place.is_kept() { kept } else { others };
        if scale() > 1 { 1 } else { step }
    };
    let all = places().into_iter().enumerate();
    all.filter(|(at, place)| at % step(place) == 0)
        .map(|(_, place)| place)
        .collect()
}

fn obeys(is_paginated: bool, places: &[Place], bytes: usize, seed: u64) {
    let large: Vec<Vec<u8>> = places.iter().map(|place| place.grown(bytes)).collect();
    for (line, place) in large.iter().zip(places) {
        let mut notes = Notes::default();
        notes.push(&decode(line));
        let kept = notes.finish().len();
        assert!(kept < DECODED_BYTES_MAX, "{}: {kept} bytes", place.name());
    }
    let lines = around(is_paginated, large);
    let whole = fold(&lines, ThreadState::default());
    render(&lines, &whole.rows);
    check_index(&lines, seed, &whole);
    let state = codec::encode(&whole.state).expect("a small state").len();
    assert!(state < STATE_BYTES_MAX, "the state has {state} bytes");
    let turns = whole.rows.turns().filter(|(_, turn)| turn.id == "last");
    assert!(turns.count() == 1, "the thread goes on behind the text");
    let forced = if is_paginated {
        Mode::Legacy
    } else {
        Mode::Paginated
    };
    let _ = fold(&lines, ThreadState::forced(forced));
}

#[test]
fn texts_of_any_size_obey_the_laws() {
    within(20, "the projection", || {
        for size in SIZES {
            let chosen = chosen(size);
            println!("{} places at {} bytes", chosen.len(), size.0);
            let parts: Vec<&[Place]> = chosen.chunks(AT_ONCE).collect();
            in_parallel(0..parts.len() as u64, &|number| {
                let places = parts[usize::try_from(number).expect("few parts")];
                obeys(number % 2 == 0, places, size.0, number);
            });
        }
    });
}

/// What clients see of a thread: pages in both directions, its description, the list, the context.
fn answers(store: &Store, id: &str) -> Vec<String> {
    let mut shown = Vec::new();
    for order in [Order::Ascending, Order::Descending] {
        let turns = TurnsRequest {
            thread: id.to_owned(),
            cursor: None,
            limit: 1000,
            order,
            items: ItemsView::Full,
        };
        let turns = store.turns(&turns).expect("a page of turns").values();
        assert!(turns.iter().any(|turn| turn["id"] == "last"), "{id}");
        let items = ItemsRequest {
            thread: id.to_owned(),
            turn: None,
            all: false,
            cursor: None,
            limit: 1000,
            order,
        };
        let items = store.items(&items).expect("a page of items").values();
        shown.extend(turns.iter().chain(&items).map(ToString::to_string));
    }
    let described = store.show(id).expect("a description");
    assert!(
        described
            .anomalies
            .iter()
            .all(|odd| odd.reason != "not taken by the index")
    );
    shown.push(described.thread.to_string());
    let context = store
        .context_ordinals(id, &ForkPoint::Latest)
        .expect("a context");
    shown.push(format!("{context:?}"));
    shown
}

fn serves(bytes: usize, chosen: &[Place]) {
    let store = open_store(&SimDisk::new(), &options()).expect("memory");
    let mut ids = vec!["other".to_owned()];
    store.create_thread("other").expect("created");
    for line in around(false, Vec::new()) {
        store.append("other", None, &[&line]).expect("appended");
    }
    let other = answers(&store, "other");
    for (number, places) in chosen.chunks(AT_ONCE).enumerate() {
        let id = format!("thread-{number}");
        store.create_thread(&id).expect("created");
        let large = places.iter().map(|place| place.grown(bytes)).collect();
        for line in around(number % 2 == 0, large) {
            store.append(&id, None, &[&line]).expect("appended");
        }
        ids.push(id);
    }
    let shown: Vec<Vec<String>> = ids.iter().map(|id| answers(&store, id)).collect();
    assert!(shown[0] == other, "another thread is served as before");
    let all = ThreadsRequest {
        limit: 1000,
        ..all_threads()
    };
    assert_eq!(
        store.threads(&all).expect("a list").threads.len(),
        ids.len()
    );
    for id in &ids {
        assert_eq!(store.index_difference(id).expect("compared"), None, "{id}");
    }
    store.rebuild_index(&mut |_| {}).expect("rebuilt");
    let again: Vec<Vec<String>> = ids.iter().map(|id| answers(&store, id)).collect();
    assert!(again == shown, "a rebuild serves the same");
    assert_eq!(store.damage_seen(), []);
}

#[test]
fn texts_of_any_size_are_served() {
    within(20, "the store", || {
        serves(100 << 10, &chosen((100 << 10, 4, 20)));
        // One place of each name alone.
        let mut names = BTreeSet::new();
        let mut large = chosen((2 << 20, 1, 1));
        large.retain(|place| place.is_kept() && names.insert(place.key().to_owned()));
        assert!(names.contains("model") && names.contains("cwd") && names.contains("turn_id"));
        serves(2 << 20, &large);
    });
}

/// Imports a thread with one text that is larger than what is parsed; an append takes no such line.
fn imports(place: &Place, bytes: usize, is_paginated: bool) {
    let store = open_store(&SimDisk::new(), &options()).expect("memory");
    let lines = around(is_paginated, vec![place.grown(bytes)]);
    let mut whole = lines.join(&b'\n');
    whole.push(b'\n');
    drop(lines);
    let source = ImportSource {
        path: "rollout.jsonl",
        thread_hint: None,
        plain: &mut whole.as_slice(),
        file_bytes: 0,
        modified_ns: 0,
        archived: false,
    };
    let imported = store.import(source, &mut |_| {}).expect("an import");
    let id = imported.done().expect("nothing is in the way").thread;
    let shown = answers(&store, &id);
    assert_eq!(store.index_difference(&id).expect("compared"), None);
    store.rebuild_index(&mut |_| {}).expect("rebuilt");
    assert!(answers(&store, &id) == shown, "a rebuild serves the same");
    let mut exported = Vec::with_capacity(whole.len());
    store.export(&id, .., &mut exported).expect("exported");
    assert!(exported == whole, "{}: every byte comes back", place.name());
    assert_eq!(store.damage_seen(), []);
}

/// A plain run tries three places, one of `TURNLEAF_CRASH_SCALE=2` one of each name.
#[test]
fn texts_beyond_what_is_parsed_are_kept_and_stop_nothing() {
    within(20, "the import", || {
        let mut names = BTreeSet::new();
        let mut chosen = places();
        let few = ["model", "message", "output"];
        chosen.retain(|place| {
            let is_wanted = scale() > 1 || few.contains(&place.key());
            is_wanted && names.insert(place.key().to_owned())
        });
        assert!(few.iter().all(|name| names.contains(*name)), "{names:?}");
        for (number, place) in chosen.iter().enumerate() {
            imports(place, 70 << 20, number % 2 == 0);
        }
    });
}
