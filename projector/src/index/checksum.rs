//! Owns the checksum of a stored value and the hash of a row; it must not know what rows mean.

use super::error::Table;

/// Bytes of the checksum behind every value.
pub(super) const CHECKSUM_BYTES: usize = 4;

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;

/// CRC-32 over the table's number, the key and the body, so that a value that moved to another
/// key or table does not pass.
pub(super) fn checksum(table: Table, key: &[u8], body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut crc = crc32fast::Hasher::new_with_initial(table as u32 + 1);
    crc.update(key);
    crc.update(body);
    crc.finalize().to_le_bytes()
}

/// The body of a stored value, if its checksum matches.
pub(super) fn checked_body<'v>(table: Table, key: &[u8], value: &'v [u8]) -> Option<&'v [u8]> {
    let (body, stored) = value.split_last_chunk::<CHECKSUM_BYTES>()?;
    let right = checksum(table, key, body) == *stored;
    right.then_some(body)
}

/// Keyed 64-bit hash of a row; a thread's digest is the wrapping sum of them, so it can follow
/// every change and does not depend on the order of the changes. It finds accidents: rows that are
/// lost, doubled, stale or changed.
pub(super) fn row_hash(table: Table, key: &[u8], body: &[u8]) -> u64 {
    let state = mix(SEED ^ u64::from(table as u8));
    absorb(absorb(state, key), body)
}

/// 32-bit hash of an id, part of the keys that lead from ids to rows; equal hashes are told apart
/// by the rows.
pub(super) fn id_hash(id: &str) -> u32 {
    let hash = absorb(SEED, id.as_bytes());
    u32::from_be_bytes(
        *hash
            .to_be_bytes()
            .first_chunk()
            .expect("eight bytes have four"),
    )
}

/// 64-bit hash of a text, the same in every build of this projection.
#[must_use]
pub fn text_hash(text: &str) -> u64 {
    absorb(SEED, text.as_bytes())
}

fn absorb(mut state: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = mix(state ^ u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(mix(state ^ u64::from_le_bytes(last)) ^ bytes.len() as u64)
}

/// The two halves of a 128-bit product, folded.
fn mix(value: u64) -> u64 {
    let product = u128::from(value ^ SEED) * u128::from(FACTOR);
    let [low, high] = [product & u128::from(u64::MAX), product >> 64];
    u64::try_from(low ^ high).expect("both halves have 64 bits")
}
