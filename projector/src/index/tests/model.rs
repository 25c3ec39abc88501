//! Random changes, against rows in plain maps.

use std::fmt::Debug;

use proptest::prelude::*;
use turnleaf_format::{Ordinal, ThreadChain, ThreadNumber};

use super::{T1, T2, index, item, put, reader, request, turn};
use crate::fold::MemRows;
use crate::index::{Index, Order, Page, PageRequest, Reader};
use crate::rows::{Rows, TurnName, TurnNo, TurnStatus};

/// One step of a made-up fold. Small numbers choose among what exists.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Mention { id: u8 },
    Begin { id: u8 },
    End { back: usize },
    Item { turn: usize, id: u8, again: bool },
    Call { turn: usize, back: u64 },
    RemoveCalls { back: u64 },
    Remove { count: usize },
    Commit { durable: bool },
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (0..12_u8).prop_map(|id| Step::Mention { id }),
        3 => (0..12_u8).prop_map(|id| Step::Begin { id }),
        2 => (0..3_usize).prop_map(|back| Step::End { back }),
        8 => (0..8_usize, 0..6_u8, any::<bool>())
            .prop_map(|(turn, id, again)| Step::Item { turn, id, again }),
        4 => (0..8_usize, 0..4_u64).prop_map(|(turn, back)| Step::Call { turn, back }),
        1 => (0..9_u64).prop_map(|back| Step::RemoveCalls { back }),
        1 => (1..3_usize).prop_map(|count| Step::Remove { count }),
        2 => any::<bool>().prop_map(|durable| Step::Commit { durable }),
    ];
    prop::collection::vec(step, 0..120)
}

/// What the made-up fold remembers.
#[derive(Debug, Clone, Default)]
pub(super) struct Driver {
    pub(super) ordinal: u64,
    pub(super) numbers: u32,
    live: Vec<TurnNo>,
}

impl Driver {
    fn number(&mut self) -> TurnNo {
        let turn = TurnNo(self.numbers);
        self.numbers += 1;
        self.live.push(turn);
        turn
    }

    /// Takes a step and says what was seen.
    pub(super) fn step<R: Rows<Error: Debug>>(
        &mut self,
        rows: &mut R,
        step: &Step,
    ) -> Result<String, R::Error> {
        self.ordinal += 1;
        let first = Ordinal(self.ordinal);
        Ok(match *step {
            Step::Mention { id } => {
                let id = format!("turn-{id}");
                let known = rows.turn_name(&id)?;
                if known.is_none() {
                    let name = TurnName {
                        turn: self.number(),
                        row: None,
                    };
                    rows.put_turn_name(&id, name)?;
                }
                format!("{known:?} {:?}", rows.turn_name(&id)?)
            }
            Step::Begin { id } => {
                rows.keep_savepoint(first, TurnNo(self.numbers), &self.numbers)?;
                let id = format!("turn-{id}");
                let known = rows.turn_name(&id)?;
                let number = match known {
                    Some(TurnName { turn, row: None }) => turn,
                    _ => self.number(),
                };
                if known.is_none_or(|name| name.row.is_none()) {
                    let name = TurnName {
                        turn: number,
                        row: Some(first),
                    };
                    rows.put_turn_name(&id, name)?;
                }
                rows.put_turn(first, &turn(number.0, &id))?;
                format!("{known:?} {:?}", rows.turn_id(number)?)
            }
            Step::End { back } => {
                let newest = rows.newest_turns(back + 1)?;
                let Some(key) = newest.get(back) else {
                    return Ok(format!("{newest:?}"));
                };
                let mut row = rows.turn(*key)?.unwrap();
                row.status = TurnStatus::Completed;
                row.final_agent_item = Some(first);
                rows.put_turn(*key, &row)?;
                format!("{newest:?} {:?}", rows.turn(*key)?)
            }
            Step::Item { turn, id, again } => {
                self.item(rows, turn, &format!("item-{id}"), again)?
            }
            Step::Call { turn, back } => {
                let Some(turn) = self.live.get(turn % self.live.len().max(1)) else {
                    return Ok(String::new());
                };
                let key = Ordinal(self.ordinal - back.min(self.ordinal));
                // Only what is there can be older than the record.
                let known = rows.call(key)?;
                let key = known.as_ref().map_or(first, |_| key);
                let mut row = known.unwrap_or_else(|| item(turn.0, "call", key.0));
                row.sources.push(first);
                rows.put_call(key, &row)?;
                format!("{:?}", rows.call(key)?)
            }
            Step::RemoveCalls { back } => {
                let from = Ordinal(self.ordinal - back.min(self.ordinal));
                rows.remove_calls(from)?;
                format!("{:?}", rows.call(from)?)
            }
            Step::Remove { count } => {
                let newest = rows.newest_turns(count)?;
                for key in &newest {
                    let gone = rows.turn(*key)?.unwrap().turn;
                    self.live.retain(|turn| *turn != gone);
                    rows.remove_turn(*key)?;
                }
                format!("{newest:?} {:?}", rows.newest_turns(2)?)
            }
            Step::Commit { .. } => {
                format!("{:?} {:?}", rows.turn_count()?, rows.item_count()?)
            }
        })
    }

    fn item<R: Rows<Error: Debug>>(
        &mut self,
        rows: &mut R,
        turn: usize,
        id: &str,
        again: bool,
    ) -> Result<String, R::Error> {
        if self.live.is_empty() {
            return Ok(String::new());
        }
        let turn = self.live[turn % self.live.len()];
        let known = rows.item_key(turn, id)?;
        let key = known.filter(|_| !again).unwrap_or(Ordinal(self.ordinal));
        let mut row = rows.item(key)?.unwrap_or_else(|| item(turn.0, id, key.0));
        row.sources.push(Ordinal(self.ordinal));
        rows.put_item(key, &row)?;
        let seen = rows.landmarks(turn)?;
        Ok(format!(
            "{known:?} {:?} {seen:?} {:?}",
            rows.item(key)?,
            rows.item_key(turn, id)?
        ))
    }
}

/// Takes all steps in an index, in batches as they say or in one.
fn build(steps: &[Step], in_batches: bool) -> (Index, Vec<String>, Driver) {
    let index = index();
    let mut driver = Driver::default();
    let mut seen = Vec::new();
    let mut batch = index.writer().unwrap();
    put(&mut batch.thread(T2).unwrap(), 1, 10, &[("a", 11)]);
    for step in steps {
        let mut rows = batch.thread(T1).unwrap();
        seen.push(driver.step(&mut rows, step).unwrap());
        let chain = ThreadChain(driver.ordinal);
        rows.put_watermark(Ordinal(driver.ordinal + 1), chain, &driver.numbers)
            .unwrap();
        if let (true, Step::Commit { durable }) = (in_batches, step) {
            batch.commit(*durable).unwrap();
            batch = index.writer().unwrap();
        }
    }
    batch.commit(false).unwrap();
    (index, seen, driver)
}

/// Reads a whole list in pages.
fn listed<T>(
    order: Order,
    limit: usize,
    read: impl Fn(&PageRequest) -> Page<T>,
) -> Vec<(Ordinal, T)> {
    let mut ask = request(None, order, limit);
    let mut all = Vec::new();
    loop {
        let page = read(&ask);
        ask.anchor = page.next();
        all.extend(page.rows);
        if ask.anchor.is_none() {
            return all;
        }
    }
}

fn directed<T>(mut rows: Vec<T>, order: Order) -> Vec<T> {
    if order == Order::Descending {
        rows.reverse();
    }
    rows
}

/// Compares all that is listed of a thread with plain maps.
pub(super) fn agree(
    view: &Reader,
    thread: ThreadNumber,
    (model, driver): (&MemRows, &Driver),
    limit: usize,
) {
    for order in [Order::Ascending, Order::Descending] {
        let turns = listed(order, limit, |ask| view.turns_page(thread, ask).unwrap());
        let expect = model.turns().map(|(key, row)| (key, row.clone())).collect();
        assert_eq!(turns, directed(expect, order));
        let items = listed(order, limit, |ask| {
            view.items_page(thread, None, ask).unwrap()
        });
        let expect = model.items().map(|(key, row)| (key, row.clone())).collect();
        assert_eq!(items, directed(expect, order));
        let calls = listed(order, limit, |ask| {
            view.calls_page(thread, None, ask).unwrap()
        });
        let expect = model.calls().map(|(key, row)| (key, row.clone())).collect();
        assert_eq!(calls, directed(expect, order));
        for turn in driver.live.iter().copied() {
            let items = listed(order, limit, |ask| {
                view.items_page(thread, Some(turn), ask).unwrap()
            });
            let expect = model
                .items_of(turn)
                .map(|(key, row)| (key, row.clone()))
                .collect();
            assert_eq!(items, directed(expect, order));
            let mut model = model.clone();
            assert_eq!(
                view.turn_id(thread, turn).unwrap(),
                model.turn_id(turn).unwrap()
            );
        }
    }
}

proptest! {
    #[test]
    fn rows_are_those_of_plain_maps(steps in steps(), limit in 1..7_usize) {
        let mut model = MemRows::default();
        let mut driver = Driver::default();
        let expect: Vec<String> =
            steps.iter().map(|step| driver.step(&mut model, step).unwrap()).collect();
        let (index, seen, driver) = build(&steps, true);
        prop_assert_eq!(seen, expect);

        let view = reader(&index);
        agree(&view, T1, (&model, &driver), limit);
        prop_assert!(view.verify_thread(T1).unwrap());
        prop_assert!(view.verify_thread(T2).unwrap());

        let (rebuilt, _, _) = build(&steps, false);
        prop_assert_eq!(reader(&rebuilt).thread(T1).unwrap(), view.thread(T1).unwrap());
    }
}
