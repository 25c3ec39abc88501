//! Owns the question whose rollout a source is, and what that goes on from, asked of its first
//! lines and of its name.

use std::io;

use serde::Deserialize;
use serde::de::IgnoredAny;
use turnleaf_engine::format::ThreadId;
use turnleaf_engine::format::catalogue::Awaited;
use turnleaf_projector::payload::{self, Effect, HeadLack};
use turnleaf_projector::uuid::{uuid, uuid_text};

use super::Skip;
use super::lines::Lines;

/// How far the head is looked for, bytes: most are in the first ones.
const LOOKS_BYTES: [usize; 2] = [64 << 10, 2 << 20];

/// What the beginning of a source says.
pub(super) enum Head {
    /// It belongs to a thread.
    Thread(Identity),
    /// It is not to be imported.
    Skip(Skip),
}

/// Whose a source is.
pub(super) struct Identity {
    pub(super) thread: ThreadId,
    /// A field that its head lacks.
    pub(super) lacks: Option<HeadLack>,
    /// What its rollout goes on from, as the head has it.
    pub(super) base: Option<Awaited>,
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
    let (mut lacks, mut base) = (None, None);
    let (mut is_found, mut has_meta) = (false, false);
    let mut records = 0;
    let mut blank = true;
    for line in bytes.split(|byte| *byte == b'\n') {
        blank &= line.iter().all(u8::is_ascii_whitespace);
        let decoded = payload::decode(line);
        match &decoded.effect {
            Effect::SessionMeta(meta) => {
                found = Some(meta.id.clone().into_owned());
                base = meta.has_base.then(|| base_of(line)).flatten();
                is_found = true;
                break;
            }
            Effect::IncompleteHead(meta, field) => {
                found = Some(meta.id.clone().into_owned());
                base = meta.has_base.then(|| base_of(line)).flatten();
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
        Ok(thread) => Head::Thread(Identity {
            thread,
            lacks,
            base,
        }),
        Err(_) => Head::Skip(Skip::BadThreadId(id)),
    })
}

/// What a head says of its base; none where it names no rollout, or says not how much of it.
fn base_of(line: &[u8]) -> Option<Awaited> {
    #[derive(Deserialize)]
    struct Keys {
        payload: Payload,
    }
    #[derive(Deserialize)]
    struct Payload {
        history_base: Stated,
    }
    #[derive(Deserialize)]
    struct Stated {
        thread_id: String,
        end_ordinal_exclusive: u64,
        end_byte_offset: Option<u64>,
    }
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let keys: Keys = serde_json::from_slice(line).ok()?;
    let stated = keys.payload.history_base;
    Some(Awaited {
        id: ThreadId::parse(&usual(stated.thread_id)).ok()?,
        stated_end: stated.end_ordinal_exclusive,
        stated_bytes: stated.end_byte_offset.unwrap_or(0),
    })
}

/// The id of the rollout that a file of a thread holds, by the file's name:
/// `rollout-<time>-<thread>_<rollout>.jsonl`, or without the rollout's id, which is the thread's
/// then.
pub(super) fn rollout_of(path: &str, thread: &ThreadId) -> ThreadId {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let name = name.strip_suffix(".zst").unwrap_or(name);
    let name = name.strip_suffix(".jsonl").unwrap_or(name);
    // An id may have the form of a thread's and a rollout's.
    let is_first = name.strip_suffix(thread.as_str());
    if is_first.is_some_and(|before| before.is_empty() || before.ends_with('-')) {
        return thread.clone();
    }
    let parts = name.rsplit_once('_');
    let own = parts.filter(|(before, own)| before.starts_with("rollout-") && uuid(own).is_some());
    let own = own.and_then(|(_, own)| ThreadId::parse(&usual(own.to_owned())).ok());
    own.unwrap_or_else(|| thread.clone())
}

/// An id as rollouts are told apart by it: UUIDs in lower case.
fn usual(id: String) -> String {
    uuid(&id).map_or(id, uuid_text)
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
