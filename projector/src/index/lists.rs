//! Owns lists of threads: in which lists a thread stands, at which places, and the way along them.
//! It must not know what lists are made of, or what they are sorted by.
//!
//! A list is named by a number that the caller chooses, and has one order for each key of a
//! listing. Each thread has one row that says where it stands, so that it is taken from its old
//! places without a search.

use bincode::{Decode, Encode};
use redb::{ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};
use turnleaf_format::ThreadNumber;

use super::checksum::{CHECKSUM_BYTES, checked_body, checksum};
use super::error::{Damage, Fault, Place, Table, guarded};
use super::overlay::Snapshot;
use super::{Index, IndexError, Order};
use crate::codec;

/// Thread to [`Listing`].
const LISTED: TableDefinition<&[u8; 8], &[u8]> = TableDefinition::new("listed");
/// List, order, key and thread to [`Entry`]'s facts.
const PLACES: TableDefinition<&[u8; PLACE_BYTES], &[u8; FACT_BYTES + CHECKSUM_BYTES]> =
    TableDefinition::new("places");
/// Directory to the number of threads in it.
const DIRECTORIES: TableDefinition<&[u8], &[u8; 8 + CHECKSUM_BYTES]> =
    TableDefinition::new("directories");

/// List, order, key, thread.
const PLACE_BYTES: usize = 8 + 1 + 8 + 8;
/// Kind and parent.
const FACT_BYTES: usize = 1 + 8;
/// Orders of a list.
const ORDERS: usize = 3;

/// Where a thread stands in lists, and what they need to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Listing {
    /// What it was made of: another value means that it is to be made again.
    pub as_of: [u64; 4],
    /// The lists in which it stands, each once.
    pub lists: Vec<u64>,
    /// Its key in each of the orders of a list.
    pub keys: [i64; ORDERS],
    /// What kind of thread it is, as the caller numbers them.
    pub kind: u8,
    /// Stands for the thread that began it; 0 for none.
    pub parent: u64,
    /// The directory that it is counted in.
    pub directory: Option<String>,
}

/// One row of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its key in this order.
    pub key: i64,
    /// The thread; tells rows of equal keys apart, and orders them.
    pub thread: ThreadNumber,
    /// As [`Listing::kind`].
    pub kind: u8,
    /// As [`Listing::parent`].
    pub parent: u64,
}

/// Which rows of lists to visit.
#[derive(Debug, Clone, Copy)]
pub struct Along<'l> {
    /// The lists; a thread that stands in several of them comes once for each.
    pub lists: &'l [u64],
    /// Which key sorts them, below 3.
    pub sort: u8,
    /// Key and thread to begin at, and whether that row itself is visited; `None` for one end.
    pub from: Option<(i64, ThreadNumber, bool)>,
    /// Direction.
    pub order: Order,
}

type PlaceKey = [u8; PLACE_BYTES];

fn place_key(list: u64, sort: u8, key: i64, thread: u64) -> PlaceKey {
    let mut out = [0; PLACE_BYTES];
    out[..8].copy_from_slice(&list.to_be_bytes());
    out[8] = sort;
    // The sign's bit turned, so that bytes are ordered as numbers are.
    out[9..17].copy_from_slice(&(key ^ i64::MIN).to_be_bytes());
    out[17..].copy_from_slice(&thread.to_be_bytes());
    out
}

impl Listing {
    fn places(&self, thread: u64) -> impl Iterator<Item = PlaceKey> {
        self.lists.iter().flat_map(move |list| {
            let sorts = (0..).zip(self.keys);
            sorts.map(move |(sort, key)| place_key(*list, sort, key, thread))
        })
    }

    fn facts(&self) -> [u8; FACT_BYTES] {
        let mut facts = [self.kind; FACT_BYTES];
        facts[1..].copy_from_slice(&self.parent.to_be_bytes());
        facts
    }
}

fn sealed<const N: usize>(table: Table, key: &[u8], body: &[u8]) -> [u8; N] {
    let mut value = [0; N];
    value[..body.len()].copy_from_slice(body);
    value[body.len()..].copy_from_slice(&checksum(table, key, body));
    value
}

fn body<'v>(table: Table, key: &[u8], value: &'v [u8]) -> Result<&'v [u8], IndexError> {
    let place = Place::new("read").table(table);
    checked_body(table, key, value).ok_or_else(|| place.damaged(Damage::Checksum))
}

fn listing(key: [u8; 8], value: &[u8]) -> Result<Listing, IndexError> {
    let place = Place::new("read").table(Table::Listed);
    let body = body(Table::Listed, &key, value)?;
    codec::decode(body).map_err(|error| place.damaged(error))
}

fn entry(key: &PlaceKey, value: &[u8]) -> Result<Entry, IndexError> {
    let body = body(Table::Places, key, value)?;
    let word = |bytes: &[u8], at: usize| {
        let word = bytes[at..].first_chunk::<8>();
        u64::from_be_bytes(*word.expect("keys and facts have a fixed width"))
    };
    Ok(Entry {
        key: word(key, 9).cast_signed() ^ i64::MIN,
        thread: ThreadNumber(word(key, 17)),
        kind: body[0],
        parent: word(body, 1),
    })
}

fn count(key: &[u8], value: &[u8]) -> Result<u64, IndexError> {
    let body = body(Table::Directories, key, value)?;
    let count = body.first_chunk::<8>().expect("a count has a fixed width");
    Ok(u64::from_be_bytes(*count))
}

/// Creates the tables of an empty index.
pub(super) fn create(txn: &WriteTransaction) -> Result<(), Fault> {
    txn.open_table(LISTED)?;
    txn.open_table(PLACES)?;
    txn.open_table(DIRECTORIES)?;
    Ok(())
}

impl Index {
    /// Puts threads where they stand, and takes those of `None` from all lists. Visible as a whole
    /// when this returns, and durable with the next durable batch.
    ///
    /// # Errors
    /// [`IndexError::RowTooLarge`] for a listing that does not fit; damage, a panic of redb or an
    /// I/O error.
    pub fn put_listings(
        &self,
        changes: &[(ThreadNumber, Option<Listing>)],
    ) -> Result<(), IndexError> {
        guarded(Place::new("commit"), || {
            let mut txn = self.db.begin_write()?;
            txn.set_durability(redb::Durability::None)?;
            txn.set_quick_repair(false);
            for (thread, listing) in changes {
                put(&txn, thread.0, listing.as_ref())?;
            }
            Ok(txn.commit()?)
        })
    }
}

fn put(txn: &WriteTransaction, thread: u64, new: Option<&Listing>) -> Result<(), Fault> {
    let key = thread.to_be_bytes();
    let mut listed = txn.open_table(LISTED)?;
    let old = listed.get(&key)?;
    let old = old.map(|value| listing(key, value.value())).transpose()?;
    if old.as_ref() == new {
        return Ok(());
    }
    let mut places = txn.open_table(PLACES)?;
    if let Some(old) = &old {
        for place in old.places(thread) {
            places.remove(&place)?;
        }
    }
    if let Some(new) = new {
        for place in new.places(thread) {
            let value = sealed(Table::Places, &place, &new.facts());
            places.insert(&place, &value)?;
        }
        let mut value = codec::encode(new).map_err(|error| IndexError::RowTooLarge {
            place: Place::new("commit").table(Table::Listed).thread(thread),
            bytes: error.bytes,
        })?;
        value.extend_from_slice(&checksum(Table::Listed, &key, &value));
        listed.insert(&key, value.as_slice())?;
    } else {
        listed.remove(&key)?;
    }
    let of = |listing: Option<&Listing>| listing.and_then(|listing| listing.directory.clone());
    let (old, new) = (of(old.as_ref()), of(new));
    if old != new {
        count_directory(txn, old.as_deref(), |count| count.checked_sub(1))?;
        count_directory(txn, new.as_deref(), |count| count.checked_add(1))?;
    }
    Ok(())
}

fn count_directory(
    txn: &WriteTransaction,
    directory: Option<&str>,
    change: impl FnOnce(u64) -> Option<u64>,
) -> Result<(), Fault> {
    let Some(key) = directory.map(str::as_bytes) else {
        return Ok(());
    };
    let mut table = txn.open_table(DIRECTORIES)?;
    let old = table.get(key)?;
    let old = old.map(|value| count(key, value.value())).transpose()?;
    let place = Place::new("commit").table(Table::Directories);
    match change(old.unwrap_or(0)) {
        None => return Err(Fault::Index(place.damaged(Damage::Dangling))),
        Some(0) => drop(table.remove(key)?),
        Some(new) => {
            let value = sealed(Table::Directories, key, &new.to_be_bytes());
            table.insert(key, &value)?;
        }
    }
    Ok(())
}

/// The lists of one state of the index.
pub(super) struct Lists(Snapshot);

impl Lists {
    pub(super) fn new(snapshot: &Snapshot) -> Lists {
        Lists(Snapshot::clone(snapshot))
    }

    /// All threads that stand in lists, by number.
    pub(super) fn listed(&self) -> Result<Vec<(ThreadNumber, Listing)>, IndexError> {
        guarded(Place::new("read").table(Table::Listed), || {
            let mut all = Vec::new();
            for row in self.0.open_table(LISTED)?.iter()? {
                let (key, value) = row?;
                let key = *key.value();
                let thread = ThreadNumber(u64::from_be_bytes(key));
                all.push((thread, listing(key, value.value())?));
            }
            Ok(all)
        })
    }

    pub(super) fn listing(&self, thread: u64) -> Result<Option<Listing>, IndexError> {
        guarded(Place::new("read").table(Table::Listed), || {
            let key = thread.to_be_bytes();
            let value = self.0.open_table(LISTED)?.get(&key)?;
            Ok(value.map(|value| listing(key, value.value())).transpose()?)
        })
    }

    pub(super) fn directories(&self) -> Result<Vec<String>, IndexError> {
        let place = Place::new("read").table(Table::Directories);
        guarded(place, || {
            let mut all = Vec::new();
            for row in self.0.open_table(DIRECTORIES)?.iter()? {
                let (key, value) = row?;
                count(key.value(), value.value())?;
                let text = String::from_utf8(key.value().to_vec());
                all.push(text.map_err(|_| place.damaged(Damage::Checksum))?);
            }
            Ok(all)
        })
    }

    /// Visits the rows of lists in one order until `visit` answers `false`.
    pub(super) fn along(
        &self,
        along: &Along<'_>,
        visit: &mut dyn FnMut(Entry) -> Result<bool, IndexError>,
    ) -> Result<(), IndexError> {
        guarded(Place::new("read").table(Table::Places), || {
            let table = self.0.open_table(PLACES)?;
            let is_ascending = along.order == Order::Ascending;
            let mut ranges = Vec::with_capacity(along.lists.len());
            for list in along.lists {
                let Some((low, high)) = span(*list, along) else {
                    continue;
                };
                ranges.push((None, table.range::<&PlaceKey>(&low..=&high)?));
            }
            loop {
                for (head, range) in &mut ranges {
                    if head.is_none() {
                        let row = if is_ascending {
                            range.next()
                        } else {
                            range.next_back()
                        };
                        let row = row.transpose()?;
                        let row = row.map(|(key, value)| entry(key.value(), value.value()));
                        *head = row.transpose()?;
                    }
                }
                let place = |head: &Option<Entry>| head.map(|entry| (entry.key, entry.thread));
                let heads = ranges.iter_mut().filter(|(head, _)| head.is_some());
                let next = if is_ascending {
                    heads.min_by_key(|(head, _)| place(head))
                } else {
                    heads.max_by_key(|(head, _)| place(head))
                };
                let Some(next) = next.and_then(|(head, _)| head.take()) else {
                    return Ok(());
                };
                if !visit(next)? {
                    return Ok(());
                }
            }
        })
    }

    /// Compares the places with the listings they belong to, and counts directories again.
    pub(super) fn check(&self) -> Result<(), IndexError> {
        let wrong = |table| Fault::Index(Place::new("check").table(table).damaged(Damage::Digest));
        let all = self.listed()?;
        guarded(Place::new("check"), || {
            let (mut places, mut directories) = (0, std::collections::BTreeMap::new());
            let (in_order, by_name) = (self.0.open_table(PLACES)?, self.0.open_table(DIRECTORIES)?);
            for (thread, listing) in all {
                for place in listing.places(thread.0) {
                    let value = in_order.get(&place)?;
                    let value = value.ok_or_else(|| wrong(Table::Places))?;
                    if body(Table::Places, &place, value.value())? != listing.facts() {
                        return Err(wrong(Table::Places));
                    }
                    places += 1;
                }
                if let Some(directory) = listing.directory {
                    *directories.entry(directory).or_insert(0) += 1;
                }
            }
            if in_order.len()? != places {
                return Err(wrong(Table::Places));
            }
            let known = u64::try_from(directories.len()).expect("a length fits 64 bits");
            if by_name.len()? != known {
                return Err(wrong(Table::Directories));
            }
            for (directory, threads) in directories {
                let value = by_name.get(directory.as_bytes())?;
                let value = value.ok_or_else(|| wrong(Table::Directories))?;
                if count(directory.as_bytes(), value.value())? != threads {
                    return Err(wrong(Table::Directories));
                }
            }
            Ok(())
        })
    }
}

/// Smallest and largest key of a list that can be visited; `None` when nothing can lie there.
fn span(list: u64, along: &Along<'_>) -> Option<(PlaceKey, PlaceKey)> {
    let (mut low, mut high) = (
        place_key(list, along.sort, i64::MIN, 0),
        place_key(list, along.sort, i64::MAX, u64::MAX),
    );
    let Some((key, thread, is_included)) = along.from else {
        return Some((low, high));
    };
    let step = u64::from(!is_included);
    // Threads of one key come by number, so the next place is that of the next number or key.
    match along.order {
        Order::Ascending => {
            low = match thread.0.checked_add(step) {
                Some(thread) => place_key(list, along.sort, key, thread),
                None => place_key(list, along.sort, key.checked_add(1)?, 0),
            }
        }
        Order::Descending => {
            high = match thread.0.checked_sub(step) {
                Some(thread) => place_key(list, along.sort, key, thread),
                None => place_key(list, along.sort, key.checked_sub(1)?, u64::MAX),
            }
        }
    }
    Some((low, high))
}

#[cfg(test)]
mod tests;
