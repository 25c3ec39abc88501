//! Section 5: places without a valid frame in the newest file.

use super::super::ends::{Evidence, PlaceVerdict, Stands, place_verdict};
use super::{Row, check};

const STANDS: [Stands; 5] = [
    Stands::Zeros,
    Stands::Other,
    Stands::Part,
    Stands::Refused,
    Stands::Unread,
];

/// What no place shows, and why.
fn impossible(pattern: &Evidence) -> Option<&'static str> {
    let is_refused = matches!(pattern.stands, Stands::Refused | Stands::Unread);
    if is_refused && !pattern.refused_beyond {
        return Some("what is refused or not read is counted from its own place on");
    }
    if pattern.proof && !pattern.goes_on {
        return Some("a proof is a right header beyond the place");
    }
    None
}

fn unproven(it: &Evidence) -> bool {
    !it.proof && !it.refused_beyond && !it.later_beyond
}

#[test]
fn every_place_stands_in_one_row() {
    let mut patterns = Vec::new();
    for stands in STANDS {
        for bits in 0..16 {
            patterns.push(Evidence {
                stands,
                proof: bits & 1 > 0,
                refused_beyond: bits & 2 > 0,
                later_beyond: bits & 4 > 0,
                goes_on: bits & 8 > 0,
            });
        }
    }
    let possible = patterns.into_iter().filter(|it| impossible(it).is_none());
    let rows: [Row<Evidence, PlaceVerdict>; 6] = [
        // [R:tail-4]
        ("tail-4", |it| it.proof, PlaceVerdict::Damage),
        // [R:frame-4] [R:set-20]
        (
            "frame-4, set-20",
            |it| !it.proof && it.refused_beyond,
            PlaceVerdict::Damage,
        ),
        // [R:tail-6]
        (
            "tail-6",
            |it| !it.proof && !it.refused_beyond && it.later_beyond,
            PlaceVerdict::Damage,
        ),
        // [R:tail-3]
        (
            "tail-3",
            |it| unproven(it) && (it.stands == Stands::Part || it.goes_on),
            PlaceVerdict::Torn,
        ),
        // [R:tail-1]
        (
            "tail-1",
            |it| unproven(it) && it.stands == Stands::Zeros && !it.goes_on,
            PlaceVerdict::End,
        ),
        // [R:tail-2]
        (
            "tail-2",
            |it| unproven(it) && it.stands == Stands::Other && !it.goes_on,
            PlaceVerdict::End,
        ),
    ];
    check(possible, &rows, |it| place_verdict(*it));
}
