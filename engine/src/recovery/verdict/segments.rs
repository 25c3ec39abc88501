//! Owns the verdicts about segments (RECOVERY.md section 7): what an opening makes of a file in
//! `segments/`, of the length of one in use, and of damage within it.
//!
//! What of a file is good when it is read, byte by byte, `segment/open.rs` and `segment/read.rs`
//! find out.

/// What the catalogue says of a file in `segments/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// Its name is that of a file that is being written.
    Unfinished,
    /// It is published, and runs of it are read.
    InUse,
    /// It is published, and others replaced all of its runs.
    Replaced,
    /// No record publishes it.
    Nowhere,
}

/// What becomes of a file in `segments/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its length is asked for, and it is read when somebody wants its records.
    Used,
    /// It is kept and reported; a repair may publish it again.
    Orphan,
    /// The next owner removes it.
    Removed,
    /// It stays where it is and is not reported.
    Stays,
}

/// The table of files; `is_whole` where nothing that was found costs a record.
pub(crate) fn fate(named: Named, is_whole: bool) -> Fate {
    match (named, is_whole) {
        // No row: what of it is wrong, the next table says.
        (Named::InUse, _) => Fate::Used,
        // [R:seg-10] Nothing tells a crash before its publication from a catalogue that lost the
        // record.
        (Named::Nowhere, _) => Fate::Orphan,
        // [R:seg-11] [R:seg-13]
        (Named::Replaced | Named::Unfinished, true) => Fate::Removed,
        // [R:seg-11] [R:seg-13] What looks unused may be all that is left.
        (Named::Replaced | Named::Unfinished, false) => Fate::Stays,
    }
}

/// What the system says of the length of a segment in use; asked twice where it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Published,
    Other,
    /// There is no file.
    NoFile,
    /// The system does not say.
    NotTold,
}

/// What the reading of all of a segment showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It was not read: there was no need, or the opening may not read more.
    NotRead,
    /// Nothing is wrong, or the reading failed.
    Nothing,
    /// Places in it are damaged.
    Places,
    /// Not even its tables can be made of what is there.
    NoTables,
    /// The same because the device does not read it.
    NotReadable,
}

/// What becomes of a segment in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is read when somebody wants its records.
    Whole,
    /// Nothing of it can be read: its ordinals are damage where nothing else holds them.
    Gone,
    /// Its length alone is wrong, as far as is known. Closes the threads that read from it.
    OtherLength,
    /// The places that were found are damaged. Closes the threads that read from it.
    Damaged,
    /// Nobody knows what stands there. Closes the threads that read from it; nothing is given up.
    Unread,
}

/// The table of lengths.
pub(crate) fn presence(length: Length, shown: Shown) -> Presence {
    match (length, shown) {
        // No row: nothing is wrong.
        (Length::Published, _) => Presence::Whole,
        // [R:seg-1]
        (Length::NoFile, _) | (Length::Other, Shown::NoTables) => Presence::Gone,
        // [R:seg-2]
        (Length::Other, Shown::NotRead | Shown::Nothing) => Presence::OtherLength,
        (Length::Other, Shown::Places) => Presence::Damaged,
        // [R:seg-17]
        (Length::NotTold, _) | (Length::Other, Shown::NotReadable) => Presence::Unread,
    }
}

/// What damage within a segment is to the thread whose records it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Within {
    /// It costs records of a thread that is there.
    pub(crate) costs: bool,
    /// All of them were given up. [S:catalogue-11]
    pub(crate) given_up: bool,
    /// The thread reads some of them from this segment.
    pub(crate) holds: bool,
}

/// What becomes of damage within a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is not told any more.
    Accepted,
    /// It is told, and closes nothing.
    CostsNothing,
    /// It is told, and closes the thread.
    ClosesThread,
}

/// The table of damage within segments.
pub(crate) fn told(within: Within) -> Told {
    let Within {
        costs,
        given_up,
        holds,
    } = within;
    match (costs, given_up, holds) {
        // [R:seg-3] [R:seg-4] [R:seg-7] [R:seg-8] [R:seg-9]
        (false, _, _) => Told::CostsNothing,
        // [R:accepted]
        (true, true, _) => Told::Accepted,
        // [R:seg-14] The records are read from elsewhere.
        (true, false, false) => Told::CostsNothing,
        // [R:seg-5] [R:seg-6] [R:seg-12] [R:seg-16]
        (true, false, true) => Told::ClosesThread,
    }
}
