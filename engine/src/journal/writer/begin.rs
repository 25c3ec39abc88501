//! Owns the beginning of the next journal file: a recycled one, a new one, or, on a full disk, one
//! out of the reserve.

use std::io::ErrorKind;
use std::sync::Arc;

use turnleaf_format::frame::Position;
use turnleaf_format::journal::{Begun, FRAMES_OFFSET, JournalHeader};
use turnleaf_format::{Generation, JournalChain};

use super::{CataloguePoint, Journal, LiveFile};
use crate::disk::DiskFile;
use crate::error::DiskFailure;
use crate::journal::file::{begin_file, create_filled};
use crate::reserve;
use crate::view::JournalFile;

/// A file that is begun out of the reserve has this size, so that the reserve lasts for many.
const RESERVED_FILE_BYTES: u64 = 64 << 10;

/// How large a file is begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Where there is room, bytes.
    pub(super) wanted: u64,
    /// What it must have room for at least, bytes.
    pub(super) least: u64,
    /// Whether the reserve may be spent for it.
    pub(super) vital: bool,
}

impl Journal {
    /// Begins a small file when nothing else is needed, so that the large ones can go.
    pub(crate) fn restart(
        &mut self,
        capacity: u64,
        point: CataloguePoint,
    ) -> Result<(), DiskFailure> {
        self.recycle();
        let idle = self.live.len() == 1 && self.free.is_empty();
        if idle && self.active().capacity <= capacity {
            return Ok(());
        }
        let size = Size {
            wanted: capacity,
            least: capacity,
            vital: false,
        };
        self.begin(self.begun(), size, point)
    }

    /// Why a file after the active one would be begun.
    pub(super) fn begun(&self) -> Begun {
        match self.live.back() {
            Some(active) if active.retired => Begun::Failed,
            _ => Begun::Full,
        }
    }

    /// The size of a file for frames that need so much of it.
    pub(super) fn size(&self, needed: u64, vital: bool) -> Size {
        Size {
            wanted: self.file_bytes.max(needed),
            least: needed,
            vital,
        }
    }

    /// Begins a file. On a full disk a smaller one that stands already will do, and for what is
    /// vital one out of the reserve.
    pub(super) fn begin(
        &mut self,
        begun: Begun,
        size: Size,
        point: CataloguePoint,
    ) -> Result<(), DiskFailure> {
        let Err(failure) = self.begin_sized(begun, size.wanted, point) else {
            self.reserved = false;
            return Ok(());
        };
        if !failure.is_of_room() {
            return Err(failure);
        }
        if self.usable(size.least).is_some() {
            self.begin_sized(begun, size.least, point)?;
            self.reserved = false;
            return Ok(());
        }
        // Where there is no room for a large one, one of the first size may still do.
        let modest = self.first_bytes.max(size.least);
        if modest < size.wanted && self.begin_sized(begun, modest, point).is_ok() {
            self.reserved = false;
            return Ok(());
        }
        if !size.vital {
            return Err(failure);
        }
        // Whoever opens may have spent it already, and left enough of the room.
        reserve::spend(&*self.disk);
        let small = RESERVED_FILE_BYTES.min(self.first_bytes).max(size.least);
        self.begin_sized(begun, small, point)?;
        self.reserved = true;
        #[cfg(turnleaf_bugs)]
        if crate::bugs::ReserveForBatches.planted() {
            self.reserved = false;
        }
        Ok(())
    }

    /// Whether the active file was begun out of the reserve.
    pub(crate) fn is_reserved(&self) -> bool {
        self.reserved
    }

    /// The free file that can be begun anew with at least this capacity.
    fn usable(&self, capacity: u64) -> Option<usize> {
        let stated_oldest = self.stated_oldest;
        #[cfg(turnleaf_bugs)]
        let stated_oldest =
            crate::bugs::RecycledTooEarly.turns(stated_oldest, |_| self.next_generation);
        let usable =
            |file: &Arc<JournalFile>| file.capacity >= capacity && file.generation < stated_oldest;
        self.free.iter().position(usable)
    }

    /// Creates a file of zeros under a name that nothing has.
    fn create(&mut self, capacity: u64) -> Result<Arc<dyn DiskFile>, DiskFailure> {
        loop {
            match create_filled(&*self.disk, self.next_slot, capacity) {
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
        let place = self.usable(capacity);
        // Without room for a file nothing was begun, and the active one goes on.
        let created = match place {
            Some(_) => None,
            None => Some(self.create(capacity)?),
        };
        // INVARIANT: once a header may have been written, the active file takes no further frame
        // and the generation is not used again, even when that fails: a header that reached the
        // disk all the same must not contradict what happened later. [S:journal-9]
        self.closed = true;
        let generation = self.next_generation;
        self.next_generation = Generation(generation.0 + 1);
        let recycled = place.map(|place| self.free.swap_remove(place));
        let capacity = recycled.as_ref().map_or(capacity, |file| file.capacity);
        let slot = recycled.as_ref().map_or(self.next_slot, |file| file.slot);
        let oldest_live = self
            .live
            .front()
            .map_or(generation, |live| live.file.generation);
        let header = JournalHeader {
            store: self.store,
            generation,
            capacity,
            epoch: self.epoch,
            oldest_live,
            previous_end: self.durable,
            previous_chain: self.chain,
            begun,
            catalogue_sealed_end: point.sealed_end,
            catalogue_chain: point.chain,
            created_ms: self.now_ms,
        };
        let is_new = recycled.is_none();
        let old = recycled.map(|file| Arc::clone(&file.file));
        let file = created.or(old).expect("a file is created or recycled");
        let file = begin_file(&*self.disk, slot, (file, is_new), &header)?;
        if is_new {
            self.next_slot = self.next_slot.wrapping_add(1);
        }
        self.live.push_back(LiveFile {
            file: Arc::new(file),
            unpublished: 0,
            retired: false,
        });
        self.offset = FRAMES_OFFSET;
        self.chain = JournalChain::start(self.store, generation);
        self.durable = Position {
            generation,
            offset: FRAMES_OFFSET,
        };
        self.stated_oldest = oldest_live;
        self.closed = false;
        Ok(())
    }
}
