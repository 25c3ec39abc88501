//! Owns the choice of the journal files that count, by the verdicts of `verdict/files.rs`; it must
//! not read or write anything.

use std::collections::{BTreeMap, BTreeSet};

use turnleaf_format::journal::{FRAMES_OFFSET, JournalHeader};
use turnleaf_format::{Generation, JournalChain, StoreId};

use super::findings::{Findings, Remark, Severity};
use super::survey::{FileEvidence, Survey};
use super::verdict::files::{
    Area, Count, Evidence, FileVerdict, Frames, IdleVerdict, LinkVerdict, NamelessVerdict,
    file_verdict, idle_verdict, link_verdict, nameless_verdict,
};
use crate::catalogue::LossRecord;
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
    let highest = highest_generation(files, &sorted);
    let oldest_live = oldest_live(files, &sorted);
    // Frames of generations that had left the live range need no header. [R:set-9]
    let live = sorted.headless.split_off(&oldest_live);
    let mut free = sorted.free;
    free.extend(sorted.headless.into_values().flatten());
    let mut findings = sorted.findings;
    lost_headers(files, &live, &mut findings);
    duplicates(files, &sorted.valid, oldest_live, &mut findings);
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
        findings.report(Severity::ClosesStore, missing(JOURNAL.to_owned()), None);
    }
    for generation in &walk.missing {
        // [R:set-12]
        let whole = part_of(*generation, 0, u64::MAX);
        let damage = missing(format!("{JOURNAL} (generation {generation})"));
        findings.report(Severity::ClosesStore, damage, Some(whole));
    }
    for index in sorted.nameless {
        let lost = walk.missing.first();
        match (nameless_verdict(lost.is_some()), lost) {
            (NamelessVerdict::MayBeLinked, Some(lost)) => {
                let damage = whole_file(&files[index], bad(&files[index]));
                findings.report(
                    Severity::ClosesStore,
                    damage,
                    Some(part_of(*lost, 0, u64::MAX)),
                );
            }
            _ => free.push(index),
        }
    }
    free.extend(walk.idle(oldest_live));
    unusable(survey, &mut findings);
    free.retain(|index| files[*index].unreadable.is_none());
    let mut chain = walk.chain;
    chain.reverse();
    Ok(FileSet {
        store,
        chain,
        free,
        findings,
        oldest_live,
        highest,
    })
}

/// The highest generation that a valid header or a frame states.
fn highest_generation(files: &[FileEvidence], sorted: &Sorted) -> Generation {
    let valid = files.iter().filter_map(valid_header);
    let valid = valid.map(|header| header.generation).max();
    let headless = sorted.headless.keys().next_back().copied();
    valid.max(headless).unwrap_or(Generation(0))
}

/// From which generation on the newest header needs files.
fn oldest_live(files: &[FileEvidence], sorted: &Sorted) -> Generation {
    let newest = sorted.valid.last_key_value().map(|(_, indices)| indices);
    let newest = newest.into_iter().flatten();
    let newest = newest.filter_map(|index| valid_header(&files[*index]));
    let oldest = newest.map(|header| header.oldest_live).min();
    oldest.unwrap_or(Generation(1))
}

/// Files of live generations without a header: their frames say the generation. [R:set-8]
fn lost_headers(
    files: &[FileEvidence],
    live: &BTreeMap<Generation, Vec<usize>>,
    findings: &mut Findings,
) {
    for (generation, all) in live {
        for index in all {
            let header = part_of(*generation, 0, FRAMES_OFFSET);
            let damage = whole_file(&files[*index], bad(&files[*index]));
            findings.report(Severity::ClosesStore, damage, Some(header));
        }
    }
}

/// Several files with a header of one live generation. [R:set-13]
fn duplicates(
    files: &[FileEvidence],
    valid: &BTreeMap<Generation, Vec<usize>>,
    oldest_live: Generation,
    findings: &mut Findings,
) {
    let several = valid.range(oldest_live..).filter(|(_, all)| all.len() > 1);
    for index in several.flat_map(|(_, all)| all) {
        findings.report(
            Severity::ClosesStore,
            whole_file(&files[*index], Cause::DuplicateGeneration),
            None,
        );
    }
}

/// What no repair ends: numbers that cannot be followed, and files that could not be judged.
fn unusable(survey: &Survey, findings: &mut Findings) {
    for file in &survey.journal {
        // [R:set-21]
        let stated = valid_header(file).map(|header| header.generation);
        if stated.max(file.highest_frame) >= Some(FAR) {
            findings.report(
                Severity::ClosesStore,
                whole_file(file, Cause::Contradiction),
                None,
            );
        }
    }
    // [R:set-20]
    for unreadable in &survey.unreadable {
        findings.unreadable(unreadable);
    }
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
    nameless: Vec<usize>,
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
        let verdict = file_verdict(evidence(file, &linked));
        let header = valid_header(file);
        if let Some(header) = header {
            sorted.remark_copy(file);
            if verdict == FileVerdict::CutShort {
                sorted.cut_short(file, header);
            }
        }
        match (verdict, header, file.highest_frame) {
            (FileVerdict::Counts | FileVerdict::CutShort, Some(header), _) => {
                let of_generation = sorted.valid.entry(header.generation);
                of_generation.or_default().push(index);
            }
            (FileVerdict::Headless, _, Some(generation)) => {
                sorted.headless.entry(generation).or_default().push(index);
            }
            (FileVerdict::Contradicts, _, _) => {
                let damage = whole_file(file, bad(file));
                sorted.findings.report(Severity::ClosesStore, damage, None);
            }
            (FileVerdict::Free, _, _) => sorted.free.push(index),
            (FileVerdict::Nameless, _, _) => sorted.nameless.push(index),
            (FileVerdict::Unread, _, _) => {}
            (FileVerdict::Counts | FileVerdict::CutShort, None, _)
            | (FileVerdict::Headless, _, None) => {
                unreachable!("the verdict follows from the header and the frames")
            }
        }
    }
    sorted
}

/// What is known of a file by itself; `linked` are the generations that a header links to.
fn evidence(file: &FileEvidence, linked: &BTreeSet<Generation>) -> Evidence {
    let header = valid_header(file);
    let area = match (&file.header, header) {
        (_, Some(header)) if file.len < header.capacity => Area::ValidOverShortFile,
        (_, Some(_)) => Area::Valid,
        (Header::Blank, _) => Area::Blank,
        (Header::Refused(_), _) => Area::Refused,
        (_, None) => Area::Bad,
    };
    let generation = header.map(|header| header.generation);
    let stands = match generation {
        Some(generation) => file.highest_frame == Some(generation),
        None => file.highest_frame.is_some(),
    };
    Evidence {
        area,
        frames: if stands { Frames::Some } else { Frames::No },
        linked: generation.is_some_and(|generation| linked.contains(&generation)),
        read: file.unreadable.is_none(),
    }
}

impl Sorted {
    /// [R:set-4]
    fn remark_copy(&mut self, file: &FileEvidence) {
        // A copy that is not there cannot be written anew.
        let copy = file.invalid_copy.filter(|_| file.len >= FRAMES_OFFSET);
        if let Some((offset, error)) = copy {
            self.findings.remark(Remark::HeaderCopy {
                file: file.path.clone(),
                offset,
                error,
            });
        }
    }

    /// [R:set-16]
    fn cut_short(&mut self, file: &FileEvidence, header: &JournalHeader) {
        let damage = Damage {
            offset: file.len,
            length: header.capacity - file.len,
            ..whole_file(file, Cause::Length)
        };
        let cut = part_of(header.generation, file.len, header.capacity);
        self.findings
            .report(Severity::ClosesStore, damage, Some(cut));
    }
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
            match link_verdict(Count::of(&valid), Count::of(&headless)) {
                LinkVerdict::Valid => {
                    let header = valid_header(&self.files[valid[0]]).copied();
                    self.chain.push(linked(valid[0], header));
                    (end, next) = link_of(header.as_ref());
                }
                LinkVerdict::Headless => {
                    self.chain.push(linked(headless[0], None));
                    (end, next) = (End::Unknown, below(self));
                }
                LinkVerdict::Missing => {
                    self.missing.push(wanted);
                    (end, next) = (End::Unknown, below(self));
                }
                LinkVerdict::Ambiguous => {
                    let link = |index: &usize| link_of(valid_header(&self.files[*index]));
                    let agreed = link(&valid[0]);
                    (end, next) = if valid.iter().all(|index| link(index) == agreed) {
                        agreed
                    } else {
                        (End::Unknown, below(self))
                    };
                }
                LinkVerdict::AmbiguousAndHeadless => {
                    (end, next) = (End::Unknown, below(self));
                }
            }
        }
    }

    /// Files that no link led to and that hold nothing that is needed.
    fn idle(&mut self, oldest_live: Generation) -> Vec<usize> {
        let rest = std::mem::take(&mut self.valid).into_iter();
        let free = rest.filter(|(generation, all)| {
            let live = *generation >= oldest_live;
            idle_verdict(live, Count::of(all)) == IdleVerdict::Free
        });
        free.flat_map(|(_, all)| all).collect()
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

fn part_of(generation: Generation, offset: u64, end: u64) -> LossRecord {
    LossRecord::Journal {
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
