use proptest::prelude::*;

use super::*;
use crate::ids::{ThreadId, ThreadNumber};
use crate::testing::STORE;

fn header() -> CheckpointHeader {
    CheckpointHeader {
        store: STORE,
        end: Ordinal(0x0102),
        chain: ThreadChain(0x0304),
        body_len: 0x0506,
        digest: [7; 32],
    }
}

fn items() -> Vec<Item> {
    let (thread, at_ms) = (ThreadNumber(3), -1);
    let id = ThreadId::parse("t").unwrap();
    vec![
        Item::Record(CatalogueRecord::ThreadCreated { thread, id, at_ms }),
        Item::Retired(vec![
            (SegmentId(1), SegmentId(4)),
            (SegmentId(6), SegmentId(6)),
        ]),
        Item::Weights(vec![(SegmentId(5), 99)]),
    ]
}

/// Bytes that were written stay readable.
#[test]
fn the_bytes_are_those_of_the_specification() {
    let bytes = header().encode();
    assert_eq!(bytes[..8], [b'T', b'L', b'C', b'P', 128, 0, 2, 1]);
    assert_eq!(bytes[8..24], STORE.0);
    assert_eq!(bytes[24..32], [2, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[32..40], [4, 3, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[40..48], [6, 5, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[48..80], [7; 32]);
    assert_eq!(bytes[80..84], [4, 0, 0, 0]);
    assert!(bytes[84..124].iter().all(|byte| *byte == 0));
    assert_eq!(bytes[124..], crc(&[&bytes[..124]]).to_le_bytes());
    let mut bytes = Vec::new();
    items()[1].encode(&mut bytes);
    let numbers = [1_u64, 4, 6, 6].into_iter().flat_map(u64::to_le_bytes);
    let expected: Vec<u8> = [1, 0, 0, 0, 32, 0, 0, 0]
        .into_iter()
        .chain(numbers)
        .collect();
    assert_eq!(bytes, expected);
}

#[test]
fn what_was_encoded_is_decoded() {
    assert_eq!(CheckpointHeader::decode(&header().encode()), Ok(header()));
    let mut bytes = Vec::new();
    items().iter().for_each(|item| item.encode(&mut bytes));
    let (mut at, mut decoded) = (0, Vec::new());
    while let Some((item, taken)) = Item::decode(&bytes[at..]).unwrap() {
        decoded.push(item);
        at += taken;
    }
    assert_eq!((decoded, at), (items(), bytes.len()));
}

/// More pairs than one item holds.
#[test]
fn many_pairs_become_several_items() {
    let many: Vec<_> = (0..70_000).map(|at| (SegmentId(at), at)).collect();
    let mut bytes = Vec::new();
    Item::Weights(many.clone()).encode(&mut bytes);
    let (mut at, mut decoded) = (0, Vec::new());
    while let Some((Item::Weights(part), taken)) = Item::decode(&bytes[at..]).unwrap() {
        decoded.extend(part);
        at += taken;
    }
    assert!(decoded == many);
}

#[test]
fn what_has_no_meaning_is_refused() {
    // Contents of an earlier build and of a later one.
    for contents in [1, 2, 3, 5] {
        let mut bytes = header().encode();
        bytes[80] = contents;
        let check = crc(&[&bytes[..124]]);
        bytes[124..].copy_from_slice(&check.to_le_bytes());
        let refused = CheckpointHeader::decode(&bytes).unwrap_err();
        assert_eq!(refused.problem, Problem::Version, "{contents}");
    }
    let refused = |bytes: &[u8]| Item::decode(bytes).unwrap_err().problem;
    // Zeros, a kind without meaning, a record of a kind that is not known.
    assert_eq!(refused(&[0; 8]), Problem::Reserved);
    assert_eq!(refused(&[3, 0, 0, 0, 0, 0, 0, 0]), Problem::Reserved);
    assert_eq!(refused(&[250, 0, 0, 0, 0, 0, 0, 0]), Problem::Reserved);
    // More than an item holds; half a pair; a range that descends.
    assert_eq!(refused(&[1, 0, 0, 0, 1, 0, 16, 0]), Problem::Length);
    assert_eq!(refused(&[2, 0, 0, 0, 1, 0, 0, 0, 9]), Problem::Length);
    let mut bytes = vec![1, 0, 0, 0, 16, 0, 0, 0];
    bytes.extend([2_u64, 1].into_iter().flat_map(u64::to_le_bytes));
    assert_eq!(refused(&bytes), Problem::Length);
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = CheckpointHeader::decode(&bytes);
        let _ = Item::decode(&bytes);
    }
}
