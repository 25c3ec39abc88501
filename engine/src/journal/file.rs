//! Owns the beginning of a journal file: creation, zero filling, recycling, and its two header
//! copies. [S:journal-2] [S:journal-3]

use std::sync::Arc;

use turnleaf_format::DecodeError;
use turnleaf_format::journal::{FRAMES_OFFSET, HEADER_BYTES, HEADER_OFFSETS, JournalHeader};

use crate::disk::{Disk, DiskFile};
use crate::error::{DiskFailure, failed};
use crate::layout::{JOURNAL, journal_path};
use crate::view::JournalFile;

/// New files are filled with writes of this size: larger ones make file systems use large folios,
/// which slow small overwrites by a tenth or more (measured).
const FILL_BYTES: usize = 4096;

/// What the header area of a journal file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Header {
    /// At least one copy is valid; the one with the highest generation.
    Valid(JournalHeader),
    /// The header area is zero or the file ends before it: the file was being created.
    Blank,
    /// Neither copy is valid.
    Bad(DecodeError),
}

/// Reads both header copies.
pub(crate) fn read_header(file: &dyn DiskFile, path: &str) -> Result<Header, DiskFailure> {
    let mut found: Option<JournalHeader> = None;
    let mut bad = None;
    let mut blank = true;
    for offset in HEADER_OFFSETS {
        let mut bytes = vec![0; HEADER_BYTES];
        let len = file
            .read_at(offset, &mut bytes)
            .map_err(failed("read", path))?;
        bytes.truncate(len);
        blank &= bytes.iter().all(|byte| *byte == 0);
        match JournalHeader::decode(&bytes) {
            Ok(header) if found.is_none_or(|best| header.generation > best.generation) => {
                found = Some(header);
            }
            Ok(_) => {}
            Err(error) => bad = Some(error),
        }
    }
    Ok(match (found, bad) {
        (Some(header), _) => Header::Valid(header),
        (None, _) if blank => Header::Blank,
        (None, Some(error)) => Header::Bad(error),
        (None, None) => Header::Blank,
    })
}

/// Whether nothing but zeros stands where frames would.
pub(crate) fn has_no_frames(file: &dyn DiskFile, path: &str) -> Result<bool, DiskFailure> {
    let mut bytes = vec![0; 1 << 20];
    let mut at = FRAMES_OFFSET;
    loop {
        let len = file.read_at(at, &mut bytes).map_err(failed("read", path))?;
        if bytes[..len].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        if len < bytes.len() {
            return Ok(true);
        }
        at += len as u64;
    }
}

/// Begins a generation in `slot`: creates and zero-fills the file when it is new, writes both header
/// copies, and makes all of it durable, its name included.
pub(crate) fn begin_file(
    disk: &dyn Disk,
    slot: u32,
    recycled: Option<&Arc<JournalFile>>,
    header: &JournalHeader,
) -> Result<JournalFile, DiskFailure> {
    let path = journal_path(slot);
    let file = match recycled {
        Some(old) => Arc::clone(&old.file),
        None => create_filled(disk, &path, header.capacity)?,
    };
    let copy = header.encode();
    for offset in HEADER_OFFSETS {
        file.write_at(offset, &copy)
            .map_err(failed("write", &path))?;
    }
    // DURABILITY: the header is durable before the first frame is written, so no frame of this
    // generation can stand below the header of an older one. [S:journal-5]
    file.sync().map_err(failed("sync", &path))?;
    if recycled.is_none() {
        // DURABILITY: a name that a crash forgets would take acknowledged frames with it.
        disk.sync_dir(JOURNAL)
            .map_err(failed("sync the directory", JOURNAL))?;
    }
    Ok(JournalFile {
        path,
        slot,
        generation: header.generation,
        capacity: header.capacity,
        file,
    })
}

/// Creates a file of zeros. Its blocks are written, not merely allocated: an append into allocated
/// but unwritten blocks costs two to three times as much on a journalled file system (measured).
fn create_filled(
    disk: &dyn Disk,
    path: &str,
    capacity: u64,
) -> Result<Arc<dyn DiskFile>, DiskFailure> {
    let file = match disk.create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            // Left over from a creation that did not finish; the caller chose a slot without
            // frames.
            disk.remove(path).map_err(failed("remove", path))?;
            disk.create(path)
        }
        created => created,
    }
    .map_err(failed("create", path))?;
    let zeros = [0; FILL_BYTES];
    let mut at = 0;
    while at < capacity {
        let len = FILL_BYTES.min(usize::try_from(capacity - at).unwrap_or(FILL_BYTES));
        file.write_at(at, &zeros[..len])
            .map_err(failed("fill", path))?;
        at += len as u64;
    }
    debug_assert!(
        capacity > FRAMES_OFFSET,
        "a journal file has room for frames"
    );
    Ok(file)
}
