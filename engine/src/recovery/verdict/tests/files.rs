//! Section 2: the set of journal files.

use super::super::files::{
    Area, Count, Evidence, FileVerdict, Frames, IdleVerdict, LinkVerdict, NamelessVerdict,
    file_verdict, idle_verdict, link_verdict, nameless_verdict,
};
use super::{Row, check};

const AREAS: [Area; 5] = [
    Area::Blank,
    Area::Bad,
    Area::Refused,
    Area::Valid,
    Area::ValidOverShortFile,
];
const COUNTS: [Count; 3] = [Count::None, Count::One, Count::Several];

fn is_valid(it: &Evidence) -> bool {
    matches!(it.area, Area::Valid | Area::ValidOverShortFile)
}

/// What no file shows, and why.
fn impossible(pattern: &Evidence) -> Option<&'static str> {
    let Evidence {
        area,
        frames,
        linked,
        ..
    } = *pattern;
    match (area, frames, linked) {
        (Area::Blank | Area::Bad | Area::Refused, _, true) => {
            Some("a link names a generation, and only a header says which the file has")
        }
        (Area::Valid, Frames::Some, _) => Some("a whole file is not searched for frames"),
        _ => None,
    }
}

#[test]
fn every_file_stands_in_one_row() {
    let mut patterns = Vec::new();
    for area in AREAS {
        for frames in [Frames::No, Frames::Some] {
            for linked in [false, true] {
                for read in [false, true] {
                    patterns.push(Evidence {
                        area,
                        frames,
                        linked,
                        read,
                    });
                }
            }
        }
    }
    let possible = patterns.into_iter().filter(|it| impossible(it).is_none());
    let rows: [Row<Evidence, FileVerdict>; 10] = [
        // [R:set-4] [R:set-5]
        ("valid", |it| it.area == Area::Valid, FileVerdict::Counts),
        // [R:set-16]
        (
            "set-16",
            |it| it.area == Area::ValidOverShortFile && it.frames == Frames::Some && it.read,
            FileVerdict::CutShort,
        ),
        // [R:set-18]
        (
            "set-18",
            |it| short_and_empty(it) && it.read && !it.linked,
            FileVerdict::Free,
        ),
        (
            "short and linked: the scan says what is missing",
            |it| short_and_empty(it) && it.read && it.linked,
            FileVerdict::Counts,
        ),
        // [R:set-20]
        (
            "set-20, header read",
            |it| it.area == Area::ValidOverShortFile && !it.read,
            FileVerdict::Counts,
        ),
        (
            "set-20, nothing known",
            |it| matches!(it.area, Area::Blank | Area::Bad) && empty(it) && !it.read,
            FileVerdict::Unread,
        ),
        // [R:set-8] [R:set-9]
        (
            "set-8, set-9",
            |it| !is_valid(it) && it.frames == Frames::Some,
            FileVerdict::Headless,
        ),
        // [R:set-17]
        (
            "set-17",
            |it| it.area == Area::Refused && empty(it),
            FileVerdict::Contradicts,
        ),
        // [R:set-3]
        (
            "set-3",
            |it| it.area == Area::Blank && empty(it) && it.read,
            FileVerdict::Free,
        ),
        // [R:set-6] [R:set-7]
        (
            "set-6, set-7",
            |it| it.area == Area::Bad && empty(it) && it.read,
            FileVerdict::Nameless,
        ),
    ];
    check(possible, &rows, |it| file_verdict(*it));
}

fn empty(it: &Evidence) -> bool {
    it.frames == Frames::No
}

fn short_and_empty(it: &Evidence) -> bool {
    it.area == Area::ValidOverShortFile && empty(it)
}

#[test]
fn every_linked_generation_stands_in_one_row() {
    let all = COUNTS.map(|valid| COUNTS.map(|headless| (valid, headless)));
    let rows: [Row<(Count, Count), LinkVerdict>; 5] = [
        (
            "good",
            |it| *it == (Count::One, Count::None),
            LinkVerdict::Valid,
        ),
        // [R:set-8]
        (
            "set-8",
            |it| *it == (Count::None, Count::One),
            LinkVerdict::Headless,
        ),
        // [R:set-12]
        (
            "set-12",
            |it| *it == (Count::None, Count::None),
            LinkVerdict::Missing,
        ),
        // [R:set-13]
        (
            "set-13, all headers",
            |it| *it == (Count::Several, Count::None),
            LinkVerdict::Ambiguous,
        ),
        (
            "set-13, without headers",
            |it| {
                let several = it.0 == Count::Several || it.1 == Count::Several;
                it.1 != Count::None && (several || it.0 == Count::One)
            },
            LinkVerdict::AmbiguousAndHeadless,
        ),
    ];
    let table = |it: &(Count, Count)| link_verdict(it.0, it.1);
    check(all.into_iter().flatten(), &rows, table);
}

#[test]
fn every_other_generation_stands_in_one_row() {
    // A generation of which no file is left is none; nothing is asked of it.
    let possible = [Count::One, Count::Several];
    let all = possible.map(|valid| [(false, valid), (true, valid)]);
    let rows: [Row<(bool, Count), IdleVerdict>; 3] = [
        // [R:set-14]
        ("set-14", |it| !it.0, IdleVerdict::Free),
        // [R:set-15]
        ("set-15", |it| *it == (true, Count::One), IdleVerdict::Free),
        // [R:set-13]
        (
            "set-13",
            |it| *it == (true, Count::Several),
            IdleVerdict::Kept,
        ),
    ];
    let table = |it: &(bool, Count)| idle_verdict(it.0, it.1);
    check(all.into_iter().flatten(), &rows, table);
}

#[test]
fn a_file_that_shows_nothing_stands_in_one_row() {
    let rows: [Row<bool, NamelessVerdict>; 2] = [
        // [R:set-6]
        ("set-6", |missing| !missing, NamelessVerdict::Free),
        // [R:set-7]
        ("set-7", |missing| *missing, NamelessVerdict::MayBeLinked),
    ];
    check([false, true], &rows, |it| nameless_verdict(*it));
}
