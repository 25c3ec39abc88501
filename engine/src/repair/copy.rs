//! Owns the copies of what a repair takes away.

use std::io;
use std::ops::Range;

use crate::disk::{Access, Disk, DiskFile, read_agreed_at};
use crate::error::{DiskFailure, failed};
use crate::layout::QUARANTINE;

/// Bytes copied at once.
const COPY_BYTES: u64 = 1 << 20;

/// Makes a durable copy of a part of a file and says its name: the wanted one, or with `-1`, `-2`
/// and so on where that keeps other bytes. Journal files are recycled, so the same place of the
/// same file may go bad again. [S:names-2]
pub(super) fn keep(
    disk: &dyn Disk,
    file: &dyn DiskFile,
    path: &str,
    part: Range<u64>,
    wanted: &str,
) -> Result<String, DiskFailure> {
    disk.create_dir(QUARANTINE)
        .map_err(failed("create the directory", QUARANTINE))?;
    let copy = free_name(disk, file, path, &part, wanted)?;
    let kept = disk.create(&copy).map_err(failed("create", &copy))?;
    let mut at = part.start;
    // A hole of the file is one of the copy.
    while let Some(data) = file.next_data(at).map_err(failed("read", path))? {
        at = data;
        if at >= part.end {
            break;
        }
        let len = (part.end - at).min(COPY_BYTES);
        let bytes = read(file, path, at, len)?;
        kept.write_at(at - part.start, &bytes)
            .map_err(failed("write", &copy))?;
        at += len;
    }
    if at != part.end {
        kept.set_len(part.end - part.start)
            .map_err(failed("write", &copy))?;
    }
    kept.sync().map_err(failed("sync", &copy))?;
    // DURABILITY: the copy is durable before anything is taken away.
    disk.sync_dir(QUARANTINE)
        .map_err(failed("sync the directory", QUARANTINE))?;
    disk.sync_dir("")
        .map_err(failed("sync the directory", "the store's directory"))?;
    Ok(copy)
}

/// A name that is not in use. A copy of nothing but the same bytes makes room: a repair that was
/// interrupted made it, and the file that it was made of still has them.
fn free_name(
    disk: &dyn Disk,
    file: &dyn DiskFile,
    path: &str,
    part: &Range<u64>,
    wanted: &str,
) -> Result<String, DiskFailure> {
    let (stem, ending) = wanted.rsplit_once('.').unwrap_or((wanted, ""));
    let mut name = wanted.to_owned();
    for number in 1.. {
        let kept = match disk.open(&name, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            opened => opened.map_err(failed("open", &name))?,
        };
        if repeats(&*kept, &name, file, path, part)? {
            drop(kept);
            disk.remove(&name).map_err(failed("remove", &name))?;
            break;
        }
        name = format!("{stem}-{number}.{ending}");
    }
    Ok(name)
}

/// Whether all bytes of a copy stand in the part of the file.
fn repeats(
    kept: &dyn DiskFile,
    name: &str,
    file: &dyn DiskFile,
    path: &str,
    part: &Range<u64>,
) -> Result<bool, DiskFailure> {
    let len = kept.len().map_err(failed("measure", name))?;
    let mut at = 0;
    while at < len && len <= part.end - part.start {
        let next = (len - at).min(COPY_BYTES);
        if read(kept, name, at, next)? != read(file, path, part.start + at, next)? {
            return Ok(false);
        }
        at += next;
    }
    Ok(at == len)
}

fn read(file: &dyn DiskFile, path: &str, at: u64, len: u64) -> Result<Vec<u8>, DiskFailure> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    read_agreed_at(file, at, len).map_err(failed("read", path))
}
