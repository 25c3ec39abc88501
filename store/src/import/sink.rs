//! Owns where imported lines go: small additions through the journal, large ones straight into
//! segments, with the progress of the import in the same batch as the segment it describes.

use turnleaf_engine::format::catalogue::CatalogueRecord;
use turnleaf_engine::format::record::{Chunk, Entry, Flags, INLINE_BYTES_MAX, Kind, payload_crc};
use turnleaf_engine::format::{Ordinal, ThreadId, ThreadNumber};
use turnleaf_engine::{Log, NewRecord, Reader, RunWriter};
use turnleaf_projector::notes::Notes;
use turnleaf_projector::payload;

use super::current::{self, newest_name};
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

/// What became of the lines.
pub(super) struct Done {
    /// Records that were added.
    pub(super) added: u64,
    /// How many of them go on with a line that was there.
    pub(super) continued: u64,
    /// Whether the thread shows the rollout.
    pub(super) is_shown: bool,
}

/// Takes the lines of one import.
pub(super) struct Sink<'g, 's> {
    group: &'g mut Group<'s>,
    committer: &'s Committer,
    thread: ThreadNumber,
    rollout: ThreadNumber,
    /// The thread's.
    id: String,
    /// The rollout's.
    rollout_id: ThreadId,
    /// Where the rollout must end: behind what the source was compared with, and what was added.
    end: Ordinal,
    path: String,
    /// Length and time that identify the source as it stands.
    identity: (u64, i64),
    /// Whether the source was read to its end. Before, nothing that is published may say what
    /// identifies it: an import that is killed would be taken for a whole one.
    whole: bool,
    /// Whether the thread is to be archived or not, if it shows the rollout; `None` when that stays
    /// as it is.
    archived: Option<bool>,
    /// Whether the thread shows the rollout.
    is_shown: bool,
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
        (thread, id): (ThreadNumber, &ThreadId),
        (rollout, rollout_id): (ThreadNumber, &ThreadId),
        end: Ordinal,
        path: &str,
    ) -> Sink<'g, 's> {
        let committer = group.committer;
        let is_shown = committer.lock().state().current(thread) == rollout;
        Sink {
            group,
            committer,
            thread,
            rollout,
            id: id.to_string(),
            rollout_id: rollout_id.clone(),
            end,
            path: path.to_owned(),
            identity: (0, 0),
            whole: false,
            archived: None,
            is_shown,
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

    /// Says where the source lies: among archived ones or not, whether in another place than the
    /// one imported last, and whether that one is a source of this import, too.
    pub(super) fn lies(&mut self, archived: bool, is_moved: bool, is_known_elsewhere: bool) {
        let decides = is_moved || !self.is_shown;
        self.archived = decides.then_some(archived);
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
        let flags = piece.flags(continues).with(boundary_flag(&piece.bytes));
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
    /// records then. The thread shows the rollout then if it is the newest one; `yields` is asked
    /// whether one of the same id, imported last from that place, stays in its place.
    pub(super) fn finish(
        mut self,
        (consumed, whole): (u64, bool),
        yields: impl FnOnce(Option<&str>) -> bool,
    ) -> Result<Done, Error> {
        self.consumed = consumed;
        if self.partial.is_some() {
            let rest = Piece {
                bytes: Vec::new(),
                more: false,
                line_feed: false,
            };
            self.push_piece(&rest, false)?;
        }
        let shows = self.takes_over(yields);
        let is_run = self.run.is_some();
        if is_run {
            // The source is imported when the thread shows it.
            self.whole = whole && shows.is_none();
            self.publish(false)?;
            self.end_lease();
        } else {
            self.append_held()?;
        }
        self.whole = whole;
        if let Some((before, _)) = shows {
            self.carry_name(before)?;
        }
        let fact = self.progress(None);
        if shows.is_some() || (!is_run && self.says_more(&fact)) {
            let is_shown = self.is_shown || shows.is_some();
            let archived = self.archived.take().filter(|_| is_shown);
            self.group.say(Said {
                thread: self.thread,
                shows,
                archived,
                import: Some(fact),
            })?;
        }
        Ok(Done {
            added: self.added,
            continued: self.continued,
            is_shown: self.is_shown || shows.is_some(),
        })
    }

    /// The rollout that the thread shows, and this one, if it does so from now on.
    fn takes_over(
        &self,
        yields: impl FnOnce(Option<&str>) -> bool,
    ) -> Option<(ThreadNumber, ThreadNumber)> {
        let imported = current::Imported {
            thread: self.thread,
            rollout: self.rollout,
            id: &self.rollout_id,
            source_bytes: self.consumed,
            path: &self.path,
            identity: self.identity,
        };
        let log = self.committer.lock();
        let takes_over = current::takes_over(log.state(), &imported, yields);
        takes_over.then(|| (log.state().current(self.thread), self.rollout))
    }

    /// Gives the rollout the name that the thread has, unless it has that.
    fn carry_name(&mut self, shown: ThreadNumber) -> Result<(), Error> {
        let reader = |rollout| self.committer.lock().state().reader(rollout);
        let newest = |reader: Option<Reader>| match reader {
            Some(reader) => newest_name(&reader).map_err(Error::of_read(&self.id)),
            None => Ok(None),
        };
        let name = newest(reader(shown))?;
        let Some(name) = name.filter(|name| !name.bytes.is_empty()) else {
            return Ok(());
        };
        let own = newest(reader(self.rollout))?;
        if own.is_some_and(|own| own.bytes == name.bytes) {
            return Ok(());
        }
        let record = NewRecord {
            kind: Kind::METADATA,
            flags: Flags::NONE,
            timestamp_ms: name.timestamp_ms,
            bytes: &name.bytes,
        };
        let mut log = self.committer.lock();
        let staged = log.stage(self.rollout, None, &[record]);
        let staged = staged.map_err(refused(&self.id))?;
        drop(log);
        self.group
            .staged(self.rollout, staged.ticket, name.bytes.len());
        Ok(())
    }

    /// Archives the thread as its source is, before the catalogue says that it was imported from
    /// there: an import that breaks off between the two does it again.
    fn follow_archive(&mut self) -> Result<(), Error> {
        let Some(archived) = self.archived.filter(|_| self.is_shown) else {
            return Ok(());
        };
        self.archived = None;
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
        let known = log.state().import_of(self.rollout);
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
                .staged_end(self.rollout)
                .map_or(0, |end| end.0)
        });
        let (file_bytes, modified_ns) = if self.whole { self.identity } else { (0, 0) };
        CatalogueRecord::Import {
            thread: self.rollout,
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
                .stage(self.rollout, Some(self.end), &records)
                .map_err(refused(&self.id))?;
            self.end = staged.end;
            drop(log);
            let bytes = records.iter().map(|record| record.bytes.len()).sum();
            self.group.staged(self.rollout, staged.ticket, bytes);
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
            let (rollout, end) = (self.rollout, self.end);
            let durable_end =
                |log: &Log| log.state().own_records(rollout).map(|reader| reader.end());
            let waits = |log: &Log| {
                let is_used = log.is_being_sealed(rollout) || log.staged_of(rollout).is_some();
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
            log.lease(self.rollout).map_err(refused(&self.id))?;
            self.leased = true;
        }
        // What the journal holds of stretches that are closed does not belong to this segment.
        while let Some(plan) = log.plan_closed(self.rollout) {
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
            .begin_run(self.rollout)
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
        let flags = piece.flags(partial.continues);
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

impl Sink<'_, '_> {
    fn end_lease(&mut self) {
        let run = self.run.take();
        if std::mem::take(&mut self.leased) {
            let mut log = self.committer.lock();
            if let Some(run) = run {
                log.abandon_run(run);
            }
            log.return_lease(self.rollout);
            self.committer.wake();
        }
    }
}

impl Drop for Sink<'_, '_> {
    fn drop(&mut self) {
        self.end_lease();
    }
}
