//! Owns the making of segments from what a thread holds: what to seal next, and the writing of a
//! run. It must not know who decides when.

use std::ops::ControlFlow;
use std::sync::Arc;

use turnleaf_format::catalogue::{CatalogueRecord, Run};
use turnleaf_format::record::Entry;
use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, SegmentId, StoreId, ThreadNumber};

use crate::disk::Disk;
use crate::error::{DiskFailure, ReadError};
use crate::read::Reader;
use crate::segment::{Sealed, SegmentWriter};

/// Makes the notes of a run from its records; a pure function of them.
pub type Notes<'a> = &'a dyn Fn(&Reader, Ordinal, Ordinal) -> Vec<u8>;

/// A segment to be written: it needs nothing of the log while it is.
#[derive(Debug)]
pub struct SealPlan {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) store: StoreId,
    pub(crate) segment: SegmentId,
    pub(crate) class: Class,
    pub(crate) parts: Vec<Part>,
    pub(crate) now_ms: i64,
}

/// What one thread gives to a segment.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) reader: Reader,
    pub(crate) from: Ordinal,
    pub(crate) end: Ordinal,
    /// Segments whose run of the thread the new one takes over.
    pub(crate) replaces: Vec<SegmentId>,
}

impl Part {
    /// Everything of a thread that no own segment holds: its runs in packs and its journal frames.
    pub(crate) fn of(reader: Reader) -> Part {
        let view = Arc::clone(&reader.view);
        let mut part = Part::of_journal(reader);
        for run in view.trailing_packs() {
            // A run has no hole: behind what was given up another one begins.
            let whole = run.end == part.from
                && view
                    .next_given_up(run.first)
                    .is_none_or(|at| at >= part.from);
            if !whole {
                break;
            }
            part.from = run.first;
            part.replaces.push(run.file.segment);
        }
        part
    }

    /// Only what the journal holds, up to what was given up; runs in packs stay where they are.
    pub(crate) fn of_journal(reader: Reader) -> Part {
        let view = &reader.view;
        let from = view.sealed().0;
        let end = view.next_given_up(from).unwrap_or(view.end).min(view.end);
        Part {
            reader,
            from,
            end,
            replaces: Vec::new(),
        }
    }

    pub(crate) fn thread(&self) -> ThreadNumber {
        self.reader.view.thread
    }

    /// Copies the part's entries into the open segment, as a run.
    fn write(&self, writer: &mut SegmentWriter) -> Result<(), SealError> {
        let thread = Some(self.thread());
        let unread = |error| SealError { thread, error };
        let chain = self.reader.chain_before(self.from).map_err(unread)?;
        writer.begin_run(self.thread(), self.from, chain);
        let mut wrote = Ok(());
        let read = self.reader.entries(self.from, self.end, &mut |_, entry| {
            wrote = writer.push(entry);
            if wrote.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        read.map_err(unread)?;
        Ok(wrote?)
    }
}

/// A segment could not be written. Nothing has changed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct SealError {
    /// The thread whose records could not be read; `None` when the segment could not be written,
    /// or reads otherwise than it was written.
    pub thread: Option<ThreadNumber>,
    /// Why.
    #[source]
    pub error: ReadError,
}

impl From<ReadError> for SealError {
    fn from(error: ReadError) -> SealError {
        SealError {
            thread: None,
            error,
        }
    }
}

impl From<DiskFailure> for SealError {
    fn from(failure: DiskFailure) -> SealError {
        ReadError::Disk(failure).into()
    }
}

/// A segment that was written and may be published.
#[derive(Debug)]
pub struct SealedSegment {
    pub(crate) sealed: Sealed,
    pub(crate) replaces: Vec<(SegmentId, ThreadNumber)>,
}

impl SealPlan {
    /// Writes the segment: every byte is durable and was read back when this returns.
    ///
    /// # Errors
    /// When the disk refuses or a record to be sealed is damaged; then nothing has changed.
    pub fn run(&self, notes: Notes<'_>) -> Result<SealedSegment, SealError> {
        let mut writer = SegmentWriter::create(
            &self.disk,
            self.store,
            self.segment,
            self.class,
            self.now_ms,
        )?;
        let mut replaces = Vec::new();
        for part in &self.parts {
            part.write(&mut writer)?;
            writer.end_run(&notes(&part.reader, part.from, part.end))?;
            let old = part
                .replaces
                .iter()
                .map(|segment| (*segment, part.thread()));
            replaces.extend(old);
        }
        Ok(SealedSegment {
            sealed: writer.finish()?,
            replaces,
        })
    }
}

/// Writes records of one thread straight into a segment, after what the journal still holds of it:
/// the way of a large import. The thread takes no other append meanwhile.
pub struct RunWriter {
    thread: ThreadNumber,
    segment: SegmentId,
    writer: SegmentWriter,
    part: Part,
    next: Ordinal,
}

impl RunWriter {
    pub(crate) fn begin(plan: &SealPlan, part: Part) -> Result<RunWriter, SealError> {
        let mut writer = SegmentWriter::create(
            &plan.disk,
            plan.store,
            plan.segment,
            plan.class,
            plan.now_ms,
        )?;
        part.write(&mut writer)?;
        let (thread, next) = (part.thread(), part.end);
        Ok(RunWriter {
            thread,
            segment: plan.segment,
            writer,
            next,
            part,
        })
    }

    /// Adds the next entry.
    ///
    /// # Errors
    /// When the disk refuses; the run is then abandoned by dropping it.
    pub fn push(&mut self, entry: &Entry<'_>) -> Result<(), ReadError> {
        self.writer.push(entry)?;
        self.next = self.next.plus(u64::from(entry.completes()));
        Ok(())
    }

    /// Raw bytes in the segment so far, what was taken over from the journal included.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        self.writer.raw_bytes()
    }

    /// The segment that is being written.
    pub(crate) fn segment(&self) -> SegmentId {
        self.segment
    }

    /// Ordinal of the next record.
    #[must_use]
    pub fn next(&self) -> Ordinal {
        self.next
    }

    /// What the segment takes over from the journal and from packs: its reader and range.
    #[must_use]
    pub fn taken_over(&self) -> (&Reader, Ordinal, Ordinal) {
        (&self.part.reader, self.part.from, self.part.end)
    }

    /// Completes the segment: every byte is durable and was read back when this returns. Nothing
    /// is pushed after that; after a failure the run is abandoned ([`crate::Log::abandon_run`]).
    ///
    /// # Errors
    /// When the disk refuses, or the segment reads otherwise than it was written.
    pub fn finish(&mut self, notes: &[u8]) -> Result<SealedSegment, ReadError> {
        self.writer.end_run(notes)?;
        let thread = self.thread;
        let replaces = self
            .part
            .replaces
            .iter()
            .map(|segment| (*segment, thread))
            .collect();
        Ok(SealedSegment {
            sealed: self.writer.finish()?,
            replaces,
        })
    }
}

impl std::fmt::Debug for RunWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunWriter")
            .field("thread", &self.thread)
            .finish_non_exhaustive()
    }
}

impl SealedSegment {
    /// The record that publishes it.
    pub(crate) fn published(&self) -> CatalogueRecord {
        CatalogueRecord::SegmentPublished {
            segment: self.sealed.segment,
            class: self.sealed.class,
            file_bytes: self.sealed.file_bytes,
            digest: self.sealed.digest,
            runs: self.sealed.runs.clone(),
        }
    }

    /// The runs of the segment.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.sealed.runs
    }
}
