//! Owns the names of threads in `session_index.jsonl` files: the newest line of an id decides.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use turnleaf::Store;

use crate::exit::Failure;

/// Names the threads of the store that the indexes name otherwise. Lines that are none are passed
/// by, as their writer does.
pub(crate) fn apply(
    store: &Store,
    indexes: &[PathBuf],
    skipped: &mut Vec<(String, String)>,
) -> Result<(), Failure> {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for path in indexes {
        match std::fs::read(path) {
            Ok(bytes) => names.extend(bytes.split(|byte| *byte == b'\n').filter_map(name_of)),
            Err(error) => skipped.push((path.display().to_string(), error.to_string())),
        }
    }
    for thread in store.log_threads() {
        let Some(name) = names.get(&thread.id) else {
            continue;
        };
        let shown = store.show(&thread.id)?;
        if shown.thread["name"].as_str().unwrap_or_default() != name {
            store.set_name(&thread.id, name)?;
        }
    }
    Ok(())
}

fn name_of(line: &[u8]) -> Option<(String, String)> {
    let row: Value = serde_json::from_slice(line).ok()?;
    Some((
        row["id"].as_str()?.to_owned(),
        row["thread_name"].as_str()?.trim().to_owned(),
    ))
}
