//! Owns the state that the evidence adds up to: catalogue, thread views, journal files, damage.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use turnleaf_format::ThreadNumber;
use turnleaf_format::frame::{FrameHeader, HEADER_BYTES, Position};
use turnleaf_format::journal::FRAMES_OFFSET;
use turnleaf_format::{Generation, JournalChain, Ordinal, SegmentId, StoreId, ThreadChain};

use super::ReplayError;
use super::catalogue::Places;
use super::findings::{Findings, Remark, Severity};
use super::journal::{JournalRead, LostFrame, read_journal};
use super::listed::{Known, read_again};
use super::segments::{Budget, Suspects, suspects};
use super::set::{FileSet, choose_files};
use super::survey::{FileEvidence, Survey};
use super::threads::{Growing, PublishedRun};
use super::unused::remark_orphans;
use super::verdict::ends::TailVerdict;
use crate::catalogue::{Catalogue, LossRecord};
use crate::damage_list::{self, Place};
use crate::disk::{Disk, read_exact_at};
use crate::error::{Cause, Damage, Unreadable};
use crate::journal::{Header, ScannedFrame};
use crate::layout::segment_path;
use crate::options::Options;
use crate::segment::Segments;
use crate::view::{JournalFile, RunRef, ThreadView};

/// Where what the catalogue says is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CatalogueFrom {
    /// Its checkpoint, where that can be used, and the records behind it. [R:cat-9]
    Checkpoint,
    /// All its records: who repairs needs to meet what is wrong with any of them.
    Records,
}

/// Frames with the files that they stand in, in order of position.
type Frames<'f> = &'f [(Arc<JournalFile>, ScannedFrame)];

/// A store as it was found.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) store: StoreId,
    pub(crate) catalogue: Catalogue,
    pub(crate) threads: HashMap<ThreadNumber, ThreadView>,
    pub(crate) segments: Arc<Segments>,
    /// Journal files that count, oldest first.
    pub(crate) files: Vec<Arc<JournalFile>>,
    /// Journal files that may be recycled.
    pub(crate) free: Vec<Arc<JournalFile>>,
    /// Journal files that are removed once a newer header does without them.
    pub(crate) retired: Vec<Arc<JournalFile>>,
    pub(crate) next_slot: u32,
    pub(crate) stated_oldest: Generation,
    pub(crate) next_generation: Generation,
    pub(crate) end: Position,
    pub(crate) chain: JournalChain,
    pub(crate) tail: TailVerdict,
    /// Up to here the frames of the newest file say themselves that they were durable.
    pub(crate) proven: u64,
    /// The newest file takes further frames. [R:tail-7]
    pub(crate) goes_on: bool,
    /// The records of the catalogue before this one were taken from a checkpoint.
    pub(crate) checkpoint: Ordinal,
    /// Catalogue segments that are in use and whose names may not be durable.
    pub(crate) unproven_names: Vec<SegmentId>,
    /// Where a torn group begins in the newest file.
    pub(crate) cut: Option<u64>,
    /// Files that are kept although nothing in them can be sealed, and the threads that they are
    /// kept for.
    pub(crate) pinned: Vec<(ThreadNumber, Generation)>,
    /// Journal files that hold nothing and cannot be recycled.
    pub(crate) useless: Vec<String>,
    /// Places of the list of damage that need not be listed any more.
    pub(crate) not_bad: Vec<Place>,
    pub(crate) findings: Findings,
}

/// Reads journal and catalogue and adds them up.
pub(crate) fn replay(
    disk: &Arc<dyn Disk>,
    survey: &Survey,
    options: &Options,
    from: CatalogueFrom,
) -> Result<Replayed, ReplayError> {
    let set = choose_files(survey)?;
    let (descriptors, blocks) = (options.descriptors_max, options.block_cache_bytes);
    let segments = Segments::new(Arc::clone(disk), set.store, descriptors, blocks);
    let segments = Arc::new(segments);
    let mut journal = read_journal(&survey.journal, &set)?;
    let stated = stated_catalogue(&set);
    let (store, mut free, mut findings) = (set.store, set.free, set.findings);
    findings.absorb(std::mem::take(&mut journal.findings));
    let all = std::mem::take(&mut journal.frames).into_iter();
    let (of_catalogue, frames): (Vec<_>, Vec<_>) =
        all.partition(|(_, frame)| frame.header.thread == ThreadNumber::CATALOGUE);
    let listed = Listed::read(&**disk, store, survey, &mut findings);
    let is_sound = findings.is_sound() && journal.lost.is_empty() && !listed.may_name_catalogue;
    let may_use_checkpoint = from == CatalogueFrom::Checkpoint && is_sound;
    let places = Places {
        disk,
        store,
        segments: &segments,
        frames: &of_catalogue,
        stated,
        checkpoint: survey.checkpoint.as_deref().filter(|_| may_use_checkpoint),
    };
    free.extend(journal.void);
    let free = free_files(&survey.journal, &free, store, &mut findings);
    let mut found = places.read(&survey.catalogue, &mut findings);
    reserve_numbers(&mut found.catalogue, survey, &journal, &frames);
    let catalogue = found.catalogue;
    remark_orphans(&catalogue, &survey.segments, &mut findings);
    let held = (&segments, &*frames, &journal);
    let (mut threads, not_bad) =
        read_threads(&**disk, &catalogue, held, &listed.places, &mut findings);
    threads.insert(ThreadNumber::CATALOGUE, found.view);
    settle(
        &catalogue,
        &threads[&ThreadNumber::CATALOGUE],
        &mut findings,
    );
    Ok(Replayed {
        store,
        pinned: pinned(&catalogue, &journal, &findings),
        catalogue,
        threads,
        segments,
        files: journal.files,
        free: free.recyclable,
        retired: free.retired,
        next_slot: next_slot(survey),
        stated_oldest: journal.stated_oldest,
        // Where it is not the next, the store is closed. [R:set-21]
        next_generation: Generation(set.highest.0.saturating_add(1)),
        end: journal.end,
        chain: journal.chain,
        tail: journal.tail,
        proven: journal.proven,
        goes_on: journal.goes_on,
        checkpoint: found.checkpoint,
        unproven_names: found.unproven,
        cut: journal.cut,
        useless: free.useless,
        not_bad,
        findings,
    })
}

/// The slot after the highest. Where that name is in use, because the numbers went round, the
/// writer looks for the next one that is not.
fn next_slot(survey: &Survey) -> u32 {
    let slots = survey.journal.iter().map(|file| file.slot);
    slots.max().map_or(0, |slot| slot.wrapping_add(1))
}

/// The list of damage, as far as it could be read.
struct Listed {
    places: Vec<Place>,
    /// Whether a place is in a segment of the catalogue, or may be: then no checkpoint stands for
    /// what somebody read damaged of it. [R:cat-9]
    may_name_catalogue: bool,
}

impl Listed {
    fn read(disk: &dyn Disk, store: StoreId, survey: &Survey, findings: &mut Findings) -> Listed {
        match damage_list::listed(disk, store) {
            Ok(places) => {
                let of_catalogue = |place: &Place| survey.catalogue.contains(&place.segment);
                Listed {
                    may_name_catalogue: places.iter().any(of_catalogue),
                    places,
                }
            }
            Err(failure) => {
                let file = failure.path.clone();
                let why = Some((&failure.source).into());
                findings.remark(Remark::Unchecked { file, why });
                Listed {
                    may_name_catalogue: true,
                    places: Vec::new(),
                }
            }
        }
    }
}

/// Keeps numbers from being given again that files or frames show to be taken.
fn reserve_numbers(
    catalogue: &mut Catalogue,
    survey: &Survey,
    journal: &JournalRead,
    frames: Frames<'_>,
) {
    let seen = survey.segments.iter().chain(&survey.catalogue);
    for segment in seen.chain(&survey.reaped) {
        catalogue.saw_segment_file(*segment);
    }
    let lost = journal.lost.iter().map(|frame| frame.header.thread);
    let read = frames.iter().map(|(_, frame)| frame.header.thread);
    // Also where only the catalogue has frames.
    let catalogue_itself = std::iter::once(ThreadNumber::CATALOGUE);
    for thread in read.chain(lost).chain(catalogue_itself) {
        catalogue.saw_frames(thread, journal.epoch);
    }
}

/// The threads of the catalogue from their segments and frames, and the listed places that need not
/// be listed any more.
fn read_threads(
    disk: &dyn Disk,
    catalogue: &Catalogue,
    (segments, frames, journal): (&Arc<Segments>, Frames<'_>, &JournalRead),
    listed: &[Place],
    findings: &mut Findings,
) -> (HashMap<ThreadNumber, ThreadView>, Vec<Place>) {
    let mut budget = Budget::default();
    let suspects = suspects(disk, catalogue, segments, &mut budget, findings);
    let covers = thread_covers(catalogue, &suspects, findings);
    let threads = grow(catalogue, covers, frames, journal, findings);
    suspects.close_threads(catalogue, &threads, findings);
    let known = Known {
        suspects: &suspects,
        catalogue,
        segments,
        threads: &threads,
    };
    let not_bad = read_again(listed, &known, &mut budget, findings);
    (threads, not_bad)
}

/// Takes from the findings what the catalogue states as lost. [R:accepted]
fn settle(catalogue: &Catalogue, view: &ThreadView, findings: &mut Findings) {
    findings.settle(catalogue);
    findings.keep_hope();
    for run in view.runs.iter().filter(|run| view.has_gap(run)) {
        findings.drop_accepted_damage(&segment_path(run.file.class, run.file.segment));
    }
}

/// A damaged frame may be all that is left of its records: its file stays while it closes the
/// thread, or while the thread has no name.
fn pinned(
    catalogue: &Catalogue,
    journal: &JournalRead,
    findings: &Findings,
) -> Vec<(ThreadNumber, Generation)> {
    let closed = findings.closed();
    let lost = journal.lost.iter();
    let lost = lost.map(|frame| (frame.header.thread, frame.generation));
    lost.filter(|(thread, _)| closed.contains(thread) || !catalogue.is_known(*thread))
        .collect()
}

/// What the newest header says about the catalogue.
fn stated_catalogue(set: &FileSet) -> (Ordinal, ThreadChain) {
    let newest = set.chain.iter().rev().find_map(|linked| linked.header);
    newest.map_or((Ordinal(0), ThreadChain::START), |header| {
        (header.catalogue_sealed_end, header.catalogue_chain)
    })
}

/// Threads of the catalogue with the cover of their published runs.
fn thread_covers(
    catalogue: &Catalogue,
    suspects: &Suspects,
    findings: &mut Findings,
) -> BTreeMap<ThreadNumber, Growing> {
    let mut runs: BTreeMap<ThreadNumber, Vec<PublishedRun>> = BTreeMap::new();
    for (segment, fact) in catalogue.segments.iter() {
        let file = Arc::new(fact.file(segment));
        for run in fact.live.iter() {
            let runs = runs.entry(run.thread).or_default();
            let run = RunRef::of(&file, run);
            let gone = suspects.gone(segment).cloned();
            runs.push(PublishedRun { run, gone });
        }
    }
    let cover = |thread: ThreadNumber| {
        let mut runs = runs.remove(&thread).unwrap_or_default();
        runs.sort_by_key(|run| run.run.first);
        let given_up = catalogue.given_up(thread);
        (thread, Growing::cover(thread, runs, given_up, findings))
    };
    let rollouts = catalogue.all_rollouts();
    let asked_for = |rollout: &ThreadNumber| !catalogue.is_deleted(*rollout);
    rollouts.filter(asked_for).map(cover).collect()
}

fn grow(
    catalogue: &Catalogue,
    mut covers: BTreeMap<ThreadNumber, Growing>,
    frames: Frames<'_>,
    journal: &JournalRead,
    findings: &mut Findings,
) -> HashMap<ThreadNumber, ThreadView> {
    let mut nameless: BTreeMap<ThreadNumber, Nameless> = BTreeMap::new();
    for (file, frame) in frames {
        match covers.get_mut(&frame.header.thread) {
            Some(growing) => growing.push(file, frame, &journal.lost, findings),
            None if catalogue.is_deleted(frame.header.thread) => {}
            // [R:frame-12]
            None => {
                let thread = frame.header.thread;
                let new = || Nameless::new(thread, catalogue, orphan_frame(file, frame));
                let known = nameless.entry(thread).or_insert_with(new);
                known.push(file, frame, &journal.lost);
            }
        }
    }
    for (thread, known) in &nameless {
        let unknown = LossRecord::Thread(*thread);
        findings.report(Severity::ClosesStore, known.damage.clone(), Some(unknown));
    }
    for frame in &journal.lost {
        let thread = frame.header.thread;
        if catalogue.is_deleted(thread) {
            // [R:deleted]
            let damage = Damage {
                ordinals: None,
                ..frame.damage.clone()
            };
            findings.report(Severity::CostsNothing, damage, Some(frame.place()));
        } else if !covers.contains_key(&thread) && !nameless.contains_key(&thread) {
            findings.report(
                Severity::ClosesStore,
                frame.damage.clone(),
                Some(LossRecord::Thread(thread)),
            );
        }
    }
    let finish = |(thread, growing): (ThreadNumber, Growing)| {
        let cuts = catalogue.cuts_of(thread);
        (thread, growing.finish(&journal.lost, &cuts, findings))
    };
    let mut threads: HashMap<_, _> = covers.into_iter().map(finish).collect();
    let unnamed = nameless.into_iter();
    threads.extend(unnamed.map(|(thread, known)| (thread, known.finish(&journal.lost))));
    threads
}

/// What the journal holds of a thread that no record of the catalogue names. It stays until the
/// thread has a name; what is missing of it is judged then.
struct Nameless {
    growing: Growing,
    /// All frames, told at the first.
    damage: Damage,
    later: Findings,
}

impl Nameless {
    fn new(thread: ThreadNumber, catalogue: &Catalogue, damage: Damage) -> Nameless {
        let mut later = Findings::default();
        let given_up = catalogue.given_up(thread);
        let growing = Growing::cover(thread, Vec::new(), given_up, &mut later);
        Nameless {
            growing,
            damage,
            later,
        }
    }

    fn push(&mut self, file: &Arc<JournalFile>, frame: &ScannedFrame, lost: &[LostFrame]) {
        let end = frame.header.first_ordinal.plus(frame.records);
        if let Some((_, reached)) = &mut self.damage.ordinals {
            *reached = end.max(*reached);
        }
        self.growing.push(file, frame, lost, &mut self.later);
    }

    fn finish(mut self, lost: &[LostFrame]) -> ThreadView {
        self.growing.finish(lost, &[], &mut self.later)
    }
}

/// What becomes of journal files that hold nothing that is needed.
#[derive(Default)]
struct Free {
    recyclable: Vec<Arc<JournalFile>>,
    /// Generations that were never used. A beginning that failed leaves a name that only the cache
    /// may hold, and what is written to such a file goes with it. But its header may be the only
    /// one that does without older files, so it stays until a newer one does.
    retired: Vec<Arc<JournalFile>>,
    /// Not whole.
    useless: Vec<String>,
}

/// [R:set-14]
fn free_files(
    evidence: &[FileEvidence],
    free: &[usize],
    store: StoreId,
    findings: &mut Findings,
) -> Free {
    let mut files = Free::default();
    for found in free.iter().map(|index| &evidence[*index]) {
        match journal_file(found) {
            None => files.useless.push(found.path.clone()),
            Some(file) => match was_used(&file, store) {
                Ok(true) => files.recyclable.push(file),
                Ok(false) => files.retired.push(file),
                Err(unreadable) => findings.unreadable(&unreadable),
            },
        }
    }
    files
}

/// A file that has a header and its whole length.
fn journal_file(found: &FileEvidence) -> Option<Arc<JournalFile>> {
    let Header::Valid(header) = &found.header else {
        return None;
    };
    (found.len >= header.capacity).then(|| {
        Arc::new(JournalFile {
            readable_by: header.version.readable_by,
            path: found.path.clone(),
            slot: found.slot,
            generation: header.generation,
            capacity: header.capacity,
            file: Arc::clone(&found.file),
        })
    })
}

/// Whether a frame of its generation begins the file: it is written only after the file's beginning
/// became durable, name included. [S:journal-5]
fn was_used(file: &JournalFile, store: StoreId) -> Result<bool, Unreadable> {
    let place = Position {
        generation: file.generation,
        offset: FRAMES_OFFSET,
    };
    let room = file.capacity.saturating_sub(FRAMES_OFFSET);
    if room < HEADER_BYTES as u64 {
        return Ok(false);
    }
    let header = read_exact_at(&*file.file, FRAMES_OFFSET, HEADER_BYTES)
        .map_err(|error| Unreadable::at(&file.path, FRAMES_OFFSET, (&error).into()))?;
    Ok(FrameHeader::decode(&header, store, place).is_ok())
}

fn orphan_frame(file: &JournalFile, frame: &ScannedFrame) -> Damage {
    let first = frame.header.first_ordinal;
    Damage {
        file: file.path.clone(),
        offset: frame.header.place.offset,
        length: frame.header.stride(),
        thread: Some(frame.header.thread),
        ordinals: Some((first, first.plus(frame.records))),
        cause: Cause::Contradiction,
    }
}
