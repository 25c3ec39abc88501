//! Owns the names of threads in `session_index.jsonl` files: the newest line of an id decides, and
//! between that and a name given in the store the newer of the two.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use turnleaf::{ErrorKind, Store, ThreadCounts};

use crate::exit::Failure;

/// What an index says of a thread.
struct Row {
    name: String,
    /// When it was written, Unix milliseconds; 0, before everything else, where it does not say.
    at_ms: i64,
}

/// Names the threads that the indexes name otherwise, since a later time. Of threads that are not
/// in the store the names are kept for them. Lines that are none are passed by, as their writer
/// does.
pub(crate) fn apply(
    store: &Store,
    indexes: &[PathBuf],
    skipped: &mut Vec<(String, String)>,
) -> Result<(), Failure> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for path in indexes {
        match std::fs::read(path) {
            Ok(bytes) => rows.extend(bytes.split(|byte| *byte == b'\n').filter_map(row_of)),
            Err(error) => skipped.push((path.display().to_string(), error.to_string())),
        }
    }
    let ids: Vec<String> = rows.keys().cloned().collect();
    let counts = store.counts(&ids)?;
    let known: BTreeMap<&str, &ThreadCounts> = counts
        .iter()
        .map(|thread| (thread.id.as_str(), thread))
        .collect();
    let mut importer = store.importer()?;
    for (id, row) in &rows {
        let thread = known.get(id.as_str());
        let name = thread.and_then(|thread| thread.name.as_deref());
        let named_at_ms = thread.and_then(|thread| thread.named_at_ms);
        let is_older = named_at_ms.is_some_and(|at_ms| row.at_ms < at_ms);
        if is_older || name.unwrap_or_default() == row.name {
            continue;
        }
        match importer.name(id, &row.name, row.at_ms) {
            Ok(()) => {}
            // No id, or that of a thread that was deleted here, is damaged, or is being imported.
            Err(error) => match error.kind() {
                ErrorKind::Invalid | ErrorKind::Damaged | ErrorKind::Busy => {}
                _ => return Err(error.into()),
            },
        }
    }
    Ok(importer.finish()?)
}

fn row_of(line: &[u8]) -> Option<(String, Row)> {
    let row: Value = serde_json::from_slice(line).ok()?;
    let at = row["updated_at"].as_str().unwrap_or_default();
    let at = at.parse::<jiff::Timestamp>().ok();
    Some((
        row["id"].as_str()?.to_owned(),
        Row {
            name: row["thread_name"].as_str()?.trim().to_owned(),
            at_ms: at.map_or(0, jiff::Timestamp::as_millisecond),
        },
    ))
}
