//! Owns the reading of the catalogue's checkpoint. Whatever is wrong with it, there is none: the
//! records say all that it says. [R:cat-9]

use turnleaf_format::checkpoint::{CheckpointHeader, HEADER_BYTES, Item};
use turnleaf_format::{Ordinal, StoreId, ThreadChain};

use crate::catalogue::Catalogue;
use crate::disk::{DiskFile, read_exact_at};

/// Bytes that are read at once.
const PIECE_BYTES: u64 = 256 << 10;

/// What a checkpoint says.
#[derive(Debug)]
pub(super) struct Checkpoint {
    /// The records before this one are added up.
    pub(super) end: Ordinal,
    /// The catalogue's chain there.
    pub(super) chain: ThreadChain,
    pub(super) catalogue: Catalogue,
}

/// Reads a checkpoint of this store, in pieces: what it adds up to is believed when all of it was
/// read and is what was written.
pub(super) fn read_checkpoint(file: &dyn DiskFile, store: StoreId) -> Option<Checkpoint> {
    let len = file.len().ok()?;
    let head = read_exact_at(file, 0, HEADER_BYTES).ok()?;
    let header = CheckpointHeader::decode(&head).ok()?;
    let whole = header.body_len.checked_add(HEADER_BYTES as u64)? == len;
    if !whole || header.store != store {
        return None;
    }
    let mut catalogue = Catalogue::begun_for(store);
    let mut digest = blake3::Hasher::new();
    let (mut at, mut rest) = (HEADER_BYTES as u64, Vec::new());
    while at < len {
        let piece = usize::try_from((len - at).min(PIECE_BYTES)).ok()?;
        let piece = read_exact_at(file, at, piece).ok()?;
        at += piece.len() as u64;
        digest.update(&piece);
        rest.extend_from_slice(&piece);
        let mut taken = 0;
        while let Some((item, bytes)) = Item::decode(&rest[taken..]).ok()? {
            catalogue.take(&item).then_some(())?;
            taken += bytes;
        }
        rest.drain(..taken);
    }
    let is_right = *digest.finalize().as_bytes() == header.digest;
    (is_right && rest.is_empty()).then_some(Checkpoint {
        end: header.end,
        chain: header.chain,
        catalogue,
    })
}
