//! Owns the checks that make sure that a skipped value decodes when it is rendered: surrogates,
//! nesting, numbers. It must not know what the text means.
//!
//! The typed pass skips large values without decoding them. A reader that decodes everything
//! rejects a line for what is wrong inside of them, so that these checks must find it here.

use std::sync::LazyLock;

use memchr::memchr2;
use memchr::memmem::Finder;

use crate::payload::Rejected;

/// Objects and arrays that may be open at once, counted from the line's own object.
const DEPTH_MAX: usize = 127;
/// Objects around a value that is not looked into: line, payload, and item or invocation.
const VALUE_DEPTH: usize = 3;
/// No finite double needs this many digits; shorter integers never overflow.
const SHORT_NUMBER: usize = 300;

/// Rejects a JSON text in which a string escapes half of a surrogate pair.
pub(crate) fn check_strings(text: &str) -> Result<(), Rejected> {
    if has_lone_surrogate(text) {
        return Err(Rejected("half of a surrogate pair"));
    }
    Ok(())
}

/// Whether a string of the line escapes half of a surrogate pair, which no text can hold.
///
/// Skipping a value does not look into its escapes, so this is asked of the line once.
pub(crate) fn has_lone_surrogate(line: &str) -> bool {
    static LOWER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\ud"));
    static UPPER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\uD"));
    let bytes = line.as_bytes();
    let suspect = LOWER.find(bytes).is_some() || UPPER.find(bytes).is_some();
    suspect && walk_escapes(bytes)
}

fn walk_escapes(bytes: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        let escape = at + found;
        match unit(bytes, escape) {
            Some(0xd800..=0xdbff) => match unit(bytes, escape + 6) {
                Some(0xdc00..=0xdfff) => at = escape + 12,
                _ => return true,
            },
            Some(0xdc00..=0xdfff) => return true,
            Some(_) => at = escape + 6,
            None => at = (escape + 2).min(bytes.len()),
        }
    }
    false
}

/// The UTF-16 unit of the escape `\uXXXX` that begins at `at`.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()
}

/// Checks nesting and numbers of a JSON value that is not looked into.
pub(crate) fn check_value(text: &str) -> Result<(), Rejected> {
    let bytes = text.as_bytes();
    let mut depth = VALUE_DEPTH;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b'"' => string_end(bytes, at + 1),
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(Rejected("nested too deeply"));
                }
                at + 1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            b'-' | b'0'..=b'9' => number_end(text, at)?,
            _ => at + 1,
        };
    }
    Ok(())
}

/// Index after the closing quote of the string whose content begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(found) = memchr2(b'"', b'\\', rest) else {
            return bytes.len();
        };
        if rest[found] == b'"' {
            return at + found + 1;
        }
        at += found + 2;
    }
}

fn number_end(text: &str, start: usize) -> Result<usize, Rejected> {
    let bytes = &text.as_bytes()[start..];
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let length = bytes
        .iter()
        .position(|byte| !is_part(byte))
        .unwrap_or(bytes.len());
    let has_exponent = bytes[..length]
        .iter()
        .any(|byte| matches!(byte, b'e' | b'E'));
    if has_exponent || length > SHORT_NUMBER {
        let number = text[start..start + length].parse::<f64>();
        if !number.is_ok_and(f64::is_finite) {
            return Err(Rejected("number out of range"));
        }
    }
    Ok(start + length)
}
