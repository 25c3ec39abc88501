//! Owns what a finished segment becomes: its publication, and what goes with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use turnleaf_format::ThreadNumber;
use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::segment::Class;

use super::write::{SealError, SealedSegments};
use crate::log::{Log, Ticket};
use crate::segment::Sealed;
use crate::view::{RunRef, SegmentFile};

impl Log {
    /// Takes back a plan whose run failed, or publishes what it wrote: the returned ticket settles
    /// with the next commit. A catalogue segment needs no commit.
    ///
    /// # Errors
    /// The failure of the run. Damage in it is for the list of damage ([`crate::remember`]), which
    /// is written without the log.
    pub fn finish_seal(
        &mut self,
        result: Result<SealedSegments, SealError>,
    ) -> Result<Option<Ticket>, SealError> {
        let sealed = result.inspect_err(|failure| self.seal_failed(failure))?;
        let threads = sealed.threads().collect();
        if let [of_catalogue] = sealed.segments.as_slice()
            && of_catalogue.class == Class::Catalogue
        {
            self.sealing.publish(threads, None);
            self.take_over_catalogue(of_catalogue);
            return Ok(None);
        }
        let ticket = self.stage_segment(&sealed, &[]);
        self.sealing.publish(threads, Some(ticket.count));
        Ok(Some(ticket))
    }

    /// Stages the publication of segments, with further facts in the same batch.
    pub fn stage_segment(&mut self, done: &SealedSegments, more: &[CatalogueRecord]) -> Ticket {
        let mut facts: Vec<_> = done.published().collect();
        let replaced = done.replaces.iter().copied();
        facts.extend(
            replaced.map(|(old, thread, new)| CatalogueRecord::Replaced { old, thread, new }),
        );
        facts.extend_from_slice(more);
        let ticket = self.stage_catalogue(&facts);
        for sealed in &done.segments {
            self.segment_files.wait(ticket.count, sealed.segment);
        }
        ticket
    }

    /// Removes segments whose publication was not even written: the next try writes others, and
    /// these would only take up room.
    pub(in crate::log) fn drop_unpublished(&mut self) {
        for segment in self.segment_files.take_unpublished() {
            self.remove_unfinished(segment, Class::Run);
        }
    }

    fn take_over_catalogue(&mut self, sealed: &Sealed) {
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
            self.segment_files.queue_removals(covered.into_values());
        }
    }
}
