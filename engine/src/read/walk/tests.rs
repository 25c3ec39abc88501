//! How much is read, and inflated, at once.

use turnleaf_format::Ordinal;

use super::*;

/// Blocks of one long line of the same letter: a few stored bytes are a megabyte each.
#[test]
fn blocks_that_shrank_far_are_not_inflated_all_at_once() {
    let block = |at: u64| BlockRow {
        offset: at * 200,
        first_ordinal: Ordinal(0),
        stored_len: 100,
        raw_len: 1 << 20,
        entry_count: 1,
        continues: at > 0,
    };
    let blocks: Vec<BlockRow> = (0..100).map(block).collect();
    for direction in [Direction::Forward, Direction::Backward] {
        let group = take_group(&blocks, &(0..100), direction);
        assert!((1..=4).contains(&group.len()), "{direction:?}: {group:?}");
    }
}
