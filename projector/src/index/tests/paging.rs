//! The page vectors of the reference.

use turnleaf_format::Ordinal;

use super::{T1, filled, index, put, reader, request};
use crate::index::{Anchor, Index, Order, Page, PageRequest};
use crate::rows::{Rows, TurnNo, TurnStatus};

use Order::{Ascending, Descending};

fn keys<T>(page: &Page<T>) -> Vec<u64> {
    page.rows.iter().map(|(first, _)| first.0).collect()
}

fn at(anchor: Option<Anchor>) -> Option<(u64, bool)> {
    anchor.map(|anchor| (anchor.at.0, anchor.include))
}

/// Asks for a page of items and checks keys, next and backwards anchor.
fn check_items(
    index: &Index,
    turn: Option<u32>,
    ask: PageRequest,
    expect: &[u64],
    next: Option<(u64, bool)>,
) -> Option<(u64, bool)> {
    let page = reader(index)
        .items_page(T1, turn.map(TurnNo), &ask)
        .expect("memory does not fail");
    assert_eq!(keys(&page), expect, "{ask:?}");
    assert_eq!(at(page.next()), next, "{ask:?}");
    at(page.backwards())
}

#[test]
fn turns() {
    let index = index();
    let mut batch = index.writer().expect("memory does not fail");
    let mut rows = batch.thread(T1).expect("memory does not fail");
    put(
        &mut rows,
        1,
        10,
        &[("user-1", 11), ("middle-1", 12), ("agent-1", 13)],
    );
    put(&mut rows, 2, 20, &[]);
    put(&mut rows, 3, 30, &[]);
    let mut first = rows
        .turn(Ordinal(10))
        .expect("memory does not fail")
        .expect("it was put");
    (first.first_user_item, first.final_agent_item) = (Some(Ordinal(11)), Some(Ordinal(13)));
    rows.put_turn(Ordinal(10), &first)
        .expect("memory does not fail");
    let mut second = rows
        .turn(Ordinal(20))
        .expect("memory does not fail")
        .expect("it was put");
    (second.status, second.error_at) = (TurnStatus::Failed, Some(Ordinal(25)));
    rows.put_turn(Ordinal(20), &second)
        .expect("memory does not fail");
    batch.commit(false).expect("memory does not fail");

    let read = |ask| {
        reader(&index)
            .turns_page(T1, &ask)
            .expect("memory does not fail")
    };
    let page = read(request(None, Ascending, 2));
    assert_eq!(
        page.rows,
        [(Ordinal(10), first.clone()), (Ordinal(20), second)]
    );
    let summary = [first.first_user_item, first.final_agent_item];
    let summary = summary.map(|key| {
        let key = key.expect("the summary has both");
        reader(&index)
            .item(T1, key)
            .expect("memory does not fail")
            .map(|row| row.id)
    });
    assert_eq!(
        summary,
        [Some("user-1".to_owned()), Some("agent-1".to_owned())]
    );
    assert_eq!(at(page.next()), Some((20, false)));

    let page = read(request(at(page.next()), Ascending, 2));
    assert_eq!((keys(&page), page.next()), (vec![30], None));
    assert_eq!(page.rows[0].1.status, TurnStatus::InProgress);

    let page = read(request(at(page.backwards()), Descending, 2));
    assert_eq!(
        (keys(&page), at(page.next())),
        (vec![30, 20], Some((20, false)))
    );
}

#[test]
fn items() {
    // Items 11 and 12 of turn 1, items 21, 22 and 23 of turn 2.
    let index = filled(T1);
    check_items(
        &index,
        None,
        request(None, Ascending, 2),
        &[11, 12],
        Some((12, false)),
    );
    let ask = request(Some((12, false)), Ascending, 2);
    let backwards = check_items(&index, None, ask, &[21, 22], Some((22, false)));
    assert_eq!(backwards, Some((21, true)));
    check_items(
        &index,
        None,
        request(backwards, Descending, 2),
        &[21, 12],
        Some((12, false)),
    );

    let ask = request(None, Descending, 2);
    let backwards = check_items(&index, Some(2), ask, &[23, 22], Some((22, false)));
    check_items(
        &index,
        None,
        request(backwards, Descending, 2),
        &[23, 22],
        Some((22, false)),
    );
    check_items(
        &index,
        Some(2),
        request(Some((22, false)), Descending, 2),
        &[21],
        None,
    );
}

#[test]
fn edges() {
    let index = filled(T1);
    check_items(
        &index,
        None,
        request(None, Ascending, 5),
        &[11, 12, 21, 22, 23],
        None,
    );
    check_items(
        &index,
        None,
        request(Some((11, true)), Ascending, 1),
        &[11],
        Some((11, false)),
    );
    check_items(
        &index,
        None,
        request(Some((11, true)), Descending, 9),
        &[11],
        None,
    );
    check_items(
        &index,
        None,
        request(Some((11, false)), Descending, 9),
        &[],
        None,
    );
    // An anchor need not exist.
    check_items(
        &index,
        None,
        request(Some((15, true)), Ascending, 1),
        &[21],
        Some((21, false)),
    );
    check_items(
        &index,
        None,
        request(Some((15, true)), Descending, 1),
        &[12],
        Some((12, false)),
    );
    check_items(
        &index,
        None,
        request(Some((0, false)), Descending, 1),
        &[],
        None,
    );
    check_items(
        &index,
        None,
        request(Some((u64::MAX, false)), Ascending, 1),
        &[],
        None,
    );
    check_items(&index, Some(9), request(None, Ascending, 1), &[], None);
    let page = reader(&index).items_page(super::T2, None, &request(None, Ascending, 1));
    let page = page.expect("memory does not fail");
    assert_eq!(
        (keys(&page), page.next(), page.backwards()),
        (vec![], None, None)
    );
}
