//! Owns the reading of the catalogue: its segments, its records, and the verdicts on them
//! (RECOVERY.md section 6).

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use turnleaf_format::catalogue::{CatalogueRecord, Lost, Run};
use turnleaf_format::record::payload_crc;
use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, SegmentId, StoreId, ThreadChain, ThreadNumber};

use super::checkpoint::read_checkpoint;
use super::findings::{Findings, Loss, Remark, Severity};
use super::threads::{Growing, PublishedRun, ordinals_of};
use super::verdict::catalogue::{
    Link, Reach, ReachVerdict, ReadFrom, RecordVerdict, Says, Without, reach_verdict, read_from,
    record_verdict,
};
use crate::catalogue::Catalogue;
use crate::disk::{Disk, DiskFile};
use crate::error::{Cause, Damage, ReadError};
use crate::journal::ScannedFrame;
use crate::layout::segment_path;
use crate::read::{Record, RolloutReader};
use crate::segment::{OpenSegment, Segments};
use crate::view::{JournalFile, RunRef, SegmentFile, ThreadView, is_covered};

/// The catalogue as it was found.
pub(crate) struct Found {
    pub(crate) catalogue: Catalogue,
    pub(crate) view: ThreadView,
    /// The records before this one were taken from a checkpoint.
    pub(crate) checkpoint: Ordinal,
    /// Segments in use whose names may not be durable.
    pub(crate) unproven: Vec<SegmentId>,
}

/// Where the catalogue's records are looked for.
#[derive(Clone, Copy)]
pub(crate) struct Places<'p> {
    pub(crate) disk: &'p Arc<dyn Disk>,
    pub(crate) store: StoreId,
    pub(crate) segments: &'p Arc<Segments>,
    /// The frames of thread 0.
    pub(crate) frames: &'p [(Arc<JournalFile>, ScannedFrame)],
    /// The newest header's pair: where the segments must reach, and the chain there.
    pub(crate) stated: (Ordinal, ThreadChain),
    /// A checkpoint that may be used.
    pub(crate) checkpoint: Option<&'p dyn DiskFile>,
}

impl Places<'_> {
    /// Reads the catalogue: the records behind its checkpoint, or all of them. A segment that is
    /// not readable is done without where the journal, or other segments, hold what it held.
    /// [R:cat-5] [R:cat-9]
    pub(crate) fn read(self, files: &[SegmentId], findings: &mut Findings) -> Found {
        if let Some((found, told)) = self.behind_checkpoint(files) {
            findings.absorb(told);
            return found;
        }
        let mut first = Findings::default();
        let found = self.try_read(files, &mut first);
        let is_bad = |run: &RunRef| {
            let path = segment_path(run.file.class, run.file.segment);
            // What a repair accepted does not make a segment bad.
            let is_open = |loss: &Loss| {
                let accepted = |record| found.catalogue.has_accepted(record);
                loss.damage.file == path && !loss.record.is_some_and(accepted)
            };
            first.losses.iter().any(is_open)
        };
        let bad = found.view.runs.iter().filter(|run| is_bad(run));
        let bad: Vec<SegmentId> = bad.map(|run| run.file.segment).collect();
        let path = |segment: &SegmentId| segment_path(Class::Catalogue, *segment);
        let bad_files: Vec<String> = bad.iter().map(path).collect();
        let mut second = Findings::default();
        let others = files.iter().filter(|file| !bad.contains(file)).copied();
        let others: Vec<SegmentId> = others.collect();
        let again = (others.len() < files.len()).then(|| self.try_read(&others, &mut second));
        let without = again.as_ref().map(|again| Without {
            meets_no_more: second.losses.iter().all(|loss| first.losses.contains(loss)),
            reaches: again.view.end >= found.view.end,
        });
        let serves = read_from(without) == ReadFrom::Others;
        findings.absorb_unreadable(first.unreadable.clone());
        let (found, mut told) = match again.filter(|_| serves) {
            None => (found, first),
            Some(again) => {
                for loss in first.losses {
                    let ordinals = None;
                    if !second.losses.contains(&loss) && bad_files.contains(&loss.damage.file) {
                        second.report(
                            Severity::CostsNothing,
                            Damage {
                                ordinals,
                                ..loss.damage
                            },
                            None,
                        );
                    }
                }
                (again, second)
            }
        };
        // A bad file says itself why the segments do not reach as far as the header says.
        let short = of_catalogue(crate::layout::CATALOGUE, None, Cause::Missing);
        let of_file = format!("{}/", crate::layout::CATALOGUE);
        let mut damage = told.damage.iter();
        if damage.any(|damage| damage.file.starts_with(&of_file)) {
            told.damage.retain(|damage| *damage != short);
        }
        findings.absorb(told);
        found
    }

    /// What the catalogue says by its checkpoint and the records behind it. `None` where there is
    /// none that the chain of the catalogue leads over, or where anything is wrong with the
    /// catalogue: then all its records are read, and what they cost is known.
    fn behind_checkpoint(self, files: &[SegmentId]) -> Option<(Found, Findings)> {
        let checkpoint = read_checkpoint(self.checkpoint?, self.store)?;
        let mut findings = Findings::default();
        let (view, unproven, spare) = self.view(files, &mut findings);
        let reader = self.reader(&view);
        let leads_over = |(at, stated): (Ordinal, ThreadChain)| {
            at <= view.end && reader.chain_before(at).is_ok_and(|chain| chain == stated)
        };
        let begin = (checkpoint.end, checkpoint.chain);
        let fits = leads_over(begin);
        if !fits || !leads_over(self.stated) || !view.holes.is_empty() {
            return None;
        }
        let is_read = self.is_read_where_repeated(spare, &reader, begin.0);
        if !is_read {
            return None;
        }
        let begin = (begin.0, begin.1, checkpoint.catalogue);
        let catalogue = read_records(&reader, self.stated, begin, &mut findings);
        let is_whole = catalogue.given_up(ThreadNumber::CATALOGUE).is_empty();
        let found = Found {
            catalogue,
            view,
            checkpoint: checkpoint.end,
            unproven,
        };
        (findings.is_sound() && is_whole).then_some((found, findings))
    }

    /// Whether what stands a second time of the records before a checkpoint's end can be read where
    /// the catalogue is read from. Else the other copy must serve, and may not go: a frame of the
    /// journal, or a segment that is not in use, whose first ordinal is `spare`. [R:cat-5]
    fn is_read_where_repeated(
        self,
        spare: Option<Ordinal>,
        reader: &RolloutReader,
        end: Ordinal,
    ) -> bool {
        let frames = self
            .frames
            .iter()
            .map(|(_, frame)| frame.header.first_ordinal);
        let from = frames.chain(spare).min().unwrap_or(end);
        let mut pass = |_: &Record<'_>| ControlFlow::Continue(());
        from >= end || reader.records(from, end, &mut pass).is_ok()
    }

    fn try_read(self, files: &[SegmentId], findings: &mut Findings) -> Found {
        let (mut view, unproven, _) = self.view(files, findings);
        let catalogue = self.read_catalogue(&mut view, findings);
        Found {
            catalogue,
            view,
            checkpoint: Ordinal(0),
            unproven,
        }
    }

    /// Where the catalogue's records are, the segments of it whose names may not be durable, and
    /// the first ordinal that a segment holds which is not in use.
    fn view(
        self,
        files: &[SegmentId],
        findings: &mut Findings,
    ) -> (ThreadView, Vec<SegmentId>, Option<Ordinal>) {
        let (store, stated) = (self.store, self.stated.0);
        let (mut growing, unproven, spare) =
            catalogue_cover(self.disk, store, files, stated, findings);
        for (file, frame) in self.frames {
            growing.push(file, frame, &[], findings);
        }
        (growing.finish(&[], &[], findings), unproven, spare)
    }

    fn reader(self, view: &ThreadView) -> RolloutReader {
        RolloutReader {
            view: Arc::new(view.clone()),
            segments: Arc::clone(self.segments),
            store: self.store,
        }
    }

    /// Adds up the catalogue's records.
    ///
    /// What was given up of the catalogue stands in the catalogue: then it is read once more
    /// without.
    fn read_catalogue(self, view: &mut ThreadView, findings: &mut Findings) -> Catalogue {
        let nothing = || (Ordinal(0), ThreadChain::START, Catalogue::default());
        let mut first = Findings::default();
        let catalogue = read_records(&self.reader(view), self.stated, nothing(), &mut first);
        let given_up = catalogue.given_up(ThreadNumber::CATALOGUE);
        if given_up.is_empty() {
            findings.absorb(first);
            return catalogue;
        }
        view.given_up = given_up.to_vec();
        let frames = std::mem::take(&mut view.frames);
        let left = frames.into_iter().filter(|frame| {
            let end = frame.end.max(frame.first.plus(1));
            !view.is_given_up(frame.first, end)
        });
        view.frames = left.collect();
        let holes = std::mem::take(&mut view.holes);
        let left = holes
            .into_iter()
            .filter(|hole| !view.is_given_up(hole.first, hole.end));
        view.holes = left.collect();
        let (reached, chain) = view.behind_given_up((view.end, view.chain));
        (view.end, view.chain) = (reached, chain);
        read_records(&self.reader(view), self.stated, nothing(), findings)
    }
}

/// What all records of the catalogue add up to, and what is wrong with them.
pub(crate) fn sum_of_records(reader: &RolloutReader) -> (Catalogue, Findings) {
    let mut findings = Findings::default();
    let nothing = (Ordinal(0), ThreadChain::START, Catalogue::default());
    let stated = (Ordinal(0), ThreadChain::START);
    let sum = read_records(reader, stated, nothing, &mut findings);
    (sum, findings)
}

/// The runs that the catalogue's segments hold. One that does not decode is damage of that file; it
/// matters only when its ordinals are missing. Also the segments in use whose names may not be
/// durable: beyond `stated`, where the newest header ends. [R:cat-4] [R:cat-5] [R:confirm-1]
fn catalogue_cover(
    disk: &Arc<dyn Disk>,
    store: StoreId,
    files: &[SegmentId],
    stated: Ordinal,
    findings: &mut Findings,
) -> (Growing, Vec<SegmentId>, Option<Ordinal>) {
    let mut runs = Vec::new();
    for segment in files {
        let file = Arc::new(SegmentFile {
            segment: *segment,
            class: Class::Catalogue,
            published: None,
        });
        // Only the tables of these are read.
        match OpenSegment::open(&**disk, store, &file) {
            Ok(open) => {
                for damage in open.invalid() {
                    findings.report(Severity::CostsNothing, damage.clone(), None);
                }
                runs.extend(open.runs().iter().map(|row| PublishedRun {
                    run: RunRef::of(&file, &Run::from(row)),
                    gone: None,
                }));
            }
            Err(ReadError::Damaged(found)) => findings.report(Severity::CostsNothing, *found, None),
            Err(ReadError::Disk(failure)) => {
                let cause = Cause::Unreadable((&failure.source).into());
                findings.report(
                    Severity::CostsNothing,
                    of_catalogue(&failure.path, None, cause),
                    None,
                );
            }
        }
    }
    runs.sort_by_key(|run| run.run.first);
    let spans: Vec<_> = runs
        .iter()
        .map(|run| (run.run.first, run.run.end))
        .collect();
    let held: Vec<_> = runs
        .iter()
        .map(|run| (run.run.file.segment, run.run.first))
        .collect();
    let cover = Growing::cover(ThreadNumber::CATALOGUE, runs, &[], findings);
    let unproven = unproven_names(&spans, cover.runs(), stated);
    let in_use = |segment| cover.runs().iter().any(|run| run.file.segment == segment);
    let spare = held.iter().filter(|(segment, _)| !in_use(*segment));
    let spare = spare.map(|(_, first)| *first).min();
    (cover, unproven, spare)
}

/// Segments in use that could be missing without damage: the journal and other segments hold what
/// they hold. One that could not is durable: what it took over was removed after its name was.
fn unproven_names(
    spans: &[(Ordinal, Ordinal)],
    cover: &[RunRef],
    stated: Ordinal,
) -> Vec<SegmentId> {
    let proven = spans.iter().filter(|(_, end)| *end <= stated);
    let reach = proven.fold(Ordinal(0), |reach, (first, end)| {
        if *first <= reach {
            reach.max(*end)
        } else {
            reach
        }
    });
    let spare = |run: &&RunRef| run.end > stated && (run.first >= stated || reach >= stated);
    let unproven = cover.iter().filter(spare);
    unproven.map(|run| run.file.segment).collect()
}

/// Adds up the catalogue's records from a place on, with what those before add up to. `stated` is
/// the newest header's pair: where the segments must reach, and the chain there.
fn read_records(
    reader: &RolloutReader,
    stated: (Ordinal, ThreadChain),
    (mut from, chain, catalogue): (Ordinal, ThreadChain, Catalogue),
    findings: &mut Findings,
) -> Catalogue {
    let view = &reader.view;
    let mut adding = Adding {
        reader: reader.clone(),
        store: reader.store,
        stated,
        given_up: view.given_up.clone().into(),
        catalogue,
        chain: Some(chain),
        link: Link::Unknown,
        findings: Findings::default(),
    };
    adding.check_chain(from);
    while from < view.end {
        let read = reader.records(from, view.end, &mut |record| {
            adding.take(record);
            ControlFlow::Continue(())
        });
        adding.chain = None;
        // Damage costs the records it names; the catalogue goes on behind them.
        from = match read {
            Ok(()) => view.end,
            Err(ReadError::Damaged(found)) => {
                let (first, resume) = found.ordinals.unwrap_or((from, view.end));
                let resume = resume.max(from.plus(1));
                let chain = reader.chain_before(resume).unwrap_or(view.chain);
                let lost = ordinals_of(view.thread, (first, resume), chain);
                adding
                    .findings
                    .report(Severity::ClosesStore, *found, Some(lost));
                resume
            }
            Err(ReadError::Disk(failure)) => {
                let cause = Cause::Unreadable((&failure.source).into());
                let lost = Some((from, view.end));
                let damage = of_catalogue(&failure.path, lost, cause);
                // The device may work again; nothing is given up for it.
                adding.findings.report(Severity::ClosesStore, damage, None);
                view.end
            }
        };
    }
    let (covered, _) = view.sealed();
    let frames = view.frames.iter().map(|frame| (frame.first, frame.end));
    let verdict = reach_verdict(Reach {
        reaches: covered >= stated.0,
        repeated: adding.findings.losses.is_empty() && is_covered(frames, covered, stated.0),
        link: adding.link,
    });
    report_reach(verdict, covered, stated, findings);
    findings.absorb(adding.findings);
    adding.catalogue
}

fn report_reach(
    verdict: ReachVerdict,
    covered: Ordinal,
    (end, chain): (Ordinal, ThreadChain),
    findings: &mut Findings,
) {
    let (is_missing, is_other_chain) = match verdict {
        ReachVerdict::Good => (None, false),
        ReachVerdict::InJournal => (Some(Severity::CostsNothing), false),
        ReachVerdict::Missing => (Some(Severity::ClosesStore), false),
        ReachVerdict::OtherChain => (None, true),
        ReachVerdict::MissingAndOtherChain => (Some(Severity::ClosesStore), true),
    };
    let damage = |ordinals, cause| of_catalogue(crate::layout::CATALOGUE, ordinals, cause);
    let lost = |ordinals| ordinals_of(ThreadNumber::CATALOGUE, ordinals, chain);
    match is_missing {
        Some(Severity::CostsNothing) => {
            findings.report(Severity::CostsNothing, damage(None, Cause::Missing), None);
        }
        Some(severity) => {
            let ordinals = (covered, end);
            findings.report(
                severity,
                damage(Some(ordinals), Cause::Missing),
                Some(lost(ordinals)),
            );
        }
        None => {}
    }
    if is_other_chain {
        let damage = damage(Some((Ordinal(0), end)), Cause::Chain);
        findings.report(Severity::ClosesStore, damage, Some(lost((end, end))));
    }
}

/// The sum while it grows.
struct Adding {
    reader: RolloutReader,
    store: StoreId,
    stated: (Ordinal, ThreadChain),
    catalogue: Catalogue,
    /// What was given up and not passed yet. [S:catalogue-11]
    given_up: VecDeque<Lost>,
    /// The chain at the next record, while nothing was missing.
    chain: Option<ThreadChain>,
    /// How it stands to the stated one, where that is stated for.
    link: Link,
    findings: Findings,
}

impl Adding {
    fn take(&mut self, record: &Record<'_>) {
        let payload = record.bytes().unwrap_or_default();
        let (ordinal, kind) = (record.ordinal, record.kind);
        while let Some(lost) = self.given_up.front().copied() {
            if lost.ordinal_end > ordinal {
                break;
            }
            self.chain = Some(lost.chain_after);
            self.given_up.pop_front();
        }
        let decoded = CatalogueRecord::decode(kind, payload);
        let says = Says::of(decoded.as_ref().map_err(|error| *error), self.store);
        let is_first = ordinal == Ordinal(0);
        // What is out of its place is not taken.
        let may_fit = record_verdict(says, is_first, true) != RecordVerdict::Contradicts;
        let fits = |fact: &CatalogueRecord| may_fit && self.catalogue.apply(fact);
        let fits = decoded.as_ref().is_ok_and(fits);
        let cause = match (record_verdict(says, is_first, fits), decoded) {
            (RecordVerdict::Undecoded, Err(error)) => Some(Cause::Decode(error)),
            (RecordVerdict::Undecoded | RecordVerdict::Contradicts, _) => {
                Some(Cause::Contradiction)
            }
            (RecordVerdict::Kept, _) => {
                self.findings
                    .remark(Remark::UnknownRecord { ordinal, kind });
                None
            }
            (RecordVerdict::Added, _) => None,
        };
        if let Some(cause) = cause {
            let lost = (ordinal, ordinal.plus(1));
            let path = crate::layout::CATALOGUE;
            let damage = of_catalogue(path, Some(lost), cause);
            // Behind damage the sum is not known; what holds the record says the chain.
            let chain = self.chain_behind(record);
            let chain = chain.or_else(|| self.reader.chain_before(lost.1).ok());
            let chain = chain.unwrap_or(self.reader.view.chain);
            let loss_record = ordinals_of(ThreadNumber::CATALOGUE, lost, chain);
            self.findings
                .report(Severity::ClosesStore, damage, Some(loss_record));
        }
        self.chain = self.chain_behind(record);
        self.check_chain(ordinal.plus(1));
    }

    fn chain_behind(&self, record: &Record<'_>) -> Option<ThreadChain> {
        let payload = record.bytes().unwrap_or_default();
        let (len, crc) = (payload.len() as u64, payload_crc(payload));
        let (ordinal, kind, flags) = (record.ordinal, record.kind, record.flags);
        let thread = ThreadNumber::CATALOGUE;
        let chain = self.chain?;
        Some(chain.after(thread, ordinal, kind, flags, len, crc))
    }

    /// Where the newest header says, the chain is the one it says, or not.
    fn check_chain(&mut self, next: Ordinal) {
        let (end, stated) = self.stated;
        if next == end {
            self.link = match self.chain {
                None => Link::Unknown,
                Some(chain) if chain == stated => Link::Agrees,
                Some(_) => Link::Differs,
            };
        }
    }
}

fn of_catalogue(path: &str, ordinals: Option<(Ordinal, Ordinal)>, cause: Cause) -> Damage {
    Damage {
        file: path.to_owned(),
        offset: 0,
        length: 0,
        thread: Some(ThreadNumber::CATALOGUE),
        ordinals,
        cause,
    }
}

#[cfg(test)]
mod tests;
