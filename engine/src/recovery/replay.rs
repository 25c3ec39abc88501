//! Owns the state that the evidence adds up to: catalogue, thread views, journal files, damage.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::frame::Position;
use turnleaf_format::segment::Class;
use turnleaf_format::{Generation, JournalChain, SegmentId, StoreId, ThreadNumber};

use super::Refusal;
use super::survey::{FileEvidence, Survey};
use super::verdict::{FileSet, TailVerdict, choose_files, judge_end, judge_tail};
use crate::catalogue::Catalogue;
use crate::disk::Disk;
use crate::error::{Cause, Damage, ReadError};
use crate::journal::{Scan, ScannedFrame, scan_file};
use crate::options::Options;
use crate::read::Reader;
use crate::segment::Segments;
use crate::view::{FrameRef, Hole, JournalFile, RunRef, SegmentFile, ThreadView};

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
    pub(crate) next_slot: u32,
    pub(crate) stated_oldest: Generation,
    pub(crate) next_generation: Generation,
    pub(crate) end: Position,
    pub(crate) chain: JournalChain,
    pub(crate) tail: TailVerdict,
    pub(crate) newest_len: u64,
    pub(crate) damage: Vec<Damage>,
}

/// Why a store could not be replayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Disk(#[from] crate::error::DiskFailure),
}

/// Reads journal and catalogue and adds them up.
pub(crate) fn replay(
    disk: &Arc<dyn Disk>,
    survey: &Survey,
    options: &Options,
) -> Result<Replayed, ReplayError> {
    let set = choose_files(&survey.journal)?;
    let (descriptors, blocks) = (options.descriptors_max, options.block_cache_bytes);
    let segments = Arc::new(Segments::new(
        Arc::clone(disk),
        set.store,
        descriptors,
        blocks,
    ));
    let mut journal = read_journal(&survey.journal, &set)?;
    let mut damage = set.damage;
    damage.append(&mut journal.damage);
    let mut catalogue_view = catalogue_runs(disk, set.store, &survey.catalogue, &mut damage);
    let mut frames = journal.frames;
    frames.retain(|(file, frame)| {
        let catalogue = frame.header.thread == ThreadNumber::CATALOGUE;
        if catalogue {
            push_frame(&mut catalogue_view, file, frame, &mut damage);
        }
        !catalogue
    });
    drop_unfinished(&mut catalogue_view);
    let mut catalogue = read_catalogue(&catalogue_view, &segments, set.store, &mut damage);
    if let Some((_, newest)) = set.chain.last() {
        check_catalogue_point(&catalogue_view, newest.catalogue_sealed_end, &mut damage);
    }
    for segment in survey.segments.iter().chain(&survey.catalogue) {
        catalogue.saw_segment_file(*segment);
    }
    let mut threads = thread_runs(&catalogue, &survey.segments, &mut damage);
    for (file, frame) in &frames {
        match threads.get_mut(&frame.header.thread) {
            Some(view) => push_frame(view, file, frame, &mut damage),
            None => damage.push(orphan_frame(file, frame)),
        }
    }
    threads.values_mut().for_each(drop_unfinished);
    threads.insert(ThreadNumber::CATALOGUE, catalogue_view);
    let slots = survey.journal.iter().map(|file| file.slot + 1);
    let free = set
        .free
        .iter()
        .map(|index| free_file(&survey.journal[*index]));
    Ok(Replayed {
        store: set.store,
        catalogue,
        threads,
        segments,
        files: journal.files,
        free: free.flatten().collect(),
        next_slot: slots.max().unwrap_or(0),
        stated_oldest: set.oldest_live,
        next_generation: Generation(set.highest.0 + 1),
        end: journal.end,
        chain: journal.chain,
        tail: journal.tail,
        newest_len: journal.newest_len,
        damage,
    })
}

struct JournalRead {
    files: Vec<Arc<JournalFile>>,
    frames: Vec<(Arc<JournalFile>, ScannedFrame)>,
    end: Position,
    chain: JournalChain,
    tail: TailVerdict,
    newest_len: u64,
    damage: Vec<Damage>,
}

fn read_journal(
    evidence: &[FileEvidence],
    set: &FileSet,
) -> Result<JournalRead, crate::error::DiskFailure> {
    let mut read = JournalRead {
        files: Vec::new(),
        frames: Vec::new(),
        end: Position::default(),
        chain: JournalChain(0),
        tail: TailVerdict::Clean,
        newest_len: 0,
        damage: Vec::new(),
    };
    for (place, (index, header)) in set.chain.iter().enumerate() {
        let found = &evidence[*index];
        let generation = header.generation;
        let successor = set
            .chain
            .get(place + 1)
            .map(|(_, next)| next.previous_end.offset);
        let scan = scan_file(&*found.file, &found.path, set.store, generation, successor)?;
        let file = Arc::new(JournalFile {
            path: found.path.clone(),
            slot: found.slot,
            generation,
            capacity: header.capacity.min(found.len),
            file: Arc::clone(&found.file),
        });
        match successor {
            Some(stated_end) => read
                .damage
                .extend(judge_end(&scan, &found.path, stated_end)),
            None => judge_newest(&mut read, &scan, generation, &found.path),
        }
        // A torn tail is void although whole frames may stand in it. [R:tail-3]
        let void = successor.is_none() && matches!(read.tail, TailVerdict::Torn { .. });
        let limit = successor.unwrap_or(u64::MAX);
        for frame in scan.frames {
            let counts = !(void && frame.beyond_damage) && frame.header.place.offset < limit;
            if counts && !frame.header.is_marker() {
                read.frames.push((Arc::clone(&file), frame));
            }
        }
        read.files.push(file);
    }
    Ok(read)
}

fn judge_newest(read: &mut JournalRead, scan: &Scan, generation: Generation, path: &str) {
    read.tail = judge_tail(scan);
    read.newest_len = scan.file_len;
    let mut end = scan.end;
    if let TailVerdict::Damaged {
        offset,
        durable_end,
    } = read.tail
    {
        read.damage.push(Damage {
            file: path.to_owned(),
            offset,
            length: durable_end - offset,
            thread: None,
            ordinals: None,
            cause: Cause::Missing,
        });
        // Nothing is cut: the file counts up to its last whole frame.
        let ends = scan
            .frames
            .iter()
            .map(|frame| frame.header.place.offset + frame.header.stride());
        end = ends.max().unwrap_or(end).max(durable_end);
    }
    read.end = Position {
        generation,
        offset: end,
    };
    read.chain = scan.chain;
}

/// The catalogue segments that cover its sealed records: lowest start first, then farthest reach.
/// [S:segment-7]
fn catalogue_runs(
    disk: &Arc<dyn Disk>,
    store: StoreId,
    files: &[SegmentId],
    damage: &mut Vec<Damage>,
) -> ThreadView {
    let mut runs = Vec::new();
    for segment in files {
        let opened = crate::segment::OpenSegment::open(&**disk, store, *segment, Class::Catalogue);
        match opened {
            Ok(open) => runs.extend(open.runs().iter().map(|row| RunRef {
                file: Arc::new(SegmentFile {
                    segment: *segment,
                    class: Class::Catalogue,
                }),
                first: row.first_ordinal,
                end: row.ordinal_end,
                chain_before: row.chain_before,
                chain_after: row.chain_after,
                payload_bytes: row.payload_bytes,
            })),
            Err(ReadError::Damaged(found)) => damage.push(*found),
            Err(ReadError::Disk(failure)) => {
                damage.push(unreadable(&failure.path, failure.source.kind()));
            }
        }
    }
    runs.sort_by_key(|run| (run.first, std::cmp::Reverse(run.end)));
    let mut view = ThreadView::new(ThreadNumber::CATALOGUE);
    for run in runs {
        if run.end <= view.end {
            continue;
        }
        if run.first != view.end || run.chain_before != view.chain {
            damage.push(broken_run(&run, view.end));
        }
        view.take_over(run);
    }
    view
}

fn read_catalogue(
    view: &ThreadView,
    segments: &Arc<Segments>,
    store: StoreId,
    damage: &mut Vec<Damage>,
) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let segments = Arc::clone(segments);
    let reader = Reader {
        view: Arc::new(view.clone()),
        segments,
        store,
    };
    let mut from = turnleaf_format::Ordinal(0);
    while from < view.end {
        let mut odd = Vec::new();
        let read = reader.records(from, view.end, &mut |record| {
            let payload = record.bytes().unwrap_or_default();
            match CatalogueRecord::decode(record.kind, payload) {
                Ok(fact) if catalogue.apply(&fact) => {}
                Ok(_) => odd.push((record.ordinal, Cause::Tables)),
                Err(error) => odd.push((record.ordinal, Cause::Decode(error))),
            }
            ControlFlow::Continue(())
        });
        damage.extend(odd.into_iter().map(|(ordinal, cause)| Damage {
            file: crate::layout::CATALOGUE.to_owned(),
            offset: 0,
            length: 0,
            thread: Some(ThreadNumber::CATALOGUE),
            ordinals: Some((ordinal, ordinal.plus(1))),
            cause,
        }));
        // Damage costs the records it names; the catalogue goes on behind them.
        from = match read {
            Ok(()) => view.end,
            Err(ReadError::Damaged(found)) => {
                let resume = found.ordinals.map_or(view.end, |(_, end)| end);
                damage.push(*found);
                resume.max(from.plus(1))
            }
            Err(ReadError::Disk(failure)) => {
                damage.push(unreadable(&failure.path, failure.source.kind()));
                view.end
            }
        };
    }
    catalogue
}

fn check_catalogue_point(
    view: &ThreadView,
    sealed_end: turnleaf_format::Ordinal,
    damage: &mut Vec<Damage>,
) {
    let (covered, _) = view.sealed();
    if covered < sealed_end {
        damage.push(Damage {
            file: crate::layout::CATALOGUE.to_owned(),
            offset: 0,
            length: 0,
            thread: Some(ThreadNumber::CATALOGUE),
            ordinals: Some((covered, sealed_end)),
            cause: Cause::Missing,
        });
    }
}

/// Views of all threads with what the published segments hold.
fn thread_runs(
    catalogue: &Catalogue,
    files: &[SegmentId],
    damage: &mut Vec<Damage>,
) -> HashMap<ThreadNumber, ThreadView> {
    let present: std::collections::HashSet<_> = files.iter().collect();
    let mut runs: BTreeMap<ThreadNumber, Vec<RunRef>> = BTreeMap::new();
    for (segment, fact) in &catalogue.segments {
        if !fact.live.is_empty() && !present.contains(segment) {
            damage.push(unreadable(
                &crate::layout::segment_path(fact.class, *segment),
                std::io::ErrorKind::NotFound,
            ));
        }
        let file = Arc::new(SegmentFile {
            segment: *segment,
            class: fact.class,
        });
        for (thread, run) in &fact.live {
            runs.entry(*thread).or_default().push(RunRef {
                file: Arc::clone(&file),
                first: run.first_ordinal,
                end: run.ordinal_end,
                chain_before: run.chain_before,
                chain_after: run.chain_after,
                payload_bytes: run.payload_bytes,
            });
        }
    }
    let mut threads: HashMap<_, _> = catalogue
        .threads
        .keys()
        .map(|thread| (*thread, ThreadView::new(*thread)))
        .collect();
    for (thread, mut runs) in runs {
        runs.sort_by_key(|run| run.first);
        let view = threads
            .entry(thread)
            .or_insert_with(|| ThreadView::new(thread));
        for run in runs {
            if run.first != view.end || run.chain_before != view.chain {
                damage.push(Damage {
                    thread: Some(thread),
                    ..broken_run(&run, view.end)
                });
            }
            view.take_over(run);
        }
    }
    threads
}

/// Adds a frame to its thread, unless a segment holds it already; a gap before it is a hole.
fn push_frame(
    view: &mut ThreadView,
    file: &Arc<JournalFile>,
    frame: &ScannedFrame,
    damage: &mut Vec<Damage>,
) {
    let header = &frame.header;
    let end = header.first_ordinal.plus(frame.records);
    if end < view.end || (end == view.end && !frame.unfinished) {
        return;
    }
    if frame.begins {
        // A record that was left unfinished is void once its ordinal begins anew. [S:record-7]
        drop_unfinished(view);
    }
    let continues = header.first_ordinal == view.end;
    if !continues || header.thread_chain != view.chain {
        let found = Damage {
            file: file.path.clone(),
            offset: header.place.offset,
            length: header.stride(),
            thread: Some(view.thread),
            ordinals: Some((view.end, header.first_ordinal.max(view.end))),
            cause: if continues {
                Cause::Chain
            } else {
                Cause::Missing
            },
        };
        if header.first_ordinal > view.end {
            view.holes.push(Hole {
                first: view.end,
                end: header.first_ordinal,
                damage: found.clone(),
            });
        }
        damage.push(found);
        if header.first_ordinal < view.end {
            return;
        }
    }
    view.push_frame(FrameRef {
        file: Arc::clone(file),
        offset: header.place.offset,
        body_len: header.body_len,
        body_crc: header.body_crc,
        entry_count: header.entry_count,
        first: header.first_ordinal,
        end,
        chain_before: header.thread_chain,
        chain_after: frame.chain_after,
        unfinished: frame.unfinished,
        boundary: frame.boundary,
        body: frame.catalogue_body.clone().map(Arc::new),
    });
}

/// Lets go of frames at the end that hold only chunks of a record that was never completed: it was
/// never acknowledged.
fn drop_unfinished(view: &mut ThreadView) {
    while view.frames.last().is_some_and(|frame| frame.unfinished) {
        view.frames.pop();
    }
}

fn free_file(found: &FileEvidence) -> Option<Arc<JournalFile>> {
    let crate::journal::Header::Valid(header) = &found.header else {
        // A file without a header was never filled to the end: it is created anew instead.
        return None;
    };
    (found.len >= header.capacity).then(|| {
        Arc::new(JournalFile {
            path: found.path.clone(),
            slot: found.slot,
            generation: header.generation,
            capacity: header.capacity,
            file: Arc::clone(&found.file),
        })
    })
}

fn orphan_frame(file: &JournalFile, frame: &ScannedFrame) -> Damage {
    let first = frame.header.first_ordinal;
    Damage {
        file: file.path.clone(),
        offset: frame.header.place.offset,
        length: frame.header.stride(),
        thread: Some(frame.header.thread),
        ordinals: Some((first, first.plus(frame.records))),
        cause: Cause::Tables,
    }
}

fn broken_run(run: &RunRef, expected: turnleaf_format::Ordinal) -> Damage {
    Damage {
        file: crate::layout::segment_path(run.file.class, run.file.segment),
        offset: 0,
        length: 0,
        thread: Some(ThreadNumber::CATALOGUE),
        ordinals: Some((expected.min(run.first), run.end)),
        cause: Cause::Chain,
    }
}

fn unreadable(path: &str, kind: std::io::ErrorKind) -> Damage {
    let cause = match kind {
        std::io::ErrorKind::NotFound => Cause::Missing,
        kind => Cause::Unreadable(kind),
    };
    Damage {
        file: path.to_owned(),
        offset: 0,
        length: 0,
        thread: None,
        ordinals: None,
        cause,
    }
}
