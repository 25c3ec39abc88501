//! The size of an index.

use turnleaf_format::{Ordinal, ThreadChain, ThreadNumber};

use super::{Image, item, open, turn};
use crate::rows::{Rows, TurnName, TurnNo};

const THREADS: u64 = 63;
const ITEMS: u64 = 20_000;
const ITEMS_PER_TURN: u64 = 12;
const BATCH_ITEMS: u64 = 512;
/// Event bytes per item in the measured corpus: 315 MB and 88,822 items.
const EVENT_BYTES_PER_ITEM: u64 = 3546;

/// An id as upstream makes them: letters and digits for calls, hexadecimal digits for the rest.
fn item_id(nth: u64) -> String {
    let number = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    match nth % 10 {
        0..5 => format!("call_{:0>24}Q", number),
        5..8 => format!("msg_{number:050x}"),
        _ => format!("rs_{number:050x}"),
    }
}

#[test]
fn bytes_per_item() {
    let image = Image::default();
    let index = open(&image).expect("memory does not fail");
    let mut turns = 0;
    for batch_first in (0..ITEMS).step_by(usize::try_from(BATCH_ITEMS).expect("small")) {
        let mut batch = index.writer().expect("memory does not fail");
        for nth in batch_first..(batch_first + BATCH_ITEMS).min(ITEMS) {
            let (thread, place) = (nth % THREADS, nth / THREADS);
            let mut rows = batch
                .thread(ThreadNumber(thread))
                .expect("memory does not fail");
            let number = u32::try_from(place / ITEMS_PER_TURN).expect("few turns");
            let first = Ordinal(place * 3);
            if place % ITEMS_PER_TURN == 0 {
                let id = format!("0198{thread:04x}-0000-7000-8000-{number:012x}");
                let name = TurnName {
                    turn: TurnNo(number),
                    row: Some(first),
                };
                rows.put_turn_name(&id, name).expect("memory does not fail");
                rows.put_turn(first, &turn(number, &id))
                    .expect("memory does not fail");
                turns += 1;
            }
            let row = item(number, &item_id(nth), first.0);
            rows.put_item(first, &row).expect("memory does not fail");
            let end = first.plus(1);
            rows.put_watermark(end, ThreadChain(nth), &[0_u8; 64])
                .expect("a small state");
        }
        batch.commit(false).expect("memory does not fail");
    }
    let stats = index
        .db
        .begin_write()
        .expect("memory does not fail")
        .stats();
    let stats = stats.expect("memory does not fail");
    drop(index);
    let events = ITEMS * EVENT_BYTES_PER_ITEM;
    let percent = |bytes: u64| bytes as f64 * 100.0 / events as f64;
    let live = stats.stored_bytes() + stats.metadata_bytes();
    println!(
        "{ITEMS} items, {turns} turns: {} B rows per item ({:.2} % of event bytes), {} B with \
         page metadata ({:.2} %), fragmented {:.2} %, file {:.2} %",
        stats.stored_bytes() / ITEMS,
        percent(stats.stored_bytes()),
        live / ITEMS,
        percent(live),
        percent(stats.fragmented_bytes()),
        percent(image.bytes().len() as u64),
    );
    assert!(percent(live) <= 4.0, "the goal for live bytes");
}
