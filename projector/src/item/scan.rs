//! Owns the checks that hold for a whole JSON text, declared fields or not: nesting, numbers and
//! surrogates. It must not know what the text means.
//!
//! The typed pass skips large and unknown values without decoding them; this pass makes sure that
//! they decode when they are rendered, and that such a line is rejected here as elsewhere.

use memchr::memchr2;

use super::Rejected;

/// Objects and arrays that may be open at once, counted from the line's own object.
const DEPTH_MAX: usize = 127;
/// No finite double needs this many digits; shorter integers never overflow.
const SHORT_NUMBER: usize = 300;

/// Checks a valid JSON text that lies `depth` objects deep in its line.
pub(crate) fn check(text: &str, depth: usize) -> Result<(), Rejected> {
    let bytes = text.as_bytes();
    let mut depth = depth;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b'"' => string_end(bytes, at + 1)?,
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
fn string_end(bytes: &[u8], mut at: usize) -> Result<usize, Rejected> {
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(found) = memchr2(b'"', b'\\', rest) else {
            return Err(Rejected("unterminated string"));
        };
        at += found;
        if bytes[at] == b'"' {
            return Ok(at + 1);
        }
        at = match unicode_escape(bytes, at) {
            None => at + 2,
            Some(0xD800..=0xDBFF) => match unicode_escape(bytes, at + 6) {
                Some(0xDC00..=0xDFFF) => at + 12,
                _ => return Err(Rejected("lone surrogate")),
            },
            Some(0xDC00..=0xDFFF) => return Err(Rejected("lone surrogate")),
            Some(_) => at + 6,
        };
    }
}

fn unicode_escape(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    if !escape.starts_with(b"\\u") {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(&escape[2..]).ok()?, 16).ok()
}

fn number_end(text: &str, start: usize) -> Result<usize, Rejected> {
    let bytes = &text.as_bytes()[start..];
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let length = bytes.iter().position(|byte| !is_part(byte)).unwrap_or(bytes.len());
    let has_exponent = bytes[..length].iter().any(|byte| matches!(byte, b'e' | b'E'));
    if has_exponent || length > SHORT_NUMBER {
        let number = text[start..start + length].parse::<f64>();
        if !number.is_ok_and(f64::is_finite) {
            return Err(Rejected("number out of range"));
        }
    }
    Ok(start + length)
}
