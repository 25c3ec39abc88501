//! Owns the search for sources: which files below the given paths are rollouts or name indexes.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// The file that holds thread names.
const NAME_INDEX: &str = "session_index.jsonl";

/// A file that may be a rollout.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
    /// Neither named by the user nor named as rollouts are: it may be something else.
    pub(crate) guessed: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) rollouts: Vec<Candidate>,
    pub(crate) name_indexes: Vec<PathBuf>,
    pub(crate) skipped: Vec<(String, String)>,
}

/// Looks through the paths. A file that is named is taken whatever it is called; below a directory
/// every .jsonl file is, packed or not.
pub(crate) fn find(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
    for path in paths {
        if !path.is_dir() {
            add(&mut found, &mut seen, path.clone(), false);
            continue;
        }
        for entry in walkdir::WalkDir::new(path).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => {
                    let name = entry.file_name().to_string_lossy();
                    if let Some(core) = core_of(&name) {
                        let guessed = !core.starts_with("rollout-");
                        add(&mut found, &mut seen, entry.into_path(), guessed);
                    }
                }
                Err(error) => {
                    let at = error.path().unwrap_or(path).display().to_string();
                    let of_system = error.io_error().map(ToString::to_string);
                    let reason = of_system.unwrap_or_else(|| error.to_string());
                    found.skipped.push((at, reason));
                }
            }
        }
    }
    // A plain file wins over its packed sibling: it is the one that grows.
    let packed = |found: &Candidate| {
        let plain = found
            .path
            .to_string_lossy()
            .strip_suffix(".zst")
            .map(PathBuf::from);
        plain.is_none_or(|plain| !seen.contains(&plain))
    };
    found.rollouts.retain(packed);
    found
}

fn add(found: &mut Found, seen: &mut BTreeSet<PathBuf>, path: PathBuf, guessed: bool) {
    if !seen.insert(path.clone()) {
        return;
    }
    if path.file_name().is_some_and(|name| name == NAME_INDEX) {
        found.name_indexes.push(path);
    } else {
        found.rollouts.push(Candidate { path, guessed });
    }
}

/// The name without its ending, of a file that may hold lines.
fn core_of(name: &str) -> Option<&str> {
    name.strip_suffix(".zst")
        .unwrap_or(name)
        .strip_suffix(".jsonl")
}

/// The thread's id in a rollout's name: what follows the time.
pub(crate) fn thread_of_name(name: &str) -> Option<String> {
    let core = core_of(name)?.strip_prefix("rollout-")?;
    let start = core
        .len()
        .checked_sub(36)
        .filter(|start| core.is_char_boundary(*start))?;
    let id = &core[start..];
    let dashes = [8, 13, 18, 23];
    let uuid = id.char_indices().all(|(at, letter)| {
        if dashes.contains(&at) {
            letter == '-'
        } else {
            letter.is_ascii_hexdigit()
        }
    });
    uuid.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{core_of, thread_of_name};

    #[test]
    fn files_of_lines_are_known_by_their_endings() {
        assert_eq!(core_of("rollout-x.jsonl"), Some("rollout-x"));
        assert_eq!(core_of("a.jsonl.zst"), Some("a"));
        assert_eq!(core_of("rollout-compress-1.tmp"), None);
        assert_eq!(core_of("a.jsonl.zst.tmp"), None);
        assert_eq!(core_of("jsonl"), None);
    }

    #[test]
    fn the_id_follows_the_time() {
        let id = "019f0000-0000-7000-8000-00000000006a";
        let name = format!("rollout-2026-01-01T00-00-00-{id}.jsonl.zst");
        assert_eq!(thread_of_name(&name).as_deref(), Some(id));
        assert_eq!(thread_of_name("rollout-2026.jsonl"), None);
    }
}
