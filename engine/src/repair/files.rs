//! Owns the repairs of single files: a header copy that is bad, a segment that nothing mentions.

use std::io;

use turnleaf_format::journal::{HEADER_BYTES, HEADER_OFFSETS, JournalHeader};

use super::copy::keep;
use crate::disk::{Access, Disk, read_exact_at};
use crate::error::{DiskFailure, failed};
use crate::layout::{QUARANTINE, SEGMENTS};

pub(super) fn rewrite_header(
    disk: &dyn Disk,
    path: &str,
    offset: u64,
) -> Result<String, DiskFailure> {
    let file = disk
        .open(path, Access::ReadWrite)
        .map_err(failed("open", path))?;
    let good_at = HEADER_OFFSETS.into_iter().find(|other| *other != offset);
    let good = read_exact_at(&*file, good_at.unwrap_or_default(), HEADER_BYTES)
        .map_err(failed("read", path))?;
    if JournalHeader::decode(&good).is_err() {
        let source = io::Error::from(io::ErrorKind::InvalidData);
        return Err(failed("find a good header copy in", path)(source));
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let copy = format!("{QUARANTINE}/header-{name}-{offset}.bin");
    let part = offset..offset + HEADER_BYTES as u64;
    let copy = keep(disk, &*file, path, part, &copy)?;
    file.write_at(offset, &good)
        .map_err(failed("write", path))?;
    // DURABILITY: until this returns the other copy is the header.
    file.sync().map_err(failed("sync", path))?;
    Ok(copy)
}

pub(super) fn reap(disk: &dyn Disk, path: &str) -> Result<String, DiskFailure> {
    let file = disk
        .open(path, Access::Read)
        .map_err(failed("open", path))?;
    let len = file.len().map_err(failed("measure", path))?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let copy = format!("{QUARANTINE}/{name}");
    let copy = keep(disk, &*file, path, 0..len, &copy)?;
    drop(file);
    disk.remove(path).map_err(failed("remove", path))?;
    let dir = path.split('/').next().unwrap_or(SEGMENTS);
    disk.sync_dir(dir)
        .map_err(failed("sync the directory", dir))?;
    Ok(copy)
}
