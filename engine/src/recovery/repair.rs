//! Owns the repairs that somebody asks for by name (RECOVERY.md section 1): each keeps a copy of
//! what it takes away, and a crash within it leaves the store as before or as after.

use std::fmt;
use std::io;
use std::sync::Arc;

use turnleaf_format::journal::{HEADER_BYTES, HEADER_OFFSETS, JournalHeader};

use super::findings::Remark;
use crate::disk::{Access, Disk, DiskFile, read_exact_at};
use crate::error::{DiskFailure, failed};
use crate::layout::{QUARANTINE, SEGMENTS};
use crate::lock::Owner;
use crate::log::{OpenError, OpenReport, Snapshot};
use crate::options::Options;

/// Bytes copied at once.
const COPY_BYTES: u64 = 1 << 20;

/// A repair that a store calls for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Write the bad copy of a journal header anew from the good one. [R:set-4]
    RewriteHeader {
        /// The journal file.
        file: String,
        /// Where the bad copy begins.
        offset: u64,
    },
    /// Take away a segment that no record publishes. [R:seg-10]
    Reap {
        /// The segment file.
        file: String,
    },
}

impl Repair {
    /// Its name in RECOVERY.md.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Repair::RewriteHeader { .. } => "rewrite-header",
            Repair::Reap { .. } => "reap",
        }
    }

    /// The file that it changes or takes away.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Repair::RewriteHeader { file, .. } | Repair::Reap { file } => file,
        }
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Repair::RewriteHeader { file, offset } => {
                write!(
                    f,
                    "rewrite-header: write the header copy at byte {offset} of {file} anew"
                )
            }
            Repair::Reap { file } => {
                write!(
                    f,
                    "reap: take away {file}, which no record of the store mentions"
                )
            }
        }
    }
}

/// A repair that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Which.
    pub repair: Repair,
    /// Where the bytes are that it took away, below the store's directory.
    pub copy: String,
}

/// The repairs that the state of a store calls for. Where anything is damaged no segment is taken
/// away: it may be all that is left of something.
#[must_use]
pub fn repairs_for(report: &OpenReport) -> Vec<Repair> {
    let repair = |remark: &Remark| match remark {
        Remark::HeaderCopy { file, offset, .. } => Some(Repair::RewriteHeader {
            file: file.clone(),
            offset: *offset,
        }),
        Remark::Orphan { file } if report.damage.is_empty() => {
            Some(Repair::Reap { file: file.clone() })
        }
        Remark::Orphan { .. } | Remark::UnknownRecord { .. } => None,
    };
    report.remarks.iter().filter_map(repair).collect()
}

/// Does those of the wanted repairs that the store still calls for, as its owner.
///
/// # Errors
/// [`OpenError`]; what was done before stays done.
pub fn repair(
    disk: &Arc<dyn Disk>,
    options: &Options,
    owner: &Owner,
    wanted: &[Repair],
) -> Result<Vec<Repaired>, OpenError> {
    // Held to the end for its lock.
    let snapshot = Snapshot::open_owned(disk, options, owner)?;
    let due = repairs_for(snapshot.report());
    let mut done = Vec::new();
    for repair in due.into_iter().filter(|repair| wanted.contains(repair)) {
        let copy = match &repair {
            Repair::RewriteHeader { file, offset } => rewrite_header(&**disk, file, *offset)?,
            Repair::Reap { file } => reap(&**disk, file)?,
        };
        done.push(Repaired { repair, copy });
    }
    Ok(done)
}

fn rewrite_header(disk: &dyn Disk, path: &str, offset: u64) -> Result<String, DiskFailure> {
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
    keep(
        disk,
        &*file,
        path,
        offset..offset + HEADER_BYTES as u64,
        &copy,
    )?;
    file.write_at(offset, &good)
        .map_err(failed("write", path))?;
    // DURABILITY: until this returns the other copy is the header.
    file.sync().map_err(failed("sync", path))?;
    Ok(copy)
}

fn reap(disk: &dyn Disk, path: &str) -> Result<String, DiskFailure> {
    let file = disk
        .open(path, Access::Read)
        .map_err(failed("open", path))?;
    let len = file.len().map_err(failed("measure", path))?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let copy = format!("{QUARANTINE}/{name}");
    keep(disk, &*file, path, 0..len, &copy)?;
    drop(file);
    disk.remove(path).map_err(failed("remove", path))?;
    disk.sync_dir(SEGMENTS)
        .map_err(failed("sync the directory", SEGMENTS))?;
    Ok(copy)
}

/// Makes a durable copy of a part of a file. One of the same name was made for the same place
/// before: by a repair that a crash interrupted, or of bytes that this store judged bad once.
fn keep(
    disk: &dyn Disk,
    file: &dyn DiskFile,
    path: &str,
    part: std::ops::Range<u64>,
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
        let bytes = read_exact_at(file, at, usize::try_from(len).unwrap_or(0))
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
