//! Owns the JSON that describes vectors; it only writes.

use std::fmt::Write;

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Bool(bool),
    Number(i128),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(&'static str, Json)>),
}

impl Json {
    /// A number that is not counted with: a checksum or a chain.
    pub(crate) fn hex(value: u64) -> Json {
        Json::Text(format!("{value:016x}"))
    }

    pub(crate) fn text(value: &str) -> Json {
        Json::Text(value.to_owned())
    }

    pub(crate) fn bytes(value: &[u8]) -> Json {
        let mut text = String::new();
        value
            .iter()
            .for_each(|byte| write!(text, "{byte:02x}").unwrap());
        Json::Text(text)
    }

    /// Text with one field per line.
    pub(crate) fn pretty(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out.push('\n');
        out
    }

    fn write(&self, out: &mut String, depth: usize) {
        match self {
            Json::Bool(value) => write!(out, "{value}").unwrap(),
            Json::Number(value) => write!(out, "{value}").unwrap(),
            Json::Text(value) => write_text(out, value),
            Json::List(values) => {
                write_nested(out, depth, '[', ']', values, |out, value| {
                    value.write(out, depth + 1);
                });
            }
            Json::Map(fields) => {
                write_nested(out, depth, '{', '}', fields, |out, (name, value)| {
                    write_text(out, name);
                    out.push_str(": ");
                    value.write(out, depth + 1);
                });
            }
        }
    }
}

impl<T: TryInto<i128>> From<T> for Json {
    fn from(value: T) -> Json {
        Json::Number(
            value
                .try_into()
                .ok()
                .expect("a number of the format fits 128 bits"),
        )
    }
}

fn write_nested<T>(
    out: &mut String,
    depth: usize,
    open: char,
    close: char,
    values: &[T],
    mut write: impl FnMut(&mut String, &T),
) {
    out.push(open);
    for (index, value) in values.iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        out.push_str(&" ".repeat(depth + 1));
        write(out, value);
    }
    if !values.is_empty() {
        out.push('\n');
        out.push_str(&" ".repeat(depth));
    }
    out.push(close);
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            ' '..='~' => out.push(letter),
            _ => letter
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| write!(out, "\\u{unit:04x}").unwrap()),
        }
    }
    out.push('"');
}
