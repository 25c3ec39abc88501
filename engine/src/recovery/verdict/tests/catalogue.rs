//! Section 6: how far the catalogue reaches, and its records one by one.

use super::super::catalogue::{
    Link, Reach, ReachVerdict, ReadFrom, RecordVerdict, Says, Without, reach_verdict, read_from,
    record_verdict,
};
use super::{Row, check};

#[test]
fn every_reading_stands_in_one_row() {
    let without = (0..4).map(|bits| Without {
        meets_no_more: bits & 1 > 0,
        reaches: bits & 2 > 0,
    });
    let patterns = without.map(Some).chain([None]);
    let rows: [Row<Option<Without>, ReadFrom>; 3] = [
        // [R:cat-5]
        (
            "cat-5",
            |it| it.is_some_and(|it| it.meets_no_more && it.reaches),
            ReadFrom::Others,
        ),
        (
            "cat-5, nothing else holds the records",
            |it| it.is_some_and(|it| !it.meets_no_more || !it.reaches),
            ReadFrom::All,
        ),
        ("nothing is wrong", Option::is_none, ReadFrom::All),
    ];
    check(patterns, &rows, |it| read_from(*it));
}

const LINKS: [Link; 3] = [Link::Agrees, Link::Differs, Link::Unknown];

#[test]
fn every_reach_stands_in_one_row() {
    let of_link = |link: &Link| {
        let link = *link;
        (0..4).map(move |bits| Reach {
            reaches: bits & 1 > 0,
            repeated: bits & 2 > 0,
            link,
        })
    };
    let patterns = LINKS.iter().flat_map(of_link);
    let rows: [Row<Reach, ReachVerdict>; 5] = [
        // [R:cat-1] [R:cat-4]
        (
            "cat-1, cat-4",
            |it| it.reaches && it.link != Link::Differs,
            ReachVerdict::Good,
        ),
        // [R:cat-2]
        (
            "cat-2, in the journal",
            |it| !it.reaches && it.repeated && it.link != Link::Differs,
            ReachVerdict::InJournal,
        ),
        (
            "cat-2",
            |it| !it.reaches && !it.repeated && it.link != Link::Differs,
            ReachVerdict::Missing,
        ),
        // [R:cat-3]
        (
            "cat-3",
            |it| it.reaches && it.link == Link::Differs,
            ReachVerdict::OtherChain,
        ),
        (
            "cat-2 and cat-3",
            |it| !it.reaches && it.link == Link::Differs,
            ReachVerdict::MissingAndOtherChain,
        ),
    ];
    check(patterns, &rows, |it| reach_verdict(*it));
}

const SAYS: [Says; 5] = [
    Says::NotDecoded,
    Says::ThisStore,
    Says::OtherStore,
    Says::UnknownKind,
    Says::Other,
];

/// What it says, whether it is the first, and whether it fits.
type Pattern = (Says, bool, bool);

#[test]
fn every_record_stands_in_one_row() {
    let patterns = SAYS.iter().flat_map(|says| {
        [(false, false), (false, true), (true, false), (true, true)]
            .map(|(is_first, fits)| (*says, is_first, fits))
    });
    // What says nothing fits nothing.
    let possible = patterns.filter(|(says, _, fits)| *says != Says::NotDecoded || !fits);
    let rows: [Row<Pattern, RecordVerdict>; 5] = [
        // [R:frame-13]
        (
            "frame-13",
            |it| it.0 == Says::NotDecoded,
            RecordVerdict::Undecoded,
        ),
        // [R:cat-7]
        (
            "cat-7",
            |it| match it.0 {
                Says::NotDecoded => false,
                Says::OtherStore => true,
                Says::ThisStore => !it.1,
                Says::UnknownKind | Says::Other => it.1,
            },
            RecordVerdict::Contradicts,
        ),
        // [R:cat-6]
        (
            "cat-6",
            |it| {
                let first = it.0 == Says::ThisStore && it.1;
                (first || it.0 == Says::Other && !it.1) && !it.2
            },
            RecordVerdict::Contradicts,
        ),
        // [R:cat-8]
        (
            "cat-8",
            |it| it.0 == Says::UnknownKind && !it.1,
            RecordVerdict::Kept,
        ),
        (
            "nothing is wrong",
            |it| {
                let first = it.0 == Says::ThisStore && it.1;
                (first || it.0 == Says::Other && !it.1) && it.2
            },
            RecordVerdict::Added,
        ),
    ];
    check(possible, &rows, |it| record_verdict(it.0, it.1, it.2));
}
