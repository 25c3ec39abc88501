//! Owns what is sealed next: which threads, up to where, and how many of them in one segment.
//!
//! A closed stretch of a thread becomes a segment of its own, class run. What else has to leave the
//! journal goes into packs, and is provisional: it is absorbed when its stretch closes, and before
//! that by later packs, always the run that is less than twice what is being written, so that a
//! stretch has few runs however often it is sealed. A pack never spans a cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use turnleaf_format::frame::Position;
use turnleaf_format::segment::Class;
use turnleaf_format::{Generation, Ordinal, SegmentId, ThreadNumber};

use super::SealGoal;
use super::write::{Part, Planned, SealPlan};
use crate::log::Log;
use crate::read::RolloutReader;
use crate::stretch::{Sizes, Stretch, Stretches, weight_of};
use crate::view::{FrameRef, RunRef, ThreadView};

/// Catalogue segments below this size are written anew together with what follows them.
const CATALOGUE_MERGE_BYTES: u64 = 4 << 20;
/// Most threads in a pack: its publication is one entry of at most 1 MiB, with 48 bytes for each.
/// [S:record-4] [S:catalogue-4]
const PARTS_MAX: usize = 16_384;

/// Behind everything that a journal can hold.
const THE_END: Position = Position {
    generation: Generation(u64::MAX),
    offset: u64::MAX,
};

/// What goes into the next segments, mostly one.
type Next = Vec<(Class, Vec<Part>)>;

impl Log {
    /// Plans the next segment, if one is to be written. Only one plan is under way at a time.
    pub fn plan_seal(&mut self, goal: SealGoal) -> Option<SealPlan> {
        if self.remove_leftovers().is_err() {
            self.sealing.leftovers_stay();
        }
        // A publication that waits for its commit is under way too: its runs must not be planned
        // again.
        if self.is_stopped() || !self.sealing.may_plan(goal) {
            return None;
        }
        let next = match goal {
            SealGoal::Due => self.due(),
            SealGoal::Everything => self.everything(THE_END, THE_END),
            SealGoal::Before { records, facts } => self.everything(records, facts),
        };
        let Some(next) = next else {
            self.sealing.found_nothing(goal);
            return None;
        };
        let plan = self.plan_of(next);
        self.sealing.write(&plan.segments);
        Some(plan)
    }

    /// A plan for the first closed stretch of a thread that an import holds: it is sealed before
    /// the import goes on.
    pub fn plan_closed(&mut self, thread: ThreadNumber) -> Option<SealPlan> {
        assert!(self.leases.contains(&thread), "planned under a lease");
        let next = self.closed_of(thread)?;
        Some(self.plan_of(next))
    }

    /// Takes back a plan of [`Log::plan_closed`] that failed: its files are removed.
    pub fn abandon_plan(&mut self, plan: &SealPlan) {
        for planned in &plan.segments {
            self.remove_unfinished(planned.segment, planned.class);
        }
    }

    /// A plan for new segments that are published together.
    ///
    /// # Panics
    /// When a part begins behind records that no run holds, or ends within a frame: such a run
    /// would show a record twice or none. [S:thread-1]
    pub(crate) fn plan_of(&mut self, next: Next) -> SealPlan {
        let mut reached: BTreeMap<ThreadNumber, &Part> = BTreeMap::new();
        for part in next.iter().flat_map(|(_, parts)| parts) {
            let before = reached.insert(part.thread(), part).map(|part| part.end);
            let follows = part.follows_the_runs() || before == Some(part.from);
            assert!(follows, "a part begins behind what only the journal holds");
        }
        assert!(
            !reached.values().any(|part| part.divides_a_frame()),
            "a part ends within a frame"
        );
        let planned = next.into_iter().map(|(class, parts)| Planned {
            segment: self.state.catalogue.next_segment(),
            class,
            parts,
        });
        SealPlan {
            segments: planned.collect(),
            catalogue_readable_by: self.state.catalogue.readable_by(),
            disk: Arc::clone(&self.disk),
            store: self.state.store,
            now_ms: self.now_ms,
        }
    }

    /// Whether sealing can free the oldest journal file. After a failure the next seal may fail as
    /// well, and a closed thread keeps its files for as long as it is closed. Then the journal
    /// grows, because no append waits for either.
    pub(in crate::log) fn may_make_room(&self) -> bool {
        let oldest = self.journal.oldest_over_budget();
        let seals = || oldest.is_some_and(|oldest| self.oldest(oldest).is_some());
        // Appends do not wait for a seal that may never succeed. [R:full-1]
        self.sealing.is_busy() || (!self.sealing.rests() && seals())
    }

    /// The oldest journal file, when the journal is at its budget of files or of frames.
    pub(in crate::log) fn oldest_to_seal(&self) -> Option<Generation> {
        let frames =
            (self.backlog.frames > self.options.journal_frames_max).then(|| self.journal.oldest());
        self.journal.oldest_over_budget().or(frames)
    }

    /// Whether a thread is worth a segment now, wherever the journal stands: a stretch of it is
    /// closed, or it alone holds much of the journal, which every open reads.
    pub(in crate::log) fn is_ripe(&self, thread: ThreadNumber) -> bool {
        let Some(stretches) = self.backlog.stretches.get(&thread) else {
            return false;
        };
        !stretches.closed.is_empty() || self.open_bytes(thread) >= self.options.seal_bytes_min
    }

    /// What the journal holds of a thread's open stretch.
    fn open_bytes(&self, thread: ThreadNumber) -> u64 {
        let (Some(view), Some(stretches)) = (
            self.state.threads.get(&thread),
            self.backlog.stretches.get(&thread),
        ) else {
            return 0;
        };
        let open = stretches.open;
        let packed = view.provisional().iter();
        let packed = packed.filter(|run| run.first >= open.first).map(weight_of);
        open.bytes.saturating_sub(packed.sum())
    }

    fn due(&self) -> Option<Next> {
        let oldest = self.oldest_to_seal();
        oldest
            .and_then(|oldest| self.oldest(oldest))
            .or_else(|| self.closed(&|_| true))
            .or_else(|| {
                let large =
                    |thread: &ThreadNumber| self.open_bytes(*thread) >= self.options.seal_bytes_min;
                self.pack(&large, &|log, thread| log.tiered_part(thread))
            })
            .or_else(|| self.sparse())
    }

    /// What the oldest file still holds and can be sealed.
    fn oldest(&self, oldest: Generation) -> Option<Next> {
        let held = |thread: &ThreadNumber| {
            let view = self.state.threads.get(thread);
            let first = view.and_then(|view| view.frames.first());
            first.is_some_and(|frame| frame.file.generation <= oldest)
        };
        self.closed(&held)
            .or_else(|| self.pack(&held, &|log, thread| log.tiered_part(thread)))
            .or_else(|| self.catalogue_part(oldest).map(of_catalogue))
    }

    /// Every thread ends with its closed stretches in segments of their own and its open one in one
    /// run of a pack, whichever way it came.
    fn everything(&self, records: Position, facts: Position) -> Option<Next> {
        let begins = |thread: ThreadNumber, before: Position| {
            let view = self.state.threads.get(&thread);
            let first = view.and_then(|view| view.frames.first());
            first.is_some_and(|frame| frame.place() < before)
        };
        let held = |thread: &ThreadNumber| begins(*thread, records);
        self.closed(&held)
            .or_else(|| self.pack(&held, &|log, thread| log.open_part(thread)))
            .or_else(|| self.scattered())
            .or_else(|| self.sparse())
            // The catalogue last: what was sealed before it is in it.
            .or_else(|| {
                let newest = begins(ThreadNumber::CATALOGUE, facts).then_some(THE_END.generation);
                newest.and_then(|newest| self.catalogue_part(newest).map(of_catalogue))
            })
    }

    /// Threads of which the journal holds something that can be sealed, by number.
    fn sealable(&self, which: &dyn Fn(&ThreadNumber) -> bool) -> Vec<ThreadNumber> {
        let threads = self.backlog.stretches.keys().copied();
        let mut threads: Vec<_> = threads
            .filter(|thread| self.may_seal(*thread) && which(thread))
            .collect();
        threads.sort_unstable();
        threads
    }

    /// The first closed stretch.
    fn closed(&self, which: &dyn Fn(&ThreadNumber) -> bool) -> Option<Next> {
        let is_closed = |thread: &ThreadNumber| !self.backlog.stretches[thread].closed.is_empty();
        let threads = self.sealable(&|thread| is_closed(thread) && which(thread));
        let mut threads = threads.into_iter();
        threads.find_map(|thread| self.closed_of(thread))
    }

    /// The first closed stretch of a thread. Where it ends within a frame, what follows comes along
    /// up to the end of one: a frame is in the journal or in segments, never half. [S:thread-1]
    fn closed_of(&self, thread: ThreadNumber) -> Option<Next> {
        let stretches = self.backlog.stretches.get(&thread)?;
        let view = self.state.threads.get(&thread)?;
        let mut next = Vec::new();
        for stretch in &stretches.closed {
            next.push((Class::Run, vec![self.part_of(thread, *stretch)?]));
            let divides = view.divides_a_frame(stretch.end);
            if !divides {
                return Some(next);
            }
        }
        if !next.is_empty() {
            next.push((Class::Pack, vec![self.part_of(thread, stretches.open)?]));
        }
        (!next.is_empty()).then_some(next)
    }

    /// Open stretches in one pack, up to the size of a segment.
    fn pack(
        &self,
        which: &dyn Fn(&ThreadNumber) -> bool,
        part_of: &dyn Fn(&Log, ThreadNumber) -> Option<Part>,
    ) -> Option<Next> {
        self.pack_of(self.sealable(which), part_of)
    }

    fn pack_of(
        &self,
        threads: Vec<ThreadNumber>,
        part_of: &dyn Fn(&Log, ThreadNumber) -> Option<Part>,
    ) -> Option<Next> {
        let mut parts = Vec::new();
        let mut bytes = 0;
        for part in threads
            .into_iter()
            .filter_map(|thread| part_of(self, thread))
        {
            bytes += part.bytes;
            let is_full = bytes > self.options.segment_bytes_max || parts.len() == PARTS_MAX;
            if is_full && !parts.is_empty() {
                break;
            }
            parts.push(part);
        }
        (!parts.is_empty()).then(|| vec![(Class::Pack, parts)])
    }

    /// Open stretches that stand in several runs, without anything in the journal.
    fn scattered(&self) -> Option<Next> {
        // Where the journal holds more, it may have closed the stretch that the runs begin, and
        // that comes first: what is behind it may share a frame with it.
        let scattered =
            |view: &Arc<ThreadView>| view.provisional().len() > 1 && !has_records(&view.frames);
        let threads = self.state.threads.iter();
        let threads = threads.filter(|(thread, view)| self.may_move(**thread) && scattered(view));
        let mut threads: Vec<ThreadNumber> = threads.map(|(thread, _)| *thread).collect();
        threads.sort_unstable();
        self.pack_of(threads, &|log, thread| log.open_part(thread))
    }

    /// A thread's open stretch, whole.
    fn open_part(&self, thread: ThreadNumber) -> Option<Part> {
        let open = self.open_of(self.state.threads.get(&thread)?);
        let part = self.part_of(thread, open);
        part.filter(|part| part.from < part.end)
    }

    pub(super) fn part_of(&self, thread: ThreadNumber, stretch: Stretch) -> Option<Part> {
        let reader = self.state.rollout_reader(thread)?;
        let replaces = replaced(&reader.view, stretch.first, stretch.end);
        Some(Part {
            reader,
            from: stretch.first,
            end: stretch.end,
            bytes: stretch.bytes,
            replaces,
        })
    }

    /// What the journal holds of a thread's open stretch, and before it the runs that are less than
    /// twice as large as what is being written.
    fn tiered_part(&self, thread: ThreadNumber) -> Option<Part> {
        let reader = self.state.rollout_reader(thread)?;
        let open = self.open_of(&reader.view);
        let (mut from, mut bytes) = (reader.view.sealed().0, self.open_bytes(thread));
        let mut replaces = Vec::new();
        for run in reader.view.provisional().iter().rev() {
            if run.first < open.first || weight_of(run) >= 2 * bytes {
                break;
            }
            from = run.first;
            bytes += weight_of(run);
            replaces.push(run.file.segment);
        }
        Some(Part {
            reader,
            from,
            end: open.end,
            bytes,
            replaces,
        })
        .filter(|part| part.from < part.end)
    }

    pub(super) fn open_of(&self, view: &ThreadView) -> Stretch {
        match self.backlog.stretches.get(&view.thread) {
            Some(stretches) => stretches.open,
            None => Stretches::of(view, Sizes::of(&self.options)).open,
        }
    }

    /// Packs of which less than a half is still in use, as a new one: what is left of many packs
    /// must not keep them all.
    fn sparse(&self) -> Option<Next> {
        let mut parts: BTreeMap<ThreadNumber, Part> = BTreeMap::new();
        let mut bytes = 0;
        for (segment, fact) in self.state.catalogue.segments.sparse() {
            let moved = fact.live.threads().map(|thread| {
                let whole = self.may_move(thread);
                whole.then(|| self.moved_part(thread, segment)).flatten()
            });
            let Some(moved) = moved.collect::<Option<Vec<Part>>>() else {
                continue;
            };
            let more: u64 = moved.iter().map(|part| part.bytes).sum();
            // A segment has one run of a thread, and a run one chain.
            let joins = |part: &Part| {
                let broken = part.reader.view.chain_given_up(part.from).is_some();
                let before = parts.get(&part.thread());
                before.is_none_or(|at| at.end == part.from && !broken)
            };
            let fits = bytes + more <= self.options.segment_bytes_max
                && parts.len() + moved.len() <= PARTS_MAX;
            let fits = fits || parts.is_empty();
            if !fits || !moved.iter().all(joins) {
                continue;
            }
            bytes += more;
            for part in moved {
                match parts.get_mut(&part.thread()) {
                    Some(before) => before.join(part),
                    None => drop(parts.insert(part.thread(), part)),
                }
            }
        }
        (!parts.is_empty()).then(|| vec![(Class::Pack, parts.into_values().collect())])
    }

    fn moved_part(&self, thread: ThreadNumber, segment: SegmentId) -> Option<Part> {
        let reader = self.state.rollout_reader(thread)?;
        let run = reader
            .view
            .runs
            .iter()
            .find(|run| run.file.segment == segment)?;
        let whole = run.from == run.first && !reader.view.has_gap(run);
        let (from, end, bytes) = (run.first, run.end, weight_of(run));
        Some(Part {
            reader,
            from,
            end,
            bytes,
            replaces: vec![segment],
        })
        .filter(|_| whole)
    }

    /// Whether something can be sealed of what the journal holds of a thread: not when that is only
    /// the first frames of a record.
    fn may_seal(&self, thread: ThreadNumber) -> bool {
        let view = self.state.threads.get(&thread);
        view.is_some_and(|view| has_records(&view.frames)) && self.may_move(thread)
    }

    /// Whether a thread's runs may be moved: not while an import or a staged publication has it,
    /// and not when part of it is damaged.
    fn may_move(&self, thread: ThreadNumber) -> bool {
        let view = self.state.threads.get(&thread);
        thread != ThreadNumber::CATALOGUE
            && !self.leases.contains(&thread)
            && !self.closed.contains(thread)
            && !self.sealing.rests_thread(thread)
            && view.is_some_and(|view| view.holes.is_empty())
    }

    fn catalogue_part(&self, oldest: Generation) -> Option<Part> {
        let view = self.state.threads.get(&ThreadNumber::CATALOGUE)?;
        let first = view.frames.first()?;
        let rests = self.sealing.rests_thread(ThreadNumber::CATALOGUE);
        if first.file.generation > oldest || !view.holes.is_empty() || rests {
            return None;
        }
        let reader: RolloutReader = self.state.rollout_reader(ThreadNumber::CATALOGUE)?;
        let from = view.sealed().0;
        let end = view.next_given_up(from).unwrap_or(view.end).min(view.end);
        let mut part = Part {
            reader,
            from,
            end,
            bytes: 0,
            replaces: Vec::new(),
        };
        // A run has no hole: behind what was given up another one begins. One that could not be
        // read keeps nothing else from being sealed.
        let is_read = !self.sealing.has_failed(ThreadNumber::CATALOGUE);
        let joins = |run: &&RunRef| {
            let small = run.payload_bytes < CATALOGUE_MERGE_BYTES;
            is_read && small && run.end == part.from && !view.has_gap(run)
        };
        if let Some(run) = view.runs.last().filter(joins) {
            part.from = run.first;
        }
        (part.from < part.end).then_some(part)
    }
}

/// Whether frames complete a record.
fn has_records(frames: &[FrameRef]) -> bool {
    let (first, last) = (frames.first(), frames.last());
    first.is_some_and(|first| last.is_some_and(|last| first.first < last.end))
}

fn of_catalogue(part: Part) -> Next {
    vec![(Class::Catalogue, vec![part])]
}

/// Segments whose run a new one takes over that holds these ordinals.
fn replaced(view: &ThreadView, first: Ordinal, end: Ordinal) -> Vec<SegmentId> {
    let runs = view.provisional().iter();
    let within = runs.filter(|run| first <= run.first && run.end <= end);
    within.map(|run| run.file.segment).collect()
}
