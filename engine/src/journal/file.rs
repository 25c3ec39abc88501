//! Owns the beginning of a journal file: creation, zero filling, recycling, and its two header
//! copies. [S:journal-2] [S:journal-3]

use std::sync::Arc;

use turnleaf_format::journal::{FRAMES_OFFSET, HEADER_BYTES, HEADER_OFFSETS, JournalHeader};
use turnleaf_format::{DecodeError, Problem};

use crate::disk::{Disk, DiskFile, read_exact_at};
use crate::error::{DiskFailure, SystemError, failed};
use crate::layout::{JOURNAL, journal_path};
use crate::view::JournalFile;

/// New files are filled with writes of this size: larger ones make file systems use large folios,
/// which slow small overwrites by a tenth or more (measured).
pub(super) const FILL_BYTES: usize = 4096;

/// What the header area of a journal file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// At least one copy is valid; the one with the highest generation. [R:set-5]
    Valid(JournalHeader),
    /// The header area is zero, or the file ends in it. [R:set-3]
    Blank,
    /// No copy has a right checksum.
    Bad(DecodeError),
    /// A copy has a right checksum over fields that are refused. [R:set-17]
    Refused(DecodeError),
    /// A copy with a right checksum asks for a newer reader. [R:set-11]
    Newer,
    /// The copies name two stores. [R:set-10]
    Mixed,
    /// A copy could not be read, and the other one is not valid. [R:set-20]
    Unreadable,
}

/// The header area of a journal file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeaderArea {
    pub(crate) header: Header,
    /// The copy that is not valid beside one that is. [R:set-4]
    pub(crate) invalid_copy: Option<(u64, DecodeError)>,
    /// A copy that could not be read, and why. It may be the one that counts.
    pub(crate) unreadable: Option<(u64, SystemError)>,
}

/// Reads both header copies.
pub(crate) fn read_header(file: &dyn DiskFile, len: u64) -> HeaderArea {
    let copies = HEADER_OFFSETS.map(|offset| {
        let here = len.saturating_sub(offset).min(HEADER_BYTES as u64);
        let bytes = read_exact_at(file, offset, usize::try_from(here).unwrap_or(0));
        bytes.map_err(|error| (offset, SystemError::from(&error)))
    });
    let decoded = copies
        .iter()
        .flatten()
        .map(|copy| JournalHeader::decode(copy));
    let decoded: Vec<_> = decoded.collect();
    // Version is judged before damage, and a right checksum before a wrong one. [R:order]
    let newer = |error: &DecodeError| error.problem == Problem::Version;
    if decoded.iter().any(|copy| copy.as_ref().is_err_and(newer)) {
        return HeaderArea::of(Header::Newer);
    }
    if let [Ok(one), Ok(other)] = &copies {
        let blank = one.iter().chain(other).all(|byte| *byte == 0) || len < FRAMES_OFFSET;
        return judge_copies(decoded[0], decoded[1], blank);
    }
    // A copy that nobody could read is not a bad one. [R:unreadable]
    HeaderArea {
        header: match decoded.as_slice() {
            [Ok(valid)] => Header::Valid(*valid),
            _ => Header::Unreadable,
        },
        invalid_copy: None,
        unreadable: copies.iter().find_map(|copy| copy.as_ref().err().copied()),
    }
}

/// What two copies say that were read.
fn judge_copies(
    first: Result<JournalHeader, DecodeError>,
    second: Result<JournalHeader, DecodeError>,
    blank: bool,
) -> HeaderArea {
    let one_valid = |header, copy: usize, error| HeaderArea {
        invalid_copy: Some((HEADER_OFFSETS[copy], error)),
        ..HeaderArea::of(Header::Valid(header))
    };
    match (first, second) {
        (Ok(one), Ok(other)) if one.store != other.store => HeaderArea::of(Header::Mixed),
        (Ok(one), Ok(other)) if other.generation > one.generation => {
            HeaderArea::of(Header::Valid(other))
        }
        (Ok(one), Ok(_)) => HeaderArea::of(Header::Valid(one)),
        (Ok(one), Err(error)) => one_valid(one, 1, error),
        (Err(error), Ok(other)) => one_valid(other, 0, error),
        (Err(one), Err(other)) => {
            let checksum = |e: &DecodeError| {
                let wrong = [Problem::Short, Problem::Magic, Problem::HeaderChecksum];
                !wrong.contains(&e.problem)
            };
            HeaderArea::of(match [one, other].into_iter().find(checksum) {
                Some(refused) => Header::Refused(refused),
                None if blank => Header::Blank,
                None => Header::Bad(one),
            })
        }
    }
}

impl HeaderArea {
    fn of(header: Header) -> HeaderArea {
        HeaderArea {
            header,
            invalid_copy: None,
            unreadable: None,
        }
    }
}

/// Begins a generation in `slot`, in a file that was just created or in a recycled one: writes both
/// header copies, and makes all of it durable, its name included.
pub(crate) fn begin_file(
    disk: &dyn Disk,
    slot: u32,
    (file, is_new): (Arc<dyn DiskFile>, bool),
    header: &JournalHeader,
) -> Result<JournalFile, DiskFailure> {
    let path = journal_path(slot);
    let copy = header.encode();
    for offset in HEADER_OFFSETS {
        file.write_at(offset, &copy)
            .map_err(failed("write", &path))?;
    }
    // DURABILITY: the header is durable before the first frame is written, so no frame of this
    // generation can stand below the header of an older one. [S:journal-5]
    file.sync().map_err(failed("sync", &path))?;
    if is_new {
        // DURABILITY: a name that a crash forgets would take acknowledged frames with it.
        disk.sync_dir(JOURNAL)
            .map_err(failed("sync the directory", JOURNAL))?;
    }
    Ok(JournalFile {
        readable_by: header.version.readable_by,
        path,
        slot,
        generation: header.generation,
        capacity: header.capacity,
        file,
    })
}

/// Creates a file of zeros, or none; fails where something has the name already. Its blocks are
/// written, not merely allocated: an append into allocated but unwritten blocks costs two to three
/// times as much on a journalled file system (measured).
pub(crate) fn create_filled(
    disk: &dyn Disk,
    path: &str,
    capacity: u64,
) -> Result<Arc<dyn DiskFile>, DiskFailure> {
    let file = disk.create(path).map_err(failed("create", path))?;
    let zeros = [0; FILL_BYTES];
    let mut at = 0;
    while at < capacity {
        let len = FILL_BYTES.min(usize::try_from(capacity - at).unwrap_or(FILL_BYTES));
        if let Err(error) = file.write_at(at, &zeros[..len]) {
            // What a full disk took of it is given back.
            let _ = disk.remove(path);
            return Err(failed("fill", path)(error));
        }
        at += len as u64;
    }
    debug_assert!(
        capacity > FRAMES_OFFSET,
        "a journal file has room for frames"
    );
    Ok(file)
}
