//! Owns the bodies of the fuzz targets: each takes any bytes and panics when a law is broken, so
//! that `cargo fuzz` and `cargo test` run the same thing. It must not know libFuzzer.

pub mod append_stream;
pub mod decode;
pub mod files;
pub mod import;
mod journal_naive;
mod naive;
pub mod ops;
pub mod projection;
mod repaired;
pub mod rows;
pub mod seeds;
mod segment_naive;
pub mod token;

/// A fuzz target: its name in `fuzz/`, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 8] = [
    ("decode", decode::run),
    ("files", files::run),
    ("rows", rows::run),
    ("token", token::run),
    ("projection", projection::run),
    ("import", import::run),
    ("ops", ops::run),
    ("append_stream", append_stream::run),
];

/// Takes an input apart; what it has no more of is zero.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    fn below(&mut self, end: u8) -> usize {
        usize::from(self.byte() % end)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Says where two byte strings part, without printing them.
#[track_caller]
fn assert_same(what: &str, one: &[u8], other: &[u8]) {
    if one == other {
        return;
    }
    let at = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (one, other) = (one.len(), other.len());
    panic!("{what}: {one} and {other} bytes, which part at {at}");
}
