//! Owns a disk that tells a test of each call: to fail it, to count it, or to change what was read.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::disk::{Access, Disk, DiskFile, Entry, FileId};

/// A call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call<'c> {
    /// `list`, `create_dir`, `sync_dir`, `create`, `open`, `rename`, `remove`, `read`, `write`,
    /// `sync` or `set_len`.
    pub(crate) name: &'static str,
    pub(crate) path: &'c str,
    /// The first byte that is read or written.
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// Told of a call before it is made, of a read with the bytes behind it; an error is the call's.
type Hook = dyn Fn(Call<'_>, &mut [u8]) -> io::Result<()> + Send + Sync;

struct HookedDisk {
    disk: Arc<dyn Disk>,
    hook: Arc<Hook>,
}

struct HookedFile {
    path: String,
    file: Arc<dyn DiskFile>,
    hook: Arc<Hook>,
}

/// The disk, with every call told to the hook.
pub(crate) fn hooked(
    disk: Arc<dyn Disk>,
    hook: impl Fn(Call<'_>, &mut [u8]) -> io::Result<()> + Send + Sync + 'static,
) -> Arc<dyn Disk> {
    let hook = Arc::new(hook);
    Arc::new(HookedDisk { disk, hook })
}

impl HookedDisk {
    fn told(&self, name: &'static str, path: &str) -> io::Result<()> {
        let (offset, len) = (0, 0);
        let call = Call {
            name,
            path,
            offset,
            len,
        };
        (self.hook)(call, &mut [])
    }

    fn file(&self, path: &str, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(HookedFile {
            path: path.to_owned(),
            file,
            hook: Arc::clone(&self.hook),
        })
    }
}

impl HookedFile {
    fn told(&self, name: &'static str, offset: u64, len: u64, read: &mut [u8]) -> io::Result<()> {
        let path = &*self.path;
        let call = Call {
            name,
            path,
            offset,
            len,
        };
        (self.hook)(call, read)
    }
}

impl fmt::Debug for HookedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookedDisk")
    }
}

impl fmt::Debug for HookedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl Disk for HookedDisk {
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        self.told("list", dir)?;
        self.disk.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.told("create_dir", dir)?;
        self.disk.create_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.told("sync_dir", dir)?;
        self.disk.sync_dir(dir)
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.told("create", path)?;
        Ok(self.file(path, self.disk.create(path)?))
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.told("open", path)?;
        Ok(self.file(path, self.disk.open(path, access)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.told("rename", from)?;
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.told("remove", path)?;
        self.disk.remove(path)
    }

    fn lock(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.lock(path)
    }

    fn id_at(&self, path: &str) -> io::Result<Option<FileId>> {
        self.disk.id_at(path)
    }

    fn lens(&self, dir: &str, names: &[String]) -> io::Result<Vec<io::Result<Option<u64>>>> {
        self.disk.lens(dir, names)
    }
}

impl DiskFile for HookedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(offset, buffer)?;
        self.told("read", offset, read as u64, &mut buffer[..read])?;
        Ok(read)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.told("write", offset, bytes.len() as u64, &mut [])?;
        self.file.write_at(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.told("set_len", 0, len, &mut [])?;
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.told("sync", 0, 0, &mut [])?;
        self.file.sync()
    }

    fn id(&self) -> io::Result<FileId> {
        self.file.id()
    }
}
