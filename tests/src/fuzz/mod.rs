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

use std::sync::Arc;

use turnleaf::{Error, Options, Owner, Store};
use turnleaf_engine::disk::Disk;
use turnleaf_engine::{Log, OpenError, OpenReport};
use turnleaf_format::StoreId;

use crate::sim_disk::SimDisk;

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

/// The store of all inputs, so that the same input writes the same bytes.
pub const STORE: StoreId = StoreId([9; 16]);

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

fn owner() -> Owner {
    Owner {
        pid: 1,
        host: "sim".into(),
        since_ms: 1,
    }
}

fn open_log(disk: &SimDisk, options: Options) -> Result<(Log, OpenReport), OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Log::open(disk, options, &owner(), STORE)
}

/// A store without a thread of its own: what it does follows from what it is asked.
///
/// # Errors
/// As [`Store::open_on`].
pub fn open_store(disk: &SimDisk, options: &Options) -> Result<Store, Error> {
    let (log, report) = open_log(disk, options.clone()).map_err(Error::Open)?;
    if report.created {
        log.close()?;
    } else {
        drop(log);
    }
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open_on(shared, options.clone(), &owner(), false, || 1)
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
