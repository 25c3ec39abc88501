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

/// Calls that read and fail, whoever makes them: all of one kind, of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// `list`, `open`, `len`, `id_at` or `read_at`.
    pub kind: &'static str,
    /// Of which file or directory.
    pub path: String,
    /// Only reads of some of these bytes; of other kinds all.
    pub bytes: Range<u64>,
    /// So many calls succeed before.
    pub after: u64,
    /// So many fail then; `u64::MAX` is for ever.
    pub times: u64,
}

impl Unread {
    /// Every call of a kind fails for ever.
    #[must_use]
    pub fn always(kind: &'static str, path: &str) -> Unread {
        Unread {
            kind,
            path: path.to_owned(),
            bytes: 0..u64::MAX,
            after: 0,
            times: u64::MAX,
        }
    }

    /// Whether this call is one that fails; counts it.
    fn hits(&mut self, kind: &str, path: &str, range: &Range<u64>) -> bool {
        let meets = self.bytes.start < range.end && range.start < self.bytes.end;
        if kind != self.kind || path != self.path || !(meets || kind != "read_at") {
            return false;
        }
        if self.after > 0 {
            self.after -= 1;
            return false;
        }
        let fails = self.times > 0;
        if self.times < u64::MAX {
            self.times = self.times.saturating_sub(1);
        }
        fails
    }
}

/// What the system says: `EIO`.
fn io_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}

#[derive(Debug, Default)]
pub(super) struct Reads {
    unread: Vec<Unread>,
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

    /// Lets calls of one kind and name fail, besides what is planned already.
    pub fn fail_reads(&self, unread: Unread) {
        self.state().reads.unread.push(unread);
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
        if let Some(found) = reads
            .unread
            .iter_mut()
            .find_map(|unread| unread.hits(kind, path, &range).then_some(unread))
        {
            let met = format!("{kind} {} {range:?}", found.path);
            reads.met.push(met);
            return Err(io_error());
        }
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
        self.reads.unread.clear();
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
