//! Owns the verdicts about where a journal file ends (RECOVERY.md sections 4 and 5).

use turnleaf_format::JournalChain;

use crate::error::{Cause, Damage};
use crate::journal::{Gap, NoFrame, Scan};

/// How the newest journal file ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailVerdict {
    /// Nothing stands behind the last frame.
    Clean,
    /// An unacknowledged write that did not finish: void, from this offset on.
    Torn {
        /// Bytes from the start of the file.
        offset: u64,
    },
    /// What stood there was durable, or was not made by a crash: nothing is cut there.
    Damaged {
        /// Where the first invalid bytes begin.
        offset: u64,
        /// Everything up to here was durable.
        durable_end: u64,
    },
}

/// Where a file ends, and what is damaged before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) verdict: TailVerdict,
    /// Frames from here on are void.
    pub(crate) end: u64,
    /// The journal chain there, when it is known.
    pub(crate) chain: Option<JournalChain>,
    /// Whether a torn group begins there.
    pub(crate) torn: bool,
    /// The places that are damage.
    pub(crate) damaged: Vec<Gap>,
}

impl Ended {
    /// Whether valid frames stand up to the end, and nothing of this file behind it.
    pub(crate) fn is_clean(&self) -> bool {
        self.verdict == TailVerdict::Clean && !self.torn
    }
}

/// What stands at a place without a valid frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    Zeros,
    /// Bytes that are no frame of this file.
    Other,
    /// Part of a frame of this file, or one that passes its stated end.
    Part,
    /// What no crash makes: both checksums are right over fields that are refused.
    Refused,
    /// Nobody knows: the device does not read it.
    Unread,
}

/// What is known of a place without a valid frame in the newest file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) stands: Stands,
    /// A right header beyond it says that it was durable.
    pub(crate) proof: bool,
    /// There or beyond it stands what no crash makes, or what the device does not read.
    pub(crate) refused_beyond: bool,
    /// Beyond it stands a frame of a later generation.
    pub(crate) later_beyond: bool,
    /// A right header of this file stands beyond it.
    pub(crate) goes_on: bool,
}

/// What a place without a valid frame means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaceVerdict {
    /// Damage; the next such place is judged in the same way.
    Damage,
    /// A group that was not written whole: void from here on.
    Torn,
    /// Nothing was written here.
    End,
}

/// The table of places without a valid frame in the newest file. Without one the file ends where
/// its capacity does. [R:tail-5]
pub(crate) fn place_verdict(evidence: Evidence) -> PlaceVerdict {
    let Evidence {
        stands,
        proof,
        refused_beyond,
        later_beyond,
        goes_on,
    } = evidence;
    match (proof, refused_beyond, later_beyond, stands, goes_on) {
        // [R:tail-4]
        (true, _, _, _, _) => PlaceVerdict::Damage,
        // What no crash makes was made by something else; cutting before it would hide that.
        // [R:frame-4] [R:set-20]
        (_, true, _, _, _) | (_, _, _, Stands::Refused | Stands::Unread, _) => PlaceVerdict::Damage,
        // [R:tail-6]
        (_, _, true, _, _) => PlaceVerdict::Damage,
        // [R:tail-3]
        (_, _, _, Stands::Part, _) | (_, _, _, _, true) => PlaceVerdict::Torn,
        // [R:tail-1]
        (_, _, _, Stands::Zeros, false) => PlaceVerdict::End,
        // [R:tail-2]
        (_, _, _, Stands::Other, false) => PlaceVerdict::End,
    }
}

impl Stands {
    fn of(why: NoFrame) -> Stands {
        match why {
            NoFrame::Zeros => Stands::Zeros,
            NoFrame::Other(_) => Stands::Other,
            NoFrame::Invalid(_) | NoFrame::CrossesEnd => Stands::Part,
            NoFrame::Refused(_) => Stands::Refused,
            NoFrame::Unreadable(_) => Stands::Unread,
        }
    }
}

/// Judges the end of the newest file: each place without a valid frame in turn, up to the first one
/// that nothing proves to have been durable.
pub(crate) fn judge_tail(scan: &Scan) -> Ended {
    let is_refused = |gap: &&Gap| matches!(gap.why, NoFrame::Refused(_) | NoFrame::Unreadable(_));
    let refused = scan.gaps.iter().filter(is_refused);
    let last_refused = refused.map(|gap| gap.offset).max();
    let mut damaged: Vec<Gap> = Vec::new();
    let mut durable_end = 0;
    let mut tail = None;
    for gap in &scan.gaps {
        let proven = scan.proven_beyond(gap.offset);
        let verdict = place_verdict(Evidence {
            stands: Stands::of(gap.why),
            proof: proven > gap.offset,
            refused_beyond: last_refused >= Some(gap.offset),
            later_beyond: scan.later >= Some(gap.offset),
            goes_on: scan.goes_on_beyond(gap.offset),
        });
        if verdict != PlaceVerdict::Damage {
            tail = Some((gap, verdict == PlaceVerdict::Torn));
            break;
        }
        durable_end = durable_end.max(proven);
        damaged.push(*gap);
    }
    let torn = tail.is_some_and(|(_, torn)| torn);
    let end = tail.map_or(scan.reach, |(gap, _)| gap.offset);
    let verdict = match damaged.first() {
        Some(first) => TailVerdict::Damaged {
            offset: first.offset,
            durable_end,
        },
        None if torn => TailVerdict::Torn { offset: end },
        None => TailVerdict::Clean,
    };
    Ended {
        verdict,
        end,
        chain: tail.map_or(scan.chain, |(gap, _)| gap.chain),
        torn,
        damaged,
    }
}

/// Whether the chain of an older file agrees with the header of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatedEnd {
    /// The chain is the stated one. [R:sealed-end-1]
    Reached,
    /// The chain is another one. [R:sealed-end-5]
    Contradicted,
    /// The last frames are damaged, so that the chain is not known: that damage is told.
    Unknown,
}

/// Judges the end of an older file, which its successor's header names: every place without a
/// valid frame below it is damage, and what lies beyond it was not even scanned. [R:sealed-end-2]
/// [R:sealed-end-3] [R:sealed-end-4]
pub(crate) fn judge_end(scan: &Scan, stated: JournalChain) -> (Ended, StatedEnd) {
    let ended = Ended {
        verdict: TailVerdict::Clean,
        end: u64::MAX,
        chain: scan.chain,
        torn: false,
        damaged: scan.gaps.clone(),
    };
    let reached = match scan.chain {
        None => StatedEnd::Unknown,
        Some(chain) if chain == stated => StatedEnd::Reached,
        Some(_) => StatedEnd::Contradicted,
    };
    (ended, reached)
}

/// A place without a valid frame, as damage.
pub(crate) fn gap_damage(path: &str, gap: &Gap) -> Damage {
    // A frame of several records has as many entries; one of chunks has none that is whole.
    let ordinals = gap.header.map(|header| {
        let first = header.first_ordinal;
        (first, first.plus(u64::from(header.entry_count)))
    });
    Damage {
        file: path.to_owned(),
        offset: gap.offset,
        length: gap.end - gap.offset,
        thread: gap.header.map(|header| header.thread),
        ordinals,
        cause: match gap.why {
            NoFrame::Zeros => Cause::Missing,
            NoFrame::Other(error) | NoFrame::Invalid(error) | NoFrame::Refused(error) => {
                Cause::Decode(error)
            }
            NoFrame::CrossesEnd => Cause::CrossesEnd,
            NoFrame::Unreadable(kind) => Cause::Unreadable(kind),
        },
    }
}
