//! Owns the names of kinds that this version does not know, as people are told them. It must not
//! know what known kinds are.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::payload::Rejection;
use crate::payload::json::pieces::Text;
use crate::payload::json::read;

/// Characters of a name that are told.
const NAME_CHARS_MAX: usize = 64;

#[derive(Deserialize)]
struct Tagged<'a> {
    #[serde(rename = "type", borrow)]
    tag: Text<'a>,
}

/// What a line is that was rejected because its kind is not known: where its name stands, and the
/// name, as in `item Sleep`. `None` for other rejections. Cost: reads such a line once more.
pub(crate) fn kind_of(line: &str, reason: Rejection) -> Option<String> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        payload: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct WithItem<'a> {
        #[serde(borrow)]
        item: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Extended<'a> {
        #[serde(borrow)]
        kind: Text<'a>,
    }
    let tag = |json: &str| Some(read::<Tagged<'_>>(json)?.tag.0.into_owned());
    let (place, name) = match reason {
        Rejection::UnknownType => ("type", tag(line)?),
        Rejection::UnknownEvent => ("event", tag(read::<Line<'_>>(line)?.payload.get())?),
        Rejection::UnknownItem => {
            let payload = read::<Line<'_>>(line)?.payload.get();
            let item = read::<WithItem<'_>>(payload)?.item.get();
            let extension = || Some(read::<Extended<'_>>(item)?.kind.0.into_owned());
            match tag(item)?.as_str() {
                "Extension" => ("item Extension", extension()?),
                name => ("item", name.to_owned()),
            }
        }
        _ => return None,
    };
    let shown = name.chars().take(NAME_CHARS_MAX);
    let shown: String = shown.flat_map(char::escape_debug).collect();
    Some(format!("{place} {shown}"))
}
