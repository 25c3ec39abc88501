//! Owns the bytes of a file: what the cache shows, what is durable, what lies between.

use std::fmt;
use std::io;
use std::sync::Arc;

use turnleaf_engine::disk::{DiskFile, FileId};

use super::image::Image;
use super::{Allowed, SimDisk, State};

/// A change of a file's bytes that was not synced.
#[derive(Debug, Clone)]
pub(super) enum Pending {
    Write {
        stamp: u64,
        offset: usize,
        bytes: Arc<[u8]>,
    },
    Len {
        stamp: u64,
        len: usize,
    },
}

impl Pending {
    pub(super) fn stamp(&self) -> u64 {
        match self {
            Pending::Write { stamp, .. } | Pending::Len { stamp, .. } => *stamp,
        }
    }

    /// Applies the change to an image.
    pub(super) fn apply(&self, image: &mut Image) {
        match self {
            Pending::Write { offset, bytes, .. } => image.write(*offset, bytes),
            Pending::Len { len, .. } => image.set_len(*len),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) cached: Image,
    pub(super) durable: Image,
    pub(super) pending: Vec<Pending>,
    /// A sync failed: the cache shows bytes that the disk does not have and never will.
    pub(super) lost: bool,
}

impl Inode {
    pub(super) fn flip(&mut self, offset: u64, bit: u8) {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        self.cached.flip(at, bit);
        self.durable.flip(at, bit);
    }

    fn write(&mut self, stamp: u64, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.cached.write(offset, bytes);
        self.pending.push(Pending::Write {
            stamp,
            offset,
            bytes: bytes.into(),
        });
    }

    fn sync(&mut self) {
        if self.lost {
            for change in std::mem::take(&mut self.pending) {
                change.apply(&mut self.durable);
            }
        } else {
            self.durable = self.cached.clone();
            self.pending.clear();
        }
    }
}

/// An open file.
pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    /// Where it was opened.
    pub(super) path: String,
    pub(super) inode: u64,
    pub(super) writable: bool,
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
            self.disk.state().locked.remove(&self.inode);
        }
    }
}

impl SimFile {
    fn inode<'s>(&self, state: &'s mut State) -> &'s mut Inode {
        let inode = state.inodes.get_mut(&self.inode);
        Arc::make_mut(inode.expect("an open file has an inode"))
    }

    fn seen<'s>(&self, state: &'s State) -> &'s Image {
        let inode = state.inodes.get(&self.inode);
        &inode.expect("an open file has an inode").cached
    }

    fn may_write(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.reading("len", &self.path, 0..0)?;
        Ok(self.seen(&state).len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        let range = offset..offset.saturating_add(buffer.len() as u64);
        let spoilt = state.reading("read_at", &self.path, range)?;
        let count = self.seen(&state).read(place(offset)?, buffer);
        Ok(spoilt.map_or(count, |fault| fault.spoil(&mut buffer[..count])))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.may_write()?;
        let offset = place(offset)?;
        let mut state = self.disk.state();
        let allowed = SimDisk::call(&mut state, "write", &self.path, (offset, bytes));
        let spoilt = allowed.spoilt(bytes);
        let bytes = spoilt.as_deref().unwrap_or(bytes);
        let part = allowed.part_of(bytes.len());
        let len = self.seen(&state).len();
        let reach = len.saturating_add(usize::try_from(state.room()).unwrap_or(usize::MAX));
        let fits = part.min(reach.saturating_sub(offset));
        let stamp = state.ops;
        // A crash at this call finds its first half.
        let half = fits.min(bytes.len() / 2);
        if let Some(moment) = state.moment() {
            self.inode(moment).write(stamp, offset, &bytes[..half]);
        }
        self.inode(&mut state).write(stamp, offset, &bytes[..fits]);
        allowed.result()?;
        if fits < bytes.len() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.may_write()?;
        let len = place(len)?;
        let mut state = self.disk.state();
        SimDisk::call(&mut state, "set_len", &self.path, len).result()?;
        let grown = len.saturating_sub(self.seen(&state).len());
        if grown as u64 > state.room() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let stamp = state.ops;
        let inode = self.inode(&mut state);
        inode.cached.set_len(len);
        inode.pending.push(Pending::Len { stamp, len });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let allowed = SimDisk::call(&mut state, "sync", &self.path, ());
        let inode = self.inode(&mut state);
        match &allowed {
            Allowed::Yes => {
                inode.sync();
                state.synced_after_failure |= self.inode(&mut state).lost;
            }
            // A failed sync drops the bytes on the floor: the cache shows them, the disk will not,
            // and a second sync succeeds all the same (measured on Linux).
            Allowed::No(_) | Allowed::Part(_) => {
                inode.pending.clear();
                inode.lost = true;
            }
            Allowed::Stopped(_) | Allowed::Gone(_) | Allowed::Spoilt(_) => {}
        }
        allowed.result()
    }

    fn id(&self) -> io::Result<FileId> {
        Ok(id_of(self.inode))
    }
}

pub(super) fn id_of(inode: u64) -> FileId {
    FileId {
        device: 1,
        number: inode,
    }
}
