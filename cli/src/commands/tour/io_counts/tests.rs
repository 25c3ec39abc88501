//! The counts are those that the system names.

use super::IoCounts;

#[test]
fn the_counts_of_calls_are_taken_not_those_of_the_device() {
    let text = "rchar: 12\nwchar: 34\nsyscr: 5\nsyscw: 6\nread_bytes: 7\nwrite_bytes: 8\n";
    let parsed = IoCounts::parse(text);
    let expected = IoCounts {
        read: 12,
        written: 34,
    };
    assert_eq!(parsed, Some(expected));
    assert_eq!(IoCounts::parse("rchar: 12\n"), None);
}
