use proptest::prelude::*;

use super::*;
use crate::testing::{FOREIGN, STORE, check_header, forged, problem};
use crate::version::Format;

const SEGMENT: SegmentId = SegmentId(0x51);

fn header() -> SegmentHeader {
    SegmentHeader {
        version: Version::asking_for(Format::FIRST),
        store: STORE,
        segment: SEGMENT,
        class: Class::Pack,
        created_ms: -5,
    }
}

fn block() -> BlockHeader {
    BlockHeader {
        codec: Codec::Zstd,
        offset: 128,
        thread: ThreadNumber(7),
        first_ordinal: Ordinal(41),
        entry_count: 3,
        raw_len: 100,
        stored_len: 60,
        stored_crc: 0x3132_3334,
        chain: ThreadChain(0x2122_2324_2526_2728),
    }
}

fn run(thread: u64, first_block: u32, block_count: u32) -> RunRow {
    RunRow {
        thread: ThreadNumber(thread),
        first_ordinal: Ordinal(10),
        ordinal_end: Ordinal(30),
        chain_before: ThreadChain(1),
        chain_after: ThreadChain(2),
        first_block,
        block_count,
        payload_bytes: 3,
        notes_offset: 0,
        notes_len: 0,
        notes_crc: 0,
    }
}

fn row(offset: u64, first_ordinal: u64, continues: bool) -> BlockRow {
    let first_ordinal = Ordinal(first_ordinal);
    BlockRow {
        offset,
        first_ordinal,
        stored_len: 36,
        raw_len: 100,
        entry_count: 3,
        continues,
    }
}

fn footer() -> Footer {
    let noted = RunRow {
        notes_offset: 500,
        notes_len: 4,
        notes_crc: 9,
        ..run(4, 2, 1)
    };
    let blocks = vec![row(128, 10, false), row(228, 10, true), row(328, 10, false)];
    Footer {
        runs: vec![run(3, 0, 2), noted],
        blocks,
    }
}

fn trailer() -> Trailer {
    Trailer {
        version: Version::asking_for(Format::LINEAGES),
        store: STORE,
        segment: SEGMENT,
        footer_offset: 128,
        footer_len: 16,
        footer_crc: 0x4142_4344,
        digest: [0x55; 32],
    }
}

fn decode_block(bytes: &[u8]) -> Result<BlockHeader, DecodeError> {
    BlockHeader::decode(bytes, STORE, SEGMENT, 128)
}

fn seed() -> Vec<u8> {
    [&STORE.0[..], &SEGMENT.0.to_le_bytes()].concat()
}

#[test]
fn a_segment_header_comes_back() {
    for class in [Class::Run, Class::Pack, Class::Catalogue] {
        let header = SegmentHeader { class, ..header() };
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    }
    check_header(&header().encode(), SegmentHeader::decode);
}

#[test]
fn a_segment_header_checks_what_it_reserves() {
    let forge = |at, value: &[u8]| {
        problem(SegmentHeader::decode(&forged(
            &header().encode(),
            &[],
            at,
            value,
        )))
    };
    for at in (33..40).chain(48..124) {
        assert_eq!(forge(at, &[1]), Some(Problem::Reserved), "byte {at}");
    }
    assert_eq!(forge(4, &[1]), Some(Problem::Length));
    assert_eq!(forge(7, &[3]), Some(Problem::Version));
    assert_eq!(forge(4, &[1, 0, 3, 3]), Some(Problem::Version));
    assert_eq!(forge(32, &[3]), Some(Problem::Reserved));
}

#[test]
fn a_block_header_comes_back() {
    let raw = BlockHeader {
        codec: Codec::Raw,
        stored_len: 100,
        ..block()
    };
    let largest = u32::try_from(BLOCK_RAW_BYTES_MAX).unwrap();
    for block in [
        block(),
        raw,
        BlockHeader {
            raw_len: largest,
            ..block()
        },
    ] {
        let bytes = block.encode(STORE, SEGMENT);
        assert_eq!(decode_block(&bytes), Ok(block));
        check_header(&bytes, decode_block);
    }
}

#[test]
fn a_block_of_another_place_is_refused() {
    let bytes = block().encode(STORE, SEGMENT);
    let decode = |store, segment, offset| {
        problem(BlockHeader::decode(
            &bytes,
            store,
            SegmentId(segment),
            offset,
        ))
    };
    assert_eq!(
        decode(FOREIGN, SEGMENT.0, 128),
        Some(Problem::HeaderChecksum)
    );
    assert_eq!(
        decode(STORE, SEGMENT.0 + 1, 128),
        Some(Problem::HeaderChecksum)
    );
    assert_eq!(decode(STORE, SEGMENT.0, 136), Some(Problem::Place));
}

#[test]
fn a_block_checks_what_it_says() {
    let forge = |at, value: &[u8]| {
        problem(decode_block(&forged(
            &block().encode(STORE, SEGMENT),
            &seed(),
            at,
            value,
        )))
    };
    let too_large = (u32::try_from(BLOCK_RAW_BYTES_MAX).unwrap() + 1).to_le_bytes();
    let cases: [(&str, usize, &[u8], Problem); 11] = [
        ("codec", 4, &[2], Problem::Reserved),
        ("dictionary", 5, &[1], Problem::Reserved),
        ("reserved", 6, &[1], Problem::Reserved),
        ("reserved", 7, &[1], Problem::Reserved),
        ("reserved", 56, &[1], Problem::Reserved),
        ("reserved", 59, &[1], Problem::Reserved),
        ("empty", 32, &[0], Problem::Length),
        ("more entries than fit", 32, &[6], Problem::Length),
        ("bomb", 36, &too_large, Problem::Length),
        ("grown", 40, &[101], Problem::Length),
        ("raw, but shorter", 4, &[0], Problem::Length),
    ];
    for (name, at, value, expected) in cases {
        assert_eq!(forge(at, value), Some(expected), "{name}");
    }
}

#[test]
fn a_footer_comes_back() {
    for footer in [footer(), Footer::default()] {
        assert_eq!(Footer::decode(&footer.encode()), Ok(footer));
    }
}

#[test]
fn a_footer_has_exactly_its_length() {
    let bytes = footer().encode();
    for len in 0..bytes.len() {
        assert!(Footer::decode(&bytes[..len]).is_err(), "cut to {len}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(problem(Footer::decode(&longer)), Some(Problem::Length));
}

#[test]
fn a_footer_checks_what_it_reserves() {
    let blocks_at = FOOTER_HEADER_BYTES + 2 * RUN_BYTES;
    for at in (12..16)
        .chain(88..96)
        .chain(168..176)
        .chain([blocks_at + 29])
    {
        let mut bytes = footer().encode();
        bytes[at] = 1;
        assert_eq!(
            problem(Footer::decode(&bytes)),
            Some(Problem::Reserved),
            "byte {at}"
        );
    }
    let mut bytes = footer().encode();
    bytes[4..12].fill(0xff);
    assert_eq!(
        problem(Footer::decode(&bytes)),
        Some(Problem::Length),
        "counts are not believed"
    );
}

#[test]
fn tables_that_disagree_are_refused() {
    type Edit = fn(&mut Footer);
    let cases: [(&str, Edit); 14] = [
        ("no ordinals", |footer| {
            footer.runs[0].ordinal_end = Ordinal(10)
        }),
        ("thread twice", |footer| {
            footer.runs[1].thread = ThreadNumber(3)
        }),
        ("threads descend", |footer| {
            footer.runs[1].thread = ThreadNumber(2)
        }),
        ("no blocks", |footer| footer.runs[1].block_count = 0),
        ("block of nobody", |footer| footer.runs[0].block_count = 1),
        ("block of two", |footer| footer.runs[1].first_block = 1),
        ("block that is not there", |footer| {
            footer.runs[1].block_count = 2
        }),
        ("starts elsewhere", |footer| {
            footer.blocks[0].first_ordinal = Ordinal(11)
        }),
        ("ordinals descend", |footer| {
            footer.blocks[1].first_ordinal = Ordinal(9)
        }),
        ("beyond the run", |footer| {
            footer.blocks[1].first_ordinal = Ordinal(30)
        }),
        ("run starts in a record", |footer| {
            footer.blocks[2].continues = true
        }),
        ("overlap", |footer| footer.blocks[1].offset = 227),
        ("offset overflows", |footer| {
            footer.blocks[1].offset = u64::MAX
        }),
        ("notes nowhere", |footer| footer.runs[0].notes_len = 1),
    ];
    for (name, edit) in cases {
        let mut footer = footer();
        edit(&mut footer);
        assert_eq!(
            problem(Footer::decode(&footer.encode())),
            Some(Problem::Length),
            "{name}"
        );
    }
}

#[test]
fn a_trailer_comes_back() {
    let bytes = trailer().encode();
    assert_eq!(Trailer::decode(&bytes, 240), Ok(trailer()));
    check_header(&bytes, |bytes| Trailer::decode(bytes, 240));
}

#[test]
fn a_trailer_belongs_to_one_length() {
    for len in [0, 239, 241, u64::MAX] {
        assert_eq!(
            problem(Trailer::decode(&trailer().encode(), len)),
            Some(Problem::Length)
        );
    }
    let forge = |at, value: &[u8]| {
        problem(Trailer::decode(
            &forged(&trailer().encode(), &[], at, value),
            240,
        ))
    };
    assert_eq!(
        forge(32, &u64::MAX.to_le_bytes()),
        Some(Problem::Length),
        "overflow"
    );
    assert_eq!(
        forge(32, &[127, 0, 0, 0, 0, 0, 0, 0, 17]),
        Some(Problem::Length),
        "in the header"
    );
    assert_eq!(forge(7, &[3]), Some(Problem::Version));
    assert_eq!(forge(4, &[1, 1, 3, 3]), Some(Problem::Version));
    assert_eq!(forge(4, &[97]), Some(Problem::Length));
    for at in (52..56).chain(88..92) {
        assert_eq!(forge(at, &[1]), Some(Problem::Reserved), "byte {at}");
    }
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(SegmentHeader::decode(&bytes).is_err());
        prop_assert!(decode_block(&bytes).is_err());
        prop_assert!(Trailer::decode(&bytes, 240).is_err());
        let magic = [&FOOTER_MAGIC[..], &bytes].concat();
        let _ = Footer::decode(&magic);
    }

    #[test]
    fn any_fields_give_an_answer(fields in proptest::collection::vec(any::<u8>(), 52)) {
        let bytes = forged(&block().encode(STORE, SEGMENT), &seed(), 4, &fields);
        if let Ok(block) = decode_block(&bytes) {
            prop_assert_eq!(&block.encode(STORE, SEGMENT)[..], &bytes[..]);
        }
        let bytes = forged(&trailer().encode(), &[], 32, &fields);
        if let Ok(trailer) = Trailer::decode(&bytes, 240) {
            prop_assert_eq!(&trailer.encode()[..], &bytes[..]);
        }
    }

    #[test]
    fn a_footer_with_one_other_byte_means_what_it_says(
        place in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let mut bytes = footer().encode();
        let at = place.index(bytes.len());
        bytes[at] = value;
        if let Ok(footer) = Footer::decode(&bytes) {
            prop_assert_eq!(footer.encode(), bytes);
        }
    }
}
