//! Owns the search for sources: which files below the given paths are rollouts or name indexes.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use turnleaf::uuid;

use super::{home, source};

/// A file that may be a rollout.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
    /// How it was found.
    pub(crate) by: By,
}

/// How a file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The user named it.
    User,
    /// It lies below a folder and is named as rollouts are.
    Name,
    /// It lies below a folder and has the ending of a rollout: it may be something else.
    Ending,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) rollouts: Vec<Candidate>,
    pub(crate) name_indexes: Vec<PathBuf>,
    pub(crate) skipped: Vec<(String, String)>,
    /// What is worth knowing and costs nothing.
    pub(crate) remarks: Vec<(String, String)>,
    /// Homes below the paths, of which only threads and names are taken.
    pub(crate) homes: Vec<PathBuf>,
    seen: BTreeSet<PathBuf>,
}

/// Looks through the paths. A file that is named is taken whatever it is called; below a directory
/// every .jsonl file is, packed or not. Of an agent's home only the threads and their names are.
pub(crate) fn find(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for path in paths {
        if path.is_dir() {
            found.walk(path);
        } else {
            found.add(path.clone(), By::User);
        }
    }
    found.prefer_plain()
}

/// What is said of a home that holds no threads.
const NOTHING: &str = "an agent's home without threads: it holds neither a rollout in sessions or \
                       archived_sessions nor session_index.jsonl";

/// Looks through agents' homes.
pub(crate) fn find_in_homes(homes: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for home in homes {
        let before = (found.seen.len(), found.skipped.len());
        found.walk_home(home);
        if (found.seen.len(), found.skipped.len()) == before {
            let at = home.display().to_string();
            found.remarks.push((at, NOTHING.to_owned()));
        }
    }
    found.prefer_plain()
}

impl Found {
    fn walk(&mut self, dir: &Path) {
        let mut entries = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {
                    if home::is_home(entry.path()) {
                        entries.skip_current_dir();
                        self.walk_home(entry.path());
                        self.homes.push(entry.into_path());
                    }
                }
                Ok(entry) => {
                    let name = entry.file_name().to_string_lossy();
                    if let Some(core) = core_of(&name) {
                        let by = match core.starts_with("rollout-") {
                            true => By::Name,
                            false => By::Ending,
                        };
                        self.add(entry.into_path(), by);
                    }
                }
                Err(error) => {
                    let at = error.path().unwrap_or(dir).display().to_string();
                    let of_system = error.io_error().map(ToString::to_string);
                    let reason = of_system.unwrap_or_else(|| error.to_string());
                    self.skipped.push((at, reason));
                }
            }
        }
    }

    fn walk_home(&mut self, home: &Path) {
        for folder in [home::SESSIONS, home::ARCHIVE] {
            let folder = home.join(folder);
            if self.is_there(&folder, Path::metadata) {
                self.walk(&folder);
            }
        }
        let names = home.join(home::NAME_INDEX);
        if self.is_there(&names, Path::symlink_metadata) {
            self.add(names, By::Name);
        }
    }

    /// Whether a part of a home is there. What cannot be looked at is not taken for absent.
    fn is_there(&mut self, path: &Path, look: impl Fn(&Path) -> io::Result<Metadata>) -> bool {
        match look(path) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                let at = path.display().to_string();
                self.skipped.push((at, error.to_string()));
                false
            }
        }
    }

    fn add(&mut self, path: PathBuf, by: By) {
        if !self.seen.insert(path.clone()) {
            return;
        }
        if path
            .file_name()
            .is_some_and(|name| name == home::NAME_INDEX)
        {
            self.name_indexes.push(path);
        } else {
            self.rollouts.push(Candidate { path, by });
        }
    }

    /// A plain file wins over its packed sibling: it is the one that grows. One that holds nothing,
    /// or cannot be asked, does not.
    fn prefer_plain(mut self) -> Found {
        let seen = std::mem::take(&mut self.seen);
        self.rollouts.retain(|found| {
            let plain = found.path.to_string_lossy();
            let plain = plain.strip_suffix(".zst").map(PathBuf::from);
            let wins = |plain: &Path| {
                plain.metadata().is_ok_and(|plain| plain.len() > 0) && !source::is_blank(plain)
            };
            plain.is_none_or(|plain| !seen.contains(&plain) || !wins(&plain))
        });
        self
    }
}

/// The name without its ending, of a file that may hold lines.
fn core_of(name: &str) -> Option<&str> {
    name.strip_suffix(".zst")
        .unwrap_or(name)
        .strip_suffix(".jsonl")
}

/// The thread's id in a rollout's name: what follows the time, in front of the rollout's own id, if
/// it has one.
pub(crate) fn thread_of_name(name: &str) -> Option<String> {
    let core = core_of(name)?.strip_prefix("rollout-")?;
    let parts = core.rsplit_once('_');
    let core = parts.map_or(
        core,
        |(before, own)| if is_uuid(own) { before } else { core },
    );
    let start = core
        .len()
        .checked_sub(36)
        .filter(|start| core.is_char_boundary(*start))?;
    let id = &core[start..];
    is_uuid(id).then(|| id.to_owned())
}

fn is_uuid(text: &str) -> bool {
    uuid(text).is_some()
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
        let further = name.replace(".jsonl", "_019f0000-0000-7000-8000-0000000000b1.jsonl");
        assert_eq!(thread_of_name(&further).as_deref(), Some(id));
        assert_eq!(thread_of_name("rollout-2026.jsonl"), None);
    }
}
