//! Owns the making of a thread's view from its runs and frames, and the verdicts on what does not
//! fit (RECOVERY.md sections 3 and 7). [S:thread-1]

use std::sync::Arc;

use turnleaf_format::{Ordinal, ThreadChain, ThreadNumber};

use super::findings::Findings;
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
    /// The cover of the thread's runs: from the lowest ordinal up, each time with the run that
    /// begins at or below the place reached and ends farthest; of equals the newest, which was
    /// written because the name of the one before may be lost. [R:seg-14]
    pub(crate) fn cover(
        thread: ThreadNumber,
        runs: Vec<PublishedRun>,
        findings: &mut Findings,
    ) -> Growing {
        let mut view = ThreadView::new(thread);
        let mut gone = Vec::new();
        let (lost, usable): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.gone.is_some());
        let end = lost.iter().chain(&usable).map(|run| run.run.end).max();
        let end = end.unwrap_or_default();
        while view.end < end {
            let place = view.end;
            let next = usable.iter().filter(|run| run.run.end > place);
            let here = next.clone().filter(|run| run.run.first <= place);
            if let Some(best) = here.max_by_key(|run| (run.run.end, run.run.file.segment)) {
                let run = &best.run;
                if run.first == place && run.chain_before != view.chain {
                    findings.of_thread(thread, broken_run(run, (place, run.end)));
                }
                view.add_run(RunRef {
                    from: place.max(run.first),
                    ..run.clone()
                });
                continue;
            }
            // Nothing readable holds the place.
            let later = usable
                .iter()
                .chain(&lost)
                .filter(|run| run.run.first > place);
            let stop = later.min_by_key(|run| run.run.first);
            let over = lost
                .iter()
                .find(|run| run.run.first <= place && place < run.run.end);
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
            let hole = Hole {
                first: place,
                end: until,
                damage: damage.clone(),
            };
            findings.of_thread(thread, damage);
            if over.is_some() {
                gone.push(hole.clone());
            }
            view.holes.push(hole);
            view.chain = match (whole, stop) {
                (Some(run), _) => run.run.chain_after,
                (None, Some(run)) => run.run.chain_before,
                (None, None) => view.chain,
            };
            view.end = until;
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
        lost: &[(ThreadNumber, Ordinal, Damage)],
        findings: &mut Findings,
    ) {
        let (header, thread) = (&frame.header, self.view.thread);
        let first = header.first_ordinal;
        let end = first.plus(frame.records);
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
            boundary: frame.boundary,
            body: frame.catalogue_body.clone().map(Arc::new),
        };
        let (cover_end, cover_chain) = self.cover;
        if end < cover_end || (end == cover_end && !frame.unfinished) {
            // [R:frame-9], as far as it can be told without reading the segment.
            if end == cover_end && frame.chain_after != cover_chain {
                findings.of_thread(thread, odd(Cause::Chain, Some((first, end))));
            }
            self.spare.push(frame_ref);
            return;
        }
        if first < self.view.end {
            // [R:frame-6]
            findings.of_thread(thread, odd(Cause::Chain, Some((first, end))));
            return;
        }
        if frame.bytes_before == 0 {
            // A record that was left unfinished is void once its ordinal begins anew. [R:frame-8]
            self.drop_unfinished();
        }
        if first > self.view.end {
            // [R:frame-7]
            self.drop_unfinished();
            let known = lost
                .iter()
                .find(|(whose, at, _)| *whose == thread && (self.view.end..first).contains(at));
            let damage = Damage {
                ordinals: Some((self.view.end, first)),
                thread: Some(thread),
                ..known.map_or_else(|| odd(Cause::Missing, None), |known| known.2.clone())
            };
            self.hole(first, damage, findings);
        } else if header.thread_chain != self.view.chain {
            // [R:frame-6]
            findings.of_thread(thread, odd(Cause::Chain, None));
        }
        if frame.bytes_before != self.open_bytes {
            // The record was begun elsewhere, and that is not there. [R:frame-10]
            self.drop_unfinished();
            let damage = odd(Cause::Missing, Some((first, end.max(first.plus(1)))));
            if end == first {
                findings.of_thread(thread, damage);
                return;
            }
            self.hole(end, damage, findings);
            self.view.chain = frame.chain_after;
            return;
        }
        self.open_bytes = frame.bytes_after;
        self.view.push_frame(frame_ref);
    }

    /// The finished view.
    pub(crate) fn finish(mut self) -> ThreadView {
        self.drop_unfinished();
        self.fill_from_journal();
        self.view
    }

    fn hole(&mut self, end: Ordinal, damage: Damage, findings: &mut Findings) {
        self.view.holes.push(Hole {
            first: self.view.end,
            end,
            damage: damage.clone(),
        });
        self.view.end = end;
        findings.of_thread(self.view.thread, damage);
    }

    /// Lets go of frames at the end that hold only chunks of a record that was never completed: it
    /// was never acknowledged. [R:frame-14]
    fn drop_unfinished(&mut self) {
        self.open_bytes = 0;
        let only_chunks = |frame: &FrameRef| frame.unfinished && frame.end == frame.first;
        while self.view.frames.last().is_some_and(only_chunks) {
            self.view.frames.pop();
        }
    }

    /// While the journal still holds the ordinals of a lost segment, they are read from there.
    fn fill_from_journal(&mut self) {
        for hole in std::mem::take(&mut self.gone) {
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
            if reached == hole.end {
                self.view.holes.retain(|other| *other != hole);
                self.view.frames.extend(found);
            }
        }
        self.view
            .frames
            .sort_by_key(|frame| (frame.end, frame.first));
    }
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
