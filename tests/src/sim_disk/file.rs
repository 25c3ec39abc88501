//! Owns the bytes of a file: what the cache shows, what is durable, what lies between.

use std::fmt;
use std::io;

use turnleaf_engine::disk::DiskFile;

use super::{SimDisk, crashed};

/// A change of a file's bytes that was not synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pending {
    Write {
        stamp: u64,
        offset: u64,
        bytes: Vec<u8>,
    },
    Len {
        stamp: u64,
        len: u64,
    },
}

impl Pending {
    pub(super) fn stamp(&self) -> u64 {
        match self {
            Pending::Write { stamp, .. } | Pending::Len { stamp, .. } => *stamp,
        }
    }

    /// Applies the change to an image.
    pub(super) fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Pending::Write { offset, bytes, .. } => write(image, *offset, bytes),
            Pending::Len { len, .. } => image.resize(usize::try_from(*len).unwrap_or(0), 0),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) cached: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<Pending>,
}

impl Inode {
    pub(super) fn flip(&mut self, offset: u64, bit: u8) {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        for image in [&mut self.cached, &mut self.durable] {
            if let Some(byte) = image.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }
}

pub(super) fn write(image: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    if image.len() < start + bytes.len() {
        image.resize(start + bytes.len(), 0);
    }
    image[start..start + bytes.len()].copy_from_slice(bytes);
}

/// An open file.
pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) inode: u64,
    pub(super) locked: bool,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({})", self.inode)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if self.locked {
            self.disk.lock().locked.remove(&self.inode);
        }
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.lock();
        if state.crashed {
            return Err(crashed());
        }
        Ok(state.inodes[&self.inode].cached.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.lock();
        if state.crashed {
            return Err(crashed());
        }
        let image = &state.inodes[&self.inode].cached;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(image.len());
        let len = buffer.len().min(image.len() - start);
        buffer[..len].copy_from_slice(&image[start..start + len]);
        Ok(len)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        let allowed = SimDisk::call(&mut state, "write");
        let room = state.capacity.map_or(u64::MAX, |capacity| {
            let grown = offset + bytes.len() as u64;
            let grows = grown.saturating_sub(state.inodes[&self.inode].cached.len() as u64);
            if state.used() + grows <= capacity {
                u64::MAX
            } else {
                bytes.len() as u64 / 2
            }
        });
        // A write that fails has done a part of its work.
        let part = if allowed.is_ok() {
            bytes.len() as u64
        } else {
            bytes.len() as u64 / 2
        };
        let len = usize::try_from(part.min(room))
            .unwrap_or(0)
            .min(bytes.len());
        let stamp = state.ops;
        let inode = state
            .inodes
            .get_mut(&self.inode)
            .expect("an open file has an inode");
        write(&mut inode.cached, offset, &bytes[..len]);
        let bytes_done = bytes[..len].to_vec();
        inode.pending.push(Pending::Write {
            stamp,
            offset,
            bytes: bytes_done,
        });
        allowed?;
        if len < bytes.len() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        SimDisk::call(&mut state, "set_len")?;
        let stamp = state.ops;
        let inode = state
            .inodes
            .get_mut(&self.inode)
            .expect("an open file has an inode");
        inode.cached.resize(usize::try_from(len).unwrap_or(0), 0);
        inode.pending.push(Pending::Len { stamp, len });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let allowed = SimDisk::call(&mut state, "sync");
        let stopped = state.crashed;
        let inode = state
            .inodes
            .get_mut(&self.inode)
            .expect("an open file has an inode");
        match allowed {
            Ok(()) => {
                for change in std::mem::take(&mut inode.pending) {
                    change.apply(&mut inode.durable);
                }
            }
            // A failed sync drops the bytes on the floor: the cache shows them, the disk will not,
            // and a second sync succeeds all the same (measured on Linux).
            Err(_) if !stopped => inode.pending.clear(),
            Err(_) => {}
        }
        allowed
    }
}
