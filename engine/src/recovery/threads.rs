//! Owns the making of a thread's view from its runs and frames, and the verdicts on what does not
//! fit (RECOVERY.md sections 3 and 7). [S:thread-1]

use std::sync::Arc;

use turnleaf_format::catalogue::Lost;
use turnleaf_format::{Ordinal, ThreadChain, ThreadNumber};

use super::findings::Findings;
use super::journal::{LostFrame, part_of};
use crate::catalogue::Acceptance;
use crate::error::{Cause, Damage};
use crate::journal::ScannedFrame;
use crate::view::{FrameRef, Hole, JournalFile, RunRef, ThreadView};

/// A run that the thread should have.
#[derive(Debug, Clone)]
pub(crate) struct PublishedRun {
    pub(crate) run: RunRef,
    /// Why its file cannot be read at all, if so. [R:seg-1]
    pub(crate) gone: Option<Damage>,
}

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
    /// The cover of the thread's runs, which are given in ascending order: from the lowest ordinal
    /// up, each time with the run that begins at or below the place reached and ends farthest; of
    /// equals the newest, which was written because the name of the one before may be lost.
    /// [R:seg-14]
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
        let end = lost.iter().chain(&usable).map(|run| run.run.end).max();
        let end = end.unwrap_or_default();
        // Each run is looked at once: those that begin at or below the place reached are taken in,
        // and of them only the one that ends farthest can be the next.
        let (mut usable, mut lost) = (usable.as_slice(), lost.as_slice());
        let mut best: Option<&PublishedRun> = None;
        while view.end < end {
            let place = view.end;
            while let [run, rest @ ..] = usable
                && run.run.first <= place
            {
                let reach = |run: &PublishedRun| (run.run.end, run.run.file.segment);
                best = best.filter(|best| reach(best) > reach(run)).or(Some(run));
                usable = rest;
            }
            if let Some(best) = best.filter(|best| best.run.end > place) {
                let run = &best.run;
                if run.first == place && run.chain_before != view.chain {
                    let broken = ordinals_of(thread, (place, place), run.chain_before);
                    findings.of_thread(thread, broken_run(run, (place, run.end)), broken);
                }
                view.add_run(RunRef {
                    from: place.max(run.first),
                    ..run.clone()
                });
                continue;
            }
            // Nothing readable holds the place.
            while let [run, rest @ ..] = lost
                && run.run.end <= place
            {
                lost = rest;
            }
            let (begun, later) = lost.split_at(lost.partition_point(|run| run.run.first <= place));
            let over = begun.iter().find(|run| place < run.run.end);
            let stop = usable.first().into_iter().chain(later.first());
            let stop = stop.min_by_key(|run| run.run.first);
            let stop_at = stop.map_or(end, |run| run.run.first);
            let until = over.map_or(stop_at, |run| run.run.end.min(stop_at));
            let whole = over.filter(|run| run.run.end == until);
            let damage = match (over.and_then(|run| run.gone.clone()), stop) {
                (Some(damage), _) => damage,
                (None, Some(run)) => broken_run(&run.run, (place, until)),
                (None, None) => break,
            };
            let damage = Damage {
                thread: Some(thread),
                ordinals: Some((place, until)),
                ..damage
            };
            view.chain = match (whole, stop) {
                (Some(run), _) => run.run.chain_after,
                (None, Some(run)) => run.run.chain_before,
                (None, None) => view.chain,
            };
            view.end = until;
            let hole = Hole {
                first: place,
                end: until,
                chain_after: view.chain,
                damage: damage.clone(),
            };
            view.holes.push(hole.clone());
            if over.is_some() {
                gone.push(hole);
            } else {
                let lost = ordinals_of(thread, (place, until), view.chain);
                findings.of_thread(thread, damage, lost);
            }
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
        let (header, thread) = (&frame.header, self.view.thread);
        let first = header.first_ordinal;
        let end = first.plus(frame.records);
        // [S:catalogue-11]
        if self.view.is_given_up(first, end.max(first.plus(1))) {
            return;
        }
        let place = header.place.offset;
        let this_frame = part_of(file, place, place + header.stride());
        let broken = ordinals_of(thread, (first, first), header.thread_chain);
        let odd = |cause, ordinals| Damage {
            file: file.path.clone(),
            offset: header.place.offset,
            length: header.stride(),
            thread: Some(thread),
            ordinals,
            cause,
        };
        let frame_ref = FrameRef {
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
        };
        let (cover_end, cover_chain) = self.cover;
        let sealed = end < cover_end || (end == cover_end && !frame.unfinished);
        #[cfg(turnleaf_bugs)]
        if sealed && crate::bugs::SealedCountedTwice.planted() {
            self.view.push_frame(frame_ref);
            return;
        }
        if sealed {
            // [R:frame-9], as far as it can be told without reading the segment.
            if end == cover_end && frame.chain_after != cover_chain {
                let damage = odd(Cause::Chain, Some((first, end)));
                findings.of_thread(thread, damage, this_frame);
            }
            self.spare.push(frame_ref);
            return;
        }
        if first < self.view.end {
            // [R:frame-6]
            let damage = odd(Cause::Chain, Some((first, end)));
            findings.of_thread(thread, damage, this_frame);
            return;
        }
        if frame.bytes_before == 0 {
            // A record that was left unfinished is void once its ordinal begins anew. [R:frame-8]
            self.drop_unfinished();
        }
        if first > self.view.end {
            // [R:frame-7]
            self.drop_unfinished();
            let absent = odd(Cause::Missing, None);
            self.missing((first, header.thread_chain), lost, absent, findings);
            let stated = self.view.chain_given_up(first);
            if stated.is_some_and(|stated| stated != header.thread_chain) {
                findings.of_thread(thread, odd(Cause::Chain, None), broken);
            }
        } else if header.thread_chain != self.view.chain {
            // [R:frame-6]
            findings.of_thread(thread, odd(Cause::Chain, None), broken);
        }
        if frame.bytes_before != self.open_bytes {
            // The record was begun elsewhere, and that is not there. [R:frame-10]
            self.drop_unfinished();
            let damage = odd(Cause::Missing, Some((first, end.max(first.plus(1)))));
            if end == first {
                let record = (first, first.plus(1));
                let lost = ordinals_of(thread, record, frame.chain_after);
                findings.of_thread(thread, damage, lost);
                return;
            }
            self.hole(end, damage, frame.chain_after, findings);
            return;
        }
        self.open_bytes = frame.bytes_after;
        self.view.push_frame(frame_ref);
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

    /// The finished view.
    pub(crate) fn finish(mut self, lost: &[LostFrame], findings: &mut Findings) -> ThreadView {
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
            let (first, end) = frame.ordinals();
            let inside = |hole: &&Hole| (hole.first..hole.end).contains(&first);
            if self.view.is_given_up(first, end) {
                continue;
            }
            if first >= self.view.end {
                let damage = Damage {
                    ordinals: Some((self.view.end, end)),
                    ..frame.damage.clone()
                };
                self.hole(end, damage, frame.header.thread_chain, findings);
            } else if let Some(hole) = self.view.holes.iter().find(inside) {
                let (told, damage) = (&hole.damage, &frame.damage);
                if (&told.file, told.offset) == (&damage.file, damage.offset) {
                    continue;
                }
                let acceptance = acceptance_of(thread, hole);
                findings.of_thread(thread, frame.damage.clone(), acceptance);
            } else {
                // What it held is read from elsewhere.
                let damage = Damage {
                    ordinals: None,
                    ..frame.damage.clone()
                };
                findings.costs_nothing_there(damage, frame.place());
            }
        }
        let given_up = std::mem::take(&mut self.view.holes)
            .into_iter()
            .filter(|hole| !self.view.is_given_up(hole.first, hole.end));
        let holes = given_up.collect();
        self.view.holes = holes;
        self.view
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
        findings.of_thread(thread, damage, acceptance_of(thread, &hole));
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
            let acceptance = acceptance_of(thread, &hole);
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
                findings.of_thread_alone(thread, damage);
            } else {
                findings.of_thread(thread, damage, acceptance);
            }
        }
        self.view
            .frames
            .sort_by_key(|frame| (frame.end, frame.first));
    }
}

/// What a repair states about ordinals.
pub(super) fn ordinals_of(
    thread: ThreadNumber,
    (first, end): (Ordinal, Ordinal),
    chain_after: ThreadChain,
) -> Acceptance {
    Acceptance::Ordinals {
        thread,
        first,
        end,
        chain_after,
    }
}

fn acceptance_of(thread: ThreadNumber, hole: &Hole) -> Acceptance {
    ordinals_of(thread, (hole.first, hole.end), hole.chain_after)
}

/// A run does not continue what is before it.
fn broken_run(run: &RunRef, ordinals: (Ordinal, Ordinal)) -> Damage {
    Damage {
        file: crate::layout::segment_path(run.file.class, run.file.segment),
        offset: 0,
        length: 0,
        thread: None,
        ordinals: Some(ordinals),
        cause: Cause::Chain,
    }
}

#[cfg(test)]
mod tests;
