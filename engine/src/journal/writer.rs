//! Owns the end of the journal: placing frames, failing over, recycling.

mod ahead;
mod begin;

use std::collections::VecDeque;
use std::sync::Arc;

use turnleaf_format::frame::{ALIGN, FrameHeader, HEADER_BYTES, Position};
use turnleaf_format::journal::{Begun, FRAMES_OFFSET};
use turnleaf_format::{
    Format, Generation, JournalChain, Ordinal, StoreId, ThreadChain, ThreadNumber,
};

use self::ahead::Ahead;
pub(crate) use self::ahead::{FilePlan, Prepared};
use self::begin::Size;
use crate::disk::Disk;
use crate::error::{DiskFailure, failed};
use crate::layout::JOURNAL;
use crate::lengths::Lengths;
use crate::options::Options;
use crate::reserve;
use crate::view::JournalFile;

/// Body bytes that one write and sync carry, unless a single frame is larger.
const GROUP_BYTES: usize = 8 << 20;
/// Every file keeps room for a marker, so that a close can always be a clean one.
const MARKER_BYTES: u64 = HEADER_BYTES as u64;

/// A batch that has ordinals but no place yet.
#[derive(Debug, Clone)]
pub(crate) struct NewFrame {
    /// The oldest format whose readers understand its records.
    pub(crate) readable_by: Format,
    pub(crate) thread: ThreadNumber,
    pub(crate) first: Ordinal,
    pub(crate) end: Ordinal,
    pub(crate) entry_count: u32,
    pub(crate) body: Arc<Vec<u8>>,
    pub(crate) body_crc: u32,
    pub(crate) chain_before: ThreadChain,
    pub(crate) chain_after: ThreadChain,
    pub(crate) unfinished: bool,
    pub(crate) lengths: Lengths,
}

impl NewFrame {
    /// Bytes from its beginning to that of the next frame.
    pub(crate) fn stride(&self) -> u64 {
        (HEADER_BYTES as u64 + self.body.len() as u64).next_multiple_of(ALIGN)
    }
}

/// A frame with its place.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) frame: NewFrame,
    pub(crate) offset: u64,
}

/// One write and one sync that make a group of frames durable. It needs nothing of the journal
/// while it runs, so others may stage the next group meanwhile.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) file: Arc<JournalFile>,
    pub(crate) frames: Vec<Placed>,
    offset: u64,
    bytes: Vec<u8>,
    chain_after: JournalChain,
}

impl Commit {
    /// Writes and syncs.
    pub(crate) fn run(&self) -> Result<(), DiskFailure> {
        let path = &self.file.path;
        let file = &self.file.file;
        file.write_at(self.offset, &self.bytes)
            .map_err(failed("write", path))?;
        file.sync().map_err(failed("sync", path))
    }
}

/// Whether a file takes further frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileState {
    /// It does: only the active file.
    Open,
    /// It does not: a file behind it was begun, or may have been. [S:journal-9]
    Closed,
    /// A write or sync of it failed; it is read, but never written again. [S:journal-6]
    Retired,
}

/// Out of what room a file was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Out of that of the disk, or the reserve is whole again.
    Disk,
    /// Out of the reserve, which is not whole: as the active file it takes facts alone. [R:full-6]
    Reserve,
}

/// A file whose frames may be needed.
#[derive(Debug)]
struct LiveFile {
    file: Arc<JournalFile>,
    /// Bytes of frames that no segment holds yet.
    unpublished: u64,
    state: FileState,
    room: Room,
    /// Why this owner began it; `None` where an earlier one did.
    begun: Option<Begun>,
}

impl LiveFile {
    /// A file of an earlier owner.
    fn inherited((file, unpublished): (Arc<JournalFile>, u64)) -> LiveFile {
        LiveFile {
            file,
            unpublished,
            state: FileState::Closed,
            room: Room::Disk,
            begun: None,
        }
    }

    /// Whether a batch may be written to it, if it fits.
    fn takes_batches(&self) -> bool {
        self.state == FileState::Open && self.room == Room::Disk
    }

    /// Whether a frame may stand in it that asks for readers of that format. [S:version-4]
    fn admits(&self, readable_by: Format) -> bool {
        readable_by <= self.file.readable_by
    }

    /// Whether so many more bytes, and a marker behind them, can be written at `offset`.
    fn has_room(&self, offset: u64, bytes: u64) -> bool {
        self.state == FileState::Open && offset + bytes + MARKER_BYTES <= self.file.capacity
    }
}

/// What a new journal file says about the catalogue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CataloguePoint {
    /// The oldest format whose readers understand the catalogue's records.
    pub(crate) readable_by: Format,
    pub(crate) sealed_end: Ordinal,
    pub(crate) chain: ThreadChain,
}

impl CataloguePoint {
    /// As it will be with these frames, which the file is begun for.
    fn with<'f>(self, frames: impl Iterator<Item = &'f NewFrame>) -> CataloguePoint {
        let asked = frames.map(|frame| frame.readable_by);
        self.asking_for(asked.max().unwrap_or(Format::FIRST))
    }

    /// The same, for a file that asks for readers of this format at least.
    fn asking_for(self, readable_by: Format) -> CataloguePoint {
        CataloguePoint {
            readable_by: self.readable_by.max(readable_by),
            ..self
        }
    }
}

/// The journal of an owner.
///
/// INVARIANT: the newest live file is the active one, and no other is open.
#[derive(Debug)]
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    store: StoreId,
    pub(crate) epoch: u64,
    first_bytes: u64,
    file_bytes: u64,
    files_max: usize,
    /// Oldest first.
    live: VecDeque<LiveFile>,
    /// Files that only readers need.
    held: Vec<LiveFile>,
    free: Vec<Arc<JournalFile>>,
    ahead: Ahead,
    /// Files that failed once and hold nothing that is needed.
    retired: Vec<Arc<JournalFile>>,
    next_slot: u32,
    /// Where the next frame goes; everything before is durable.
    end: Position,
    /// The journal chain there.
    chain: JournalChain,
    /// The newest durable header says that files from this generation on are needed.
    /// INVARIANT: no such file is overwritten or removed, although all in it may be sealed since: a
    /// crash in the middle of that would look like a file that was lost. [S:journal-13]
    stated_oldest: Generation,
    /// Something was written since the last marker, or the active file has none.
    has_news: bool,
    next_generation: Generation,
    now_ms: i64,
}

/// How the journal stood before this owner.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// Files with frames that may still be needed, oldest first, with the bytes of such frames.
    pub(crate) live: Vec<(Arc<JournalFile>, u64)>,
    /// Files that may be recycled.
    pub(crate) free: Vec<Arc<JournalFile>>,
    /// Files to be removed once a newer header does without them.
    pub(crate) retired: Vec<Arc<JournalFile>>,
    /// A slot number above all that exist.
    pub(crate) next_slot: u32,
    /// The newest header says that files from here on are needed.
    pub(crate) stated_oldest: Generation,
    /// A generation above all that exist.
    pub(crate) next_generation: Generation,
    /// Where the newest file ends.
    pub(crate) end: Position,
    /// The journal chain there.
    pub(crate) chain: JournalChain,
    /// A clean close is all that stands there: the newest file takes further frames. [S:journal-14]
    pub(crate) goes_on: bool,
}

impl Journal {
    /// Takes over. Behind a clean close the newest file goes on; else a new one is begun, because a
    /// judged tail is never appended to. [S:journal-14]
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        store: StoreId,
        options: &Options,
        epoch: u64,
        inherited: Inherited,
        point: CataloguePoint,
        now_ms: i64,
    ) -> Result<Journal, DiskFailure> {
        let first = inherited.end.generation == Generation(0);
        let live = inherited.live.into_iter();
        let mut journal = Journal {
            disk: Arc::clone(disk),
            store,
            epoch,
            first_bytes: options.journal_first_bytes,
            file_bytes: options.journal_file_bytes,
            files_max: options.journal_files_max,
            live: live.map(LiveFile::inherited).collect(),
            held: Vec::new(),
            free: inherited.free,
            ahead: Ahead::Nothing,
            retired: inherited.retired,
            next_slot: inherited.next_slot,
            end: inherited.end,
            chain: inherited.chain,
            stated_oldest: inherited.stated_oldest,
            has_news: !inherited.goes_on,
            next_generation: inherited.next_generation,
            now_ms,
        };
        let goes_on = inherited.goes_on;
        if goes_on {
            let is_of_reserve = journal.active().capacity == journal.reserved_bytes();
            let is_whole = || reserve::is_whole(&**disk, options.reserve_bytes);
            let active = journal.newest_mut();
            active.state = FileState::Open;
            // What is left of the room that was held back is for facts, whoever owns the store.
            if is_of_reserve && !is_whole() {
                active.room = Room::Reserve;
            }
            return Ok(journal);
        }
        let begun = if first { Begun::First } else { Begun::Opened };
        let size = Size {
            wanted: options.journal_first_bytes,
            least: FRAMES_OFFSET + ALIGN + MARKER_BYTES,
            may_use_reserve: true,
        };
        journal.begin(begun, size, point)?;
        Ok(journal)
    }

    /// Tells the journal the time, Unix milliseconds, for the headers of new files.
    pub(crate) fn set_now(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    /// Whether the batch at the head needs a new file and the budget has none left. Facts are never
    /// refused: publishing segments is what makes room.
    pub(crate) fn over_budget(&self, batches: &VecDeque<NewFrame>) -> bool {
        let waits = batches.front().is_some_and(|frame| !self.fits(frame));
        waits && self.live.len() >= self.files_max
    }

    /// Everything before is durable.
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// The generation of the active file.
    pub(crate) fn newest(&self) -> Generation {
        self.active().generation
    }

    /// Files with unpublished frames, the active one included.
    pub(crate) fn files(&self) -> usize {
        self.live.len()
    }

    /// Bytes of all files, also of those that hold nothing any more.
    pub(crate) fn bytes(&self) -> u64 {
        let files: u64 = self.all().map(|file| file.capacity).sum();
        files + self.ready_bytes().unwrap_or(0)
    }

    /// Files that are open: those in use, those that readers hold, those that are free or ready.
    pub(crate) fn open_files(&self) -> usize {
        self.all().count() + usize::from(self.ready_bytes().is_some())
    }

    fn all(&self) -> impl Iterator<Item = &Arc<JournalFile>> {
        let used = self.live.iter().chain(&self.held).map(|live| &live.file);
        used.chain(&self.free).chain(&self.retired)
    }

    /// The generation of the oldest file.
    pub(crate) fn oldest(&self) -> Generation {
        self.live
            .front()
            .map_or_else(|| self.newest(), |oldest| oldest.file.generation)
    }

    /// Bytes of frames that no segment holds yet.
    pub(crate) fn unpublished(&self) -> u64 {
        self.live.iter().map(|live| live.unpublished).sum()
    }

    /// The oldest file that is not the active one, when the budget is used up.
    pub(crate) fn oldest_over_budget(&self) -> Option<Generation> {
        (self.live.len() >= self.files_max).then(|| self.live[0].file.generation)
    }

    /// Places the frames that one commit carries, facts before batches; begins a new file first
    /// when not even one fits.
    pub(crate) fn place(
        &mut self,
        facts: &mut VecDeque<NewFrame>,
        batches: &mut VecDeque<NewFrame>,
        point: CataloguePoint,
        may_use_reserve: bool,
    ) -> Result<Commit, DiskFailure> {
        let head = facts.front().or(batches.front());
        let barred = self.is_reserved() && facts.is_empty();
        if let Some(frame) = head.filter(|frame| barred || !self.fits(frame)) {
            let needed = FRAMES_OFFSET + frame.stride() + MARKER_BYTES;
            let size = self.size(needed, may_use_reserve);
            let point = point.with(facts.iter());
            self.begin(self.begun(), size, point)?;
        }
        let mut group = Vec::new();
        let mut end = self.end.offset;
        let mut bytes = 0;
        let batches = (!self.is_reserved()).then_some(batches);
        for queue in [Some(facts), batches].into_iter().flatten() {
            while let Some(frame) = queue.front() {
                let reach = end + frame.stride();
                bytes += frame.body.len();
                if reach + MARKER_BYTES > self.active().capacity
                    || frame.readable_by > self.active().readable_by
                    || (bytes > GROUP_BYTES && !group.is_empty())
                {
                    return Ok(self.encode(group));
                }
                end = reach;
                group.extend(queue.pop_front());
            }
        }
        Ok(self.encode(group))
    }

    /// Whether a marker would say anything new.
    pub(crate) fn has_news(&self) -> bool {
        self.has_news
    }

    /// A frame without records, so that a later open knows that all before it was durable.
    pub(crate) fn marker(&self) -> Option<Commit> {
        let marker = NewFrame {
            readable_by: Format::FIRST,
            thread: ThreadNumber::CATALOGUE,
            first: Ordinal(0),
            end: Ordinal(0),
            entry_count: 0,
            body: Arc::default(),
            body_crc: turnleaf_format::frame::body_crc(&[]),
            chain_before: ThreadChain::START,
            chain_after: ThreadChain::START,
            unfinished: false,
            lengths: Lengths::default(),
        };
        let fits = self.live.back()?.has_room(self.end.offset, 0);
        fits.then(|| self.encode(vec![marker]))
    }

    /// Moves the end past a commit that ran.
    pub(crate) fn committed(&mut self, commit: &Commit) {
        self.end = Position {
            generation: commit.file.generation,
            offset: commit.offset + commit.bytes.len() as u64,
        };
        self.chain = commit.chain_after;
        let records = commit
            .frames
            .iter()
            .filter(|placed| placed.frame.entry_count > 0);
        self.has_news = records.clone().next().is_some();
        let bytes: u64 = records.map(|placed| placed.frame.stride()).sum();
        self.newest_mut().unpublished += bytes;
    }

    /// Retires the active file for ever after a failed write or sync and places the group's frames
    /// in a fresh file, whose header says where the retired one ends. [S:journal-6]
    pub(crate) fn fail_over(
        &mut self,
        commit: Commit,
        point: CataloguePoint,
        may_use_reserve: bool,
    ) -> Result<Commit, DiskFailure> {
        self.retire();
        let frames: Vec<NewFrame> = commit
            .frames
            .into_iter()
            .map(|placed| placed.frame)
            .collect();
        let needed: u64 = frames.iter().map(NewFrame::stride).sum();
        let size = self.size(FRAMES_OFFSET + needed + MARKER_BYTES, may_use_reserve);
        self.begin(Begun::Failed, size, point.with(frames.iter()))?;
        Ok(self.encode(frames))
    }

    /// Retires the active file for ever: a write or sync of it failed. [S:journal-6]
    pub(crate) fn retire(&mut self) {
        self.newest_mut().state = FileState::Retired;
    }

    /// Notes that a segment holds one more frame of `generation`, or that nobody needs it.
    pub(crate) fn released(&mut self, generation: Generation, bytes: u64) {
        let found = self
            .live
            .iter_mut()
            .find(|live| live.file.generation == generation);
        if let Some(live) = found {
            live.unpublished = live.unpublished.saturating_sub(bytes);
        }
    }

    /// Lets go of files at the old end that hold nothing unpublished: they become free, or, when
    /// they were retired, wait for their removal. While a reader holds one it waits for that, and
    /// counts to no budget: the next header does without it.
    pub(crate) fn recycle(&mut self) {
        while self.live.len() > 1 {
            let is_needed = self.live[0].unpublished > 0;
            if is_needed {
                break;
            }
            self.held.extend(self.live.pop_front());
        }
        for kept in std::mem::take(&mut self.held) {
            // A reader that holds the file holds it for ever as far as we know.
            let is_held = Arc::strong_count(&kept.file) > 1;
            match kept {
                kept if is_held => self.held.push(kept),
                // A retired file is never written again; it goes when trimming may remove it.
                kept if kept.state == FileState::Retired => self.retired.push(kept.file),
                kept => self.free.push(kept.file),
            }
        }
    }

    /// Removes free files beyond `keep`, and where that is 0 the one that is ready, too. One that
    /// cannot be removed is kept for the next call.
    /// Returns whether any was removed.
    pub(crate) fn trim(&mut self, keep: usize) -> Result<bool, DiskFailure> {
        let gave_back = keep == 0 && self.give_back_ready();
        let before = self.free.len() + self.retired.len();
        let stated_oldest = self.stated_oldest;
        let removable = |file: &Arc<JournalFile>| file.generation < stated_oldest;
        while self.free.len() > keep {
            let Some(place) = self.free.iter().position(removable) else {
                break;
            };
            self.remove_file(&self.free[place])?;
            self.free.swap_remove(place);
            self.sync_names()?;
        }
        while let Some(file) = self.retired.last().filter(|file| removable(file)) {
            self.remove_file(file)?;
            self.retired.pop();
            self.sync_names()?;
        }
        Ok(gave_back || self.free.len() + self.retired.len() < before)
    }

    fn remove_file(&self, file: &JournalFile) -> Result<(), DiskFailure> {
        self.disk
            .remove(&file.path)
            .map_err(failed("remove", &file.path))
    }

    fn sync_names(&self) -> Result<(), DiskFailure> {
        self.disk
            .sync_dir(JOURNAL)
            .map_err(failed("sync the directory", JOURNAL))
    }

    fn active(&self) -> &Arc<JournalFile> {
        let newest = self.live.back();
        &newest.expect("an open journal has an active file").file
    }

    fn newest_mut(&mut self) -> &mut LiveFile {
        let newest = self.live.back_mut();
        newest.expect("an open journal has an active file")
    }

    fn fits(&self, frame: &NewFrame) -> bool {
        let newest = self.live.back();
        newest.is_some_and(|newest| {
            newest.admits(frame.readable_by) && newest.has_room(self.end.offset, frame.stride())
        })
    }

    fn encode(&self, frames: Vec<NewFrame>) -> Commit {
        let file = Arc::clone(self.active());
        let total: u64 = frames.iter().map(NewFrame::stride).sum();
        let mut bytes = Vec::with_capacity(usize::try_from(total).unwrap_or(0));
        let mut chain = self.chain;
        let mut placed = Vec::with_capacity(frames.len());
        for frame in frames {
            let offset = self.end.offset + bytes.len() as u64;
            let durable_upto = self.end;
            let header = FrameHeader {
                readable_by: frame.readable_by,
                place: Position {
                    generation: file.generation,
                    offset,
                },
                thread: frame.thread,
                first_ordinal: frame.first,
                entry_count: frame.entry_count,
                body_len: u32::try_from(frame.body.len()).expect("a body is at most 24 MiB"),
                durable_upto,
                epoch: self.epoch,
                journal_chain: chain,
                thread_chain: frame.chain_before,
                body_crc: frame.body_crc,
            };
            let (head, check) = header.encode(self.store);
            bytes.extend_from_slice(&head);
            bytes.extend_from_slice(&frame.body);
            let padded = usize::try_from(header.stride()).unwrap_or(0);
            let start = usize::try_from(offset - self.end.offset).unwrap_or(0);
            bytes.resize(start + padded, 0);
            chain = chain.after(check, header.body_crc);
            placed.push(Placed { frame, offset });
        }
        Commit {
            file,
            frames: placed,
            offset: self.end.offset,
            bytes,
            chain_after: chain,
        }
    }
}
