//! Owns the check of a whole thread: every record is read, and the chain must lead from the first
//! to the last.

use std::ops::ControlFlow;

use turnleaf_format::{Ordinal, ThreadChain};

use super::RolloutReader;
use crate::error::{Cause, Damage, ReadError};

/// What a verification has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records.
    pub records: u64,
    /// Their payload bytes.
    pub bytes: u64,
}

/// Reads every record, hands every damage to `report`, and goes on behind it.
pub(crate) fn verify(
    reader: &RolloutReader,
    report: &mut dyn FnMut(&Damage),
) -> Result<Totals, ReadError> {
    let (thread, end) = (reader.view.thread, reader.end());
    let mut totals = Totals::default();
    let mut chain = ThreadChain::START;
    let mut given_up = reader.view.given_up.iter().peekable();
    let mut from = Ordinal(0);
    let mut whole = true;
    while from < end {
        let read = reader.entries(from, end, &mut |ordinal, entry| {
            // Behind what was given up the chain is the stated one. [S:catalogue-11]
            while let Some(lost) = given_up.next_if(|lost| lost.ordinal_end <= ordinal) {
                chain = lost.chain_after;
            }
            if let Some((len, crc)) = entry.whole() {
                chain = chain.after(thread, ordinal, entry.kind, entry.flags, len, crc);
                totals.records += 1;
                totals.bytes += len;
            }
            ControlFlow::Continue(())
        });
        match read {
            Ok(()) => break,
            Err(ReadError::Damaged(damage)) => {
                whole = false;
                from = damage
                    .ordinals
                    .map_or(end, |(_, after)| after)
                    .max(from.plus(1));
                report(&damage);
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(last) = given_up.last() {
        chain = last.chain_after;
    }
    if whole && chain != reader.chain() {
        report(&Damage {
            file: String::new(),
            offset: 0,
            length: 0,
            thread: Some(thread),
            ordinals: Some((Ordinal(0), end)),
            cause: Cause::Chain,
        });
    }
    Ok(totals)
}
