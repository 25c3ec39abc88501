//! Owns the names of threads in `session_index.jsonl` files. Of the lines of an id the last one of
//! a file decides, as its writer reads it; between files, and between them and a name given in the
//! store, the newest decides.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use turnleaf::{Error, ErrorKind, ListedName, Store, ThreadCounts};

/// What an index says of a thread.
struct Row {
    name: String,
    /// When it was written, Unix milliseconds; 0, before everything else, where it does not say.
    at_ms: i64,
    /// Which of the indexes says so.
    index: usize,
}

/// What became of the names in indexes.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Those that the store has.
    pub(super) kept: u64,
    /// Of these, those that it did not have before.
    pub(super) added: u64,
    /// Of these, those whose threads are not in the store.
    pub(super) waiting: u64,
}

/// Names the threads that the indexes name otherwise, since a later time. Of threads that are not
/// in the store the names are kept for them. Lines that are none are passed by, as their writer
/// does. A name that cannot be given is skipped, and costs the others nothing.
pub(super) fn apply(
    store: &Store,
    indexes: &[PathBuf],
    skipped: &mut Vec<(String, String)>,
) -> Names {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut lists = Vec::new();
    for path in indexes {
        match std::fs::read(path) {
            Ok(bytes) => {
                keep_newest(&mut rows, &bytes, lists.len());
                lists.push((super::shown(path), bytes.len() as u64));
            }
            Err(error) => {
                let reason = super::source::reason_of(path, &error);
                skipped.push((path.display().to_string(), reason));
            }
        }
    }
    let ids: Vec<String> = rows.keys().cloned().collect();
    let counts = store.counts(&ids);
    // Whose name is not known may have a newer one.
    for (id, error) in counts.uncounted {
        rows.remove(&id);
        skipped.push(unnamed(&id, &error));
    }
    let known = counts.counted.iter();
    let known: BTreeMap<&str, &ThreadCounts> =
        known.map(|thread| (thread.id.as_str(), thread)).collect();
    give(store, &rows, &lists, &known, skipped).unwrap_or_else(|error| {
        let reason = format!("not all of its names were taken: {error}; import it again");
        let of_indexes = indexes.iter().map(|path| path.display().to_string());
        skipped.extend(of_indexes.map(|path| (path, reason.clone())));
        Names::default()
    })
}

/// Gives the names that say more than what is known.
fn give(
    store: &Store,
    rows: &BTreeMap<String, Row>,
    lists: &[(String, u64)],
    known: &BTreeMap<&str, &ThreadCounts>,
    skipped: &mut Vec<(String, String)>,
) -> Result<Names, Error> {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let mut importer = store.importer()?;
    let mut names = Names::default();
    for (id, row) in rows {
        let thread = known.get(id.as_str()).copied();
        if !row.says_more(thread, now_ms) {
            names.count(row, thread);
            continue;
        }
        let (path, bytes) = &lists[row.index];
        let listed = ListedName {
            thread: id,
            name: &row.name,
            named_at_ms: row.at_ms,
            list: (path, *bytes),
        };
        match importer.name(listed) {
            Ok(()) => names.take(row, thread),
            Err(error) => match error.kind() {
                // No id, or that of a thread that was deleted here.
                ErrorKind::Invalid => {}
                ErrorKind::Damaged | ErrorKind::Busy => skipped.push(unnamed(id, &error)),
                _ => return Err(error),
            },
        }
    }
    importer.finish()?;
    Ok(names)
}

impl Names {
    /// Counts a name that the store had, unless it has another one that is newer.
    fn count(&mut self, row: &Row, thread: Option<&ThreadCounts>) {
        if !row.is_other(thread) {
            self.take(row, thread);
        }
    }

    /// Counts a name that the store has now. One that was taken away is none.
    fn take(&mut self, row: &Row, thread: Option<&ThreadCounts>) {
        if row.name.is_empty() {
            return;
        }
        self.kept += 1;
        self.added += u64::from(row.is_other(thread));
        self.waiting += u64::from(thread.is_none_or(|thread| thread.records == 0));
    }
}

/// What is told of a thread that an index names in vain.
fn unnamed(id: &str, error: &Error) -> (String, String) {
    let reason = format!("its name was not taken: {error}; import the index again");
    (format!("thread {id}"), reason)
}

impl Row {
    /// Whether it names a thread otherwise, or since a later time: a name that is affirmed is newer
    /// than any that was given before. A time that is still to come tells only that the row is
    /// newer than others with such a time: one that was taken is no news, and a name that was given
    /// since is newer.
    fn says_more(&self, thread: Option<&ThreadCounts>, now_ms: i64) -> bool {
        let is_other = self.is_other(thread);
        let Some(thread) = thread else {
            return is_other;
        };
        let (Some(named), Some(stated)) = (thread.named_at_ms, thread.name_stated_at_ms) else {
            return is_other;
        };
        if self.at_ms == named {
            return is_other;
        }
        let is_news = self.at_ms > stated || (self.at_ms < stated && self.at_ms <= now_ms);
        is_news && self.at_ms > named
    }

    fn is_other(&self, thread: Option<&ThreadCounts>) -> bool {
        let name = thread.and_then(|thread| thread.name.as_deref());
        name.unwrap_or_default() != self.name
    }
}

/// Takes the last row of each thread in a file, unless another file has a newer one.
fn keep_newest(rows: &mut BTreeMap<String, Row>, file: &[u8], index: usize) {
    let lines = file.split(|byte| *byte == b'\n');
    let last: BTreeMap<String, Row> = lines.filter_map(|line| row_of(line, index)).collect();
    for (id, row) in last {
        let is_older = |known: &Row| row.at_ms < known.at_ms;
        if !rows.get(&id).is_some_and(is_older) {
            rows.insert(id, row);
        }
    }
}

fn row_of(line: &[u8], index: usize) -> Option<(String, Row)> {
    let row: Value = serde_json::from_slice(line).ok()?;
    let at = row["updated_at"].as_str().unwrap_or_default();
    let at = at.parse::<jiff::Timestamp>().ok();
    Some((
        row["id"].as_str()?.to_owned(),
        Row {
            name: row["thread_name"].as_str()?.trim().to_owned(),
            at_ms: at.map_or(0, jiff::Timestamp::as_millisecond),
            index,
        },
    ))
}
