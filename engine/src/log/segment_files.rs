//! Owns the segment files that the log knows: those in use, those that wait for their publication,
//! those that wait for their removal. It must not touch the disk.

use std::collections::HashMap;
use std::sync::Arc;

use turnleaf_format::SegmentId;

use crate::view::{SegmentFile, ThreadView};

/// Segment files by what becomes of them next.
///
/// INVARIANT: a segment is in one of the three at most.
#[derive(Debug, Default)]
pub(super) struct SegmentFiles {
    /// Shared with the views; a count of one means that no view needs it.
    in_use: HashMap<SegmentId, Arc<SegmentFile>>,
    /// Not needed any more. One that a view still shares waits.
    to_remove: Vec<Arc<SegmentFile>>,
    /// Written, with the place of the publication in the queue of facts.
    unpublished: Vec<(u64, SegmentId)>,
}

impl SegmentFiles {
    /// Those that the views of a store that is opened share.
    pub(super) fn of<'v>(views: impl Iterator<Item = &'v ThreadView>) -> SegmentFiles {
        let runs = views.flat_map(|view| &view.runs);
        let in_use = runs.map(|run| (run.file.segment, Arc::clone(&run.file)));
        SegmentFiles {
            in_use: in_use.collect(),
            ..SegmentFiles::default()
        }
    }

    /// How many files are known that stand, or may stand, under a name of their own.
    pub(super) fn len(&self) -> usize {
        self.in_use.len() + self.to_remove.len()
    }

    /// A segment was written, and its publication staged.
    pub(super) fn wait(&mut self, facts_upto: u64, segment: SegmentId) {
        self.unpublished.push((facts_upto, segment));
    }

    /// The facts up to this one are durable, publications among them included.
    pub(super) fn settled(&mut self, facts: u64) {
        self.unpublished.retain(|(upto, _)| *upto > facts);
    }

    /// Forgets what waits for its publication.
    pub(super) fn take_unpublished(&mut self) -> impl Iterator<Item = SegmentId> + use<> {
        let unpublished = std::mem::take(&mut self.unpublished);
        unpublished.into_iter().map(|(_, segment)| segment)
    }

    /// A segment was published.
    pub(super) fn publish(&mut self, file: Arc<SegmentFile>) {
        self.in_use.insert(file.segment, file);
    }

    /// Nothing of a published segment is in use any more.
    pub(super) fn queue_removal(&mut self, segment: SegmentId) {
        self.to_remove.extend(self.in_use.remove(&segment));
    }

    /// These files are not needed any more.
    pub(super) fn queue_removals(&mut self, files: impl IntoIterator<Item = Arc<SegmentFile>>) {
        self.to_remove.extend(files);
    }

    /// What is to be removed; what cannot be is queued again.
    pub(super) fn take_removals(&mut self) -> Vec<Arc<SegmentFile>> {
        std::mem::take(&mut self.to_remove)
    }
}
