//! Owns the checks that every codec passes; it must not know a layout.

use crate::StoreId;
use crate::bytes::{DecodeError, Problem, crc};

/// The store of all tests.
pub(crate) const STORE: StoreId = StoreId(*b"turnleaf-vectors");
/// A store that no test writes.
pub(crate) const FOREIGN: StoreId = StoreId([0xee; 16]);

/// Every single-bit flip and every truncation of a checksummed header is refused, and bytes after
/// it are not looked at.
pub(crate) fn check_header<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, DecodeError>) {
    assert!(decode(bytes).is_ok());
    assert!(decode(&[bytes, &[0xff; 9]].concat()).is_ok());
    for len in 0..bytes.len() {
        let problem = decode(&bytes[..len]).err().map(|error| error.problem);
        assert_eq!(problem, Some(Problem::Short), "cut to {len} bytes");
    }
    let mut flipped = bytes.to_vec();
    for bit in 0..bytes.len() * 8 {
        flipped[bit / 8] ^= 1 << (bit % 8);
        let problem = decode(&flipped).err().map(|error| error.problem);
        let expected = if bit < 32 {
            Problem::Magic
        } else {
            Problem::HeaderChecksum
        };
        assert_eq!(problem, Some(expected), "bit {bit}");
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Writes `value` at `at` and makes the trailing checksum of the header true again, so that only
/// the meaning is wrong.
pub(crate) fn forged(bytes: &[u8], seed: &[u8], at: usize, value: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out[at..at + value.len()].copy_from_slice(value);
    let end = out.len() - 4;
    let check = crc(&[seed, &out[..end]]);
    out[end..].copy_from_slice(&check.to_le_bytes());
    out
}

/// The problem of a refused input.
pub(crate) fn problem<T>(result: Result<T, DecodeError>) -> Option<Problem> {
    result.err().map(|error| error.problem)
}
