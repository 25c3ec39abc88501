//! Owns what lists of threads are filtered by: kinds of sources, and directories of several names.

use std::fmt;

use serde_json::Value;

/// What began a thread, in the words of upstream's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// The command line.
    Cli,
    /// An editor.
    Vscode,
    /// A run without a person.
    Exec,
    /// A client of the app server.
    AppServer,
    /// Another thread, for whatever.
    SubAgent,
    /// Another thread, for a review.
    SubAgentReview,
    /// Another thread, for a compaction.
    SubAgentCompact,
    /// Another thread, which spawned it.
    SubAgentThreadSpawn,
    /// Another thread, for anything else.
    SubAgentOther,
    /// A source that its maker named.
    Custom,
    /// Anything else.
    Unknown,
}

impl SourceKind {
    /// All of them, as they are written.
    pub const ALL: [(&'static str, SourceKind); 11] = [
        ("cli", SourceKind::Cli),
        ("vscode", SourceKind::Vscode),
        ("exec", SourceKind::Exec),
        ("appServer", SourceKind::AppServer),
        ("subAgent", SourceKind::SubAgent),
        ("subAgentReview", SourceKind::SubAgentReview),
        ("subAgentCompact", SourceKind::SubAgentCompact),
        ("subAgentThreadSpawn", SourceKind::SubAgentThreadSpawn),
        ("subAgentOther", SourceKind::SubAgentOther),
        ("custom", SourceKind::Custom),
        ("unknown", SourceKind::Unknown),
    ];

    /// The kind of this name, in any case; the recorded name `mcp` is the app server's.
    #[must_use]
    pub fn parse(text: &str) -> Option<SourceKind> {
        if text == "mcp" {
            return Some(SourceKind::AppServer);
        }
        let mut all = SourceKind::ALL.into_iter();
        all.find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, kind)| kind)
    }

    /// Whether a thread of that kind is one of this one, too.
    pub(super) fn covers(self, kind: SourceKind) -> bool {
        self == kind || (self == SourceKind::SubAgent && kind.is_of_subagent())
    }

    /// The narrowest kind of a recorded source; one that was not recorded is an editor's.
    pub(super) fn of(source: Option<&str>) -> SourceKind {
        let Some(source) = source else {
            return SourceKind::Vscode;
        };
        if let Ok(Value::Object(fields)) = serde_json::from_str(source) {
            return match fields.get("subagent").or(fields.get("subAgent")) {
                Some(Value::String(kind)) if kind == "review" => SourceKind::SubAgentReview,
                Some(Value::String(kind)) if kind == "compact" => SourceKind::SubAgentCompact,
                Some(kind) if kind.get("thread_spawn").is_some() => SourceKind::SubAgentThreadSpawn,
                Some(_) => SourceKind::SubAgentOther,
                None if fields.contains_key("custom") => SourceKind::Custom,
                None => SourceKind::Unknown,
            };
        }
        match source {
            "cli" => SourceKind::Cli,
            "vscode" => SourceKind::Vscode,
            "exec" => SourceKind::Exec,
            "mcp" | "appServer" => SourceKind::AppServer,
            _ => SourceKind::Unknown,
        }
    }

    /// Its number among all kinds.
    pub(super) fn number(self) -> u8 {
        let at = SourceKind::ALL.iter().position(|(_, kind)| *kind == self);
        u8::try_from(at.expect("the table has all kinds")).expect("there are few kinds")
    }

    /// The kind of a number.
    pub(super) fn numbered(number: u8) -> SourceKind {
        let kind = SourceKind::ALL.get(usize::from(number));
        kind.map_or(SourceKind::Unknown, |(_, kind)| *kind)
    }

    /// Whether another thread began it.
    pub(super) fn is_of_subagent(self) -> bool {
        matches!(
            self,
            SourceKind::SubAgent
                | SourceKind::SubAgentReview
                | SourceKind::SubAgentCompact
                | SourceKind::SubAgentThreadSpawn
                | SourceKind::SubAgentOther
        )
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = SourceKind::ALL.into_iter();
        let name = all.find(|(_, kind)| kind == self).map(|(name, _)| name);
        f.write_str(name.unwrap_or_default())
    }
}

/// A directory in the one form in which names of it are compared: without separators at its end or
/// two of them in a row, and of a Windows host with its drive in upper case, back slashes, and
/// without the prefix `\\?\`. Where it leads on a disk is not looked at.
#[must_use]
pub fn same_directory(path: &str) -> String {
    let plain = path.strip_prefix(r"\\?\").unwrap_or(path);
    let plain = plain
        .strip_prefix(r"UNC\")
        .map_or_else(|| plain.to_owned(), |share| format!(r"\\{share}"));
    let is_windows = matches!(plain.as_bytes(), [drive, b':', ..] if drive.is_ascii_alphabetic())
        || plain.starts_with(r"\\");
    let mut out = String::with_capacity(plain.len());
    let separator = if is_windows { '\\' } else { '/' };
    for letter in plain.chars() {
        let letter = if is_windows && letter == '/' {
            separator
        } else {
            letter
        };
        // A share begins with two.
        let is_second = letter == separator && out.ends_with(separator);
        if !is_second || (is_windows && out.len() == 1) {
            out.push(letter);
        }
    }
    let root = if is_windows { 3 } else { 1 };
    if out.len() > root && out.ends_with(separator) {
        out.pop();
    }
    if is_windows && out.as_bytes().get(1) == Some(&b':') {
        out[..1].make_ascii_uppercase();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{SourceKind, same_directory};

    #[test]
    fn a_directory_has_one_form() {
        for (path, form) in [
            ("/w", "/w"),
            ("/w/", "/w"),
            ("/w//a///", "/w/a"),
            ("/", "/"),
            ("//", "/"),
            (r"c:\Users\ada", r"C:\Users\ada"),
            (r"C:/Users/ada/", r"C:\Users\ada"),
            (r"\\?\C:\Users\ada", r"C:\Users\ada"),
            (r"C:\", r"C:\"),
            (r"\\?\UNC\host\share\", r"\\host\share"),
            (r"\\host\share", r"\\host\share"),
            (r"/w\a", r"/w\a"),
            ("w/a/", "w/a"),
            ("", ""),
        ] {
            assert_eq!(same_directory(path), form, "{path}");
            assert_eq!(same_directory(form), form, "{path}");
        }
    }

    #[test]
    fn a_source_has_one_kind() {
        for (source, kind) in [
            (None, SourceKind::Vscode),
            (Some("cli"), SourceKind::Cli),
            (Some("mcp"), SourceKind::AppServer),
            (Some("else"), SourceKind::Unknown),
            (Some(r#"{"subagent":"review"}"#), SourceKind::SubAgentReview),
            (
                Some(r#"{"subagent":{"thread_spawn":{"parent_thread_id":"p","depth":1}}}"#),
                SourceKind::SubAgentThreadSpawn,
            ),
            (
                Some(r#"{"subagent":{"other":"guardian"}}"#),
                SourceKind::SubAgentOther,
            ),
            (Some(r#"{"custom":"atlas"}"#), SourceKind::Custom),
            (Some(r#"{"internal":"x"}"#), SourceKind::Unknown),
        ] {
            assert_eq!(SourceKind::of(source), kind, "{source:?}");
            assert_eq!(SourceKind::parse(&kind.to_string()), Some(kind));
            assert!(kind.covers(kind));
            assert_eq!(SourceKind::SubAgent.covers(kind), kind.is_of_subagent());
            assert_eq!(SourceKind::numbered(kind.number()), kind);
        }
        assert_eq!(
            SourceKind::parse("SUBAGENTreview"),
            Some(SourceKind::SubAgentReview)
        );
        assert_eq!(SourceKind::parse("nobody"), None);
    }
}
