//! The made thread is what the tour promises: of the size that was asked for, the same each time.

use serde_json::Value;

use super::{Made, THREAD, write};

fn made(size: u64) -> (Made, Vec<u8>) {
    let mut bytes = Vec::new();
    let made = write(size, &mut bytes, &mut |_| {}).unwrap();
    assert_eq!(made.bytes, bytes.len() as u64);
    (made, bytes)
}

#[test]
fn the_same_size_gives_the_same_bytes_and_a_larger_one_goes_on() {
    let (small, bytes) = made(100_000);
    assert_eq!(made(100_000), (small, bytes.clone()));
    let (large, longer) = made(3_000_000);
    assert!(longer.starts_with(&bytes));
    assert!(large.bytes >= 3_000_000 && large.bytes < 6_000_000);
    assert!(large.compactions >= 3, "{large:?}");
    assert_eq!(made(0).0.turns, 1);
}

#[test]
fn every_line_is_a_record_with_its_ordinal() {
    let (made, bytes) = made(1_000_000);
    let text = String::from_utf8(bytes).unwrap();
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len() as u64, made.records);
    assert_eq!(records[0]["payload"]["id"], THREAD);
    for (at, record) in records.iter().enumerate() {
        assert_eq!(record["ordinal"], at as u64);
        assert!(record["payload"].is_object());
    }
    let count = |kind: &str| records.iter().filter(|line| line["type"] == kind).count() as u64;
    assert_eq!(count("compacted"), made.compactions);
    assert_eq!(count("turn_context"), made.turns);
}
