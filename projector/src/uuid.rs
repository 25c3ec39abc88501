//! Owns the one reading of UUIDs. It must not know whose ids they are.

const HYPHENS: [usize; 4] = [8, 13, 18, 23];
const UUID_CHARS: usize = 36;

/// The bytes of a UUID in its usual form, with hyphens, in either case.
#[must_use]
pub fn uuid(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; UUID_CHARS] = text.as_bytes().try_into().ok()?;
    let mut digits = [0; 32];
    let mut next = digits.iter_mut();
    for (place, char) in text.iter().enumerate() {
        if HYPHENS.contains(&place) {
            (*char == b'-').then_some(())?;
        } else {
            *next.next()? = *char;
        }
    }
    of_digits(&digits)
}

/// Whether a text is a UUID in its usual form, in lower case.
#[must_use]
pub fn is_usual(text: &str) -> bool {
    uuid(text).is_some() && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// The bytes of 32 hexadecimal digits, in either case.
pub(crate) fn of_digits(digits: &[u8; 32]) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    for (to, [high, low]) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *to = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// A UUID in its usual form: lower case, with hyphens.
#[must_use]
pub fn uuid_text(bytes: [u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut id = String::with_capacity(UUID_CHARS);
    for byte in bytes {
        if HYPHENS.contains(&id.len()) {
            id.push('-');
        }
        id.push(DIGITS[usize::from(byte >> 4)].into());
        id.push(DIGITS[usize::from(byte & 15)].into());
    }
    id
}

#[cfg(test)]
mod tests;
