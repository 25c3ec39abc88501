//! Owns where imported lines go: small additions through the journal, large ones straight into
//! segments, with the progress of the import in the same batch as the segment it describes.

use turnleaf_engine::format::catalogue::CatalogueRecord;
use turnleaf_engine::format::record::{Chunk, Entry, Flags, INLINE_BYTES_MAX, Kind, payload_crc};
use turnleaf_engine::format::{Ordinal, ThreadId, ThreadNumber};
use turnleaf_engine::{Log, NewRecord, RunWriter};
use turnleaf_projector::notes::Notes;
use turnleaf_projector::payload;

use super::group::{Group, Said, refused};
use super::lines::Piece;
use crate::commit::Committer;
use crate::error::Error;
use crate::lines::boundary_flag;
use crate::notes;

/// New bytes above which an import writes segments itself.
const RUN_BYTES_MIN: usize = 1 << 20;
/// Batches through the journal stay below this.
const BATCH_BYTES: usize = 1 << 20;

/// A line that waits for its way to be decided.
struct Held {
    bytes: Vec<u8>,
    flags: Flags,
}

/// A line of which pieces were written.
struct Partial {
    offset: u64,
    crc: crc32fast::Hasher,
    continues: bool,
    /// The newest chunk: where the source breaks off behind it, it is the last one of its record.
    held: Vec<u8>,
}

/// Takes the lines of one import.
pub(super) struct Sink<'g, 's> {
    group: &'g mut Group<'s>,
    committer: &'s Committer,
    thread: ThreadNumber,
    id: String,
    /// Where the thread must end: behind what the source was compared with, and what was added.
    end: Ordinal,
    path: String,
    /// Length and time that identify the source as it stands.
    identity: (u64, i64),
    /// Whether the source was read to its end. Before, nothing that is published may say what
    /// identifies it: an import that is killed would be taken for a whole one.
    whole: bool,
    /// Whether the thread is to be archived or not; `None` when that stays as it is.
    archived: Option<bool>,
    /// Whether the place that was imported last is a source of this import, too.
    is_known_elsewhere: bool,
    held: Vec<Held>,
    held_bytes: usize,
    run: Option<RunWriter>,
    /// Notes of the run so far; `None` when a record of it cannot be noted by itself.
    notes: Option<Notes>,
    leased: bool,
    /// Bytes and running checksum of a line whose pieces are being written.
    partial: Option<Partial>,
    /// Records that were added, and how many of them go on with a line that was there.
    added: u64,
    continued: u64,
    consumed: u64,
}

impl<'g, 's> Sink<'g, 's> {
    pub(super) fn new(
        group: &'g mut Group<'s>,
        thread: ThreadNumber,
        id: &ThreadId,
        end: Ordinal,
        path: &str,
    ) -> Sink<'g, 's> {
        let committer = group.committer;
        Sink {
            group,
            committer,
            thread,
            id: id.to_string(),
            end,
            path: path.to_owned(),
            identity: (0, 0),
            whole: false,
            archived: None,
            is_known_elsewhere: false,
            held: Vec::new(),
            held_bytes: 0,
            run: None,
            notes: None,
            leased: false,
            partial: None,
            added: 0,
            continued: 0,
            consumed: 0,
        }
    }

    /// What identifies the source as it stands.
    pub(super) fn describe(&mut self, file_bytes: u64, modified_ns: i64) {
        self.identity = (file_bytes, modified_ns);
    }

    /// Says that the source is in another place than the one imported last, archived or not, and
    /// whether that one is a source of this import, too.
    pub(super) fn moved(&mut self, archived: bool, is_known_elsewhere: bool) {
        self.archived = Some(archived);
        self.is_known_elsewhere = is_known_elsewhere;
    }

    /// Takes a line or a piece of one.
    pub(super) fn push(&mut self, piece: &Piece, continues: bool) -> Result<(), Error> {
        if piece.more || self.partial.is_some() {
            self.begin_run()?;
            if self.partial.is_none() {
                self.rotate(Flags::NONE)?;
            }
            return self.push_piece(piece, continues);
        }
        let flags = flags_of(piece, continues).with(boundary_flag(&piece.bytes));
        self.count(continues);
        if self.run.is_some() {
            return self.push_run(&piece.bytes, flags);
        }
        self.held_bytes += piece.bytes.len();
        self.held.push(Held {
            bytes: piece.bytes.clone(),
            flags,
        });
        if self.held_bytes > RUN_BYTES_MIN {
            self.begin_run()
        } else {
            Ok(())
        }
    }

    /// Leaves everything durable or staged in the group; `consumed` plain bytes of the source are
    /// records then. Returns the number of records that were added, and how many of them go on
    /// with a line that was there.
    pub(super) fn finish(mut self, consumed: u64, whole: bool) -> Result<(u64, u64), Error> {
        (self.consumed, self.whole) = (consumed, whole);
        if self.partial.is_some() {
            let rest = Piece {
                bytes: Vec::new(),
                more: false,
                line_feed: false,
            };
            self.push_piece(&rest, false)?;
        }
        if self.run.is_some() {
            self.publish(false)?;
        } else {
            self.append_held()?;
            let fact = self.progress(None);
            if self.says_more(&fact) {
                let (thread, archived) = (self.thread, self.archived.take());
                let import = Some(fact);
                self.group.say(Said {
                    thread,
                    archived,
                    import,
                })?;
            }
        }
        Ok((self.added, self.continued))
    }

    /// Archives the thread as its source is, before the catalogue says that it was imported from
    /// there: an import that breaks off between the two does it again.
    fn follow_archive(&mut self) -> Result<(), Error> {
        let Some(archived) = self.archived.take() else {
            return Ok(());
        };
        let mut log = self.committer.lock();
        match log.stage_archive(self.thread, archived) {
            Ok(Some(ticket)) => self.committer.settle(log, ticket),
            Ok(None) => Ok(()),
            Err(reason) => Err(refused(&self.id)(reason)),
        }
    }

    /// Whether the catalogue learns anything from the fact: a source that adds nothing is noted
    /// once, an earlier capture of the same thread not at all, and neither is a copy of what lies
    /// where it was imported from last.
    fn says_more(&self, fact: &CatalogueRecord) -> bool {
        let log = self.committer.lock();
        let known = log
            .state()
            .thread(self.thread)
            .and_then(|thread| thread.import.as_ref());
        let (
            Some(known),
            CatalogueRecord::Import {
                source_bytes,
                file_bytes,
                modified_ns,
                ..
            },
        ) = (known, fact)
        else {
            return true;
        };
        let same = known.path == self.path
            && (known.file_bytes, known.modified_ns) == (*file_bytes, *modified_ns);
        let least = known.source_bytes + u64::from(self.is_known_elsewhere);
        self.added > 0 || (!same && *source_bytes >= least)
    }

    fn progress(&self, end: Option<u64>) -> CatalogueRecord {
        let end = end.unwrap_or_else(|| {
            self.committer
                .lock()
                .staged_end(self.thread)
                .map_or(0, |end| end.0)
        });
        let (file_bytes, modified_ns) = if self.whole { self.identity } else { (0, 0) };
        CatalogueRecord::Import {
            thread: self.thread,
            source_bytes: self.consumed,
            ordinal_end: Ordinal(end),
            file_bytes,
            modified_ns,
            path: self.path.clone(),
        }
    }

    fn append_held(&mut self) -> Result<(), Error> {
        let held = std::mem::take(&mut self.held);
        let timestamp_ms = self.committer.now_ms();
        let mut rest = held.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |line: &&Held| {
                bytes += line.bytes.len();
                bytes <= BATCH_BYTES
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let records: Vec<NewRecord<'_>> = rest[..count]
                .iter()
                .map(|line| NewRecord {
                    kind: Kind::LINE,
                    flags: line.flags,
                    timestamp_ms,
                    bytes: &line.bytes,
                })
                .collect();
            let mut log = self.committer.lock();
            let staged = log
                .stage(self.thread, Some(self.end), &records)
                .map_err(refused(&self.id))?;
            self.end = staged.end;
            drop(log);
            let bytes = records.iter().map(|record| record.bytes.len()).sum();
            self.group.staged(self.thread, staged.ticket, bytes);
            rest = &rest[count..];
        }
        Ok(())
    }

    fn begin_run(&mut self) -> Result<(), Error> {
        if self.run.is_some() {
            return Ok(());
        }
        if !self.leased {
            // The thread may be new, and exists when its creation is durable.
            self.group.settle()?;
        }
        let mut log = self.committer.lock();
        log.set_now(self.committer.now_ms());
        if !self.leased {
            // A batch that is staged may fail, one that is durable stays.
            let (thread, end) = (self.thread, self.end);
            let durable_end = |log: &Log| log.state().reader(thread).map(|reader| reader.end());
            let waits = |log: &Log| {
                let is_used = log.is_being_sealed(thread) || log.staged_of(thread).is_some();
                is_used && durable_end(log) == Some(end)
            };
            log = self
                .committer
                .wait_for(log, |log| (!waits(log)).then_some(()))
                .0;
            if durable_end(&log).is_some_and(|durable| durable != end) {
                return Err(Error::Overtaken(self.id.clone()));
            }
            // From here on nobody else appends.
            log.lease(self.thread).map_err(refused(&self.id))?;
            self.leased = true;
        }
        // What the journal holds of stretches that are closed does not belong to this segment.
        while let Some(plan) = log.plan_closed(self.thread) {
            drop(log);
            let done = plan.run(&notes::make);
            log = self.committer.lock();
            let ticket = match done {
                Ok(done) => log.stage_segment(&done, &[]),
                Err(failure) => {
                    log.abandon_plan(&plan);
                    return Err(Error::of_read(&self.id)(failure.error));
                }
            };
            drop(plan);
            self.committer.settle(log, ticket)?;
            log = self.committer.lock();
        }
        let run = log
            .begin_run(self.thread)
            .map_err(Error::of_read(&self.id))?;
        drop(log);
        // What the segment takes over from the journal belongs to its notes too.
        let (reader, from, end) = run.taken_over();
        let mut notes = Notes::default();
        self.notes = notes::add(&mut notes, &reader, from, end).then_some(notes);
        self.run = Some(run);
        for line in std::mem::take(&mut self.held) {
            self.push_run(&line.bytes, line.flags)?;
        }
        Ok(())
    }

    /// Begins the next segment where the next record asks for it.
    fn rotate(&mut self, flags: Flags) -> Result<(), Error> {
        let boundary = flags.has(Flags::BOUNDARY);
        let run = self.run.as_ref();
        if run.is_some_and(|run| run.ends_before(boundary)) {
            self.publish(true)?;
            self.begin_run()?;
        }
        Ok(())
    }

    fn push_run(&mut self, bytes: &[u8], flags: Flags) -> Result<(), Error> {
        self.rotate(flags)?;
        self.note(bytes, flags);
        if bytes.len() <= INLINE_BYTES_MAX {
            return self.entry(&Entry::inline(
                Kind::LINE,
                flags,
                self.committer.now_ms(),
                bytes,
            ));
        }
        let whole = payload_crc(bytes);
        let count = bytes.chunks(INLINE_BYTES_MAX).len();
        for (index, part) in bytes.chunks(INLINE_BYTES_MAX).enumerate() {
            let last = (index + 1 == count).then_some(whole);
            self.chunk((index * INLINE_BYTES_MAX) as u64, last, part, flags)?;
        }
        Ok(())
    }

    /// Notes a record. One that is a part of a line, or too long to be held, means something only
    /// together with others: then the run has no notes, and its records are decoded when needed.
    fn note(&mut self, bytes: &[u8], flags: Flags) {
        let alone = !flags.has(Flags::NO_LINE_FEED) && !flags.has(Flags::CONTINUES);
        match &mut self.notes {
            Some(notes) if alone => notes.push(&payload::decode(bytes)),
            notes => *notes = None,
        }
    }

    /// Writes a piece of a line that is too long to be held. Pieces are multiples of a chunk, so
    /// that only the last chunk of the line is shorter.
    fn push_piece(&mut self, piece: &Piece, continues: bool) -> Result<(), Error> {
        self.notes = None;
        let fresh = || Partial {
            offset: 0,
            crc: crc32fast::Hasher::new(),
            continues,
            held: Vec::new(),
        };
        let mut partial = self.partial.take().unwrap_or_else(fresh);
        let flags = flags_of(piece, partial.continues);
        partial.crc.update(&piece.bytes);
        let held = std::mem::take(&mut partial.held);
        let mut parts: Vec<&[u8]> = held.chunks(INLINE_BYTES_MAX).collect();
        parts.extend(piece.bytes.chunks(INLINE_BYTES_MAX));
        if piece.more {
            partial.held = parts.pop().unwrap_or_default().to_vec();
        }
        for (index, part) in parts.iter().enumerate() {
            let last = !piece.more && index + 1 == parts.len();
            let last = last.then(|| partial.crc.clone().finalize());
            self.chunk(partial.offset, last, part, flags)?;
            partial.offset += part.len() as u64;
        }
        if piece.more {
            self.partial = Some(partial);
        } else {
            self.count(partial.continues);
        }
        Ok(())
    }

    fn count(&mut self, continues: bool) {
        self.added += 1;
        self.continued += u64::from(continues);
    }

    fn chunk(
        &mut self,
        offset: u64,
        last: Option<u32>,
        bytes: &[u8],
        flags: Flags,
    ) -> Result<(), Error> {
        self.entry(&Entry {
            kind: Kind::LINE,
            flags,
            timestamp_ms: self.committer.now_ms(),
            chunk: Some(Chunk { offset, last }),
            crc: payload_crc(bytes),
            bytes,
        })
    }

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let run = self.run.as_mut().expect("a run was begun");
        run.push(entry).map_err(Error::of_read(&self.id))
    }

    /// Publishes the segment together with how far the import is. `closed`: the next record begins
    /// another one.
    fn publish(&mut self, closed: bool) -> Result<(), Error> {
        self.follow_archive()?;
        // The run stays here until its publication is staged: what fails before abandons it.
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        let end = run.next().0;
        let notes = self.notes.take().map(notes::pack).unwrap_or_default();
        let done = run
            .finish(&notes, closed)
            .map_err(Error::of_read(&self.id))?;
        let fact = self.progress(Some(end));
        let mut log = self.committer.lock();
        let ticket = log.stage_segment(&done, &[fact]);
        self.run = None;
        self.committer.settle(log, ticket)
    }
}

impl Drop for Sink<'_, '_> {
    fn drop(&mut self) {
        let run = self.run.take();
        if self.leased {
            let mut log = self.committer.lock();
            if let Some(run) = run {
                log.abandon_run(run);
            }
            log.return_lease(self.thread);
            self.committer.wake();
        }
    }
}

pub(super) fn flags_of(piece: &Piece, continues: bool) -> Flags {
    let open = if piece.line_feed || piece.more {
        Flags::NONE
    } else {
        Flags::NO_LINE_FEED
    };
    if continues {
        open.with(Flags::CONTINUES)
    } else {
        open
    }
}
