//! Owns rows in plain maps: for tests, and for answers without an index.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use turnleaf_format::Ordinal;

use crate::rows::{ItemKind, ItemRow, Landmarks, Phase, Rows, TurnName, TurnNo, TurnRow};

/// The rows of one thread in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemRows {
    turns: BTreeMap<Ordinal, TurnRow>,
    items: BTreeMap<Ordinal, ItemRow>,
    names: BTreeMap<String, TurnName>,
    ids: BTreeMap<TurnNo, String>,
    item_keys: BTreeMap<TurnNo, BTreeMap<String, Ordinal>>,
    items_of: BTreeMap<TurnNo, BTreeSet<Ordinal>>,
    calls: BTreeMap<Ordinal, ItemRow>,
}

impl MemRows {
    /// All turn rows in the order of their keys.
    pub fn turns(&self) -> impl DoubleEndedIterator<Item = (Ordinal, &TurnRow)> {
        self.turns.iter().map(|(key, row)| (*key, row))
    }

    /// All item rows in the order of their keys.
    pub fn items(&self) -> impl DoubleEndedIterator<Item = (Ordinal, &ItemRow)> {
        self.items.iter().map(|(key, row)| (*key, row))
    }

    /// All rows of commands that only response items hold, in the order of their keys.
    pub fn calls(&self) -> impl DoubleEndedIterator<Item = (Ordinal, &ItemRow)> {
        self.calls.iter().map(|(key, row)| (*key, row))
    }

    /// The item rows of a turn in the order of their keys.
    pub fn items_of(&self, turn: TurnNo) -> impl DoubleEndedIterator<Item = (Ordinal, &ItemRow)> {
        let keys = self.items_of.get(&turn).into_iter().flatten();
        keys.map(|key| (*key, &self.items[key]))
    }
}

impl Rows for MemRows {
    type Error = Infallible;

    fn turn_name(&mut self, id: &str) -> Result<Option<TurnName>, Infallible> {
        Ok(self.names.get(id).copied())
    }

    fn put_turn_name(&mut self, id: &str, name: TurnName) -> Result<(), Infallible> {
        self.ids.insert(name.turn, id.to_owned());
        self.names.insert(id.to_owned(), name);
        Ok(())
    }

    fn turn_id(&mut self, turn: TurnNo) -> Result<Option<String>, Infallible> {
        Ok(self.ids.get(&turn).cloned())
    }

    fn turn(&mut self, first: Ordinal) -> Result<Option<TurnRow>, Infallible> {
        Ok(self.turns.get(&first).cloned())
    }

    fn put_turn(&mut self, first: Ordinal, row: &TurnRow) -> Result<(), Infallible> {
        self.ids.insert(row.turn, row.id.clone());
        self.turns.insert(first, row.clone());
        Ok(())
    }

    fn newest_turns(&mut self, count: usize) -> Result<Vec<Ordinal>, Infallible> {
        Ok(self.turns.keys().rev().take(count).copied().collect())
    }

    fn turn_count(&mut self) -> Result<u64, Infallible> {
        Ok(self.turns.len() as u64)
    }

    fn item_key(&mut self, turn: TurnNo, id: &str) -> Result<Option<Ordinal>, Infallible> {
        Ok(self
            .item_keys
            .get(&turn)
            .and_then(|keys| keys.get(id))
            .copied())
    }

    fn item(&mut self, first: Ordinal) -> Result<Option<ItemRow>, Infallible> {
        Ok(self.items.get(&first).cloned())
    }

    fn put_item(&mut self, first: Ordinal, row: &ItemRow) -> Result<(), Infallible> {
        let keys = self.item_keys.entry(row.turn).or_default();
        keys.entry(row.id.clone()).or_insert(first);
        self.items_of.entry(row.turn).or_default().insert(first);
        self.items.insert(first, row.clone());
        Ok(())
    }

    fn landmarks(&mut self, turn: TurnNo) -> Result<Landmarks, Infallible> {
        let is = |row: &ItemRow, kind, phase| row.kind == kind && row.phase == phase;
        let last_agent = |phase| {
            let mut items = self.items_of(turn).rev();
            items.find(|(_, row)| is(row, ItemKind::AgentMessage, phase))
        };
        let first_user = self
            .items_of(turn)
            .find(|(_, row)| row.kind == ItemKind::UserMessage);
        Ok(Landmarks {
            first_user: first_user.map(|(key, _)| key),
            last_final: last_agent(Some(Phase::FinalAnswer)).map(|(key, _)| key),
            last_plain: last_agent(None).map(|(key, _)| key),
        })
    }

    fn item_count(&mut self) -> Result<u64, Infallible> {
        Ok(self.items.len() as u64)
    }

    fn call(&mut self, first: Ordinal) -> Result<Option<ItemRow>, Infallible> {
        Ok(self.calls.get(&first).cloned())
    }

    fn put_call(&mut self, first: Ordinal, row: &ItemRow) -> Result<(), Infallible> {
        self.calls.insert(first, row.clone());
        Ok(())
    }

    fn remove_calls(&mut self, from: Ordinal) -> Result<(), Infallible> {
        self.calls.split_off(&from);
        Ok(())
    }

    fn keep_savepoint<S>(&mut self, _: Ordinal, _: TurnNo, _: &S) -> Result<(), Infallible> {
        Ok(())
    }

    fn remove_turn(&mut self, first: Ordinal) -> Result<(), Infallible> {
        let Some(row) = self.turns.remove(&first) else {
            return Ok(());
        };
        if self
            .names
            .get(&row.id)
            .is_some_and(|name| name.row == Some(first))
        {
            self.names.remove(&row.id);
        }
        self.ids.remove(&row.turn);
        self.item_keys.remove(&row.turn);
        for key in self.items_of.remove(&row.turn).unwrap_or_default() {
            self.items.remove(&key);
        }
        Ok(())
    }
}
