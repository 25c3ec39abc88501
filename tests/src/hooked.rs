//! Owns a disk that tells somebody of each call before it is made: to fail it, hold it up, count it
//! or panic in it. It must not know which disk it is.

use std::fmt;
use std::io;
use std::sync::Arc;

use turnleaf_engine::disk::{Access, Disk, DiskFile, Entry, FileId};

/// Told the call (`list`, `create_dir`, `sync_dir`, `create`, `open`, `rename`, `remove`, `read`,
/// `write`, `sync`, `set_len`) and its path; an error is the call's.
pub type Hook = dyn Fn(&'static str, &str) -> io::Result<()> + Send + Sync;

/// A disk with a hook.
#[derive(Clone)]
pub struct HookedDisk {
    disk: Arc<dyn Disk>,
    hook: Arc<Hook>,
}

struct HookedFile {
    path: String,
    file: Arc<dyn DiskFile>,
    hook: Arc<Hook>,
}

impl HookedDisk {
    /// The disk, with every call told to the hook first.
    pub fn new(
        disk: Arc<dyn Disk>,
        hook: impl Fn(&'static str, &str) -> io::Result<()> + Send + Sync + 'static,
    ) -> HookedDisk {
        HookedDisk {
            disk,
            hook: Arc::new(hook),
        }
    }

    fn file(&self, path: &str, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(HookedFile {
            path: path.to_owned(),
            file,
            hook: Arc::clone(&self.hook),
        })
    }
}

impl fmt::Debug for HookedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookedDisk").finish_non_exhaustive()
    }
}

impl fmt::Debug for HookedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookedFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Disk for HookedDisk {
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        (self.hook)("list", dir)?;
        self.disk.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        (self.hook)("create_dir", dir)?;
        self.disk.create_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        (self.hook)("sync_dir", dir)?;
        self.disk.sync_dir(dir)
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        (self.hook)("create", path)?;
        Ok(self.file(path, self.disk.create(path)?))
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        (self.hook)("open", path)?;
        Ok(self.file(path, self.disk.open(path, access)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        (self.hook)("rename", from)?;
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        (self.hook)("remove", path)?;
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
        (self.hook)("read", &self.path)?;
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (self.hook)("write", &self.path)?;
        self.file.write_at(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        (self.hook)("set_len", &self.path)?;
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        (self.hook)("sync", &self.path)?;
        self.file.sync()
    }

    fn id(&self) -> io::Result<FileId> {
        self.file.id()
    }
}

/// Whether a file is a segment of threads, finished or not.
#[must_use]
pub fn is_segment(path: &str) -> bool {
    path.starts_with("segments/")
}

/// Whether a file is of the journal.
#[must_use]
pub fn is_journal(path: &str) -> bool {
    path.starts_with("journal/")
}
