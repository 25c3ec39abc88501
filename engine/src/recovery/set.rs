//! Owns the verdicts about the set of journal files (RECOVERY.md section 2) as a pure function; it
//! must not read or write anything.

use std::collections::{BTreeMap, BTreeSet};

use turnleaf_format::journal::{FRAMES_OFFSET, JournalHeader};
use turnleaf_format::{Generation, JournalChain, StoreId};

use super::findings::{Findings, Remark};
use super::survey::{FileEvidence, Survey};
use crate::catalogue::Acceptance;
use crate::error::{Cause, Damage, Unreadable};
use crate::journal::Header;
use crate::layout::JOURNAL;

/// Why a directory is not opened at all. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No store is there.
    #[error("there is no store here")]
    NoStore,
    /// Files of a store are there, but none says of which. [R:set-8]
    #[error("{file} belongs to a store, but no file says which one: all headers are bad")]
    Headless {
        /// One of the files.
        file: String,
    },
    /// A newer build wrote it.
    #[error("{file} was written by a newer version of turnleaf; use that version")]
    Newer {
        /// The file that says so.
        file: String,
    },
    /// Journal files of two stores lie in one directory.
    #[error("{file} belongs to another store; move it away")]
    Mixed {
        /// The file that does not belong.
        file: String,
    },
    /// What an owner has to judge before it writes could not be read, or nothing says which store
    /// it is. Nobody can say what stands there, so nothing may be written, removed or reused.
    /// [R:set-20]
    #[error("{0}; nothing is written until it can be read")]
    Unreadable(Unreadable),
}

/// No writer reaches the upper half of the generations: what is begun needs a number behind it.
const FAR: Generation = Generation(1 << 63);

/// Where a journal file of the chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is the newest; its tail says.
    Newest,
    /// The next file's header says: offset and journal chain there. [S:journal-8]
    At(u64, JournalChain),
    /// The file that would say it is lost.
    Unknown,
}

/// A journal file that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Linked {
    /// Index into the evidence.
    pub(crate) index: usize,
    pub(crate) generation: Generation,
    /// Lost where only the frames say which generation it is. [R:set-8]
    pub(crate) header: Option<JournalHeader>,
    pub(crate) end: End,
}

/// Which journal files count. [R:set-1]
#[derive(Debug)]
pub(crate) struct FileSet {
    pub(crate) store: StoreId,
    /// Oldest needed file first, newest last.
    pub(crate) chain: Vec<Linked>,
    /// Files that hold nothing that is needed.
    pub(crate) free: Vec<usize>,
    pub(crate) findings: Findings,
    /// The newest header needs files from this generation on.
    pub(crate) oldest_live: Generation,
    /// Highest generation that any file names.
    pub(crate) highest: Generation,
}

/// Chooses the files that count: the newest header, and back from it as far as it says.
pub(crate) fn choose_files(survey: &Survey) -> Result<FileSet, Refusal> {
    let files = &survey.journal;
    refuse(survey)?;
    let store = survey.identity.ok_or_else(|| headless(survey))?;
    let mut sorted = sort(files);
    let mut findings = std::mem::take(&mut sorted.findings);
    let valid: Vec<&JournalHeader> = files.iter().filter_map(valid_header).collect();
    let highest = valid.iter().map(|header| header.generation).max();
    let highest = highest.max(sorted.headless.keys().next_back().copied());
    let newest = sorted.valid.last_key_value().map(|(_, indices)| indices);
    let oldest = newest.into_iter().flatten();
    let oldest = oldest.filter_map(|index| valid_header(&files[*index]));
    let oldest_live = oldest.map(|header| header.oldest_live).min();
    let oldest_live = oldest_live.unwrap_or(Generation(1));
    // Frames of generations that had left the live range need no header. [R:set-9]
    let live = sorted.headless.split_off(&oldest_live);
    let mut free = sorted.free;
    free.extend(sorted.headless.into_values().flatten());
    for (generation, index) in live
        .iter()
        .flat_map(|(generation, all)| all.iter().map(|index| (*generation, *index)))
    {
        // Its frames say their generation; what is lost is the header.
        let header = part_of(generation, 0, FRAMES_OFFSET);
        let damage = whole_file(&files[index], bad(&files[index]));
        findings.of_store(damage, Some(header));
    }
    for doubled in sorted
        .valid
        .range(oldest_live..)
        .filter(|(_, all)| all.len() > 1)
    {
        for index in doubled.1 {
            // Either choice could drop acknowledged records.
            findings.of_store(whole_file(&files[*index], Cause::Doubled), None);
        }
    }
    let mut walk = Walk {
        files,
        valid: sorted.valid,
        headless: live,
        chain: Vec::new(),
        missing: Vec::new(),
    };
    walk.go(oldest_live);
    let segments = !(survey.segments.is_empty() && survey.catalogue.is_empty());
    if walk.chain.is_empty() && findings.of_the_store().is_none() && walk.missing.is_empty() {
        if !segments {
            return Err(Refusal::NoStore);
        }
        // [R:set-2]
        findings.of_store(missing(JOURNAL.to_owned()), None);
    }
    for generation in &walk.missing {
        let whole = part_of(*generation, 0, u64::MAX);
        let damage = missing(format!("{JOURNAL} (generation {generation})"));
        findings.of_store(damage, Some(whole));
    }
    for index in sorted.unknown {
        // Nothing can be read in it; a link that leads nowhere may have led to it. [R:set-7]
        let damage = whole_file(&files[index], bad(&files[index]));
        match walk.missing.first() {
            None => free.push(index),
            Some(lost) => findings.of_store(damage, Some(part_of(*lost, 0, u64::MAX))),
        }
    }
    // Older generations, and beginnings that never came into use. [R:set-14] [R:set-15]
    let rest = walk.valid.into_iter();
    let idle =
        |(generation, all): &(Generation, Vec<usize>)| *generation < oldest_live || all.len() == 1;
    free.extend(rest.filter(idle).flat_map(|(_, all)| all));
    let mut chain = walk.chain;
    chain.reverse();
    for file in files {
        // [R:set-21]
        let stated = valid_header(file).map(|header| header.generation);
        if stated.max(file.highest_frame) >= Some(FAR) {
            findings.of_store(whole_file(file, Cause::Contradiction), None);
        }
    }
    // [R:set-20]
    for unreadable in &survey.unreadable {
        findings.unreadable(unreadable);
    }
    free.retain(|index| files[*index].unreadable.is_none());
    Ok(FileSet {
        store,
        chain,
        free,
        findings,
        oldest_live,
        highest: highest.unwrap_or(Generation(0)),
    })
}

/// Version is judged before identity, and both before damage. [R:order]
fn refuse(survey: &Survey) -> Result<(), Refusal> {
    let file_of = |wanted: &dyn Fn(&FileEvidence) -> bool| {
        let found = survey.journal.iter().find(|file| wanted(file));
        found.map(|file| file.path.clone())
    };
    let newer = file_of(&|file| file.header == Header::Newer);
    if let Some(file) = newer.or_else(|| survey.newer.clone()) {
        return Err(Refusal::Newer { file });
    }
    let foreign = |file: &FileEvidence| match &file.header {
        Header::Valid(header) => survey.identity.is_some_and(|store| store != header.store),
        Header::Mixed => true,
        _ => false,
    };
    match file_of(&foreign) {
        Some(file) => Err(Refusal::Mixed { file }),
        None => Ok(()),
    }
}

/// Without an identity nothing is a store, unless frames or segments say that one was there.
fn headless(survey: &Survey) -> Refusal {
    let held = |file: &&FileEvidence| {
        file.highest_frame.is_some() || matches!(file.header, Header::Refused(_))
    };
    let journal = survey.journal.iter().find(held);
    let segment = !(survey.segments.is_empty() && survey.catalogue.is_empty());
    // What cannot be read may say it. [R:set-20]
    if let Some(unreadable) = survey.unreadable.first() {
        return Refusal::Unreadable(unreadable.clone());
    }
    match journal {
        Some(file) => Refusal::Headless {
            file: file.path.clone(),
        },
        None if segment => Refusal::Headless {
            file: crate::layout::SEGMENTS.to_owned(),
        },
        None => Refusal::NoStore,
    }
}

/// The files by what their header area says.
#[derive(Default)]
struct Sorted {
    valid: BTreeMap<Generation, Vec<usize>>,
    /// Without a header, by the generation of their frames.
    headless: BTreeMap<Generation, Vec<usize>>,
    /// Without header and frames, but not blank.
    unknown: Vec<usize>,
    free: Vec<usize>,
    findings: Findings,
}

fn sort(files: &[FileEvidence]) -> Sorted {
    let mut sorted = Sorted::default();
    let headers = files.iter().filter_map(valid_header);
    let linked: BTreeSet<_> = headers
        .map(|header| header.previous_end.generation)
        .collect();
    for (index, file) in files.iter().enumerate() {
        match (&file.header, file.highest_frame) {
            (Header::Valid(header), frame) => {
                // A copy that is not there cannot be written anew.
                let copy = file.odd_copy.filter(|_| file.len >= FRAMES_OFFSET);
                if let Some((offset, error)) = copy {
                    sorted.findings.remark(Remark::HeaderCopy {
                        file: file.path.clone(),
                        offset,
                        error,
                    });
                }
                let short = file.len < header.capacity && file.unreadable.is_none();
                let held = frame == Some(header.generation);
                if short && held {
                    // [R:set-16]
                    let damage = Damage {
                        offset: file.len,
                        length: header.capacity - file.len,
                        ..whole_file(file, Cause::Length)
                    };
                    let cut = part_of(header.generation, file.len, header.capacity);
                    sorted.findings.of_store(damage, Some(cut));
                } else if short && !linked.contains(&header.generation) {
                    // [R:set-18]
                    sorted.free.push(index);
                    continue;
                }
                sorted
                    .valid
                    .entry(header.generation)
                    .or_default()
                    .push(index);
            }
            (Header::Refused(error), frame) => {
                // [R:set-17]
                match frame {
                    Some(generation) => {
                        sorted.headless.entry(generation).or_default().push(index);
                    }
                    None => sorted
                        .findings
                        .of_store(whole_file(file, Cause::Decode(*error)), None),
                }
            }
            (_, Some(generation)) => sorted.headless.entry(generation).or_default().push(index),
            // Nothing can be said of it. [R:set-20]
            (_, None) if file.unreadable.is_some() => {}
            (Header::Blank, None) => sorted.free.push(index),
            (_, None) => sorted.unknown.push(index),
        }
    }
    sorted
}

/// The way from the newest file down to the oldest that is needed.
struct Walk<'f> {
    files: &'f [FileEvidence],
    valid: BTreeMap<Generation, Vec<usize>>,
    headless: BTreeMap<Generation, Vec<usize>>,
    /// Newest first.
    chain: Vec<Linked>,
    missing: Vec<Generation>,
}

impl Walk<'_> {
    fn go(&mut self, oldest_live: Generation) {
        let mut end = End::Newest;
        let mut next = self.highest_below(Generation(u64::MAX));
        while let Some(wanted) = next.filter(|wanted| *wanted >= oldest_live) {
            let valid = self.valid.remove(&wanted).unwrap_or_default();
            let headless = self.headless.remove(&wanted).unwrap_or_default();
            let linked = |index: usize, header: Option<JournalHeader>| Linked {
                index,
                generation: wanted,
                header,
                end,
            };
            let below = |walk: &Self| walk.highest_below(wanted);
            match (valid.as_slice(), headless.as_slice()) {
                ([index], []) => {
                    let header = valid_header(&self.files[*index]).copied();
                    self.chain.push(linked(*index, header));
                    (end, next) = link_of(header.as_ref());
                }
                ([], [index]) => {
                    self.chain.push(linked(*index, None));
                    (end, next) = (End::Unknown, below(self));
                }
                // Neither is chosen, but their links may agree. [R:set-13]
                ([first, rest @ ..], []) => {
                    let link = |index: &usize| link_of(valid_header(&self.files[*index]));
                    let agreed = link(first);
                    let agree = rest.iter().all(|index| link(index) == agreed);
                    (end, next) = if agree {
                        agreed
                    } else {
                        (End::Unknown, below(self))
                    };
                }
                // [R:set-12]
                ([], []) => {
                    self.missing.push(wanted);
                    (end, next) = (End::Unknown, below(self));
                }
                _ => (end, next) = (End::Unknown, below(self)),
            }
        }
    }

    fn highest_below(&self, generation: Generation) -> Option<Generation> {
        let valid = self.valid.range(..generation).next_back();
        let headless = self.headless.range(..generation).next_back();
        valid
            .map(|found| *found.0)
            .max(headless.map(|found| *found.0))
    }
}

/// Where a header says that the file before ends, and which that is.
fn link_of(header: Option<&JournalHeader>) -> (End, Option<Generation>) {
    let Some(header) = header else {
        return (End::Unknown, None);
    };
    let end = End::At(header.previous_end.offset, header.previous_chain);
    let generation = header.previous_end.generation;
    (end, (generation.0 > 0).then_some(generation))
}

fn valid_header(file: &FileEvidence) -> Option<&JournalHeader> {
    match &file.header {
        Header::Valid(header) => Some(header),
        _ => None,
    }
}

/// Why a file without a valid header is damaged.
fn bad(file: &FileEvidence) -> Cause {
    match &file.header {
        Header::Bad(error) | Header::Refused(error) => Cause::Decode(*error),
        _ => Cause::Missing,
    }
}

fn part_of(generation: Generation, offset: u64, end: u64) -> Acceptance {
    Acceptance::Journal {
        generation,
        offset,
        end,
    }
}

fn whole_file(file: &FileEvidence, cause: Cause) -> Damage {
    Damage {
        file: file.path.clone(),
        offset: 0,
        length: file.len,
        thread: None,
        ordinals: None,
        cause,
    }
}

fn missing(file: String) -> Damage {
    Damage {
        file,
        offset: 0,
        length: 0,
        thread: None,
        ordinals: None,
        cause: Cause::Missing,
    }
}
