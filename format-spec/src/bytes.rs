//! Owns little-endian access to byte slices with errors that say what and where; it must not know
//! any layout.

use std::fmt;

use crate::version::{Format, Version};

/// What was wrong with bytes that were decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The input ends before the structure does.
    Short,
    /// The magic number is not the one of the structure.
    Magic,
    /// The header's checksum does not match.
    HeaderChecksum,
    /// The checksum of the body that the header describes does not match.
    BodyChecksum,
    /// The structure says it belongs elsewhere (store, file, offset, generation).
    Place,
    /// The header asks for a newer reader.
    Version,
    /// A length, count or offset is outside what the format allows.
    Length,
    /// A reserved byte is not zero, or a tag has no meaning.
    Reserved,
    /// Bytes are left over after the structure.
    Trailing,
    /// A text field is not UTF-8 or breaks the rules of its type.
    Text,
}

/// A structure could not be decoded; says which one, which byte of it, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// Name of the structure in SPEC.md.
    pub what: &'static str,
    /// Offset in bytes from the start of the structure.
    pub at: usize,
    /// Why it was refused.
    pub problem: Problem,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.problem {
            Problem::Short => "ends too early",
            Problem::Magic => "has another magic number",
            Problem::HeaderChecksum => "has a header checksum that does not match",
            Problem::BodyChecksum => "has a body checksum that does not match",
            Problem::Place => "belongs to another place",
            Problem::Version => "was written for a newer reader",
            Problem::Length => "has a length out of bounds",
            Problem::Reserved => "uses a reserved value",
            Problem::Trailing => "is followed by bytes that do not belong to it",
            Problem::Text => "has an invalid text field",
        };
        write!(f, "{} {} (byte {})", self.what, why, self.at)
    }
}

impl std::error::Error for DecodeError {}

/// A cursor over a slice that remembers which structure it decodes.
pub(crate) struct Source<'a> {
    what: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Source { what, bytes, at: 0 }
    }

    pub(crate) fn fail<T>(&self, problem: Problem) -> Result<T, DecodeError> {
        Err(DecodeError {
            what: self.what,
            at: self.at,
            problem,
        })
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let Some(taken) = self
            .at
            .checked_add(len)
            .and_then(|end| self.bytes.get(self.at..end))
        else {
            return self.fail(Problem::Short);
        };
        self.at += len;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn magic(&mut self, magic: [u8; 4]) -> Result<(), DecodeError> {
        if self.array::<4>()? == magic {
            Ok(())
        } else {
            self.fail(Problem::Magic)
        }
    }

    /// What follows the magic of every file header: `len` of the header, who wrote it, and the
    /// oldest reader that understands it. The version is judged first, because a newer format may
    /// give the header another length. [S:version-3]
    pub(crate) fn preamble(&mut self, len: u16) -> Result<Version, DecodeError> {
        let stored_len = self.u16()?;
        let version = Version {
            written_by: Format(self.u8()?),
            readable_by: self.readable()?,
        };
        if stored_len == len {
            Ok(version)
        } else {
            self.fail(Problem::Length)
        }
    }

    /// The oldest reader that understands the structure. [S:version-2]
    pub(crate) fn readable(&mut self) -> Result<Format, DecodeError> {
        let readable_by = Format(self.u8()?);
        if readable_by > crate::FORMAT_WRITTEN_BY {
            self.fail(Problem::Version)
        } else {
            Ok(readable_by)
        }
    }

    /// Reserved bytes are zero, so that a later format can give them a meaning. [S:layout-3]
    pub(crate) fn zeros(&mut self, len: usize) -> Result<(), DecodeError> {
        if self.take(len)?.iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            self.fail(Problem::Reserved)
        }
    }

    /// A text field: `u16` length, then that many bytes of UTF-8.
    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let len = self.u16()?;
        let bytes = self.take(usize::from(len))?;
        std::str::from_utf8(bytes).or_else(|_| self.fail(Problem::Text))
    }

    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            self.fail(Problem::Trailing)
        }
    }
}

/// Checks magic and trailing checksum of a fixed header of `len` bytes; `seed` comes before its
/// bytes in the checksum. The source that is returned stands after the magic. [S:layout-6]
pub(crate) fn checked<'a>(
    what: &'static str,
    bytes: &'a [u8],
    magic: [u8; 4],
    len: usize,
    seed: &[u8],
) -> Result<(Source<'a>, u32), DecodeError> {
    let mut source = Source::new(what, bytes);
    source.magic(magic)?;
    let (Some(covered), Some(stored)) = (bytes.get(..len - 4), bytes.get(len - 4..len)) else {
        return source.fail(Problem::Short);
    };
    let check = crc(&[seed, covered]);
    let right = stored == check.to_le_bytes();
    if right {
        Ok((source, check))
    } else {
        source.fail(Problem::HeaderChecksum)
    }
}

/// Appends a text field; a text longer than a `u16` can say is cut at a character boundary, so the
/// field always decodes (owners and paths are informative).
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let mut len = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    let short = u16::try_from(len).unwrap_or(u16::MAX);
    out.extend_from_slice(&short.to_le_bytes());
    out.extend_from_slice(&text.as_bytes()[..len]);
}

/// CRC-32 (IEEE) over the concatenation of `parts`. [S:layout-4]
pub(crate) fn crc(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests;
