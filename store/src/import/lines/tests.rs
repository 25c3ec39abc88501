//! Lines around the length up to which they are held.

use super::*;

const MAX: usize = LINE_BYTES_MAX;

/// What the bytes are cut into.
fn expected(bytes: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (line, line_feed) = match line.strip_suffix(b"\n") {
            Some(line) => (line, true),
            None => (line, false),
        };
        let mut rest = line;
        while rest.len() > MAX {
            let (piece, behind) = rest.split_at(MAX);
            let (bytes, more) = (piece.to_vec(), true);
            let line_feed = false;
            pieces.push(Piece {
                bytes,
                more,
                line_feed,
            });
            rest = behind;
        }
        let (bytes, more) = (rest.to_vec(), false);
        pieces.push(Piece {
            bytes,
            more,
            line_feed,
        });
    }
    pieces
}

fn check(lengths: &[usize], ends_with_line_feed: bool) {
    let lines: Vec<Vec<u8>> = lengths.iter().map(|length| vec![b'x'; *length]).collect();
    let mut bytes = lines.join(&b'\n');
    if ends_with_line_feed {
        bytes.push(b'\n');
    }
    let mut source = bytes.as_slice();
    let mut lines = Lines::new(&mut source);
    for (number, expect) in expected(&bytes).into_iter().enumerate() {
        let found = lines.next_line().unwrap().unwrap();
        let what = |piece: &Piece| (piece.bytes.len(), piece.more, piece.line_feed);
        assert_eq!(what(&found), what(&expect), "{lengths:?}, piece {number}");
        assert!(found == expect, "{lengths:?}, piece {number}");
    }
    assert_eq!(lines.next_line().unwrap(), None, "{lengths:?}");
    assert_eq!(lines.at(), bytes.len() as u64, "{lengths:?}");
}

#[test]
fn lines_of_any_length_come_whole_or_in_pieces() {
    // The second one begins within what was read at once.
    for before in [&[][..], &[1]] {
        for length in [0, 1, MAX - 1, MAX, MAX + 1, 2 * MAX, 2 * MAX + 1] {
            let lengths = [before, &[length, 1]].concat();
            check(&lengths, true);
            check(&lengths[..lengths.len() - 1], false);
        }
    }
}
