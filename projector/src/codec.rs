//! Owns the bytes of rebuildable values, the only place that knows bincode (DESIGN D16); it must
//! not know tables, keys or checksums.
//!
//! A value is a version byte and its bincode body. What is written here can always be derived from
//! the log again, so a new version is a rebuild and never a migration.

mod id;
#[cfg(test)]
mod tests;

use bincode::config::{self, Configuration, Limit, LittleEndian, Varint};
use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Decode, Encode};
use turnleaf_format::Ordinal;

use crate::rows::{ItemRow, ItemTimes, TurnName, TurnRow};

/// First byte of every encoded value.
pub const VERSION: u8 = 1;
/// Largest encoded value in bytes, version byte included.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// Up to this many bytes a value is decoded under the small limit.
const SMALL_BYTES_MAX: usize = 2048;
/// Memory that a small value may claim while it is decoded.
const SMALL_CLAIM_MAX: usize = 1 << 16;
/// Memory that any value may claim: the same multiple of its bytes as for a small one, doubled.
const CLAIM_MAX: usize = 64 * VALUE_BYTES_MAX;

/// A value encodes to more than [`VALUE_BYTES_MAX`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value of {bytes} bytes is over the limit of {VALUE_BYTES_MAX}")]
pub struct TooLarge {
    /// Its size.
    pub bytes: usize,
}

/// Bytes are not an encoded value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The version byte is missing or not [`VERSION`].
    #[error("unknown version of an encoded value")]
    Version,
    /// The body is not one of the wanted type, or claims more than the limit.
    #[error("an encoded value does not have the expected form")]
    Body,
    /// Bytes follow the body.
    #[error("an encoded value is followed by other bytes")]
    Trailing,
}

/// Encodes a value.
///
/// # Errors
/// [`TooLarge`] when the result is over [`VALUE_BYTES_MAX`].
///
/// # Panics
/// If the type's `Encode` refuses the value, which plain fields never do.
pub fn encode<T: Encode>(value: &T) -> Result<Vec<u8>, TooLarge> {
    let mut bytes = Vec::with_capacity(96);
    bytes.push(VERSION);
    bincode::encode_into_std_write(value, &mut bytes, config::standard())
        .expect("plain fields encode into memory");
    if bytes.len() > VALUE_BYTES_MAX {
        Err(TooLarge { bytes: bytes.len() })
    } else {
        Ok(bytes)
    }
}

/// Decodes a value that fills `bytes` completely. Total: any bytes give a value or an error, and
/// memory stays within a fixed multiple of the limit.
///
/// # Errors
/// [`Malformed`] says what is wrong.
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, Malformed> {
    let body = match bytes.split_first() {
        Some((&VERSION, body)) => body,
        _ => return Err(Malformed::Version),
    };
    let decoded = if bytes.len() <= SMALL_BYTES_MAX {
        bincode::decode_from_slice(body, limited::<SMALL_CLAIM_MAX>())
    } else if bytes.len() <= VALUE_BYTES_MAX {
        bincode::decode_from_slice(body, limited::<CLAIM_MAX>())
    } else {
        return Err(Malformed::Body);
    };
    match decoded {
        Ok((value, used)) if used == body.len() => Ok(value),
        Ok(_) => Err(Malformed::Trailing),
        Err(_) => Err(Malformed::Body),
    }
}

/// Appends one value of a sequence, without a version byte: the sequence has one.
pub(crate) fn append<T: Encode>(value: &T, out: &mut Vec<u8>) {
    bincode::encode_into_std_write(value, out, config::standard())
        .expect("plain fields encode into memory");
}

/// Takes the next value of a sequence off `bytes`; its texts borrow from there. Total, and bounded
/// as [`decode`] is.
pub(crate) fn take<'a, T: BorrowDecode<'a, ()>>(bytes: &mut &'a [u8]) -> Result<T, Malformed> {
    let (value, used) = bincode::borrow_decode_from_slice(bytes, limited::<CLAIM_MAX>())
        .map_err(|_| Malformed::Body)?;
    *bytes = &bytes[used..];
    Ok(value)
}

fn limited<const N: usize>() -> Configuration<LittleEndian, Varint, Limit<N>> {
    config::standard().with_limit::<N>()
}

/// Shifts the ordinals of a row, so that they are stored relative to the row's key: most fit one
/// byte then. Wrapping, thus its own inverse with `key` and `key.wrapping_neg()`.
pub(crate) trait Shift {
    /// Adds `by` to every ordinal.
    fn shift(&mut self, by: u64);
}

fn shift(ordinal: &mut Ordinal, by: u64) {
    ordinal.0 = ordinal.0.wrapping_add(by);
}

impl Shift for TurnRow {
    fn shift(&mut self, by: u64) {
        let places = [
            &mut self.error_at,
            &mut self.first_user_item,
            &mut self.final_agent_item,
        ];
        places
            .into_iter()
            .flatten()
            .for_each(|place| shift(place, by));
    }
}

impl Shift for ItemRow {
    fn shift(&mut self, by: u64) {
        self.sources.iter_mut().for_each(|source| shift(source, by));
    }
}

impl Encode for TurnRow {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.turn.encode(encoder)?;
        id::encode(&self.id, encoder)?;
        encode_root(self, encoder)?;
        self.status.encode(encoder)?;
        self.error_at.map(|at| at.0).encode(encoder)?;
        (self.started_at, self.completed_at, self.duration_ms).encode(encoder)?;
        began(self.began_at_ms, self.started_at, i64::wrapping_sub).encode(encoder)?;
        self.first_user_item.map(|at| at.0).encode(encoder)?;
        self.final_agent_item.map(|at| at.0).encode(encoder)
    }
}

impl<C> Decode<C> for TurnRow {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let (turn, id) = (Decode::decode(decoder)?, id::decode(decoder)?);
        let root = decode_root(&id, decoder)?;
        let (status, error_at) = (Decode::decode(decoder)?, place(decoder)?);
        let (started_at, completed_at, duration_ms) = Decode::decode(decoder)?;
        Ok(TurnRow {
            turn,
            id,
            root,
            status,
            error_at,
            began_at_ms: began(Decode::decode(decoder)?, started_at, i64::wrapping_add),
            started_at,
            completed_at,
            duration_ms,
            first_user_item: place(decoder)?,
            final_agent_item: place(decoder)?,
        })
    }
}

impl Encode for ItemRow {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.turn.encode(encoder)?;
        id::encode(&self.id, encoder)?;
        self.kind.encode(encoder)?;
        self.phase.encode(encoder)?;
        self.created_at_ms.encode(encoder)?;
        times(self.times, self.created_at_ms, i64::wrapping_sub).encode(encoder)?;
        (self.sources.len() as u64).encode(encoder)?;
        self.sources
            .iter()
            .try_for_each(|source| source.0.encode(encoder))
    }
}

impl<C> Decode<C> for ItemRow {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let (turn, id) = (Decode::decode(decoder)?, id::decode(decoder)?);
        let (kind, phase) = (Decode::decode(decoder)?, Decode::decode(decoder)?);
        let created_at_ms = Decode::decode(decoder)?;
        Ok(ItemRow {
            turn,
            id,
            kind,
            phase,
            created_at_ms,
            times: times(Decode::decode(decoder)?, created_at_ms, i64::wrapping_add),
            sources: Vec::<u64>::decode(decoder)?
                .into_iter()
                .map(Ordinal)
                .collect(),
        })
    }
}

/// Times relative to the item's line, which is mostly written as the item ends.
fn times(times: ItemTimes, line: Option<i64>, shift: fn(i64, i64) -> i64) -> ItemTimes {
    let shifted = |at: Option<i64>| at.map(|at| shift(at, line.unwrap_or(0)));
    ItemTimes {
        started_at_ms: shifted(times.started_at_ms),
        completed_at_ms: shifted(times.completed_at_ms),
    }
}

/// The beginning of a turn relative to the start that its records say.
fn began(
    began_at_ms: Option<i64>,
    started_at: Option<i64>,
    shift: fn(i64, i64) -> i64,
) -> Option<i64> {
    let start_ms = started_at.unwrap_or(0).wrapping_mul(1000);
    began_at_ms.map(|at| shift(at, start_ms))
}

const NO_ROOT: u8 = 0;
const OWN_ROOT: u8 = 1;
const OTHER_ROOT: u8 = 2;

/// Nearly every turn is its own root.
fn encode_root<E: Encoder>(row: &TurnRow, encoder: &mut E) -> Result<(), EncodeError> {
    match &row.root {
        None => NO_ROOT.encode(encoder),
        Some(root) if *root == row.id => OWN_ROOT.encode(encoder),
        Some(root) => {
            OTHER_ROOT.encode(encoder)?;
            id::encode(root, encoder)
        }
    }
}

fn decode_root<D: Decoder>(own: &str, decoder: &mut D) -> Result<Option<String>, DecodeError> {
    match u8::decode(decoder)? {
        NO_ROOT => Ok(None),
        OWN_ROOT => Ok(Some(own.to_owned())),
        OTHER_ROOT => id::decode(decoder).map(Some),
        _ => Err(DecodeError::Other("unknown form of a root turn")),
    }
}

impl Encode for TurnName {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.turn.encode(encoder)?;
        self.row.map(|row| row.0).encode(encoder)
    }
}

impl<C> Decode<C> for TurnName {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(TurnName {
            turn: Decode::decode(decoder)?,
            row: place(decoder)?,
        })
    }
}

bincode::impl_borrow_decode!(TurnRow);
bincode::impl_borrow_decode!(ItemRow);
bincode::impl_borrow_decode!(TurnName);

/// An id within another value, in its short form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) String);

impl Encode for Id {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        id::encode(&self.0, encoder)
    }
}

impl<C> Decode<C> for Id {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        id::decode(decoder).map(Id)
    }
}

bincode::impl_borrow_decode!(Id);

fn place<D: Decoder>(decoder: &mut D) -> Result<Option<Ordinal>, DecodeError> {
    Ok(Option::<u64>::decode(decoder)?.map(Ordinal))
}
