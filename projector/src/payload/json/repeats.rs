//! Owns what a line says whose objects repeat a key: what it would say with the last value of each
//! alone. It must not know records.
//!
//! The typed readers refuse a repeated key. That costs such a line a second reading, and every
//! other line nothing.

use std::collections::HashMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Objects and lists around a value, beyond which nothing is read by its keys.
const DEPTH_MAX: usize = 8;
/// Keys of an object; of one with more nothing is read by its keys.
const KEYS_MAX: usize = 1024;

/// The JSON text without the values that a later one of the same object replaces; `None` when there
/// are none, or it is no JSON.
pub(crate) fn without_repeats(json: &str) -> Option<String> {
    let value: &RawValue = serde_json::from_str(json).ok()?;
    let mut copy = Copy {
        out: String::with_capacity(json.len()),
        has_repeats: false,
    };
    copy.value(value, 0).ok()?;
    copy.has_repeats.then_some(copy.out)
}

struct Copy {
    out: String,
    has_repeats: bool,
}

impl Copy {
    fn value(&mut self, value: &RawValue, depth: usize) -> serde_json::Result<()> {
        let text = value.get();
        let mut from = serde_json::Deserializer::from_str(text);
        match text.as_bytes().first() {
            Some(b'{') if depth < DEPTH_MAX => {
                let keys = (&mut from).deserialize_map(LastPlaces)?;
                match keys {
                    Some(last) => {
                        let mut from = serde_json::Deserializer::from_str(text);
                        from.deserialize_map(Fields {
                            copy: self,
                            depth,
                            last,
                        })
                    }
                    None => {
                        self.out.push_str(text);
                        Ok(())
                    }
                }
            }
            Some(b'[') if depth < DEPTH_MAX => from.deserialize_seq(Elements { copy: self, depth }),
            _ => {
                self.out.push_str(text);
                Ok(())
            }
        }
    }
}

/// The place of the last value of each key; `None` of an object with too many.
struct LastPlaces;

impl<'de> Visitor<'de> for LastPlaces {
    type Value = Option<HashMap<String, usize>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut last = HashMap::new();
        let mut place = 0;
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            if last.len() < KEYS_MAX || last.contains_key(&key) {
                last.insert(key, place);
            } else {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            place += 1;
        }
        Ok(Some(last))
    }
}

struct Fields<'c> {
    copy: &'c mut Copy,
    depth: usize,
    last: HashMap<String, usize>,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.copy.out.push('{');
        let (mut place, mut is_first) = (0, true);
        while let Some(key) = map.next_key::<String>()? {
            let value: &RawValue = map.next_value()?;
            let is_last = self.last.get(&key) == Some(&place);
            place += 1;
            if !is_last {
                self.copy.has_repeats = true;
                continue;
            }
            if !std::mem::replace(&mut is_first, false) {
                self.copy.out.push(',');
            }
            let key = serde_json::to_string(&key).map_err(A::Error::custom)?;
            self.copy.out.push_str(&key);
            self.copy.out.push(':');
            let copied = self.copy.value(value, self.depth + 1);
            copied.map_err(A::Error::custom)?;
        }
        self.copy.out.push('}');
        Ok(())
    }
}

struct Elements<'c> {
    copy: &'c mut Copy,
    depth: usize,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.copy.out.push('[');
        let mut is_first = true;
        while let Some(value) = seq.next_element::<&RawValue>()? {
            if !std::mem::replace(&mut is_first, false) {
                self.copy.out.push(',');
            }
            let copied = self.copy.value(value, self.depth + 1);
            copied.map_err(A::Error::custom)?;
        }
        self.copy.out.push(']');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::without_repeats;

    #[test]
    fn the_last_value_of_a_key_is_left_at_every_depth() {
        let check = |json: &str, expected: Option<&str>| {
            assert_eq!(without_repeats(json).as_deref(), expected, "{json}");
        };
        check(r#"{"a":1,"b":[{"a":1}]}"#, None);
        check("{", None);
        check("7", None);
        check(r#"{"a":1,"a":2}"#, Some(r#"{"a":2}"#));
        check(r#"{"a":1,"\u0061":2,"b":3}"#, Some(r#"{"a":2,"b":3}"#));
        check(
            r#"{ "p": [ {"a":1e400,"x":"\"","a":{}} , null ] }"#,
            Some(r#"{"p":[{"x":"\"","a":{}},null]}"#),
        );
        // Beyond any value that is read by its keys.
        let deep = format!("{}{}{}", "[".repeat(9), r#"{"a":1,"a":2}"#, "]".repeat(9));
        check(&deep, None);
        let keys: Vec<String> = (0..1100).map(|at| format!("\"{at}\":0")).collect();
        check(&format!("{{{},\"0\":1}}", keys.join(",")), None);
    }
}
