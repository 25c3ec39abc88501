//! Owns the verdicts on a valid frame of a thread (RECOVERY.md section 3).
//!
//! Two tables follow each other: where the frame stands among the records of its thread, and, where
//! it goes on behind them, what becomes of the record that it begins with.

/// Whether the records of the frame end within the cover of the thread's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cover {
    /// They end before the end of the cover.
    Within,
    /// They end where the cover ends, and leave no record unfinished.
    ToItsEnd,
    /// They go beyond the cover.
    Beyond,
}

/// Where the frame begins, beside where the thread ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    Below,
    AtEnd,
    Above,
}

/// Whether the thread chain of the frame is the one that is known for its place: behind it where
/// the cover ends there, else before it. Behind ordinals that are missing, a chain is known where
/// it was stated when they were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Agrees,
    Differs,
    Unknown,
}

/// What is known of a frame beside its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Whether all its ordinals were given up. [S:catalogue-11]
    pub(crate) given_up: bool,
    pub(crate) cover: Cover,
    pub(crate) begin: Begin,
    pub(crate) link: Link,
}

/// Where a frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is left out: nothing is asked of it any more.
    GivenUp,
    /// It is a second copy of what is sealed.
    Repeats,
    /// It stands in the place of what is sealed, and its chain is another one: damage.
    Contradicts,
    /// It is left out: another frame has the ordinals. Damage.
    Overlaps,
    /// It goes on where the thread ends.
    GoesOn,
    /// It goes on there although its chain is another one: damage.
    Breaks,
    /// It goes on behind ordinals that are missing: damage.
    Skips,
    /// As before, and its chain is not the one that was stated for its place: damage as well.
    SkipsAndBreaks,
}

/// The table of where frames stand.
pub(crate) fn standing(evidence: Evidence) -> Standing {
    let Evidence {
        given_up,
        cover,
        begin,
        link,
    } = evidence;
    match (given_up, cover, begin, link) {
        // [R:accepted]
        (true, _, _, _) => Standing::GivenUp,
        // [R:frame-9], as far as it can be told without reading the segment.
        (_, Cover::Within, _, _) => Standing::Repeats,
        (_, Cover::ToItsEnd, _, Link::Agrees | Link::Unknown) => Standing::Repeats,
        // [R:frame-6]
        (_, Cover::ToItsEnd, _, Link::Differs) => Standing::Contradicts,
        (_, Cover::Beyond, Begin::Below, _) => Standing::Overlaps,
        (_, Cover::Beyond, Begin::AtEnd, Link::Differs) => Standing::Breaks,
        // No row: nothing is wrong.
        (_, Cover::Beyond, Begin::AtEnd, Link::Agrees | Link::Unknown) => Standing::GoesOn,
        // [R:frame-7]
        (_, Cover::Beyond, Begin::Above, Link::Agrees | Link::Unknown) => Standing::Skips,
        // [R:frame-7] and [R:frame-6]
        (_, Cover::Beyond, Begin::Above, Link::Differs) => Standing::SkipsAndBreaks,
    }
}

/// How the first record of a frame stands to what is unfinished where the frame goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening {
    /// Bytes of the record that earlier frames must hold; 0 where it begins here.
    pub(crate) bytes_before: u64,
    /// Bytes of the unfinished record there; 0 where there is none.
    pub(crate) bytes_open: u64,
    /// Whether a record is complete in the frame.
    pub(crate) completes: bool,
}

/// What becomes of the record that a frame begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstRecord {
    /// It begins here; chunks that were left unfinished before are void.
    Begins,
    /// It goes on where the frame before left it.
    GoesOn,
    /// Its beginning is not there: damage of that record, which no frame completes so far.
    Headless,
    /// Its beginning is not there: damage of the records that are complete in the frame.
    HeadlessAndComplete,
}

/// The table of first records.
pub(crate) fn first_record(opening: Opening) -> FirstRecord {
    let Opening {
        bytes_before,
        bytes_open,
        completes,
    } = opening;
    match (bytes_before, bytes_before == bytes_open, completes) {
        // [R:frame-8]
        (0, _, _) => FirstRecord::Begins,
        // No row: nothing is wrong.
        (_, true, _) => FirstRecord::GoesOn,
        // [R:frame-10]
        (_, false, false) => FirstRecord::Headless,
        (_, false, true) => FirstRecord::HeadlessAndComplete,
    }
}
