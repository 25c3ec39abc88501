//! Owns the small JSON pieces that the decoders are made of; it must not know any payload.
//!
//! The pieces check a value's type and skip its content: a rebuild reads every byte of a thread, so
//! a string is unescaped only when the fold keeps it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub(crate) use super::text::Text;

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
pub(crate) struct Str<'a>(pub(crate) &'a str);

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        raw_of_type(source, b'"').map(Str)
    }
}

/// An array that nobody reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Array;

impl<'de> Deserialize<'de> for Array {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        raw_of_type(source, b'[').map(|_| Array)
    }
}

/// An object that nobody reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        raw_of_type(source, b'{').map(|_| Object)
    }
}

/// An array whose elements all decode; keeps the first one and the count.
#[derive(Debug, Clone)]
pub(crate) struct List<T> {
    pub(crate) first: Option<T>,
    pub(crate) count: usize,
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
pub(crate) struct StrMap;

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
pub(crate) fn tag(json: &str) -> Option<Cow<'_, str>> {
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
