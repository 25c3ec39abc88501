//! Owns the operating system's file system behind the seam; the only file of the libraries that
//! names `std::fs`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, SeekFrom, Statx, StatxFlags, openat, statx,
};
use rustix::io::Errno;

use super::{Access, Disk, DiskFile, Entry, EntryKind, FileId};

/// A directory of the operating system.
#[derive(Debug)]
pub struct OsDisk {
    root: PathBuf,
}

impl OsDisk {
    /// A disk rooted at `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: &Path) -> OsDisk {
        OsDisk {
            root: root.to_owned(),
        }
    }

    /// Joins a relative path below the root; refuses anything that could leave it, directories on
    /// the way that are links included.
    fn at(&self, path: &str) -> io::Result<PathBuf> {
        let outside = || {
            let text = "a path must stay below the store";
            io::Error::new(io::ErrorKind::InvalidInput, text)
        };
        let mut at = self.root.clone();
        for (depth, part) in Path::new(path).components().enumerate() {
            let Component::Normal(name) = part else {
                return Err(outside());
            };
            if depth > 0 && is_link(&at)? {
                return Err(outside());
            }
            at.push(name);
        }
        Ok(at)
    }

    /// As [`OsDisk::at`], for a directory, which must not be a link itself.
    fn directory(&self, dir: &str) -> io::Result<PathBuf> {
        let path = self.at(dir)?;
        if !dir.is_empty() && is_link(&path)? {
            let text = "a link is no directory of the store";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(path)
    }

    /// Creates the root and its missing parents.
    fn create_root(&self) -> io::Result<()> {
        let absent = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let made = self.root.ancestors().take_while(absent).count();
        make_dir(&self.root)?;
        if made == 0 && fs::read_dir(&self.root)?.next().is_some() {
            return Ok(());
        }
        // DURABILITY: the new names are durable before anything below them is acknowledged. A root
        // that is there but empty may be what a creation left that did not come to this point.
        let root = fs::canonicalize(&self.root)?;
        for parent in root.ancestors().skip(1).take(made.max(1)) {
            match File::open(parent).and_then(|parent| parent.sync_all()) {
                // Somebody else made the root, in a directory that is not ours to read.
                Err(error) if made == 0 && error.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced?,
            }
        }
        Ok(())
    }

    /// Opens without following a link at the last name and without waiting for a pipe's other end,
    /// then insists on a regular file; and, where it may be written, on one with a single name.
    fn open_plain(
        &self,
        path: &str,
        access: Access,
        options: &mut fs::OpenOptions,
    ) -> io::Result<OsFile> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let file = options.custom_flags(flags).open(self.at(path)?)?;
        let found = file.metadata()?;
        let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if !found.is_file() {
            return refuse("not a regular file");
        }
        // What is written to it would change under the other name, too: a backup made of links, or
        // something that is not ours.
        if access == Access::ReadWrite && found.nlink() > 1 {
            return refuse("the file has a second name (a hard link); replace it by a copy of it");
        }
        Ok(OsFile { file })
    }
}

impl Disk for OsDisk {
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for found in fs::read_dir(self.directory(dir)?)? {
            let found = found?;
            let Ok(name) = found.file_name().into_string() else {
                continue;
            };
            let file_type = found.file_type()?;
            let odd = file_type.is_symlink() || file_type.is_fifo() || file_type.is_socket();
            let kind = if file_type.is_file() && !odd {
                EntryKind::File
            } else if file_type.is_dir() {
                EntryKind::Directory
            } else {
                EntryKind::Other
            };
            entries.push(Entry { name, kind });
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        if dir.is_empty() {
            self.create_root()
        } else {
            make_dir(&self.directory(dir)?)
        }
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.directory(dir)?)?.sync_all()
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = File::options();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = self.open_plain(path, Access::ReadWrite, &mut options)?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = File::options();
        options.read(true).write(access == Access::ReadWrite);
        Ok(Arc::new(self.open_plain(path, access, &mut options)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from)?, self.at(to)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.at(path)?)
    }

    fn lock(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = File::options();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let locked = self.open_plain(path, Access::ReadWrite, &mut options)?;
        match locked.file.try_lock() {
            Ok(()) => Ok(Arc::new(locked)),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(told_of_locks(error)),
        }
    }

    fn id_at(&self, path: &str) -> io::Result<Option<FileId>> {
        let path = self.at(path)?;
        match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO) {
            Ok(found) => Ok(Some(id_of(&found))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn lens(&self, dir: &str, names: &[String]) -> io::Result<Vec<io::Result<Option<u64>>>> {
        // A store may have tens of thousands: each costs one call, and no walk through the path.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(CWD, self.directory(dir)?, flags, Mode::empty())?;
        let asked = StatxFlags::TYPE | StatxFlags::SIZE;
        let len = |name: &String| match statx(&dir, name, AtFlags::SYMLINK_NOFOLLOW, asked) {
            Ok(found) => {
                let kind = FileType::from_raw_mode(found.stx_mode.into());
                Ok(kind.is_file().then_some(found.stx_size))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        };
        Ok(names.iter().map(len).collect())
    }
}

/// A file system without locks, as network file systems are where their locks are not set up, is no
/// owner: whoever waits for one waits for ever.
fn told_of_locks(error: io::Error) -> io::Error {
    let lacks = [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS];
    let is_lacking = Errno::from_io_error(&error).is_some_and(|errno| lacks.contains(&errno));
    if !is_lacking {
        return error;
    }
    let why = format!(
        "no process owns the store, but the file system locks no files, and without a lock two \
         could write at once; put the store on a local disk, or mount this one with locks ({error})"
    );
    io::Error::new(io::ErrorKind::Unsupported, why)
}

/// Only the number is asked for: who asks for the times of a file makes its next write keep a finer
/// one, and the sync of that write costs a third more (measured on Linux 6.18).
fn id_of(file: &Statx) -> FileId {
    FileId {
        device: u64::from(file.stx_dev_major) << 32 | u64::from(file.stx_dev_minor),
        number: file.stx_ino,
    }
}

fn make_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

fn is_link(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.is_symlink()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[derive(Debug)]
struct OsFile {
    file: File,
}

impl DiskFile for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self
                .file
                .read_at(&mut buffer[filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        // All other calls say where they read and write: nobody uses the place in the file.
        match rustix::fs::seek(&self.file, SeekFrom::Data(offset)) {
            Ok(data) => Ok(Some(data)),
            Err(Errno::NXIO) => Ok(None),
            // A file system that does not know.
            Err(_) => Ok((offset < self.len()?).then_some(offset)),
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn id(&self) -> io::Result<FileId> {
        let found = statx(&self.file, "", AtFlags::EMPTY_PATH, StatxFlags::INO)?;
        Ok(id_of(&found))
    }
}
