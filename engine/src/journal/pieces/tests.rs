use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::{PIECE_BYTES, read_pieces};
use crate::disk::tests::hooked::hooked;
use crate::disk::{Access, OsDisk};

/// What is read of a file whose device fails in some places, and where it says that it failed.
fn check(len: u64, (start, end): (u64, u64), bad: &[(u64, u64)], failed: &[Range<u64>]) {
    let home = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8 + 1).collect();
    std::fs::write(home.path().join("file"), &bytes).unwrap();
    let places = bad.to_vec();
    let disk = hooked(Arc::new(OsDisk::new(home.path())), move |call, _| {
        let hit = |bad: &(u64, u64)| call.offset < bad.1 && bad.0 < call.offset + call.len;
        if call.name == "read" && places.iter().any(hit) {
            return Err(io::ErrorKind::Other.into());
        }
        Ok(())
    });
    let file = disk.open("file", Access::Read).unwrap();
    let pieces = read_pieces(&*file, "file", start, end).unwrap();
    let reach = end.min(len);
    assert_eq!(pieces.bytes.len() as u64, reach - start, "{start}..{end}");
    for at in start..reach {
        let is_bad = failed.iter().any(|failed| failed.contains(&at));
        let index = |at: u64| usize::try_from(at).unwrap();
        let expect = if is_bad { 0 } else { bytes[index(at)] };
        assert_eq!(pieces.bytes[index(at - start)], expect, "byte {at}");
        assert_eq!(pieces.failed_in(at, at + 1).is_some(), is_bad, "byte {at}");
    }
    let first = pieces.first_failure().map(|(at, _)| at);
    assert_eq!(first, failed.first().map(|failed| failed.start));
}

/// [R:unreadable]
#[test]
fn all_is_read_but_the_pieces_that_the_device_refuses() {
    let len = 3 * PIECE_BYTES + 100;
    check(len, (0, len), &[], &[]);
    check(len, (96, len + 5), &[], &[]);
    let piece = |number: u64, from: u64| number * PIECE_BYTES + from..;
    let pieces = |from: u64, numbers: Range<u64>| {
        let begin = piece(numbers.start, from).start;
        begin..piece(numbers.end, from).start
    };
    check(len, (0, len), &[(5000, 5001)], &[pieces(0, 1..2)]);
    check(len, (96, len), &[(5000, 5001)], &[pieces(96, 1..2)]);
    check(len, (96, len), &[(4000, 4300)], &[pieces(96, 0..2)]);
    let last = 3 * PIECE_BYTES + 96..len;
    check(
        len,
        (96, len),
        &[(0, 200), (len - 1, len)],
        &[pieces(96, 0..1), last],
    );
}
