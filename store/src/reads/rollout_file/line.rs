//! Owns where the few values stand in a line of a rollout that change when it moves to another
//! file. It looks at the first bytes of the line alone and must not know what the line means.

use std::ops::Range;

/// Where values stand in a line, in bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Behind the brace that opens it; `None` of a line that is no object.
    pub(super) open: Option<usize>,
    /// The value of `ordinal`.
    pub(super) ordinal: Option<Range<usize>>,
    /// The text of `type`, without its quotes.
    pub(super) kind: Option<Range<usize>>,
    /// The text of `thread_id` in `payload`, without its quotes.
    pub(super) thread: Option<Range<usize>>,
}

/// Finds them in the first bytes of a line, or in all of them. A key that is there twice counts as
/// it stands last.
pub(super) fn places(bytes: &[u8]) -> Places {
    let mut scan = Scan {
        bytes,
        at: 0,
        found: Places::default(),
    };
    let _ = scan.object(true);
    scan.found
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    found: Places,
}

impl Scan<'_> {
    /// Takes an object: the line itself, or its payload. `None` where the bytes end, or are none.
    fn object(&mut self, is_line: bool) -> Option<()> {
        self.expect(b'{')?;
        if is_line {
            self.found.open = Some(self.at);
        }
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.text()?;
            self.expect(b':')?;
            let first = self.peek()?;
            match (&self.bytes[key], first) {
                (b"payload", b'{') if is_line => self.object(false)?,
                (b"ordinal", b'0'..=b'9') if is_line => self.found.ordinal = Some(self.scalar()?),
                (b"type", b'"') if is_line => self.found.kind = Some(self.text()?),
                (b"thread_id", b'"') if !is_line => self.found.thread = Some(self.text()?),
                _ => self.skip()?,
            }
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        Some(self.bytes[self.at])
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        let is_it = self.peek()? == byte;
        self.at += usize::from(is_it);
        is_it.then_some(())
    }

    /// A text, without its quotes.
    fn text(&mut self) -> Option<Range<usize>> {
        self.expect(b'"')?;
        let first = self.at;
        loop {
            match self.bytes.get(self.at)? {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    return Some(first..self.at - 1);
                }
                _ => self.at += 1,
            }
        }
    }

    fn scalar(&mut self) -> Option<Range<usize>> {
        let first = self.at;
        while !matches!(self.bytes.get(self.at)?, b',' | b'}' | b']') {
            self.at += 1;
        }
        Some(first..self.at)
    }

    /// Passes a value of any kind by.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.text()?;
                }
                b'{' | b'[' => {
                    self.at += 1;
                    depth += 1;
                }
                b'}' | b']' => {
                    self.at += 1;
                    depth = depth.checked_sub(1)?;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                b',' | b':' => return None,
                _ => {
                    self.scalar()?;
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}
