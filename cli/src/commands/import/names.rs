//! Owns the names of threads in `session_index.jsonl` files. Of the lines of an id the last one of
//! a file decides, as its writer reads it; between files, and between them and a name given in the
//! store, the newest decides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use turnleaf::{Error, ErrorKind, KnownName, ListedName, Previewer, Store, ThreadCounts, uuid};

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

/// The rows of indexes, by thread.
struct Listed {
    rows: BTreeMap<String, Row>,
    /// The indexes: path, and length in bytes.
    lists: Vec<(String, u64)>,
}

/// Reads indexes; what calls a thread by its id in the store is `known_id`. Lines that are no rows
/// are passed by, as their writer does.
fn read(
    indexes: &[PathBuf],
    known_id: &dyn Fn(&str) -> String,
    skipped: &mut Vec<(String, String)>,
) -> Listed {
    let (mut rows, mut lists) = (BTreeMap::new(), Vec::new());
    for path in indexes {
        match std::fs::read(path) {
            Ok(bytes) => {
                keep_newest(&mut rows, &bytes, lists.len(), known_id);
                lists.push((super::shown(path), bytes.len() as u64));
            }
            Err(error) => {
                let reason = super::source::reason_of(path, &error);
                skipped.push((path.display().to_string(), reason));
            }
        }
    }
    Listed { rows, lists }
}

/// What [`apply`] would come to; `threads` would be there then.
pub(super) fn foresee(
    store: Option<&Store>,
    indexes: &[PathBuf],
    threads: &BTreeSet<String>,
    skipped: &mut Vec<(String, String)>,
) -> Names {
    let known_id = |id: &str| match store {
        Some(store) => store.known_id(id),
        None if uuid(id).is_some() => id.to_lowercase(),
        None => id.to_owned(),
    };
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let previewer = Previewer::new(store);
    let mut names = Names::default();
    for (id, row) in read(indexes, &known_id, skipped).rows {
        let known = match previewer.name(&id) {
            Ok(known) => known,
            // No id, or that of a thread that was deleted: then it may be imported again.
            Err(error) if error.kind() == ErrorKind::Invalid => {
                if !threads.contains(&id) {
                    continue;
                }
                None
            }
            Err(error) => {
                skipped.push(unnamed(&id, &error));
                continue;
            }
        };
        let has_records = threads.contains(&id) || known.as_ref().is_some_and(|it| it.has_records);
        let known = KnownName {
            has_records,
            ..known.unwrap_or_default()
        };
        names.count(&row, &known, row.says_more(&known, now_ms));
    }
    names
}

/// Names the threads that the indexes name otherwise, since a later time. Of threads that are not
/// in the store the names are kept for them. A name that cannot be given is skipped, and costs the
/// others nothing.
pub(super) fn apply(
    store: &Store,
    indexes: &[PathBuf],
    skipped: &mut Vec<(String, String)>,
) -> Names {
    let known_id = |id: &str| store.known_id(id);
    let Listed { mut rows, lists } = read(indexes, &known_id, skipped);
    let ids: Vec<String> = rows.keys().cloned().collect();
    let counts = store.counts(&ids);
    // Whose name is not known may have a newer one.
    for (id, error) in counts.uncounted {
        rows.remove(&id);
        skipped.push(unnamed(&id, &error));
    }
    let known = counts.counted.into_iter().map(known_of).collect();
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
    known: &BTreeMap<String, KnownName>,
    skipped: &mut Vec<(String, String)>,
) -> Result<Names, Error> {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let mut importer = store.importer()?;
    let mut names = Names::default();
    let nothing = KnownName::default();
    for (id, row) in rows {
        let known = known.get(id).unwrap_or(&nothing);
        if !row.says_more(known, now_ms) {
            names.count(row, known, false);
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
            Ok(()) => names.count(row, known, true),
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

fn known_of(thread: ThreadCounts) -> (String, KnownName) {
    let known = KnownName {
        name: thread.name,
        named_at_ms: thread.named_at_ms,
        name_stated_at_ms: thread.name_stated_at_ms,
        has_records: thread.records > 0,
    };
    (thread.id, known)
}

impl Names {
    /// Counts a name that the store has, because it takes it or has it already. It may have another
    /// one that is newer; and one that was taken away is none.
    fn count(&mut self, row: &Row, known: &KnownName, is_taken: bool) {
        let is_other = row.is_other(known);
        if row.name.is_empty() || (is_other && !is_taken) {
            return;
        }
        self.kept += 1;
        self.added += u64::from(is_other);
        self.waiting += u64::from(!known.has_records);
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
    fn says_more(&self, known: &KnownName, now_ms: i64) -> bool {
        let is_other = self.is_other(known);
        let (Some(named), Some(stated)) = (known.named_at_ms, known.name_stated_at_ms) else {
            return is_other;
        };
        if self.at_ms == named {
            return is_other;
        }
        let is_news = self.at_ms > stated || (self.at_ms < stated && self.at_ms <= now_ms);
        is_news && self.at_ms > named
    }

    fn is_other(&self, known: &KnownName) -> bool {
        known.name.as_deref().unwrap_or_default() != self.name
    }
}

/// Takes the last row of each thread in a file, unless another file has a newer one.
fn keep_newest(
    rows: &mut BTreeMap<String, Row>,
    file: &[u8],
    index: usize,
    known_id: &dyn Fn(&str) -> String,
) {
    let lines = file.split(|byte| *byte == b'\n');
    let named = lines.filter_map(|line| row_of(line, index));
    let last: BTreeMap<String, Row> = named.map(|(id, row)| (known_id(&id), row)).collect();
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
