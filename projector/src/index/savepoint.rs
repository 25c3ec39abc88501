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

/// As many of the newest turns have a savepoint each. Those farther back stand apart by about that
/// part of how far back they are.
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

/// Whether it is time to thin savepoints out, when that of turn `newest` follows that of turn
/// `before`.
pub(super) fn is_to_thin(before: u32, newest: u32) -> bool {
    before / CLOSE != newest / CLOSE
}

/// Numbers of the savepoints without which the others stand close enough together; all are given,
/// the newest first.
pub(super) fn too_close(numbers: &[u32]) -> Vec<u32> {
    let newest = numbers.first().copied().unwrap_or_default();
    let (mut kept, mut close) = (newest, Vec::new());
    for (at, number) in numbers.iter().enumerate() {
        let far = newest - number;
        let older = numbers.get(at + 1).copied().unwrap_or_default();
        if far > CLOSE && kept - older <= far / CLOSE {
            close.push(*number);
        } else {
            kept = *number;
        }
    }
    close
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

    /// Turns without a savepoint lie between, as those have that no record began.
    #[test]
    fn savepoints_stand_the_farther_apart_the_farther_back_they_are() {
        for step in [1, 2, 7] {
            let mut there = BTreeSet::new();
            let mut before = 0;
            for newest in (1..5000).step_by(step) {
                there.insert(newest);
                if is_to_thin(before, newest) {
                    let numbers: Vec<u32> = there.iter().rev().copied().collect();
                    for number in too_close(&numbers) {
                        there.remove(&number);
                    }
                }
                before = newest;
                for number in (1..newest).step_by(97) {
                    let nearest = there.range(..=number).next_back().copied().unwrap_or(0);
                    let (missed, far) = (number - nearest, newest - number);
                    assert!(missed <= far / 8 + 7, "{number} of {newest}");
                }
            }
            assert!(there.len() < 250, "{}", there.len());
        }
    }
}
