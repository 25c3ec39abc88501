//! Every codec of the format on any bytes: an answer or an error, never a panic, and what decodes
//! encodes to the same bytes again.
//!
//! Input: what to decode (bit 7: with checksums made right first), an argument, the bytes.

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::frame::{FrameHeader, HeaderAt, Position};
use turnleaf_format::journal::JournalHeader;
use turnleaf_format::record::{Entries, Kind};
use turnleaf_format::segment::{BlockHeader, Footer, SegmentHeader, Trailer};
use turnleaf_format::{Generation, SegmentId, StoreId};

use super::naive::{self, u64_at};
use super::{Bytes, assert_same};

/// The store of the vectors.
pub(super) const STORE: StoreId = StoreId(*b"turnleaf-vectors");
/// The segment of the vectors.
pub(super) const SEGMENT: SegmentId = SegmentId(81);
/// Of the first byte: checksums are made right.
pub(super) const REPAIRED: u8 = 0x80;
/// Where a header carries who wrote it, which a reader does not keep.
const WRITTEN_BY: usize = 6;

/// Runs the target.
///
/// # Panics
/// When a law is broken.
pub fn run(input: &[u8]) {
    let mut input = Bytes(input);
    let (choice, argument) = (input.byte(), input.byte());
    let mut bytes = input.rest().to_vec();
    let repaired = choice & REPAIRED != 0;
    match choice % 8 {
        0 => entries(&mut bytes, u32::from(argument), repaired),
        1 => frame(&mut bytes, repaired),
        2 => {
            seal(&mut bytes, 512, &[], repaired);
            if let Ok(header) = JournalHeader::decode(&bytes) {
                same_header("journal header", &header.encode(), &bytes);
            }
        }
        3 => {
            seal(&mut bytes, 128, &[], repaired);
            if let Ok(header) = SegmentHeader::decode(&bytes) {
                same_header("segment header", &header.encode(), &bytes);
            }
        }
        4 => block(&mut bytes, repaired),
        5 => {
            if let Ok(footer) = Footer::decode(&bytes) {
                assert_same("footer", &footer.encode(), &bytes);
            }
        }
        6 => trailer(&mut bytes, repaired),
        _ => catalogue(Kind(argument), &bytes),
    }
}

fn entries(bytes: &mut [u8], count: u32, repaired: bool) {
    if repaired {
        naive::repair_entries(bytes, count);
    }
    let mut again = Vec::new();
    let mut found = Some(0);
    for entry in Entries::new(bytes, count) {
        match (entry, &mut found) {
            (Ok(entry), Some(number)) => {
                entry.encode(&mut again);
                *number += 1;
            }
            (Ok(_), None) => panic!("an entry behind an error"),
            (Err(_), _) => found = None,
        }
    }
    let naive = naive::entries(bytes, count);
    assert_eq!(found, naive.map(|entries| entries.len()), "entries");
    if found.is_some() {
        assert_same("entries", &again, bytes);
    }
}

fn frame(bytes: &mut [u8], repaired: bool) {
    seal(bytes, 96, &STORE.0, repaired);
    let place = Position {
        generation: Generation(u64_at(bytes, 8).unwrap_or(1)),
        offset: u64_at(bytes, 16).unwrap_or(8192),
    };
    let look = FrameHeader::look(bytes, STORE, place);
    match FrameHeader::decode(bytes, STORE, place) {
        Ok((header, check)) => {
            assert_eq!(look, HeaderAt::Right(header, check));
            let (again, same) = header.encode(STORE);
            assert_same("frame header", &again[..6], &bytes[..6]);
            assert_same("frame header", &again[7..92], &bytes[7..92]);
            assert!(again[6] != bytes[6] || check == same, "frame checksum");
        }
        Err(_) => assert!(!matches!(look, HeaderAt::Right(..))),
    }
    let elsewhere = Position {
        offset: place.offset ^ 8,
        ..place
    };
    assert!(FrameHeader::decode(bytes, STORE, elsewhere).is_err());
}

fn block(bytes: &mut [u8], repaired: bool) {
    let seed = [&STORE.0[..], &SEGMENT.0.to_le_bytes()].concat();
    seal(bytes, 64, &seed, repaired);
    let offset = u64_at(bytes, 8).unwrap_or(128);
    if let Ok(header) = BlockHeader::decode(bytes, STORE, SEGMENT, offset) {
        let again = header.encode(STORE, SEGMENT);
        assert_same("block header", &again, &bytes[..again.len()]);
    }
    assert!(BlockHeader::decode(bytes, STORE, SEGMENT, offset ^ 1).is_err());
    assert!(BlockHeader::decode(bytes, STORE, SegmentId(82), offset).is_err());
}

fn trailer(bytes: &mut [u8], repaired: bool) {
    seal(bytes, 96, &[], repaired);
    let (offset, len) = (u64_at(bytes, 32), u64_at(bytes, 40));
    let fits = offset.zip(len).and_then(|(at, len)| at.checked_add(len));
    let file_len = fits.unwrap_or(0).wrapping_add(96);
    if let Ok(trailer) = Trailer::decode(bytes, file_len) {
        same_header("trailer", &trailer.encode(), bytes);
    }
    assert!(Trailer::decode(bytes, file_len ^ 1).is_err());
}

fn catalogue(kind: Kind, payload: &[u8]) {
    match CatalogueRecord::decode(kind, payload) {
        Ok(CatalogueRecord::Unknown { .. }) | Err(_) => {}
        Ok(record) => assert_same("catalogue record", &record.encode(), payload),
    }
}

/// Makes the checksum of a header of `len` bytes right.
fn seal(bytes: &mut [u8], len: usize, seed: &[u8], repaired: bool) {
    if repaired {
        naive::seal(bytes, len, seed);
    }
}

fn same_header(what: &str, again: &[u8], bytes: &[u8]) {
    let end = again.len() - 4;
    assert_same(what, &again[..WRITTEN_BY], &bytes[..WRITTEN_BY]);
    // A reader accepts what older formats may say of their readers.
    assert_same(what, &again[8..end], &bytes[8..end]);
}
