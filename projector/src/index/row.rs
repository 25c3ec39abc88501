//! Owns the trait of a value in a table: how it becomes bytes and a row again. It must not know
//! which rows there are.

use super::IndexError;
use super::error::Place;
use crate::codec::{self, VALUE_BYTES_MAX};

/// A row of a table.
pub(super) trait Row: Clone {
    /// The row as bytes, relative to its key.
    fn encode(self, key: &[u8]) -> Result<Vec<u8>, codec::TooLarge>;
    /// The row of some bytes.
    fn decode(key: &[u8], body: &[u8]) -> Result<Self, codec::Malformed>;
    /// No fewer bytes than [`Row::encode`] gives: what is surely small is not measured.
    fn bytes_bound(&self) -> usize {
        usize::MAX
    }

    /// Refuses a row that does not fit. A row is kept as it is until its batch is written; what is
    /// wrong with it is said when it comes.
    fn check(&self, place: Place, key: &[u8]) -> Result<(), IndexError> {
        if self.bytes_bound() <= VALUE_BYTES_MAX {
            return Ok(());
        }
        self.clone().bytes(place, key).map(drop)
    }

    /// [`Row::encode`] with the place in its error.
    fn bytes(self, place: Place, key: &[u8]) -> Result<Vec<u8>, IndexError> {
        self.encode(key).map_err(|error| IndexError::RowTooLarge {
            place,
            bytes: error.bytes,
        })
    }
}

/// Rows whose keys say all.
impl Row for () {
    fn encode(self, _: &[u8]) -> Result<Vec<u8>, codec::TooLarge> {
        Ok(Vec::new())
    }

    fn decode(_: &[u8], body: &[u8]) -> Result<(), codec::Malformed> {
        if body.is_empty() {
            Ok(())
        } else {
            Err(codec::Malformed::Trailing)
        }
    }

    fn bytes_bound(&self) -> usize {
        0
    }
}

/// A row that a scan meets: changed in this batch, or stored.
pub(super) enum Held<'a, R> {
    Changed(&'a R),
    Stored(Place, &'a [u8]),
}

impl<R: Row> Held<'_, R> {
    /// The row itself.
    pub(super) fn row(&self, key: &[u8]) -> Result<R, IndexError> {
        match self {
            Held::Changed(row) => Ok((*row).clone()),
            Held::Stored(place, body) => R::decode(key, body).map_err(|error| place.damaged(error)),
        }
    }
}
