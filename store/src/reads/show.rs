//! Owns the description of one thread: its facts, counts, segments, resume point, lag, anomalies.

use std::ops::Range;

use serde_json::{Value, json};
use turnleaf_engine::format::Ordinal;
use turnleaf_projector::fold::{ThreadMeta, ThreadState};
use turnleaf_projector::payload::timestamp_ms;
use turnleaf_projector::uuid::uuid;

use crate::error::Error;
use crate::health::anomalies::{AnomalyCount, anomaly_count};
use crate::index::catch_up::state_of;
use crate::open::Store;

/// One thread in detail.
#[derive(Debug, Clone, PartialEq)]
pub struct ShowThread {
    /// The thread object of upstream's protocol.
    pub thread: Value,
    /// Whether it is archived.
    pub archived: bool,
    /// Records of the thread, without our own (its names).
    pub records: u64,
    /// Turns.
    pub turns: u64,
    /// Items.
    pub items: u64,
    /// Ordinal from which the model resumes.
    pub resume_from: Option<Ordinal>,
    /// Ordinals that a repair gave up, ascending.
    pub given_up: Vec<Range<Ordinal>>,
    /// Payload bytes that only the journal holds.
    pub journal_bytes: u64,
    /// Segments that hold the thread.
    pub segments: Vec<ThreadSegment>,
    /// Records that the index had not applied before this answer.
    pub lag: u64,
    /// Anomalies of its records: unknown kinds, malformed, out of order.
    pub anomalies: Vec<AnomalyCount>,
    /// Tokens used, as last reported by the agent.
    pub tokens_used: Option<i64>,
}

/// What a segment holds of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadSegment {
    /// The file, below the store's directory.
    pub file: String,
    /// The records.
    pub ordinals: Range<Ordinal>,
}

impl ShowThread {
    /// The segment from which the model resumes, and whether it begins there; `None` when the
    /// journal holds the place.
    #[must_use]
    pub fn resume_segment(&self) -> Option<(&str, bool)> {
        let from = self.resume_from?;
        let mut segments = self.segments.iter();
        let holds = segments.find(|segment| segment.ordinals.contains(&from))?;
        Some((&holds.file, holds.ordinals.start == from))
    }
}

impl Store {
    /// Ordinals of a thread that a repair gave up, ascending. Reads and exports pass them by. Reads
    /// nothing from the disk.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`].
    pub fn given_up(&self, id: &str) -> Result<Vec<Range<Ordinal>>, Error> {
        let (_, reader) = self.source.find(id)?;
        Ok(ranges(reader.given_up()))
    }

    /// Describes a thread: its facts, counts, segments, resume point and anomalies.
    ///
    /// Cost: one row of the index, and a walk back over the log to where resuming begins.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let shown = store.show("my-thread")?;
    /// println!("{} records, {} turns", shown.records, shown.turns);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Store::turns`].
    pub fn show(&self, id: &str) -> Result<ShowThread, Error> {
        let (number, before) = self.source.find(id)?;
        let applied = self.index.with(|index| {
            Ok(index
                .reader()?
                .thread(number)?
                .map_or(0, |row| row.applied_end.0))
        })?;
        let lag = before.end().0.saturating_sub(applied);
        let (row, state, reader) = self.with_thread(id, |now| {
            let row = now.rows.thread(number)?.unwrap_or_default();
            let state = state_of(&row, number)?;
            Ok((row, state, now.reader.clone()))
        })?;
        let range = self
            .resume_of(&reader, row.applied_end, &state, &mut Vec::new())?
            .range;
        let mut segments = Vec::new();
        let journal_bytes = self.source.with(|known| {
            for info in known.segments() {
                for (rollout, from, until) in reader.rollouts() {
                    let runs = info.runs.iter().filter(|(of, _, _)| *of == rollout);
                    let runs = runs.map(|(_, first, end)| (from.plus(first.0), from.plus(end.0)));
                    // What is not inherited of a base is not of this thread.
                    let runs = runs.filter(|(first, _)| *first < until);
                    segments.extend(runs.map(|(first, end)| ThreadSegment {
                        file: info.path.clone(),
                        ordinals: first..end.min(until),
                    }));
                }
            }
            segments.sort_by_key(|segment: &ThreadSegment| segment.ordinals.start);
            known.journal_bytes(number)
        });
        Ok(ShowThread {
            thread: self.thread_value(id, &state),
            archived: self.source.with(|known| {
                let fact = known.thread_of(number).and_then(|of| known.thread(of));
                fact.is_some_and(|fact| fact.archived)
            }),
            records: row.applied_end.0.saturating_sub(state.uncounted),
            turns: row.turn_rows,
            items: row.item_rows,
            resume_from: range.start,
            given_up: ranges(reader.given_up()),
            journal_bytes,
            segments,
            lag,
            anomalies: state.anomalies.iter().map(anomaly_count).collect(),
            tokens_used: state.meta.tokens_used,
        })
    }

    /// Of which thread one is a fork: as its head says, else as the log does.
    pub(super) fn forked_from(&self, id: &str, meta: &ThreadMeta) -> Option<String> {
        let by_log = || {
            self.source.with(|known| {
                let parsed = turnleaf_engine::format::ThreadId::parse(id).ok()?;
                let number = known.thread_number(&parsed)?;
                known.bases(known.current(number)).find_map(|base| {
                    let of = known.thread_of(base.rollout).filter(|of| *of != number)?;
                    known.thread(of).map(|fact| fact.id.to_string())
                })
            })
        };
        meta.forked_from.clone().or_else(by_log)
    }

    /// The thread object of upstream's protocol; times are Unix seconds.
    pub(crate) fn thread_value(&self, id: &str, state: &ThreadState) -> Value {
        let meta: &ThreadMeta = &state.meta;
        let path = self.source.with(|known| {
            let parsed = turnleaf_engine::format::ThreadId::parse(id).ok()?;
            let number = known.thread_number(&parsed)?;
            let current = known.current(number);
            Some((
                known.import_of(current).map(|import| import.path.clone()),
                known.thread(number)?.created_ms,
            ))
        });
        let (path, created_here) = path.unwrap_or_default();
        let forked_from = self.forked_from(id, meta);
        let seconds = |ms: Option<i64>| ms.map(|ms| ms.div_euclid(1000));
        let created = Some(created_ms(meta, id, path.as_deref(), created_here));
        let updated = meta.updated_at_ms.or(created);
        let mode = match state.mode() {
            turnleaf_projector::fold::Mode::Legacy => "legacy",
            turnleaf_projector::fold::Mode::Paginated => "paginated",
        };
        let git = meta.git_commit.is_some()
            || meta.git_branch.is_some()
            || meta.git_repository_url.is_some();
        json!({
            "id": id,
            "extra": null,
            "sessionId": meta.session_id.as_deref().unwrap_or(id),
            "forkedFromId": forked_from,
            "parentThreadId": meta.parent,
            "preview": meta.preview.clone().unwrap_or_default(),
            "ephemeral": false,
            "historyMode": mode,
            "modelProvider": meta.model_provider.clone().unwrap_or_default(),
            "model": meta.model,
            "reasoningEffort": meta.effort,
            "createdAt": seconds(created),
            "updatedAt": seconds(updated),
            "recencyAt": seconds(meta.recency_at_ms.or(updated)),
            "status": { "type": "notLoaded" },
            "path": path,
            "cwd": meta.cwd.clone().unwrap_or_default(),
            "cliVersion": meta.cli_version.clone().unwrap_or_default(),
            "originator": meta.originator,
            "source": served_source(meta.source.as_deref()),
            "canAcceptDirectInput": null,
            "threadSource": meta.thread_source,
            "agentNickname": meta.agent_nickname,
            "agentRole": meta.agent_role,
            "gitInfo": git.then(|| json!({
                "sha": meta.git_commit,
                "branch": meta.git_branch,
                "originUrl": meta.git_repository_url,
            })),
            "name": meta.name,
            "turns": [],
        })
    }
}

/// When a thread began, Unix milliseconds: as its head says, else its first line that has a time;
/// of one that was imported, then, its file's name, its id; else when it was made here.
pub(super) fn created_ms(
    meta: &ThreadMeta,
    id: &str,
    imported_from: Option<&str>,
    created_here: i64,
) -> i64 {
    let outside = |path| time_of_name(path).or_else(|| time_of_id(id));
    meta.created_at_ms
        .or(meta.first_at_ms)
        .or_else(|| imported_from.and_then(outside))
        .unwrap_or(created_here)
}

/// The time in the name of a rollout's file, `rollout-2026-01-02T03-04-05-<id>.jsonl`.
fn time_of_name(path: &str) -> Option<i64> {
    const TIME_CHARS: usize = "2026-01-02T03-04-05".len();
    let name = path.rsplit(['/', '\\']).next()?;
    timestamp_ms(name.strip_prefix("rollout-")?.get(..TIME_CHARS)?)
}

/// The time in a UUID of version 7.
fn time_of_id(id: &str) -> Option<i64> {
    let bytes = uuid(id).filter(|bytes| bytes[6] >> 4 == 7)?;
    let ms = bytes[..6]
        .iter()
        .fold(0, |ms, byte| ms << 8 | i64::from(*byte));
    Some(ms)
}

/// Ranges of ordinals, of pairs of the first and one past the last.
pub(crate) fn ranges(pairs: Vec<(Ordinal, Ordinal)>) -> Vec<Range<Ordinal>> {
    pairs.into_iter().map(|(first, end)| first..end).collect()
}

/// A session source as upstream's protocol serves it.
fn served_source(source: Option<&str>) -> Value {
    let Some(source) = source else {
        return json!("vscode");
    };
    match serde_json::from_str::<Value>(source) {
        Ok(Value::Object(fields)) => match fields.get("subagent") {
            Some(kind) => json!({ "subAgent": kind }),
            None => Value::Object(fields),
        },
        _ if source == "mcp" => json!("appServer"),
        _ => json!(source),
    }
}

#[cfg(test)]
mod tests;
