//! The comparison of an export notices every difference.

use std::io::Write;

use super::Compared;

fn is_same(file: &[u8], written: &[&[u8]]) -> bool {
    let mut compared = Compared {
        with: file,
        buffer: Vec::new(),
        is_same: true,
    };
    for part in written {
        compared.write_all(part).unwrap();
    }
    compared.ends_the_same().unwrap()
}

#[test]
fn only_the_same_bytes_are_called_identical() {
    assert!(is_same(b"abcdef", &[b"abc", b"", b"def"]));
    assert!(!is_same(b"abcdef", &[b"abc", b"dex"]));
    assert!(!is_same(b"abcdef", &[b"xbc", b"def"]));
    assert!(!is_same(b"abcdef", &[b"abc"]));
    assert!(!is_same(b"abc", &[b"abc", b"def"]));
}
