//! Owns what people see: tables, short texts, times, progress, and the streams that they see it on.

use std::fmt;
use std::io::{ErrorKind, IsTerminal, Write};
use std::ops::Range;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use turnleaf::Ordinal;

use crate::args::Global;
use crate::failure::Failure;

/// What is said of records that this version does not know.
pub(crate) const UNKNOWN: &str = "of an unknown kind or form (kept)";

/// The first and the last of a range of ordinals, as people and programs are shown it.
pub(crate) fn first_and_last(ordinals: &Range<Ordinal>) -> [u64; 2] {
    [ordinals.start.0, ordinals.end.0 - 1]
}

/// Prints one JSON object on a line.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print_line(&serde_json::to_string(value).expect("what is printed is JSON"))
}

/// Prints a line on standard output. Where its reader is gone nobody misses the line, and the exit
/// code still tells what the command came to.
pub(crate) fn print_line(line: &str) -> Result<(), Failure> {
    print_bytes(format!("{line}\n").as_bytes())
}

/// Prints bytes on standard output, as [`print_line`] does.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Failure::io("write to standard output")),
    }
}

/// Says something on standard error. Where that cannot be written there is no place to say so.
pub(crate) fn warn(text: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "turnleaf: {text}");
}

/// A table with these headings.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    // Some terminals do not tell their width: columns of one letter help nobody.
    let narrow = table.width().is_none_or(|width| width < 20);
    if narrow || !std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.set_header(headings);
    table
}

/// A text on one line, without control characters; for people, who see it on a terminal, cut at
/// `width` characters, and else whole.
pub(crate) fn short(text: &str, width: usize) -> String {
    if std::io::stdout().is_terminal() {
        on_a_line(text, width)
    } else {
        whole(text)
    }
}

/// A text on one line, without control characters.
pub(crate) fn whole(text: &str) -> String {
    on_a_line(text, usize::MAX)
}

fn on_a_line(text: &str, width: usize) -> String {
    let mut out = String::new();
    let (mut space, mut letters) = (false, 0);
    for (count, word) in text.chars().enumerate() {
        if letters >= width || count > width.saturating_mul(8) {
            out.pop();
            out.push('~');
            break;
        }
        if word.is_whitespace() {
            space = !out.is_empty();
        } else if word.is_control() || is_invisible(word) {
            out.push('?');
            letters += 1;
        } else {
            if std::mem::take(&mut space) {
                out.push(' ');
                letters += 1;
            }
            out.push(word);
            letters += 1;
        }
    }
    out
}

/// Characters that turn the direction of a terminal's text around, or show nothing.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How times are shown: in the zone of whoever looks (`TZ`, else the system's), or in UTC. Each
/// says its offset.
pub(crate) struct Times(TimeZone);

impl Times {
    pub(crate) fn of(global: &Global) -> Times {
        Times(if global.utc {
            TimeZone::UTC
        } else {
            TimeZone::system()
        })
    }

    /// Unix seconds.
    pub(crate) fn show(&self, seconds: Option<i64>) -> String {
        let Some(seconds) = seconds else {
            return "-".into();
        };
        let Ok(at) = Timestamp::from_second(seconds) else {
            return without_zone(seconds);
        };
        let at = at.to_zoned(self.0.clone());
        let minutes = at.strftime("%Y-%m-%d %H:%M");
        if at.offset().is_zero() {
            format!("{minutes} UTC")
        } else {
            format!("{minutes} {}", at.strftime("%:z"))
        }
    }
}

/// A time so near the end of the calendar that in some zone it lies beyond: in UTC, whoever looks.
fn without_zone(seconds: i64) -> String {
    let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
    match epoch.checked_add(SignedDuration::from_secs(seconds)) {
        Ok(at) => format!("{} UTC", at.strftime("%Y-%m-%d %H:%M")),
        Err(_) if seconds > 0 => ">9999".into(),
        Err(_) => "<-9999".into(),
    }
}

/// Bytes in a unit that people read.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// A bar over `total` bytes on standard error; silent where nobody watches.
pub(crate) fn progress(total: u64, hidden: bool, what: &'static str) -> ProgressBar {
    if hidden || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{msg} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
    let bar = ProgressBar::new(total).with_message(what);
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}
