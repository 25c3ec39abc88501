//! Owns a checksum for every block of the index file, between redb and the caller's backend; it
//! must not know what redb keeps in a block.
//!
//! redb writes a checksum for each page and does not look at it when it reads: a flipped bit in an
//! inner page silently hides rows or leads to an old version of a page, which no checksum of a row
//! can notice. Here each read that reaches the file is verified.
//!
//! The file is a sequence of groups: one block of 1024 little-endian CRC-32, then 1024 blocks of
//! 4096 bytes. 0 stands for a block that was never written and holds zeros. Block 0, redb's header,
//! is not covered: it is rewritten in place, alone, and its halves have checksums that redb does
//! verify. A wrong bit there leads at most to the commit before, and its watermark says so.
//!
//! DURABILITY: checksums are written before each sync of redb and need no order of their own: a
//! block that differs from its checksum after a crash was written since the last sync, and redb's
//! durable trees do not lead to such a block.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

const BLOCK: usize = 4096;
const BLOCK_BYTES: u64 = BLOCK as u64;
const GROUP_BLOCKS: u64 = BLOCK_BYTES / 4;
const GROUP_BYTES: u64 = (GROUP_BLOCKS + 1) * BLOCK_BYTES;

/// A block of the file does not match its checksum.
#[derive(Debug, thiserror::Error)]
#[error("block {block} of the index does not match its checksum")]
struct Mismatch {
    block: u64,
}

/// The caller's backend panicked.
#[derive(Debug, thiserror::Error)]
#[error("the backend of the index panicked")]
struct BackendPanicked;

/// Whether an error says that the caller's backend panicked.
pub(super) fn is_panic(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<BackendPanicked>())
}

/// Whether an error of a read says that a block does not match.
pub(super) fn is_mismatch(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Mismatch>())
}

/// A backend whose blocks are verified.
#[derive(Debug)]
pub(super) struct Blocks<B> {
    inner: B,
    /// `StorageBackend` is shared by redb's readers and its writer.
    groups: Mutex<BTreeMap<u64, Group>>,
}

/// Checksums of one group.
#[derive(Debug)]
struct Group {
    bytes: Vec<u8>,
    is_written: bool,
}

impl Group {
    fn at(slot: u64) -> std::ops::Range<usize> {
        let slot = usize::try_from(slot % GROUP_BLOCKS).expect("a slot is below 1024");
        slot * 4..slot * 4 + 4
    }

    fn set(&mut self, block: u64, checksum: [u8; 4]) {
        let slot = &mut self.bytes[Self::at(block)];
        self.is_written &= slot == checksum;
        slot.copy_from_slice(&checksum);
    }
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32fast::hash(bytes).max(1).to_le_bytes()
}

/// Where a logical byte lies in the file.
fn placed(offset: u64) -> u64 {
    let block = offset / BLOCK_BYTES;
    (block / GROUP_BLOCKS) * GROUP_BYTES
        + (1 + block % GROUP_BLOCKS) * BLOCK_BYTES
        + offset % BLOCK_BYTES
}

impl<B: StorageBackend> Blocks<B> {
    pub(super) fn new(inner: B) -> Blocks<B> {
        Blocks {
            inner,
            groups: Mutex::new(BTreeMap::new()),
        }
    }

    /// Calls the caller's backend. Its panic must not unwind through redb, whose destructors would
    /// call it again, and a panic in a destructor ends the process.
    fn below<T>(&self, call: impl FnOnce(&B) -> io::Result<T>) -> io::Result<T> {
        catch_unwind(AssertUnwindSafe(|| call(&self.inner)))
            .unwrap_or_else(|_| Err(io::Error::other(BackendPanicked)))
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<u64, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_group<T>(&self, block: u64, act: impl FnOnce(&mut Group) -> T) -> io::Result<T> {
        let number = block / GROUP_BLOCKS;
        match self.groups().entry(number) {
            Entry::Occupied(entry) => Ok(act(entry.into_mut())),
            Entry::Vacant(entry) => {
                let mut bytes = vec![0; BLOCK];
                if number * GROUP_BYTES + BLOCK_BYTES <= self.below(B::len)? {
                    self.below(|inner| inner.read(number * GROUP_BYTES, &mut bytes))?;
                }
                Ok(act(entry.insert(Group {
                    bytes,
                    is_written: true,
                })))
            }
        }
    }

    fn verify(&self, block: u64, bytes: &[u8]) -> io::Result<()> {
        let stored: [u8; 4] = self.with_group(block, |group| {
            group.bytes[Group::at(block)]
                .try_into()
                .expect("a checksum has four bytes")
        })?;
        let unwritten = stored == [0; 4] && bytes.iter().all(|byte| *byte == 0);
        if block == 0 || unwritten || stored == checksum(bytes) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            Mismatch { block },
        ))
    }

    /// A whole block, verified.
    fn block(&self, block: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; BLOCK];
        self.below(|inner| inner.read(placed(block * BLOCK_BYTES), &mut bytes))?;
        self.verify(block, &bytes)?;
        Ok(bytes)
    }

    fn write_checksums(&self) -> io::Result<()> {
        for (number, group) in self
            .groups()
            .iter_mut()
            .filter(|(_, group)| !group.is_written)
        {
            self.below(|inner| inner.write(number * GROUP_BYTES, &group.bytes))?;
            group.is_written = true;
        }
        Ok(())
    }

    /// Calls `act` with the file offset and the part of `0..len` of every stretch that is
    /// contiguous in the file.
    fn stretches(
        offset: u64,
        len: usize,
        mut act: impl FnMut(u64, std::ops::Range<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let group_left = GROUP_BLOCKS * BLOCK_BYTES - at % (GROUP_BLOCKS * BLOCK_BYTES);
            let next = len.min(done + usize::try_from(group_left).unwrap_or(usize::MAX));
            act(placed(at), done..next)?;
            done = next;
        }
        Ok(())
    }
}

/// Splits `len` bytes at `offset` into blocks: number, place in the block, place in the bytes.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let inside = usize::try_from(at % BLOCK_BYTES).expect("a place in a block is below 4096");
        let next = len.min(done + BLOCK - inside);
        let piece = (at / BLOCK_BYTES, inside, done..next);
        done = next;
        Some(piece)
    })
}

impl<B: StorageBackend> StorageBackend for Blocks<B> {
    fn len(&self) -> Result<u64, io::Error> {
        let len = self.below(B::len)?;
        let rest = (len % GROUP_BYTES).saturating_sub(BLOCK_BYTES);
        // Only an empty file may become an index.
        if !len.is_multiple_of(BLOCK_BYTES) || len == BLOCK_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(len / GROUP_BYTES * GROUP_BLOCKS * BLOCK_BYTES + rest)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > self.len().unwrap_or(u64::MAX)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Self::stretches(offset, out.len(), |at, part| {
            self.below(|inner| inner.read(at, &mut out[part]))
        })?;
        for (block, inside, part) in pieces(offset, out.len()) {
            if block == 0 {
                continue;
            }
            if inside == 0 && part.len() == BLOCK {
                self.verify(block, &out[part])?;
            } else {
                out[part.clone()].copy_from_slice(&self.block(block)?[inside..inside + part.len()]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        if !len.is_multiple_of(BLOCK_BYTES) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (old_end, new_end) = (self.len()? / BLOCK_BYTES, len / BLOCK_BYTES);
        for block in new_end..old_end {
            self.with_group(block, |group| group.set(block, [0; 4]))?;
        }
        let groups_end = new_end.div_ceil(GROUP_BLOCKS);
        self.groups().retain(|number, _| *number < groups_end);
        self.below(|inner| inner.set_len((new_end + groups_end) * BLOCK_BYTES))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.write_checksums()?;
        self.below(B::sync_data)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut checksums = Vec::with_capacity(data.len() / BLOCK + 2);
        for (block, inside, part) in pieces(offset, data.len()) {
            if block == 0 {
                continue;
            }
            if part.len() == BLOCK {
                checksums.push((block, checksum(&data[part])));
            } else {
                let mut whole = self.block(block)?;
                whole[inside..inside + part.len()].copy_from_slice(&data[part]);
                checksums.push((block, checksum(&whole)));
            }
        }
        Self::stretches(offset, data.len(), |at, part| {
            self.below(|inner| inner.write(at, &data[part]))
        })?;
        for (block, checksum) in checksums {
            self.with_group(block, |group| group.set(block, checksum))?;
        }
        Ok(())
    }

    fn close(&self) -> Result<(), io::Error> {
        let written = self.write_checksums();
        self.below(B::close)?;
        written
    }
}

#[cfg(test)]
mod tests;
