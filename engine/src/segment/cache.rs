//! Owns the open segments and inflated blocks that readers share; at most a fixed number of
//! descriptors and bytes. The only locks of the engine are here: readers of all threads meet
//! here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::segment::Class;
use turnleaf_format::{SegmentId, StoreId};

use super::read::{Block, OpenSegment};
use crate::disk::Disk;
use crate::error::ReadError;
use crate::view::SegmentFile;

/// Opens segments on demand and keeps the most recently used ones.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    store: StoreId,
    descriptors_max: usize,
    block_bytes_max: usize,
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Counts uses; the entry with the lowest stamp is the least recently used.
    clock: u64,
    open: HashMap<SegmentId, (u64, Arc<OpenSegment>)>,
    blocks: HashMap<(SegmentId, usize), (u64, Arc<Block>)>,
    block_bytes: usize,
}

impl Segments {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        store: StoreId,
        descriptors_max: usize,
        block_bytes_max: usize,
    ) -> Segments {
        let shared = Mutex::new(Shared::default());
        Segments {
            disk,
            store,
            descriptors_max,
            block_bytes_max,
            shared,
        }
    }

    /// The open segment.
    pub(crate) fn get(&self, file: &SegmentFile) -> Result<Arc<OpenSegment>, ReadError> {
        let id = file.segment;
        if let Some(found) = self.locked(|shared| shared.touch(id)) {
            return Ok(found);
        }
        let opened = OpenSegment::open(&*self.disk, self.store, file)?;
        let opened = Arc::new(opened);
        if opened.unreadable().is_some() {
            // The next reader asks the device again.
            return Ok(opened);
        }
        self.locked(|shared| {
            let descriptors_max = self.descriptors_max;
            #[cfg(turnleaf_bugs)]
            let descriptors_max =
                crate::bugs::DescriptorsUnbounded.turns(descriptors_max, |_| usize::MAX);
            while shared.open.len() >= descriptors_max {
                shared.close_oldest();
            }
            shared.clock += 1;
            shared.open.insert(id, (shared.clock, Arc::clone(&opened)));
        });
        Ok(opened)
    }

    /// What would publish a segment that no record mentions; `None` where its tables are not those
    /// that were written.
    pub(crate) fn publication_of(
        &self,
        segment: SegmentId,
    ) -> Result<Option<CatalogueRecord>, ReadError> {
        let of = |class| {
            let published = None;
            let file = SegmentFile {
                segment,
                class,
                published,
            };
            OpenSegment::open(&*self.disk, self.store, &file)
        };
        // The header says which class it is; the other one is odd.
        let of = |class| {
            let open = of(class)?;
            // What could not be read may say another class, or other tables.
            match open.odd().iter().find(|odd| odd.unreadable().is_some()) {
                Some(odd) => Err(ReadError::from(odd.clone())),
                None => Ok(open),
            }
        };
        let run = of(Class::Run)?;
        if run.odd().is_empty() {
            return Ok(run.publication(Class::Run));
        }
        Ok(of(Class::Pack)?.publication(Class::Pack))
    }

    /// An inflated block, when it is still in memory.
    pub(crate) fn cached_block(&self, id: SegmentId, index: usize) -> Option<Arc<Block>> {
        self.locked(|shared| {
            shared.clock += 1;
            let clock = shared.clock;
            let (stamp, block) = shared.blocks.get_mut(&(id, index))?;
            *stamp = clock;
            Some(Arc::clone(block))
        })
    }

    /// Keeps an inflated block for the next reader.
    pub(crate) fn keep_block(&self, id: SegmentId, index: usize, block: &Arc<Block>) {
        if block.raw.len() * 8 > self.block_bytes_max {
            return;
        }
        self.locked(|shared| {
            while shared.block_bytes + block.raw.len() > self.block_bytes_max {
                shared.drop_oldest_block();
            }
            shared.clock += 1;
            let kept = (shared.clock, Arc::clone(block));
            shared.block_bytes += block.raw.len();
            if let Some((_, old)) = shared.blocks.insert((id, index), kept) {
                shared.block_bytes -= old.raw.len();
            }
        });
    }

    /// Forgets a segment that was replaced, so that its file can go.
    pub(crate) fn forget(&self, id: SegmentId) {
        self.locked(|shared| {
            shared.open.remove(&id);
            let Shared {
                blocks,
                block_bytes,
                ..
            } = shared;
            blocks.retain(|(segment, _), (_, block)| {
                let keep = *segment != id;
                *block_bytes -= if keep { 0 } else { block.raw.len() };
                keep
            });
        });
    }

    /// How many segments are open, and bytes of the blocks in memory.
    pub(crate) fn held(&self) -> (usize, usize) {
        self.locked(|shared| (shared.open.len(), shared.block_bytes))
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> T {
        // A panic elsewhere cannot leave the maps half changed, so a poisoned lock is still good.
        work(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    fn touch(&mut self, id: SegmentId) -> Option<Arc<OpenSegment>> {
        self.clock += 1;
        let (stamp, segment) = self.open.get_mut(&id)?;
        *stamp = self.clock;
        Some(Arc::clone(segment))
    }

    fn close_oldest(&mut self) {
        let oldest = self
            .open
            .iter()
            .min_by_key(|(_, (stamp, _))| *stamp)
            .map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.open.remove(&id);
        }
    }

    fn drop_oldest_block(&mut self) {
        let oldest = self
            .blocks
            .iter()
            .min_by_key(|(_, (stamp, _))| *stamp)
            .map(|(key, _)| *key);
        if let Some((_, block)) = oldest.and_then(|key| self.blocks.remove(&key)) {
            self.block_bytes -= block.raw.len();
        }
    }
}
