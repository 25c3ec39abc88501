//! Owns the head of a rollout that is written anew: the thread's own one where it has one, without
//! what no longer holds in a file of its own.

use jiff::Timestamp;
use serde_json::value::RawValue;
use turnleaf_projector::fold::{Mode, ThreadState};
use turnleaf_projector::payload::Entries;

/// Keys that say where else a thread's history lies, and whose thread began it.
const GONE: [&str; 3] = [
    "history_base",
    "forked_from_ordinal_exclusive",
    "parent_thread_id",
];
/// First ordinal of a subagent's own history.
const OWN_START: &str = "subagent_history_start_ordinal";

/// The fields of an object, in their order and with the bytes of their values.
struct Fields<'a>(Entries<String, &'a RawValue>);

impl<'a> Fields<'a> {
    fn parse(json: &'a [u8]) -> Option<Fields<'a>> {
        serde_json::from_slice(json).ok().map(Fields)
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = (&str, &'a RawValue)> {
        let Fields(Entries(all)) = self;
        all.iter().map(|(key, value)| (key.as_str(), *value))
    }

    /// The last value of a key.
    fn get(&self, key: &str) -> Option<&'a RawValue> {
        let mut fields = self.all().rev();
        fields
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    fn text(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.get(key)?.get()).ok()
    }
}

/// A head as it stands in a rollout.
pub(super) struct Head<'a> {
    line: Fields<'a>,
    payload: Fields<'a>,
}

/// What a head says anew.
pub(super) struct Anew<'a> {
    /// The thread that the file is of.
    pub(super) id: &'a str,
    /// Of which thread it is a fork.
    pub(super) forked_from: Option<&'a str>,
    /// When it began, as text; as the head says otherwise.
    pub(super) began: Option<&'a str>,
    /// Whether it is another thread's head.
    pub(super) is_of_another: bool,
}

impl<'a> Head<'a> {
    /// The head that a line is, if it is one.
    pub(super) fn parse(line: &'a [u8]) -> Option<Head<'a>> {
        let line = Fields::parse(line)?;
        if line.text("type")? != "session_meta" {
            return None;
        }
        let payload = Fields::parse(line.get("payload")?.get().as_bytes())?;
        payload.get("id")?;
        Some(Head { line, payload })
    }

    pub(super) fn is_paginated(&self) -> bool {
        self.payload.text("history_mode").as_deref() == Some("paginated")
    }

    /// When the thread began, as the head says.
    pub(super) fn began(&self) -> Option<String> {
        self.payload.text("timestamp")
    }

    pub(super) fn forked_from(&self) -> Option<String> {
        self.payload.text("forked_from_id")
    }

    /// First ordinal of a subagent's own history, as its runtime counts.
    pub(super) fn own_start(&self) -> Option<u64> {
        let start = self.payload.get(OWN_START)?;
        serde_json::from_str(start.get()).ok()
    }

    /// The line that begins the file, without its line feed.
    pub(super) fn line(&self, anew: &Anew<'_>, own_start: Option<u64>) -> Vec<u8> {
        let mut payload = Object::default();
        let session = anew.is_of_another.then_some(anew.id);
        let texts = [
            ("session_id", session),
            ("id", Some(anew.id)),
            ("forked_from_id", anew.forked_from),
            ("timestamp", anew.began),
        ];
        for (key, value) in self.payload.all() {
            let is_parent = key == "parent_thread_id" && !anew.is_of_another;
            if GONE.contains(&key) && !is_parent {
                continue;
            }
            match texts.iter().find(|(name, _)| *name == key) {
                Some((_, Some(text))) => payload.text(key, text),
                // A value that is no ordinal stays as it is.
                _ => match own_start.filter(|_| key == OWN_START) {
                    Some(start) => payload.raw(key, &start.to_string()),
                    None => payload.raw(key, value.get()),
                },
            }
        }
        for (key, text) in texts {
            if let Some(text) = text.filter(|_| self.payload.get(key).is_none()) {
                payload.text(key, text);
            }
        }
        let mut line = Object::default();
        for (key, value) in self.line.all() {
            match key {
                "ordinal" if self.is_paginated() => line.raw(key, "0"),
                "payload" => line.raw(key, &payload.end()),
                _ => line.raw(key, value.get()),
            }
        }
        if self.is_paginated() && self.line.get("ordinal").is_none() {
            line.raw("ordinal", "0");
        }
        line.end().into_bytes()
    }
}

/// A head of what an index knows of a thread whose own one cannot be read; `None` where that knows
/// of none either.
pub(super) fn made_of(known: &ThreadState) -> Option<Vec<u8>> {
    known.head_at?;
    let of = &known.meta;
    let began = utc(of.created_at_ms.or(of.first_at_ms).unwrap_or(0));
    let mut payload = Object::default();
    let texts = [
        ("session_id", &of.session_id),
        ("id", &of.id),
        ("forked_from_id", &of.forked_from),
        ("cwd", &of.cwd),
        ("originator", &of.originator),
        ("cli_version", &of.cli_version),
        ("thread_source", &of.thread_source),
        ("agent_nickname", &of.agent_nickname),
        ("agent_role", &of.agent_role),
        ("agent_path", &of.agent_path),
        ("model_provider", &of.model_provider),
        ("memory_mode", &of.memory_mode),
    ];
    let texts = texts.into_iter();
    for (key, text) in texts.filter_map(|(key, text)| Some((key, text.as_deref()?))) {
        payload.text(key, text);
    }
    payload.text("timestamp", &began);
    // A bare name, or the object that tells more.
    match of.source.as_deref() {
        Some(source) if Fields::parse(source.as_bytes()).is_some() => payload.raw("source", source),
        source => payload.text("source", source.unwrap_or("unknown")),
    }
    let mode = match known.mode() {
        Mode::Legacy => "legacy",
        Mode::Paginated => "paginated",
    };
    payload.text("history_mode", mode);
    let mut line = Object::default();
    line.text("timestamp", &began);
    line.text("type", "session_meta");
    line.raw("payload", &payload.end());
    Some(line.end().into_bytes())
}

/// An object that is being written.
#[derive(Default)]
struct Object(String);

impl Object {
    fn raw(&mut self, key: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0 += &format!("{}:{value}", serde_json::Value::from(key));
    }

    fn text(&mut self, key: &str, value: &str) {
        self.raw(key, &serde_json::Value::from(value).to_string());
    }

    fn end(&mut self) -> String {
        self.0.push('}');
        std::mem::take(&mut self.0)
    }
}

/// A time as heads state it, `2026-01-02T03:04:05.678Z`, of Unix milliseconds; of one that no
/// calendar has, the beginning of that count.
pub(super) fn utc(ms: i64) -> String {
    format!("{:.3}", time(ms))
}

/// The same to be taken apart.
pub(super) fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}
