//! Owns the opponent: a JSONL rollout that is replayed as the reference runtime does it, every line
//! parsed to a generic value and then to a typed record, turns and items held in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
struct Line {
    #[allow(dead_code)]
    timestamp: String,
    #[serde(flatten)]
    record: Record,
}

/// The typed form of a record: like the reference, it owns everything it was given.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
#[allow(dead_code)]
enum Record {
    SessionMeta(Value),
    ResponseItem(Value),
    Compacted(Compacted),
    TurnContext(Value),
    WorldState(Value),
    EventMsg(Event),
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Compacted {
    message: String,
    replacement_history: Option<Vec<Value>>,
    window_number: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(dead_code)]
enum Event {
    TaskStarted {
        turn_id: String,
    },
    TaskComplete {
        turn_id: String,
    },
    TurnAborted {
        turn_id: Option<String>,
    },
    ItemCompleted {
        turn_id: String,
        item: Value,
    },
    #[serde(other)]
    Other,
}

/// The history in memory.
#[derive(Debug, Default)]
pub struct Replay {
    /// Turn ids in order.
    pub turns: Vec<String>,
    /// Items in the order of their first snapshots, newest value each.
    pub items: Vec<(String, Value)>,
    /// Records that were kept for the model.
    pub records: usize,
    places: HashMap<(String, String), usize>,
}

impl Replay {
    /// Replays the whole file, each line once to a value and once to its type.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Replay> {
        let mut replay = Replay::default();
        let mut kept: Vec<Record> = Vec::new();
        each_line(path, |line| {
            let Ok(value) = serde_json::from_slice::<Value>(line) else {
                return;
            };
            let Ok(line) = serde_json::from_value::<Line>(value) else {
                return;
            };
            kept.push(line.record);
        })?;
        for record in kept {
            replay.take(record);
        }
        Ok(replay)
    }

    /// The newest `count` items with their bodies, newest first.
    #[must_use]
    pub fn newest(&self, count: usize) -> Vec<Value> {
        self.items
            .iter()
            .rev()
            .take(count)
            .map(|(_, item)| item.clone())
            .collect()
    }

    /// `count` items from the middle on.
    #[must_use]
    pub fn deep(&self, count: usize) -> Vec<Value> {
        let start = self.items.len() / 2;
        self.items
            .iter()
            .skip(start)
            .take(count)
            .map(|(_, item)| item.clone())
            .collect()
    }

    fn take(&mut self, record: Record) {
        self.records += 1;
        match record {
            Record::EventMsg(Event::TaskStarted { turn_id }) => self.turns.push(turn_id),
            Record::EventMsg(Event::ItemCompleted { turn_id, item }) => {
                let id = item["id"].as_str().unwrap_or_default().to_owned();
                let next = self.items.len();
                let place = *self.places.entry((turn_id.clone(), id)).or_insert(next);
                if place == next {
                    self.items.push((turn_id, item));
                } else {
                    self.items[place] = (turn_id, item);
                }
            }
            _ => {}
        }
    }
}

/// The cheapest replay there is: every line to a generic value, once; the number of items.
///
/// # Errors
/// When the file cannot be read.
pub fn one_pass(path: &Path) -> io::Result<usize> {
    let mut items = 0;
    each_line(path, |line| {
        if let Ok(value) = serde_json::from_slice::<Value>(line) {
            items += usize::from(value["payload"]["type"] == "item_completed");
        }
    })?;
    Ok(items)
}

/// Hands every line of a file on, without its end.
///
/// # Errors
/// When the file cannot be read.
pub fn each_line(path: &Path, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(256 << 10, File::open(path)?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        take(line.trim_ascii_end());
        line.clear();
    }
    Ok(())
}
