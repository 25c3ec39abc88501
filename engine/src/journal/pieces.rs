//! Owns the reading of a stretch of a file whatever the device says about parts of it.

use crate::disk::{DiskFile, read_exact_at};
use crate::error::{DiskFailure, SystemError, failed};

/// What is read at once of a stretch that cannot be read as a whole.
const PIECE_BYTES: u64 = 4096;

/// What is compared at once with another reading.
const COMPARED_BYTES: usize = 256 << 10;

/// Bytes of a file; what the device could not read is zero here, and named.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// Where they begin in the file.
    pub(crate) start: u64,
    pub(crate) bytes: Vec<u8>,
    /// Offsets in the file of what could not be read, and why.
    failures: Vec<(u64, u64, SystemError)>,
}

impl Pieces {
    /// Why something between two offsets of the file could not be read.
    pub(crate) fn failed_in(&self, start: u64, end: u64) -> Option<SystemError> {
        let hit = |failure: &&(u64, u64, SystemError)| failure.0 < end && start < failure.1;
        self.failures.iter().find(hit).map(|failure| failure.2)
    }

    /// The first place that could not be read, and why.
    pub(crate) fn first_failure(&self) -> Option<(u64, SystemError)> {
        self.failures.first().map(|(start, _, why)| (*start, *why))
    }

    /// Whether another reading shows the same bytes, from an offset of the file on; these begin at
    /// `start`. What could not be read before need not be readable now.
    pub(crate) fn reads_the_same(&self, file: &dyn DiskFile, start: u64, from: u64) -> bool {
        let skipped = usize::try_from(from.saturating_sub(start)).unwrap_or(usize::MAX);
        let rest = self.bytes.get(skipped..).unwrap_or_default();
        let mut at = start.max(from);
        rest.chunks(COMPARED_BYTES).all(|known| {
            let end = at + known.len() as u64;
            let same = match read_exact_at(file, at, known.len()) {
                Ok(bytes) => bytes == known,
                Err(_) => self.failed_in(at, end).is_some(),
            };
            at = end;
            same
        })
    }
}

/// Reads what stands between two offsets, as far as the file reaches. Every failed read was tried
/// twice. [R:unreadable]
pub(crate) fn read_pieces(
    file: &dyn DiskFile,
    path: &str,
    start: u64,
    end: u64,
) -> Result<Pieces, DiskFailure> {
    let len = file.len().map_err(failed("measure", path))?;
    let end = end.min(len).max(start);
    let count = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    if start == end {
        // A file that was begun and left without a frame: nothing of it is needed.
        return Ok(Pieces {
            start,
            bytes: Vec::new(),
            failures: Vec::new(),
        });
    }
    // One journal file is at most some 32 MiB; it is read in one piece.
    if let Ok(bytes) = read_exact_at(file, start, count(end - start)) {
        let failures = Vec::new();
        return Ok(Pieces {
            start,
            bytes,
            failures,
        });
    }
    let mut pieces = Pieces {
        start,
        bytes: Vec::with_capacity(count(end - start)),
        failures: Vec::new(),
    };
    let mut at = start;
    while at < end {
        let next = (at + PIECE_BYTES).min(end);
        match read_exact_at(file, at, count(next - at)) {
            Ok(bytes) => pieces.bytes.extend_from_slice(&bytes),
            Err(error) => {
                pieces.failures.push((at, next, SystemError::from(&error)));
                pieces.bytes.resize(count(next - start), 0);
            }
        }
        at = next;
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests;
