//! Owns the finding of repairs: what opening says, and what reading every byte says.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;

use turnleaf_format::{Ordinal, ThreadNumber};

use super::Repair;
use super::orphan::{Verdict, orphans};
use crate::catalogue::LossRecord;
use crate::error::{Damage, ReadError, failed};
use crate::layout::{CATALOGUE, CHECKPOINT, segment_path};
use crate::log::{OpenError, OpenReport, Snapshot};
use crate::read::RolloutReader;
use crate::recovery::{Remark, costs_no_record};
use crate::state::State;
use crate::view::is_covered;

/// The repairs that opening a store shows to be due. Where damage costs records no segment is taken
/// away: it may be all that is left of something.
#[must_use]
pub fn repairs_for(report: &OpenReport, state: &State) -> Vec<Repair> {
    // What was not read may say something else. [R:set-20]
    if !report.unreadable.is_empty() {
        return Vec::new();
    }
    let header = |remark: &Remark| match remark {
        Remark::HeaderCopy { file, offset, .. } => Some(Repair::RewriteHeader {
            file: file.clone(),
            offset: *offset,
        }),
        Remark::Orphan { .. } | Remark::Unchecked { .. } | Remark::UnknownRecord { .. } => None,
    };
    let mut due: Vec<Repair> = report.remarks.iter().filter_map(header).collect();
    due.extend(losses_of(report));
    let closed = report.closed.contains(&ThreadNumber::CATALOGUE);
    for orphan in orphans(report, state) {
        // What it holds is not lost.
        due.retain(|repair| !orphan.holds(repair));
        match orphan.verdict {
            Verdict::Adopt if !closed => due.push(orphan.repair()),
            Verdict::Reap if costs_no_record(&report.damage, &report.losses) => {
                let file = orphan.file();
                due.push(Repair::Reap { file });
            }
            _ => {}
        }
    }
    due
}

fn losses_of(report: &OpenReport) -> impl Iterator<Item = Repair> {
    report.losses.iter().filter_map(|loss| {
        Some(Repair::AcceptLoss {
            damage: loss.damage.clone(),
            record: loss.record?,
        })
    })
}

/// All repairs that are due, for the store or for one thread with all its rollouts: every byte of
/// it is read for that.
///
/// # Errors
/// For failures of the system; bytes that the device cannot read are no reason to give them up.
pub fn find_repairs(
    snapshot: &Snapshot,
    only: Option<ThreadNumber>,
) -> Result<Vec<Repair>, ReadError> {
    let whole = snapshot.without_checkpoint().map_err(|error| match error {
        OpenError::Disk(failure) => failure,
        // Somebody changed it meanwhile.
        other => failed("read all of", CATALOGUE)(io::Error::other(other.to_string())),
    })?;
    let of_checkpoint = wrong_checkpoint(snapshot, whole.as_ref());
    let snapshot = whole.as_ref().unwrap_or(snapshot);
    let (report, state) = (snapshot.report(), snapshot.state());
    if let Some(unreadable) = report.unreadable.first() {
        return Err(unreadable.damage().into());
    }
    let all: BTreeSet<ThreadNumber> = match only {
        Some(thread) => state.rollouts_of(thread).collect(),
        None => state.rollout_ids().map(|(rollout, _)| rollout).collect(),
    };
    let is_wanted = |rollout: &ThreadNumber| all.contains(rollout);
    let concerned = |repair: &Repair| match (only, repair) {
        (None, _) => true,
        (_, Repair::AdoptSegment { threads, .. }) => threads.iter().any(is_wanted),
        _ => matches!(repair.threads().as_slice(), [of] if is_wanted(of)),
    };
    let due = repairs_for(report, state).into_iter();
    let mut due: Vec<Repair> = due.filter(concerned).collect();
    for rollout in &all {
        let found = unreadable(state, *rollout, &due)?;
        due.extend(found);
    }
    let orphans = orphans(report, state);
    due.retain(|repair| !orphans.iter().any(|orphan| orphan.holds(repair)));
    due.extend(bad_segments(state, only.map(|_| &all))?);
    if only.is_none() {
        due.extend(of_checkpoint);
        due.extend(superseded(snapshot));
        due.extend(bad_catalogue(state)?);
    }
    Ok(due)
}

/// A checkpoint that a snapshot used, although the records add up to something else. [R:cat-9]
pub(super) fn wrong_checkpoint(used: &Snapshot, whole: Option<&Snapshot>) -> Option<Repair> {
    let (said, whole) = (&used.state().catalogue, whole?);
    // Beside damage they add up to less.
    let is_sound = whole.report().damage.is_empty();
    let is_wrong = is_sound && !whole.state().catalogue.says_the_same(said);
    let file = CHECKPOINT.to_owned();
    is_wrong.then_some(Repair::Reap { file })
}

/// Damaged segments of the catalogue whose records others hold: they would go with the next owner
/// if nothing were damaged. [R:cat-5]
pub(super) fn superseded(snapshot: &Snapshot) -> Vec<Repair> {
    let reader = snapshot.state().rollout_reader(ThreadNumber::CATALOGUE);
    let runs = reader.iter().flat_map(|reader| &reader.view.runs);
    let used: BTreeSet<String> = runs
        .map(|run| segment_path(run.file.class, run.file.segment))
        .collect();
    let holes = reader
        .as_ref()
        .is_none_or(|reader| !reader.view.holes.is_empty());
    let damage = snapshot.report().damage.iter().filter(|_| !holes);
    let files = damage.map(|damage| &damage.file);
    let files: BTreeSet<&String> = files
        .filter(|file| file.starts_with(&format!("{CATALOGUE}/")) && !used.contains(*file))
        .collect();
    let reap = |file: &String| Repair::Reap { file: file.clone() };
    files.into_iter().map(reap).collect()
}

/// What cannot be read of a thread and is not known to be lost.
pub(super) fn unreadable(
    state: &State,
    thread: ThreadNumber,
    known: &[Repair],
) -> Result<Vec<Repair>, ReadError> {
    let Some(reader) = state.rollout_reader(thread) else {
        return Ok(Vec::new());
    };
    let mut known: Vec<_> = known
        .iter()
        .filter_map(|due| ordinals(due, thread))
        .collect();
    known.sort_unstable();
    let mut due = Vec::new();
    for (first, end, damage) in stretches(&reader)? {
        if is_covered(known.iter().copied(), first, end) {
            continue;
        }
        let chain_after = match reader.chain_before(end) {
            Ok(chain) => chain,
            // What follows cannot be read by the device: until it can, nothing says the chain.
            Err(ReadError::Damaged(_)) => continue,
            Err(error) => return Err(error),
        };
        let damage = Damage {
            thread: Some(thread),
            ordinals: Some((first, end)),
            ..damage
        };
        let record = LossRecord::Ordinals {
            thread,
            first,
            end,
            chain_after,
        };
        due.push(Repair::AcceptLoss { damage, record });
    }
    Ok(due)
}

fn ordinals(due: &Repair, thread: ThreadNumber) -> Option<(Ordinal, Ordinal)> {
    match due {
        Repair::AcceptLoss {
            record:
                LossRecord::Ordinals {
                    thread: of,
                    first,
                    end,
                    ..
                },
            ..
        } if *of == thread => Some((*first, *end)),
        _ => None,
    }
}

/// Ordinals that cannot be read; neighbours are one stretch, with the first damage of it.
fn stretches(reader: &RolloutReader) -> Result<Vec<(Ordinal, Ordinal, Damage)>, ReadError> {
    let mut found: Vec<(Ordinal, Ordinal, Damage)> = Vec::new();
    let mut from = Ordinal(0);
    while from < reader.end() {
        let mut next = from;
        let read = reader.entries(from, reader.end(), &mut |ordinal, entry| {
            next = ordinal.plus(u64::from(entry.completes()));
            ControlFlow::Continue(())
        });
        let damage = match read {
            Ok(()) => break,
            Err(ReadError::Damaged(damage)) => *damage,
            Err(error) => return Err(error),
        };
        let behind = damage.ordinals.map_or(reader.end(), |(_, end)| end);
        from = behind.max(next.plus(1));
        if damage.unreadable().is_some() {
            // The device may work again, or a copy of it be made.
            continue;
        }
        match found.last_mut() {
            Some((_, end, _)) if *end == next => *end = from,
            _ => found.push((next, from, damage)),
        }
    }
    Ok(found)
}

/// Segments of the catalogue of which not everything is right, and that can be written anew: none
/// of their records is lost.
fn bad_catalogue(state: &State) -> Result<Vec<Repair>, ReadError> {
    let mut due = Vec::new();
    let Some(reader) = state.rollout_reader(ThreadNumber::CATALOGUE) else {
        return Ok(due);
    };
    for run in &reader.view.runs {
        let (mut bad, mut by_device) = (false, false);
        match reader.segments.get(&run.file) {
            Ok(segment) => {
                let read = segment.verify(&mut |damage| {
                    bad = true;
                    by_device |= damage.unreadable().is_some();
                });
                if let Err(ReadError::Disk(failure)) = read {
                    return Err(failure.into());
                }
            }
            Err(ReadError::Damaged(_)) => {}
            Err(error) => return Err(error),
        }
        let readable = reader.entries(run.from, run.end, &mut |_, _| ControlFlow::Continue(()));
        if bad && !by_device && !reader.view.has_gap(run) && readable.is_ok() {
            due.push(Repair::RebuildSegment {
                segment: run.file.segment,
                file: segment_path(run.file.class, run.file.segment),
                threads: Vec::new(),
            });
        }
    }
    Ok(due)
}

/// Segments of which not everything is right, or those that hold something of some rollouts.
fn bad_segments(
    state: &State,
    only: Option<&BTreeSet<ThreadNumber>>,
) -> Result<Vec<Repair>, ReadError> {
    let mut due = Vec::new();
    for info in state.segments() {
        let threads: BTreeSet<_> = info.runs.iter().map(|(thread, _, _)| *thread).collect();
        if only.is_some_and(|only| !only.iter().any(|of| threads.contains(of))) {
            continue;
        }
        let (mut bad, mut by_device) = (false, false);
        state.verify_segment(info.segment, &mut |damage| {
            bad = true;
            by_device |= damage.unreadable().is_some();
        })?;
        // What another thread lost in the same segment is not given up on behalf of this one.
        let others = threads
            .iter()
            .filter(|thread| only.is_some_and(|only| !only.contains(thread)));
        let mut waits = by_device;
        for other in others.filter(|_| bad) {
            waits |= !unreadable(state, *other, &[])?.is_empty();
        }
        if bad && !waits {
            due.push(Repair::RebuildSegment {
                segment: info.segment,
                file: info.path,
                threads: threads.into_iter().collect(),
            });
        }
    }
    Ok(due)
}
