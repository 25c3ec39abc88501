//! Owns where the few values stand in a line that change when it moves to another file. It looks at
//! the first bytes of the line alone and must not know what the line means.

use std::ops::Range;

use super::json::syntax::{Syntax, Token};

/// Where values stand in a line, in bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Behind the brace that opens it; `None` of a line that is no object.
    pub open: Option<usize>,
    /// The value of `ordinal`, where that is a number.
    pub ordinal: Option<Range<usize>>,
    /// The text of `type`, without its quotes.
    pub kind: Option<Range<usize>>,
    /// The text of `thread_id` in `payload`, without its quotes.
    pub thread: Option<Range<usize>>,
}

/// Finds them in the first bytes of a line, or in all of them, as far as those are JSON. A key that
/// is there twice counts as it stands last.
#[must_use]
pub fn places(bytes: &[u8]) -> Places {
    let (mut syntax, mut found) = (Syntax::default(), Places::default());
    let (mut key, mut is_payload, mut at) = (0..0, false, 0);
    while let Some((token, len)) = syntax.next_token(&bytes[at..]) {
        let range = at..at + len;
        at = range.end;
        let inner = range.start + 1..range.end.saturating_sub(1);
        match (token, syntax.depth()) {
            (Token::Open, 1) if bytes[range.start] == b'{' => found.open = Some(range.end),
            (Token::Open, 2) => is_payload = &bytes[key.clone()] == b"payload",
            (Token::Close, 1) => is_payload = false,
            (Token::Key { ends: true, .. }, _) => key = inner,
            (Token::Scalar { ends: true, .. }, depth) => {
                let is_text = bytes.get(range.start) == Some(&b'"');
                match (depth, &bytes[key.clone()]) {
                    (1, b"ordinal") if !is_text => found.ordinal = Some(range),
                    (1, b"type") if is_text => found.kind = Some(inner),
                    (2, b"thread_id") if is_text && is_payload => found.thread = Some(inner),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    // What is no number is no ordinal.
    let is_number = |place: &Range<usize>| bytes[place.start].is_ascii_digit();
    found.ordinal = found.ordinal.filter(is_number);
    found
}

#[cfg(test)]
mod tests;
