//! Owns a disk in memory that keeps only what POSIX promises: bytes after a sync of their file,
//! names after a sync of their directory, nothing else. It must not know what is stored.
//!
//! Every call that changes or syncs something has a number; a plan makes one of them fail, fail for
//! ever, or stop the machine. What a crash leaves behind is chosen by a policy and a seed.

mod crash;
mod file;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use turnleaf_engine::disk::{Access, Disk, DiskFile, Entry, EntryKind};

pub use crash::CrashPolicy;
use file::{Inode, SimFile};

/// What happens at a numbered call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The machine stops: this call and all later ones fail.
    Crash,
    /// This call fails; a failed write may have written a part, a failed sync loses the bytes.
    Fail(io::ErrorKind),
    /// This call and all later ones of its kind fail.
    FailForEver(io::ErrorKind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Create(u64),
    Remove,
    MakeDir,
}

#[derive(Debug, Clone, Default)]
struct Directory {
    /// What the cache shows.
    names: BTreeMap<String, u64>,
    /// What survives for certain.
    durable: BTreeMap<String, u64>,
    pending: Vec<(u64, String, Change)>,
}

#[derive(Debug, Clone, Default)]
struct State {
    directories: BTreeMap<String, Directory>,
    /// Directories whose own name is durable.
    durable_dirs: HashSet<String>,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    ops: u64,
    plan: Option<(u64, Fault)>,
    crashed: bool,
    failing: Option<(&'static str, io::ErrorKind)>,
    capacity: Option<u64>,
    locked: HashSet<u64>,
}

/// The disk; clones share it.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk")
            .field("ops", &self.ops())
            .finish_non_exhaustive()
    }
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// Calls so far that changed or synced something.
    #[must_use]
    pub fn ops(&self) -> u64 {
        self.lock().ops
    }

    /// Lets something happen at call number `at` (the first is 0).
    pub fn plan(&self, at: u64, fault: Fault) {
        self.lock().plan = Some((at, fault));
    }

    /// Forgets plan and lasting failures: the disk works again.
    pub fn heal(&self) {
        let mut state = self.lock();
        (state.plan, state.failing) = (None, None);
    }

    /// Bounds the bytes of all files; `None` lifts the bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Whether the machine has stopped.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.lock().crashed
    }

    /// Flips a bit of a file where it stands on the disk and in the cache.
    pub fn flip(&self, path: &str, offset: u64, bit: u8) {
        let mut state = self.lock();
        let Some(inode) = state.find(path) else {
            return;
        };
        if let Some(file) = state.inodes.get_mut(&inode) {
            file.flip(offset, bit);
        }
    }

    /// Bytes of a file as the cache shows them.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        let inode = state.find(path)?;
        Some(state.inodes.get(&inode)?.cached.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; says when it is to fail, and whether a failing write may still do a part.
    fn call(state: &mut State, kind: &'static str) -> io::Result<()> {
        if state.crashed {
            return Err(crashed());
        }
        let number = state.ops;
        state.ops += 1;
        match state.plan {
            Some((at, Fault::Crash)) if at == number => {
                state.crashed = true;
                return Err(crashed());
            }
            Some((at, Fault::Fail(error))) if at == number => return Err(error.into()),
            Some((at, Fault::FailForEver(error))) if at == number => {
                state.failing = Some((kind, error));
            }
            _ => {}
        }
        match state.failing {
            Some((failing, error)) if failing == kind => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn crashed() -> io::Error {
    io::Error::other("the machine has stopped")
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl State {
    fn find(&self, path: &str) -> Option<u64> {
        let (dir, name) = split(path);
        self.directories.get(dir)?.names.get(name).copied()
    }

    fn dir(&mut self, dir: &str) -> io::Result<&mut Directory> {
        self.directories
            .get_mut(dir)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, path: &str, change: Change) -> io::Result<()> {
        let (dir, name) = split(path);
        let stamp = self.ops;
        let dir = self.dir(dir)?;
        match change {
            Change::Create(inode) => drop(dir.names.insert(name.to_owned(), inode)),
            Change::Remove => {
                dir.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
            }
            Change::MakeDir => {}
        }
        dir.pending.push((stamp, name.to_owned(), change));
        Ok(())
    }

    fn used(&self) -> u64 {
        let named: HashSet<u64> = self
            .directories
            .values()
            .flat_map(|dir| dir.names.values().copied())
            .collect();
        let files = self
            .inodes
            .iter()
            .filter(|(inode, _)| named.contains(inode));
        files.map(|(_, file)| file.cached.len() as u64).sum()
    }
}

impl Disk for SimDisk {
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        let mut state = self.lock();
        if state.crashed {
            return Err(crashed());
        }
        let below = if dir.is_empty() {
            String::new()
        } else {
            format!("{dir}/")
        };
        let mut entries: Vec<Entry> = state
            .directories
            .keys()
            .filter_map(|name| name.strip_prefix(&below))
            .filter(|name| !name.is_empty() && !name.contains('/'))
            .map(|name| Entry {
                name: name.to_owned(),
                kind: EntryKind::Directory,
            })
            .collect();
        let files = state.dir(dir)?.names.keys();
        entries.extend(files.map(|name| Entry {
            name: name.clone(),
            kind: EntryKind::File,
        }));
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.lock();
        if state.directories.contains_key(dir) {
            return Ok(());
        }
        SimDisk::call(&mut state, "create_dir")?;
        state
            .directories
            .insert(dir.to_owned(), Directory::default());
        if dir.is_empty() {
            state.durable_dirs.insert(String::new());
            return Ok(());
        }
        state.change(dir, Change::MakeDir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.lock();
        SimDisk::call(&mut state, "sync_dir")?;
        let found = state.dir(dir)?;
        found.durable = found.names.clone();
        let made: Vec<String> = std::mem::take(&mut found.pending)
            .into_iter()
            .filter(|(_, _, change)| *change == Change::MakeDir)
            .map(|(_, name, _)| {
                if dir.is_empty() {
                    name
                } else {
                    format!("{dir}/{name}")
                }
            })
            .collect();
        state.durable_dirs.extend(made);
        Ok(())
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        if state.find(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        SimDisk::call(&mut state, "create")?;
        state.next_inode += 1;
        let inode = state.next_inode;
        state.change(path, Change::Create(inode))?;
        state.inodes.insert(inode, Inode::default());
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            inode,
            locked: false,
        }))
    }

    fn open(&self, path: &str, _access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.lock();
        if state.crashed {
            return Err(crashed());
        }
        let inode = state.find(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            inode,
            locked: false,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        SimDisk::call(&mut state, "rename")?;
        let inode = state.find(from).ok_or(io::ErrorKind::NotFound)?;
        // One entry appears, one goes; a crash may keep either, but never neither of a synced file.
        state.change(to, Change::Create(inode))?;
        state.change(from, Change::Remove)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.lock();
        if state.find(path).is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        SimDisk::call(&mut state, "remove")?;
        state.change(path, Change::Remove)
    }

    fn lock(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        if SimDisk::lock(self).find(path).is_none() {
            self.create(path)?;
        }
        let mut state = SimDisk::lock(self);
        let inode = state.find(path).ok_or(io::ErrorKind::NotFound)?;
        if !state.locked.insert(inode) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            inode,
            locked: true,
        }))
    }
}
