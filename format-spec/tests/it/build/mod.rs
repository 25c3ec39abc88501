//! Builds every vector from fixed inputs.

mod catalogue;
mod frame;
mod journal;
mod lineage;
mod record;
mod segment;

use turnleaf_format::record::{Entry, Kind};
use turnleaf_format::segment::section_crc;
use turnleaf_format::{Format, Problem, StoreId, Version};

/// The store of all vectors.
pub(crate) const STORE: StoreId = StoreId(*b"turnleaf-vectors");
/// What a writer of format 1 wrote into its headers.
const V1: Version = Version {
    written_by: Format::FIRST,
    readable_by: Format::FIRST,
};
const SEGMENT: u64 = 0x51;
const NOW_MS: i64 = 1_700_000_000_123;

/// Which structure a vector is, and where it is to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    JournalHeader,
    Frame { generation: u64, offset: u64 },
    Entries { count: u32 },
    SegmentHeader,
    Block { segment: u64, offset: u64 },
    Footer,
    Trailer { file_len: u64 },
    Catalogue { kind: Kind },
    JournalFile,
    SegmentFile { segment: u64 },
}

/// One golden file.
#[derive(Debug, Clone)]
pub(crate) struct Vector {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) what: What,
    pub(crate) bytes: Vec<u8>,
    pub(crate) refused: Option<Problem>,
    /// What a reader of this format makes of it is said.
    pub(crate) format: Format,
}

fn good(name: &'static str, about: &'static str, what: What, bytes: impl Into<Vec<u8>>) -> Vector {
    Vector {
        name,
        about,
        what,
        bytes: bytes.into(),
        refused: None,
        format: Format::FIRST,
    }
}

/// `of` with `edit` done to its bytes.
fn bad(
    name: &'static str,
    about: &'static str,
    of: &Vector,
    refused: Problem,
    edit: impl FnOnce(&mut Vec<u8>),
) -> Vector {
    let mut bytes = of.bytes.clone();
    edit(&mut bytes);
    Vector {
        name,
        about,
        what: of.what,
        bytes,
        refused: Some(refused),
        format: of.format,
    }
}

/// Makes the checksum at the end of a header of `len` bytes true again.
fn reseal(bytes: &mut [u8], seed: &[u8], len: usize) {
    let check = section_crc(&[seed, &bytes[..len - 4]].concat());
    bytes[len - 4..len].copy_from_slice(&check.to_le_bytes());
}

/// Vectors of format 2: what is not in format 1.
pub(crate) fn of_lineages() -> Vec<Vector> {
    lineage::vectors()
}

/// All vectors of format 1.
pub(crate) fn vectors() -> Vec<Vector> {
    [
        journal::headers(),
        frame::vectors(),
        record::vectors(),
        journal::files(),
        segment::parts(),
        segment::files(),
        catalogue::vectors(),
    ]
    .concat()
}

fn encoded(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    entries.iter().for_each(|entry| entry.encode(&mut out));
    out
}
