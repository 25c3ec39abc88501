//! Owns pages: what a client asks for, what it gets, and the tokens with which it goes on. It must
//! not know how rows are stored.

use std::num::NonZeroUsize;

use turnleaf_format::{Ordinal, StoreId, ThreadNumber};

/// Direction of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// Where a page begins. It has no direction: the same anchor serves both orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// First ordinal of a turn or item; it need not exist.
    pub at: Ordinal,
    /// Whether the row at the anchor itself belongs to the page.
    pub include: bool,
}

/// A request for one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Where to begin; `None` is the oldest or newest row.
    pub anchor: Option<Anchor>,
    /// Direction.
    pub order: Order,
    /// Most rows to return.
    pub limit: NonZeroUsize,
}

impl PageRequest {
    /// Smallest and largest ordinal of the answer; `None` when nothing can lie there.
    pub(super) fn span(&self) -> Option<(Ordinal, Ordinal)> {
        let all = (Ordinal(0), Ordinal(u64::MAX));
        let Some(Anchor { at, include }) = self.anchor else {
            return Some(all);
        };
        let step = u64::from(!include);
        match self.order {
            Order::Ascending => Some((Ordinal(at.0.checked_add(step)?), all.1)),
            Order::Descending => Some((all.0, Ordinal(at.0.checked_sub(step)?))),
        }
    }
}

/// One page of rows with their keys, in the requested order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<(Ordinal, T)>,
    /// Whether a further row existed.
    pub more: bool,
}

impl<T> Page<T> {
    /// Where the next page in the same order begins, if there is one.
    #[must_use]
    pub fn next(&self) -> Option<Anchor> {
        let (at, _) = self.rows.last().filter(|_| self.more)?;
        Some(Anchor {
            at: *at,
            include: false,
        })
    }

    /// Where a page in the opposite order begins: it returns this page's first row again. Present
    /// whenever the page is not empty.
    #[must_use]
    pub fn backwards(&self) -> Option<Anchor> {
        self.rows.first().map(|(at, _)| Anchor {
            at: *at,
            include: true,
        })
    }
}

/// A text is not a token, or not one for this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid page token")]
pub struct InvalidToken;

/// What a token continues, with the place it stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// A thread's turns.
    Turns(ThreadNumber, Ordinal),
    /// A thread's items; lists of one turn and of the whole thread share their tokens.
    Items(ThreadNumber, Ordinal),
    /// A list of threads.
    Threads {
        /// Which list: sort key and filter, as the caller numbers them.
        list: u8,
        /// Sort key of the row.
        key: i64,
        /// Thread of the row; tells rows of equal keys apart.
        thread: ThreadNumber,
    },
}

/// A position that a client keeps as an opaque text (lower-case hexadecimal, so URL-safe).
///
/// A token stays valid across appends, because ordinals never change. It carries a checksum over
/// the store, so that a mangled or foreign token is refused and not followed somewhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageToken {
    /// The place.
    pub spot: Spot,
    /// Whether the row at the place itself belongs to the page.
    pub include: bool,
}

const TOKEN_VERSION: u8 = 1;
const TOKEN_BODY_BYTES: usize = 20;
const TOKEN_BYTES: usize = TOKEN_BODY_BYTES + 4;

impl PageToken {
    /// The token for a place in a thread's turns.
    #[must_use]
    pub fn turns(thread: ThreadNumber, anchor: Anchor) -> PageToken {
        PageToken {
            spot: Spot::Turns(thread, anchor.at),
            include: anchor.include,
        }
    }

    /// The token for a place in a thread's items.
    #[must_use]
    pub fn items(thread: ThreadNumber, anchor: Anchor) -> PageToken {
        PageToken {
            spot: Spot::Items(thread, anchor.at),
            include: anchor.include,
        }
    }

    /// The anchor, if this is a token of that thread's turns.
    ///
    /// # Errors
    /// [`InvalidToken`] for another thread or list.
    pub fn in_turns(&self, of: ThreadNumber) -> Result<Anchor, InvalidToken> {
        match self.spot {
            Spot::Turns(thread, at) if thread == of => Ok(Anchor {
                at,
                include: self.include,
            }),
            _ => Err(InvalidToken),
        }
    }

    /// The anchor, if this is a token of that thread's items.
    ///
    /// # Errors
    /// [`InvalidToken`] for another thread or list.
    pub fn in_items(&self, of: ThreadNumber) -> Result<Anchor, InvalidToken> {
        match self.spot {
            Spot::Items(thread, at) if thread == of => Ok(Anchor {
                at,
                include: self.include,
            }),
            _ => Err(InvalidToken),
        }
    }

    /// Sort key, thread and include flag, if this is a token of that list of threads.
    ///
    /// # Errors
    /// [`InvalidToken`] for another list.
    pub fn in_threads(&self, of: u8) -> Result<(i64, ThreadNumber, bool), InvalidToken> {
        match self.spot {
            Spot::Threads { list, key, thread } if list == of => Ok((key, thread, self.include)),
            _ => Err(InvalidToken),
        }
    }

    /// The text.
    #[must_use]
    pub fn to_text(&self, store: StoreId) -> String {
        let (scope, list, thread, at) = match self.spot {
            Spot::Turns(thread, at) => (1, 0, thread, at.0.to_be_bytes()),
            Spot::Items(thread, at) => (2, 0, thread, at.0.to_be_bytes()),
            Spot::Threads { list, key, thread } => (3, list, thread, key.to_be_bytes()),
        };
        let mut bytes = vec![TOKEN_VERSION, scope, list, u8::from(self.include)];
        bytes.extend_from_slice(&thread.0.to_be_bytes());
        bytes.extend_from_slice(&at);
        bytes.extend_from_slice(&token_checksum(&bytes, store));
        let digits = b"0123456789abcdef";
        let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        nibbles
            .map(|nibble| char::from(digits[usize::from(nibble)]))
            .collect()
    }

    /// Reads a text. Total: only a text that [`PageToken::to_text`] made for this store passes.
    ///
    /// # Errors
    /// [`InvalidToken`] for every other text.
    pub fn parse(text: &str, store: StoreId) -> Result<PageToken, InvalidToken> {
        let bytes = unhex(text).ok_or(InvalidToken)?;
        let (body, checksum) = bytes.split_at(TOKEN_BODY_BYTES);
        if checksum != token_checksum(body, store) {
            return Err(InvalidToken);
        }
        let word = |at: usize| {
            *body[at..]
                .first_chunk::<8>()
                .expect("the body has 20 bytes")
        };
        let thread = ThreadNumber(u64::from_be_bytes(word(4)));
        let at = Ordinal(u64::from_be_bytes(word(12)));
        let spot = match (body[0], body[1], body[2]) {
            (TOKEN_VERSION, 1, 0) => Spot::Turns(thread, at),
            (TOKEN_VERSION, 2, 0) => Spot::Items(thread, at),
            (TOKEN_VERSION, 3, list) => Spot::Threads {
                list,
                key: i64::from_be_bytes(word(12)),
                thread,
            },
            _ => return Err(InvalidToken),
        };
        match body[3] {
            include @ 0..=1 => Ok(PageToken {
                spot,
                include: include == 1,
            }),
            _ => Err(InvalidToken),
        }
    }
}

fn token_checksum(body: &[u8], store: StoreId) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&store.0);
    crc.update(body);
    crc.finalize().to_be_bytes()
}

fn unhex(text: &str) -> Option<[u8; TOKEN_BYTES]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != TOKEN_BYTES || !rest.is_empty() {
        return None;
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; TOKEN_BYTES];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}
