use proptest::prelude::*;

use super::*;
use crate::testing::problem;

const MIB: usize = INLINE_BYTES_MAX;

fn chunk(offset: u64, last: Option<u32>, bytes: &[u8]) -> Entry<'_> {
    let inline = Entry::inline(Kind::LINE, Flags::NONE, 7, bytes);
    Entry {
        chunk: Some(Chunk { offset, last }),
        ..inline
    }
}

fn encoded(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let before = out.len();
        entry.encode(&mut out);
        assert_eq!(out.len() - before, entry.encoded_len());
    }
    out
}

fn decode(bytes: &[u8], count: u32) -> Result<Vec<Entry<'_>>, DecodeError> {
    Entries::new(bytes, count).collect()
}

fn check(entries: &[Entry<'_>]) {
    let count = u32::try_from(entries.len()).unwrap();
    assert_eq!(decode(&encoded(entries), count).as_deref(), Ok(entries));
}

/// An inline entry with one field overwritten.
fn forge(at: usize, value: &[u8]) -> Option<Problem> {
    let mut bytes = encoded(&[Entry::inline(Kind::LINE, Flags::NONE, 7, b"abc")]);
    bytes[at..at + value.len()].copy_from_slice(value);
    problem(decode(&bytes, 1))
}

#[test]
fn inline_records_come_back() {
    let all = Flags::BOUNDARY
        .with(Flags::NO_LINE_FEED)
        .with(Flags::CONTINUES);
    check(&[]);
    check(&[
        Entry::inline(Kind::LINE, Flags::NONE, 1_700_000_000_000, b"{\"a\":1}"),
        Entry::inline(Kind::LINE, Flags::NONE, i64::MIN, b""),
        Entry::inline(Kind(255), all, -1, &[0xff, 0, 10]),
        Entry::inline(Kind::METADATA, Flags::BOUNDARY, 0, &vec![9; MIB]),
    ]);
}

#[test]
fn chunked_records_come_back() {
    let whole = vec![3; 2 * MIB + 5];
    let last = Some(payload_crc(&whole));
    let entries = [
        chunk(0, None, &whole[..MIB]),
        chunk(MIB as u64, None, &whole[MIB..2 * MIB]),
        chunk(2 * MIB as u64, last, &whole[2 * MIB..]),
    ];
    check(&entries);
    check(&[chunk(MIB as u64, Some(0), &whole[..MIB])]);
    let begins: Vec<_> = entries.iter().map(Entry::begins).collect();
    let completes: Vec<_> = entries.iter().map(Entry::completes).collect();
    assert_eq!(
        (begins, completes),
        (vec![true, false, false], vec![false, false, true])
    );
    assert_eq!(entries[1].whole(), None);
    assert_eq!(
        entries[2].whole(),
        Some((whole.len() as u64, payload_crc(&whole)))
    );
}

#[test]
fn chunks_of_another_size_are_refused() {
    let bytes = vec![3; MIB];
    let good = [
        encoded(&[chunk(0, None, &bytes)]),
        encoded(&[chunk(MIB as u64, Some(9), &bytes[..1])]),
    ];
    let forge = |which: usize, at: usize, value: &[u8]| {
        let mut bytes = good[which].clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        problem(decode(&bytes, 1))
    };
    assert_eq!(
        forge(0, 4, &1_u32.to_le_bytes()),
        Some(Problem::Length),
        "short, not last"
    );
    assert_eq!(
        forge(0, 20, &[1]),
        Some(Problem::Length),
        "offset between chunks"
    );
    assert_eq!(
        forge(0, 28, &[1]),
        Some(Problem::Reserved),
        "checksum before the last"
    );
    assert_eq!(forge(0, 32, &[1]), Some(Problem::Length), "last and first");
    assert_eq!(
        forge(0, 27, &[0x80]),
        Some(Problem::Length),
        "offset over 63 bits"
    );
    assert_eq!(forge(1, 32, &[2]), Some(Problem::Reserved), "unknown place");
    assert_eq!(forge(1, 33, &[1]), Some(Problem::Reserved), "reserved byte");
    assert_eq!(forge(1, 4, &[0]), Some(Problem::Length), "empty last chunk");
}

#[test]
#[should_panic(expected = "full but for the last")]
fn a_short_chunk_is_not_written() {
    chunk(0, None, b"abc").encode(&mut Vec::new());
}

#[test]
fn what_no_writer_says_is_refused() {
    assert_eq!(forge(1, &[8]), Some(Problem::Reserved), "flag");
    assert_eq!(
        forge(2, &[2]),
        Some(Problem::Reserved),
        "form 2 is reserved for references"
    );
    assert_eq!(forge(3, &[1]), Some(Problem::Reserved), "reserved byte");
    assert_eq!(
        forge(4, &(u32::try_from(MIB).unwrap() + 1).to_le_bytes()),
        Some(Problem::Length),
        "too long"
    );
    assert_eq!(forge(4, &[4]), Some(Problem::Short), "longer than the body");
    assert_eq!(
        forge(4, &[2]),
        Some(Problem::BodyChecksum),
        "shorter than it was"
    );
    assert_eq!(forge(16, &[0]), Some(Problem::BodyChecksum), "checksum");
}

#[test]
fn every_flipped_payload_bit_is_found() {
    let mut bytes = encoded(&[
        Entry::inline(Kind::LINE, Flags::NONE, 7, b"one"),
        Entry::inline(Kind::LINE, Flags::NONE, 8, b"two"),
    ]);
    for bit in INLINE_HEADER_BYTES * 8..(INLINE_HEADER_BYTES + 3) * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut entries = Entries::new(&bytes, 2);
        let problem = entries
            .next()
            .and_then(Result::err)
            .map(|error| error.problem);
        assert_eq!(problem, Some(Problem::BodyChecksum), "bit {bit}");
        assert_eq!(entries.next(), None, "nothing follows an error");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn entries_fill_the_body_exactly() {
    let bytes = encoded(&[Entry::inline(Kind::LINE, Flags::NONE, 7, b"abc")]);
    assert_eq!(problem(decode(&bytes, 0)), Some(Problem::Trailing));
    assert_eq!(problem(decode(&bytes, 2)), Some(Problem::Short));
    let trailing = [&bytes[..], &[0]].concat();
    let results: Vec<_> = Entries::new(&trailing, 1).collect();
    assert_eq!(results.len(), 2);
    assert!(results[0].is_ok());
    assert_eq!(
        results[1].map_err(|error| error.problem),
        Err(Problem::Trailing)
    );
    for len in 0..bytes.len() {
        assert_eq!(
            problem(decode(&bytes[..len], 1)),
            Some(Problem::Short),
            "cut to {len}"
        );
    }
}

#[test]
fn flags_have_three_known_bits() {
    for bits in 0..=255 {
        assert_eq!(
            Flags::from_bits(bits).map(Flags::bits),
            (bits < 8).then_some(bits)
        );
    }
    assert!(Flags::BOUNDARY.with(Flags::CONTINUES).has(Flags::CONTINUES));
    assert!(!Flags::BOUNDARY.has(Flags::BOUNDARY.with(Flags::CONTINUES)));
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        count in 0_u32..5,
    ) {
        let results: Vec<_> = Entries::new(&bytes, count).collect();
        prop_assert!(results.iter().rev().skip(1).all(Result::is_ok));
    }

    #[test]
    fn what_decodes_is_what_was_encoded(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5),
        (kind, bits, at_ms) in (any::<u8>(), 0_u8..8, any::<i64>()),
        (place, value) in (any::<prop::sample::Index>(), any::<u8>()),
    ) {
        let flags = Flags::from_bits(bits).expect("three bits are known");
        let entries: Vec<_> =
            payloads.iter().map(|bytes| Entry::inline(Kind(kind), flags, at_ms, bytes)).collect();
        check(&entries);
        // One changed byte is refused, or the bytes mean exactly what they say.
        let mut bytes = encoded(&entries);
        if !bytes.is_empty() {
            let at = place.index(bytes.len());
            bytes[at] = value;
        }
        let count = u32::try_from(entries.len()).expect("few entries");
        if let Ok(entries) = decode(&bytes, count) {
            prop_assert_eq!(encoded(&entries), bytes);
        }
    }
}
