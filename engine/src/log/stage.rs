//! Owns the validation of batches and their encoding into frames; nothing here touches the disk.

use std::sync::Arc;

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::frame;
use turnleaf_format::record::{Chunk, Entry, Flags, INLINE_BYTES_MAX, Kind, payload_crc};
use turnleaf_format::{Format, Ordinal, ThreadChain, ThreadId, ThreadNumber};

use super::{Log, NewRecord, StagedThread, Ticket};
use crate::journal::NewFrame;
use crate::lengths::{Length, LengthsOf};

/// Largest atomic batch in payload bytes. A single larger record is not atomic, but becomes
/// visible as a whole all the same. [S:record-7]
pub const BATCH_BYTES_MAX: usize = 16 << 20;
/// Chunks of one record in a frame.
const CHUNKS_MAX: usize = 16;

/// Why a batch was not taken. Nothing was staged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No such thread, or it is deleted.
    #[error("there is no such thread")]
    NoThread,
    /// The id is taken.
    #[error("the thread exists already")]
    Exists,
    /// The id was that of a thread that is deleted. [S:catalogue-6]
    #[error("a thread of this id was deleted: only an import that is asked to brings one again")]
    Deleted,
    /// The thread does not end where the caller expects.
    #[error("the thread ends at {end}, not at {expected}")]
    Conflict {
        /// What the caller expected.
        expected: Ordinal,
        /// Where the thread ends, staged batches included.
        end: Ordinal,
    },
    /// Other threads go on from records of it.
    #[error("other threads go on from it")]
    IsBase,
    /// An import has the thread.
    #[error("an import is writing to the thread")]
    Busy,
    /// Part of the thread is damaged.
    #[error("the thread is damaged and takes no appends until `turnleaf repair`")]
    Quarantined,
    /// Several records that together are over [`BATCH_BYTES_MAX`].
    #[error("a batch of several records holds at most 16 MiB; this one holds {bytes} bytes")]
    TooLarge {
        /// Their payload bytes.
        bytes: usize,
    },
    /// A batch has at least one record.
    #[error("the batch is empty")]
    Empty,
}

/// A batch that has ordinals and waits for a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staged {
    /// Asks for the outcome.
    pub ticket: Ticket,
    /// Ordinal of the first record.
    pub first: Ordinal,
    /// One past the last.
    pub end: Ordinal,
}

impl Log {
    /// The number of a thread, also while its creation is only staged.
    #[must_use]
    pub fn staged_thread(&self, id: &ThreadId) -> Option<ThreadNumber> {
        self.state
            .thread_number(id)
            .or_else(|| self.staging.creations.get(id).map(|(number, _)| *number))
    }

    /// Stages catalogue facts as one atomic batch.
    pub fn stage_catalogue(&mut self, facts: &[CatalogueRecord]) -> Ticket {
        let payloads: Vec<(Kind, Vec<u8>)> = facts
            .iter()
            .map(|fact| (fact.kind(), fact.encode()))
            .collect();
        let records: Vec<NewRecord<'_>> = payloads
            .iter()
            .map(|(kind, bytes)| NewRecord {
                kind: *kind,
                flags: Flags::NONE,
                timestamp_ms: self.now_ms,
                bytes,
            })
            .collect();
        self.stage_unchecked(ThreadNumber::CATALOGUE, &records)
            .ticket
    }

    /// Stages a batch: all of it becomes durable, or none. `expected_end` refuses the batch unless
    /// the thread ends there.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was staged.
    pub fn stage(
        &mut self,
        thread: ThreadNumber,
        expected_end: Option<Ordinal>,
        records: &[NewRecord<'_>],
    ) -> Result<Staged, AppendError> {
        let end = self.staged_end(thread).ok_or(AppendError::NoThread)?;
        if self.leases.contains(&thread) {
            return Err(AppendError::Busy);
        }
        if self.closed.contains(thread) {
            return Err(AppendError::Quarantined);
        }
        if let Some(expected) = expected_end.filter(|expected| *expected != end) {
            return Err(AppendError::Conflict { expected, end });
        }
        let bytes = records.iter().map(|record| record.bytes.len()).sum();
        if records.is_empty() {
            return Err(AppendError::Empty);
        }
        if bytes > BATCH_BYTES_MAX && records.len() > 1 {
            return Err(AppendError::TooLarge { bytes });
        }
        Ok(self.stage_unchecked(thread, records))
    }

    /// Where the thread ends, staged batches included.
    #[must_use]
    pub fn staged_end(&self, thread: ThreadNumber) -> Option<Ordinal> {
        if self.state.catalogue.is_deleted(thread) {
            return None;
        }
        if self.staging.threads.contains_key(&thread) {
            return Some(self.staged_thread_of(thread).end);
        }
        self.state.catalogue.thread_of(thread)?;
        self.state.threads.get(&thread).map(|view| view.end)
    }

    fn stage_unchecked(&mut self, thread: ThreadNumber, records: &[NewRecord<'_>]) -> Staged {
        let before = self.staged_thread_of(thread);
        let (first, chain) = (before.end, before.chain);
        let mut builder = FrameBuilder::new(thread, first, chain);
        for record in records {
            builder.push(record);
        }
        let (frames, end, chain) = builder.finish();
        let of_facts = thread == ThreadNumber::CATALOGUE;
        let queue = if of_facts {
            &mut self.staging.facts
        } else {
            &mut self.staging.batches
        };
        let count = queue.push(frames);
        let mut staged = StagedThread {
            end,
            chain,
            ..before
        };
        if of_facts {
            staged.facts_upto = count;
        } else {
            staged.batches_upto = count;
        }
        self.staging.threads.insert(thread, staged);
        Staged {
            ticket: Ticket { of_facts, count },
            first,
            end,
        }
    }

    /// A thread as it ends with what is staged of it. Where that is no record, only facts about it,
    /// a segment may have taken it further since they were staged.
    fn staged_thread_of(&self, thread: ThreadNumber) -> StagedThread {
        let durable = self.durable_end(thread);
        let Some(staged) = self.staging.threads.get(&thread) else {
            return durable;
        };
        let has_records = if thread == ThreadNumber::CATALOGUE {
            staged.facts_upto > self.staging.facts.settled
        } else {
            staged.batches_upto > self.staging.batches.settled
        };
        let ends = if has_records { *staged } else { durable };
        StagedThread {
            batches_upto: staged.batches_upto,
            facts_upto: staged.facts_upto,
            ..ends
        }
    }

    /// A thread of which nothing is staged, as it ends.
    pub(super) fn durable_end(&self, thread: ThreadNumber) -> StagedThread {
        let view = self.state.threads.get(&thread);
        let (end, chain) = view.map_or((Ordinal(0), ThreadChain::START), |view| {
            (view.end, view.chain)
        });
        StagedThread {
            end,
            chain,
            batches_upto: 0,
            facts_upto: 0,
        }
    }
}

/// Builds the frames of one batch: one, unless a single record needs several.
struct FrameBuilder {
    thread: ThreadNumber,
    frames: Vec<NewFrame>,
    body: Vec<u8>,
    entry_count: u32,
    readable_by: Format,
    lengths: LengthsOf,
    unfinished: bool,
    first: Ordinal,
    next: Ordinal,
    chain_before: ThreadChain,
    chain: ThreadChain,
}

impl FrameBuilder {
    fn new(thread: ThreadNumber, first: Ordinal, chain: ThreadChain) -> FrameBuilder {
        FrameBuilder {
            thread,
            frames: Vec::new(),
            body: Vec::new(),
            entry_count: 0,
            readable_by: Format::FIRST,
            lengths: LengthsOf::default(),
            unfinished: false,
            first,
            next: first,
            chain_before: chain,
            chain,
        }
    }

    fn push(&mut self, record: &NewRecord<'_>) {
        let NewRecord {
            kind,
            flags,
            timestamp_ms,
            bytes,
        } = *record;
        if bytes.len() <= INLINE_BYTES_MAX {
            self.add(&Entry::inline(kind, flags, timestamp_ms, bytes));
            return;
        }
        let whole = payload_crc(bytes);
        let chunks = bytes.chunks(INLINE_BYTES_MAX);
        let count = chunks.len();
        for (index, chunk) in chunks.enumerate() {
            let offset = (index * INLINE_BYTES_MAX) as u64;
            let last = (index + 1 == count).then_some(whole);
            let crc = payload_crc(chunk);
            let chunk_of = Some(Chunk { offset, last });
            self.add(&Entry {
                kind,
                flags,
                timestamp_ms,
                chunk: chunk_of,
                crc,
                bytes: chunk,
            });
            if count > CHUNKS_MAX && (index + 1) % CHUNKS_MAX == 0 && last.is_none() {
                self.close();
            }
        }
    }

    fn add(&mut self, entry: &Entry<'_>) {
        entry.encode(&mut self.body);
        self.entry_count += 1;
        self.readable_by = self.readable_by.max(entry.kind.readable_by());
        self.unfinished = !entry.completes();
        if let Some((len, crc)) = entry.whole() {
            self.chain =
                self.chain
                    .after(self.thread, self.next, entry.kind, entry.flags, len, crc);
            self.next = self.next.plus(1);
            self.lengths.push(Length {
                payload_bytes: len,
                boundary: entry.flags.has(Flags::BOUNDARY),
            });
        }
    }

    fn close(&mut self) {
        let body = std::mem::take(&mut self.body);
        self.frames.push(NewFrame {
            readable_by: self.readable_by,
            thread: self.thread,
            first: self.first,
            end: self.next,
            entry_count: self.entry_count,
            body_crc: frame::body_crc(&body),
            body: Arc::new(body),
            chain_before: self.chain_before,
            chain_after: self.chain,
            unfinished: self.unfinished,
            lengths: self.lengths.finish(),
        });
        self.entry_count = 0;
        self.readable_by = Format::FIRST;
        self.first = self.next;
        self.chain_before = self.chain;
    }

    fn finish(mut self) -> (Vec<NewFrame>, Ordinal, ThreadChain) {
        self.close();
        (self.frames, self.next, self.chain)
    }
}
