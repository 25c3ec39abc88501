//! Owns what is read of a line that is too large to be held: its envelope, and of a compaction all
//! that resuming asks. The line comes in pieces of any size, and memory does not grow with it.
//!
//! Grammar, UTF-8 and escapes are checked to the end, as for any other line. Entries of a
//! replacement history are checked for their shape up to [`ENTRY_BYTES_MAX`]; of a larger one it
//! counts that it is an object.

use crate::payload::bounds::bound;
use crate::payload::json::repeats::without_repeats;
use crate::payload::json::syntax::{Syntax, Token};
use crate::payload::json::time::timestamp_ms;
use crate::payload::response::response;
use crate::payload::{Compacted, Decoded, Effect, Rejection};

/// Bytes of a value of the envelope that are kept, JSON form.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes of an entry of a replacement history that are looked into.
const ENTRY_BYTES_MAX: usize = 1 << 20;

/// Fields that are read, and where in [`LargeLine::found`] they are.
const ENVELOPE: [&str; 4] = ["timestamp", "ordinal", "type", "payload"];
const COMPACTED: [&str; 4] = [
    "message",
    "replacement_history",
    "window_number",
    "window_id",
];
const PAYLOAD: usize = 3;
const MESSAGE: usize = 4;
const HISTORY: usize = 5;
const FIELDS: usize = ENVELOPE.len() + COMPACTED.len();

/// A line that is read piece by piece.
#[derive(Debug, Clone, Default)]
pub struct LargeLine {
    syntax: Syntax,
    bytes: u64,
    /// Fields that hold the place in the line: of the envelope, and of the payload.
    at: [Option<usize>; 2],
    /// Values of the fields, JSON form; of a string or container that nobody reads its first byte.
    found: [Option<Vec<u8>>; FIELDS],
    /// The key or value that is being kept, and its bound; `None` when it is over it.
    kept: Option<Vec<u8>>,
    kept_max: usize,
    /// Whether every entry of the history is a response item.
    history_is_right: bool,
}

impl LargeLine {
    /// About to take the first piece.
    #[must_use]
    pub fn new() -> LargeLine {
        LargeLine {
            history_is_right: true,
            ..LargeLine::default()
        }
    }

    /// Takes the next piece of the line.
    pub fn push(&mut self, piece: &[u8]) {
        let mut rest = piece;
        if self.bytes == 0 {
            rest = rest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(rest);
        }
        self.bytes += piece.len() as u64;
        self.syntax.check_text(rest);
        while let Some((token, used)) = self.syntax.next_token(rest) {
            let (bytes, behind) = rest.split_at(used);
            rest = behind;
            self.take(token, bytes);
        }
    }

    /// Whether the pieces so far are one whole value.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.syntax.is_whole()
    }

    /// What the line is. One that is not parsed is [`Rejection::TooLarge`], with its envelope.
    #[must_use]
    pub fn finish(mut self) -> Decoded<'static> {
        self.syntax.end();
        if !self.syntax.is_text() {
            return Decoded::bare(Effect::Rejected(Rejection::NotUtf8));
        }
        if self.syntax.is_untouched() {
            return Decoded::bare(Effect::Blank);
        }
        if !self.is_whole() {
            return Decoded::bare(Effect::Rejected(Rejection::NotJson));
        }
        let (timestamp, upstream_ordinal, kind) = match self.envelope() {
            Ok(envelope) => envelope,
            Err(reason) => return Decoded::bare(Effect::Rejected(reason)),
        };
        let mut effect = match kind.as_str() {
            "compacted" => self
                .compacted()
                .map_or(Effect::Rejected(Rejection::Payload), Effect::Compacted),
            _ => Effect::Rejected(Rejection::TooLarge),
        };
        bound(&mut effect);
        Decoded {
            timestamp_ms: timestamp_ms(&timestamp),
            upstream_ordinal,
            kept: matches!(effect, Effect::Compacted(_)),
            ..Decoded::bare(effect)
        }
    }

    /// Timestamp, ordinal and type.
    fn envelope(&self) -> Result<(String, Option<u64>, String), Rejection> {
        let [timestamp, ordinal, kind] = [0, 1, 2].map(|field| self.found[field].as_deref());
        let text = |raw: Option<&[u8]>| serde_json::from_slice::<String>(raw?).ok();
        let payload = self.found[PAYLOAD].as_ref();
        let ordinal = serde_json::from_slice(ordinal.unwrap_or(b"null")).ok();
        let is_there = payload.is_some_and(|first| *first != b"n");
        let (Some(ordinal), Some(kind), true) = (ordinal, text(kind), is_there) else {
            return Err(Rejection::NoEnvelope);
        };
        match text(timestamp) {
            Some(timestamp) => Ok((timestamp, ordinal, kind)),
            None if timestamp.is_none_or(|raw| raw == b"null") => Err(Rejection::NoTimestamp),
            None => Err(Rejection::TimestampType),
        }
    }

    /// As for a line that is held, `payload::compacted`.
    fn compacted(&self) -> Option<Compacted<'static>> {
        let first = |field: usize| self.found[field].as_ref().and_then(|raw| raw.first());
        if first(PAYLOAD) != Some(&b'{') || first(MESSAGE) != Some(&b'"') {
            return None;
        }
        let has_history = match first(HISTORY) {
            Some(b'[') if self.history_is_right => true,
            None | Some(b'n') => false,
            Some(_) => return None,
        };
        let value = |field: usize| self.found[field].as_deref().unwrap_or(b"null");
        let number: Option<u64> = serde_json::from_slice(value(6)).ok()?;
        let (window_id, old_number) = match value(7) {
            id @ [b'"', ..] => (Some(serde_json::from_slice::<String>(id).ok()?), None),
            number => (None, serde_json::from_slice::<Option<u64>>(number).ok()?),
        };
        Some(Compacted {
            is_usable: has_history && number.or(old_number).is_some(),
            window_id: window_id.map(Into::into),
        })
    }

    /// Takes a part of the line between two borders of values.
    fn take(&mut self, token: Token, bytes: &[u8]) {
        let depth = self.syntax.depth();
        match token {
            Token::Skip => {}
            Token::Open => {
                let began = depth - 1;
                self.begin(began, bytes);
                self.keep(bytes);
            }
            Token::Close => {
                self.keep(bytes);
                self.end(depth);
            }
            Token::Key { begins, ends } => {
                if begins && self.is_named(depth) {
                    self.keep_next(VALUE_BYTES_MAX);
                }
                self.keep(bytes);
                if ends {
                    self.name(depth);
                }
            }
            Token::Scalar { begins, ends } => {
                if begins {
                    self.begin(depth, bytes);
                }
                self.keep(bytes);
                if ends {
                    self.end(depth);
                }
            }
            Token::Between => self.keep(bytes),
        }
    }

    fn keep_next(&mut self, bytes_max: usize) {
        (self.kept, self.kept_max) = (Some(Vec::new()), bytes_max);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some(kept) = &mut self.kept {
            if kept.len() + bytes.len() > self.kept_max {
                self.kept = None;
            } else {
                kept.extend_from_slice(bytes);
            }
        }
    }

    /// Whether the keys of a container so deep are read.
    fn is_named(&self, depth: usize) -> bool {
        depth == 1 || self.is_in_payload(depth)
    }

    /// Whether a value in a container so deep is one of the payload's fields.
    fn is_in_payload(&self, depth: usize) -> bool {
        depth == 2 && self.at[0] == Some(PAYLOAD)
    }

    /// Whether it is an entry of the history.
    fn is_entry(&self, depth: usize) -> bool {
        depth == 3 && self.at == [Some(PAYLOAD), Some(HISTORY)]
    }

    /// The field that a value in a container so deep belongs to.
    fn field(&self, depth: usize) -> Option<usize> {
        match depth {
            1 => self.at[0],
            2 if self.is_in_payload(depth) => self.at[1],
            _ => None,
        }
    }

    /// A key of a container so deep has ended.
    fn name(&mut self, depth: usize) {
        if !self.is_named(depth) {
            return;
        }
        let name = self
            .kept
            .take()
            .and_then(|raw| serde_json::from_slice::<String>(&raw).ok());
        let is = |known: &[&str]| {
            known
                .iter()
                .position(|known| Some(*known) == name.as_deref())
        };
        let (level, field) = match depth {
            1 => (0, is(&ENVELOPE)),
            _ => (1, is(&COMPACTED).map(|at| at + ENVELOPE.len())),
        };
        self.at[level] = field;
    }

    /// A value begins in a container so deep.
    fn begin(&mut self, depth: usize, bytes: &[u8]) {
        if depth < 2 {
            self.at[1] = None;
        }
        if self.is_entry(depth) {
            self.history_is_right &= bytes.first() == Some(&b'{');
            self.keep_next(ENTRY_BYTES_MAX);
        } else if let Some(field) = self.field(depth) {
            // The last value of a repeated key counts, and nothing of those before.
            if field == PAYLOAD {
                self.found[ENVELOPE.len()..].fill(None);
            }
            if matches!(field, PAYLOAD | HISTORY) {
                self.history_is_right = true;
            }
            self.found[field] = Some(bytes.iter().copied().take(1).collect());
            if !matches!(field, PAYLOAD | MESSAGE | HISTORY) {
                self.keep_next(VALUE_BYTES_MAX);
            }
        }
    }

    /// A value has ended in a container so deep.
    fn end(&mut self, depth: usize) {
        if self.is_entry(depth) {
            if let Some(entry) = self.kept.take() {
                let entry = std::str::from_utf8(&entry).ok();
                self.history_is_right &= entry.is_some_and(is_response);
            }
        } else if let Some(field) = self.field(depth)
            && !matches!(field, PAYLOAD | MESSAGE | HISTORY)
        {
            // What is too long to be kept says nothing.
            self.found[field] = self.kept.take().or(Some(b"null".to_vec()));
        }
    }
}

/// Whether an entry of a history is a response item, also where it repeats keys.
fn is_response(entry: &str) -> bool {
    let is_plain = response(entry).is_some();
    is_plain || without_repeats(entry).is_some_and(|entry| response(&entry).is_some())
}

#[cfg(test)]
mod tests;
