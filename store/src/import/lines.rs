//! Owns the cutting of a byte stream into lines, at line feeds only: raw U+2028 and the like are
//! ordinary bytes inside JSON strings.

use std::io::{self, Cursor, ErrorKind, Read};

use turnleaf_engine::format::record::Flags;

use crate::lines::LINE_BYTES_MAX;

/// Bytes read from the source at once.
const READ_BYTES: usize = 256 << 10;

/// A line, or a piece of a very long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// The bytes, without the line feed.
    pub(super) bytes: Vec<u8>,
    /// Whether more of the same line follows.
    pub(super) more: bool,
    /// Whether a line feed ended the line; meaningless when `more`.
    pub(super) line_feed: bool,
}

impl Piece {
    /// The flags of the record that it becomes; `continues`: of a line that the record before it
    /// has the beginning of.
    pub(super) fn flags(&self, continues: bool) -> Flags {
        let open = if self.line_feed || self.more {
            Flags::NONE
        } else {
            Flags::NO_LINE_FEED
        };
        if continues {
            open.with(Flags::CONTINUES)
        } else {
            open
        }
    }
}

/// How far bytes agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Same {
    /// All of them.
    All,
    /// The source ended first.
    UntilTheEnd,
    /// They differ at this offset.
    UpTo(u64),
}

/// Reads lines.
pub(super) struct Lines<'a> {
    source: &'a mut dyn Read,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at: u64,
    spare: Vec<u8>,
    /// What was looked at in advance and is to be read again.
    again: Vec<u8>,
    /// The source said that it has no more bytes.
    is_ended: bool,
    /// What is read before the source, the last one first.
    before: Vec<Box<dyn Read>>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(source: &'a mut dyn Read) -> Lines<'a> {
        Lines {
            source,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            at: 0,
            spare: Vec::new(),
            again: Vec::new(),
            is_ended: false,
            before: Vec::new(),
        }
    }

    /// Begins again with the first byte: all that was consumed is what `consumed` gives.
    pub(super) fn begin_again(&mut self, consumed: impl Read + 'static) {
        let rest = self.buffer[self.start..self.end].to_vec();
        self.before.push(Box::new(Cursor::new(rest)));
        self.before.push(Box::new(consumed));
        (self.start, self.end, self.at) = (0, 0, 0);
    }

    /// Bytes that have been handed out.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Looks at the first bytes without consuming them: up to `len`, fewer at the end. Says also
    /// whether those are all that can be read. Only before anything is consumed.
    pub(super) fn peek(&mut self, len: usize) -> io::Result<(&[u8], bool)> {
        let more = len.saturating_sub(self.again.len()) as u64;
        let read = (&mut *self.source).take(more).read_to_end(&mut self.again);
        let is_broken = read.is_err();
        match read {
            // What came before the break is looked at; the break shows again when it is read.
            Err(error) if self.again.is_empty() => return Err(error),
            read => self.is_ended = read.is_ok() && self.again.len() < len,
        }
        Ok((&self.again, self.is_ended || is_broken))
    }

    /// The next line. A line over [`LINE_BYTES_MAX`] comes in pieces of exactly that size but for
    /// the last. What was read of a piece before a failure is not handed out.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Piece>> {
        let before = self.at;
        let piece = self.piece();
        if piece.is_err() {
            self.at = before;
        }
        piece
    }

    fn piece(&mut self) -> io::Result<Option<Piece>> {
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        loop {
            if self.start == self.end && !self.fill()? {
                let line_feed = false;
                return Ok((!bytes.is_empty()).then_some(Piece {
                    bytes,
                    more: false,
                    line_feed,
                }));
            }
            let here = &self.buffer[self.start..self.end];
            let room = LINE_BYTES_MAX - bytes.len();
            let found = memchr::memchr(b'\n', here);
            let len = found.unwrap_or(here.len()).min(room);
            bytes.extend_from_slice(&here[..len]);
            self.start += len;
            self.at += len as u64;
            if found == Some(len) {
                self.start += 1;
                self.at += 1;
                return Ok(Some(Piece {
                    bytes,
                    more: false,
                    line_feed: true,
                }));
            }
            if bytes.len() == LINE_BYTES_MAX {
                // The line may end right here: a piece says that more follows only when it does.
                if self.start == self.end && !self.fill()? {
                    return Ok(Some(Piece {
                        bytes,
                        more: false,
                        line_feed: false,
                    }));
                }
                let line_feed = self.buffer[self.start] == b'\n';
                self.start += usize::from(line_feed);
                self.at += u64::from(line_feed);
                return Ok(Some(Piece {
                    bytes,
                    more: !line_feed,
                    line_feed,
                }));
            }
        }
    }

    /// Returns a line's memory for the next one.
    pub(super) fn give_back(&mut self, piece: Piece) {
        // One huge line must not keep its memory for the rest of the import.
        if piece.bytes.capacity() <= 4 << 20 {
            self.spare = piece.bytes;
        }
    }

    /// Compares the next bytes of the source with `expected` and consumes those that agree.
    pub(super) fn compare(&mut self, expected: &[u8]) -> io::Result<Same> {
        let mut done = 0;
        while done < expected.len() {
            if self.start == self.end && !self.fill()? {
                return Ok(Same::UntilTheEnd);
            }
            let here = &self.buffer[self.start..self.end];
            let len = here.len().min(expected.len() - done);
            let pairs = here[..len].iter().zip(&expected[done..done + len]);
            let agree = if here[..len] == expected[done..done + len] {
                len
            } else {
                pairs.take_while(|(one, other)| one == other).count()
            };
            self.start += agree;
            self.at += agree as u64;
            done += agree;
            if agree < len {
                return Ok(Same::UpTo(done as u64));
            }
        }
        Ok(Same::All)
    }

    /// The next bytes without consuming them: as many as asked for, fewer at the end.
    pub(super) fn ahead(&mut self, len: usize) -> io::Result<&[u8]> {
        while self.end - self.start < len {
            let mut held = self.buffer[self.start..self.end].to_vec();
            self.start = self.end;
            let filled = self.fill();
            if matches!(filled, Ok(true)) {
                held.extend_from_slice(&self.buffer[self.start..self.end]);
            }
            (self.start, self.end) = (0, held.len());
            self.buffer = held;
            if !filled? {
                break;
            }
        }
        let end = self.end.min(self.start + len);
        Ok(&self.buffer[self.start..end])
    }

    fn fill(&mut self) -> io::Result<bool> {
        while let Some(before) = self.before.last_mut() {
            self.buffer.resize(READ_BYTES.max(self.buffer.len()), 0);
            let read = before.read(&mut self.buffer)?;
            (self.start, self.end) = (0, read);
            if read > 0 {
                return Ok(true);
            }
            self.before.pop();
        }
        if !self.again.is_empty() {
            self.buffer = std::mem::take(&mut self.again);
            (self.start, self.end) = (0, self.buffer.len());
            return Ok(true);
        }
        if self.is_ended {
            return Ok(false);
        }
        if self.buffer.len() < READ_BYTES {
            self.buffer.resize(READ_BYTES, 0);
        }
        loop {
            match self.source.read(&mut self.buffer) {
                Ok(read) => {
                    (self.start, self.end) = (0, read);
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests;
