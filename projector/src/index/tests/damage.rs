//! Flipped bits in a file.

use turnleaf_format::{Ordinal, ThreadChain, ThreadNumber};

use super::{Image, Index, IndexError, open, put, request};
use crate::index::{Order, ThreadRow};
use crate::rows::{ItemRow, Rows, TurnNo, TurnRow};

const THREADS: u64 = 4;
const TURNS: u32 = 60;
const ITEMS: u64 = 6;
const FLIPS: u64 = 3000;

/// Everything that is read from a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answers {
    thread: Option<ThreadRow>,
    turns: Vec<(Ordinal, TurnRow)>,
    items: Vec<(Ordinal, ItemRow)>,
    of_turn: Vec<(Ordinal, ItemRow)>,
    by_id: Option<(Ordinal, ItemRow)>,
    turn_by_id: Option<(Ordinal, TurnRow)>,
    is_whole: bool,
}

/// Reads each answer on its own, so that one error does not hide another answer.
fn ask(index: &Index, thread: ThreadNumber) -> Result<Vec<Result<Answers, IndexError>>, IndexError> {
    let reader = index.reader()?;
    let (order, turn) = (Order::Descending, TurnNo(TURNS / 2));
    let blank = Answers {
        thread: None,
        turns: Vec::new(),
        items: Vec::new(),
        of_turn: Vec::new(),
        by_id: None,
        turn_by_id: None,
        is_whole: false,
    };
    let with = |fill: &dyn Fn(&mut Answers) -> Result<(), IndexError>| {
        let mut answers = blank.clone();
        fill(&mut answers).map(|()| answers)
    };
    Ok(vec![
        with(&|to| Ok(to.thread = reader.thread(thread)?)),
        with(&|to| Ok(to.turns = reader.turns_page(thread, &request(None, order, 20))?.rows)),
        with(&|to| {
            let ask = request(Some((300, true)), Order::Ascending, 1000);
            Ok(to.items = reader.items_page(thread, None, &ask)?.rows)
        }),
        with(&|to| Ok(to.of_turn = reader.items_of(thread, turn)?)),
        with(&|to| Ok(to.by_id = reader.item_by_id(thread, turn, "item-3")?)),
        with(&|to| Ok(to.turn_by_id = reader.turn_by_id(thread, "turn-17")?)),
        with(&|to| Ok(to.is_whole = reader.verify_thread(thread)?)),
    ])
}

fn build() -> Image {
    let image = Image::default();
    let index = open(&image).expect("memory does not fail");
    let ids: Vec<String> = (0..ITEMS).map(|item| format!("item-{item}")).collect();
    for number in 1..=TURNS {
        let mut batch = index.writer().expect("memory does not fail");
        for thread in 1..=THREADS {
            let mut rows = batch.thread(ThreadNumber(thread)).expect("memory does not fail");
            let first = u64::from(number) * 10;
            let items: Vec<(&str, u64)> =
                ids.iter().map(String::as_str).zip(first + 1..).collect();
            put(&mut rows, number, first, &items);
            let end = Ordinal(first + 10);
            rows.put_watermark(end, ThreadChain(first), &number).expect("a small state");
        }
        batch.commit(number.is_multiple_of(7)).expect("memory does not fail");
    }
    drop(index);
    image
}

/// The next of a fixed sequence of numbers.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Opens a damaged image and compares every answer; says how many were errors.
fn check(image: &Image, expect: &[Vec<Answers>], seed: u64) -> u64 {
    let Ok(index) = open(image) else { return 1 };
    let mut errors = 0;
    for (thread, expect) in (1..=THREADS).map(ThreadNumber).zip(expect) {
        let Ok(answers) = ask(&index, thread) else {
            errors += 1;
            continue;
        };
        for (answer, expect) in answers.iter().zip(expect) {
            match answer {
                Ok(answer) => assert_eq!(answer, expect, "seed {seed}"),
                Err(_) => errors += 1,
            }
        }
    }
    // Writing to a damaged file may fail, and does not panic.
    let write = || -> Result<(), IndexError> {
        let mut batch = index.writer()?;
        let mut rows = batch.thread(ThreadNumber(1))?;
        for key in rows.newest_turns(2)? {
            rows.remove_turn(key)?;
        }
        batch.remove_thread(ThreadNumber(2));
        batch.commit(true)
    };
    errors + u64::from(write().is_err())
}

fn answers(image: &Image) -> Vec<Vec<Answers>> {
    let index = open(&Image::of(&image.bytes())).expect("the file is whole");
    let all = (1..=THREADS).map(|thread| ask(&index, ThreadNumber(thread)));
    all.map(|answers| {
        let answers = answers.expect("the file is whole").into_iter();
        answers.map(|answer| answer.expect("the file is whole")).collect()
    })
    .collect()
}

#[test]
fn a_flipped_bit_is_found_or_harmless() {
    let image = build();
    let expect = answers(&image);
    assert!(expect.iter().all(|answers| answers[6].is_whole && !answers[2].items.is_empty()));
    let bytes = image.bytes();
    // Flips in blocks that were never written say nothing.
    let used: Vec<usize> =
        (0..bytes.len()).step_by(4096).filter(|at| bytes[*at..at + 4096] != [0; 4096]).collect();
    let (mut noticed, mut state) = (0, 2026);
    for _ in 0..FLIPS {
        let seed = state;
        let block = used[usize::try_from(random(&mut state)).unwrap_or(0) % used.len()];
        let bit = usize::try_from(random(&mut state) % (4096 * 8)).expect("a bit of a block");
        let mut flipped = bytes.clone();
        flipped[block + bit / 8] ^= 1 << (bit % 8);
        noticed += u64::from(check(&Image::of(&flipped), &expect, seed) > 0);
    }
    println!(
        "seed 2026: {FLIPS} flips in {} used blocks of {}: {noticed} noticed, none wrong",
        used.len(),
        bytes.len() / 4096
    );
    assert!(noticed > FLIPS / 4, "the test does reach the rows: {noticed}");
}

#[test]
fn a_lost_or_exchanged_block_is_found_or_harmless() {
    let image = build();
    let expect = answers(&image);
    let bytes = image.bytes();
    let blocks = bytes.len() / 4096;
    let used: Vec<usize> =
        (2..blocks).filter(|at| bytes[at * 4096..][..4096] != [0; 4096]).collect();
    for (nth, block) in used.iter().enumerate() {
        let other = used[(nth + 1) % used.len()];
        let mut exchanged = bytes.clone();
        exchanged.copy_within(other * 4096..(other + 1) * 4096, block * 4096);
        check(&Image::of(&exchanged), &expect, *block as u64);
        let mut lost = bytes.clone();
        lost[block * 4096..][..4096].fill(0);
        check(&Image::of(&lost), &expect, *block as u64);
    }
}

#[test]
fn a_cut_file_is_found() {
    let image = build();
    let bytes = image.bytes();
    for end in (1..bytes.len()).step_by(bytes.len() / 40) {
        let expect = answers(&image);
        check(&Image::of(&bytes[..end]), &expect, end as u64);
    }
}
