//! Section 3: frames of a thread.

use super::super::frames::{
    Begin, Cover, Evidence, FirstRecord, Link, Opening, Standing, first_record, standing,
};
use super::check;

const COVERS: [Cover; 3] = [Cover::Within, Cover::ToItsEnd, Cover::Beyond];
const BEGINS: [Begin; 3] = [Begin::Below, Begin::AtEnd, Begin::Above];
const LINKS: [Link; 3] = [Link::Agrees, Link::Differs, Link::Unknown];

impl Evidence {
    /// Why no frame shows this, if none does.
    pub(crate) fn impossible(&self) -> Option<&'static str> {
        match (self.cover, self.begin, self.link) {
            (Cover::Within, Begin::AtEnd | Begin::Above, _)
            | (Cover::ToItsEnd, Begin::Above, _) => {
                Some("a thread ends at or behind the end of its cover")
            }
            (Cover::ToItsEnd, Begin::AtEnd, _) => {
                Some("a frame completes a record or leaves one unfinished")
            }
            (Cover::Within, _, Link::Agrees | Link::Differs)
            | (Cover::Beyond, Begin::Below, Link::Agrees | Link::Differs) => {
                Some("no chain is known within what the thread has")
            }
            (Cover::ToItsEnd, _, Link::Unknown) | (Cover::Beyond, Begin::AtEnd, Link::Unknown) => {
                Some("the chains where the cover and the thread end are known")
            }
            _ => None,
        }
    }

    pub(crate) fn every_pattern() -> Vec<Evidence> {
        let mut all = Vec::new();
        for given_up in [false, true] {
            for cover in COVERS {
                for begin in BEGINS {
                    for link in LINKS {
                        all.push(Evidence {
                            given_up,
                            cover,
                            begin,
                            link,
                        });
                    }
                }
            }
        }
        all
    }
}

#[test]
fn every_frame_stands_in_one_row() {
    let possible = Evidence::every_pattern().into_iter();
    let possible = possible.filter(|it| it.impossible().is_none());
    check(
        possible,
        &[
            // [R:accepted]
            ("accepted", |it| it.given_up, Standing::GivenUp),
            // [R:frame-9]
            (
                "frame-9",
                |it| {
                    let same = it.cover == Cover::ToItsEnd && it.link == Link::Agrees;
                    !it.given_up && (it.cover == Cover::Within || same)
                },
                Standing::Repeats,
            ),
            // [R:frame-6]
            (
                "frame-6, sealed otherwise",
                |it| !it.given_up && it.cover == Cover::ToItsEnd && it.link == Link::Differs,
                Standing::Contradicts,
            ),
            (
                "frame-6, ordinal",
                |it| !it.given_up && it.cover == Cover::Beyond && it.begin == Begin::Below,
                Standing::Overlaps,
            ),
            (
                "frame-6, chain",
                |it| goes_on_at(it, Begin::AtEnd) && it.link == Link::Differs,
                Standing::Breaks,
            ),
            // [R:frame-7]
            (
                "frame-7",
                |it| goes_on_at(it, Begin::Above) && it.link != Link::Differs,
                Standing::Skips,
            ),
            (
                "frame-7 and frame-6",
                |it| goes_on_at(it, Begin::Above) && it.link == Link::Differs,
                Standing::SkipsAndBreaks,
            ),
            (
                "good",
                |it| goes_on_at(it, Begin::AtEnd) && it.link == Link::Agrees,
                Standing::GoesOn,
            ),
        ],
        |it| standing(*it),
    );
}

fn goes_on_at(it: &Evidence, begin: Begin) -> bool {
    !it.given_up && it.cover == Cover::Beyond && it.begin == begin
}

#[test]
fn every_first_record_stands_in_one_row() {
    let mut patterns = Vec::new();
    for bytes_before in [0, 5, 7] {
        for bytes_open in [0, 5, 7] {
            for completes in [false, true] {
                patterns.push(Opening {
                    bytes_before,
                    bytes_open,
                    completes,
                });
            }
        }
    }
    let rows: [super::Row<Opening, FirstRecord>; 4] = [
        // [R:frame-8], and a frame behind which nothing was left unfinished.
        ("frame-8", |it| it.bytes_before == 0, FirstRecord::Begins),
        (
            "good",
            |it| it.bytes_before > 0 && it.bytes_before == it.bytes_open,
            FirstRecord::GoesOn,
        ),
        // [R:frame-10]
        (
            "frame-10",
            |it| it.bytes_before > 0 && it.bytes_before != it.bytes_open && !it.completes,
            FirstRecord::Headless,
        ),
        (
            "frame-10, whole records",
            |it| it.bytes_before > 0 && it.bytes_before != it.bytes_open && it.completes,
            FirstRecord::HeadlessAndComplete,
        ),
    ];
    check(patterns, &rows, |it| first_record(*it));
}
