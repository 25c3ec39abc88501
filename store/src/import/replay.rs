//! Owns the bytes of a file as a rollout holds them: its lines from the first on, with their line
//! feeds. Our own records are no lines of a file.

use std::io::{self, Read};
use std::ops::ControlFlow;

use turnleaf_engine::Reader;
use turnleaf_engine::format::Ordinal;
use turnleaf_engine::format::record::{Flags, Kind};

/// Bytes that are read from the log at once, about.
const FILL_BYTES: usize = 4 << 20;

/// Gives the first bytes of a rollout's file once more.
pub(super) struct Replay {
    own: Reader,
    /// The record that is read next, and how many of its bytes were.
    next: (Ordinal, u64),
    /// Bytes that are not read yet.
    left: u64,
    held: Vec<u8>,
    start: usize,
}

impl Replay {
    /// Gives the first `bytes` bytes of what a rollout holds itself, which has them.
    pub(super) fn new(own: Reader, bytes: u64) -> Replay {
        Replay {
            own,
            next: (Ordinal(0), 0),
            left: bytes,
            held: Vec::new(),
            start: 0,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        (self.start, self.held) = (0, Vec::new());
        let (held, next) = (&mut self.held, &mut self.next);
        let read = self.own.entries(next.0, self.own.end(), &mut |at, entry| {
            let offset = entry.chunk.map_or(0, |chunk| chunk.offset);
            if entry.kind == Kind::LINE && (at, offset) >= *next {
                held.extend_from_slice(entry.bytes);
                *next = (at, offset + entry.bytes.len() as u64);
                if entry.completes() && !entry.flags.has(Flags::NO_LINE_FEED) {
                    held.push(b'\n');
                }
            }
            if entry.completes() {
                *next = (at.plus(1), 0);
            }
            if held.len() >= FILL_BYTES {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        read.map_err(io::Error::other)?;
        if self.held.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        self.held.truncate(left);
        self.left -= self.held.len() as u64;
        Ok(())
    }
}

impl Read for Replay {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start == self.held.len() && self.left > 0 {
            self.fill()?;
        }
        let len = buffer.len().min(self.held.len() - self.start);
        buffer[..len].copy_from_slice(&self.held[self.start..self.start + len]);
        self.start += len;
        Ok(len)
    }
}
