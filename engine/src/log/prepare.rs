//! Owns what an owner does to the disk before it begins: making durable what it relies on, the copy
//! of a torn tail, the removal of what nothing needs. It must not judge anything.

use std::io;

use turnleaf_format::segment::Class;
use turnleaf_format::{SegmentId, ThreadNumber};

use crate::damage_list;
use crate::disk::{Access, Disk, data_end, read_agreed_at};
use crate::error::{DiskFailure, failed};
use crate::layout::{CATALOGUE, QUARANTINE, TEMPORARY, segment_path, torn_path};
use crate::recovery::{Replayed, Survey, leftovers};
use crate::reserve;

/// Bytes of a file that are written anew at once.
const COPIED_BYTES: u64 = 1 << 20;

/// Makes sure that the files that are written, or recycled, may be: a reader took them as they are.
pub(super) fn check_writable(disk: &dyn Disk, replayed: &Replayed) -> Result<(), DiskFailure> {
    let newest = replayed.files.last();
    for file in newest.into_iter().chain(&replayed.free) {
        disk.open(&file.path, Access::ReadWrite)
            .map_err(failed("open for writing", &file.path))?;
    }
    Ok(())
}

/// Makes durable what the opening relies on and only the system's cache may hold: the owner before
/// may have ended, or been refused by the disk, between a write and its sync. Nothing may be
/// repaired, removed or begun on the strength of it before. [R:confirm-1]
pub(super) fn confirm(disk: &dyn Disk, replayed: &Replayed) -> Result<(), DiskFailure> {
    confirm_catalogue(disk, replayed)?;
    let Some(newest) = replayed.files.last() else {
        return Ok(());
    };
    let (path, from, end) = (&newest.path, replayed.proven, replayed.end.offset);
    if from >= end {
        return Ok(());
    }
    // DURABILITY: the same bytes are written again, because a sync alone proves nothing: after one
    // that failed the cache shows bytes that the disk does not have, and calls them clean.
    let len = usize::try_from(end - from).unwrap_or(usize::MAX);
    let bytes = read_agreed_at(&*newest.file, from, len).map_err(failed("read", path))?;
    newest
        .file
        .write_at(from, &bytes)
        .map_err(failed("write", path))?;
    newest.file.sync().map_err(failed("sync", path))
}

/// As for bytes: a segment whose name nothing counts on yet is written once more and renamed over
/// itself, and then the names are synced. It is never away: a header that counts on it may stand in
/// a journal file whose removal is not durable. [S:journal-11]
fn confirm_catalogue(disk: &dyn Disk, replayed: &Replayed) -> Result<(), DiskFailure> {
    if replayed.threads[&ThreadNumber::CATALOGUE].runs.is_empty() {
        return Ok(());
    }
    for segment in &replayed.unproven_names {
        let path = segment_path(Class::Catalogue, *segment);
        reserve::spent_for(disk, || {
            write_anew(disk, &path).map_err(failed("write anew", &path))
        })?;
    }
    disk.sync_dir(CATALOGUE)
        .map_err(failed("sync the directory", CATALOGUE))
}

fn write_anew(disk: &dyn Disk, path: &str) -> io::Result<()> {
    let file = disk.open(path, Access::Read)?;
    let len = file.len()?;
    let temporary = format!("{path}{TEMPORARY}");
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let copy = disk.create(&temporary)?;
    let mut at = 0;
    // A hole of the file is one of the copy.
    while let Some(data) = file.next_data(at)?.filter(|data| *data < len) {
        at = data;
        let part = (len - at).min(COPIED_BYTES);
        let bytes = read_agreed_at(&*file, at, usize::try_from(part).unwrap_or(0))?;
        copy.write_at(at, &bytes)?;
        at += part;
    }
    if at < len {
        copy.set_len(len)?;
    }
    copy.sync()?;
    disk.rename(&temporary, path)
}

/// Repair: the bytes of a torn tail are copied before the next journal file declares them void.
/// [R:tail-3]
pub(super) fn keep_torn(
    disk: &dyn Disk,
    replayed: &Replayed,
) -> Result<Option<String>, DiskFailure> {
    let (Some(offset), Some(file)) = (replayed.cut, replayed.files.last()) else {
        return Ok(None);
    };
    let path = torn_path(file.generation, offset);
    let end = data_end(&*file.file, offset, file.capacity).map_err(failed("read", &file.path))?;
    let len = usize::try_from(end.saturating_sub(offset)).unwrap_or(0);
    let mut bytes = read_agreed_at(&*file.file, offset, len).map_err(failed("read", &file.path))?;
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    let copy = match disk.create(&path) {
        // An earlier open made the copy and did not come further.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            disk.remove(&path).map_err(failed("remove", &path))?;
            disk.create(&path)
        }
        created => created,
    };
    let copy = copy.map_err(failed("create", &path))?;
    copy.write_at(0, &bytes).map_err(failed("write", &path))?;
    copy.sync().map_err(failed("sync", &path))?;
    disk.sync_dir(QUARANTINE)
        .map_err(failed("sync the directory", QUARANTINE))?;
    Ok(Some(path))
}

/// Removes what nothing can need: unfinished files, segments whose runs were all replaced, journal
/// files that hold nothing and cannot be recycled. With damage that costs records nothing is
/// removed: what looks unused may be all that is left. [R:seg-11] [R:seg-13]
pub(super) fn tidy(disk: &dyn Disk, survey: &Survey, replayed: &Replayed) {
    if !replayed.findings.cost_no_record() {
        return;
    }
    let mut paths = leftovers(survey, &replayed.catalogue, &replayed.findings);
    let catalogue = &replayed.threads[&ThreadNumber::CATALOGUE].runs;
    let uncovered = |id: &&SegmentId| !catalogue.iter().any(|run| run.file.segment == **id);
    let old = survey.catalogue.iter().filter(uncovered);
    paths.extend(old.map(|id| segment_path(Class::Catalogue, *id)));
    paths.extend(replayed.useless.iter().cloned());
    for path in paths {
        if let Err(error) = disk.remove(&path) {
            tracing::warn!(%error, path, "an unused file stays");
        }
    }
}

/// Takes what is not damaged off the list of damage. [R:seg-16]
pub(super) fn strike_off(disk: &dyn Disk, replayed: &Replayed) {
    damage_list::tidy(disk);
    if !replayed.not_bad.is_empty() {
        damage_list::strike_off(disk, replayed.store, &replayed.not_bad);
    }
}
