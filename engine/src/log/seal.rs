//! Owns the sealer as a step function: plan, (run elsewhere), publish, clean up.

use std::collections::BTreeMap;
use std::sync::Arc;

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::segment::Class;
use turnleaf_format::{Generation, Ordinal, ThreadNumber};

use super::{AppendError, Log, Ticket};
use crate::error::{Cause, Damage, DiskFailure, ReadError, failed};
use crate::layout::{TEMPORARY, segment_path};
use crate::read::Reader;
use crate::reserve;
use crate::seal::{Part, RunWriter, SealPlan, SealedSegment};
use crate::view::{RunRef, SegmentFile};

/// Catalogue segments below this size are written anew together with what follows them.
const CATALOGUE_MERGE_BYTES: u64 = 4 << 20;

/// How much a sealing step takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealGoal {
    /// What is due: threads with enough in the journal, and the oldest file when the journal is at
    /// its budget.
    Due,
    /// Everything that the journal holds.
    Everything,
}

impl Log {
    /// Plans the next segment, if one is to be written. Only one plan is under way at a time.
    pub fn plan_seal(&mut self, goal: SealGoal) -> Option<SealPlan> {
        // A publication that waits for its commit is under way too: its runs must not be planned
        // again.
        let under_way = self.seal_in_flight || !self.facts.frames.is_empty() || self.in_flight;
        if under_way || (goal == SealGoal::Due && !self.sealing) {
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
        self.seal_due = parts.is_some();
        let parts = parts?;
        self.seal_in_flight = true;
        self.in_seal = parts.iter().map(Part::thread).collect();
        let class = match parts.as_slice() {
            [part] if part.reader.view.thread == ThreadNumber::CATALOGUE => Class::Catalogue,
            [part] if !self.is_small(part.reader.view.thread) => Class::Run,
            _ => Class::Pack,
        };
        Some(self.plan_of(class, parts))
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

    /// Takes back a plan whose run failed, or publishes what it wrote: the returned ticket settles
    /// with the next commit. A catalogue segment needs no commit.
    ///
    /// # Errors
    /// The failure of the run.
    pub fn finish_seal(
        &mut self,
        result: Result<SealedSegment, ReadError>,
    ) -> Result<Option<Ticket>, ReadError> {
        self.seal_in_flight = false;
        self.seal_failed = result.is_err();
        #[cfg(turnleaf_bugs)]
        if crate::bugs::FailedSealAwaited.planted() {
            self.seal_failed = false;
        }
        let sealed = result.inspect_err(|_| self.in_seal.clear())?;
        if sealed.sealed.class == Class::Catalogue {
            self.in_seal.clear();
            self.take_over_catalogue(&sealed);
            return Ok(None);
        }
        Ok(Some(self.stage_segment(&sealed, &[])))
    }

    /// Stages the publication of a segment, with further facts in the same batch.
    pub fn stage_segment(&mut self, done: &SealedSegment, more: &[CatalogueRecord]) -> Ticket {
        let sealed = &done.sealed;
        let mut facts = vec![done.published()];
        #[cfg(turnleaf_bugs)]
        for (old, _) in done
            .replaces
            .iter()
            .filter(|_| crate::bugs::ReplacedRemovedEarly.planted())
        {
            let _ = self.disk.remove(&segment_path(Class::Run, *old));
        }
        facts.extend(
            done.replaces
                .iter()
                .map(|(old, thread)| CatalogueRecord::Replaced {
                    old: *old,
                    thread: *thread,
                    new: sealed.segment,
                }),
        );
        facts.extend_from_slice(more);
        let ticket = self.stage_catalogue(&facts);
        self.unpublished.push((ticket.count, sealed.segment));
        ticket
    }

    /// Removes segments whose publication was not even written: the next try writes others, and
    /// these would only take up room.
    pub(super) fn drop_unpublished(&mut self) {
        for (_, segment) in std::mem::take(&mut self.unpublished) {
            let path = segment_path(Class::Run, segment);
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(%error, path, "an unpublished segment stays");
            }
        }
    }

    /// Removes files that nothing needs any more: replaced segments that no reader holds, journal
    /// files beyond the recycled ones that `keep_free` allows.
    ///
    /// # Errors
    /// When the disk refuses; the rest is tried at the next call.
    pub fn clean_up(&mut self, keep_free: usize) -> Result<(), DiskFailure> {
        self.journal.recycle();
        let mut gave_back = self.journal.trim(keep_free)?;
        let mut kept = Vec::new();
        let mut refused = Ok(());
        for file in std::mem::take(&mut self.doomed) {
            let held = Arc::strong_count(&file) > 1;
            #[cfg(turnleaf_bugs)]
            let held = held && !crate::bugs::RemovedUnderReader.planted();
            if held {
                kept.push(file);
                continue;
            }
            self.state.segments.forget(file.segment);
            let path = segment_path(file.class, file.segment);
            match self.disk.remove(&path) {
                Ok(()) => gave_back = true,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    refused = Err(failed("remove", &path)(error));
                    kept.push(file);
                }
            }
        }
        self.doomed = kept;
        if gave_back {
            self.hold_reserve();
        }
        refused
    }

    /// Holds the reserve again where some of it was spent and there is room.
    pub(super) fn hold_reserve(&self) {
        let bytes = self.options.reserve_bytes;
        #[cfg(turnleaf_bugs)]
        let bytes = crate::bugs::ReserveNotHeld.turns(bytes, |_| 0);
        if bytes == 0 || reserve::is_whole(&*self.disk, bytes) {
            return;
        }
        if let Err(failure) = reserve::hold(&*self.disk, bytes) {
            tracing::warn!(%failure, "nothing is held back for a full disk");
        }
    }

    /// Gives back the space of journal files that nothing needs: worth it after everything was
    /// sealed.
    ///
    /// # Errors
    /// When the disk refuses; nothing is lost.
    pub fn shrink_journal(&mut self) -> Result<(), DiskFailure> {
        if self.in_flight || self.has_staged() {
            return Ok(());
        }
        let point = self.catalogue_point();
        self.journal
            .restart(self.options.journal_first_bytes, point)?;
        self.clean_up(0)
    }

    /// Hands a thread to one import: appends to it are refused until the lease is returned. The
    /// thread must have no staged batch.
    ///
    /// # Errors
    /// [`AppendError::NoThread`], [`AppendError::Busy`], [`AppendError::Quarantined`].
    pub fn lease(&mut self, thread: ThreadNumber) -> Result<(), AppendError> {
        self.state.thread(thread).ok_or(AppendError::NoThread)?;
        if self.quarantined.contains(&thread) {
            return Err(AppendError::Quarantined);
        }
        // Two segments must not take over the same runs. [S:catalogue-8]
        let is_being_sealed = self.is_being_sealed(thread);
        #[cfg(turnleaf_bugs)]
        let is_being_sealed = is_being_sealed && !crate::bugs::LeasedWhileSealed.planted();
        let is_busy = is_being_sealed || self.staged_ends.contains_key(&thread);
        if is_busy || !self.leases.insert(thread) {
            return Err(AppendError::Busy);
        }
        Ok(())
    }

    /// Whether a segment with records of the thread is being written or published.
    #[must_use]
    pub fn is_being_sealed(&self, thread: ThreadNumber) -> bool {
        self.in_seal.contains(&thread)
    }

    /// Ends a lease.
    pub fn return_lease(&mut self, thread: ThreadNumber) {
        self.leases.remove(&thread);
    }

    /// Closes a thread to appends because a read met damage that costs it records. It stays
    /// readable. `[R:quarantine]`
    pub fn quarantine(&mut self, thread: ThreadNumber) {
        if !self.state.catalogue.is_deleted(thread) {
            self.quarantined.insert(thread);
        }
    }

    /// Begins a segment for a leased thread, drained of what the journal and packs hold of it.
    ///
    /// # Errors
    /// When the disk refuses or what is to be drained is damaged.
    ///
    /// # Panics
    /// If the thread is not leased.
    pub fn begin_run(&mut self, thread: ThreadNumber) -> Result<RunWriter, ReadError> {
        assert!(
            self.leases.contains(&thread),
            "a run is begun under a lease"
        );
        let reader = self
            .state
            .reader(thread)
            .expect("a leased thread has a view");
        let part = Part::of(reader);
        if let Some(at) = part.reader.view.next_given_up(part.end) {
            // What comes before it is sealed first; then the run begins behind it.
            return Err(behind_a_loss(thread, at).into());
        }
        let plan = self.plan_of(Class::Run, Vec::new());
        RunWriter::begin(&plan, part)
    }

    /// Removes the unfinished file of a run that was abandoned, if it is still there.
    pub fn abandon_run(&mut self, run: RunWriter) {
        let path = format!("{}{TEMPORARY}", segment_path(Class::Run, run.segment()));
        drop(run);
        if let Err(error) = self.disk.remove(&path) {
            tracing::debug!(%error, path, "an abandoned segment file stays until the next open");
        }
    }

    /// Whether sealing can free the oldest journal file. After a failure the next seal may fail as
    /// well; a closed thread keeps its files for as long as it is closed, and a reader for as long
    /// as it likes. Then the journal grows, because no append waits for any of them.
    pub(super) fn may_make_room(&self) -> bool {
        let oldest = self.journal.oldest_over_budget();
        let seals = || oldest.is_some_and(|oldest| self.oldest_parts(oldest).is_some());
        let can = !self.journal.oldest_is_held() && seals();
        self.seal_in_flight || (can && !self.seal_failed)
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
            && self.state.threads.get(&thread).is_some_and(whole)
    }

    /// Whether a thread is not worth a segment of its own yet: it is with enough bytes in journal
    /// and packs, and with a quarter of that before a boundary.
    pub(super) fn is_small(&self, thread: ThreadNumber) -> bool {
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
        if first.file.generation > oldest || !view.holes.is_empty() {
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

    fn take_over_catalogue(&mut self, done: &SealedSegment) {
        let sealed = &done.sealed;
        let file = Arc::new(SegmentFile {
            segment: sealed.segment,
            class: sealed.class,
            published: None,
        });
        for run in &sealed.runs {
            let view = self.view_mut(ThreadNumber::CATALOGUE);
            let covered: BTreeMap<_, _> = view
                .runs
                .iter()
                .filter(|old| old.first >= run.first_ordinal && old.end <= run.ordinal_end)
                .map(|old| (old.file.segment, Arc::clone(&old.file)))
                .collect();
            self.take_over(ThreadNumber::CATALOGUE, RunRef::of(&file, run));
            self.doomed.extend(covered.into_values());
        }
    }
}

fn behind_a_loss(thread: ThreadNumber, at: Ordinal) -> Damage {
    Damage {
        file: crate::layout::JOURNAL.to_owned(),
        offset: 0,
        length: 0,
        thread: Some(thread),
        ordinals: Some((at, at.plus(1))),
        cause: Cause::Missing,
    }
}
