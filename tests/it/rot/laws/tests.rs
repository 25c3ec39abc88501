//! Every law can be broken.

use turnleaf_format::ThreadNumber;

use super::{Change, Whole};
use crate::rot::look::{Place, Seen};
use crate::rot::pieces::Piece;

const PATH: &str = "journal/00000000.tlj";
const A: ThreadNumber = ThreadNumber(1);

fn frame(start: u64, first: u64) -> Piece {
    Piece {
        what: "frame",
        bytes: start..start + 100,
        holds: Some((A, first..first + 2)),
    }
}

fn seen(places: &[(&str, u64, u64)], lost: &[u64]) -> Seen {
    let place = |(file, start, end): &(&str, u64, u64)| Place {
        file: (*file).to_owned(),
        bytes: *start..*end,
    };
    Seen {
        places: places.iter().map(place).collect(),
        lost: lost.iter().map(|ordinal| (A, *ordinal)).collect(),
        ..Seen::default()
    }
}

/// Judges a look at a journal file with three frames, of which the first byte of the second one is
/// another.
fn broken(seen: &Seen) -> Option<&'static str> {
    broken_by(&Change::Bit(8304, 0), true, seen)
}

fn broken_by(change: &Change, is_newest: bool, seen: &Seen) -> Option<&'static str> {
    let pieces = [frame(8192, 0), frame(8304, 2), frame(8408, 4)];
    let frames = pieces.clone().map(|piece| (PATH.to_owned(), piece));
    let whole = Whole {
        path: PATH,
        pieces: &pieces,
        frames: &frames,
        is_newest,
    };
    whole.judge(change, seen).broken
}

#[test]
fn every_law_can_be_broken() {
    let frame = (PATH, 8304, 8408);
    assert_eq!(broken(&seen(&[frame], &[2, 3])), None);
    let panicked = Seen {
        panicked: true,
        ..seen(&[frame], &[])
    };
    assert_eq!(broken(&panicked), Some("something panicked"));
    let wrong = Seen {
        wrong: 1,
        ..seen(&[frame], &[])
    };
    assert_eq!(broken(&wrong), Some("wrong records were read"));
    let refused = Seen {
        refused: true,
        ..seen(&[frame], &[])
    };
    assert_eq!(broken(&refused), Some("not all was read"));
    let neighbour = seen(&[frame], &[2, 3, 4]);
    assert_eq!(broken(&neighbour), Some("a neighbour was not read"));
    assert_eq!(broken(&seen(&[], &[])), Some("nothing was said"));
    let other = Some("another place was called spoilt");
    assert_eq!(broken(&seen(&[(PATH, 8192, 8296)], &[])), other);
    assert_eq!(broken(&seen(&[(PATH, 8304, 8304)], &[])), other);
    assert_eq!(broken(&seen(&[(PATH, 8192, 8408)], &[])), other);
    assert_eq!(broken(&seen(&[("segments/x", 8304, 8408)], &[])), other);
    let two = seen(&[frame, (PATH, 8192, 8296)], &[]);
    assert_eq!(broken(&two), Some("more than one place was called spoilt"));
}

#[test]
fn a_hole_shows_where_its_thread_goes_on() {
    let hole = [(PATH, 8304, 8408), (PATH, 8408, 8512)];
    assert_eq!(broken(&seen(&hole, &[2, 3])), None);
}

#[test]
fn only_the_end_of_the_newest_file_may_be_unseen() {
    let said = Some("nothing was said");
    let nothing = seen(&[], &[]);
    let last_header = Change::Bit(8420, 0);
    assert_eq!(broken_by(&last_header, true, &nothing), None);
    assert_eq!(broken_by(&last_header, false, &nothing), said);
    assert_eq!(broken_by(&last_header, true, &seen(&[], &[4])), said);
    assert_eq!(broken_by(&Change::Bit(8410, 0), true, &nothing), said);
    let all = seen(&[], &[0, 1, 2, 3, 4, 5]);
    assert_eq!(broken_by(&Change::Cut(8287), true, &all), None);
    assert_eq!(broken_by(&Change::Cut(8288), true, &all), said);
    assert_eq!(broken_by(&Change::Cut(8287), false, &all), said);
    let group = seen(&[], &[2, 3, 4, 5]);
    assert_eq!(broken_by(&Change::Zeroed(8304..8508), true, &group), None);
    assert_eq!(broken_by(&Change::Zeroed(8304..8500), true, &group), said);
    // Between two frames nothing means anything.
    assert_eq!(broken_by(&Change::Bit(8300, 0), false, &nothing), None);
}
