//! Owns the redb index: rows, watermarks and digests per thread, lists of threads, and the pages
//! read from them. It
//! must not know records, files or segments; the caller brings the storage.
//!
//! The index is fast, not trusted. Every value carries a checksum bound to its key, every block of
//! the file one of its own, every thread a count and a digest of its rows, and every call into redb
//! is made behind `catch_unwind`. Doubt is an [`IndexError`], never a wrong row; then the caller
//! answers from the log, moves the file aside and rebuilds.

mod batch;
mod blocks;
mod checksum;
mod error;
mod keys;
mod known;
mod lists;
mod overlay;
mod page;
mod reader;
mod row;
mod savepoint;
mod sharers;
mod tables;
mod tally;
#[cfg(test)]
pub(crate) mod test_rows;
#[cfg(test)]
mod tests;
mod thread;
mod turn_items;
mod view;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{Builder, Database, Durability, ReadableDatabase, TableDefinition, TableHandle};
use turnleaf_format::{Ordinal, StoreId, ThreadChain, ThreadNumber};

pub use batch::Batch;
pub use checksum::text_hash;
pub use error::{Damage, IndexError, Place, Table};
pub use known::{Prefix, Shared};
pub use lists::{Along, Entry, Listing};
pub use page::{Anchor, InvalidToken, Order, Page, PageRequest, PageToken, Spot};
pub use reader::Reader;
pub use redb::StorageBackend;
pub use savepoint::Savepoint;
pub use thread::ThreadRows;

use blocks::Blocks;
use checksum::{checked_body, checksum};
use error::{Fault, Guarded, guarded};
use overlay::Snapshot;
use view::View;

/// Version of what rows mean: raised whenever the fold or a row changes, so that an index of an
/// older build is rebuilt.
pub const PROJECTION_VERSION: u32 = 10;
/// Version of tables, keys, checksums and blocks.
const SCHEMA_VERSION: u32 = 5;

const META: TableDefinition<&[u8; 1], &[u8]> = TableDefinition::new("meta");
const META_KEY: [u8; 1] = [0];

/// What the index knows of a thread as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThreadRow {
    /// Everything before this ordinal is applied.
    pub applied_end: Ordinal,
    /// The thread chain there.
    pub chain: ThreadChain,
    /// The fold's state there, encoded; empty when none was stored.
    pub state: Vec<u8>,
    /// Number of turn rows.
    pub turn_rows: u64,
    /// Number of item rows.
    pub item_rows: u64,
    /// Number of its own rows in all tables.
    pub rows: u64,
    /// Wrapping sum of the hashes of those rows.
    pub digest: u64,
    /// One past the largest key that a turn row or item row ever had.
    pub row_end: u64,
    /// One past the largest key that an item row ever had.
    pub items_end: u64,
    /// One past the largest turn number that was ever used.
    pub turn_end: u64,
    /// Whose rows it shows before its own. Those are in the counts of turns and items, and not in
    /// that of rows, nor in the digest.
    pub shared: Shared,
    /// One past the number of the newest savepoint of its own; 0 where there was none.
    pub savepoints_end: u64,
}

impl ThreadRow {
    /// The fold's state at the watermark.
    ///
    /// # Errors
    /// Damage when the bytes are not a state.
    pub fn fold_state<S: bincode::Decode<()>>(
        &self,
        thread: ThreadNumber,
    ) -> Result<S, IndexError> {
        let place = Place {
            operation: "read",
            table: Some(Table::Threads),
            thread: Some(thread),
        };
        crate::codec::decode(&self.state).map_err(|error| place.damaged(error))
    }
}

/// The open index of one store.
///
/// Any number of batches and readers may be under way; one batch at a time is committed.
pub struct Index {
    db: Guarded<Database>,
    lists_known_to: AtomicU64,
    unlisted: Mutex<BTreeSet<ThreadNumber>>,
}

impl Index {
    /// Opens the index that `backend` holds, or makes an empty one in an empty backend.
    /// `cache_bytes` bounds redb's cache; 16 to 64 MiB are enough, because the page cache serves
    /// its misses.
    ///
    /// # Errors
    /// [`IndexError::Stale`] when it was built for another store or version; damage, a panic of
    /// redb or an I/O error. In each case the log has all that the index had.
    pub fn create_or_open(
        backend: impl StorageBackend,
        store: StoreId,
        cache_bytes: usize,
    ) -> Result<Index, IndexError> {
        let place = Place::new("open");
        guarded(place, || {
            let backend = Blocks::new(backend);
            let db = Builder::new()
                .set_cache_size(cache_bytes)
                .create_with_backend(backend)?;
            let db = Guarded::new(db);
            let is_new = db.begin_read()?.list_tables()?.next().is_none();
            if is_new {
                create(&db, store)?;
            }
            check(&db, store, place)?;
            Ok(Index {
                db,
                lists_known_to: AtomicU64::new(0),
                unlisted: Mutex::default(),
            })
        })
    }

    /// An empty index in memory: what an index should hold, to compare with.
    ///
    /// # Errors
    /// A panic of redb.
    pub fn in_memory(store: StoreId) -> Result<Index, IndexError> {
        let backend = redb::backends::InMemoryBackend::new();
        Index::create_or_open(backend, store, 1 << 20)
    }

    /// Begins a batch over the newest committed state.
    ///
    /// # Errors
    /// Damage, a panic of redb or an I/O error.
    pub fn writer(&self) -> Result<Batch<'_>, IndexError> {
        Ok(Batch::new(View::new(&self.snapshot()?), &self.db))
    }

    /// Begins a read of the newest committed state. Keep it for one page only: it pins the pages
    /// that later batches free, and the file grows.
    ///
    /// # Errors
    /// Damage, a panic of redb or an I/O error.
    pub fn reader(&self) -> Result<Reader, IndexError> {
        Ok(Reader::new(&self.snapshot()?))
    }

    /// Up to which place among all changes of the log lists are up to date; 0 for an index that was
    /// just opened, of which nobody knows.
    #[must_use]
    pub fn lists_known_to(&self) -> u64 {
        self.lists_known_to.load(Ordering::Acquire)
    }

    /// Says up to where lists are up to date; they stay so.
    pub fn know_lists_to(&self, place: u64) {
        self.lists_known_to.fetch_max(place, Ordering::AcqRel);
    }

    /// Threads that do not stand in lists where the log says, although those are known to be up to
    /// date: to be put there once that can be done. Held by whoever puts threads anywhere.
    pub fn unlisted(&self) -> MutexGuard<'_, BTreeSet<ThreadNumber>> {
        self.unlisted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rewrites the file without its free pages; says whether it became smaller. Needs that no
    /// reader is left.
    ///
    /// # Errors
    /// Damage, a panic of redb or an I/O error.
    pub fn compact(&mut self) -> Result<bool, IndexError> {
        guarded(Place::new("compact"), || Ok(self.db.compact()?))
    }

    fn snapshot(&self) -> Result<Snapshot, IndexError> {
        guarded(Place::new("begin"), || {
            Ok(Arc::new(Guarded::new(self.db.begin_read()?)))
        })
    }
}

fn meta(store: StoreId) -> Vec<u8> {
    let mut body = Vec::with_capacity(28);
    body.extend_from_slice(&SCHEMA_VERSION.to_le_bytes());
    body.extend_from_slice(&PROJECTION_VERSION.to_le_bytes());
    body.extend_from_slice(&store.0);
    body
}

fn create(db: &Database, store: StoreId) -> Result<(), Fault> {
    let mut txn = db.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    txn.set_quick_repair(true);
    tables::create(&txn)?;
    lists::create(&txn)?;
    let mut value = meta(store);
    value.extend_from_slice(&checksum(Table::Meta, &META_KEY, &value));
    txn.open_table(META)?.insert(&META_KEY, value.as_slice())?;
    Ok(txn.commit()?)
}

fn check(db: &Database, store: StoreId, place: Place) -> Result<(), Fault> {
    let place = place.table(Table::Meta);
    let txn = db.begin_read()?;
    if !txn.list_tables()?.any(|table| table.name() == META.name()) {
        return Err(Fault::Index(place.damaged(Damage::Dangling)));
    }
    let value = txn.open_table(META)?.get(&META_KEY)?;
    let value = value.ok_or(place.damaged(Damage::Dangling))?;
    let body = checked_body(Table::Meta, &META_KEY, value.value());
    let body = body.ok_or(place.damaged(Damage::Checksum))?;
    if body == meta(store) {
        Ok(())
    } else {
        Err(Fault::Index(IndexError::Stale))
    }
}
