//! Owns path texts: from `file:` URIs and bare paths to native text. It must not know this host:
//! the shape of a path decides whose it is.
//!
//! A URL library turns a URI into a path of the host that it was built for, and writes it anew in
//! its own form. Here either family of paths is read on any host, and shown as its agent wrote it.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::payload::json::text::Text;

/// A place in a file system as payloads write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Absolute, `/` separated.
    Posix(String),
    /// With a drive or a server; actions that resolve a path are not served for it.
    Windows(String),
    /// Anything else: relative paths and URIs that stand for no path as they are written, and paths
    /// that are no text as far as they are.
    Other(String),
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(from)?;
        place(&text).ok_or_else(|| de::Error::custom("expected a file URI or a path"))
    }
}

impl Place {
    /// The path as its own host family writes it.
    pub(crate) fn text(&self) -> &str {
        match self {
            Place::Posix(text) | Place::Windows(text) | Place::Other(text) => text,
        }
    }

    /// `path` seen from here; `None` when this is not a POSIX directory.
    pub(crate) fn join(&self, path: &str) -> Option<String> {
        let Place::Posix(base) = self else {
            return None;
        };
        // The home directory is not known here, and `~` below the base would be a lie.
        if path == "~" || path.starts_with("~/") {
            return Some(path.to_owned());
        }
        match path.starts_with('/') {
            true => Some(normal(path)),
            false => Some(normal(&format!("{base}/{path}"))),
        }
    }
}

/// `path` seen from `directory`, both as they are written; itself where that cannot be told.
pub(crate) fn below(directory: &str, path: &str) -> String {
    let seen = match place(directory) {
        Some(directory) if !is_windows(path) => directory.join(path),
        _ => None,
    };
    seen.unwrap_or_else(|| path.to_owned())
}

/// An absolute path of any family; `None` for a relative one.
pub(crate) fn absolute(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if is_windows(&text) {
        return Some(text);
    }
    if !text.starts_with('/') {
        return None;
    }
    let normal = normal(&text);
    Some(if normal == text {
        text
    } else {
        Cow::Owned(normal)
    })
}

fn place(text: &str) -> Option<Place> {
    match text.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => uri(text, rest),
        // One letter is a drive; a longer scheme is somebody else's URI.
        Some((scheme, _)) if scheme.len() > 1 && is_scheme(scheme) => None,
        _ if is_windows(text) => Some(Place::Windows(text.to_owned())),
        _ if text.starts_with('/') => Some(Place::Posix(text.to_owned())),
        _ => Some(Place::Other(text.to_owned())),
    }
}

fn is_scheme(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    text.as_bytes()[0].is_ascii_alphabetic() && text.bytes().all(is_part)
}

fn is_windows(text: &str) -> bool {
    let bytes = text.as_bytes();
    let has_drive = matches!(bytes, [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
    has_drive || text.starts_with("\\\\")
}

fn uri(text: &str, rest: &str) -> Option<Place> {
    if rest.contains(['?', '#']) {
        return None;
    }
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    if host.contains(['@', ':']) {
        return None;
    }
    let host = if host.eq_ignore_ascii_case("localhost") {
        ""
    } else {
        host
    };
    if let (true, Some(encoded)) = (host.is_empty(), path.strip_prefix(NO_TEXT)) {
        let bytes = base64url(encoded).filter(|bytes| !bytes.is_empty())?;
        return Some(match bytes.first() {
            Some(b'/') => Place::Other(String::from_utf8_lossy(&bytes).into_owned()),
            _ => Place::Other(text.to_owned()),
        });
    }
    let path = percent_decoded(path);
    if path.contains('\0') {
        return None;
    }
    let path = normal(&path);
    match (host, drive(&path)) {
        ("", None) => Some(Place::Posix(path)),
        ("", Some(drive)) => Some(Place::Windows(drive.replace('/', "\\"))),
        (host, _) if path == "/" => Some(Place::Other(format!("file://{host}/"))),
        (host, _) => Some(Place::Windows(format!(
            "\\\\{host}{}",
            path.replace('/', "\\")
        ))),
    }
}

/// `C:/x` of `/C:/x`; a bare drive gets its root.
fn drive(path: &str) -> Option<String> {
    let path = path.strip_prefix('/')?;
    match path.as_bytes() {
        [drive, b':'] if drive.is_ascii_alphabetic() => Some(format!("{path}/")),
        [drive, b':', b'/', ..] if drive.is_ascii_alphabetic() => Some(path.to_owned()),
        _ => None,
    }
}

/// Before the bytes of a path that no URI can hold.
const NO_TEXT: &str = "/%00/bad/path/";

/// The bytes of a base64 text of the alphabet for URLs, without padding.
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut held) = (0_u32, 0);
    for digit in text.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    // What is left over is less than a digit, and zero.
    (held < 6 && bits == 0).then_some(bytes)
}

/// Bytes that are no text become the sign for that.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let value = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match value.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Resolves `.`, `..` and empty segments of an absolute path by its text alone.
fn normal(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    format!("/{}", segments.join("/"))
}
