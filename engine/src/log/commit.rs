//! Owns the commit of staged groups: placing them, moving the end, failing over, and what durable
//! catalogue records change.

use std::sync::Arc;

use turnleaf_format::catalogue::{CatalogueRecord, Run};
use turnleaf_format::record::Entries;
use turnleaf_format::segment::Class;
use turnleaf_format::{SegmentId, ThreadNumber};

use super::Log;
use super::staged::Failure;
use crate::error::DiskFailure;
use crate::journal::{self, CataloguePoint, NewFrame};
use crate::lock::Ownership;
use crate::stretch::Sizes;
use crate::view::{FrameRef, JournalFile, Published, RunRef, SegmentFile, ThreadView};

/// Where the protocol of commits stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitState {
    /// No group is being written; the next may be.
    Idle,
    /// A group is being written: the next is not begun before the sync of this one returned.
    /// [S:frame-7]
    InFlight,
    /// A caller panicked in the middle of a commit: nothing is written any more.
    Stopped,
}

/// One write and one sync that make a group of batches durable.
#[derive(Debug)]
pub struct Commit {
    group: journal::Commit,
    owned: Arc<Ownership>,
}

impl Commit {
    /// Writes and syncs, and makes sure that this still is the store; blocks for as long as the
    /// device takes.
    ///
    /// # Errors
    /// When the device refuses, or the store is owned no longer. Hand the result to
    /// [`Log::finish_commit`] in either case.
    pub fn run(&self) -> Result<(), DiskFailure> {
        durable(&self.group, &self.owned)
    }
}

/// What becomes of batches after a panic.
fn after_a_panic() -> DiskFailure {
    let source = std::io::Error::other("a commit before it panicked");
    crate::error::failed("commit to", crate::layout::JOURNAL)(source)
}

fn durable(group: &journal::Commit, owned: &Ownership) -> Result<(), DiskFailure> {
    group.run()?;
    owned.check()?;
    owned.check_file(&group.file.path, &*group.file.file)
}

/// What [`Log::begin_commit`] found.
#[derive(Debug)]
pub enum Begin {
    /// Nothing is staged, or a group is being written.
    Idle,
    /// The journal is at its budget: something must be sealed first.
    OverBudget,
    /// What was staged has failed: everybody who waits for an outcome is to be woken.
    Failed,
    /// Run this, then finish it.
    Commit(Commit),
}

impl Log {
    /// Takes the staged group, if there is one and no other is being written.
    pub fn begin_commit(&mut self) -> Begin {
        match self.commit {
            CommitState::InFlight => return Begin::Idle,
            _ if self.staging.is_empty() => return Begin::Idle,
            CommitState::Stopped => {
                self.fail_staged(after_a_panic());
                return Begin::Failed;
            }
            CommitState::Idle => {}
        }
        // A new journal file must not be begun in a directory that took this one's place.
        if let Err(failure) = self.owned.check() {
            self.fail_staged(failure);
            return Begin::Failed;
        }
        self.journal.recycle();
        let staging = &self.staging;
        let waits =
            staging.facts.frames.is_empty() && self.journal.over_budget(&staging.batches.frames);
        if waits && self.sealing.has_died() {
            self.refuse_batches();
            return Begin::Failed;
        }
        if self.sealing.has_budget() && waits && self.may_make_room() {
            return Begin::OverBudget;
        }
        let point = self.catalogue_point();
        let (was_full, before) = (self.journal.is_reserved(), self.journal.newest());
        let placed = self.journal.place(
            &mut self.staging.facts.frames,
            &mut self.staging.batches.frames,
            point,
            self.staging.may_use_reserve,
        );
        // Whole again, or what is left of it.
        if (was_full || self.journal.is_reserved()) && before != self.journal.newest() {
            self.hold_reserve();
        }
        match placed {
            Ok(group) => {
                self.commit = CommitState::InFlight;
                let owned = Arc::clone(&self.owned);
                Begin::Commit(Commit { group, owned })
            }
            Err(failure) => {
                self.drop_unpublished();
                self.fail_staged(failure);
                Begin::Failed
            }
        }
    }

    /// Says that a caller panicked in the middle of a commit: what is staged or in flight has
    /// failed, and nothing is written any more until the store is opened anew. What was
    /// acknowledged before is still read.
    pub fn stop(&mut self) {
        self.commit = CommitState::Stopped;
        self.journal.retire();
        self.fail_staged(after_a_panic());
    }

    /// Whether [`Log::stop`] was said.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.commit == CommitState::Stopped
    }

    /// Moves the end past a group that became durable. After a failure the active file is retired
    /// for ever and the group is written to a fresh one; when that fails too, it and everything
    /// staged behind it has failed, and nothing of it will ever be seen. A group that was in flight
    /// when the log was stopped stays failed, whatever became of it.
    pub fn finish_commit(&mut self, commit: Commit, result: Result<(), DiskFailure>) {
        if self.is_stopped() {
            // Its frames have failed with the others. Counted once more, they would stand for
            // frames that are staged later, which would be called durable.
            return;
        }
        self.commit = CommitState::Idle;
        let point = self.catalogue_point();
        let durable = match result {
            Ok(()) => Ok(commit.group),
            Err(failure) if self.owned.is_lost() => Err(failure),
            Err(failure) => {
                tracing::warn!(%failure, "a journal file is retired");
                let mut frames = commit.group.frames.iter();
                let facts = frames.any(|placed| placed.frame.thread == ThreadNumber::CATALOGUE);
                let may_use_reserve = self.staging.may_use_reserve && facts;
                let again = self.journal.fail_over(commit.group, point, may_use_reserve);
                again.and_then(|again| {
                    // The fresh file is no better than the one before once it failed, too.
                    durable(&again, &self.owned).inspect_err(|_| self.journal.retire())?;
                    Ok(again)
                })
            }
        };
        match durable {
            Ok(commit) => self.settle(&commit),
            Err(failure) => self.fail_staged(failure),
        }
    }

    /// Commits what is staged, on the caller's thread, until nothing is or the journal is at its
    /// budget. [`Log::outcome`] tells what became of each batch.
    pub fn commit_all(&mut self) {
        loop {
            match self.begin_commit() {
                Begin::Commit(commit) => {
                    let result = commit.run();
                    self.finish_commit(commit, result);
                }
                Begin::OverBudget | Begin::Idle | Begin::Failed => return,
            }
        }
    }

    /// Writes a marker, so that a later open knows that everything before was durable: at a clean
    /// close, and after an idle second. Where nothing was written since the last one, it is enough.
    ///
    /// # Errors
    /// When the device refuses; nothing is lost.
    pub fn mark(&mut self) -> Result<(), DiskFailure> {
        if self.commit != CommitState::Idle || self.has_staged() || self.owned.is_lost() {
            return Ok(());
        }
        if !self.journal.has_news() {
            return Ok(());
        }
        if let Some(marker) = self.journal.marker() {
            marker.run().inspect_err(|_| self.journal.retire())?;
            self.journal.committed(&marker);
        }
        Ok(())
    }

    pub(super) fn catalogue_point(&self) -> CataloguePoint {
        let view = self.state.threads.get(&ThreadNumber::CATALOGUE);
        let (sealed_end, chain) = view.map(|view| view.sealed()).unwrap_or_default();
        CataloguePoint {
            readable_by: self.state.catalogue.readable_by(),
            sealed_end,
            chain,
        }
    }

    fn settle(&mut self, commit: &journal::Commit) {
        self.journal.committed(commit);
        for placed in &commit.frames {
            let is_late = self.state.catalogue.is_deleted(placed.frame.thread);
            if is_late {
                // Staged before its thread was deleted, and placed behind that.
                let bytes = placed.frame.stride();
                self.journal.released(commit.file.generation, bytes);
            } else {
                self.push_frame(&commit.file, &placed.frame, placed.offset);
            }
            if placed.frame.thread == ThreadNumber::CATALOGUE {
                self.staging.facts.settled += 1;
                self.apply_facts(&placed.frame);
            } else {
                self.staging.batches.settled += 1;
            }
        }
        let settled = self.staging.facts.settled;
        self.segment_files.settled(settled);
        self.sealing.settled(settled);
        self.staging.forget_settled(commit);
        let bytes_max = self.options.tail_cache_bytes;
        self.tail.shrink(bytes_max, &mut self.state.threads);
    }

    /// Fails the group in flight and everything staged behind it: their ordinals are free again.
    fn fail_staged(&mut self, failure: DiskFailure) {
        tracing::warn!(%failure, "staged batches failed");
        self.staging.fail(&Failure::Disk(Arc::new(failure)));
        // A publication that was written may be read by the next owner, so its segment stays.
        drop(self.segment_files.take_unpublished());
        self.sealing.publication_failed();
        self.forget_failed();
    }

    /// Fails the batches that wait for room that nobody makes any more. Facts are written.
    fn refuse_batches(&mut self) {
        self.staging.batches.fail(&Failure::Refused);
        self.forget_failed();
    }

    fn push_frame(&mut self, file: &Arc<JournalFile>, frame: &NewFrame, offset: u64) {
        self.changed
            .note_rollout(&self.state.catalogue, frame.thread);
        let view = self.view_mut(frame.thread);
        view.push_frame(FrameRef {
            file: Arc::clone(file),
            offset,
            body_len: u32::try_from(frame.body.len()).expect("a body is at most 24 MiB"),
            body_crc: frame.body_crc,
            entry_count: frame.entry_count,
            first: frame.first,
            end: frame.end,
            chain_before: frame.chain_before,
            chain_after: frame.chain_after,
            unfinished: frame.unfinished,
            lengths: frame.lengths.clone(),
            body: Some(Arc::clone(&frame.body)),
        });
        let view = &self.state.threads[&frame.thread];
        self.backlog.push(frame, view, Sizes::of(&self.options));
        let due = self.is_ripe(frame.thread) || self.oldest_to_seal().is_some();
        self.sealing.due_if(due);
        let place = (file.generation, offset);
        self.tail.push(frame.thread, place, frame.body.len());
    }

    pub(super) fn view_mut(&mut self, thread: ThreadNumber) -> &mut ThreadView {
        let view = self.state.threads.entry(thread);
        Arc::make_mut(view.or_insert_with(|| Arc::new(ThreadView::new(thread))))
    }

    /// Lets go of the frames of a record that was not completed and never will be.
    pub(super) fn drop_unfinished(&mut self, thread: ThreadNumber) {
        let Some(view) = self.state.threads.get_mut(&thread) else {
            return;
        };
        if !view.frames.last().is_some_and(|frame| frame.unfinished) {
            return;
        }
        let void = Arc::make_mut(view).drop_unfinished();
        if view.frames.is_empty() {
            self.backlog.forget_thread(thread);
        }
        self.release(&void);
    }

    /// Notes that the journal need not keep frames any more.
    fn release(&mut self, frames: &[FrameRef]) {
        self.backlog.frames -= frames.len();
        for frame in frames {
            self.journal.released(frame.file.generation, frame.stride());
        }
    }

    /// Lets durable catalogue records take effect.
    fn apply_facts(&mut self, frame: &NewFrame) {
        for entry in Entries::new(&frame.body, frame.entry_count) {
            let entry = entry.expect("a frame that was just encoded decodes");
            let fact = CatalogueRecord::decode(entry.kind, entry.bytes)
                .expect("a catalogue record that was just encoded decodes");
            let held = match &fact {
                CatalogueRecord::Deleted { thread, .. } => {
                    let catalogue = &self.state.catalogue;
                    let rollouts = catalogue.rollouts_of(*thread);
                    let held = rollouts.flat_map(|of| catalogue.segments.of_thread(of));
                    held.collect()
                }
                _ => Vec::new(),
            };
            let agrees = self.state.catalogue.apply(&fact);
            assert!(
                agrees,
                "the owner stages only facts that agree with the catalogue"
            );
            self.changed.note_fact(&self.state.catalogue, &fact);
            match &fact {
                CatalogueRecord::ThreadCreated { thread, .. }
                | CatalogueRecord::ThreadCreatedAgain { thread, .. } => {
                    self.view_mut(*thread);
                }
                CatalogueRecord::RolloutCreated { rollout, .. } => {
                    self.view_mut(*rollout);
                }
                CatalogueRecord::SegmentPublished {
                    segment,
                    class,
                    file_bytes,
                    runs,
                    ..
                } => {
                    self.publish(*segment, *class, *file_bytes, runs);
                }
                CatalogueRecord::Replaced { old, .. } => self.queue_removal_if_unused(*old),
                CatalogueRecord::Deleted { thread, .. } => self.forget_thread(*thread, &held),
                _ => {}
            }
        }
    }

    fn publish(&mut self, segment: SegmentId, class: Class, file_bytes: u64, runs: &[Run]) {
        let published = Some(Published {
            file_bytes,
            runs: runs.to_vec(),
        });
        let file = Arc::new(SegmentFile {
            segment,
            class,
            published,
        });
        self.segment_files.publish(Arc::clone(&file));
        for run in runs {
            // A thread may have been deleted while its segment was being written.
            if !self.state.catalogue.is_deleted(run.thread) {
                self.take_over(run.thread, RunRef::of(&file, run));
            }
        }
        self.queue_removal_if_unused(segment);
    }

    /// Lets a run of a segment take over; the journal learns which frames it no longer needs.
    pub(super) fn take_over(&mut self, thread: ThreadNumber, run: RunRef) {
        let (class, end) = (run.file.class, run.end);
        let before = self.view_mut(thread).end;
        let released = self.view_mut(thread).take_over(run);
        let view = &self.state.threads[&thread];
        if view.end != before {
            self.changed.note_rollout(&self.state.catalogue, thread);
        }
        let sizes = Sizes::of(&self.options);
        self.backlog.sealed(view, class, end, sizes);
        self.release(&released);
    }

    pub(super) fn queue_removal_if_unused(&mut self, segment: SegmentId) {
        if self.state.catalogue.segments.is_retired(segment) {
            self.segment_files.queue_removal(segment);
        }
    }
}
