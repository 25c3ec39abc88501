//! Owns the copies of what a repair takes away.

use std::io;
use std::ops::Range;

use crate::disk::{Disk, DiskFile, read_agreed_at};
use crate::error::{DiskFailure, failed};
use crate::layout::QUARANTINE;

/// Bytes copied at once.
const COPY_BYTES: u64 = 1 << 20;

/// Makes a durable copy of a part of a file. One of the same name was made for the same place
/// before: by a repair that a crash interrupted, or of bytes that this store judged bad once.
pub(super) fn keep(
    disk: &dyn Disk,
    file: &dyn DiskFile,
    path: &str,
    part: Range<u64>,
    copy: &str,
) -> Result<(), DiskFailure> {
    let kept = match disk.create(copy) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(copy).map_err(failed("remove", copy))?;
            disk.create(copy)
        }
        created => created,
    };
    let kept = kept.map_err(failed("create", copy))?;
    let mut at = part.start;
    while at < part.end {
        let len = (part.end - at).min(COPY_BYTES);
        let bytes = read_agreed_at(file, at, usize::try_from(len).unwrap_or(0))
            .map_err(failed("read", path))?;
        kept.write_at(at - part.start, &bytes)
            .map_err(failed("write", copy))?;
        at += len;
    }
    kept.sync().map_err(failed("sync", copy))?;
    // DURABILITY: the copy is durable before anything is taken away.
    disk.sync_dir(QUARANTINE)
        .map_err(failed("sync the directory", QUARANTINE))
}
