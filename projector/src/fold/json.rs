//! Owns the small JSON pieces that the decoders are made of; it must not know any payload.
//!
//! The pieces check a value's type and skip its content: a rebuild reads every byte of a thread, so
//! a string is unescaped only when the fold keeps it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A string that the fold reads, borrowed when it holds no escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Read<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Read<'a> {
            type Value = Text<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        source.deserialize_str(Read(PhantomData))
    }
}

fn raw_of_type<'de, D: Deserializer<'de>>(source: D, first: u8) -> Result<&'de str, D::Error> {
    let raw = <&RawValue>::deserialize(source)?.get();
    if raw.as_bytes().first() == Some(&first) {
        Ok(raw)
    } else {
        Err(D::Error::custom("another type was expected"))
    }
}

/// A string that nobody reads; keeps its JSON form, quotes and escapes included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Str<'a>(pub(super) &'a str);

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        raw_of_type(source, b'"').map(Str)
    }
}

/// An array that nobody reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Array;

impl<'de> Deserialize<'de> for Array {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        raw_of_type(source, b'[').map(|_| Array)
    }
}

/// An object that nobody reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        raw_of_type(source, b'{').map(|_| Object)
    }
}

/// An array whose elements all decode; keeps the first one and the count.
#[derive(Debug, Clone)]
pub(super) struct List<T> {
    pub(super) first: Option<T>,
    pub(super) count: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Read<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Read<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let first = seq.next_element()?;
                let mut count = usize::from(first.is_some());
                while first.is_some() && seq.next_element::<T>()?.is_some() {
                    count += 1;
                }
                Ok(List { first, count })
            }
        }
        source.deserialize_seq(Read(PhantomData))
    }
}

/// An object whose values are all strings.
#[derive(Debug, Clone, Copy)]
pub(super) struct StrMap;

impl<'de> Deserialize<'de> for StrMap {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = StrMap;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StrMap, A::Error> {
                while map.next_entry::<Str<'de>, Str<'de>>()?.is_some() {}
                Ok(StrMap)
            }
        }
        source.deserialize_map(Read)
    }
}

/// The `type` tag of an object in `json`, without reading the rest when the tag stands in front.
pub(super) fn tag(json: &str) -> Option<Cow<'_, str>> {
    if let Some(rest) = json.strip_prefix("{\"type\":\"") {
        let end = memchr::memchr2(b'"', b'\\', rest.as_bytes())?;
        if rest.as_bytes()[end] == b'"' {
            return Some(Cow::Borrowed(&rest[..end]));
        }
    }
    #[derive(Deserialize)]
    struct Tagged<'a> {
        #[serde(rename = "type", borrow)]
        tag: Text<'a>,
    }
    serde_json::from_str::<Tagged<'_>>(json)
        .ok()
        .map(|tagged| tagged.tag.0)
}

/// Whether a string of the line escapes half of a surrogate pair, which no text can hold.
///
/// Skipping a value does not look into its escapes, so this is asked of the line once.
pub(super) fn has_lone_surrogate(line: &str) -> bool {
    static LOWER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\ud"));
    static UPPER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\uD"));
    let bytes = line.as_bytes();
    let suspect = LOWER.find(bytes).is_some() || UPPER.find(bytes).is_some();
    suspect && walk_escapes(bytes)
}

fn walk_escapes(bytes: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        let escape = at + found;
        match unit(bytes, escape) {
            Some(0xd800..=0xdbff) => match unit(bytes, escape + 6) {
                Some(0xdc00..=0xdfff) => at = escape + 12,
                _ => return true,
            },
            Some(0xdc00..=0xdfff) => return true,
            Some(_) => at = escape + 6,
            None => at = (escape + 2).min(bytes.len()),
        }
    }
    false
}

/// The UTF-16 unit of the escape `\uXXXX` that begins at `at`.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()
}
