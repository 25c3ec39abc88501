//! Owns what an agent's home is and where it lies. Of a home only the threads and their names are
//! read: work trees and the like below it may hold rollouts that are nobody's history.

use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::{Path, PathBuf};

use super::source::reason_of;
use crate::failure::Failure;

/// The directory in which upstream keeps threads.
pub(super) const SESSIONS: &str = "sessions";
/// The directory in which upstream keeps archived threads.
pub(crate) const ARCHIVE: &str = "archived_sessions";

/// The file that holds thread names.
pub(super) const NAME_INDEX: &str = "session_index.jsonl";

/// What is said where a path leads to a home.
pub(super) const READ_OF_IT: &str = "an agent's home: of it only sessions, archived_sessions and \
                                     session_index.jsonl are read; name other folders to import \
                                     them, too";

/// What upstream keeps in a home beside the threads.
const MARKS: [&str; 4] = [NAME_INDEX, "config.toml", "auth.json", "history.jsonl"];

/// Whether a directory is an agent's home: it holds threads, and something else that only a home
/// holds, or it is named like one. A folder of sessions alone may be anybody's, and all that lies
/// beside it is looked through.
pub(super) fn is_home(dir: &Path) -> bool {
    let holds = |folder| dir.join(folder).is_dir();
    let named = || dir.file_name().is_some_and(|name| name == ".codex");
    let marked = || MARKS.iter().any(|mark| dir.join(mark).exists());
    match (holds(SESSIONS), holds(ARCHIVE)) {
        (true, true) => true,
        (false, false) => false,
        _ => named() || marked() || is_users(dir),
    }
}

fn is_users(dir: &Path) -> bool {
    std::env::var_os("CODEX_HOME").is_some_and(|home| Path::new(&home) == dir)
}

/// The home of this user's agent: `$CODEX_HOME`, else `~/.codex`.
pub(crate) fn of_user() -> Result<PathBuf, Failure> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = variable("CODEX_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".codex")));
    match home {
        Some(home) if home.is_dir() => Ok(home),
        Some(home) if home.is_symlink() && !home.exists() => Err(not_found(&home)),
        // One that cannot be looked at is there all the same.
        Some(home) if home.metadata().is_err_and(|error| error.kind() != NotFound) => Ok(home),
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
    let real = path.canonicalize().map_err(|error| match error.kind() {
        NotFound | NotADirectory => not_found(path),
        _ => Failure::io(format_args!("find {}", path.display()))(error),
    })?;
    if let Some(home) = around_as_named(path, &real) {
        return Ok(home);
    }
    // Of a folder of threads the home is what holds it, whatever else that holds.
    let above = |dir: &Path| match is_of_threads(dir) {
        true => dir.parent().map(Path::to_owned),
        false => is_home(dir).then(|| dir.to_owned()),
    };
    real.ancestors().find_map(above).ok_or_else(|| {
        Failure::Usage(format!(
            "{} is in no agent's home: neither it nor a directory above it holds \
                 {SESSIONS} or {ARCHIVE}",
            path.display()
        ))
    })
}

/// The home by the path as it was named, where its folder of threads is a link: what belongs to it
/// may lie beside the link. Where nothing does it is the home of what the link leads to.
fn around_as_named(path: &Path, real: &Path) -> Option<PathBuf> {
    let named = std::path::absolute(path).ok()?;
    // Above `..` the path has left what it names there.
    let mut within = named
        .ancestors()
        .take_while(|dir| dir.file_name().is_some());
    let threads = within.find(|dir| is_of_threads(dir))?;
    let leads_here = threads.canonicalize().is_ok_and(|to| real.starts_with(to));
    let home = threads.parent()?;
    let beside = [SESSIONS, ARCHIVE, NAME_INDEX].map(|name| home.join(name));
    // What cannot be looked at is there all the same.
    let is_there = |path: &PathBuf| path.try_exists().unwrap_or(true);
    let holds_more = beside.iter().any(|path| path != threads && is_there(path));
    (leads_here && holds_more).then(|| home.to_owned())
}

fn is_of_threads(dir: &Path) -> bool {
    let name = dir.file_name();
    name.is_some_and(|name| name == SESSIONS || name == ARCHIVE)
}

/// Why a path that leads to nothing is no home.
fn not_found(path: &Path) -> Failure {
    let error = NotFound.into();
    Failure::Usage(format!("{}: {}", path.display(), reason_of(path, &error)))
}
