//! Owns the step from bytes to a decoded record: stateless, total, and the hot path of a rebuild.
//!
//! A line is checked as UTF-8 once. In the written key order the payload is cut out by position and
//! its typed reading, which must consume it entirely, is the proof that the line is JSON; any other
//! line takes the general way, whose answer is final.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::payload::bounds::bound;
use crate::payload::event::{Event, event};
use crate::payload::incomplete::incomplete_head;
use crate::payload::json::pieces::{Object, Text};
use crate::payload::json::read;
use crate::payload::json::repeats::without_repeats;
use crate::payload::json::scan::has_lone_surrogate;
use crate::payload::json::time::timestamp_ms;
use crate::payload::large::LargeLine;
use crate::payload::owned;
use crate::payload::records::{
    compacted, cow, is_communication_metadata, is_world_state, session_meta, turn_context,
};
use crate::payload::response::{Communication, response};
use crate::payload::unknown::kind_of;
use crate::payload::{BareHead, Decoded, Effect, MetadataHead, Rejection};

/// Records over this many bytes are kept, and read in pieces as [`LargeLine`] does: of what is no
/// compaction only the envelope.
pub const OPAQUE_BYTES: usize = 64 << 20;

/// How the bytes given to [`decode_part`] stand to the lines of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Part {
    /// The record came without a line feed: what does not parse may still be completed.
    pub unterminated: bool,
    /// Bytes that earlier records of the same line hold; 0 for a record that begins its line.
    pub head_bytes: usize,
}

/// Decodes one line. What it holds of the line's texts is bounded: an id by [`ID_BYTES_MAX`], any
/// other text by [`TEXT_BYTES_MAX`].
///
/// [`ID_BYTES_MAX`]: super::ID_BYTES_MAX
/// [`TEXT_BYTES_MAX`]: super::TEXT_BYTES_MAX
#[must_use]
pub fn decode(line: &[u8]) -> Decoded<'_> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    if line.iter().all(u8::is_ascii_whitespace) {
        return Decoded::bare(Effect::Blank);
    }
    if line.len() > OPAQUE_BYTES {
        let mut large = LargeLine::new();
        large.push(line);
        return large.finish();
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return Decoded::bare(Effect::Rejected(Rejection::NotUtf8));
    };
    if has_lone_surrogate(text) {
        return Decoded::bare(Effect::Rejected(Rejection::NotJson));
    }
    let text = text.trim_ascii();
    let mut decoded = read_line(text);
    if !decoded.is_accepted()
        && let Some(copy) = without_repeats(text)
    {
        decoded = owned::decoded(read_line(&copy));
    }
    if let Effect::Rejected(
        Rejection::NoEnvelope
        | Rejection::Payload
        | Rejection::NoTimestamp
        | Rejection::TimestampType,
    ) = decoded.effect
        && let Some((head, lacks)) = incomplete_head(text)
    {
        decoded.effect = Effect::IncompleteHead(Box::new(head), lacks);
    }
    if let Effect::Rejected(reason) = decoded.effect {
        decoded.unknown = kind_of(text, reason).map(Cow::Owned);
    }
    bound(&mut decoded.effect);
    decoded
}

/// Reads a line in which no object repeats a key.
fn read_line(text: &str) -> Decoded<'_> {
    written_form(text)
        .map(finish)
        .filter(Decoded::is_accepted)
        .unwrap_or_else(|| general_form(text))
}

/// Decodes a record that may hold a piece of a line only.
///
/// `joined` is the whole line so far: the bytes of the earlier records of the line, then this
/// record's.
#[must_use]
pub fn decode_part(joined: &[u8], part: Part) -> Decoded<'_> {
    let (head, rest) = joined.split_at(part.head_bytes.min(joined.len()));
    if !head.is_empty() && is_complete_line(head) {
        let is_end = rest.iter().all(u8::is_ascii_whitespace);
        return Decoded::bare(if is_end {
            Effect::Blank
        } else {
            Effect::Continued
        });
    }
    let decoded = decode(joined);
    match decoded.effect {
        Effect::Rejected(_) | Effect::BareHead(_) | Effect::IncompleteHead(..)
            if part.unterminated =>
        {
            Decoded::bare(Effect::Pending)
        }
        _ => decoded,
    }
}

/// Whether the bytes are a record already, although no line feed ends them.
#[must_use]
pub fn is_complete_line(bytes: &[u8]) -> bool {
    decode(bytes).is_accepted()
}

/// Decodes a record of our own about the thread, `{"name": .., "at_ms": ..}`; one that does not say
/// since when the name is given was given when it was appended, and none after that. [S:record-6]
#[must_use]
pub fn decode_metadata(bytes: &[u8], appended_ms: i64) -> Decoded<'_> {
    #[derive(Deserialize)]
    struct Keys<'a> {
        #[serde(borrow)]
        name: Option<Text<'a>>,
        at_ms: Option<i64>,
    }
    let keys = std::str::from_utf8(bytes).ok().and_then(read::<Keys<'_>>);
    let mut effect = match keys {
        Some(keys) => {
            let stated_at_ms = keys.at_ms.unwrap_or(appended_ms);
            Effect::Metadata(MetadataHead {
                named_at_ms: stated_at_ms.min(appended_ms),
                stated_at_ms,
                name: cow(keys.name),
            })
        }
        None => Effect::Rejected(Rejection::Payload),
    };
    bound(&mut effect);
    Decoded::bare(effect)
}

/// Whether the line is a compaction that makes everything before it needless for resuming.
///
/// Lines in the written key order name their type in front; one that hides it further back is no
/// boundary, which costs nothing but the chance to cut there.
#[must_use]
pub fn is_boundary(line: &[u8]) -> bool {
    const LOOK_AT: usize = 256;
    static TAG: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"compacted\""));
    if TAG.find(&line[..line.len().min(LOOK_AT)]).is_none() {
        return false;
    }
    matches!(decode(line).effect, Effect::Compacted(compacted) if compacted.is_usable)
}

struct Envelope<'a> {
    timestamp_ms: Option<i64>,
    upstream_ordinal: Option<u64>,
    kind: &'a str,
    payload: &'a str,
}

/// The envelope of a line in the written key order without spaces; nothing of it is proved yet.
fn written_form(line: &str) -> Option<Envelope<'_>> {
    let rest = line.strip_prefix("{\"timestamp\":\"")?;
    let (timestamp, rest) = plain_string(rest)?;
    let (upstream_ordinal, rest) = match rest.strip_prefix(",\"ordinal\":") {
        Some(rest) => {
            let end = rest.find(',')?;
            let digits = &rest[..end];
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits == "0" || !digits.starts_with('0'));
            (
                Some(digits.parse().ok().filter(|_| is_number)?),
                &rest[end..],
            )
        }
        None => (None, rest),
    };
    let (kind, rest) = plain_string(rest.strip_prefix(",\"type\":\"")?)?;
    let payload = rest.strip_prefix(",\"payload\":")?.strip_suffix('}')?;
    Some(Envelope {
        timestamp_ms: timestamp_ms(timestamp),
        upstream_ordinal,
        kind,
        payload,
    })
}

/// A short string without escapes, and what follows its closing quote.
fn plain_string(text: &str) -> Option<(&str, &str)> {
    let end = text
        .bytes()
        .take(64)
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
    (text.as_bytes()[end] == b'"').then(|| (&text[..end], &text[end + 1..]))
}

#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    #[serde(default)]
    ordinal: Option<u64>,
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

fn general_form(text: &str) -> Decoded<'_> {
    let Some(keys) = read::<Keys<'_>>(text) else {
        let reason = match read::<&RawValue>(text) {
            Some(_) => untimed(text).unwrap_or(Rejection::NoEnvelope),
            None => Rejection::NotJson,
        };
        return Decoded::bare(Effect::Rejected(reason));
    };
    let at = keys
        .timestamp
        .as_ref()
        .and_then(|text| timestamp_ms(text.as_str()));
    let (Some(_), Some(kind), Some(payload)) = (&keys.timestamp, &keys.kind, keys.payload) else {
        let id = keys.id.and_then(|raw| read::<Text<'_>>(raw.get()));
        let is_head = keys.timestamp.is_some() && keys.kind.is_none() && keys.payload.is_none();
        return Decoded::bare(match id.filter(|_| is_head) {
            Some(id) => Effect::BareHead(BareHead {
                id: id.0,
                created_at_ms: at,
            }),
            None => Effect::Rejected(untimed(text).unwrap_or(Rejection::NoEnvelope)),
        });
    };
    let payload = payload.get();
    finish_with(kind.as_str(), payload, at, keys.ordinal)
}

/// What is wrong with the time of a line that is a record but for that.
fn untimed(text: &str) -> Option<Rejection> {
    #[derive(Deserialize)]
    struct Untimed<'a> {
        #[serde(borrow)]
        timestamp: Option<&'a RawValue>,
        #[serde(default, rename = "ordinal")]
        _ordinal: Option<u64>,
        #[serde(rename = "type", borrow)]
        _kind: Text<'a>,
        #[serde(borrow)]
        payload: &'a RawValue,
    }
    let line = read::<Untimed<'_>>(text).filter(|line| line.payload.get() != "null")?;
    Some(match line.timestamp {
        None => Rejection::NoTimestamp,
        Some(_) => Rejection::TimestampType,
    })
}

fn finish(envelope: Envelope<'_>) -> Decoded<'_> {
    let Envelope {
        timestamp_ms,
        upstream_ordinal,
        kind,
        payload,
    } = envelope;
    finish_with(kind, payload, timestamp_ms, upstream_ordinal)
}

fn finish_with<'a>(
    kind: &str,
    payload: &'a str,
    timestamp_ms: Option<i64>,
    upstream_ordinal: Option<u64>,
) -> Decoded<'a> {
    let Event {
        effect,
        kept,
        paths,
        is_lenient,
    } = effect(kind, payload).unwrap_or_else(|reason| Event::new(Effect::Rejected(reason), false));
    Decoded {
        timestamp_ms,
        upstream_ordinal,
        kept,
        paths,
        is_lenient,
        ..Decoded::bare(effect)
    }
}

fn effect<'a>(kind: &str, payload: &'a str) -> Result<Event<'a>, Rejection> {
    let effect = match kind {
        "event_msg" => return event(payload),
        "response_item" => {
            let item = response(payload).ok_or(Rejection::Payload)?;
            return Ok(Event::new(Effect::Response(item.head), item.kept));
        }
        "turn_context" => {
            let (context, family) = turn_context(payload).ok_or(Rejection::Payload)?;
            let event = Event::new(Effect::TurnContext(context), true);
            return Ok(Event {
                paths: Some(family),
                ..event
            });
        }
        "session_meta" => session_meta(payload).map(|meta| Effect::SessionMeta(Box::new(meta))),
        "compacted" => compacted(payload).map(Effect::Compacted),
        "world_state" => is_world_state(payload).then_some(Effect::Ignored),
        "inter_agent_communication" => {
            let message = read::<Communication<'_>>(payload);
            message
                .and_then(|message| message.check())
                .map(|()| Effect::InterAgent)
        }
        "inter_agent_communication_metadata" => {
            is_communication_metadata(payload).then_some(Effect::Ignored)
        }
        // What newer runtimes note beside the history.
        "token_usage_record"
        | "security_risk_score"
        | "realtime_item"
        | "retained_context"
        | "dynamic_tools_updated" => read::<Object>(payload).map(|_| Effect::Ignored),
        _ => return Err(Rejection::UnknownType),
    };
    effect
        .map(|effect| Event::new(effect, true))
        .ok_or(Rejection::Payload)
}
