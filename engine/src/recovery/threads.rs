//! Owns the making of a thread's view from its runs and frames, and what the verdicts on frames
//! (`verdict/frames.rs`) and runs (RECOVERY.md section 7) make of it. [S:thread-1]

mod sweep;

use std::cmp::Ordering;
use std::sync::Arc;

use turnleaf_format::catalogue::{Base, Lost};
use turnleaf_format::{Ordinal, ThreadChain, ThreadNumber};

pub(crate) use self::sweep::PublishedRun;
use self::sweep::{Sweep, Unread, broken_run};
use super::findings::{Findings, Severity};
use super::journal::{LostFrame, part_of};
use super::verdict::frames::{
    Begin, Cover, Evidence, FirstRecord, Link, Opening, Standing, first_record, standing,
};
use crate::catalogue::LossRecord;
use crate::error::{Cause, Damage};
use crate::journal::ScannedFrame;
use crate::layout::JOURNAL;
use crate::view::{FrameRef, Hole, JournalFile, RunRef, ThreadView};

/// A view that grows by frames in order of position.
#[derive(Debug)]
pub(crate) struct Growing {
    view: ThreadView,
    /// Where the cover of runs ends, lost ones included, and the chain there.
    cover: (Ordinal, ThreadChain),
    /// Bytes of the unfinished record at the end.
    open_bytes: u64,
    /// Holes of the cover that frames of the journal may still fill.
    gone: Vec<Hole>,
    /// Frames below the end of the cover that stand in such holes.
    spare: Vec<FrameRef>,
}

impl Growing {
    /// The cover of the thread's runs, which are given in ascending order. [R:seg-14]
    pub(crate) fn cover(
        thread: ThreadNumber,
        runs: Vec<PublishedRun>,
        lost: &[Lost],
        findings: &mut Findings,
    ) -> Growing {
        let mut view = ThreadView::new(thread);
        view.given_up = lost.to_vec();
        let mut gone = Vec::new();
        let (lost, usable): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.gone.is_some());
        let mut sweep = Sweep::new(&usable, &lost);
        while view.end < sweep.end {
            let place = view.end;
            if let Some(run) = sweep.farthest_at(place) {
                if run.first == place && run.chain_before != view.chain {
                    let broken = ordinals_of(thread, (place, place), run.chain_before);
                    findings.report(
                        Severity::ClosesThread(thread),
                        broken_run(run, (place, run.end)),
                        Some(broken),
                    );
                }
                view.add_run(RunRef {
                    from: place.max(run.first),
                    ..run.clone()
                });
                continue;
            }
            let Some(Unread { hole, of_a_run }) = sweep.unread_at((place, view.chain), thread)
            else {
                break;
            };
            (view.end, view.chain) = (hole.end, hole.chain_after);
            if of_a_run {
                gone.push(hole.clone());
            } else {
                findings.report(
                    Severity::ClosesThread(thread),
                    hole.damage.clone(),
                    Some(loss_of(thread, &hole)),
                );
            }
            view.holes.push(hole);
        }
        Growing {
            cover: (view.end, view.chain),
            view,
            open_bytes: 0,
            gone,
            spare: Vec::new(),
        }
    }

    /// The runs of the cover.
    pub(crate) fn runs(&self) -> &[RunRef] {
        &self.view.runs
    }

    /// Adds a frame, unless a segment holds it already.
    pub(crate) fn push(
        &mut self,
        file: &Arc<JournalFile>,
        frame: &ScannedFrame,
        lost: &[LostFrame],
        findings: &mut Findings,
    ) {
        let standing = standing(self.evidence(frame));
        match standing {
            Standing::GivenUp => {}
            Standing::Repeats => self.spare.push(frame_ref(file, frame)),
            Standing::Contradicts => {
                self.contradicts(file, frame, findings);
                self.spare.push(frame_ref(file, frame));
            }
            Standing::Overlaps => self.contradicts(file, frame, findings),
            Standing::GoesOn => self.go_on(file, frame, findings),
            Standing::Breaks => {
                self.breaks(file, frame, findings);
                self.go_on(file, frame, findings);
            }
            Standing::Skips => {
                self.skip(file, frame, lost, findings);
                self.go_on(file, frame, findings);
            }
            Standing::SkipsAndBreaks => {
                self.skip(file, frame, lost, findings);
                self.breaks(file, frame, findings);
                self.go_on(file, frame, findings);
            }
        }
    }

    /// What is known of a frame beside the thread.
    fn evidence(&self, frame: &ScannedFrame) -> Evidence {
        let (first, end) = ordinals(frame);
        let (cover_end, cover_chain) = self.cover;
        let cover = if end < cover_end {
            Cover::Within
        } else if end == cover_end && !frame.unfinished {
            Cover::ToItsEnd
        } else {
            Cover::Beyond
        };
        let begin = match first.cmp(&self.view.end) {
            Ordering::Less => Begin::Below,
            Ordering::Equal => Begin::AtEnd,
            Ordering::Greater => Begin::Above,
        };
        let before = frame.header.thread_chain;
        let agrees = match (cover, begin) {
            (Cover::ToItsEnd, _) => Some(frame.chain_after == cover_chain),
            (Cover::Beyond, Begin::AtEnd) => Some(before == self.view.chain),
            (Cover::Beyond, Begin::Above) => {
                let stated = self.view.chain_given_up(first);
                stated.map(|stated| stated == before)
            }
            (Cover::Within, _) | (Cover::Beyond, Begin::Below) => None,
        };
        Evidence {
            given_up: self.view.is_given_up(first, at_least_one((first, end))),
            cover,
            begin,
            link: match agrees {
                Some(true) => Link::Agrees,
                Some(false) => Link::Differs,
                None => Link::Unknown,
            },
        }
    }

    /// Files that a frame is not the one that the thread has in its place.
    fn contradicts(&self, file: &JournalFile, frame: &ScannedFrame, findings: &mut Findings) {
        let place = frame.header.place.offset;
        let this_frame = part_of(file, place, place + frame.header.stride());
        let damage = frame_damage(file, frame, Cause::Chain, Some(ordinals(frame)));
        findings.report(
            Severity::ClosesThread(self.view.thread),
            damage,
            Some(this_frame),
        );
    }

    /// Files that the chain of a frame is not the one that is known for its place.
    fn breaks(&self, file: &JournalFile, frame: &ScannedFrame, findings: &mut Findings) {
        let (thread, first) = (self.view.thread, frame.header.first_ordinal);
        let broken = ordinals_of(thread, (first, first), frame.header.thread_chain);
        let damage = frame_damage(file, frame, Cause::Chain, None);
        findings.report(Severity::ClosesThread(thread), damage, Some(broken));
    }

    /// Files what is missing before a frame.
    fn skip(
        &mut self,
        file: &JournalFile,
        frame: &ScannedFrame,
        lost: &[LostFrame],
        findings: &mut Findings,
    ) {
        self.drop_unfinished();
        let goes_on = (frame.header.first_ordinal, frame.header.thread_chain);
        let absent = frame_damage(file, frame, Cause::Missing, None);
        self.missing(goes_on, lost, absent, findings);
    }

    /// Adds a frame that begins where the thread ends.
    fn go_on(&mut self, file: &Arc<JournalFile>, frame: &ScannedFrame, findings: &mut Findings) {
        let (thread, (first, end)) = (self.view.thread, ordinals(frame));
        let verdict = first_record(Opening {
            bytes_before: frame.bytes_before,
            bytes_open: self.open_bytes,
            completes: first < end,
        });
        let headless = (first, at_least_one((first, end)));
        let damage = || frame_damage(file, frame, Cause::Missing, Some(headless));
        match verdict {
            FirstRecord::GoesOn => {}
            FirstRecord::Begins => self.drop_unfinished(),
            FirstRecord::Headless => {
                self.drop_unfinished();
                let lost = ordinals_of(thread, headless, frame.chain_after);
                findings.report(Severity::ClosesThread(thread), damage(), Some(lost));
                return;
            }
            FirstRecord::HeadlessAndComplete => {
                self.drop_unfinished();
                self.hole(end, damage(), frame.chain_after, findings);
                return;
            }
        }
        self.open_bytes = frame.bytes_after;
        self.view.push_frame(frame_ref(file, frame));
    }

    /// Holes up to where the thread goes on: one for each damaged frame that held something of it,
    /// or one where no frame is known to have.
    fn missing(
        &mut self,
        goes_on: (Ordinal, ThreadChain),
        lost: &[LostFrame],
        absent: Damage,
        findings: &mut Findings,
    ) {
        let (thread, missing) = (self.view.thread, self.view.end..goes_on.0);
        let known = lost.iter().filter(|frame| {
            frame.header.thread == thread && missing.contains(&frame.header.first_ordinal)
        });
        let known: Vec<&LostFrame> = known.collect();
        let begins = known.iter().map(|frame| &frame.header);
        let begins = begins.map(|header| (header.first_ordinal, header.thread_chain));
        let ends = begins.skip(1).chain([goes_on]);
        let mut holes: Vec<_> = ends.zip(known.iter().map(|frame| &frame.damage)).collect();
        if holes.is_empty() {
            holes.push((goes_on, &absent));
        }
        for ((end, chain), damage) in holes {
            if self.view.end < end {
                let damage = Damage {
                    ordinals: Some((self.view.end, end)),
                    thread: Some(thread),
                    ..damage.clone()
                };
                self.hole(end, damage, chain, findings);
            }
        }
    }

    /// The finished view. `cuts` are the ends that others inherit it up to, ascending: it has
    /// reached them.
    pub(crate) fn finish(
        mut self,
        lost: &[LostFrame],
        cuts: &[Base],
        findings: &mut Findings,
    ) -> ThreadView {
        let thread = self.view.thread;
        self.drop_unfinished();
        self.fill_from_journal(findings);
        // The catalogue is closed, or done without a segment, before its frames can go. [R:cat-5]
        if thread != ThreadNumber::CATALOGUE {
            self.view.repeated = std::mem::take(&mut self.spare);
            self.view.repeated.sort_by_key(|frame| frame.first);
        }
        // Where nothing follows what was given up, the thread goes on behind it. [S:catalogue-11]
        let (reached, chain) = self.view.behind_given_up((self.view.end, self.view.chain));
        (self.view.end, self.view.chain) = (reached, chain);
        for frame in lost.iter().filter(|frame| frame.header.thread == thread) {
            self.take_lost(frame, findings);
        }
        for cut in cuts {
            self.reach(cut, findings);
        }
        let mut holes = std::mem::take(&mut self.view.holes);
        holes.retain(|hole| !self.view.is_given_up(hole.first, hole.end));
        self.view.holes = holes;
        self.view
    }

    /// Says what a damaged frame cost the thread, now that it is known what else holds its records.
    fn take_lost(&mut self, frame: &LostFrame, findings: &mut Findings) {
        let (first, end) = frame.ordinals();
        if self.view.is_given_up(first, end) {
            return;
        }
        if first >= self.view.end {
            let damage = Damage {
                ordinals: Some((self.view.end, end)),
                ..frame.damage.clone()
            };
            self.hole(end, damage, frame.header.thread_chain, findings);
            return;
        }
        let holds = |hole: &&Hole| (hole.first..hole.end).contains(&first);
        let Some(hole) = self.view.holes.iter().find(holds) else {
            // What it held is read from elsewhere.
            let damage = Damage {
                ordinals: None,
                ..frame.damage.clone()
            };
            findings.report(Severity::CostsNothing, damage, Some(frame.place()));
            return;
        };
        let (told, damage) = (&hole.damage, &frame.damage);
        if (&told.file, told.offset) != (&damage.file, damage.offset) {
            let thread = self.view.thread;
            findings.report(
                Severity::ClosesThread(thread),
                damage.clone(),
                Some(loss_of(thread, hole)),
            );
        }
    }

    /// Files what is missing before the end that another rollout goes on from: nothing else says
    /// that it was there, and those ordinals are not given again. [R:lineage-1]
    fn reach(&mut self, cut: &Base, findings: &mut Findings) {
        if cut.end <= self.view.end {
            return;
        }
        let damage = Damage {
            file: JOURNAL.to_owned(),
            offset: 0,
            length: 0,
            thread: Some(self.view.thread),
            ordinals: Some((self.view.end, cut.end)),
            cause: Cause::Missing,
        };
        self.hole(cut.end, damage, cut.chain, findings);
    }

    fn hole(
        &mut self,
        end: Ordinal,
        damage: Damage,
        chain_after: ThreadChain,
        findings: &mut Findings,
    ) {
        let hole = Hole {
            first: self.view.end,
            end,
            chain_after,
            damage: damage.clone(),
        };
        let thread = self.view.thread;
        findings.report(
            Severity::ClosesThread(thread),
            damage,
            Some(loss_of(thread, &hole)),
        );
        self.view.holes.push(hole);
        (self.view.end, self.view.chain) = (end, chain_after);
    }

    fn drop_unfinished(&mut self) {
        self.open_bytes = 0;
        self.view.drop_unfinished();
    }

    /// While the journal still holds the ordinals of a lost segment, they are read from there; the
    /// thread stays closed until they are written to another one.
    fn fill_from_journal(&mut self, findings: &mut Findings) {
        let thread = self.view.thread;
        for hole in std::mem::take(&mut self.gone) {
            let lost = loss_of(thread, &hole);
            let mut reached = hole.first;
            let mut chain = None;
            let mut found = Vec::new();
            for frame in &self.spare {
                let follows = chain.is_none_or(|chain| chain == frame.chain_before);
                if frame.first == reached && frame.end <= hole.end && follows {
                    (reached, chain) = (frame.end, Some(frame.chain_after));
                    found.push(frame.clone());
                }
            }
            let damage = hole.damage.clone();
            if reached == hole.end {
                self.view.holes.retain(|other| *other != hole);
                self.view.frames.extend(found);
                findings.report(Severity::ClosesThread(thread), damage, None);
            } else {
                findings.report(Severity::ClosesThread(thread), damage, Some(lost));
            }
        }
        self.view
            .frames
            .sort_by_key(|frame| (frame.end, frame.first));
    }
}

/// The ordinals of the records that are complete in a frame.
fn ordinals(frame: &ScannedFrame) -> (Ordinal, Ordinal) {
    let first = frame.header.first_ordinal;
    (first, first.plus(frame.records))
}

/// The end of what a frame has a part of: a record that it does not complete counts.
fn at_least_one((first, end): (Ordinal, Ordinal)) -> Ordinal {
    end.max(first.plus(1))
}

fn frame_ref(file: &Arc<JournalFile>, frame: &ScannedFrame) -> FrameRef {
    let (header, (first, end)) = (&frame.header, ordinals(frame));
    FrameRef {
        file: Arc::clone(file),
        offset: header.place.offset,
        body_len: header.body_len,
        body_crc: header.body_crc,
        entry_count: header.entry_count,
        first,
        end,
        chain_before: header.thread_chain,
        chain_after: frame.chain_after,
        unfinished: frame.unfinished,
        lengths: frame.lengths.clone(),
        body: frame.catalogue_body.clone().map(Arc::new),
    }
}

fn frame_damage(
    file: &JournalFile,
    frame: &ScannedFrame,
    cause: Cause,
    ordinals: Option<(Ordinal, Ordinal)>,
) -> Damage {
    Damage {
        file: file.path.clone(),
        offset: frame.header.place.offset,
        length: frame.header.stride(),
        thread: Some(frame.header.thread),
        ordinals,
        cause,
    }
}

/// What a repair states about ordinals.
pub(super) fn ordinals_of(
    thread: ThreadNumber,
    (first, end): (Ordinal, Ordinal),
    chain_after: ThreadChain,
) -> LossRecord {
    LossRecord::Ordinals {
        thread,
        first,
        end,
        chain_after,
    }
}

fn loss_of(thread: ThreadNumber, hole: &Hole) -> LossRecord {
    ordinals_of(thread, (hole.first, hole.end), hole.chain_after)
}

#[cfg(test)]
mod tests;
