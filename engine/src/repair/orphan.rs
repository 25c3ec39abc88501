//! Owns the judgement of segments that no record mentions: whether one holds what nothing else
//! does. [R:seg-10]

use turnleaf_format::catalogue::{CatalogueRecord, Run};
use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, SegmentId, ThreadChain, ThreadNumber};

use super::Repair;
use crate::catalogue::LossRecord;
use crate::error::ReadError;
use crate::layout::{segment_of, segment_path};
use crate::log::OpenReport;
use crate::read::RolloutReader;
use crate::recovery::Remark;
use crate::state::State;
use crate::view::{RunRef, SegmentFile, ThreadView};

/// A segment that no record mentions.
pub(super) struct Orphan {
    segment: SegmentId,
    /// What would publish it; none where its tables cannot be trusted.
    pub(super) publication: Option<CatalogueRecord>,
    pub(super) verdict: Verdict,
}

/// What is to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It holds what nothing else does.
    Adopt,
    /// The catalogue has lost something, and nobody can say that this is not needed.
    Keep,
    /// Nothing needs it.
    Reap,
}

impl Orphan {
    pub(super) fn file(&self) -> String {
        segment_path(Class::Run, self.segment)
    }

    pub(super) fn runs(&self) -> &[Run] {
        match &self.publication {
            Some(CatalogueRecord::SegmentPublished { runs, .. }) => runs,
            _ => &[],
        }
    }

    /// A reader of what it holds of a thread.
    pub(super) fn reader(&self, state: &State, thread: ThreadNumber) -> Option<RolloutReader> {
        let mut runs = self.runs().iter();
        let run = runs.find(|run| run.thread == thread)?;
        Some(alone(state, self.segment, run))
    }

    pub(super) fn repair(&self) -> Repair {
        Repair::AdoptSegment {
            segment: self.segment,
            file: self.file(),
            threads: self.runs().iter().map(|run| run.thread).collect(),
        }
    }

    /// Whether the repair would give up what the segment holds.
    pub(super) fn holds(&self, repair: &Repair) -> bool {
        let Repair::AcceptLoss {
            record: LossRecord::Ordinals {
                thread, first, end, ..
            },
            ..
        } = repair
        else {
            return false;
        };
        let overlaps = |run: &Run| {
            run.thread == *thread && run.first_ordinal < *end && *first < run.ordinal_end
        };
        self.verdict == Verdict::Adopt && self.runs().iter().any(overlaps)
    }
}

/// Judges the segments that no record mentions. Only their tables are read.
pub(super) fn orphans(report: &OpenReport, state: &State) -> Vec<Orphan> {
    let closed = report.closed.contains(&ThreadNumber::CATALOGUE);
    let lacks = closed || state.catalogue.may_lack_records();
    let files = report.remarks.iter().filter_map(|remark| match remark {
        Remark::Orphan { file } => segment_of(file.rsplit('/').next()?),
        _ => None,
    });
    files.map(|segment| judge(state, segment, lacks)).collect()
}

/// `lacks`: the catalogue has lost something.
fn judge(state: &State, segment: SegmentId, lacks: bool) -> Orphan {
    let publication = state.segments.publication_of(segment);
    let is_unread = |error: &ReadError| match error {
        ReadError::Disk(_) => true,
        ReadError::Damaged(damage) => damage.unreadable().is_some(),
    };
    let unread = publication.as_ref().is_err_and(is_unread);
    let mut orphan = Orphan {
        segment,
        publication: publication.unwrap_or(None),
        verdict: Verdict::Keep,
    };
    // Nobody knows what it holds. [R:unreadable]
    if unread {
        return orphan;
    }
    let runs = orphan.runs();
    let gains = runs.iter().any(|run| gains(state, run, lacks));
    let mut fit = !runs.is_empty();
    for run in runs {
        match fits(state, segment, run) {
            Ok(here) => fit &= here,
            Err(error) if is_unread(&error) => return orphan,
            Err(_) => fit = false,
        }
    }
    orphan.verdict = match (fit, gains) {
        (true, true) => Verdict::Adopt,
        (false, _) if lacks => Verdict::Keep,
        _ => Verdict::Reap,
    };
    orphan
}

/// Whether a run holds what cannot be read elsewhere. Beyond the end of a thread stands what was
/// never acknowledged, unless the catalogue has lost something.
fn gains(state: &State, run: &Run, lacks: bool) -> bool {
    if state.catalogue.thread_of(run.thread).is_none() {
        return lacks;
    }
    let is_deleted = state.catalogue.is_deleted(run.thread);
    let view = state.threads.get(&run.thread).filter(|_| !is_deleted);
    view.is_some_and(|view| {
        let fills = |first, end| run.first_ordinal < end && first < run.ordinal_end;
        let mut holes = view.holes.iter();
        holes.any(|hole| fills(hole.first, hole.end)) || (lacks && run.ordinal_end > view.end)
    })
}

/// Whether a run holds the records that the thread had there, as far as its chain is known.
fn fits(state: &State, segment: SegmentId, run: &Run) -> Result<bool, ReadError> {
    if run.thread == ThreadNumber::CATALOGUE {
        return Ok(false);
    }
    let Some(reader) = state.rollout_reader(run.thread) else {
        return Ok(true);
    };
    let end = reader.end();
    let (first, last) = (run.first_ordinal, run.ordinal_end);
    if !agrees(&reader, first, run.chain_before)? || !agrees(&reader, last, run.chain_after)? {
        return Ok(false);
    }
    let within = first < end && end < last;
    let there = within.then(|| alone(state, segment, run));
    let there = there.map(|alone| known_chain(&alone, end)).transpose()?;
    match there.flatten() {
        Some(chain) => agrees(&reader, end, chain),
        None => Ok(true),
    }
}

/// Whether a thread has a chain at a place, or may have.
fn agrees(reader: &RolloutReader, at: Ordinal, chain: ThreadChain) -> Result<bool, ReadError> {
    let end = reader.end();
    // What a hole at the end held is not known, and so is the chain behind it.
    let open = reader.view.holes.last().is_some_and(|hole| hole.end == end);
    if at > end || (at == end && open) {
        return Ok(true);
    }
    Ok(known_chain(reader, at)?.is_none_or(|known| known == chain))
}

/// The chain at a place, unless damage hides it.
fn known_chain(reader: &RolloutReader, at: Ordinal) -> Result<Option<ThreadChain>, ReadError> {
    match reader.chain_before(at) {
        Ok(chain) => Ok(Some(chain)),
        // Damage hides it; a device that did not read may show it the next time.
        Err(ReadError::Damaged(damage)) if damage.unreadable().is_none() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A reader of what the segment holds and nothing else.
fn alone(state: &State, segment: SegmentId, run: &Run) -> RolloutReader {
    let file = SegmentFile {
        segment,
        class: Class::Run,
        published: None,
    };
    let mut view = ThreadView::new(run.thread);
    view.add_run(RunRef::of(&file.into(), run));
    RolloutReader {
        view: view.into(),
        segments: state.segments.clone(),
        store: state.store,
    }
}
