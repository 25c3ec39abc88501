//! Owns how a text or an id that is too long to be kept is made short. It must not know records.

use std::borrow::Cow;

/// Most bytes of a text that lists and descriptions show.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Most bytes of an id. A longer one is known by its beginning and a hash of all of it.
pub const ID_BYTES_MAX: usize = 1024;

/// Hexadecimal digits of the hash in a short id, and the mark before them.
const HASH_DIGITS: usize = 32;
const HASH_MARK: char = '~';

/// The beginning of `text`: at most [`TEXT_BYTES_MAX`] bytes, cut at a character.
#[must_use]
pub fn short_text(text: &str) -> &str {
    beginning(text, TEXT_BYTES_MAX)
}

/// The id as it is kept and served: itself up to [`ID_BYTES_MAX`] bytes. A longer one is its
/// beginning and 128 bits of its BLAKE3 hash, so that ids that differ stay different. A short id
/// is its own short id.
#[must_use]
pub fn short_id(id: &str) -> Cow<'_, str> {
    if id.len() <= ID_BYTES_MAX {
        return Cow::Borrowed(id);
    }
    let kept = beginning(id, ID_BYTES_MAX - HASH_DIGITS - HASH_MARK.len_utf8());
    let hash = blake3::hash(id.as_bytes()).to_hex();
    Cow::Owned(format!("{kept}{HASH_MARK}{}", &hash[..HASH_DIGITS]))
}

fn beginning(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// As [`short_text`], of a text that may be owned.
pub(crate) fn cut_text(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(short_text(text)),
        Cow::Owned(text) if text.len() > TEXT_BYTES_MAX => Cow::Owned(short_text(&text).to_owned()),
        Cow::Owned(text) => Cow::Owned(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{ID_BYTES_MAX, TEXT_BYTES_MAX, cut_text, short_id, short_text};

    #[test]
    fn a_text_is_cut_at_a_character() {
        assert_eq!(short_text("abc"), "abc");
        let long = "\u{20ac}".repeat(TEXT_BYTES_MAX);
        assert_eq!(short_text(&long).len(), TEXT_BYTES_MAX - 1);
        assert_eq!(cut_text(long.clone().into()), short_text(&long));
    }

    #[test]
    fn long_ids_that_differ_stay_different() {
        let long = |last: char| format!("{}{last}", "\u{20ac}".repeat(ID_BYTES_MAX));
        let (a, b) = (long('a'), long('b'));
        let short = short_id(&a);
        assert!(short.len() <= ID_BYTES_MAX);
        assert_ne!(short, short_id(&b));
        assert_eq!(short_id(&short), short, "a short id is its own");
        let border = "x".repeat(ID_BYTES_MAX);
        assert_eq!(short_id(&border), border);
    }
}
