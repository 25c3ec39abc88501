//! Owns the question whose rollout a source is, asked of its first lines.

use std::io;

use serde::Deserialize;
use serde::de::IgnoredAny;
use turnleaf_engine::format::ThreadId;
use turnleaf_projector::payload::{self, Effect, HeadLack};

use super::Skip;
use super::lines::Lines;

/// How far the head is looked for, bytes: most are in the first ones.
const LOOKS_BYTES: [usize; 2] = [64 << 10, 2 << 20];

/// What the beginning of a source says.
pub(super) enum Head {
    /// It belongs to this thread; a field that its head lacks.
    Thread(ThreadId, Option<HeadLack>),
    /// It is not to be imported.
    Skip(Skip),
}

/// Finds the thread: the first `session_meta` decides, else the head of an old file, else the name.
pub(super) fn identify(lines: &mut Lines<'_>, hint: Option<&str>) -> io::Result<Head> {
    for len in LOOKS_BYTES {
        let (bytes, is_all) = lines.peek(len)?;
        let is_last = is_all || Some(&len) == LOOKS_BYTES.last();
        if let Some(head) = head_of(bytes, is_last, hint) {
            return Ok(head);
        }
    }
    let has_meta = false;
    Ok(Head::Skip(Skip::NoThread { has_meta }))
}

/// What the first bytes say. `None` where more of them may say more.
fn head_of(bytes: &[u8], is_last: bool, hint: Option<&str>) -> Option<Head> {
    let whole = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
    let bytes = if is_last { bytes } else { &bytes[..whole] };
    let mut found: Option<String> = None;
    let mut lacks = None;
    let (mut is_found, mut has_meta) = (false, false);
    let mut records = 0;
    let mut blank = true;
    for line in bytes.split(|byte| *byte == b'\n') {
        blank &= line.iter().all(u8::is_ascii_whitespace);
        let decoded = payload::decode(line);
        match &decoded.effect {
            Effect::SessionMeta(meta) => {
                found = Some(meta.id.clone().into_owned());
                is_found = true;
                break;
            }
            Effect::IncompleteHead(meta, field) => {
                found = Some(meta.id.clone().into_owned());
                lacks = Some(*field);
                is_found = true;
                break;
            }
            Effect::BareHead(head) => {
                found.get_or_insert(head.id.clone().into_owned());
            }
            Effect::Rejected(_) => {
                let like = Like::of(line);
                if let Like::Meta { mode: Some(mode) } = like {
                    return Some(Head::Skip(Skip::HistoryMode(mode)));
                }
                has_meta |= matches!(like, Like::Meta { .. });
                records += usize::from(like != Like::Nothing);
            }
            _ => records += usize::from(decoded.is_accepted()),
        }
    }
    if !is_last && !is_found {
        return None;
    }
    if blank {
        return Some(Head::Skip(Skip::Empty));
    }
    let id = match (found, hint) {
        (Some(id), _) => id,
        (None, _) if records == 0 => return Some(Head::Skip(Skip::NotARollout)),
        (None, Some(hint)) => hint.to_owned(),
        (None, None) => return Some(Head::Skip(Skip::NoThread { has_meta })),
    };
    Some(match ThreadId::parse(&id) {
        Ok(id) => Head::Thread(id, lacks),
        Err(_) => Head::Skip(Skip::BadThreadId(id)),
    })
}

/// What a line is like that is no record.
#[derive(PartialEq)]
enum Like {
    /// Nothing that an agent writes.
    Nothing,
    /// A record that lacks something, such as its time stamp.
    Record,
    /// A `session_meta`; with a history mode that is not known.
    Meta { mode: Option<String> },
}

impl Like {
    fn of(line: &[u8]) -> Like {
        #[derive(Deserialize)]
        struct Keys {
            #[serde(rename = "type")]
            kind: String,
            payload: Payload,
        }
        #[derive(Deserialize)]
        struct Payload {
            history_mode: Option<IgnoredOr>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum IgnoredOr {
            Text(String),
            Other(IgnoredAny),
        }
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let Ok(keys) = serde_json::from_slice::<Keys>(line) else {
            return Like::Nothing;
        };
        if keys.kind != "session_meta" {
            return Like::Record;
        }
        let mode = match keys.payload.history_mode {
            Some(IgnoredOr::Text(mode)) if mode != "legacy" && mode != "paginated" => Some(mode),
            _ => None,
        };
        Like::Meta { mode }
    }
}
