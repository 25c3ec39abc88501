//! Owns the short form of ids; it must not know rows.
//!
//! Ids are most of a row: UUIDs, or a prefix and hexadecimal digits, both of which take half the
//! bytes as numbers. Any other text is stored as it is.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::uuid::{is_usual, uuid, uuid_text};

const PLAIN: u8 = 0;
const UUID: u8 = 1;
const PREFIXED: u8 = 2;
/// Fewer digits are not worth the second length.
const DIGITS_MIN: usize = 8;

pub(super) fn encode<E: Encoder>(id: &str, encoder: &mut E) -> Result<(), EncodeError> {
    if let Some(bytes) = uuid(id).filter(|_| is_usual(id)) {
        UUID.encode(encoder)?;
        return bytes.encode(encoder);
    }
    let digits = id
        .bytes()
        .rev()
        .take_while(|byte| nibble(*byte).is_some())
        .count()
        & !1;
    if digits < DIGITS_MIN {
        PLAIN.encode(encoder)?;
        return id.encode(encoder);
    }
    let (prefix, digits) = id.split_at(id.len() - digits);
    PREFIXED.encode(encoder)?;
    prefix.encode(encoder)?;
    let (pairs, _) = digits.as_bytes().as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().filter_map(byte).collect();
    bytes.encode(encoder)
}

pub(super) fn decode<D: Decoder>(decoder: &mut D) -> Result<String, DecodeError> {
    match u8::decode(decoder)? {
        PLAIN => String::decode(decoder),
        UUID => Ok(uuid_text(<[u8; 16]>::decode(decoder)?)),
        PREFIXED => {
            let prefix = String::decode(decoder)?;
            let digits = Vec::<u8>::decode(decoder)?;
            if digits.len() * 2 < DIGITS_MIN {
                return Err(DecodeError::Other("an id of few digits in the short form"));
            }
            let mut id = prefix.into_bytes();
            id.reserve_exact(digits.len() * 2);
            push(&mut id, &digits);
            Ok(text(id))
        }
        _ => Err(DecodeError::Other("unknown form of an id")),
    }
}

fn push(id: &mut Vec<u8>, bytes: &[u8]) {
    let digits = b"0123456789abcdef";
    for byte in bytes {
        id.extend_from_slice(&[
            digits[usize::from(byte >> 4)],
            digits[usize::from(byte & 15)],
        ]);
    }
}

fn text(id: Vec<u8>) -> String {
    String::from_utf8(id).expect("a text with digits behind it is a text")
}

fn byte([high, low]: &[u8; 2]) -> Option<u8> {
    Some(nibble(*high)? << 4 | nibble(*low)?)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
