//! Owns the leaf types of payloads as they are written; it must not know any particular payload.
//!
//! Large values stay undecoded slices of the input. Each type accepts what its counterpart in the
//! reference accepts: an id that is no UUID, a relative path where an absolute one is due, or a
//! number where a string is due reject the line.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) use crate::payload::json::text::Text;

use crate::payload::json::scan;
use crate::uuid::{is_usual, of_digits, uuid, uuid_text};

/// Defines a slice of the input that holds a value which passes a test of its text.
macro_rules! raw {
    ($(#[$meta:meta])* $name:ident, $expected:literal, $is_valid:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name<'a>(&'a RawValue);

        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let raw = <&'de RawValue>::deserialize(from)?;
                match $is_valid(raw.get()) {
                    true => Ok($name(raw)),
                    false => Err(de::Error::custom(concat!("expected ", $expected))),
                }
            }
        }

        impl $name<'_> {
            /// The decoded value.
            pub(crate) fn value(&self) -> Value {
                // INVARIANT: the text passed the checks of `scan`, so that this decodes.
                serde_json::from_str(self.0.get()).unwrap_or_default()
            }
        }
    };
}

raw!(
    /// A string of any size, not decoded.
    Str, "a string", |text: &str| text.starts_with('"')
);
raw!(
    /// An array of anything, not decoded.
    List, "an array", |text: &str| text.starts_with('[') && scan::check_value(text).is_ok()
);
raw!(
    /// Any value, not decoded.
    Any, "a value within bounds", |text: &str| scan::check_value(text).is_ok()
);

impl<'a> Str<'a> {
    /// Whether it has no character.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.get().len() == 2
    }

    /// The decoded text, borrowed unless it has escapes.
    pub(crate) fn decoded(&self) -> Cow<'a, str> {
        // INVARIANT: as for `value`.
        serde_json::from_str(self.0.get()).map_or(Cow::Borrowed(""), |Text(text)| text)
    }

    /// The decoded text.
    pub(crate) fn text(&self) -> String {
        self.decoded().into_owned()
    }
}

/// Defines a decoded string that must pass a parser, which also gives it its served form.
macro_rules! parsed {
    ($(#[$meta:meta])* $name:ident, $expected:literal, $parse:path) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name<'a>(pub(crate) Cow<'a, str>);

        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let Text(text) = Text::deserialize(from)?;
                let parsed = $parse(text).ok_or_else(|| {
                    de::Error::custom(concat!("expected ", $expected))
                })?;
                Ok($name(parsed))
            }
        }
    };
}

parsed!(
    /// A thread id: any spelling of a UUID, served hyphenated in lower case.
    ThreadId, "a thread id", thread_id
);
parsed!(
    /// A canonical agent path: `/root` and lower-case segments below it.
    AgentPath, "an agent path", agent_path
);
parsed!(
    /// An absolute path of any host family, `.` and `..` resolved when it is a POSIX one.
    AbsolutePath, "an absolute path", crate::payload::json::paths::absolute
);
parsed!(
    /// A reasoning effort: any name, not empty.
    Effort, "a reasoning effort", not_empty
);

/// Whether a text is a thread id: any spelling of a UUID.
pub(crate) fn is_thread_id(text: &str) -> bool {
    thread_id(Cow::Borrowed(text)).is_some()
}

fn thread_id(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if is_usual(&text) {
        return Some(text);
    }
    let bare = text.strip_prefix("urn:uuid:").unwrap_or(&text);
    let bare = bare
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(bare);
    let digits = || of_digits(bare.as_bytes().try_into().ok()?);
    let bytes = uuid(bare).or_else(digits)?;
    Some(Cow::Owned(uuid_text(bytes)))
}

fn agent_path(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let mut segments = text.strip_prefix('/')?.split('/');
    let is_name = |segment: &str| {
        !matches!(segment, "" | "root")
            && segment
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    let is_valid =
        text == "/morpheus" || (segments.next() == Some("root") && segments.all(is_name));
    is_valid.then_some(text)
}

fn not_empty(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    (!text.is_empty()).then_some(text)
}

/// The entries of an object in written order; a repeated key means its last value.
#[derive(Debug)]
pub struct Entries<K, V>(pub Vec<(K, V)>);

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Entries<K, V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Collect<K, V>(PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Collect<K, V> {
            type Value = Entries<K, V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        from.deserialize_map(Collect(PhantomData))
    }
}

/// An object without the tag that chose its type: the entries before the tag, then the rest. A
/// second tag, which might choose another type, refuses the object.
pub(crate) struct Untagged<'de, A> {
    tag: &'static str,
    early: std::vec::IntoIter<(Cow<'de, str>, &'de RawValue)>,
    early_value: Option<&'de RawValue>,
    late: A,
}

/// A tag and the object without it.
pub(crate) type Split<'de, A> = (Cow<'de, str>, MapAccessDeserializer<Untagged<'de, A>>);

/// Reads an object up to its tag. Writers put the tag first, so that nothing is held back.
pub(crate) fn split_tag<'de, A: MapAccess<'de>>(
    mut map: A,
    tag: &'static str,
) -> Result<Split<'de, A>, A::Error> {
    let mut early = Vec::new();
    while let Some(Text(key)) = map.next_key()? {
        if key == tag {
            let Text(text) = map.next_value()?;
            let rest = Untagged {
                tag,
                early: early.into_iter(),
                early_value: None,
                late: map,
            };
            return Ok((text, MapAccessDeserializer::new(rest)));
        }
        early.push((key, map.next_value()?));
    }
    Err(de::Error::missing_field(tag))
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Untagged<'de, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        match self.early.next() {
            Some((key, value)) => {
                self.early_value = Some(value);
                seed.deserialize(de::value::CowStrDeserializer::new(key))
                    .map(Some)
            }
            None => match self.late.next_key()? {
                Some(Text(key)) if key == self.tag => Err(de::Error::duplicate_field(self.tag)),
                Some(Text(key)) => seed
                    .deserialize(de::value::CowStrDeserializer::new(key))
                    .map(Some),
                None => Ok(None),
            },
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.early_value.take() {
            Some(value) => {
                let mut from = serde_json::Deserializer::from_str(value.get());
                seed.deserialize(&mut from).map_err(de::Error::custom)
            }
            None => self.late.next_value_seed(seed),
        }
    }
}

/// Defines an enum chosen by a tag inside its object; `else` takes every other tag.
macro_rules! tagged {
    (
        $(#[$meta:meta])* $name:ident by $tag:literal {
            $($key:literal => $variant:ident($body:ty),)+
        }
    ) => {
        tagged!(@define $(#[$meta])* $name by $tag { $($key => $variant($body),)+ } {} {
            (unknown, _rest) => Err(serde::de::Error::unknown_variant(unknown, &[$($key),+]))
        });
    };
    (
        $(#[$meta:meta])* $name:ident by $tag:literal {
            $($key:literal => $variant:ident($body:ty),)+
        } else $other:ident
    ) => {
        tagged!(@define $(#[$meta])* $name by $tag { $($key => $variant($body),)+ } { $other } {
            (_unknown, rest) => {
                serde::de::IgnoredAny::deserialize(rest)?;
                Ok($name::$other)
            }
        });
    };
    (
        @define $(#[$meta:meta])* $name:ident by $tag:literal {
            $($key:literal => $variant:ident($body:ty),)+
        } { $($other:ident)? } { ($unknown:ident, $rest:ident) => $fallback:expr }
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        #[allow(dead_code, reason = "some bodies are decoded for acceptance only")]
        pub(crate) enum $name<'a> {
            $($variant($body),)+
            $($other,)?
        }

        impl $name<'_> {
            /// The tags that are known.
            #[allow(dead_code, reason = "few are asked for theirs")]
            pub(crate) const TAGS: &'static [&'static str] = &[$($key),+];
        }

        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Choose<'a>(std::marker::PhantomData<&'a ()>);
                impl<'de: 'a, 'a> serde::de::Visitor<'de> for Choose<'a> {
                    type Value = $name<'a>;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object with a tag")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        map: A,
                    ) -> Result<Self::Value, A::Error> {
                        let (tag, $rest) = crate::payload::json::wire::split_tag(map, $tag)?;
                        match tag.as_ref() {
                            $($key => serde::Deserialize::deserialize($rest).map($name::$variant),)+
                            $unknown => $fallback,
                        }
                    }
                }
                from.deserialize_map(Choose(std::marker::PhantomData))
            }
        }
    };
}
pub(crate) use tagged;

/// An object of which no field is declared.
#[derive(Debug, Deserialize)]
pub(crate) struct Empty {}

/// Some fields of an object, undecoded, whatever else it holds; the last of a repeated key counts.
/// `None` when the value is no object.
pub(crate) fn split_fields<'a, const N: usize>(
    object: &'a RawValue,
    names: [&str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    let Entries(entries) =
        serde_json::from_str::<Entries<Text<'a>, &'a RawValue>>(object.get()).ok()?;
    let find = |name: &str| entries.iter().rev().find(|(Text(key), _)| key == name);
    Some(names.map(|name| find(name).map(|(_, value)| *value)))
}
