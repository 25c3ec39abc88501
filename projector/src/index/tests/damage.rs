//! Flipped bits in a file.

use turnleaf_format::{Ordinal, ThreadChain, ThreadNumber};

use super::{Image, Index, IndexError, item, open, put, random, request, turn};
use crate::codec::VALUE_BYTES_MAX;
use crate::index::tables;
use crate::index::{Damage, Order, ThreadRow, ThreadRows, keys};
use crate::rows::{ItemRow, Rows, TurnName, TurnNo, TurnRow};
use redb::ReadableTable;

const THREADS: u64 = 4;
const TURNS: u32 = 60;
const ITEMS: u64 = 6;
const FLIPS: u64 = 3000;
/// Bytes that redb uses of its header block.
const HEADER_BYTES: usize = 320;

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
fn ask(
    index: &Index,
    thread: ThreadNumber,
) -> Result<Vec<Result<Answers, IndexError>>, IndexError> {
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
    let page = request(Some((300, true)), Order::Ascending, 1000);
    Ok(vec![
        with(&|to| reader.thread(thread).map(|row| to.thread = row)),
        with(&|to| {
            let page = reader.turns_page(thread, &request(None, order, 20));
            page.map(|page| to.turns = page.rows)
        }),
        with(&|to| {
            reader
                .items_page(thread, None, &page)
                .map(|page| to.items = page.rows)
        }),
        with(&|to| reader.items_of(thread, turn).map(|rows| to.of_turn = rows)),
        with(&|to| {
            reader
                .item_by_id(thread, turn, "item-3")
                .map(|row| to.by_id = row)
        }),
        with(&|to| {
            reader
                .turn_by_id(thread, "turn-17")
                .map(|row| to.turn_by_id = row)
        }),
        with(&|to| {
            reader
                .verify_thread(thread)
                .map(|is_whole| to.is_whole = is_whole)
        }),
    ])
}

fn build() -> Image {
    let image = Image::default();
    let index = open(&image).expect("memory does not fail");
    let ids: Vec<String> = (0..ITEMS).map(|item| format!("item-{item}")).collect();
    for number in 1..=TURNS {
        let mut batch = index.writer().expect("memory does not fail");
        for thread in 1..=THREADS {
            let mut rows = batch
                .thread(ThreadNumber(thread))
                .expect("memory does not fail");
            let first = u64::from(number) * 10;
            let items: Vec<(&str, u64)> = ids.iter().map(String::as_str).zip(first + 1..).collect();
            put(&mut rows, number, first, &items);
            let end = Ordinal(first + 10);
            rows.put_watermark(end, ThreadChain(first), &number)
                .expect("a small state");
        }
        batch
            .commit(number.is_multiple_of(7))
            .expect("memory does not fail");
    }
    drop(index);
    image
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

/// Whether the index is an earlier state, with nothing missing in it.
fn is_older(index: &Index, expect: &[Vec<Answers>]) -> bool {
    let reader = index.reader().expect("the header leads to a commit");
    (1..=THREADS)
        .map(ThreadNumber)
        .zip(expect)
        .all(|(thread, expect)| {
            let row = reader.thread(thread).ok().flatten();
            let end = |row: &Option<ThreadRow>| row.as_ref().map(|row| row.applied_end);
            end(&row) < end(&expect[0].thread)
                && reader.verify_thread(thread).is_ok_and(|whole| whole)
        })
}

fn answers(image: &Image) -> Vec<Vec<Answers>> {
    let index = open(&Image::of(&image.bytes())).expect("the file is whole");
    let all = (1..=THREADS).map(|thread| ask(&index, ThreadNumber(thread)));
    all.map(|answers| {
        let answers = answers.expect("the file is whole").into_iter();
        answers
            .map(|answer| answer.expect("the file is whole"))
            .collect()
    })
    .collect()
}

#[test]
fn a_flipped_bit_is_found_or_harmless() {
    let image = build();
    let expect = answers(&image);
    assert!(
        expect
            .iter()
            .all(|answers| answers[6].is_whole && !answers[2].items.is_empty())
    );
    let bytes = image.bytes();
    // Flips in blocks that were never written say nothing.
    let used: Vec<usize> = (0..bytes.len())
        .step_by(4096)
        .filter(|at| bytes[*at..at + 4096] != [0; 4096])
        .collect();
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
    assert!(
        noticed > FLIPS / 4,
        "the test does reach the rows: {noticed}"
    );
}

#[test]
fn a_flipped_bit_of_the_header_is_found_or_harmless() {
    // The header is the one block without a checksum of ours: every bit of it is tried.
    let image = build();
    let expect = answers(&image);
    let bytes = image.bytes();
    let (mut noticed, mut older) = (0, 0);
    for bit in 0..HEADER_BYTES * 8 {
        let mut flipped = bytes.clone();
        flipped[4096 + bit / 8] ^= 1 << (bit % 8);
        // A bit says which of two commits is the newest: the one before is whole, too.
        let flipped = Image::of(&flipped);
        let is_older = open(&flipped).is_ok_and(|index| is_older(&index, &expect));
        if is_older {
            older += 1;
        } else {
            noticed += u64::from(check(&flipped, &expect, bit as u64) > 0);
        }
    }
    println!("{older} flips lead to the commit before");
    println!(
        "{} flips of the header: {noticed} noticed, none wrong",
        HEADER_BYTES * 8
    );
}

#[test]
fn a_lost_or_exchanged_block_is_found_or_harmless() {
    let image = build();
    let expect = answers(&image);
    let bytes = image.bytes();
    let blocks = bytes.len() / 4096;
    let used: Vec<usize> = (2..blocks)
        .filter(|at| bytes[at * 4096..][..4096] != [0; 4096])
        .collect();
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

type TurnTable<'t> = redb::Table<'t, &'static [u8; 16], &'static [u8]>;

/// A row that stands, whole, where it does not belong, or does not stand where it does: no block of
/// the file tells.
#[test]
fn an_exchanged_or_lost_row_is_found() {
    let image = build();
    let change = |act: &dyn Fn(&mut TurnTable<'_>)| {
        let index = open(&Image::of(&image.bytes())).expect("the file is whole");
        let txn = index.db.begin_write().expect("memory does not fail");
        act(&mut txn
            .open_table(tables::TURNS.definition)
            .expect("it is there"));
        txn.commit().expect("memory does not fail");
        index
    };
    let (one, other) = (keys::row(1, Ordinal(10)), keys::row(1, Ordinal(20)));
    let exchanged = change(&|turns| {
        let value = turns.get(&one).expect("memory does not fail");
        let value = value.expect("the row is there").value().to_vec();
        turns
            .insert(&other, value.as_slice())
            .expect("there is room");
    });
    let reader = exchanged.reader().expect("memory does not fail");
    let read = reader.turn(ThreadNumber(1), Ordinal(20));
    assert!(matches!(
        read,
        Err(IndexError::Damaged {
            damage: Damage::Checksum,
            ..
        })
    ));
    let lost = change(&|turns| drop(turns.remove(&one).expect("memory does not fail")));
    let reader = lost.reader().expect("memory does not fail");
    assert!(reader.check_thread(ThreadNumber(2)).is_ok());
    let found = reader.check_thread(ThreadNumber(1));
    assert!(matches!(
        found,
        Err(IndexError::Damaged {
            damage: Damage::Digest,
            ..
        })
    ));
}

/// What is wrong with the file is said by whoever notices it: a checksum of a block, or redb.
#[test]
fn a_bad_block_is_told_from_a_file_of_something_else() {
    let image = build();
    let found = |offset: usize| {
        let mut bytes = image.bytes();
        bytes[offset] ^= 0x10;
        let opened = open(&Image::of(&bytes)).and_then(|index| {
            let all = (1..=THREADS).map(|thread| ask(&index, ThreadNumber(thread)));
            all.flatten().flatten().collect::<Result<Vec<_>, _>>()
        });
        match opened {
            Err(IndexError::Damaged { damage, .. }) => damage,
            other => panic!("{:?}", other.map(drop)),
        }
    };
    // The magic number of redb, in the one block without a checksum of ours.
    assert!(matches!(found(4096), Damage::Engine(_)));
    assert!(matches!(found(2 * 4096), Damage::Block));
}

/// A row that does not fit is refused when it comes, and what came before it stays.
#[test]
fn a_row_that_is_too_large_is_refused_at_once() {
    let long = || "x".repeat(VALUE_BYTES_MAX);
    type Put<'p> = &'p dyn Fn(&mut ThreadRows<'_>) -> Result<(), IndexError>;
    let check = |what: &str, put_it: Put<'_>| {
        let index = open(&Image::default()).expect("memory does not fail");
        let mut batch = index.writer().expect("memory does not fail");
        let mut rows = batch.thread(ThreadNumber(1)).expect("memory does not fail");
        put(&mut rows, 1, 10, &[("item", 11)]);
        let refused = put_it(&mut rows);
        let is_refused = matches!(refused, Err(IndexError::RowTooLarge { .. }));
        assert!(is_refused, "{what}: {refused:?}");
    };
    check("a turn's root", &|rows| {
        let root = Some(long());
        rows.put_turn(
            Ordinal(10),
            &TurnRow {
                root,
                ..turn(1, "turn-1")
            },
        )
    });
    check("a turn's id", &|rows| {
        rows.put_turn(Ordinal(10), &turn(1, &long()))
    });
    check("an item's id", &|rows| {
        rows.put_item(Ordinal(11), &item(1, &long(), 11))
    });
    check("an item's sources", &|rows| {
        let sources = vec![Ordinal(u64::MAX); VALUE_BYTES_MAX / 8];
        rows.put_item(
            Ordinal(11),
            &ItemRow {
                sources,
                ..item(1, "item", 11)
            },
        )
    });
    check("a call", &|rows| {
        rows.put_call(Ordinal(12), &item(1, &long(), 12))
    });
    check("a name", &|rows| {
        let name = TurnName {
            turn: TurnNo(2),
            row: None,
        };
        rows.put_turn_name(&long(), name)
    });
    check("a state", &|rows| {
        rows.put_watermark(Ordinal(20), ThreadChain(1), &long())
    });
}
