//! Owns the newtypes of places and names; it must not know layouts.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A record's place in its thread: dense from 0, assigned by the store.
    Ordinal
}
number! {
    /// A thread's number: unique in a store, never reused; 0 is the catalogue.
    ThreadNumber
}
number! {
    /// A segment file's number: unique in a store, never reused.
    SegmentId
}
number! {
    /// How many journal files were begun before this one, plus one; a recycled file gets a new one.
    Generation
}

impl ThreadNumber {
    /// Thread 0 holds the catalogue. [S:catalogue-1]
    pub const CATALOGUE: ThreadNumber = ThreadNumber(0);
}

impl SegmentId {
    /// No segment: the number of none.
    pub const NONE: SegmentId = SegmentId(0);
}

impl Ordinal {
    /// The ordinal `count` places later. It saturates: no thread gets there, but bytes under a
    /// right checksum may state any ordinal, and then the chain says what they are worth.
    #[must_use]
    pub fn plus(self, count: u64) -> Ordinal {
        Ordinal(self.0.saturating_add(count))
    }
}

/// Random identity of a store, inside every checksum of a place. [S:layout-5]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreId({self})")
    }
}

/// A thread's name as the outside knows it: 1 to 128 of `A-Z a-z 0-9 _ -`. [S:names-1]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(String);

/// A text is not a [`ThreadId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidThreadId;

impl fmt::Display for InvalidThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a thread id is 1 to 128 letters, digits, '-' or '_'")
    }
}

impl std::error::Error for InvalidThreadId {}

impl ThreadId {
    /// Longest id in bytes.
    pub const BYTES_MAX: usize = 128;

    /// Accepts `text` when it keeps the rule, so an id can never become a path or a terminal code.
    ///
    /// # Errors
    /// [`InvalidThreadId`] when it does not.
    pub fn parse(text: &str) -> Result<ThreadId, InvalidThreadId> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if text.is_empty() || text.len() > Self::BYTES_MAX || !text.as_bytes().iter().all(allowed) {
            return Err(InvalidThreadId);
        }
        Ok(ThreadId(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
