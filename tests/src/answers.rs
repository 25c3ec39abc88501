//! Owns what a store is asked where only its answers count: lists of threads, turns and items, as
//! text; and small stores whose index is worth asking.

use std::fmt::Write;

use serde_json::Value;
use turnleaf::{
    Error, ItemsRequest, ItemsView, Options, Order, SortKey, Store, ThreadsRequest, TurnsRequest,
};

use crate::fuzz::seeds::small_thread;
use crate::sim_disk::SimDisk;
use crate::stores::open_store;

/// The index of a store.
pub const INDEX: &str = "index.redb";

/// Rows of a page: more than any small store has.
const LIMIT: usize = 1000;

/// How the small stores are opened.
#[must_use]
pub fn options() -> Options {
    Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 256 << 10,
        reserve_bytes: 0,
        ..Options::default()
    }
}

/// A store whose index has caught up, as it stands after a clean close; with its threads, each of
/// which has so many turns.
///
/// # Errors
/// Those of the store.
pub fn small_store(threads: u64, turns: u32) -> Result<(SimDisk, Vec<String>), Error> {
    let disk = SimDisk::new();
    let store = open_store(&disk, &options())?;
    let mut ids = Vec::new();
    for number in 0..threads {
        let id = format!("thread-{number}");
        store.create_thread(&id)?;
        let lines = small_thread(&id, turns);
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        for batch in lines.chunks(16) {
            store.append(&id, None, batch)?;
            ask(&store, std::slice::from_ref(&id))?;
        }
        ids.push(id);
    }
    store.rebuild_index(&mut |_| {})?;
    ask(&store, &ids)?;
    store.close()?;
    Ok((disk, ids))
}

/// Asks for all threads: the oldest ten come first.
#[must_use]
pub fn all_threads() -> ThreadsRequest {
    ThreadsRequest {
        cursor: None,
        limit: 10,
        order: Order::Ascending,
        sort: SortKey::Created,
        archived: false,
        cwds: Vec::new(),
        sources: Vec::new(),
        no_subagents: false,
        parent: None,
        ancestor: None,
        forks_of: None,
        search: None,
    }
}

/// Everything that the index of a store answers about its threads.
///
/// # Errors
/// Those of the store.
pub fn ask(store: &Store, threads: &[String]) -> Result<String, Error> {
    let mut text = String::new();
    let mut tell = |rows: &[Value]| {
        for row in rows {
            let _ = writeln!(text, "{row}");
        }
    };
    let listed = store.threads(&ThreadsRequest {
        limit: LIMIT,
        order: Order::Descending,
        sort: SortKey::Recency,
        ..all_threads()
    })?;
    tell(&listed.threads);
    for thread in threads {
        let turns = store.turns(&TurnsRequest {
            thread: thread.clone(),
            cursor: None,
            limit: LIMIT,
            order: Order::Descending,
            items: ItemsView::Full,
        })?;
        tell(&turns.values());
        let newest = turns.turns.first().map(|turn| turn.id.as_str());
        for turn in [None, newest.map(str::to_owned)] {
            let items = store.items(&ItemsRequest {
                thread: thread.clone(),
                turn,
                all: false,
                cursor: None,
                limit: LIMIT,
                order: Order::Ascending,
            })?;
            tell(&items.values());
        }
    }
    Ok(text)
}
