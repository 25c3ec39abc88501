//! Owns what befalls calls that change nothing: they fail, stop short, or show another bit.

use std::io;
use std::ops::Range;

use super::{SimDisk, State, crashed};

/// Bytes before the zeros at the end of what is read, where flips are aimed.
const NEWEST_BYTES: usize = 160;

/// What happens at a numbered call that reads: `list`, `open`, `len`, `id_at` or `read_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFault {
    /// This call fails.
    Fail(io::ErrorKind),
    /// This call fails, and so does every later one that asks the same or reads some of the same
    /// bytes.
    FailForEver(io::ErrorKind),
    /// A `read_at` gives half of the bytes, as if the file ended there.
    Short,
    /// One bit of what a `read_at` gives is another, chosen by number. The disk keeps the right one.
    Flip(u64),
}

#[derive(Debug, Default)]
pub(super) struct Reads {
    count: u64,
    plans: Vec<(u64, ReadFault)>,
    bad: Vec<(&'static str, String, Range<u64>, io::ErrorKind)>,
    met: Vec<String>,
}

impl SimDisk {
    /// Calls so far that only read.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.state().reads.count
    }

    /// Lets something happen at reading call number `at` (the first is 0).
    pub fn plan_read(&self, at: u64, fault: ReadFault) {
        self.state().reads.plans.push((at, fault));
    }

    /// The calls that a planned fault befell, as text.
    #[must_use]
    pub fn read_faults_met(&self) -> Vec<String> {
        self.state().reads.met.clone()
    }
}

impl State {
    /// Counts a call that reads; says whether its bytes are to be spoilt.
    pub(super) fn reading(
        &mut self,
        kind: &'static str,
        path: &str,
        range: Range<u64>,
    ) -> io::Result<Option<ReadFault>> {
        if self.crashed {
            return Err(crashed());
        }
        let reads = &mut self.reads;
        let number = reads.count;
        reads.count += 1;
        let hit = |(of, at, bytes, _): &&(&str, String, Range<u64>, _)| {
            *of == kind
                && at == path
                && (bytes == &range || bytes.start.max(range.start) < bytes.end.min(range.end))
        };
        if let Some((.., error)) = reads.bad.iter().find(hit) {
            return Err((*error).into());
        }
        let Some(place) = reads.plans.iter().position(|(at, _)| *at == number) else {
            return Ok(None);
        };
        let fault = reads.plans.remove(place).1;
        reads.met.push(format!("{kind} {path} {range:?}"));
        match fault {
            ReadFault::Fail(error) => Err(error.into()),
            ReadFault::FailForEver(error) => {
                reads.bad.push((kind, path.to_owned(), range, error));
                Err(error.into())
            }
            fault => Ok(Some(fault)),
        }
    }

    pub(super) fn heal_reads(&mut self) {
        self.reads.plans.clear();
        self.reads.bad.clear();
    }
}

impl ReadFault {
    /// Spoils bytes that were read; gives how many of them count.
    pub(super) fn spoil(self, bytes: &mut [u8]) -> usize {
        match self {
            ReadFault::Short => bytes.len() / 2,
            ReadFault::Flip(bit) if !bytes.is_empty() => {
                // Zeros at the end say nothing; what stands before them is the newest, so half of
                // all flips hit that.
                let used = bytes
                    .iter()
                    .rposition(|byte| *byte != 0)
                    .map_or(1, |at| at + 1);
                let first = if bit >> 63 == 1 {
                    used.saturating_sub(NEWEST_BYTES)
                } else {
                    0
                };
                let bits = (used - first) as u64 * 8;
                let at = first + usize::try_from(bit % bits / 8).unwrap_or(0);
                bytes[at] ^= 1 << (bit % 8);
                bytes.len()
            }
            _ => bytes.len(),
        }
    }
}
