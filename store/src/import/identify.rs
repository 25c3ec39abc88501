//! Owns the question whose rollout a source is, asked of its first lines.

use std::io;

use serde_json::Value;
use turnleaf_engine::format::ThreadId;
use turnleaf_projector::fold::{self, Effect};

use super::Skip;
use super::lines::Lines;

/// How far the head is looked for, bytes.
const LOOK_BYTES: usize = 2 << 20;

/// What the beginning of a source says.
pub(super) enum Head {
    /// It belongs to this thread.
    Thread(ThreadId),
    /// It is not to be imported.
    Skip(Skip),
}

/// Finds the thread: the first `session_meta` decides, else the head of an old file, else the name.
pub(super) fn identify(lines: &mut Lines<'_>, hint: Option<&str>) -> io::Result<Head> {
    let bytes = lines.peek(LOOK_BYTES)?;
    let mut found: Option<String> = None;
    let mut records = 0;
    let mut blank = true;
    for line in bytes.split(|byte| *byte == b'\n') {
        blank &= line.iter().all(u8::is_ascii_whitespace);
        let decoded = fold::decode(line);
        match &decoded.effect {
            Effect::SessionMeta(meta) => {
                found = Some(meta.id.clone().into_owned());
                break;
            }
            Effect::BareHead(head) => {
                records += 1;
                found.get_or_insert(head.id.clone().into_owned());
            }
            Effect::Rejected(_) => {
                if let Some(mode) = unknown_mode(line) {
                    return Ok(Head::Skip(Skip::HistoryMode(mode)));
                }
            }
            _ => records += usize::from(decoded.is_accepted()),
        }
    }
    if blank {
        return Ok(Head::Skip(Skip::Empty));
    }
    let id = match (found, hint) {
        (Some(id), _) => id,
        (None, _) if records == 0 => return Ok(Head::Skip(Skip::NotARollout)),
        (None, Some(hint)) => hint.to_owned(),
        (None, None) => return Ok(Head::Skip(Skip::NoThread)),
    };
    Ok(match ThreadId::parse(&id) {
        Ok(id) => Head::Thread(id),
        Err(_) => Head::Skip(Skip::BadThreadId(id)),
    })
}

/// The history mode of a head that was refused for it.
fn unknown_mode(line: &[u8]) -> Option<String> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let head: Value = serde_json::from_slice(line).ok()?;
    if head.get("type")? != "session_meta" {
        return None;
    }
    let mode = head.get("payload")?.get("history_mode")?.as_str()?;
    (!matches!(mode, "legacy" | "paginated")).then(|| mode.to_owned())
}
