//! Owns the room that is held back for a full disk: a file whose only use is that it can go.
//! It must not know what the room is for.
//!
//! What must become durable on a full disk (that a store is owned, that a thread is deleted) takes
//! new blocks. The file gives them back to the system; what is left over of them is held again.

use std::io::{self, ErrorKind};

use crate::disk::{Access, Disk, read_exact_at};
use crate::error::{DiskFailure, failed, is_disk_full};
use crate::layout::{RESERVE, TEMPORARY};

/// The file grows by writes of this size.
const PIECE_BYTES: usize = 64 << 10;
/// By so many bytes at its beginning a file is known to be ours.
const KNOWN_BYTES: usize = 64;

/// Does something that takes room; where there is none, once more with the reserve spent.
pub(crate) fn spent_for<T>(
    disk: &dyn Disk,
    mut work: impl FnMut() -> Result<T, DiskFailure>,
) -> Result<T, DiskFailure> {
    match work() {
        Err(failure) if failure.is_disk_full() && spend(disk) => work(),
        done => done,
    }
}

/// Gives the room back to the disk. Returns whether there was any.
pub(crate) fn spend(disk: &dyn Disk) -> bool {
    let removed = matches!(held(disk), Ok(Some(_))) && disk.remove(RESERVE).is_ok();
    if removed {
        tracing::warn!("the disk is full: the reserve is spent");
    }
    removed
}

/// Whether all of it is held.
pub(crate) fn is_whole(disk: &dyn Disk, bytes: u64) -> bool {
    bytes == 0 || held(disk).is_ok_and(|held| held.is_some_and(|held| held >= bytes))
}

/// How much is held, if there is such a file.
///
/// # Errors
/// When something else has its name, or the system refuses.
fn held(disk: &dyn Disk) -> io::Result<Option<u64>> {
    let file = match disk.open(RESERVE, Access::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut ours = [0; KNOWN_BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut ours);
    let found = read_exact_at(&*file, 0, KNOWN_BYTES)?;
    if found != ours {
        return Err(io::Error::other("another file has this name"));
    }
    file.len().map(Some)
}

/// Holds as much of it as the disk has room for. What a crash leaves of the attempt is void.
///
/// # Errors
/// When something else has its name, or the disk refuses for another reason than its room.
pub(crate) fn hold(disk: &dyn Disk, bytes: u64) -> Result<(), DiskFailure> {
    held(disk).map_err(failed("use", RESERVE))?;
    let temporary = format!("{RESERVE}{TEMPORARY}");
    for path in [RESERVE, &temporary] {
        match disk.remove(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("remove", path)(error));
            }
            _ => {}
        }
    }
    let fill = || -> io::Result<()> {
        let file = disk.create(&temporary)?;
        // A file system that compresses, or knows zeros, would hold no room for bytes that repeat.
        let mut noise = blake3::Hasher::new().finalize_xof();
        let mut piece = vec![0; PIECE_BYTES];
        let mut at = 0;
        while at < bytes {
            noise.fill(&mut piece);
            let len = PIECE_BYTES.min(usize::try_from(bytes - at).unwrap_or(PIECE_BYTES));
            match file.write_at(at, &piece[..len]) {
                Err(error) if is_disk_full(error.kind()) && at > 0 => break,
                written => written?,
            }
            at += len as u64;
        }
        file.sync()?;
        disk.rename(&temporary, RESERVE)?;
        // DURABILITY: nothing depends on the file; without its name there is just no reserve.
        disk.sync_dir("")
    };
    match fill() {
        Err(error) if is_disk_full(error.kind()) => {
            let _ = disk.remove(&temporary);
            Ok(())
        }
        filled => filled.map_err(failed("fill", RESERVE)),
    }
}
