//! Owns the JSON pieces that decoders are made of, as they are written: leaf types, the checks of
//! what is skipped, times, paths. It must not know any payload.

use serde::Deserialize;

pub(crate) mod one_tag;
pub(crate) mod paths;
pub(crate) mod pieces;
pub(crate) mod repeats;
pub(crate) mod scan;
pub(crate) mod syntax;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod wire;

/// The value of a JSON text; `None` where it is not of that shape.
pub(crate) fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    serde_json::from_str(json).ok()
}
