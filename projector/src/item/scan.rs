//! Owns the checks that make sure that a skipped value decodes when it is rendered: surrogates,
//! nesting, numbers. It must not know what the text means.
//!
//! The typed pass skips large values without decoding them. A reader that decodes everything
//! rejects a line for what is wrong inside of them, so that these checks must find it here.

use memchr::{memchr2, memmem};

use super::Rejected;

/// Objects and arrays that may be open at once, counted from the line's own object.
const DEPTH_MAX: usize = 127;
/// Objects around a value that is not looked into: line, payload, and item or invocation.
const VALUE_DEPTH: usize = 3;
/// No finite double needs this many digits; shorter integers never overflow.
const SHORT_NUMBER: usize = 300;

/// Rejects a JSON text in which a string escapes half of a surrogate pair.
pub(super) fn check_strings(text: &str) -> Result<(), Rejected> {
    let bytes = text.as_bytes();
    // Nearly all escapes are control characters; only surrogates begin like this.
    let is_clean = |escape: &[u8]| memmem::find(bytes, escape).is_none();
    if is_clean(b"\\ud") && is_clean(b"\\uD") {
        return Ok(());
    }
    let mut end = 0;
    for at in memmem::find_iter(bytes, b"\\u") {
        // Inside of a pair that is known to be whole, or a backslash that is itself escaped.
        let slashes = bytes[..at]
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\')
            .count();
        if at < end || slashes % 2 == 1 {
            continue;
        }
        match unicode_escape(bytes, at) {
            Some(0xD800..=0xDBFF) => match unicode_escape(bytes, at + 6) {
                Some(0xDC00..=0xDFFF) => end = at + 12,
                _ => return Err(Rejected("half of a surrogate pair")),
            },
            Some(0xDC00..=0xDFFF) => return Err(Rejected("half of a surrogate pair")),
            _ => {}
        }
    }
    Ok(())
}

fn unicode_escape(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    if !escape.starts_with(b"\\u") {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(&escape[2..]).ok()?, 16).ok()
}

/// Checks nesting and numbers of a JSON value that is not looked into.
pub(super) fn check_value(text: &str) -> Result<(), Rejected> {
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
