//! Owns what an agent's home is and where it lies. Of a home only the threads and their names are
//! read: work trees and the like below it may hold rollouts that are nobody's history.

use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// The directory in which upstream keeps threads.
pub(super) const SESSIONS: &str = "sessions";
/// The directory in which upstream keeps archived threads.
pub(crate) const ARCHIVE: &str = "archived_sessions";

/// What is said where a path leads to a home.
pub(super) const READ_OF_IT: &str = "an agent's home: of it only sessions, archived_sessions and \
                                     session_index.jsonl are read; name other folders to import \
                                     them, too";

/// Whether a directory is an agent's home.
pub(super) fn is_home(dir: &Path) -> bool {
    dir.join(SESSIONS).is_dir() || dir.join(ARCHIVE).is_dir()
}

/// The home of this user's agent: `$CODEX_HOME`, else `~/.codex`.
pub(crate) fn of_user() -> Result<PathBuf, Failure> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = variable("CODEX_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".codex")));
    match home {
        Some(home) if home.is_dir() => Ok(home),
        Some(home) => Err(Failure::Usage(format!(
            "there is no agent's home at {}: name files or directories to import, \
             or set CODEX_HOME",
            home.display()
        ))),
        None => Err(Failure::usage(
            "neither CODEX_HOME nor HOME is set: name files or directories to import",
        )),
    }
}

/// The home that a path is, or that it is the `sessions` or `archived_sessions` of.
pub(crate) fn around(path: &Path) -> Result<PathBuf, Failure> {
    if is_home(path) {
        return Ok(path.to_owned());
    }
    let shown = path.display();
    let real = path
        .canonicalize()
        .map_err(Failure::io(format_args!("find {shown}")))?;
    real.ancestors()
        .find(|dir| is_home(dir))
        .map(Path::to_owned)
        .ok_or_else(|| {
            Failure::Usage(format!(
                "{shown} is in no agent's home: neither it nor a directory above it holds \
                 {SESSIONS} or {ARCHIVE}"
            ))
        })
}
