//! Owns the names of files below the store's directory. [S:names-2]

use turnleaf_format::segment::Class;
use turnleaf_format::{Generation, SegmentId};

/// The lock file of the owner process.
pub(crate) const LOCK: &str = "LOCK";
/// Room that is held back for a full disk.
pub(crate) const RESERVE: &str = "reserve";
/// Places that were damaged when somebody read them: a hint. [S:names-2]
pub(crate) const DAMAGE: &str = "damage";
/// Directory of the journal files.
pub(crate) const JOURNAL: &str = "journal";
/// The journal file that is made ready, until it is begun.
pub(crate) const NEXT_JOURNAL: &str = "journal/next.tmp";
/// Directory of run and pack segments.
pub(crate) const SEGMENTS: &str = "segments";
/// Directory of the catalogue's segments.
pub(crate) const CATALOGUE: &str = "catalogue";
/// What the catalogue said at one place.
pub(crate) const CHECKPOINT: &str = "catalogue/checkpoint";
/// Directory of copies of what a repair cut.
pub(crate) const QUARANTINE: &str = "quarantine";
/// All directories of a store.
pub(crate) const DIRECTORIES: [&str; 4] = [JOURNAL, SEGMENTS, CATALOGUE, QUARANTINE];
/// Ending of files that are being written; void after a crash.
pub(crate) const TEMPORARY: &str = ".tmp";

pub(crate) fn journal_path(slot: u32) -> String {
    format!("{JOURNAL}/{}", journal_name(slot))
}

fn journal_name(slot: u32) -> String {
    format!("{slot:08x}.tlj")
}

/// The slot of a journal file; `None` for every name that no writer gives. [S:names-3]
pub(crate) fn journal_slot(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".tlj")?;
    let slot = u32::from_str_radix(digits, 16).ok()?;
    // Signs, upper case and other numbers of digits are read, too, and are not ours.
    (journal_name(slot) == name).then_some(slot)
}

pub(crate) fn segment_dir(class: Class) -> &'static str {
    match class {
        Class::Run | Class::Pack => SEGMENTS,
        Class::Catalogue => CATALOGUE,
    }
}

pub(crate) fn segment_path(class: Class, segment: SegmentId) -> String {
    format!("{}/{}", segment_dir(class), segment_name(segment))
}

pub(crate) fn segment_name(segment: SegmentId) -> String {
    format!("{:016x}.tls", segment.0)
}

/// The id of a segment; `None` for every name that no writer gives. [S:names-3]
pub(crate) fn segment_of(name: &str) -> Option<SegmentId> {
    let digits = name.strip_suffix(".tls")?;
    let segment = u64::from_str_radix(digits, 16).ok().map(SegmentId)?;
    (segment_name(segment) == name).then_some(segment)
}

pub(crate) fn torn_path(generation: Generation, offset: u64) -> String {
    format!("{QUARANTINE}/torn-{generation}-{offset}.bin")
}
