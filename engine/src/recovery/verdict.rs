//! Owns the verdicts about where a journal file ends (RECOVERY.md sections 4 and 5) as pure
//! functions; it must not read or write anything.

use turnleaf_format::JournalChain;

use crate::error::{Cause, Damage};
use crate::journal::{Gap, Odd, Scan};

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

/// Judges the end of the newest file: each place without a valid frame in turn, up to the first one
/// that nothing proves to have been durable.
pub(crate) fn judge_tail(scan: &Scan) -> Ended {
    let hard = |gap: &Gap| matches!(gap.odd, Odd::Refused(_) | Odd::Unreadable(_));
    // What no crash makes was made by something else; cutting before it would hide that.
    // [R:frame-4]
    let hard_until = scan
        .gaps
        .iter()
        .filter(|gap| hard(gap))
        .map(|gap| gap.offset);
    let hard_until = hard_until.max().max(scan.later);
    let mut damaged: Vec<Gap> = Vec::new();
    let mut durable_end = 0;
    let mut tail = None;
    for gap in &scan.gaps {
        let proven = scan.proven_beyond(gap.offset);
        #[cfg(turnleaf_bugs)]
        let proven = crate::bugs::ProofIgnored.turns(proven, |_| 0);
        if proven <= gap.offset && hard_until.is_none_or(|until| until < gap.offset) {
            tail = Some(gap);
            break;
        }
        durable_end = durable_end.max(proven);
        damaged.push(*gap);
    }
    // [R:tail-3]; else [R:tail-1], [R:tail-2] or, without a gap, [R:tail-5].
    let torn = tail.is_some_and(|gap| {
        matches!(gap.odd, Odd::Invalid(_) | Odd::Border) || scan.goes_on_beyond(gap.offset)
    });
    let end = tail.map_or(scan.reach, |gap| gap.offset);
    let verdict = match damaged.first() {
        // [R:tail-4], [R:tail-6]
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
        chain: tail.map_or(scan.chain, |gap| gap.chain),
        torn,
        damaged,
    }
}

/// Judges the end of an older file, which its successor's header names: every place without a
/// valid frame below it is damage. [R:sealed-end-3] [R:sealed-end-4]
pub(crate) fn judge_end(scan: &Scan, stated: JournalChain) -> (Ended, bool) {
    let ended = Ended {
        verdict: TailVerdict::Clean,
        end: u64::MAX,
        chain: scan.chain,
        torn: false,
        damaged: scan.gaps.clone(),
    };
    // [R:sealed-end-5]
    let agrees = scan.chain.is_none_or(|chain| chain == stated);
    (ended, agrees)
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
        cause: match gap.odd {
            Odd::Zeros => Cause::Missing,
            Odd::Other(error) | Odd::Invalid(error) | Odd::Refused(error) => Cause::Decode(error),
            Odd::Border => Cause::Border,
            Odd::Unreadable(kind) => Cause::Unreadable(kind),
        },
    }
}
