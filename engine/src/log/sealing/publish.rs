//! Owns what a finished segment becomes: its publication, and what goes with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use turnleaf_format::ThreadNumber;
use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::segment::Class;

use crate::log::{Log, Ticket};
use crate::seal::{SealError, SealedSegment};
use crate::view::{RunRef, SegmentFile};

impl Log {
    /// Takes back a plan whose run failed, or publishes what it wrote: the returned ticket settles
    /// with the next commit. A catalogue segment needs no commit.
    ///
    /// # Errors
    /// The failure of the run.
    pub fn finish_seal(
        &mut self,
        result: Result<SealedSegment, SealError>,
    ) -> Result<Option<Ticket>, SealError> {
        let sealed = result.inspect_err(|failure| self.seal_failed(failure))?;
        let threads = sealed.runs().iter().map(|run| run.thread).collect();
        if sealed.sealed.class == Class::Catalogue {
            self.sealing.publish(threads, None);
            self.take_over_catalogue(&sealed);
            return Ok(None);
        }
        let ticket = self.stage_segment(&sealed, &[]);
        self.sealing.publish(threads, Some(ticket.count));
        Ok(Some(ticket))
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
            let path = crate::layout::segment_path(Class::Run, *old);
            let _ = self.disk.remove(&path);
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
    pub(in crate::log) fn drop_unpublished(&mut self) {
        for (_, segment) in std::mem::take(&mut self.unpublished) {
            self.remove_unfinished(segment, Class::Run);
        }
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
