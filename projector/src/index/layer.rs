//! Owns one table as a batch sees it: a snapshot of redb under the changes not yet written; it must
//! not know what rows mean.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map;
use std::sync::Arc;

use redb::{
    AccessGuard, Range, ReadOnlyTable, ReadTransaction, TableDefinition, TypeName, Value,
    WriteTransaction,
};

use super::error::{Damage, Fault, Guarded, Place, Table, guarded};
use super::seal::{SEAL_BYTES, row_hash, seal, unseal};
use super::{IndexError, Order, keys};

/// Value type of tables whose values have a body.
pub(super) type Body = &'static [u8];

/// Value type of tables whose keys say all: only the checksum, at a fixed width.
#[derive(Debug)]
pub(super) struct Mark;

impl Value for Mark {
    type SelfType<'a> = &'a [u8];
    type AsBytes<'a> = &'a [u8];

    fn fixed_width() -> Option<usize> {
        Some(SEAL_BYTES)
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
pub(super) trait Sealed: for<'a> Value<SelfType<'a> = &'a [u8]> + 'static {}
impl<V: for<'a> Value<SelfType<'a> = &'a [u8]> + 'static> Sealed for V {}

/// Whether the snapshot can hold what is asked for. What a batch creates it cannot, and a miss in
/// redb costs as much as a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Below {
    Look,
    Nothing,
}

impl Below {
    pub(super) fn when(condition: bool) -> Below {
        if condition {
            Below::Look
        } else {
            Below::Nothing
        }
    }
}

/// Rows to add to and take from a thread's digest and count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) digest: u64,
    pub(super) rows: u64,
}

impl Tally {
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
/// Changes of one table: a body, or `None` for a removed row.
pub(super) type Changes<const N: usize> = BTreeMap<[u8; N], Option<Vec<u8>>>;

pub(super) struct Layer<const N: usize, V: Sealed> {
    pub(super) schema: Schema<N, V>,
    snapshot: Snapshot,
    below: OnceCell<Guarded<ReadOnlyTable<&'static [u8; N], V>>>,
    changes: Changes<N>,
}

/// Number and name of a table, with the widths of its keys and values.
pub(super) struct Schema<const N: usize, V: Sealed> {
    pub(super) table: Table,
    pub(super) definition: TableDefinition<'static, &'static [u8; N], V>,
}

impl<const N: usize, V: Sealed> Clone for Schema<N, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<const N: usize, V: Sealed> Copy for Schema<N, V> {}

impl<const N: usize, V: Sealed> Schema<N, V> {
    pub(super) const fn new(table: Table, name: &'static str) -> Self {
        Schema {
            table,
            definition: TableDefinition::new(name),
        }
    }

    fn place(&self, operation: &'static str, key: &[u8]) -> Place {
        Place::new(operation)
            .table(self.table)
            .thread(keys::thread_of(key))
    }

    /// The body of a stored value.
    fn body<'v>(&self, key: &[u8], value: &'v [u8]) -> Result<&'v [u8], IndexError> {
        unseal(self.table, key, value)
            .ok_or_else(|| self.place("read", key).damaged(Damage::Checksum))
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
        changes: Changes<N>,
        tallies: &mut BTreeMap<u64, Tally>,
    ) -> Result<(), Fault> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut table = txn.open_table(self.definition)?;
        for (key, change) in changes {
            let tally = tallies.entry(keys::thread_of(&key)).or_default();
            let old = if let Some(mut body) = change {
                tally.add(row_hash(self.table, &key, &body));
                body.extend_from_slice(&seal(self.table, &key, &body));
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
pub(super) type Visit<'f, const N: usize> =
    dyn FnMut(&[u8; N], &[u8]) -> Result<bool, IndexError> + 'f;

type Head<V, const N: usize> = Option<(
    AccessGuard<'static, &'static [u8; N]>,
    AccessGuard<'static, V>,
)>;

impl<const N: usize, V: Sealed> Layer<N, V> {
    pub(super) fn new(schema: Schema<N, V>, snapshot: &Snapshot) -> Self {
        let snapshot = Arc::clone(snapshot);
        Layer {
            schema,
            snapshot,
            below: OnceCell::new(),
            changes: BTreeMap::new(),
        }
    }

    pub(super) fn into_changes(self) -> Changes<N> {
        self.changes
    }

    pub(super) fn is_unchanged(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn put(&mut self, key: [u8; N], body: Vec<u8>) {
        self.changes.insert(key, Some(body));
    }

    pub(super) fn remove(&mut self, key: [u8; N], below: Below) {
        match below {
            Below::Look => self.changes.insert(key, None),
            Below::Nothing => self.changes.remove(&key),
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

    /// Reads the body at a key.
    pub(super) fn get<T>(
        &self,
        key: &[u8; N],
        below: Below,
        read: impl FnOnce(&[u8]) -> Result<T, IndexError>,
    ) -> Result<Option<T>, IndexError> {
        if let Some(change) = self.changes.get(key) {
            return change.as_deref().map(read).transpose();
        }
        if below == Below::Nothing {
            return Ok(None);
        }
        guarded(self.schema.place("read", key), || {
            let Some(value) = self.table()?.get(key)? else {
                return Ok(None);
            };
            let body = self.schema.body(key, value.value())?;
            Ok(Some(read(body)?))
        })
    }

    /// Visits the rows from `low` to `high`, both included, until `visit` answers `false`.
    pub(super) fn scan(
        &self,
        (low, high): ([u8; N], [u8; N]),
        order: Order,
        below: Below,
        visit: &mut Visit<'_, N>,
    ) -> Result<(), IndexError> {
        if low > high {
            return Ok(());
        }
        let above = self.changes.range(low..=high);
        guarded(self.schema.place("read", &low), || {
            let range = match below {
                Below::Look => Some(self.table()?.range::<&[u8; N]>(&low..=&high)?),
                Below::Nothing => None,
            };
            self.merge(above, range, order, visit)
        })
    }

    fn merge(
        &self,
        mut above: btree_map::Range<'_, [u8; N], Option<Vec<u8>>>,
        mut below: Option<Range<'static, &'static [u8; N], V>>,
        order: Order,
        visit: &mut Visit<'_, N>,
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
            if let (true, Some((key, body))) = (first != Ordering::Greater, change) {
                change = step_above();
                if let Some(body) = body
                    && !visit(key, body)?
                {
                    return Ok(());
                }
            } else if let Some((key, value)) = &row {
                let body = self.schema.body(key.value(), value.value())?;
                if !visit(key.value(), body)? {
                    return Ok(());
                }
            }
            if hidden || first == Ordering::Greater {
                row = step_below()?;
            }
        }
    }

    fn table(&self) -> Result<&ReadOnlyTable<&'static [u8; N], V>, Fault> {
        if self.below.get().is_none() {
            let table = Guarded::new(self.snapshot.open_table(self.schema.definition)?);
            let _ = self.below.set(table);
        }
        Ok(self.below.get().expect("the table was just opened"))
    }
}
