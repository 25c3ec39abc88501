//! Section 7: published segments, without their bytes.

use super::super::segments::{
    Fate, Length, Named, Presence, Shown, Told, Within, fate, presence, told,
};
use super::{Row, check};

const LENGTHS: [Length; 4] = [
    Length::Published,
    Length::Other,
    Length::NoFile,
    Length::NotTold,
];

const SHOWN: [Shown; 5] = [
    Shown::NotRead,
    Shown::Nothing,
    Shown::Places,
    Shown::NoTables,
    Shown::NotReadable,
];

const NAMED: [Named; 4] = [
    Named::Unfinished,
    Named::InUse,
    Named::Replaced,
    Named::Nowhere,
];

#[test]
fn every_file_stands_in_one_row() {
    let patterns = NAMED
        .iter()
        .flat_map(|named| [(*named, true), (*named, false)]);
    let rows: [Row<(Named, bool), Fate>; 5] = [
        ("in use", |it| it.0 == Named::InUse, Fate::Used),
        // [R:seg-10]
        ("seg-10", |it| it.0 == Named::Nowhere, Fate::Orphan),
        // [R:seg-11]
        ("seg-11", |it| *it == (Named::Replaced, true), Fate::Removed),
        // [R:seg-13]
        (
            "seg-13",
            |it| *it == (Named::Unfinished, true),
            Fate::Removed,
        ),
        (
            "seg-11 and seg-13, damage that costs records",
            |it| !it.1 && [Named::Replaced, Named::Unfinished].contains(&it.0),
            Fate::Stays,
        ),
    ];
    check(patterns, &rows, |it| fate(it.0, it.1));
}

#[test]
fn every_length_stands_in_one_row() {
    let all = LENGTHS
        .iter()
        .flat_map(|length| SHOWN.map(|shown| (*length, shown)));
    // An opening reads a segment for its length alone.
    let possible =
        all.filter(|(length, shown)| *length == Length::Other || *shown == Shown::NotRead);
    let rows: [Row<(Length, Shown), Presence>; 6] = [
        (
            "nothing is wrong",
            |(length, _)| *length == Length::Published,
            Presence::Whole,
        ),
        // [R:seg-1]
        (
            "seg-1",
            |(length, shown)| *length == Length::NoFile || *shown == Shown::NoTables,
            Presence::Gone,
        ),
        // [R:seg-2]
        (
            "seg-2, of which nothing else is known",
            |it| {
                let known = [Shown::NotRead, Shown::Nothing];
                it.0 == Length::Other && known.contains(&it.1)
            },
            Presence::OtherLength,
        ),
        (
            "seg-2",
            |it| *it == (Length::Other, Shown::Places),
            Presence::Damaged,
        ),
        // [R:seg-17]
        (
            "seg-17, no length",
            |(length, _)| *length == Length::NotTold,
            Presence::Unread,
        ),
        (
            "seg-17, not read",
            |(_, shown)| *shown == Shown::NotReadable,
            Presence::Unread,
        ),
    ];
    check(possible, &rows, |(length, shown)| presence(*length, *shown));
}

#[test]
fn all_damage_within_a_segment_stands_in_one_row() {
    let patterns = (0..8).map(|bits| Within {
        costs: bits & 1 > 0,
        given_up: bits & 2 > 0,
        holds: bits & 4 > 0,
    });
    // What costs nothing is of no thread that could hold it or give it up.
    let possible = patterns.filter(|it| it.costs || !(it.given_up || it.holds));
    let rows: [Row<Within, Told>; 4] = [
        // [R:seg-3] [R:seg-4] [R:seg-7] [R:seg-8] [R:seg-9]
        ("no record", |it| !it.costs, Told::CostsNothing),
        // [R:accepted]
        ("accepted", |it| it.given_up, Told::Accepted),
        // [R:seg-14]
        (
            "seg-14",
            |it| it.costs && !it.given_up && !it.holds,
            Told::CostsNothing,
        ),
        // [R:seg-5] [R:seg-6] [R:seg-12] [R:seg-16]
        (
            "seg-5, seg-6, seg-12, seg-16",
            |it| it.costs && !it.given_up && it.holds,
            Told::ClosesThread,
        ),
    ];
    check(possible, &rows, |it| told(*it));
}
