//! Line timestamps in all the forms that occur.

use crate::payload::json::time::timestamp_ms;

#[test]
fn the_written_forms_are_read() {
    for (text, expected) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2026-07-09T10:00:00.250Z", Some(1_783_591_200_250)),
        ("2026-07-09T10:00:00.2509Z", Some(1_783_591_200_250)),
        ("2026-07-09T12:00:00.5+02:00", Some(1_783_591_200_500)),
        ("2026-07-09T10-00-00", Some(1_783_591_200_000)),
        ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
        ("2023-02-29T00:00:00Z", None),
        ("1969-12-31T23:59:59.999Z", Some(-1)),
        // A leap second is the next second.
        ("2016-12-31T23:59:60Z", Some(1_483_228_800_000)),
        ("2016-12-31T23:59:60.500Z", Some(1_483_228_800_500)),
        ("2017-01-01T00:59:60.25+01:00", Some(1_483_228_800_250)),
        ("2016-12-31T23-59-60", Some(1_483_228_800_000)),
        ("2016-12-31T23:59:61Z", None),
        ("2026-07-09", None),
        ("", None),
        ("now", None),
    ] {
        assert_eq!(timestamp_ms(text), expected, "{text}");
    }
}

#[test]
fn the_fast_form_agrees_with_the_library() {
    for days in (-200_000..200_000_i64).step_by(97) {
        let expected = days * 86_400_000 + 45_296_789;
        let time = jiff::Timestamp::from_millisecond(expected).expect("in range");
        assert_eq!(timestamp_ms(&time.to_string()), Some(expected), "{time}");
    }
}
