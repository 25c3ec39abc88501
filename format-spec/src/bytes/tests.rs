use proptest::prelude::*;

use super::*;
use crate::testing::problem;

fn text_of(bytes: &[u8]) -> Result<&str, DecodeError> {
    let mut source = Source::new("text", bytes);
    let text = source.text()?;
    source.finish()?;
    Ok(text)
}

#[test]
fn a_text_comes_back() {
    for text in ["", "a", "a\u{e9}\u{1f33f}\0b"] {
        let mut out = Vec::new();
        put_text(&mut out, text);
        assert_eq!(text_of(&out), Ok(text));
    }
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    let mut out = Vec::new();
    put_text(&mut out, &"\u{1f33f}".repeat(20_000));
    assert_eq!(text_of(&out).map(str::len), Ok(65_532));
}

#[test]
fn a_text_that_is_not_utf8_is_refused() {
    assert_eq!(problem(text_of(&[2, 0, 0xc3, 0x28])), Some(Problem::Text));
}

#[test]
fn a_text_that_ends_early_is_refused() {
    for cut in 0..5 {
        assert_eq!(
            problem(text_of(&[3, 0, b'a', b'b', b'c'][..cut])),
            Some(Problem::Short)
        );
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    assert_eq!(problem(text_of(&[1, 0, b'a', 0])), Some(Problem::Trailing));
}

#[test]
fn the_checksum_is_the_ieee_one() {
    assert_eq!(crc(&[b"123456789"]), 0xcbf4_3926);
    assert_eq!(crc(&[b"1234", b"", b"56789"]), 0xcbf4_3926);
    assert_eq!(crc(&[]), 0);
}

#[test]
fn an_error_says_what_where_and_why() {
    let error = DecodeError {
        what: "frame",
        at: 92,
        problem: Problem::HeaderChecksum,
    };
    assert_eq!(
        error.to_string(),
        "frame has a header checksum that does not match (byte 92)"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_a_text_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(text) = text_of(&bytes) {
            let mut out = Vec::new();
            put_text(&mut out, text);
            prop_assert_eq!(out, bytes);
        }
    }
}
