//! Owns the opponent that keeps in SQLite what pages show: each row has the JSON text that is
//! served. Each append is durable when it returns, as those of the store are.
//!
//! The keys of turns and items are one integer, thread and ordinal, so that rows stand in the order
//! of pages and are found without a second tree.

use std::path::Path;

use rusqlite::{Connection, Result, params};
use turnleaf::{ItemsRequest, ItemsView, Order, SortKey, Store, ThreadsRequest, TurnsRequest};
use turnleaf_tests::answers::all_threads;

/// Rows of a page while the database is filled.
const FILL: usize = 1000;
/// Bits of a key that number the rows of a thread.
const ROW_BITS: u32 = 32;

const TABLES: &str = "
    CREATE TABLE threads(id INTEGER PRIMARY KEY, archived INTEGER NOT NULL,
        updated INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE INDEX by_update ON threads(archived, updated);
    CREATE TABLE turns(id INTEGER PRIMARY KEY, body TEXT NOT NULL);
    CREATE TABLE items(id INTEGER PRIMARY KEY, turn TEXT, body TEXT NOT NULL);
";

/// How the database is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// A write-ahead log, and a sync for each commit.
    Plain,
    /// That, 256 MB of cache, and reads through a map of the file.
    Tuned,
}

/// A database.
#[derive(Debug)]
pub struct Sqlite(Connection);

impl Sqlite {
    /// Opens a database, and creates it where there is none.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn open(path: &Path, setup: Setup) -> Result<Sqlite> {
        let db = Connection::open(path)?;
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        if setup == Setup::Tuned {
            db.execute_batch("PRAGMA cache_size = -262144; PRAGMA mmap_size = 4294967296;")?;
        }
        if !db.table_exists(None, "items")? {
            db.execute_batch(TABLES)?;
        }
        Ok(Sqlite(db))
    }

    /// Fills it with what a store serves of its threads, numbered from 0, newest first.
    ///
    /// # Errors
    /// Those of SQLite.
    ///
    /// # Panics
    /// If the store has no answer.
    pub fn fill(&mut self, store: &Store) -> Result<()> {
        let mut request = threads_request(FILL, None);
        let mut number = 0;
        loop {
            let page = store.threads(&request).expect("a page");
            let batch = self.0.transaction()?;
            for thread in &page.threads {
                let updated = thread["updatedAt"].as_i64().unwrap_or_default();
                batch
                    .prepare_cached("INSERT INTO threads VALUES (?1, 0, ?2, ?3)")?
                    .execute(params![number, updated, thread.to_string()])?;
                number += 1;
            }
            batch.commit()?;
            request.cursor = page.next_cursor;
            if request.cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Fills it with the turns and items of one thread.
    ///
    /// # Errors
    /// Those of SQLite.
    ///
    /// # Panics
    /// If the store has no answer.
    pub fn fill_thread(&mut self, store: &Store, thread: &str, number: i64) -> Result<()> {
        let mut request = ItemsRequest {
            thread: thread.to_owned(),
            turn: None,
            all: false,
            cursor: None,
            limit: FILL,
            order: Order::Ascending,
        };
        loop {
            let page = store.items(&request).expect("a page");
            let batch = self.0.transaction()?;
            for item in &page.items {
                let body = serde_json::to_string(item).expect("an item is JSON");
                let at = key(number, item.ordinal.0);
                batch
                    .prepare_cached("INSERT INTO items VALUES (?1, ?2, ?3)")?
                    .execute(params![at, item.turn_id, body])?;
            }
            batch.commit()?;
            request.cursor = page.next_cursor;
            if request.cursor.is_none() {
                break;
            }
        }
        let mut request = turns_request(thread, FILL);
        request.order = Order::Ascending;
        let mut at = 0;
        loop {
            let page = store.turns(&request).expect("a page");
            let batch = self.0.transaction()?;
            for turn in &page.turns {
                let body = serde_json::to_string(turn).expect("a turn is JSON");
                batch
                    .prepare_cached("INSERT INTO turns VALUES (?1, ?2)")?
                    .execute(params![key(number, at), body])?;
                at += 1;
            }
            batch.commit()?;
            request.cursor = page.next_cursor;
            if request.cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Appends an item, durably.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn append(&self, number: i64, row: u64, body: &str) -> Result<()> {
        let mut insert = self
            .0
            .prepare_cached("INSERT INTO items VALUES (?1, NULL, ?2)")?;
        insert.execute(params![key(number, row), body])?;
        Ok(())
    }

    /// The newest items of a thread with their bodies.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn items(&self, number: i64, limit: usize) -> Result<Vec<String>> {
        self.newest("items", number, limit)
    }

    /// The newest turns of a thread in summary.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn turns(&self, number: i64, limit: usize) -> Result<Vec<String>> {
        self.newest("turns", number, limit)
    }

    /// The threads that changed last.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn threads(&self, limit: usize) -> Result<Vec<String>> {
        let mut query = self.0.prepare_cached(
            "SELECT body FROM threads WHERE archived = 0 ORDER BY updated DESC, id LIMIT ?1",
        )?;
        let rows = query.query_map(params![as_count(limit)], |row| row.get(0))?;
        rows.collect()
    }

    fn newest(&self, table: &str, number: i64, limit: usize) -> Result<Vec<String>> {
        let mut query = self.0.prepare_cached(&format!(
            "SELECT body FROM {table} WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
        ))?;
        let span = params![key(number, 0), key(number + 1, 0), as_count(limit)];
        let rows = query.query_map(span, |row| row.get(0))?;
        rows.collect()
    }
}

fn key(number: i64, row: u64) -> i64 {
    (number << ROW_BITS) + i64::try_from(row).expect("a row")
}

fn as_count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A page of the threads that changed last.
#[must_use]
pub fn threads_request(limit: usize, cursor: Option<String>) -> ThreadsRequest {
    ThreadsRequest {
        cursor,
        limit,
        order: Order::Descending,
        sort: SortKey::Updated,
        ..all_threads()
    }
}

/// A page of the newest turns in summary.
#[must_use]
pub fn turns_request(thread: &str, limit: usize) -> TurnsRequest {
    TurnsRequest {
        thread: thread.to_owned(),
        cursor: None,
        limit,
        order: Order::Descending,
        items: ItemsView::Summary,
    }
}
