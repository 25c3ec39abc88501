use proptest::prelude::*;

use super::*;
use crate::testing::{FOREIGN, STORE, check_header, forged, problem};

const PLACE: Position = Position {
    generation: Generation(3),
    offset: 8_232,
};

fn header() -> FrameHeader {
    FrameHeader {
        readable_by: Format::FIRST,
        place: PLACE,
        thread: ThreadNumber(7),
        first_ordinal: Ordinal(41),
        entry_count: 2,
        body_len: 45,
        durable_upto: Position {
            generation: Generation(3),
            offset: 8_192,
        },
        epoch: 5,
        journal_chain: JournalChain(0x1112_1314_1516_1718),
        thread_chain: ThreadChain(0x2122_2324_2526_2728),
        body_crc: 0x3132_3334,
    }
}

fn marker() -> FrameHeader {
    FrameHeader {
        thread: ThreadNumber::CATALOGUE,
        first_ordinal: Ordinal(0),
        entry_count: 0,
        body_len: 0,
        thread_chain: ThreadChain::START,
        body_crc: 0,
        ..header()
    }
}

fn forge(at: usize, value: &[u8]) -> Option<Problem> {
    let bytes = forged(&header().encode(STORE).0, &STORE.0, at, value);
    problem(FrameHeader::decode(&bytes, STORE, PLACE))
}

#[test]
fn a_header_comes_back() {
    let of_lineage = FrameHeader {
        readable_by: Format::LINEAGES,
        ..header()
    };
    for header in [header(), of_lineage, marker()] {
        let (bytes, check) = header.encode(STORE);
        assert_eq!(
            FrameHeader::decode(&bytes, STORE, PLACE),
            Ok((header, check))
        );
        check_header(&bytes, |bytes| FrameHeader::decode(bytes, STORE, PLACE));
    }
}

#[test]
fn a_header_of_another_place_is_refused() {
    let (bytes, _) = header().encode(STORE);
    let decode = |store, place| problem(FrameHeader::decode(&bytes, store, place));
    let generation = Position {
        generation: Generation(4),
        ..PLACE
    };
    let offset = Position {
        offset: PLACE.offset + 8,
        ..PLACE
    };
    assert_eq!(decode(FOREIGN, PLACE), Some(Problem::HeaderChecksum));
    assert_eq!(decode(STORE, generation), Some(Problem::Place));
    assert_eq!(decode(STORE, offset), Some(Problem::Place));
}

#[test]
fn what_no_writer_says_is_refused() {
    let cases: [(&str, usize, &[u8], Problem); 9] = [
        ("length", 4, &[97, 0], Problem::Length),
        ("newer", 6, &[3], Problem::Version),
        (
            "newer with another length",
            4,
            &[97, 0, 3],
            Problem::Version,
        ),
        ("reserved flag", 7, &[2], Problem::Reserved),
        ("marker flag on a batch", 7, &[1], Problem::Reserved),
        ("no entries, no flag", 40, &[0, 0, 0, 0], Problem::Reserved),
        ("more entries than fit", 40, &[3, 0, 0, 0], Problem::Length),
        (
            "body too large",
            44,
            &(u32::try_from(BODY_BYTES_MAX).unwrap() + 1).to_le_bytes(),
            Problem::Length,
        ),
        (
            "durable beyond itself",
            56,
            &(PLACE.offset + 8).to_le_bytes(),
            Problem::Length,
        ),
    ];
    for (name, at, value, expected) in cases {
        assert_eq!(forge(at, value), Some(expected), "{name}");
    }
    assert_eq!(
        forge(44, &u32::try_from(BODY_BYTES_MAX).unwrap().to_le_bytes()),
        None
    );
}

#[test]
fn a_marker_says_nothing_else() {
    let bytes = marker().encode(STORE).0;
    for at in [24, 32, 44, 80, 88] {
        let bytes = forged(&bytes, &STORE.0, at, &[1]);
        let refused = problem(FrameHeader::decode(&bytes, STORE, PLACE));
        assert_eq!(refused, Some(Problem::Reserved), "byte {at}");
    }
}

#[test]
#[should_panic(expected = "agree")]
fn a_contradiction_is_not_written() {
    let _ = FrameHeader {
        body_len: 39,
        ..header()
    }
    .encode(STORE);
}

#[test]
fn frames_are_aligned() {
    for (body_len, stride) in [(0, 96), (40, 136), (41, 144), (48, 144), (49, 152)] {
        assert_eq!(
            FrameHeader {
                body_len,
                ..header()
            }
            .stride(),
            stride
        );
    }
}

#[test]
fn positions_are_ordered_by_time() {
    let later = Position {
        generation: Generation(4),
        offset: 0,
    };
    assert!(PLACE < later && Position { offset: 0, ..PLACE } < PLACE);
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(FrameHeader::decode(&bytes, STORE, PLACE).is_err());
        // With true checksums the fields themselves are reached.
        if bytes.len() >= HEADER_BYTES {
            bytes.truncate(HEADER_BYTES);
            let start = header().encode(STORE).0;
            bytes[..24].copy_from_slice(&start[..24]);
            let bytes = forged(&bytes, &STORE.0, 0, &[]);
            if let Ok((header, _)) = FrameHeader::decode(&bytes, STORE, PLACE) {
                prop_assert_eq!(&header.encode(STORE).0[..], &bytes[..]);
            }
        }
    }
}
