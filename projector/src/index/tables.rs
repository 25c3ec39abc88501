//! Owns the tables: their names, what stands in them and how changes reach them; it must not know
//! queries.

use std::collections::BTreeMap;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};
use redb::WriteTransaction;
use turnleaf_format::{Ordinal, ThreadChain};

use super::error::{Fault, Table};
use super::overlay::{Body, Changes, KeyOnly, RowSum, Schema};
use super::row::Row;
use super::savepoint::SavepointRow;
use super::turn_items::TurnItems;
use super::{ThreadRow, keys};
use crate::codec::{self, Id, Malformed, Shift, TooLarge};
use crate::rows::{ItemRow, TurnRow};

pub(super) const THREADS: Schema<8, Body, ThreadRow> = Schema::new(Table::Threads, "threads");
pub(super) const TURNS: Schema<16, Body, TurnRow> = Schema::new(Table::Turns, "turns");
pub(super) const ITEMS: Schema<16, Body, ItemRow> = Schema::new(Table::Items, "items");
pub(super) const CALLS: Schema<16, Body, ItemRow> = Schema::new(Table::Calls, "calls");
pub(super) const NUMBERS: Schema<12, Body, NumberRow> =
    Schema::new(Table::TurnNumbers, "turn_numbers");
pub(super) const NAMES: Schema<16, KeyOnly, ()> = Schema::new(Table::TurnNames, "turn_names");
pub(super) const ITEM_IDS: Schema<24, KeyOnly, ()> = Schema::new(Table::ItemIds, "item_ids");
pub(super) const TURN_ITEMS: Schema<12, Body, TurnItems> =
    Schema::new(Table::TurnItems, "turn_items");
pub(super) const SAVEPOINTS: Schema<12, Body, SavepointRow> =
    Schema::new(Table::Savepoints, "savepoints");
pub(super) const SHARERS: Schema<16, KeyOnly, ()> = Schema::new(Table::Sharers, "sharers");

/// Bytes of a row besides its texts and lists, generously.
const ROW_BYTES: usize = 256;
/// Bytes of a number in a list, at most.
const NUMBER_BYTES: usize = 10;

/// What stands behind a turn number.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct NumberRow {
    pub(super) id: Id,
    /// Key of the turn row.
    pub(super) row: Option<u64>,
    /// Whether the id names this turn: of several turns with one id, only the first is named.
    pub(super) is_named: bool,
}

/// The changes of a view.
pub(super) struct ViewChanges {
    pub(super) turns: Changes<16, TurnRow>,
    pub(super) items: Changes<16, ItemRow>,
    pub(super) calls: Changes<16, ItemRow>,
    pub(super) numbers: Changes<12, NumberRow>,
    pub(super) names: Changes<16, ()>,
    pub(super) item_ids: Changes<24, ()>,
    pub(super) turn_items: Changes<12, TurnItems>,
    pub(super) savepoints: Changes<12, SavepointRow>,
}

impl ViewChanges {
    /// Writes all changes, table after table, each in the order of its keys.
    pub(super) fn apply(self, txn: &WriteTransaction) -> Result<BTreeMap<u64, RowSum>, Fault> {
        let mut tallies = BTreeMap::new();
        TURNS.apply(txn, self.turns, &mut tallies)?;
        ITEMS.apply(txn, self.items, &mut tallies)?;
        CALLS.apply(txn, self.calls, &mut tallies)?;
        NUMBERS.apply(txn, self.numbers, &mut tallies)?;
        NAMES.apply(txn, self.names, &mut tallies)?;
        ITEM_IDS.apply(txn, self.item_ids, &mut tallies)?;
        TURN_ITEMS.apply(txn, self.turn_items, &mut tallies)?;
        // They are no rows of the thread: they only say how to come by those of another one.
        SAVEPOINTS.apply(txn, self.savepoints, &mut BTreeMap::new())?;
        Ok(tallies)
    }
}

/// Removes all rows of a thread, its own one included.
pub(super) fn clear(txn: &WriteTransaction, thread: u64) -> Result<(), Fault> {
    THREADS.clear(txn, thread)?;
    TURNS.clear(txn, thread)?;
    ITEMS.clear(txn, thread)?;
    CALLS.clear(txn, thread)?;
    NUMBERS.clear(txn, thread)?;
    NAMES.clear(txn, thread)?;
    ITEM_IDS.clear(txn, thread)?;
    TURN_ITEMS.clear(txn, thread)?;
    SAVEPOINTS.clear(txn, thread)
}

/// Creates the tables of an empty index.
pub(super) fn create(txn: &WriteTransaction) -> Result<(), Fault> {
    txn.open_table(THREADS.definition)?;
    txn.open_table(TURNS.definition)?;
    txn.open_table(ITEMS.definition)?;
    txn.open_table(CALLS.definition)?;
    txn.open_table(NUMBERS.definition)?;
    txn.open_table(NAMES.definition)?;
    txn.open_table(ITEM_IDS.definition)?;
    txn.open_table(TURN_ITEMS.definition)?;
    txn.open_table(SAVEPOINTS.definition)?;
    txn.open_table(SHARERS.definition)?;
    Ok(())
}

/// Rows whose ordinals are stored relative to the key.
fn encode_shifted<T: Encode + Shift>(mut row: T, key: &[u8]) -> Result<Vec<u8>, TooLarge> {
    row.shift(keys::ordinal_of(key).0.wrapping_neg());
    codec::encode(&row)
}

fn decode_shifted<T: Decode<()> + Shift>(key: &[u8], body: &[u8]) -> Result<T, Malformed> {
    let mut row: T = codec::decode(body)?;
    row.shift(keys::ordinal_of(key).0);
    Ok(row)
}

impl Row for TurnRow {
    fn encode(self, key: &[u8]) -> Result<Vec<u8>, TooLarge> {
        encode_shifted(self, key)
    }

    fn decode(key: &[u8], body: &[u8]) -> Result<Self, Malformed> {
        decode_shifted(key, body)
    }

    fn bytes_bound(&self) -> usize {
        ROW_BYTES + self.id.len() + self.root.as_ref().map_or(0, String::len)
    }
}

impl Row for ItemRow {
    fn encode(self, key: &[u8]) -> Result<Vec<u8>, TooLarge> {
        encode_shifted(self, key)
    }

    fn decode(key: &[u8], body: &[u8]) -> Result<Self, Malformed> {
        decode_shifted(key, body)
    }

    fn bytes_bound(&self) -> usize {
        ROW_BYTES + self.id.len() + self.sources.len() * NUMBER_BYTES
    }
}

impl Row for NumberRow {
    fn encode(self, _: &[u8]) -> Result<Vec<u8>, TooLarge> {
        codec::encode(&self)
    }

    fn decode(_: &[u8], body: &[u8]) -> Result<Self, Malformed> {
        codec::decode(body)
    }

    fn bytes_bound(&self) -> usize {
        ROW_BYTES + self.id.0.len()
    }
}

impl Row for TurnItems {
    fn encode(self, _: &[u8]) -> Result<Vec<u8>, TooLarge> {
        codec::encode(&self)
    }

    fn decode(_: &[u8], body: &[u8]) -> Result<Self, Malformed> {
        codec::decode(body)
    }

    fn bytes_bound(&self) -> usize {
        ROW_BYTES + TurnItems::NUMBERS_MAX * NUMBER_BYTES
    }
}

impl Row for ThreadRow {
    fn encode(self, _: &[u8]) -> Result<Vec<u8>, TooLarge> {
        codec::encode(&self)
    }

    fn decode(_: &[u8], body: &[u8]) -> Result<Self, Malformed> {
        codec::decode(body)
    }
}

impl Encode for ThreadRow {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.applied_end.0, self.chain.0, &self.state).encode(encoder)?;
        (self.turn_rows, self.item_rows, self.rows, self.digest).encode(encoder)?;
        (self.row_end, self.items_end, self.turn_end).encode(encoder)?;
        (self.shared, self.savepoints_end).encode(encoder)
    }
}

impl<C> Decode<C> for ThreadRow {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let (applied_end, chain, state) = Decode::decode(decoder)?;
        let (turn_rows, item_rows, rows, digest) = Decode::decode(decoder)?;
        let (row_end, items_end, turn_end) = Decode::decode(decoder)?;
        let (shared, savepoints_end) = Decode::decode(decoder)?;
        let (applied_end, chain) = (Ordinal(applied_end), ThreadChain(chain));
        Ok(ThreadRow {
            applied_end,
            chain,
            state,
            turn_rows,
            item_rows,
            rows,
            digest,
            row_end,
            items_end,
            turn_end,
            shared,
            savepoints_end,
        })
    }
}
