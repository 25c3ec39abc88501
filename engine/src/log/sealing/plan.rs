//! Owns what is sealed next: which threads, up to where, and how many of them in one segment.

use std::sync::Arc;

use turnleaf_format::segment::Class;
use turnleaf_format::{Generation, ThreadNumber};

use super::SealGoal;
use crate::log::Log;
use crate::read::Reader;
use crate::seal::{Part, SealPlan};
use crate::view::RunRef;

/// Catalogue segments below this size are written anew together with what follows them.
const CATALOGUE_MERGE_BYTES: u64 = 4 << 20;

impl Log {
    /// Plans the next segment, if one is to be written. Only one plan is under way at a time.
    pub fn plan_seal(&mut self, goal: SealGoal) -> Option<SealPlan> {
        if self.remove_leftovers().is_err() {
            self.sealing.leftovers_stay();
        }
        // A publication that waits for its commit is under way too: its runs must not be planned
        // again.
        if self.stopped || !self.sealing.may_plan(goal) {
            return None;
        }
        let parts = match goal {
            SealGoal::Due => self.due_parts(),
            SealGoal::Everything => self.pack_parts(None).or_else(|| {
                // The catalogue last: what was sealed before it is in it.
                let any = Generation(u64::MAX);
                self.catalogue_part(any).map(|part| vec![part])
            }),
        };
        let Some(parts) = parts else {
            self.sealing.found_nothing(goal);
            return None;
        };
        let threads: Vec<ThreadNumber> = parts.iter().map(Part::thread).collect();
        let class = match parts.as_slice() {
            [part] if part.reader.view.thread == ThreadNumber::CATALOGUE => Class::Catalogue,
            [part] if !self.is_small(part.reader.view.thread) => Class::Run,
            _ => Class::Pack,
        };
        let plan = self.plan_of(class, parts);
        self.sealing.write(plan.segment, class, &threads);
        Some(plan)
    }

    /// A plan for a new segment.
    pub(crate) fn plan_of(&mut self, class: Class, parts: Vec<Part>) -> SealPlan {
        SealPlan {
            disk: Arc::clone(&self.disk),
            store: self.state.store,
            segment: self.state.catalogue.next_segment(),
            class,
            parts,
            now_ms: self.now_ms,
        }
    }

    /// Whether sealing can free the oldest journal file. After a failure the next seal may fail as
    /// well; a closed thread keeps its files for as long as it is closed, and a reader for as long
    /// as it likes. Then the journal grows, because no append waits for any of them.
    pub(in crate::log) fn may_make_room(&self) -> bool {
        let oldest = self.journal.oldest_over_budget();
        let seals = || oldest.is_some_and(|oldest| self.oldest_parts(oldest).is_some());
        let can = !self.journal.oldest_is_held() && seals();
        // Appends do not wait for a seal that may never succeed. [R:full-1]
        self.sealing.is_busy() || (can && !self.sealing.rests())
    }

    /// What the oldest file still holds and can be sealed.
    fn oldest_parts(&self, oldest: Generation) -> Option<Vec<Part>> {
        self.pack_parts(Some(oldest))
            .or_else(|| self.catalogue_part(oldest).map(|part| vec![part]))
    }

    fn due_parts(&self) -> Option<Vec<Part>> {
        if let Some(oldest) = self.journal.oldest_over_budget() {
            let parts = self.oldest_parts(oldest);
            if parts.is_some() {
                return parts;
            }
        }
        let large = self
            .unsealed
            .keys()
            .filter(|thread| self.may_seal(**thread));
        let ready = large.filter(|thread| !self.is_small(**thread)).min()?;
        self.state
            .reader(*ready)
            .map(|reader| vec![Part::of(reader)])
    }

    /// Parts for a pack: threads with frames in `oldest` (or any), up to the size of a segment. A
    /// thread that is worth its own segment comes alone.
    fn pack_parts(&self, oldest: Option<Generation>) -> Option<Vec<Part>> {
        let held = |thread: &ThreadNumber| {
            let first = self
                .state
                .threads
                .get(thread)
                .and_then(|view| view.frames.first());
            first.is_some_and(|frame| oldest.is_none_or(|at| frame.file.generation <= at))
        };
        let mut threads: Vec<ThreadNumber> = self.unsealed.keys().copied().collect();
        threads.retain(|thread| self.may_seal(*thread) && held(thread));
        threads.sort_unstable();
        if let Some(large) = threads.iter().find(|thread| !self.is_small(**thread)) {
            return self
                .state
                .reader(*large)
                .map(|reader| vec![Part::of(reader)]);
        }
        let mut parts = Vec::new();
        let mut bytes = 0;
        for thread in threads {
            bytes += self
                .unsealed
                .get(&thread)
                .map_or(0, |unsealed| unsealed.bytes);
            if bytes > self.options.segment_bytes_max && !parts.is_empty() {
                break;
            }
            parts.extend(self.state.reader(thread).map(Part::of_journal));
        }
        (!parts.is_empty()).then_some(parts)
    }

    /// Whether a thread's runs may be moved: not while an import or a staged publication has it,
    /// not when part of it is damaged, and not when the journal has nothing of it but the first
    /// frames of a record.
    fn may_seal(&self, thread: ThreadNumber) -> bool {
        let whole = |view: &Arc<crate::view::ThreadView>| {
            let record = view.frames.first().is_some_and(|at| at.first < view.end);
            record && view.holes.is_empty()
        };
        thread != ThreadNumber::CATALOGUE
            && !self.leases.contains(&thread)
            && !self.quarantined.contains(&thread)
            && !self.sealing.rests_thread(thread)
            && self.state.threads.get(&thread).is_some_and(whole)
    }

    /// Whether a thread is not worth a segment of its own yet: it is with enough bytes in journal
    /// and packs, and with a quarter of that before a boundary.
    pub(in crate::log) fn is_small(&self, thread: ThreadNumber) -> bool {
        let packed = self
            .state
            .threads
            .get(&thread)
            .map_or(0, |view| view.pack_bytes());
        let journal = self.unsealed.get(&thread).copied().unwrap_or_default();
        journal.bytes + packed < self.options.seal_bytes_min
            && journal.before_boundary < self.options.seal_bytes_min / 4
    }

    fn catalogue_part(&self, oldest: Generation) -> Option<Part> {
        let view = self.state.threads.get(&ThreadNumber::CATALOGUE)?;
        let first = view.frames.first()?;
        let rests = self.sealing.rests_thread(ThreadNumber::CATALOGUE);
        if first.file.generation > oldest || !view.holes.is_empty() || rests {
            return None;
        }
        let reader: Reader = self.state.reader(ThreadNumber::CATALOGUE)?;
        let mut part = Part::of_journal(reader);
        // A run has no hole: behind what was given up another one begins.
        let joins = |run: &&RunRef| {
            let small = run.payload_bytes < CATALOGUE_MERGE_BYTES;
            small && run.end == part.from && !view.has_gap(run)
        };
        if let Some(run) = view.runs.last().filter(joins) {
            part.from = run.first;
        }
        (part.from < part.end).then_some(part)
    }
}
