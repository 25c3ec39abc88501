//! Owns the reading of line timestamps; it must not know which record carries them.

/// Unix milliseconds of an RFC 3339 time, or of the file-name style `2025-01-03T12-00-00` (which
/// names no zone and is read as UTC); `None` for anything else. A leap second is the next second.
#[must_use]
pub fn timestamp_ms(text: &str) -> Option<i64> {
    utc_ms(text.as_bytes()).or_else(|| {
        let time: jiff::Timestamp = text.parse().ok()?;
        // The library reads a leap second as the one before.
        let is_leap = text.as_bytes().get(16..19) == Some(b":60");
        Some(time.as_millisecond() + if is_leap { 1000 } else { 0 })
    })
}

/// The two forms that are written: UTC with `Z` and at most nine digits of fraction, and the
/// file-name style.
fn utc_ms(text: &[u8]) -> Option<i64> {
    let (head, tail) = text.split_at_checked(19)?;
    let separator = head[13];
    if head[4] != b'-' || head[7] != b'-' || head[10] != b'T' || head[16] != separator {
        return None;
    }
    let fraction_ms = match (separator, tail) {
        (b'-', []) | (b':', [b'Z']) => 0,
        (b':', [b'.', digits @ .., b'Z']) => fraction_ms(digits)?,
        _ => return None,
    };
    let (year, month, day) = (
        number(&head[..4])?,
        number(&head[5..7])?,
        number(&head[8..10])?,
    );
    let (hour, minute, second) = (
        number(&head[11..13])?,
        number(&head[14..16])?,
        number(&head[17..])?,
    );
    let days_max = days_of_month(year, month)?;
    if day < 1 || day > days_max || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1000 + fraction_ms)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

fn fraction_ms(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let all = number(digits)?;
    let digits_len = u32::try_from(digits.len()).ok()?;
    Some(all * 1000 / 10_i64.pow(digits_len))
}

fn days_of_month(year: i64, month: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, with years that begin in March.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
