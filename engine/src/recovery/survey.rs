//! Owns the collection of evidence: which files stand in the store and what their headers say.

use std::io;
use std::sync::Arc;

use turnleaf_format::segment::{Class, HEADER_BYTES, SegmentHeader, TRAILER_BYTES, Trailer};
use turnleaf_format::{DecodeError, Generation, Problem, SegmentId, StoreId};

use crate::disk::{Access, Disk, DiskFile, EntryKind, read_exact_at};
use crate::error::{DiskFailure, SystemError, Unreadable, failed};
use crate::journal::{Header, HeaderArea, highest_frame, read_header};
use crate::layout::{
    CATALOGUE, CHECKPOINT, JOURNAL, QUARANTINE, SEGMENTS, TEMPORARY, journal_path, journal_slot,
    segment_of, segment_path,
};

/// One journal file as it stands.
#[derive(Debug, Clone)]
pub(crate) struct FileEvidence {
    pub(crate) slot: u32,
    pub(crate) path: String,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) header: Header,
    /// The copy of the header that is not valid beside one that is.
    pub(crate) invalid_copy: Option<(u64, DecodeError)>,
    pub(crate) len: u64,
    /// Where there is no valid header, or less of the file than it says: the highest generation of
    /// which a frame header stands in the file.
    pub(crate) highest_frame: Option<Generation>,
    /// Where the last of these frames ends at the latest.
    pub(crate) frames_end: u64,
    /// What of the above nobody could read: what is known of the file may not be all. [R:set-20]
    pub(crate) unreadable: Option<Unreadable>,
}

/// Everything that stands in the store, by name; only journal headers were read.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The store that the first valid header of a journal file names, else that of a segment.
    pub(crate) identity: Option<StoreId>,
    pub(crate) journal: Vec<FileEvidence>,
    pub(crate) segments: Vec<SegmentId>,
    pub(crate) catalogue: Vec<SegmentId>,
    /// The checkpoint of the catalogue, where one can be opened. It says nothing that the catalogue
    /// does not say. [R:cat-9]
    pub(crate) checkpoint: Option<Arc<dyn DiskFile>>,
    /// Segments that a repair took away: their ids are not given again. [S:names-7]
    pub(crate) reaped: Vec<SegmentId>,
    /// Unfinished files of an earlier owner.
    pub(crate) temporaries: Vec<String>,
    /// A segment that asks for a newer reader. [R:seg-15]
    pub(crate) newer: Option<String>,
    /// Names that are not ours.
    pub(crate) foreign: Vec<String>,
    /// Files that could not be judged: opened, measured or read. What is not known of them is
    /// evidence of nothing. [R:unreadable]
    pub(crate) unreadable: Vec<Unreadable>,
    /// Whether a directory is not there: what copies a store may leave out empty ones.
    pub(crate) lacks_directory: bool,
}

/// Whether a file of a store stands on the disk, good or bad; only names are read.
///
/// # Errors
/// When the system refuses.
pub fn store_exists(disk: &dyn Disk) -> Result<bool, DiskFailure> {
    let mut scratch = Survey::default();
    for dir in [JOURNAL, SEGMENTS, CATALOGUE] {
        let names = names(disk, dir, &mut scratch)?;
        let ours = |name: &String| journal_slot(name).is_some() || segment_of(name).is_some();
        if names.iter().any(ours) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Collects the evidence.
pub(crate) fn survey(disk: &dyn Disk) -> Result<Survey, DiskFailure> {
    let mut survey = Survey::default();
    for name in names(disk, JOURNAL, &mut survey)? {
        match journal_slot(&name) {
            Some(slot) => match journal_evidence(disk, slot) {
                Ok(evidence) => survey.journal.push(evidence),
                Err(unreadable) => survey.unreadable.push(unreadable),
            },
            None if name.ends_with(TEMPORARY) => {
                survey.temporaries.push(format!("{JOURNAL}/{name}"));
            }
            None => survey.foreign.push(format!("{JOURNAL}/{name}")),
        }
    }
    for (dir, class) in [(SEGMENTS, Class::Run), (CATALOGUE, Class::Catalogue)] {
        for name in names_or_note(disk, dir, &mut survey) {
            let path = format!("{dir}/{name}");
            match segment_of(&name) {
                Some(segment) if class == Class::Catalogue => survey.catalogue.push(segment),
                Some(segment) => survey.segments.push(segment),
                None if name.ends_with(TEMPORARY) => survey.temporaries.push(path),
                None if path == CHECKPOINT => {
                    survey.checkpoint = disk.open(&path, Access::Read).ok();
                }
                None => survey.foreign.push(path),
            }
        }
    }
    let kept = names_or_note(disk, QUARANTINE, &mut survey);
    survey.reaped = kept.iter().filter_map(|name| segment_of(name)).collect();
    let mut unreadable = std::mem::take(&mut survey.unreadable);
    survey.identity = identity(disk, &survey, &mut unreadable);
    survey.newer = newer_segment(disk, &survey, &mut unreadable);
    look_for_frames(&mut survey)?;
    let of_files = survey
        .journal
        .iter()
        .filter_map(|file| file.unreadable.clone());
    unreadable.extend(of_files);
    survey.unreadable = unreadable;
    Ok(survey)
}

/// Which store this is, by the first header that says so.
fn identity(disk: &dyn Disk, survey: &Survey, unreadable: &mut Vec<Unreadable>) -> Option<StoreId> {
    let of_journal = survey.journal.iter().find_map(|file| match &file.header {
        Header::Valid(header) => Some(header.store),
        _ => None,
    });
    let mut of_segment = |(class, segment): (Class, &SegmentId)| {
        let path = segment_path(class, *segment);
        let bytes = ends_of(disk, &path, unreadable)?.0;
        SegmentHeader::decode(&bytes)
            .ok()
            .map(|header| header.store)
    };
    // Only a journal without any header asks the segments, so they are not read otherwise.
    of_journal.or_else(|| {
        let catalogue = survey.catalogue.iter().map(|id| (Class::Catalogue, id));
        let mut all = catalogue.chain(survey.segments.iter().map(|id| (Class::Run, id)));
        all.find_map(&mut of_segment)
    })
}

/// Version is judged before anything is written. A build that sealed was not refused, so nothing
/// older than the newest segment is newer than it: one of each class is asked, and an opening does
/// not depend on how many there are. [R:order]
fn newer_segment(
    disk: &dyn Disk,
    survey: &Survey,
    unreadable: &mut Vec<Unreadable>,
) -> Option<String> {
    let catalogue = survey.catalogue.iter().max();
    let catalogue = catalogue.map(|id| (Class::Catalogue, id));
    let run = survey.segments.iter().max().map(|id| (Class::Run, id));
    let mut paths = catalogue
        .into_iter()
        .chain(run)
        .map(|(class, segment)| segment_path(class, *segment));
    let newer = |error: DecodeError| error.problem == Problem::Version;
    let mut asks = |path: &String| {
        let Some((head, trailer, len)) = ends_of(disk, path, unreadable) else {
            return false;
        };
        let header = SegmentHeader::decode(&head).is_err_and(newer);
        header || Trailer::decode(&trailer, len).is_err_and(newer)
    };
    paths.find(&mut asks)
}

/// Header and trailer of a segment, and its length, as far as it has them. `None` where the file is
/// not there (somebody else's owner took it away meanwhile), or could not be read, which is noted.
fn ends_of(
    disk: &dyn Disk,
    path: &str,
    unreadable: &mut Vec<Unreadable>,
) -> Option<(Vec<u8>, Vec<u8>, u64)> {
    let read = || {
        let file = disk.open(path, Access::Read).map_err(|error| (0, error))?;
        let len = file.len().map_err(|error| (0, error))?;
        let part = |offset: u64, wanted: usize| {
            let here = usize::try_from(len - offset).map_or(wanted, |here| wanted.min(here));
            read_exact_at(&*file, offset, here).map_err(|error| (offset, error))
        };
        let trailer_at = len.saturating_sub(TRAILER_BYTES as u64);
        Ok((
            part(0, HEADER_BYTES)?,
            part(trailer_at, TRAILER_BYTES)?,
            len,
        ))
    };
    match read() {
        Ok(ends) => Some(ends),
        Err((_, error)) if error.kind() == io::ErrorKind::NotFound => None,
        Err((offset, error)) => {
            let found = Unreadable::at(path, offset, SystemError::from(&error));
            if !unreadable.contains(&found) {
                unreadable.push(found);
            }
            None
        }
    }
}

/// A beginning that was interrupted leaves a bad header over frames that nobody needs, or a short
/// file without any; a header or an end that was lost later leaves frames that somebody does.
fn look_for_frames(survey: &mut Survey) -> Result<(), DiskFailure> {
    for file in &mut survey.journal {
        let whole = |capacity| file.len >= capacity;
        let store = match &file.header {
            Header::Valid(header) if whole(header.capacity) => continue,
            Header::Valid(header) => Some(header.store),
            _ => survey.identity,
        };
        let seen = highest_frame(&*file.file, &file.path, store)?;
        file.highest_frame = seen.highest;
        file.frames_end = seen.end.min(file.len);
        let unreadable = seen.unreadable;
        let unreadable = unreadable.map(|(at, why)| Unreadable::at(&file.path, at, why));
        file.unreadable = file.unreadable.take().or(unreadable);
    }
    Ok(())
}

fn journal_evidence(disk: &dyn Disk, slot: u32) -> Result<FileEvidence, Unreadable> {
    let path = journal_path(slot);
    let refused = |error: io::Error| Unreadable::at(&path, 0, SystemError::from(&error));
    let file = disk.open(&path, Access::ReadWrite);
    // A store on a read-only medium is still readable.
    let file = file.or_else(|_| disk.open(&path, Access::Read));
    let file = file.map_err(refused)?;
    let len = file.len().map_err(refused)?;
    let area = read_header(&*file, len);
    let unreadable = area.unreadable;
    let unreadable = unreadable.map(|(at, why)| Unreadable::at(&path, at, why));
    let HeaderArea {
        header,
        invalid_copy,
        ..
    } = area;
    Ok(FileEvidence {
        slot,
        path,
        file,
        header,
        invalid_copy,
        len,
        highest_frame: None,
        frames_end: len,
        unreadable,
    })
}

/// As [`names`]; of a directory that the system does not list it is noted, and then no owner opens
/// the store. Who only reads needs it for nothing but what the journal and the other directories do
/// not say. [R:set-20]
fn names_or_note(disk: &dyn Disk, dir: &str, survey: &mut Survey) -> Vec<String> {
    names(disk, dir, survey).unwrap_or_else(|failure| {
        let why = SystemError::from(&failure.source);
        survey.unreadable.push(Unreadable::at(dir, 0, why));
        Vec::new()
    })
}

/// Names of regular files; a directory that does not exist has none.
fn names(disk: &dyn Disk, dir: &str, survey: &mut Survey) -> Result<Vec<String>, DiskFailure> {
    // [R:unreadable]
    let listed = disk.list(dir);
    let listed = listed.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Err(error),
        _ => disk.list(dir),
    });
    let entries = match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            survey.lacks_directory = true;
            return Ok(Vec::new());
        }
        listed => listed.map_err(failed("list", dir))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        if entry.kind == EntryKind::File {
            files.push(entry.name);
        } else {
            survey.foreign.push(format!("{dir}/{}", entry.name));
        }
    }
    Ok(files)
}
