//! Owns hook prompts inside user messages: which messages are nothing else, and their fragments.
//! It must not know where the item goes.
//!
//! The element is read here and not by an XML library: it has one known name and text alone, and a
//! streaming reader would leave to us what decides, which references, comments and ends count.

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::payload::HookPromptHead;
use crate::payload::json::wire::{Text, split_fields};

/// The element that wraps a prompt.
const ELEMENT: &str = "hook_prompt";

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Part<'a> {
    text: Text<'a>,
}

/// Recognises a user message (payload of a `response_item`) made of nothing but hook prompts.
#[must_use]
pub fn hook_prompt_head(payload: &RawValue) -> Option<HookPromptHead<'_>> {
    // Nearly all messages end here, without being decoded.
    memmem::find(payload.get().as_bytes(), ELEMENT.as_bytes())?;
    let (head, _) = hook_prompt(payload)?;
    Some(head)
}

/// The head of such a message, and run id and text of each of its prompts.
pub(crate) fn hook_prompt(
    payload: &RawValue,
) -> Option<(HookPromptHead<'_>, Vec<(String, String)>)> {
    let [kind, role, id, content] = split_fields(payload, ["type", "role", "id", "content"])?;
    if text(kind?)? != "message" || text(role?)? != "user" {
        return None;
    }
    let id: Option<Text<'_>> = match id {
        Some(id) => serde_json::from_str(id.get()).ok()?,
        None => None,
    };
    let parts: Vec<&RawValue> = serde_json::from_str(content?.get()).ok()?;
    let fragments: Vec<_> = parts.into_iter().map(fragment).collect::<Option<_>>()?;
    let is_prompt = !fragments.is_empty();
    is_prompt.then(|| {
        (
            HookPromptHead {
                id: id.map(|Text(id)| id),
            },
            fragments,
        )
    })
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// Run id and text of one part of the message.
fn fragment(part: &RawValue) -> Option<(String, String)> {
    let [kind] = split_fields(part, ["type"])?;
    if text(kind?)? != "input_text" {
        return None;
    }
    let Part { text: Text(text) } = serde_json::from_str(part.get()).ok()?;
    element(text.trim())
}

/// Reads `<hook_prompt hook_run_id="..">..</hook_prompt>`; what follows it does not matter.
fn element(xml: &str) -> Option<(String, String)> {
    let mut rest = xml.strip_prefix('<')?.strip_prefix(ELEMENT)?;
    let mut run = None;
    loop {
        let trimmed = rest.trim_start();
        if let Some(body) = trimmed.strip_prefix('>') {
            let text = content(body)?;
            let run: String = run?;
            return (!run.trim().is_empty()).then_some((run, text));
        }
        // An attribute is set off by white space.
        if trimmed.len() == rest.len() {
            return None;
        }
        let (name, after) = trimmed.split_once('=')?;
        let after = after.trim_start();
        let quote = after
            .chars()
            .next()
            .filter(|quote| matches!(quote, '"' | '\''))?;
        let (value, after) = after[1..].split_once(quote)?;
        if name.trim_end() == "hook_run_id" {
            run = Some(unescaped(value)?);
        }
        rest = after;
    }
}

/// Text up to the closing tag; `None` for nested elements and for an element without text.
fn content(mut rest: &str) -> Option<String> {
    let mut text = String::new();
    loop {
        let at = rest.find('<')?;
        text.push_str(&unescaped(&rest[..at])?);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("<!--") {
            rest = after.split_once("-->")?.1;
        } else if let Some(after) = rest.strip_prefix("<![CDATA[") {
            let (data, after) = after.split_once("]]>")?;
            text.push_str(data);
            rest = after;
        } else {
            let after = rest.strip_prefix("</")?.strip_prefix(ELEMENT)?;
            after.trim_start().strip_prefix('>')?;
            let text = text.trim_matches([' ', '\t', '\r', '\n']);
            return (!text.is_empty()).then(|| text.to_owned());
        }
    }
}

/// Resolves the predefined and the numeric references.
fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (name, after) = after.split_once(';')?;
        plain.push_str(before);
        plain.push(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let digits = name.strip_prefix('#')?;
                let code = match digits.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => digits.parse().ok()?,
                };
                char::from_u32(code).filter(|found| *found != '\0')?
            }
        });
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}
