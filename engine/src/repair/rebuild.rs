//! Owns `rebuild-segment`: what can be read of a segment is written to new ones that replace it.

use std::collections::BTreeMap;
use std::io;

use turnleaf_format::catalogue::{CatalogueRecord, Run};
use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, SegmentId, ThreadNumber};

use super::RepairError;
use super::copy::keep;
use super::facts::state_facts;
use crate::disk::{Access, Disk};
use crate::error::{Cause, Damage, DiskFailure, ReadError, failed};
use crate::layout::{QUARANTINE, segment_path};
use crate::log::Log;
use crate::log::{Notes, Part, SealedSegments};
use crate::view::{ThreadView, ranges_of};

/// Publishes new segments in place of one; `None` when it is not in use. The inner option is where
/// the copy of the old file is, if there was one.
pub(super) fn rebuild(
    log: &mut Log,
    segment: SegmentId,
    notes: Notes<'_>,
) -> Result<Option<Option<String>>, RepairError> {
    let Some(fact) = log.state().catalogue.segments.get(segment).cloned() else {
        return rebuild_catalogue(log, segment);
    };
    let path = segment_path(fact.class, segment);
    let mut written: Vec<SealedSegments> = Vec::new();
    let mut newest: BTreeMap<ThreadNumber, SegmentId> = BTreeMap::new();
    for parts in rounds(log, segment, fact.live.iter()) {
        let whole = parts.len() == 1 && fact.class == Class::Run;
        let class = if whole { Class::Run } else { Class::Pack };
        let plan = log.plan_of(vec![(class, parts)]);
        let done = plan.run(notes).map_err(|failure| failure.error)?;
        for sealed in &done.segments {
            for run in &sealed.runs {
                newest.insert(run.thread, sealed.segment);
                let old = fact
                    .live
                    .get(run.thread)
                    .expect("what was planned is in use");
                check(&path, run, old)?;
            }
        }
        written.push(done);
    }
    let copy = keep_file(log.disk(), &path, segment)?;
    let mut facts: Vec<_> = written.iter().flat_map(SealedSegments::published).collect();
    facts.extend(fact.live.threads().map(|thread| CatalogueRecord::Replaced {
        old: segment,
        thread,
        new: newest.get(&thread).copied().unwrap_or(SegmentId::NONE),
    }));
    // DURABILITY: the old file goes only after this batch, which names all that takes its place.
    state_facts(log, &facts)?;
    log.clean_up(1)?;
    Ok(Some(copy))
}

/// The catalogue from the first record of a segment of it on, in a new one. It counts by its name
/// and its records alone, so the old one goes after it. [S:segment-4]
fn rebuild_catalogue(
    log: &mut Log,
    segment: SegmentId,
) -> Result<Option<Option<String>>, RepairError> {
    let Some(reader) = log.state().rollout_reader(ThreadNumber::CATALOGUE) else {
        return Ok(None);
    };
    let runs = &reader.view.runs;
    let Some(run) = runs.iter().find(|run| run.file.segment == segment) else {
        return Ok(None);
    };
    let (from, all) = (run.from, reader.view.end);
    let end = reader.view.next_given_up(from).unwrap_or(all).min(all);
    let part = Part {
        reader,
        from,
        end,
        bytes: 0,
        replaces: Vec::new(),
    };
    let plan = log.plan_of(vec![(Class::Catalogue, vec![part])]);
    let done = plan
        .run(&|_, _, _| Vec::new())
        .map_err(|failure| failure.error)?;
    drop(plan);
    let path = segment_path(Class::Catalogue, segment);
    let copy = keep_file(log.disk(), &path, segment)?;
    log.finish_seal(Ok(done)).map_err(|failure| failure.error)?;
    log.clean_up(1)?;
    Ok(Some(copy))
}

/// What each new segment holds: a segment has one run of a thread, so the pieces of one run come
/// into as many.
fn rounds<'r>(
    log: &Log,
    segment: SegmentId,
    runs: impl Iterator<Item = &'r Run>,
) -> Vec<Vec<Part>> {
    let mut rounds: Vec<Vec<Part>> = Vec::new();
    for run in runs {
        let Some(reader) = log.state().rollout_reader(run.thread) else {
            continue;
        };
        let pieces = pieces(&reader.view, segment, run);
        for (round, (from, end)) in pieces.into_iter().enumerate() {
            if rounds.len() == round {
                rounds.push(Vec::new());
            }
            rounds[round].push(Part {
                reader: reader.clone(),
                from,
                end,
                bytes: 0,
                replaces: Vec::new(),
            });
        }
    }
    rounds
}

/// Ordinals of a run that neither another segment holds nor a repair gave up.
fn pieces(view: &ThreadView, segment: SegmentId, run: &Run) -> Vec<(Ordinal, Ordinal)> {
    let others = view.runs.iter().filter(|run| run.file.segment != segment);
    let others = others.map(|run| (run.from, run.end));
    let mut away: Vec<_> = others.chain(ranges_of(&view.given_up)).collect();
    away.sort_unstable();
    let mut pieces = Vec::new();
    let mut at = run.first_ordinal;
    for (first, end) in away {
        if first > at && at < run.ordinal_end {
            pieces.push((at, first.min(run.ordinal_end)));
        }
        at = at.max(end);
    }
    if at < run.ordinal_end {
        pieces.push((at, run.ordinal_end));
    }
    pieces
}

/// What was written must lead to where the old run led: otherwise other records were read.
fn check(path: &str, new: &Run, old: &Run) -> Result<(), ReadError> {
    if new.ordinal_end != old.ordinal_end || new.chain_after == old.chain_after {
        return Ok(());
    }
    Err(Damage {
        file: path.to_owned(),
        offset: 0,
        length: 0,
        thread: Some(old.thread),
        ordinals: Some((new.first_ordinal, new.ordinal_end)),
        cause: Cause::Chain,
    }
    .into())
}

fn keep_file(
    disk: &dyn Disk,
    path: &str,
    segment: SegmentId,
) -> Result<Option<String>, DiskFailure> {
    let file = match disk.open(path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed("open", path))?,
    };
    let len = file.len().map_err(failed("measure", path))?;
    let copy = format!("{QUARANTINE}/{:016x}.tls", segment.0);
    keep(disk, &*file, path, 0..len, &copy).map(Some)
}
