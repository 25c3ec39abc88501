//! Owns command lines and the actions recognised in them; it must not know the item around them.

use serde_json::{Value, json};

use crate::payload::items::shapes::ParsedCommand;
use crate::payload::json::paths::Place;
use crate::payload::json::wire::Str;

/// Stands for a command that no shell could be given.
const HAS_NUL: &str = "<command included NUL byte>";

/// One line that a POSIX shell would split into `argv` again.
pub(crate) fn line<'a>(argv: impl IntoIterator<Item = &'a Str<'a>>) -> String {
    let argv: Vec<String> = argv.into_iter().map(Str::text).collect();
    joined(argv.iter().map(String::as_str))
}

/// As [`line`], of decoded words.
pub(crate) fn joined<'a>(argv: impl IntoIterator<Item = &'a str>) -> String {
    shlex::try_join(argv).unwrap_or_else(|_| HAS_NUL.to_owned())
}

/// The served actions. A `read` is resolved below `cwd`, and left out where that is impossible.
pub(crate) fn actions(parsed: &[ParsedCommand<'_>], cwd: &Place) -> Vec<Value> {
    parsed
        .iter()
        .filter_map(|command| action(command, cwd))
        .collect()
}

/// The one action of a command that nobody parsed.
pub(crate) fn unknown_action(command: &str) -> Vec<Value> {
    vec![json!({ "type": "unknown", "command": command })]
}

fn action(command: &ParsedCommand<'_>, cwd: &Place) -> Option<Value> {
    Some(match command {
        ParsedCommand::Read(read) => json!({
            "type": "read",
            "command": read.cmd.value(),
            "name": read.name.value(),
            "path": cwd.join(&read.path.text())?,
        }),
        ParsedCommand::ListFiles(list) => json!({
            "type": "listFiles",
            "command": list.cmd.value(),
            "path": list.path.map(|path| path.value()),
        }),
        ParsedCommand::Search(search) => json!({
            "type": "search",
            "command": search.cmd.value(),
            "query": search.query.map(|query| query.value()),
            "path": search.path.map(|path| path.value()),
        }),
        ParsedCommand::Unknown(unknown) => {
            json!({ "type": "unknown", "command": unknown.cmd.value() })
        }
    })
}
