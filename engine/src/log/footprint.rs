//! Owns the sizes of what an open log holds: in memory, and in open files. All of them are bounded
//! by the options, by what readers hold, or by what exists (threads, segments), never by what was
//! appended.

use std::sync::Arc;

use super::Log;

/// What an open log holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Journal files that are open, free ones included.
    pub journal_files: usize,
    /// Their bytes.
    pub journal_bytes: u64,
    /// Frames in the journal that no segment holds yet.
    pub frames: usize,
    /// Bytes of frame bodies in memory, as they are counted.
    pub tail_bytes: usize,
    /// Bytes of frame bodies in memory, as they are.
    pub body_bytes: usize,
    /// Threads of which something is staged.
    pub staged_threads: usize,
    /// Runs of segments that threads are read from.
    pub runs: usize,
    /// Segments that are known, replaced ones whose files are to be removed included.
    pub segments: usize,
    /// Ranges of ids of segments that are in use no more.
    pub retired: usize,
    /// Ranges of batches that failed.
    pub failures: usize,
    /// Segment files that are open.
    pub segment_files: usize,
    /// Inflated blocks in memory, bytes.
    pub block_bytes: usize,
}

impl Log {
    /// What the log holds now; takes time in proportion to that.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        let views = || self.state.threads.values();
        let frames = || views().flat_map(|view| &view.frames);
        let bodies = frames().filter_map(|frame| frame.body.as_ref());
        let (segment_files, block_bytes) = self.state.segments.held();
        Footprint {
            journal_files: self.journal.open_files(),
            journal_bytes: self.journal.bytes(),
            frames: frames().count(),
            tail_bytes: self.tail.bytes(),
            body_bytes: bodies.map(|body: &Arc<Vec<u8>>| body.len()).sum(),
            staged_threads: self.staging.threads.len(),
            runs: views().map(|view| view.runs.len()).sum(),
            segments: self.segment_files.len(),
            retired: self.state.catalogue.segments.retired_ranges(),
            failures: self.staging.facts.failures.len() + self.staging.batches.failures.len(),
            segment_files,
            block_bytes,
        }
    }
}
