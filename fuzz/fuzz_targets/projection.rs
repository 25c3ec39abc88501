//! Any lines as a thread: the laws of the projection hold, whatever they say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turnleaf_projector::fold::{Mode, ThreadState};
use turnleaf_tests::projection::{check_index, check_suffix, fold, render};
use turnleaf_tests::rng::Rng;
use turnleaf_tests::soup;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, input)) = input.split_first() else { return };
    // Lines of the input, and between them records that a byte chooses.
    let mut lines = Vec::new();
    for line in input.split(|byte| *byte == b'\n').take(200) {
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
    if choice % 16 == 0 {
        check_index(&lines, u64::from(choice), &whole);
    }
});
