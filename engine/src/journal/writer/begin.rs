//! Owns the beginning of the next journal file: a recycled one, a new one, or, on a full disk, one
//! out of the reserve.

use std::io::ErrorKind;
use std::sync::Arc;

use turnleaf_format::frame::Position;
use turnleaf_format::journal::{Begun, FRAMES_OFFSET, JournalHeader};
use turnleaf_format::{Format, Generation, JournalChain, Version};

use super::{CataloguePoint, FileState, Journal, LiveFile, Room};
use crate::disk::DiskFile;
use crate::error::DiskFailure;
use crate::journal::file::{FILL_BYTES, begin_file, create_filled};
use crate::layout::journal_path;
use crate::reserve;
use crate::view::JournalFile;

/// A file that is begun out of the reserve has this size, so that the reserve lasts for many. No
/// other file has it, unless frames need just so much: the next owner knows it by its size.
/// [R:full-6]
const RESERVED_FILE_BYTES: u64 = 60 << 10;
/// A journal of two files of this size is small.
const SMALL_FILE_BYTES: u64 = 64 << 10;

/// How large a file is begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Where there is room, bytes.
    pub(super) wanted: u64,
    /// What it must have room for at least, bytes.
    pub(super) least: u64,
    /// Whether the reserve may be spent for it.
    pub(super) may_use_reserve: bool,
}

/// A file that can be begun.
struct Space {
    file: Arc<dyn DiskFile>,
    capacity: u64,
    /// The slot of a file that is begun anew; a new one has the next slot.
    recycled: Option<u32>,
    /// What stands in it may ask for so much, until it is overwritten. [S:version-4]
    readable_by: Format,
}

impl Journal {
    /// Begins small files when nothing else is needed, so that the large ones can go. A header asks
    /// for the file before, so only that of a second one does without the last large one.
    /// [S:journal-13]
    pub(crate) fn restart(&mut self, point: CataloguePoint) -> Result<(), DiskFailure> {
        let small = 2 * self.first_bytes.min(SMALL_FILE_BYTES);
        for _ in 0..2 {
            self.recycle();
            // What cannot be removed now is tried again.
            let _ = self.trim(0);
            if self.bytes() <= small || !self.would_shrink() {
                break;
            }
            let size = Size {
                wanted: self.first_bytes,
                least: self.first_bytes,
                may_use_reserve: false,
            };
            self.begin(self.begun(), size, point)?;
        }
        Ok(())
    }

    /// Whether the header of another file would let go of any: of the active one, or of those that
    /// only the newest header still asks for. Where something keeps the oldest file, such as a
    /// damaged thread, it keeps all behind it.
    fn would_shrink(&self) -> bool {
        let oldest = self.live[0].file.generation;
        let asked_for =
            |file: &Arc<JournalFile>| (self.stated_oldest.0..oldest.0).contains(&file.generation.0);
        self.live.len() == 1 || self.free.iter().chain(&self.retired).any(asked_for)
    }

    /// Why a file after the active one would be begun.
    pub(super) fn begun(&self) -> Begun {
        match self.live.back() {
            Some(active) if active.state == FileState::Retired => Begun::Failed,
            _ => Begun::Full,
        }
    }

    /// The size of a file for frames that need so much of it. Where there is room, it is as large
    /// as what only the journal holds, so that a small store stays small; an owner that fills one
    /// file after the other soon has large ones.
    pub(super) fn size(&self, needed: u64, may_use_reserve: bool) -> Size {
        let held = self.unpublished();
        let held = held.checked_ilog2().map_or(0, |log| 1 << log);
        let burst = if self.grows() {
            4 * self.active().capacity
        } else {
            0
        };
        let wanted = held.max(burst).min(self.file_bytes).max(self.first_bytes);
        Size {
            wanted: wanted.max(needed),
            least: needed,
            may_use_reserve,
        }
    }

    /// Begins a file. On a full disk a smaller one will do, or, where that may be spent, one out
    /// of the reserve.
    pub(super) fn begin(
        &mut self,
        begun: Begun,
        size: Size,
        point: CataloguePoint,
    ) -> Result<(), DiskFailure> {
        match self.begin_with_room(begun, size, point) {
            Err(failure) if failure.is_disk_full() && size.may_use_reserve => {}
            done => return done,
        }
        // Whoever opens may have spent it already, and left enough of the room.
        reserve::spend(&*self.disk);
        let small = self.reserved_bytes().max(size.least);
        self.begin_sized(begun, small, point)?;
        self.newest_mut().room = Room::Reserve;
        Ok(())
    }

    /// Begins a file of the size that is wanted, or as large a one as there is room for.
    fn begin_with_room(
        &mut self,
        begun: Begun,
        size: Size,
        point: CataloguePoint,
    ) -> Result<(), DiskFailure> {
        // What stands there already costs no room, and no time to fill it.
        let enough = size.least.max(size.wanted / 2);
        let standing = self.stands(enough).then_some(enough);
        let Err(failure) = self.begin_sized(begun, standing.unwrap_or(size.wanted), point) else {
            return Ok(());
        };
        if !failure.is_disk_full() {
            return Err(failure);
        }
        if self.stands(size.least) {
            return self.begin_sized(begun, size.least, point);
        }
        // It is too small for these frames, and takes room.
        self.give_back_ready();
        // Where there is no room for a large one, one of the first size may still do, or one for
        // these frames alone. [R:full-2]
        let exact = size.least.next_multiple_of(FILL_BYTES as u64);
        for modest in [self.first_bytes.max(size.least), exact] {
            if modest < size.wanted && self.begin_sized(begun, modest, point).is_ok() {
                return Ok(());
            }
        }
        Err(failure)
    }

    /// The size of a file that is begun out of the reserve.
    pub(super) fn reserved_bytes(&self) -> u64 {
        RESERVED_FILE_BYTES.min(self.first_bytes)
    }

    /// Whether the active file was begun out of the reserve, and that is not whole again.
    pub(crate) fn is_reserved(&self) -> bool {
        let newest = self.live.back();
        newest.is_some_and(|newest| newest.room == Room::Reserve)
    }

    /// Opens the active file to batches: the reserve is whole.
    pub(crate) fn reserve_is_whole(&mut self) {
        self.newest_mut().room = Room::Disk;
    }

    /// Whether this owner began the active file because the one before was full.
    pub(super) fn grows(&self) -> bool {
        let newest = self.live.back();
        newest.is_some_and(|newest| newest.begun == Some(Begun::Full))
    }

    /// Whether a file of at least this capacity stands there and can be begun.
    fn stands(&self, capacity: u64) -> bool {
        self.usable(capacity).is_some() || self.ready_bytes() >= Some(capacity)
    }

    /// The smallest free file that can be begun anew with at least this capacity.
    pub(super) fn usable(&self, capacity: u64) -> Option<usize> {
        let stated_oldest = self.stated_oldest;
        let usable =
            |file: &Arc<JournalFile>| file.capacity >= capacity && file.generation < stated_oldest;
        let fitting = self
            .free
            .iter()
            .enumerate()
            .filter(|(_, file)| usable(file));
        let smallest = fitting.min_by_key(|(_, file)| file.capacity);
        smallest.map(|(place, _)| place)
    }

    /// Creates a file of zeros under a name that nothing has.
    fn create(&mut self, capacity: u64) -> Result<Arc<dyn DiskFile>, DiskFailure> {
        loop {
            let path = journal_path(self.next_slot);
            match create_filled(&*self.disk, &path, capacity) {
                // What stands there is not known to be nobody's.
                Err(failure) if failure.source.kind() == ErrorKind::AlreadyExists => {
                    self.next_slot = self.next_slot.wrapping_add(1);
                }
                created => return created,
            }
        }
    }

    fn begin_sized(
        &mut self,
        begun: Begun,
        capacity: u64,
        point: CataloguePoint,
    ) -> Result<(), DiskFailure> {
        // Without room for a file nothing was begun, and the active one goes on.
        let Space {
            file,
            capacity,
            recycled,
            readable_by,
        } = self.find_space(capacity)?;
        let point = point.asking_for(readable_by);
        // INVARIANT: once a header may have been written, the active file takes no further frame
        // and the generation is not used again, even when that fails: a header that reached the
        // disk all the same must not contradict what happened later. [S:journal-9]
        self.close();
        let generation = self.next_generation;
        self.next_generation = Generation(generation.0 + 1);
        let header = self.header(begun, generation, capacity, point);
        let slot = recycled.unwrap_or(self.next_slot);
        let is_new = recycled.is_none();
        let file = begin_file(&*self.disk, slot, (file, is_new), &header)?;
        if is_new {
            self.next_slot = self.next_slot.wrapping_add(1);
        }
        self.live.push_back(LiveFile {
            file: Arc::new(file),
            unpublished: 0,
            state: FileState::Open,
            room: Room::Disk,
            begun: Some(begun),
        });
        self.chain = JournalChain::start(self.store, generation);
        self.end = Position {
            generation,
            offset: FRAMES_OFFSET,
        };
        self.stated_oldest = header.oldest_live;
        self.has_news = true;
        self.begun_anew();
        Ok(())
    }

    /// A free file, the one that is ready, or a new one, with at least this capacity.
    fn find_space(&mut self, capacity: u64) -> Result<Space, DiskFailure> {
        if let Some(place) = self.usable(capacity) {
            let free = self.free.swap_remove(place);
            return Ok(Space {
                file: Arc::clone(&free.file),
                capacity: free.capacity,
                recycled: Some(free.slot),
                readable_by: free.readable_by,
            });
        }
        let (capacity, file) = match self.take_ready(capacity) {
            Some(ready) => ready,
            None => {
                let created = self.create(capacity)?;
                // It was too small.
                self.give_back_ready();
                (capacity, created)
            }
        };
        Ok(Space {
            file,
            capacity,
            recycled: None,
            readable_by: Format::FIRST,
        })
    }

    /// The active file, if there is one, takes no further frame.
    fn close(&mut self) {
        if let Some(active) = self.live.back_mut()
            && active.state == FileState::Open
        {
            active.state = FileState::Closed;
        }
    }

    fn header(
        &self,
        begun: Begun,
        generation: Generation,
        capacity: u64,
        point: CataloguePoint,
    ) -> JournalHeader {
        let oldest = self.live.front();
        JournalHeader {
            version: Version::asking_for(point.readable_by),
            store: self.store,
            generation,
            capacity,
            epoch: self.epoch,
            oldest_live: oldest.map_or(generation, |live| live.file.generation),
            previous_end: self.end,
            previous_chain: self.chain,
            begun,
            catalogue_sealed_end: point.sealed_end,
            catalogue_chain: point.chain,
            created_ms: self.now_ms,
        }
    }
}
