use proptest::prelude::*;

use super::*;
use crate::testing::{STORE, check_header, forged, problem};
use crate::version::Format;

fn header() -> JournalHeader {
    JournalHeader {
        version: Version::asking_for(Format::FIRST),
        store: STORE,
        generation: Generation(9),
        capacity: 4 << 20,
        epoch: 5,
        oldest_live: Generation(4),
        previous_end: Position {
            generation: Generation(8),
            offset: 8_192,
        },
        previous_chain: JournalChain(0x1112_1314_1516_1718),
        begun: Begun::Opened,
        catalogue_sealed_end: Ordinal(12),
        catalogue_chain: ThreadChain(0x2122_2324_2526_2728),
        created_ms: -1,
    }
}

fn forge(at: usize, value: &[u8]) -> Option<Problem> {
    problem(JournalHeader::decode(&forged(
        &header().encode(),
        &[],
        at,
        value,
    )))
}

#[test]
fn a_header_comes_back() {
    for begun in [Begun::Full, Begun::Opened, Begun::Failed] {
        let header = JournalHeader { begun, ..header() };
        assert_eq!(JournalHeader::decode(&header.encode()), Ok(header));
    }
    let of_lineages = JournalHeader {
        version: Version::asking_for(Format::LINEAGES),
        ..header()
    };
    assert_eq!(of_lineages.encode()[6..8], [2, 2]);
    assert_eq!(
        JournalHeader::decode(&of_lineages.encode()),
        Ok(of_lineages)
    );
    let first = JournalHeader {
        generation: Generation(1),
        oldest_live: Generation(1),
        previous_end: Position::default(),
        previous_chain: JournalChain(0),
        begun: Begun::First,
        ..header()
    };
    assert_eq!(JournalHeader::decode(&first.encode()), Ok(first));
    check_header(&first.encode(), JournalHeader::decode);
}

#[test]
fn every_reserved_byte_is_checked() {
    for at in (81..88).chain(112..508) {
        assert_eq!(forge(at, &[1]), Some(Problem::Reserved), "byte {at}");
    }
}

#[test]
fn what_no_writer_says_is_refused() {
    let cases: [(&str, usize, &[u8], Problem); 13] = [
        ("length", 4, &[1, 2], Problem::Length),
        ("newer", 7, &[3], Problem::Version),
        (
            "newer with another length",
            4,
            &[1, 2, 3, 3],
            Problem::Version,
        ),
        ("generation zero", 24, &[0], Problem::Length),
        ("no room", 32, &8_191_u64.to_le_bytes(), Problem::Length),
        ("live from the future", 48, &[10], Problem::Length),
        ("live from zero", 48, &[0], Problem::Length),
        ("follows nothing", 56, &[0], Problem::Length),
        ("follows itself", 56, &[9], Problem::Length),
        (
            "ends in the header",
            64,
            &8_184_u64.to_le_bytes(),
            Problem::Length,
        ),
        (
            "ends unaligned",
            64,
            &8_193_u64.to_le_bytes(),
            Problem::Length,
        ),
        ("unknown reason", 80, &[4], Problem::Reserved),
        ("first, but follows", 80, &[0], Problem::Length),
    ];
    for (name, at, value, expected) in cases {
        assert_eq!(forge(at, value), Some(expected), "{name}");
    }
    assert_eq!(
        forge(6, &[200]),
        None,
        "written by a newer writer, readable by this reader"
    );
}

#[test]
#[should_panic(expected = "places that can be")]
fn an_impossible_header_is_not_written() {
    let _ = JournalHeader {
        oldest_live: Generation(10),
        ..header()
    }
    .encode();
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        fields in proptest::collection::vec(any::<u8>(), 88),
    ) {
        prop_assert!(JournalHeader::decode(&bytes).is_err());
        // With a true checksum the fields themselves are reached.
        let bytes = forged(&header().encode(), &[], 24, &fields);
        if let Ok(header) = JournalHeader::decode(&bytes) {
            prop_assert_eq!(&header.encode()[..], &bytes[..]);
        }
    }
}
