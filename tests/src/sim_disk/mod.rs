//! Owns a disk in memory that keeps only what POSIX promises: bytes after a sync of their file,
//! names after a sync of their directory, nothing else. It must not know what is stored.
//!
//! Every call that changes or syncs something has a number; a plan makes some of them fail, fail for
//! ever, or stop the machine. Calls that read have numbers and plans of their own. What a crash
//! leaves behind is chosen by a policy and a seed. A disk can also remember how it stood at each
//! call, so that one run of a workload shows a crash at all of them.

mod crash;
mod file;
mod image;
mod reads;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use crash::CrashPolicy;
use file::Inode;
use reads::Reads;
pub use reads::{ReadFault, Unread};

/// What happens at a numbered call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The machine stops: this call and all later ones fail. Half of a write was done by then.
    Crash,
    /// This call fails and does nothing. A failed sync loses what it should have made durable: the
    /// cache goes on showing it, and a later sync succeeds without it.
    Fail(io::ErrorKind),
    /// As `Fail`, but a write has done its first half.
    Short(io::ErrorKind),
    /// This call and all later ones of its kind fail.
    FailForEver(io::ErrorKind),
    /// A write stores another bit than it was given, in the byte of this number, and nobody is told.
    Spoil(usize),
}

/// A change of names that was not synced.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Create(u64),
    Remove,
    MakeDir,
    /// To another name of the same directory.
    Rename(String, u64),
}

impl Change {
    fn apply(&self, name: &str, names: &mut BTreeMap<String, u64>) {
        match self {
            Change::Create(inode) => drop(names.insert(name.to_owned(), *inode)),
            Change::Remove => drop(names.remove(name)),
            Change::MakeDir => {}
            Change::Rename(to, inode) => {
                names.remove(name);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Directory {
    /// What the cache shows.
    names: BTreeMap<String, u64>,
    /// What survives for certain.
    durable: BTreeMap<String, u64>,
    /// Number of the call, name, what became of it.
    pending: Vec<(u64, String, Change)>,
}

/// What a call may do.
#[derive(Debug)]
enum Allowed {
    Yes,
    /// Nothing.
    No(io::Error),
    /// The first half of a write.
    Part(io::Error),
    /// The machine stops in the middle of it.
    Stopped(io::Error),
    /// The machine has stopped before.
    Gone(io::Error),
    /// Another bit than the one that was given, in the byte of this number.
    Spoilt(usize),
}

impl Allowed {
    fn result(self) -> io::Result<()> {
        match self {
            Allowed::Yes | Allowed::Spoilt(_) => Ok(()),
            Allowed::No(error)
            | Allowed::Part(error)
            | Allowed::Stopped(error)
            | Allowed::Gone(error) => Err(error),
        }
    }

    /// How many of `len` bytes a write does.
    fn part_of(&self, len: usize) -> usize {
        match self {
            Allowed::Yes | Allowed::Spoilt(_) => len,
            Allowed::Part(_) | Allowed::Stopped(_) => len / 2,
            Allowed::No(_) | Allowed::Gone(_) => 0,
        }
    }

    /// What a write stores instead of what it was given.
    fn spoilt(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let Allowed::Spoilt(byte) = *self else {
            return None;
        };
        let at = byte.checked_rem(bytes.len())?;
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        Some(bytes)
    }
}

/// How the disk stood at calls of a run.
#[derive(Debug, Default)]
struct Recorder {
    step: u64,
    moments: Vec<(u64, State)>,
}

#[derive(Debug, Default)]
struct State {
    /// By path; `""` is the root, whose own name is durable from the beginning.
    /// Shared with copies until one of them changes.
    directories: BTreeMap<String, Arc<Directory>>,
    /// Directories whose own name is durable.
    durable_dirs: HashSet<String>,
    inodes: BTreeMap<u64, Arc<Inode>>,
    next_inode: u64,
    ops: u64,
    plans: Vec<(u64, Fault)>,
    crashed: bool,
    failing: Vec<(&'static str, io::ErrorKind)>,
    /// What the calls were, by number.
    kinds: Vec<&'static str>,
    capacity: Option<u64>,
    locked: HashSet<u64>,
    synced_after_failure: bool,
    recorder: Option<Recorder>,
    reads: Reads,
    /// What was hashed of the counted calls, while that is asked for.
    trace: Option<DefaultHasher>,
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

    fn of(state: State) -> SimDisk {
        SimDisk {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Calls so far that changed or synced something.
    #[must_use]
    pub fn ops(&self) -> u64 {
        self.state().ops
    }

    /// What the counted calls were, by number: `write`, `sync`, `remove` and so on.
    #[must_use]
    pub fn kinds(&self) -> Vec<&'static str> {
        self.state().kinds.clone()
    }

    /// What call number `at` was; `end` when there was none.
    #[must_use]
    pub fn kind_of(&self, at: u64) -> &'static str {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        self.state().kinds.get(at).copied().unwrap_or("end")
    }

    /// Lets something happen at call number `at` (the first is 0), besides what is planned already.
    pub fn plan(&self, at: u64, fault: Fault) {
        self.state().plans.push((at, fault));
    }

    /// Forgets plans and lasting failures: the disk works again. What was lost stays lost.
    pub fn heal(&self) {
        let mut state = self.state();
        state.plans.clear();
        state.failing.clear();
        state.heal_reads();
    }

    /// Bounds the bytes of all files that have a name; `None` lifts the bound. A write into a full
    /// disk does what fits and fails.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes of all files that have a name.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Whether the machine has stopped.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// Whether a file was synced with success after a sync of it had failed: whoever believed that
    /// success may have lost bytes.
    #[must_use]
    pub fn synced_after_failure(&self) -> bool {
        self.state().synced_after_failure
    }

    /// Remembers from now on how the disk stands at every `step`th call, as a crash there finds it:
    /// with half of the call's bytes when it is a write.
    pub fn record(&self, step: u64) {
        self.state().recorder = Some(Recorder {
            step: step.max(1),
            moments: Vec::new(),
        });
    }

    /// Hashes from now on every call that changes or syncs something: what it was, its path, place
    /// and bytes.
    pub fn trace(&self) {
        self.state().trace = Some(DefaultHasher::new());
    }

    /// The hash of the calls since [`SimDisk::trace`]: equal for equal runs.
    #[must_use]
    pub fn trace_hash(&self) -> Option<u64> {
        self.state().trace.as_ref().map(Hasher::finish)
    }

    /// Ends the recording: the numbers of the calls, each with a disk of its own.
    #[must_use]
    pub fn recorded(&self) -> Vec<(u64, SimDisk)> {
        let recorder = self.state().recorder.take().unwrap_or_default();
        let moments = recorder.moments.into_iter();
        moments
            .map(|(at, state)| (at, SimDisk::of(state)))
            .collect()
    }

    /// An independent copy: durable and pending bytes and names, no open files, no plans.
    #[must_use]
    pub fn fork(&self) -> SimDisk {
        SimDisk::of(self.state().copy())
    }

    /// A number that is equal for disks that show the same directories, names and bytes.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.state().digest()
    }

    /// Flips a bit of a file where it stands on the disk and in the cache.
    pub fn flip(&self, path: &str, offset: u64, bit: u8) {
        let mut state = self.state();
        let Some(inode) = state.find(path) else {
            return;
        };
        if let Some(file) = state.inodes.get_mut(&inode) {
            Arc::make_mut(file).flip(offset, bit);
        }
    }

    /// Bytes of a file as the cache shows them.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let inode = state.find(path)?;
        Some(state.inodes.get(&inode)?.cached.bytes())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and says what it may do. `said` is what tells it from others of its kind.
    fn call(state: &mut State, kind: &'static str, path: &str, said: impl Hash) -> Allowed {
        if state.crashed {
            return Allowed::Gone(crashed());
        }
        let number = state.ops;
        state.remember(number);
        if let Some(trace) = &mut state.trace {
            (kind, path, said).hash(trace);
        }
        state.ops += 1;
        state.kinds.push(kind);
        let planned = state.plans.iter().find(|(at, _)| *at == number);
        match planned.map(|(_, fault)| *fault) {
            Some(Fault::Crash) => {
                state.crashed = true;
                return Allowed::Stopped(crashed());
            }
            Some(Fault::Fail(error)) => return Allowed::No(error.into()),
            Some(Fault::Short(error)) => return Allowed::Part(error.into()),
            Some(Fault::FailForEver(error)) => state.failing.push((kind, error)),
            Some(Fault::Spoil(byte)) if kind == "write" => return Allowed::Spoilt(byte),
            Some(Fault::Spoil(_)) | None => {}
        }
        match state.failing.iter().find(|(failing, _)| *failing == kind) {
            Some((_, error)) => Allowed::No((*error).into()),
            None => Allowed::Yes,
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
        let found = self.directories.get_mut(dir).map(Arc::make_mut);
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, path: &str, change: Change) -> io::Result<()> {
        let (dir, name) = split(path);
        let stamp = self.ops;
        let dir = self.dir(dir)?;
        change.apply(name, &mut dir.names);
        dir.pending.push((stamp, name.to_owned(), change));
        Ok(())
    }

    /// Bytes of all files that have a name.
    fn used(&self) -> u64 {
        let directories = self.directories.values();
        let named: HashSet<u64> = directories
            .flat_map(|dir| dir.names.values().copied())
            .collect();
        let files = named.iter().filter_map(|inode| self.inodes.get(inode));
        files.map(|file| file.cached.len() as u64).sum()
    }

    /// Bytes that files may still grow by.
    fn room(&self) -> u64 {
        self.capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()))
    }

    fn copy(&self) -> State {
        State {
            directories: self.directories.clone(),
            durable_dirs: self.durable_dirs.clone(),
            inodes: self.inodes.clone(),
            next_inode: self.next_inode,
            ops: self.ops,
            capacity: self.capacity,
            ..State::default()
        }
    }

    fn remember(&mut self, number: u64) {
        let wanted = self
            .recorder
            .as_ref()
            .is_some_and(|recorder| number.is_multiple_of(recorder.step));
        if wanted {
            let moment = (number, self.copy());
            if let Some(recorder) = &mut self.recorder {
                recorder.moments.push(moment);
            }
        }
    }

    /// The remembered moment of the call that is under way, if it is one.
    fn moment(&mut self) -> Option<&mut State> {
        let number = self.ops.checked_sub(1)?;
        let last = self.recorder.as_mut()?.moments.last_mut()?;
        (last.0 == number).then_some(&mut last.1)
    }
}
