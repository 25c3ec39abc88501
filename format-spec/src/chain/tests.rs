use super::*;
use crate::testing::{FOREIGN, STORE};

fn one() -> ThreadChain {
    let kind = Kind::LINE;
    ThreadChain::START.after(
        ThreadNumber(1),
        Ordinal(0),
        kind,
        Flags::NONE,
        2,
        0x7ab4_1c5a,
    )
}

#[test]
fn the_thread_chain_covers_every_field() {
    let after = |before: u64, thread, ordinal, kind, flags, len, crc| {
        ThreadChain(before).after(
            ThreadNumber(thread),
            Ordinal(ordinal),
            kind,
            flags,
            len,
            crc,
        )
    };
    let crc = 0x7ab4_1c5a;
    let others = [
        after(1, 1, 0, Kind::LINE, Flags::NONE, 2, crc),
        after(0, 2, 0, Kind::LINE, Flags::NONE, 2, crc),
        after(0, 1, 1, Kind::LINE, Flags::NONE, 2, crc),
        after(0, 1, 0, Kind::METADATA, Flags::NONE, 2, crc),
        after(0, 1, 0, Kind::LINE, Flags::BOUNDARY, 2, crc),
        after(0, 1, 0, Kind::LINE, Flags::NONE, 3, crc),
        after(0, 1, 0, Kind::LINE, Flags::NONE, 2, crc + 1),
    ];
    for (index, other) in others.into_iter().enumerate() {
        assert_ne!(other, one(), "field {index}");
    }
}

#[test]
fn the_thread_chain_never_changes() {
    assert_eq!(one().0, GOLDEN_ONE);
    let two = one().after(
        ThreadNumber(1),
        Ordinal(1),
        Kind::METADATA,
        Flags::BOUNDARY,
        1 << 40,
        7,
    );
    assert_eq!(two.0, GOLDEN_TWO);
}

#[test]
fn the_journal_chain_is_bound_to_store_and_generation() {
    let start = JournalChain::start(STORE, Generation(1));
    assert_ne!(start, JournalChain::start(FOREIGN, Generation(1)));
    assert_ne!(start, JournalChain::start(STORE, Generation(2)));
    assert_ne!(start.after(1, 2), start.after(1, 3));
    assert_ne!(start.after(1, 2), start.after(2, 2));
    assert_ne!(
        start.after(1, 2),
        JournalChain::start(STORE, Generation(2)).after(1, 2)
    );
}

#[test]
fn the_journal_chain_never_changes() {
    let start = JournalChain::start(STORE, Generation(1));
    assert_eq!((start.0, start.after(1, 2).0), GOLDEN_JOURNAL);
}

/// Computed with Python's `zlib.crc32` from the definitions in SPEC.md.
const GOLDEN_ONE: u64 = 0x75f8_e0c8_7ab4_1c5a;
const GOLDEN_TWO: u64 = 0x21f0_769e_0000_0007;
const GOLDEN_JOURNAL: (u64, u64) = (0x62f4_f745_e648_98ed, 0x3c14_fc84_0000_0001);
