//! Owns savepoints: what a thread was where one of its turns began, so that a rollout that goes on
//! from there need not fold what came before. It must not know transactions.
//!
//! A savepoint says two things: what the fold remembered there, and that the rows of earlier turns
//! are still as they were then. A record that changes a row of an earlier turn takes away the
//! savepoints behind that turn.

use bincode::{Decode, Encode};
use turnleaf_format::{Ordinal, ThreadNumber};

use super::IndexError;
use super::error::{Place, Table};
use super::known::Prefix;
use super::row::Row;
use crate::codec::{self, Malformed, TooLarge, VALUE_BYTES_MAX};
use crate::rows::TurnNo;

/// So many of the newest turns have a savepoint each; of those farther back by twice that every
/// second one has, and so on.
const CLOSE: u32 = 16;

/// Bytes of a row besides the state, generously.
const NUMBERS_BYTES: usize = 128;

/// What is kept where a turn began.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct SavepointRow {
    /// Ordinal of the record that began the turn.
    pub(super) at: u64,
    /// The fold's state before that record, encoded.
    pub(super) state: Vec<u8>,
    pub(super) turn_rows: u64,
    pub(super) item_rows: u64,
    pub(super) row_end: u64,
    pub(super) items_end: u64,
    pub(super) turn_end: u64,
}

impl Row for SavepointRow {
    fn encode(self, _: &[u8]) -> Result<Vec<u8>, TooLarge> {
        codec::encode(&self)
    }

    fn decode(_: &[u8], body: &[u8]) -> Result<Self, Malformed> {
        codec::decode(body)
    }

    fn bytes_bound(&self) -> usize {
        NUMBERS_BYTES + self.state.len()
    }
}

/// Whether a row with this state is small enough for the index.
pub(super) fn fits(state: &[u8]) -> bool {
    NUMBERS_BYTES + state.len() <= VALUE_BYTES_MAX
}

/// Numbers of the savepoints that are too many once that of turn `newest` is there.
pub(super) fn thinned_by(newest: u32) -> impl Iterator<Item = u32> {
    let far = |shift: u32| Some((shift, CLOSE.checked_shl(shift).filter(|far| *far >= CLOSE)?));
    let far = (0..u32::BITS).map_while(far);
    far.filter_map(move |(shift, far)| {
        let number = newest.checked_sub(far).filter(|number| *number > 0)?;
        (number.trailing_zeros() == shift).then_some(number)
    })
}

/// A place in a thread from which others may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Savepoint {
    pub(super) prefix: Prefix,
    pub(super) row: SavepointRow,
}

impl Savepoint {
    pub(super) fn of(thread: u64, turn: TurnNo, row: SavepointRow) -> Savepoint {
        let prefix = Prefix {
            of: thread,
            turns: turn.0,
            below: row.at,
            turn_rows: row.turn_rows,
            item_rows: row.item_rows,
        };
        Savepoint { prefix, row }
    }

    /// The rows before it are those of the records before this ordinal.
    #[must_use]
    pub fn at(&self) -> Ordinal {
        Ordinal(self.row.at)
    }

    /// The fold's state there.
    ///
    /// # Errors
    /// Damage when the bytes are not a state.
    pub fn fold_state<S: Decode<()>>(&self) -> Result<S, IndexError> {
        let place = Place {
            operation: "read",
            table: Some(Table::Savepoints),
            thread: Some(ThreadNumber(self.prefix.of)),
        };
        codec::decode(&self.row.state).map_err(|error| place.damaged(error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn savepoints_stand_the_farther_apart_the_farther_back_they_are() {
        let mut there = BTreeSet::new();
        for newest in 1..5000 {
            there.insert(newest);
            for number in thinned_by(newest) {
                assert!(there.remove(&number), "{number} was there before {newest}");
            }
            for number in 1..newest {
                let nearest = there.range(..=number).next_back().copied().unwrap_or(0);
                let missed = number - nearest;
                assert!(missed <= (newest - number) / 4, "{number} of {newest}");
            }
        }
        assert!(there.len() < 160, "{}", there.len());
    }
}
