//! Any lines as a thread: the laws of the projection hold, whatever they say.
//!
//! Input: where to cut and whether to feed an index, then lines; a line of one or two bytes stands
//! for a record that they choose.

use turnleaf_projector::fold::{Mode, ThreadState};

use super::Bytes;
use crate::projection::{check_index, check_suffix, fold, render};
use crate::rng::Rng;
use crate::soup;

/// Runs the target.
///
/// # Panics
/// When a law is broken.
pub fn run(input: &[u8]) {
    let mut input = Bytes(input);
    let choice = input.byte();
    let mut lines = Vec::new();
    for line in input.rest().split(|byte| *byte == b'\n').take(200) {
        match line {
            [seed] => lines.push(soup::line(&mut Rng::new(u64::from(*seed)))),
            [low, high] => {
                let seed = u64::from(u16::from_le_bytes([*low, *high]));
                lines.push(soup::line(&mut Rng::new(seed)));
            }
            line => lines.push(line.to_vec()),
        }
    }
    let whole = fold(&lines, ThreadState::default());
    render(&lines, &whole.rows);
    let paginated = fold(&lines, ThreadState::forced(Mode::Paginated));
    render(&lines, &paginated.rows);
    check_suffix(&lines, lines.len() * usize::from(choice) / 256, &paginated);
    if choice.is_multiple_of(16) {
        check_index(&lines, u64::from(choice), &whole);
    }
}
