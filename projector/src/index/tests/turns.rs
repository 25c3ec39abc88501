//! Turns with many items, and items of two turns among each other.

use turnleaf_format::Ordinal;

use super::{T1, index, item, put, reader, request};
use crate::index::Order;
use crate::rows::{ItemKind, Landmarks, Phase, Rows, TurnNo};

const ITEMS: u64 = 300;

fn id(at: u64) -> String {
    format!("item-{at}")
}

#[test]
fn a_turn_may_have_many_items_among_those_of_others() {
    let index = index();
    for (begin, end) in [(0, 20), (20, 21), (21, ITEMS)] {
        let mut batch = index.writer().unwrap();
        let mut rows = batch.thread(T1).unwrap();
        if begin == 0 {
            put(&mut rows, 0, 1, &[]);
            put(&mut rows, 1, 2, &[]);
        }
        for at in begin..end {
            let turn = u32::from(at % 3 == 0);
            rows.put_item(Ordinal(10 + at), &item(turn, &id(at), 10 + at))
                .unwrap();
        }
        batch.commit(false).unwrap();
    }
    let view = reader(&index);
    for (turn, is_in) in [(0, [false, true, true]), (1, [true, false, false])] {
        let expect: Vec<u64> = (0..ITEMS)
            .filter(|at| is_in[usize::try_from(at % 3).unwrap()])
            .collect();
        let items = view.items_of(T1, TurnNo(turn)).unwrap();
        let keys: Vec<u64> = items.iter().map(|(key, _)| key.0 - 10).collect();
        assert_eq!(keys, expect);
        let page = request(Some((10 + expect[90], false)), Order::Descending, 80);
        let page = view.items_page(T1, Some(TurnNo(turn)), &page).unwrap();
        let keys: Vec<u64> = page.rows.iter().map(|(key, _)| key.0 - 10).collect();
        let below: Vec<u64> = expect[10..90].iter().rev().copied().collect();
        assert_eq!((keys, page.more), (below, true));
        for at in 0..ITEMS {
            let found = view.item_by_id(T1, TurnNo(turn), &id(at)).unwrap();
            assert_eq!(found.is_some(), expect.contains(&at), "{at}");
        }
    }
    assert!(view.verify_thread(T1).unwrap());
    let mut batch = index.writer().unwrap();
    batch.thread(T1).unwrap().remove_turn(Ordinal(1)).unwrap();
    batch.commit(false).unwrap();
    let view = reader(&index);
    assert!(view.items_of(T1, TurnNo(0)).unwrap().is_empty());
    let left = view.thread(T1).unwrap().unwrap();
    // One turn, its name and number, where its items stand, its items and the ids beyond 64.
    assert_eq!((left.item_rows, left.rows), (100, 4 + 100 + 36));
    assert!(view.verify_thread(T1).unwrap());
}

#[test]
fn landmarks_follow_the_newest_snapshots() {
    let index = index();
    let mut batch = index.writer().unwrap();
    let mut rows = batch.thread(T1).unwrap();
    put(&mut rows, 0, 1, &[]);
    put(&mut rows, 1, 2, &[]);
    let mut set = |turn, key: u64, kind, phase| {
        let mut row = item(turn, &id(key), key);
        (row.kind, row.phase) = (kind, phase);
        rows.put_item(Ordinal(key), &row).unwrap();
        rows.landmarks(TurnNo(0)).unwrap()
    };
    let at =
        |first_user: Option<u64>, last_final: Option<u64>, last_plain: Option<u64>| Landmarks {
            first_user: first_user.map(Ordinal),
            last_final: last_final.map(Ordinal),
            last_plain: last_plain.map(Ordinal),
        };
    let (user, agent) = (ItemKind::UserMessage, ItemKind::AgentMessage);
    let last = Some(Phase::FinalAnswer);
    assert_eq!(set(0, 10, user, None), at(Some(10), None, None));
    assert_eq!(set(0, 11, user, None), at(Some(10), None, None));
    assert_eq!(set(0, 12, agent, None), at(Some(10), None, Some(12)));
    assert_eq!(set(0, 13, agent, None), at(Some(10), None, Some(13)));
    // A later snapshot makes an answer of it, another takes it away again.
    assert_eq!(set(0, 13, agent, last), at(Some(10), Some(13), Some(12)));
    assert_eq!(
        set(0, 13, ItemKind::Plan, None),
        at(Some(10), None, Some(12))
    );
    // An item goes to another turn.
    assert_eq!(set(1, 10, user, None), at(Some(11), None, Some(12)));
    batch.commit(false).unwrap();
    assert!(reader(&index).verify_thread(T1).unwrap());
}
