//! Owns the making of segments from what a thread holds: what to seal next, and the writing of a
//! run. It must not know who decides when.

use std::ops::ControlFlow;
use std::sync::Arc;

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::record::Entry;
use turnleaf_format::segment::{Class, SegmentHeader};
use turnleaf_format::{Format, Ordinal, SegmentId, StoreId, ThreadNumber, Version};

use crate::disk::Disk;
use crate::error::{DiskFailure, ReadError};
use crate::read::{Reader, RolloutReader};
use crate::segment::{Sealed, SegmentWriter};
use crate::stretch::{Sizes, Stretch};

/// Makes the notes of a run from its records; a pure function of them.
pub type Notes<'a> = &'a dyn Fn(&Reader, Ordinal, Ordinal) -> Vec<u8>;

/// Segments to be written and published together, mostly one: it needs nothing of the log while
/// they are.
#[derive(Debug)]
pub struct SealPlan {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) store: StoreId,
    pub(crate) segments: Vec<Planned>,
    pub(crate) now_ms: i64,
    /// The oldest format whose readers understand the catalogue's records.
    pub(crate) catalogue_readable_by: Format,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) segment: SegmentId,
    pub(crate) class: Class,
    pub(crate) parts: Vec<Part>,
}

/// What one thread gives to a segment.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) reader: RolloutReader,
    pub(crate) from: Ordinal,
    pub(crate) end: Ordinal,
    /// What its records weigh, where that matters.
    pub(crate) bytes: u64,
    /// Segments whose run of the thread the new one takes over.
    pub(crate) replaces: Vec<SegmentId>,
}

impl Part {
    /// Takes what another one holds behind it.
    pub(crate) fn join(&mut self, next: Part) {
        assert_eq!(
            self.end, next.from,
            "parts that are joined follow each other"
        );
        self.end = next.end;
        self.bytes += next.bytes;
        self.replaces.extend(next.replaces);
    }

    /// A reader of the rollout that counts as the rollout does.
    fn own_records(&self) -> Reader {
        Reader::of([], (self.thread(), self.reader.clone()))
    }

    pub(crate) fn thread(&self) -> ThreadNumber {
        self.reader.view.thread
    }

    /// Whether runs hold all of the thread before it, but for what was given up, or what stands in
    /// the journal in the place of a run that is lost.
    pub(crate) fn follows_the_runs(&self) -> bool {
        self.from <= self.reader.view.sealed().0
    }

    /// Whether it takes a part of a frame, and leaves the rest.
    pub(crate) fn divides_a_frame(&self) -> bool {
        let view = &self.reader.view;
        self.end > view.sealed().0 && view.divides_a_frame(self.end)
    }

    /// What the segment that holds the part replaces.
    fn replaced_by(
        &self,
        new: SegmentId,
    ) -> impl Iterator<Item = (SegmentId, ThreadNumber, SegmentId)> {
        let thread = self.thread();
        self.replaces.iter().map(move |old| (*old, thread, new))
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

/// Segments that were written and may be published, in one batch.
#[derive(Debug)]
pub struct SealedSegments {
    pub(crate) segments: Vec<Sealed>,
    /// Replaced records: old segment, thread, new segment.
    pub(crate) replaces: Vec<(SegmentId, ThreadNumber, SegmentId)>,
}

impl SealPlan {
    /// Whether it seals the catalogue: such a segment needs no publication.
    #[must_use]
    pub fn is_of_catalogue(&self) -> bool {
        let mut segments = self.segments.iter();
        segments.any(|planned| planned.class == Class::Catalogue)
    }

    /// Only a segment of the catalogue holds records that a reader of format 1 does not know.
    /// [S:version-5]
    fn header(&self, segment: SegmentId, class: Class) -> SegmentHeader {
        let readable_by = match class {
            Class::Catalogue => self.catalogue_readable_by,
            Class::Run | Class::Pack => Format::FIRST,
        };
        SegmentHeader {
            version: Version::asking_for(readable_by),
            store: self.store,
            segment,
            class,
            created_ms: self.now_ms,
        }
    }

    /// Writes the segments: every byte is durable and was read back when this returns.
    ///
    /// # Errors
    /// When the disk refuses or a record to be sealed is damaged; then nothing has changed.
    pub fn run(&self, notes: Notes<'_>) -> Result<SealedSegments, SealError> {
        let mut done = SealedSegments {
            segments: Vec::new(),
            replaces: Vec::new(),
        };
        for planned in &self.segments {
            let header = self.header(planned.segment, planned.class);
            let mut writer = SegmentWriter::create(&self.disk, header)?;
            for part in &planned.parts {
                part.write(&mut writer)?;
                writer.end_run(&notes(&part.own_records(), part.from, part.end))?;
                done.replaces.extend(part.replaced_by(planned.segment));
            }
            done.segments.push(writer.finish()?);
        }
        Ok(done)
    }
}

/// Writes records of one thread straight into a segment, after what the journal still holds of it:
/// the way of a large import. The thread takes no other append meanwhile.
pub struct RunWriter {
    thread: ThreadNumber,
    segment: SegmentId,
    writer: SegmentWriter,
    part: Part,
    stretch: Stretch,
    sizes: Sizes,
}

impl RunWriter {
    /// Begins with an open stretch; whether the segment closes it shows at its end.
    pub(crate) fn begin(
        plan: &SealPlan,
        segment: SegmentId,
        part: Part,
        sizes: Sizes,
    ) -> Result<RunWriter, SealError> {
        let header = plan.header(segment, Class::Run);
        let mut writer = SegmentWriter::create(&plan.disk, header)?;
        writer.may_become(Class::Pack);
        part.write(&mut writer)?;
        let stretch = Stretch {
            first: part.from,
            end: part.end,
            bytes: part.bytes,
        };
        Ok(RunWriter {
            thread: part.thread(),
            segment,
            writer,
            stretch,
            sizes,
            part,
        })
    }

    /// Adds the next entry.
    ///
    /// # Errors
    /// When the disk refuses; the run is then abandoned by dropping it.
    pub fn push(&mut self, entry: &Entry<'_>) -> Result<(), ReadError> {
        self.writer.push(entry)?;
        if let Some((payload_bytes, _)) = entry.whole() {
            self.stretch.push(payload_bytes);
        }
        Ok(())
    }

    /// Whether the next record begins a new segment: then this one is to be finished as closed.
    #[must_use]
    pub fn ends_before(&self, boundary: bool) -> bool {
        self.stretch.ends_before(boundary, self.sizes)
    }

    /// The segment that is being written.
    pub(crate) fn segment(&self) -> SegmentId {
        self.segment
    }

    /// Ordinal of the next record.
    #[must_use]
    pub fn next(&self) -> Ordinal {
        self.stretch.end
    }

    /// What the segment takes over from the journal and from packs: its reader and range.
    #[must_use]
    pub fn taken_over(&self) -> (Reader, Ordinal, Ordinal) {
        (self.part.own_records(), self.part.from, self.part.end)
    }

    /// Completes the segment: every byte is durable and was read back when this returns. Nothing
    /// is pushed after that; after a failure the run is abandoned ([`crate::Log::abandon_run`]).
    /// `closed`: the next record begins a new one, see [`RunWriter::ends_before`]; otherwise what
    /// comes next goes on in the same stretch and absorbs this.
    ///
    /// # Errors
    /// When the disk refuses, or the segment reads otherwise than it was written.
    pub fn finish(&mut self, notes: &[u8], closed: bool) -> Result<SealedSegments, ReadError> {
        self.writer.end_run(notes)?;
        if !closed && !self.stretch.is_full(self.sizes) {
            self.writer.become_other()?;
        }
        Ok(SealedSegments {
            replaces: self.part.replaced_by(self.segment).collect(),
            segments: vec![self.writer.finish()?],
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

impl SealedSegments {
    /// The records that publish them.
    pub(crate) fn published(&self) -> impl Iterator<Item = CatalogueRecord> {
        let published = |sealed: &Sealed| CatalogueRecord::SegmentPublished {
            segment: sealed.segment,
            class: sealed.class,
            file_bytes: sealed.file_bytes,
            digest: sealed.digest,
            runs: sealed.runs.clone(),
        };
        self.segments.iter().map(published)
    }

    /// The threads in them.
    pub(crate) fn threads(&self) -> impl Iterator<Item = ThreadNumber> {
        let runs = self.segments.iter().flat_map(|sealed| &sealed.runs);
        runs.map(|run| run.thread)
    }

    /// Lengths of their files together.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.segments.iter().map(|sealed| sealed.file_bytes).sum()
    }
}
