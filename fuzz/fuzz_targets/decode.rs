//! Every codec of the format on any bytes: an answer or an error, never a panic, and what decodes
//! encodes to the same bytes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::frame::{FrameHeader, Position};
use turnleaf_format::journal::JournalHeader;
use turnleaf_format::record::{Entries, Kind};
use turnleaf_format::segment::{BlockHeader, Footer, SegmentHeader, Trailer};
use turnleaf_format::{Generation, SegmentId, StoreId};

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let store = StoreId([7; 16]);
    match choice % 8 {
        0 => {
            let mut again = Vec::new();
            let mut whole = true;
            let count = u32::from(bytes.first().copied().unwrap_or(0));
            for entry in Entries::new(bytes, count) {
                match entry {
                    Ok(entry) => entry.encode(&mut again),
                    Err(_) => whole = false,
                }
            }
            assert!(!whole || again == bytes);
        }
        1 => {
            let place = Position { generation: Generation(1), offset: 8192 };
            if let Ok((header, check)) = FrameHeader::decode(bytes, store, place) {
                let (again, same) = header.encode(store);
                assert_eq!((&again[..], same), (&bytes[..again.len()], check));
            }
        }
        2 => {
            if let Ok(header) = JournalHeader::decode(bytes) {
                let again = header.encode();
                assert_eq!(again[8..508], bytes[8..508]);
            }
        }
        3 => drop(SegmentHeader::decode(bytes)),
        4 => drop(BlockHeader::decode(bytes, store, SegmentId(1), 128)),
        5 => {
            if let Ok(footer) = Footer::decode(bytes) {
                assert_eq!(footer.encode(), bytes);
            }
        }
        6 => drop(Trailer::decode(bytes, bytes.len() as u64)),
        _ => {
            let kind = Kind(bytes.first().copied().unwrap_or(0));
            let payload = bytes.get(1..).unwrap_or_default();
            match CatalogueRecord::decode(kind, payload) {
                Ok(CatalogueRecord::Unknown { .. }) | Err(_) => {}
                Ok(record) => assert_eq!(record.encode(), payload),
            }
        }
    }
});
