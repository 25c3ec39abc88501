//! Owns random numbers and text that compresses as real text does.

use std::fmt::Write as _;

const WORDS: &[&str] = &[
    "the", "a", "of", "to", "and", "in", "is", "for", "that", "with", "on", "this", "it", "as",
    "be", "from", "by", "an", "are", "or", "file", "test", "error", "function", "return", "value",
    "store", "index", "read", "write", "thread", "turn", "record", "append", "segment", "cache",
    "request", "response", "server", "client", "module", "import", "export", "build", "release",
    "commit", "branch", "merge", "lock", "queue", "buffer", "page", "cursor", "schema", "migrate",
    "parser", "token", "stream", "frame", "header", "footer", "checksum", "offset", "length",
    "timeout", "retry", "config", "default", "option", "result", "check", "update", "remove",
    "create", "handle", "should", "would", "because", "when", "then", "before", "after", "while",
    "where", "which", "there", "their", "first", "second", "large", "small", "new", "old", "same",
];
const DIRS: &[&str] = &[
    "src", "tests", "core", "api", "storage", "util", "web", "cli", "model",
];
const STEMS: &[&str] = &[
    "main", "lib", "handler", "session", "config", "parser", "render", "queue", "worker", "schema",
    "client", "server", "index", "cache", "errors", "types",
];
const LEVELS: &[&str] = &["INFO", "DEBUG", "WARN", "ERROR", "TRACE"];

/// A small deterministic generator (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A size with a long tail: mostly near `typical`, now and then many times that.
    pub(crate) fn size(&mut self, typical: u64) -> usize {
        let factor = match self.below(2000) {
            0..=1199 => 1,
            1200..=1699 => 3,
            1700..=1939 => 9,
            1940..=1997 => 40,
            _ => 300,
        };
        usize::try_from(typical / 2 + self.below(typical * factor)).unwrap_or(0)
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap_or(0)]
    }

    /// Prose of so many words.
    pub(crate) fn prose(&mut self, words: usize) -> String {
        let mut out = String::with_capacity(words * 6);
        for at in 0..words {
            if at > 0 {
                out.push_str(if self.chance(8) { ". " } else { " " });
            }
            // Real text repeats itself: a skewed choice of words.
            let skew = self
                .below(WORDS.len() as u64)
                .min(self.below(WORDS.len() as u64));
            out.push_str(WORDS[usize::try_from(skew).unwrap_or(0)]);
        }
        out
    }

    /// A path of a source file.
    pub(crate) fn path(&mut self) -> String {
        let (dir, stem) = (self.pick(DIRS), self.pick(STEMS));
        format!("{dir}/{stem}_{}.rs", self.below(40))
    }

    /// Output of a tool, near `bytes` long: logs, a listing of code, or a diff.
    pub(crate) fn output(&mut self, bytes: usize) -> String {
        let mut out = String::with_capacity(bytes + 128);
        let style = self.below(3);
        let path = self.path();
        let mut line = self.below(400);
        let mut said = String::new();
        while out.len() < bytes {
            line += 1;
            let number = self.below(100_000);
            let words = 4 + usize::try_from(self.below(7)).unwrap_or(0);
            // Neighbouring lines of real output say the same about different things.
            if said.is_empty() || self.chance(60) {
                said = self.prose(words);
            }
            let _ = match style {
                0 => {
                    let level = self.pick(LEVELS);
                    let (minute, second) = (line / 60 % 60, line % 60);
                    writeln!(
                        out,
                        "2026-01-05T10:{minute:02}:{second:02}Z {level} {path}:{line} {said} id={number}"
                    )
                }
                1 => writeln!(out, "{line:>5}    let value_{number} = self.{said};"),
                _ => {
                    let mark = if self.chance(50) { '+' } else { '-' };
                    writeln!(out, "{mark}    {said} // {number}")
                }
            };
        }
        out
    }

    /// Base64 of random bytes, which does not compress.
    pub(crate) fn base64(&mut self, len: usize) -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::with_capacity(len + 10);
        while out.len() < len {
            let mut bits = self.next();
            for _ in 0..10 {
                out.push(char::from(LETTERS[usize::try_from(bits & 63).unwrap_or(0)]));
                bits >>= 6;
            }
        }
        out.truncate(len);
        out
    }

    /// A UUIDv7-like id.
    pub(crate) fn uuid(&mut self, at_ms: i64) -> String {
        let (high, low) = (self.next(), self.next());
        let at = at_ms.unsigned_abs();
        format!(
            "{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
            at >> 16,
            at & 0xffff,
            high & 0xfff,
            (high >> 12) & 0xfff,
            low & 0xffff_ffff_ffff
        )
    }
}

/// A JSON string.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Unix milliseconds as the lines write them.
pub(crate) fn timestamp(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Civil date from days since 1970, for the years that matter here.
    let (mut year, mut left) = (1970, days);
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    while left >= 365 + i64::from(leap(year)) {
        left -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + i64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 1;
    for length in lengths {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, millis) = (rest / 1000 % 60, rest % 1000);
    let day = left + 1;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}
