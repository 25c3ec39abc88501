//! Owns the bytes of the catalogue's checkpoint: a header, and items that add up to what the
//! catalogue says at one place. It must not know what the items mean together.

use crate::bytes::{DecodeError, Problem, Source, checked, crc};
use crate::catalogue::CatalogueRecord;
use crate::chain::ThreadChain;
use crate::ids::{Ordinal, SegmentId, StoreId};
use crate::record::{INLINE_BYTES_MAX, Kind};
use crate::version::{Format, Version};

/// First bytes of a checkpoint.
pub const MAGIC: [u8; 4] = *b"TLCP";
/// Bytes of its header; the first item begins here.
pub const HEADER_BYTES: usize = 128;
/// Bytes of an item before its payload.
pub const ITEM_HEADER_BYTES: usize = 8;
/// What a checkpoint of this build holds. A build that knows other records or other items uses
/// another number, because what it knows may be missing in the checkpoints of this one.
/// [S:checkpoint-3]
pub const CONTENTS: u32 = 4;

const RETIRED: u8 = 1;
const WEIGHTS: u8 = 2;
/// Bytes of a pair of numbers.
const PAIR_BYTES: usize = 16;
/// Most pairs of one item.
const PAIRS_MAX: usize = INLINE_BYTES_MAX / PAIR_BYTES;

/// Header of a checkpoint. [S:checkpoint-2]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointHeader {
    /// The store.
    pub store: StoreId,
    /// The items add up to the catalogue's records before this one.
    pub end: Ordinal,
    /// The catalogue's thread chain there.
    pub chain: ThreadChain,
    /// Bytes of the items.
    pub body_len: u64,
    /// BLAKE3 of the items.
    pub digest: [u8; 32],
}

impl CheckpointHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&128_u16.to_le_bytes());
        // Who reads other contents ignores it by their number.
        out.extend_from_slice(&Version::asking_for(Format::FIRST).bytes());
        out.extend_from_slice(&self.store.0);
        for value in [self.end.0, self.chain.0, self.body_len] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&self.digest);
        out.extend_from_slice(&CONTENTS.to_le_bytes());
        out.resize(HEADER_BYTES - 4, 0);
        let check = crc(&[&out]);
        out.extend_from_slice(&check.to_le_bytes());
        out.try_into()
            .expect("the fields add up to the header's size")
    }

    /// Decodes and checks a header.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not one, or one of other contents.
    pub fn decode(bytes: &[u8]) -> Result<CheckpointHeader, DecodeError> {
        let mut source = checked("checkpoint header", bytes, MAGIC, HEADER_BYTES, &[])?.0;
        source.preamble(128)?;
        let header = CheckpointHeader {
            store: StoreId(source.array()?),
            end: Ordinal(source.u64()?),
            chain: ThreadChain(source.u64()?),
            body_len: source.u64()?,
            digest: source.array()?,
        };
        if source.u32()? != CONTENTS {
            return source.fail(Problem::Version);
        }
        source.zeros(HEADER_BYTES - 4 - 84)?;
        Ok(header)
    }
}

/// A part of what the catalogue says. [S:checkpoint-4]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// As if this record stood here.
    Record(CatalogueRecord),
    /// Segments that were published and are in use no more: first and last of ranges.
    Retired(Vec<(SegmentId, SegmentId)>),
    /// What the runs of segments weighed when they were published, where some of them are in use no
    /// more.
    Weights(Vec<(SegmentId, u64)>),
}

impl Item {
    /// Appends the item's bytes; more pairs than one item holds become several.
    ///
    /// # Panics
    /// For [`CatalogueRecord::Unknown`], which is never written.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Item::Record(record) => put(out, record.kind().0, &record.encode()),
            Item::Retired(ranges) => {
                let pairs = ranges.iter().map(|(first, last)| (first.0, last.0));
                put_pairs(out, RETIRED, pairs);
            }
            Item::Weights(weights) => {
                let pairs = weights.iter().map(|(segment, bytes)| (segment.0, *bytes));
                put_pairs(out, WEIGHTS, pairs);
            }
        }
    }

    /// Decodes the item that begins the bytes, and says how many it takes; `None` where it is not
    /// whole yet.
    ///
    /// # Errors
    /// [`DecodeError`] when no item begins there.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Item, usize)>, DecodeError> {
        let mut source = Source::new("checkpoint item", bytes);
        if bytes.len() < ITEM_HEADER_BYTES {
            return Ok(None);
        }
        let kind = source.u8()?;
        source.zeros(3)?;
        let len = source.u32()? as usize;
        if len > INLINE_BYTES_MAX {
            return source.fail(Problem::Length);
        }
        let end = ITEM_HEADER_BYTES + len;
        let Some(payload) = bytes.get(ITEM_HEADER_BYTES..end) else {
            return Ok(None);
        };
        let item = match kind {
            RETIRED => {
                let ranges =
                    pairs(payload)?.map(|(first, last)| (SegmentId(first), SegmentId(last)));
                let ranges: Vec<_> = ranges.collect();
                if ranges.iter().any(|(first, last)| first > last) {
                    return source.fail(Problem::Length);
                }
                Item::Retired(ranges)
            }
            WEIGHTS => {
                let weights = pairs(payload)?.map(|(segment, bytes)| (SegmentId(segment), bytes));
                Item::Weights(weights.collect())
            }
            _ => match CatalogueRecord::decode(Kind(kind), payload)? {
                CatalogueRecord::Unknown { .. } => return source.fail(Problem::Reserved),
                record => Item::Record(record),
            },
        };
        Ok(Some((item, end)))
    }
}

fn put(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let len = u32::try_from(payload.len()).expect("an item is at most 1 MiB");
    out.extend_from_slice(&[kind, 0, 0, 0]);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(payload);
}

fn put_pairs(out: &mut Vec<u8>, kind: u8, pairs: impl Iterator<Item = (u64, u64)>) {
    let pairs: Vec<_> = pairs.collect();
    for part in pairs.chunks(PAIRS_MAX) {
        let numbers = part.iter().flat_map(|(one, other)| [*one, *other]);
        let bytes: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
        put(out, kind, &bytes);
    }
}

/// Pairs of numbers; the payload has whole ones.
fn pairs(payload: &[u8]) -> Result<impl Iterator<Item = (u64, u64)>, DecodeError> {
    let source = Source::new("checkpoint item", payload);
    if !payload.len().is_multiple_of(PAIR_BYTES) {
        return source.fail(Problem::Length);
    }
    let numbers = |pair: &[u8]| {
        let mut source = Source::new("checkpoint item", pair);
        Ok((source.u64()?, source.u64()?))
    };
    let pairs = payload.chunks_exact(PAIR_BYTES).map(numbers);
    Ok(pairs.collect::<Result<Vec<_>, _>>()?.into_iter())
}

#[cfg(test)]
mod tests;
