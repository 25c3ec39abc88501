//! Owns the collection of evidence: which files stand in the store and what their headers say.

use std::io;
use std::sync::Arc;

use turnleaf_format::segment::Class;
use turnleaf_format::{Generation, SegmentId};

use crate::disk::{Access, Disk, DiskFile, EntryKind};
use crate::error::{DiskFailure, failed};
use crate::journal::{Header, has_no_frames, highest_frame, read_header};
use crate::layout::{
    CATALOGUE, JOURNAL, SEGMENTS, TEMPORARY, journal_path, journal_slot, segment_of,
};

/// One journal file as it stands.
#[derive(Debug, Clone)]
pub(crate) struct FileEvidence {
    pub(crate) slot: u32,
    pub(crate) path: String,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) header: Header,
    pub(crate) len: u64,
    /// Behind a bad header: the highest generation of which a valid frame stands in the file.
    pub(crate) highest_frame: Option<Generation>,
}

/// Everything that stands in the store, by name; only journal headers were read.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) journal: Vec<FileEvidence>,
    pub(crate) segments: Vec<SegmentId>,
    pub(crate) catalogue: Vec<SegmentId>,
    /// Unfinished files of an earlier owner.
    pub(crate) temporaries: Vec<String>,
    /// Names that are not ours.
    pub(crate) foreign: Vec<String>,
}

/// Collects the evidence.
pub(crate) fn survey(disk: &dyn Disk) -> Result<Survey, DiskFailure> {
    let mut survey = Survey::default();
    for name in names(disk, JOURNAL, &mut survey.foreign)? {
        match journal_slot(&name) {
            Some(slot) => survey.journal.push(journal_evidence(disk, slot)?),
            None => survey.foreign.push(format!("{JOURNAL}/{name}")),
        }
    }
    look_behind_bad_headers(&mut survey.journal)?;
    for (dir, class) in [(SEGMENTS, Class::Run), (CATALOGUE, Class::Catalogue)] {
        for name in names(disk, dir, &mut survey.foreign)? {
            let path = format!("{dir}/{name}");
            match segment_of(&name) {
                Some(segment) if class == Class::Catalogue => survey.catalogue.push(segment),
                Some(segment) => survey.segments.push(segment),
                None if name.ends_with(TEMPORARY) => survey.temporaries.push(path),
                None => survey.foreign.push(path),
            }
        }
    }
    Ok(survey)
}

/// A beginning that was interrupted leaves a bad header over frames that nobody needs; one that
/// rotted leaves frames that somebody does.
fn look_behind_bad_headers(files: &mut [FileEvidence]) -> Result<(), DiskFailure> {
    let store = files.iter().find_map(|file| match &file.header {
        Header::Valid(header) => Some(header.store),
        _ => None,
    });
    let Some(store) = store else { return Ok(()) };
    for file in files
        .iter_mut()
        .filter(|file| matches!(file.header, Header::Bad(_)))
    {
        file.highest_frame = highest_frame(&*file.file, &file.path, store)?;
    }
    Ok(())
}

fn journal_evidence(disk: &dyn Disk, slot: u32) -> Result<FileEvidence, DiskFailure> {
    let path = journal_path(slot);
    let file = disk.open(&path, Access::ReadWrite);
    // A store on a read-only medium is still readable.
    let file = file
        .or_else(|_| disk.open(&path, Access::Read))
        .map_err(failed("open", &path))?;
    let len = file.len().map_err(failed("measure", &path))?;
    let header = match read_header(&*file, &path)? {
        // Half a header over a file that never held a frame: a beginning that was interrupted.
        // [R:set-6]
        Header::Bad(_) if has_no_frames(&*file, &path)? => Header::Blank,
        header => header,
    };
    Ok(FileEvidence {
        slot,
        path,
        file,
        header,
        len,
        highest_frame: None,
    })
}

/// Names of regular files; a directory that does not exist has none.
fn names(
    disk: &dyn Disk,
    dir: &str,
    foreign: &mut Vec<String>,
) -> Result<Vec<String>, DiskFailure> {
    let entries = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(failed("list", dir))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        if entry.kind == EntryKind::File {
            files.push(entry.name);
        } else {
            foreign.push(format!("{dir}/{}", entry.name));
        }
    }
    Ok(files)
}
