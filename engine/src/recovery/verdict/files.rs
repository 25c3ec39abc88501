//! Owns the verdicts about the set of journal files (RECOVERY.md section 2).
//!
//! Three tables follow each other: what a file shows by itself, which file serves for a generation
//! that a link asks for, and what becomes of files that no link asks for.

/// What the header area of a file says. One that is newer or foreign refuses the store before.
/// [R:order]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    /// Zero everywhere, or the file ends in it.
    Blank,
    /// No copy has a right checksum, or none could be read.
    Bad,
    /// A right checksum over fields that are refused.
    Refused,
    /// The file has the length that the header states.
    Valid,
    /// The file is shorter.
    ValidOverShortFile,
}

/// Which frames stand in a file whose header does not say it: of a valid header those of its
/// generation count, and a whole file is not searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frames {
    No,
    Some,
}

/// What is known of a file by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) area: Area,
    pub(crate) frames: Frames,
    /// The header of another file says where this one ends.
    pub(crate) linked: bool,
    /// All that had to be read of it could be.
    pub(crate) read: bool,
}

/// What a file is by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileVerdict {
    /// It stands for the generation of its header.
    Counts,
    /// As before, and its end was cut from outside: damage.
    CutShort,
    /// It stands for the generation of its frames: the header is lost.
    Headless,
    /// It holds nothing that is needed.
    Free,
    /// It may be the one that a link asks for and nothing else shows.
    Nameless,
    /// Damage: something that is no writer wrote its header.
    Contradicts,
    /// Nothing is known of it, which is told elsewhere.
    Unread,
}

/// The table of files by themselves.
pub(crate) fn file_verdict(evidence: Evidence) -> FileVerdict {
    let Evidence {
        area,
        frames,
        linked,
        read,
    } = evidence;
    match (area, frames, linked, read) {
        // [R:set-4] and [R:set-5] chose the copy.
        (Area::Valid, _, _, _) => FileVerdict::Counts,
        // [R:set-20] What is missing may be what the device did not read.
        (Area::ValidOverShortFile, _, _, false) => FileVerdict::Counts,
        // [R:set-16]
        (Area::ValidOverShortFile, Frames::Some, _, true) => FileVerdict::CutShort,
        // [R:set-18], unless a header says where it ends: then the scan finds what is missing.
        (Area::ValidOverShortFile, Frames::No, false, true) => FileVerdict::Free,
        (Area::ValidOverShortFile, Frames::No, true, true) => FileVerdict::Counts,
        // [R:set-8] and [R:set-9], by the generation of the frames; of a refused header [R:set-17].
        (Area::Blank | Area::Bad | Area::Refused, Frames::Some, _, _) => FileVerdict::Headless,
        // [R:set-17]
        (Area::Refused, Frames::No, _, _) => FileVerdict::Contradicts,
        // [R:set-20]
        (Area::Blank | Area::Bad, Frames::No, _, false) => FileVerdict::Unread,
        // [R:set-3]
        (Area::Blank, Frames::No, _, true) => FileVerdict::Free,
        // [R:set-6] and [R:set-7]: see `nameless_verdict`.
        (Area::Bad, Frames::No, _, true) => FileVerdict::Nameless,
    }
}

/// How many files there are of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    None,
    One,
    Several,
}

impl Count {
    pub(crate) fn of<T>(all: &[T]) -> Count {
        match all {
            [] => Count::None,
            [_] => Count::One,
            _ => Count::Several,
        }
    }
}

/// Which file serves for a generation that a link asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkVerdict {
    /// The one with a header of it.
    Valid,
    /// The one with frames of it, whose header is lost.
    Headless,
    /// None is there: damage.
    Missing,
    /// None is chosen, because either choice could drop acknowledged records. What the headers link
    /// to is followed where they agree.
    Ambiguous,
    /// None is chosen, and without a header of each nobody knows what they link to.
    AmbiguousAndHeadless,
}

/// The table of generations that a link asks for, by the files that have a header of it, and those
/// of which only frames show it.
pub(crate) fn link_verdict(valid: Count, headless: Count) -> LinkVerdict {
    match (valid, headless) {
        // No row: nothing is wrong.
        (Count::One, Count::None) => LinkVerdict::Valid,
        // [R:set-8]
        (Count::None, Count::One) => LinkVerdict::Headless,
        // [R:set-12]
        (Count::None, Count::None) => LinkVerdict::Missing,
        // [R:set-13]
        (Count::Several, Count::None) => LinkVerdict::Ambiguous,
        // [R:set-13] and [R:set-8]
        (Count::One | Count::Several, Count::One | Count::Several)
        | (Count::None, Count::Several) => LinkVerdict::AmbiguousAndHeadless,
    }
}

/// What becomes of the files with a valid header of a generation that no link asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdleVerdict {
    /// They hold nothing that is needed.
    Free,
    /// They are kept: that there are several is damage, which is told.
    Kept,
}

/// The table of generations that no link asks for. `live`: at or above oldest live.
pub(crate) fn idle_verdict(live: bool, valid: Count) -> IdleVerdict {
    match (live, valid) {
        // [R:set-14]
        (false, _) => IdleVerdict::Free,
        // [R:set-15]
        (true, Count::None | Count::One) => IdleVerdict::Free,
        // [R:set-13]
        (true, Count::Several) => IdleVerdict::Kept,
    }
}

/// What becomes of a file that shows nothing by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamelessVerdict {
    Free,
    /// Damage: a link that leads nowhere may have led to it.
    MayBeLinked,
}

/// The table of files without header and frames. `missing`: a link leads to no file.
pub(crate) fn nameless_verdict(missing: bool) -> NamelessVerdict {
    match missing {
        // [R:set-6]
        false => NamelessVerdict::Free,
        // [R:set-7]
        true => NamelessVerdict::MayBeLinked,
    }
}
