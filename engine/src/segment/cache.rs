//! Owns the open segments and inflated blocks that readers share; at most a fixed number of
//! descriptors and bytes. Readers of all threads meet here: the only locks of the engine are those
//! of the two caches.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, UnitWeighter, Weighter};
use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::segment::Class;
use turnleaf_format::{SegmentId, StoreId};

use super::read::{Block, OpenSegment};
use crate::disk::Disk;
use crate::error::ReadError;
use crate::view::SegmentFile;

/// Raw bytes of a block, roughly, to guess how many the cache holds.
const BLOCK_BYTES: usize = 64 << 10;

/// Always the same, so that the same reads meet the same cache. The keys are numbers of ours.
type Hasher = BuildHasherDefault<DefaultHasher>;
/// The place of a block: its segment, and its index there.
type BlockKey = (SegmentId, usize);

/// Opens segments on demand, and keeps those and the blocks that were used lately, or often.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    store: StoreId,
    open: Cache<SegmentId, Arc<OpenSegment>, UnitWeighter, Hasher>,
    blocks: Cache<BlockKey, Arc<Block>, RawBytes, Hasher>,
    block_bytes_max: usize,
}

/// A block weighs what it takes up.
#[derive(Debug, Clone)]
struct RawBytes;

impl Weighter<BlockKey, Arc<Block>> for RawBytes {
    fn weight(&self, _: &BlockKey, block: &Arc<Block>) -> u64 {
        // What weighs nothing would never be dropped.
        block.raw.len().max(1) as u64
    }
}

/// A cache in one piece: pieces would each have a share of the bound, and an item that is larger
/// than a share would not be kept. Readers that find what they look for do not exclude each other.
fn cache<K, V, W>(items: usize, weight_max: usize, weighter: W) -> Cache<K, V, W, Hasher>
where
    K: Eq + std::hash::Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
{
    let options = OptionsBuilder::new()
        .shards(1)
        .estimated_items_capacity(items)
        .weight_capacity(weight_max as u64)
        .build()
        .expect("both capacities are set");
    Cache::with_options(
        options,
        weighter,
        Hasher::default(),
        DefaultLifecycle::default(),
    )
}

impl Segments {
    /// Keeps at most so many descriptors and bytes of blocks. What a reader holds is open beside
    /// them for as long as it reads.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        store: StoreId,
        descriptors_max: usize,
        block_bytes_max: usize,
    ) -> Segments {
        let blocks_max = block_bytes_max.div_ceil(BLOCK_BYTES);
        Segments {
            disk,
            store,
            open: cache(descriptors_max, descriptors_max, UnitWeighter),
            blocks: cache(blocks_max, block_bytes_max, RawBytes),
            block_bytes_max,
        }
    }

    /// The open segment.
    pub(crate) fn get(&self, file: &SegmentFile) -> Result<Arc<OpenSegment>, ReadError> {
        if let Some(found) = self.open.get(&file.segment) {
            return Ok(found);
        }
        let opened = OpenSegment::open(&*self.disk, self.store, file)?;
        let opened = Arc::new(opened);
        // Where something could not be read, the next reader asks the device again.
        if opened.unreadable().is_none() {
            self.open.insert(file.segment, Arc::clone(&opened));
        }
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
        // The header says which class it is; of the other one the header is invalid.
        let of = |class| {
            let open = of(class)?;
            // What could not be read may say another class, or other tables.
            match open
                .invalid()
                .iter()
                .find(|found| found.unreadable().is_some())
            {
                Some(found) => Err(ReadError::from(found.clone())),
                None => Ok(open),
            }
        };
        let run = of(Class::Run)?;
        if run.invalid().is_empty() {
            return Ok(run.publication(Class::Run));
        }
        Ok(of(Class::Pack)?.publication(Class::Pack))
    }

    /// An inflated block, when it is still in memory.
    pub(crate) fn cached_block(&self, id: SegmentId, index: usize) -> Option<Arc<Block>> {
        self.blocks.get(&(id, index))
    }

    /// Keeps an inflated block for the next reader, unless it is much of what may be kept.
    pub(crate) fn keep_block(&self, id: SegmentId, index: usize, block: &Arc<Block>) {
        if block.raw.len() * 8 <= self.block_bytes_max {
            self.blocks.insert((id, index), Arc::clone(block));
        }
    }

    /// Forgets a segment that was replaced, so that its file can go.
    pub(crate) fn forget(&self, id: SegmentId) {
        self.open.remove(&id);
        self.blocks.retain(|(segment, _), _| *segment != id);
    }

    /// How many segments are open, and bytes of the blocks in memory.
    pub(crate) fn held(&self) -> (usize, usize) {
        let block_bytes = usize::try_from(self.blocks.weight());
        (self.open.len(), block_bytes.unwrap_or(usize::MAX))
    }
}
