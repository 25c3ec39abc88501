//! Owns exit codes and the form of errors, as scripts rely on them.

use std::process::ExitCode;

use serde_json::{Value, json};
use turnleaf::Damage;

use crate::failure::Failure;
use crate::output::{print_json, warn};

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// Some inputs were skipped, the rest is done.
    Partial,
    /// Damage was met; what is readable was printed.
    Damaged,
}

impl Failure {
    /// Prints the error in the form that was asked for and gives the exit code.
    pub(crate) fn report(&self, as_json: bool) -> ExitCode {
        let (code, exit) = self.code();
        let message = match self {
            Failure::Usage(message) => message.clone(),
            Failure::Io { what, source } => format!("cannot {what}: {source}"),
            Failure::BrokenPipe => return ExitCode::SUCCESS,
            Failure::Store(error) => error.to_string(),
            Failure::Opening { dir, .. } if dir.exists() && !dir.is_dir() => {
                format!("{} is not a directory", dir.display())
            }
            Failure::Opening { dir, error } => format!("{}: {error}", dir.display()),
        };
        if as_json {
            let mut error = json!({ "code": code, "message": message });
            if let Failure::Store(of_store)
            | Failure::Opening {
                error: of_store, ..
            } = self
            {
                if let Some(thread) = of_store.thread() {
                    error["thread"] = json!(thread);
                }
                if let Some(owner) = of_store.owner() {
                    error["detail"] = json!({
                        "pid": owner.pid,
                        "host": owner.host,
                        "sinceMs": owner.since_ms,
                    });
                }
                if let Some(damage) = of_store.damage() {
                    error["detail"] = damage_json(of_store.thread(), damage);
                }
            }
            if print_json(&json!({ "error": error })).is_err() {
                warn(message);
            }
        } else {
            warn(message);
        }
        ExitCode::from(exit)
    }
}

/// A damage report for programs.
pub(crate) fn damage_json(thread: Option<&str>, damage: &Damage) -> Value {
    json!({
        "thread": thread,
        "file": damage.file,
        "offset": damage.offset,
        "length": damage.length,
        "ordinals": damage.ordinals.map(|(first, end)| [first.0, end.0.saturating_sub(1)]),
        "cause": damage.cause.to_string(),
        "readable": "everything outside these ordinals",
    })
}
