//! Owns the index file on the disk seam, and moving it aside when it cannot be trusted.

use std::io;
use std::sync::Arc;

use turnleaf_engine::DiskFailure;
use turnleaf_engine::disk::{Access, Disk, DiskFile};
use turnleaf_engine::format::StoreId;
use turnleaf_projector::index::{Index, IndexError, Place, StorageBackend};

/// The index, below the store's directory. A cache: deleting it loses nothing.
pub(crate) const INDEX: &str = "index.redb";
/// Where a new one is made, so that what has the name of an index is one, whenever the process
/// ends.
const INDEX_NEW: &str = "index.redb.tmp";
/// Where the newest index that could not be trusted is kept.
pub(crate) const INDEX_BAD: &str = "index.bad-1";
/// Memory of redb's page cache; the system's page cache serves what it misses (measured: more does
/// not help).
const CACHE_BYTES: usize = 32 << 20;

#[derive(Debug)]
struct IndexFile(Arc<dyn DiskFile>);

impl StorageBackend for IndexFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let read = self.0.read_at(offset, out)?;
        if read == out.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
}

/// Opens the index or creates an empty one.
pub(crate) fn open(disk: &dyn Disk, store: StoreId) -> Result<Index, IndexError> {
    let failed = |source| {
        let place = Place {
            operation: "open",
            table: None,
            thread: None,
        };
        IndexError::Io { place, source }
    };
    let open = |file| Index::create_or_open(IndexFile(file), store, CACHE_BYTES);
    match disk.open(INDEX, Access::ReadWrite) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // What a process that ended left unfinished.
            let _ = disk.remove(INDEX_NEW);
            let made = disk.create(INDEX_NEW).map_err(failed).and_then(open);
            let named = made.and_then(|index| {
                disk.rename(INDEX_NEW, INDEX).map_err(failed)?;
                Ok(index)
            });
            // What could not be made whole only takes up room.
            named.inspect_err(|_| drop(disk.remove(INDEX_NEW)))
        }
        opened => opened.map_err(failed).and_then(open),
    }
}

/// Moves the file aside, replacing an older one that was moved aside before.
pub(crate) fn move_aside(disk: &dyn Disk) {
    if let Err(error) = disk
        .rename(INDEX, INDEX_BAD)
        .or_else(|_| disk.remove(INDEX))
    {
        tracing::warn!(%error, "the untrusted index could not be moved aside");
    }
}

/// Removes the index file, if there is one.
pub(crate) fn remove(disk: &dyn Disk) -> Result<(), DiskFailure> {
    let _ = disk.remove(INDEX_NEW);
    match disk.remove(INDEX) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DiskFailure {
            operation: "remove",
            path: INDEX.to_owned(),
            source: error,
        }),
        _ => Ok(()),
    }
}

/// Length of the index file; 0 when there is none.
pub(crate) fn bytes(disk: &dyn Disk) -> Result<u64, DiskFailure> {
    let len = disk.open(INDEX, Access::Read).and_then(|file| file.len());
    match len {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        len => len.map_err(|source| DiskFailure {
            operation: "measure",
            path: INDEX.to_owned(),
            source,
        }),
    }
}
