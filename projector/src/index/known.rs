//! Owns where the rows of a thread stand: its own ones, and before them prefixes of others' that it
//! shows. It must not know what rows mean.

use bincode::{Decode, Encode};
use turnleaf_format::{Ordinal, ThreadNumber};

use super::error::{Damage, Place, Table};
use super::keys::{self, NumberKey, RowKey};
use super::overlay::Probe;
use super::page::Order;
use super::{IndexError, ThreadRow};
use crate::rows::TurnNo;

/// Most threads whose rows one thread shows, one before the other: what is looked up by a turn's id
/// is looked for in each.
pub(super) const LAYERS_MAX: usize = 16;

/// Whose rows a thread shows before its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub enum Shared {
    /// Nobody's: all of its rows are its own.
    #[default]
    Nothing,
    /// Those of a prefix of another thread.
    Prefix(Prefix),
    /// Those of a prefix that has changed since. What is known of the thread as a whole stays
    /// right; its rows are to be made anew.
    Broken,
}

/// The rows of a thread that stand before one of its savepoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Prefix {
    /// Whose rows.
    pub(super) of: u64,
    /// The rows of turns below this number, which is that of the savepoint.
    pub(super) turns: u32,
    /// They are keyed below this ordinal, which is that of the savepoint.
    pub(super) below: u64,
    /// How many of them are turns, those of all threads before included.
    pub(super) turn_rows: u64,
    /// How many of them are items.
    pub(super) item_rows: u64,
}

/// The part of a thread's rows that another one shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layer {
    thread: u64,
    /// First ordinal, and one past the last.
    ordinals: (u64, u64),
    /// First turn number, and one past the last.
    turns: (u32, u32),
}

/// Where the rows of a thread stand, and what the snapshot can hold of its own; a reader does not
/// know the latter and looks always.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) thread: u64,
    row_end: u64,
    turn_end: u64,
    /// What is shown of others, the nearest first.
    layers: Vec<Layer>,
}

impl Known {
    /// There are no rows.
    pub(super) fn empty(thread: ThreadNumber) -> Known {
        Known {
            thread: thread.0,
            row_end: 0,
            turn_end: 0,
            layers: Vec::new(),
        }
    }

    /// As the row of the thread says; `row_of` gives those of others.
    pub(super) fn all(
        thread: ThreadNumber,
        row: &ThreadRow,
        row_of: impl Fn(u64) -> Result<Option<ThreadRow>, IndexError>,
    ) -> Result<Known, IndexError> {
        Ok(Known {
            row_end: row.row_end,
            turn_end: row.turn_end,
            ..Known::to_read(thread, row.shared, row_of)?
        })
    }

    /// The same for a reader.
    pub(super) fn to_read(
        thread: ThreadNumber,
        shared: Shared,
        row_of: impl Fn(u64) -> Result<Option<ThreadRow>, IndexError>,
    ) -> Result<Known, IndexError> {
        let mut known = Known {
            row_end: u64::MAX,
            turn_end: u64::MAX,
            ..Known::empty(thread)
        };
        let mut shared = shared;
        loop {
            let prefix = match shared {
                Shared::Nothing => return Ok(known),
                Shared::Broken => return Err(IndexError::Overtaken(thread)),
                Shared::Prefix(prefix) => prefix,
            };
            let row = row_of(prefix.of)?.filter(|_| known.layers.len() < LAYERS_MAX);
            let row = row.ok_or_else(|| known.place(Table::Threads).damaged(Damage::Dangling))?;
            if let Some(above) = known.layers.last_mut() {
                (above.ordinals.0, above.turns.0) = (prefix.below, prefix.turns);
            }
            known.layers.push(Layer {
                thread: prefix.of,
                ordinals: (0, prefix.below),
                turns: (0, prefix.turns),
            });
            shared = row.shared;
        }
    }

    pub(super) fn place(&self, table: Table) -> Place {
        Place::new("read").table(table).thread(self.thread)
    }

    /// Of how many others it shows rows.
    pub(super) fn depth(&self) -> usize {
        self.layers.len()
    }

    /// Whether a turn, and a row of it, are the thread's own.
    pub(super) fn is_own(&self, turn: TurnNo, first: Option<Ordinal>) -> bool {
        self.layers.first().is_none_or(|nearest| {
            turn.0 >= nearest.turns.1 && first.is_none_or(|first| first.0 >= nearest.ordinals.1)
        })
    }

    /// The number of the savepoint behind which its own turns stand.
    pub(super) fn own_turns_from(&self) -> u32 {
        self.layers.first().map_or(0, |nearest| nearest.turns.1)
    }

    /// Key of a turn row, item row or call, and where to look for it.
    pub(super) fn row(&self, first: Ordinal) -> (RowKey, Probe) {
        let mut layers = self.layers.iter();
        match layers.find(|layer| (layer.ordinals.0..layer.ordinals.1).contains(&first.0)) {
            Some(layer) => (keys::row(layer.thread, first), Probe::Snapshot),
            None => (keys::row(self.thread, first), self.own_at(first)),
        }
    }

    /// Whether a row of its own may be in the snapshot.
    pub(super) fn own_at(&self, first: Ordinal) -> Probe {
        Probe::when(first.0 < self.row_end || self.row_end == u64::MAX)
    }

    /// Key of what is known by turn number, and where to look for it; the thread of the key.
    pub(super) fn number(&self, turn: TurnNo) -> (NumberKey, Probe) {
        let (thread, probe) = self.of_turn(turn);
        (keys::number(thread, turn), probe)
    }

    /// The thread among whose rows those of a turn stand, and where to look for them.
    pub(super) fn of_turn(&self, turn: TurnNo) -> (u64, Probe) {
        let mut layers = self.layers.iter();
        match layers.find(|layer| (layer.turns.0..layer.turns.1).contains(&turn.0)) {
            Some(layer) => (layer.thread, Probe::Snapshot),
            None => (self.thread, Probe::when(u64::from(turn.0) < self.turn_end)),
        }
    }

    /// The parts of its rows, the newest first: its own ones, then those that it shows of others.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part> {
        let (first, turn) = match self.layers.first() {
            Some(nearest) => (nearest.ordinals.1, nearest.turns.1),
            None => (0, 0),
        };
        let own = Part {
            thread: self.thread,
            ordinals: (first, u64::MAX),
            turns: (turn, u32::MAX),
            probe: Probe::when(self.row_end > 0 || self.turn_end > 0),
        };
        let others = self.layers.iter().map(|layer| Part {
            thread: layer.thread,
            ordinals: (layer.ordinals.0, layer.ordinals.1.saturating_sub(1)),
            turns: layer.turns,
            probe: Probe::Snapshot,
        });
        [own].into_iter().chain(others)
    }

    /// The ranges of keys in which rows from `low` to `high`, both included, stand, in an order.
    pub(super) fn spans(
        &self,
        (low, high): (Ordinal, Ordinal),
        order: Order,
    ) -> Vec<((RowKey, RowKey), Probe)> {
        let within = |part: Part| {
            let (low, high) = (low.0.max(part.ordinals.0), high.0.min(part.ordinals.1));
            let span = [low, high].map(|at| keys::row(part.thread, Ordinal(at)));
            (low <= high).then_some((span.into(), part.probe))
        };
        let mut spans: Vec<_> = self.parts().filter_map(within).collect();
        if order == Order::Ascending {
            spans.reverse();
        }
        spans
    }
}

/// Rows of one thread, among those that it or another one shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) thread: u64,
    /// First ordinal and last.
    pub(super) ordinals: (u64, u64),
    /// First turn number, and one past the last.
    pub(super) turns: (u32, u32),
    /// Where to look for them.
    pub(super) probe: Probe,
}
