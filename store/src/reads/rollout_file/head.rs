//! Owns the head of a rollout that is written anew: the thread's own one where it has one, without
//! what no longer holds in a file of its own.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Keys that say where else a thread's history lies, and whose thread began it.
const GONE: [&str; 3] = [
    "history_base",
    "forked_from_ordinal_exclusive",
    "parent_thread_id",
];
/// First ordinal of a subagent's own history.
const OWN_START: &str = "subagent_history_start_ordinal";

/// The fields of an object, in their order and with the bytes of their values.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Fields<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Take)
    }
}

impl Fields<'_> {
    /// The last value of a key.
    fn get(&self, key: &str) -> Option<&RawValue> {
        let mut fields = self.0.iter().rev();
        fields
            .find(|(name, _)| name == key)
            .map(|(_, value)| *value)
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
        let line: Fields<'a> = serde_json::from_slice(line).ok()?;
        if line.text("type")? != "session_meta" {
            return None;
        }
        let payload = line.0.iter().rev().find(|(key, _)| key == "payload")?;
        let payload: Fields<'a> = serde_json::from_str(payload.1.get()).ok()?;
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
        for (key, value) in &self.payload.0 {
            let is_parent = key == "parent_thread_id" && !anew.is_of_another;
            if GONE.contains(&key.as_str()) && !is_parent {
                continue;
            }
            match texts.iter().find(|(name, _)| name == key) {
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
        for (key, value) in &self.line.0 {
            match key.as_str() {
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

/// A time as heads state it, `2026-01-02T03:04:05.678Z`, of Unix milliseconds.
pub(super) fn utc(ms: i64) -> String {
    let (day, ms) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Years that begin in March, in cycles of 400 years.
    let days = day + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let ms = ms % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}
