//! Owns one table as a batch sees it: a snapshot of redb under the changes not yet written; it must
//! not know what rows mean.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map;
use std::marker::PhantomData;
use std::sync::Arc;

use redb::{
    AccessGuard, Range, ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, TypeName,
    Value, WriteTransaction,
};

use super::checksum::{CHECKSUM_BYTES, checked_body, checksum, row_hash};
use super::error::{Damage, Fault, Guarded, Place, Table, guarded};
use super::row::{Held, Row};
use super::{IndexError, Order, keys};

/// Value type of tables whose values have a body.
pub(super) type Body = &'static [u8];

/// Value type of tables whose keys say all: only the checksum, at a fixed width.
#[derive(Debug)]
pub(super) struct KeyOnly;

impl Value for KeyOnly {
    type SelfType<'a> = &'a [u8];
    type AsBytes<'a> = &'a [u8];

    fn fixed_width() -> Option<usize> {
        Some(CHECKSUM_BYTES)
    }

    fn from_bytes<'a>(data: &'a [u8]) -> &'a [u8]
    where
        Self: 'a,
    {
        data
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a Self::SelfType<'b>) -> &'a [u8]
    where
        Self: 'b,
    {
        value
    }

    fn type_name() -> TypeName {
        TypeName::new("turnleaf::Mark")
    }
}

/// What both value types are to redb: bytes.
pub(super) trait ByteValue: for<'a> Value<SelfType<'a> = &'a [u8]> + 'static {}
impl<V: for<'a> Value<SelfType<'a> = &'a [u8]> + 'static> ByteValue for V {}

/// Where a row is looked for. What a batch created is not in the snapshot, and a miss in redb costs
/// as much as a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// In the changes of the batch, then in the snapshot.
    Snapshot,
    /// In the changes of the batch alone.
    ChangesOnly,
}

impl Probe {
    pub(super) fn when(condition: bool) -> Probe {
        if condition {
            Probe::Snapshot
        } else {
            Probe::ChangesOnly
        }
    }
}

/// Rows to add to and take from a thread's digest and count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RowSum {
    pub(super) digest: u64,
    pub(super) rows: u64,
}

impl RowSum {
    pub(super) fn add(&mut self, hash: u64) {
        self.digest = self.digest.wrapping_add(hash);
        self.rows = self.rows.wrapping_add(1);
    }

    fn subtract(&mut self, hash: u64) {
        self.digest = self.digest.wrapping_sub(hash);
        self.rows = self.rows.wrapping_sub(1);
    }
}

pub(super) type Snapshot = Arc<Guarded<ReadTransaction>>;
/// Changes of one table: a row, or `None` for a removed one. Rows stay as they are until they are
/// written: most are read again, and changed again, by the records that follow.
pub(super) type Changes<const N: usize, R> = BTreeMap<[u8; N], Option<R>>;

pub(super) struct Overlay<const N: usize, V: ByteValue, R> {
    pub(super) schema: Schema<N, V, R>,
    snapshot: Snapshot,
    table: OnceCell<Guarded<ReadOnlyTable<&'static [u8; N], V>>>,
    changes: Changes<N, R>,
}

/// Number and name of a table, with the widths of its keys and values and the type of its rows.
pub(super) struct Schema<const N: usize, V: ByteValue, R> {
    pub(super) table: Table,
    pub(super) definition: TableDefinition<'static, &'static [u8; N], V>,
    rows: PhantomData<fn() -> R>,
}

impl<const N: usize, V: ByteValue, R> Clone for Schema<N, V, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<const N: usize, V: ByteValue, R> Copy for Schema<N, V, R> {}

impl<const N: usize, V: ByteValue, R: Row> Schema<N, V, R> {
    pub(super) const fn new(table: Table, name: &'static str) -> Self {
        Schema {
            table,
            definition: TableDefinition::new(name),
            rows: PhantomData,
        }
    }

    pub(super) fn place(&self, operation: &'static str, key: &[u8]) -> Place {
        Place::new(operation)
            .table(self.table)
            .thread(keys::thread_of(key))
    }

    /// The body of a stored value.
    fn body<'v>(&self, key: &[u8], value: &'v [u8]) -> Result<&'v [u8], IndexError> {
        checked_body(self.table, key, value)
            .ok_or_else(|| self.place("read", key).damaged(Damage::Checksum))
    }

    /// The row at a key, as a transaction has it.
    pub(super) fn stored(&self, txn: &WriteTransaction, key: &[u8; N]) -> Result<Option<R>, Fault> {
        let table = txn.open_table(self.definition)?;
        let Some(value) = table.get(key)? else {
            return Ok(None);
        };
        let place = self.place("commit", key);
        let body = checked_body(self.table, key, value.value());
        let body = body.ok_or_else(|| place.damaged(Damage::Checksum))?;
        let row = R::decode(key, body).map_err(|error| place.damaged(error))?;
        Ok(Some(row))
    }

    /// Writes a row.
    pub(super) fn write(&self, txn: &WriteTransaction, key: [u8; N], row: R) -> Result<(), Fault> {
        let mut value = row.bytes(self.place("commit", &key), &key)?;
        value.extend_from_slice(&checksum(self.table, &key, &value));
        txn.open_table(self.definition)?
            .insert(&key, value.as_slice())?;
        Ok(())
    }

    /// Removes all rows of a thread.
    pub(super) fn clear(&self, txn: &WriteTransaction, thread: u64) -> Result<(), Fault> {
        let (low, high) = keys::span::<N>(&thread.to_be_bytes());
        let mut table = txn.open_table(self.definition)?;
        Ok(table.retain_in::<&[u8; N], _>(&low..=&high, |_, _| false)?)
    }

    /// Writes changes in the order of their keys and reports what they did to each thread.
    pub(super) fn apply(
        &self,
        txn: &WriteTransaction,
        changes: Changes<N, R>,
        tallies: &mut BTreeMap<u64, RowSum>,
    ) -> Result<(), Fault> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut table = txn.open_table(self.definition)?;
        for (key, change) in changes {
            let tally = tallies.entry(keys::thread_of(&key)).or_default();
            let old = if let Some(row) = change {
                let mut body = row.bytes(self.place("commit", &key), &key)?;
                tally.add(row_hash(self.table, &key, &body));
                body.extend_from_slice(&checksum(self.table, &key, &body));
                table.insert(&key, body.as_slice())?
            } else {
                table.remove(&key)?
            };
            if let Some(old) = old {
                tally.subtract(row_hash(self.table, &key, self.body(&key, old.value())?));
            }
        }
        Ok(())
    }
}

/// Takes a row; answers whether to go on.
pub(super) type Visit<'f, const N: usize, R> =
    dyn FnMut(&[u8; N], Held<'_, R>) -> Result<bool, IndexError> + 'f;

type Head<V, const N: usize> = Option<(
    AccessGuard<'static, &'static [u8; N]>,
    AccessGuard<'static, V>,
)>;

impl<const N: usize, V: ByteValue, R: Row> Overlay<N, V, R> {
    pub(super) fn new(schema: Schema<N, V, R>, snapshot: &Snapshot) -> Self {
        let snapshot = Arc::clone(snapshot);
        Overlay {
            schema,
            snapshot,
            table: OnceCell::new(),
            changes: BTreeMap::new(),
        }
    }

    pub(super) fn into_changes(self) -> Changes<N, R> {
        self.changes
    }

    /// Writes a row.
    pub(super) fn put(&mut self, key: [u8; N], row: R) -> Result<(), IndexError> {
        row.check(self.schema.place("write", &key), &key)?;
        self.changes.insert(key, Some(row));
        Ok(())
    }

    /// Changes a row, or a blank one where there is none.
    pub(super) fn change(
        &mut self,
        key: [u8; N],
        probe: Probe,
        act: impl FnOnce(&mut R),
    ) -> Result<(), IndexError>
    where
        R: Default,
    {
        if let Some(Some(row)) = self.changes.get_mut(&key) {
            act(row);
            return row.check(self.schema.place("write", &key), &key);
        }
        let mut row = self.get(&key, probe)?.unwrap_or_default();
        act(&mut row);
        self.put(key, row)
    }

    pub(super) fn remove(&mut self, key: [u8; N], probe: Probe) {
        match probe {
            Probe::Snapshot => self.changes.insert(key, None),
            Probe::ChangesOnly => self.changes.remove(&key),
        };
    }

    /// Forgets the changes of a thread.
    pub(super) fn forget(&mut self, thread: u64) {
        let (low, high) = keys::span::<N>(&thread.to_be_bytes());
        let gone: Vec<[u8; N]> = self
            .changes
            .range(low..=high)
            .map(|(key, _)| *key)
            .collect();
        gone.iter().for_each(|key| _ = self.changes.remove(key));
    }

    /// The row at a key.
    pub(super) fn get(&self, key: &[u8; N], probe: Probe) -> Result<Option<R>, IndexError> {
        match self.changes.get(key) {
            Some(change) => Ok(change.clone()),
            None => self.get_below(key, probe),
        }
    }

    /// What `ask` answers of the row at a key.
    pub(super) fn ask<T>(
        &self,
        key: &[u8; N],
        probe: Probe,
        ask: impl FnOnce(&R) -> T,
    ) -> Result<Option<T>, IndexError> {
        match self.changes.get(key) {
            Some(change) => Ok(change.as_ref().map(ask)),
            None => Ok(self.get_below(key, probe)?.as_ref().map(ask)),
        }
    }

    fn get_below(&self, key: &[u8; N], probe: Probe) -> Result<Option<R>, IndexError> {
        if probe == Probe::ChangesOnly {
            return Ok(None);
        }
        let place = self.schema.place("read", key);
        guarded(place, || {
            let Some(value) = self.table()?.get(key)? else {
                return Ok(None);
            };
            let body = self.schema.body(key, value.value())?;
            Ok(Some(Held::Stored(place, body).row(key)?))
        })
    }

    /// Visits the rows from `low` to `high`, both included, until `visit` answers `false`.
    pub(super) fn scan(
        &self,
        (low, high): ([u8; N], [u8; N]),
        order: Order,
        probe: Probe,
        visit: &mut Visit<'_, N, R>,
    ) -> Result<(), IndexError> {
        if low > high {
            return Ok(());
        }
        let above = self.changes.range(low..=high);
        guarded(self.schema.place("read", &low), || {
            let range = match probe {
                Probe::Snapshot => Some(self.table()?.range::<&[u8; N]>(&low..=&high)?),
                Probe::ChangesOnly => None,
            };
            self.merge(above, range, order, visit)
        })
    }

    fn merge(
        &self,
        mut above: btree_map::Range<'_, [u8; N], Option<R>>,
        mut below: Option<Range<'static, &'static [u8; N], V>>,
        order: Order,
        visit: &mut Visit<'_, N, R>,
    ) -> Result<(), Fault> {
        let mut step_above = || match order {
            Order::Ascending => above.next(),
            Order::Descending => above.next_back(),
        };
        let mut step_below = || -> Result<Head<V, N>, Fault> {
            let Some(range) = &mut below else {
                return Ok(None);
            };
            let entry = match order {
                Order::Ascending => range.next(),
                Order::Descending => range.next_back(),
            };
            Ok(entry.transpose()?)
        };
        let (mut change, mut row) = (step_above(), step_below()?);
        loop {
            let first = match (&change, &row) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((key, _)), Some((below_key, _))) => {
                    let ascending = (*key).cmp(below_key.value());
                    if order == Order::Ascending {
                        ascending
                    } else {
                        ascending.reverse()
                    }
                }
            };
            // A changed row hides the one of the same key below it.
            let hidden = first == Ordering::Equal;
            if let (true, Some((key, row))) = (first != Ordering::Greater, change) {
                change = step_above();
                if let Some(row) = row
                    && !visit(key, Held::Changed(row))?
                {
                    return Ok(());
                }
            } else if let Some((key, value)) = &row {
                let (key, value) = (key.value(), value.value());
                let held = Held::Stored(
                    self.schema.place("read", key),
                    self.schema.body(key, value)?,
                );
                if !visit(key, held)? {
                    return Ok(());
                }
            }
            if hidden || first == Ordering::Greater {
                row = step_below()?;
            }
        }
    }

    fn table(&self) -> Result<&ReadOnlyTable<&'static [u8; N], V>, Fault> {
        if self.table.get().is_none() {
            let table = Guarded::new(self.snapshot.open_table(self.schema.definition)?);
            let _ = self.table.set(table);
        }
        Ok(self.table.get().expect("the table was just opened"))
    }
}
