//! Owns what a power cut leaves behind.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::file::{Inode, Pending};
use super::image::Image;
use super::{Change, Directory, SimDisk, State, split};
use crate::rng::Rng;

const SECTOR: usize = 512;
const PAGE: usize = 4096;

/// What survives of changes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPolicy {
    /// None of them.
    Nothing,
    /// All of them.
    Everything,
    /// All up to a moment.
    Prefix,
    /// Some, in any order.
    Subset,
    /// Of each write some sectors of 512 bytes.
    Sectors,
    /// Of each write some pages of 4 KiB.
    Pages,
    /// Lengths, with zeros for bytes.
    Lengths,
    /// Names, but no bytes.
    Names,
    /// Bytes, but no names.
    Bytes,
    /// For every file and every directory another of the policies.
    Mixed,
}

impl CrashPolicy {
    /// All policies.
    pub const ALL: [CrashPolicy; 10] = [
        CrashPolicy::Nothing,
        CrashPolicy::Everything,
        CrashPolicy::Prefix,
        CrashPolicy::Subset,
        CrashPolicy::Sectors,
        CrashPolicy::Pages,
        CrashPolicy::Lengths,
        CrashPolicy::Names,
        CrashPolicy::Bytes,
        CrashPolicy::Mixed,
    ];

    /// One of all, by number.
    #[must_use]
    pub fn by_number(number: u64) -> CrashPolicy {
        let count = CrashPolicy::ALL.len() as u64;
        CrashPolicy::ALL[usize::try_from(number % count).unwrap_or(0)]
    }

    /// Whether the seed matters.
    #[must_use]
    pub fn is_random(self) -> bool {
        matches!(
            self,
            CrashPolicy::Prefix
                | CrashPolicy::Subset
                | CrashPolicy::Sectors
                | CrashPolicy::Pages
                | CrashPolicy::Mixed
        )
    }
}

/// Decides about one change after the other.
struct Fate {
    policy: CrashPolicy,
    /// Changes of calls up to this one survive a `Prefix`.
    cut: u64,
    rng: Rng,
}

impl Fate {
    /// What befalls the next file or directory.
    fn of_next(&mut self) -> CrashPolicy {
        match self.policy {
            // The last one is the mix itself.
            CrashPolicy::Mixed => {
                CrashPolicy::by_number(self.rng.below(CrashPolicy::ALL.len() as u64 - 1))
            }
            policy => policy,
        }
    }

    fn coin(&mut self) -> bool {
        self.rng.below(2) == 0
    }

    fn keeps_name(&mut self, policy: CrashPolicy, stamp: u64) -> bool {
        match policy {
            CrashPolicy::Nothing | CrashPolicy::Bytes => false,
            CrashPolicy::Everything | CrashPolicy::Names | CrashPolicy::Lengths => true,
            CrashPolicy::Prefix => stamp <= self.cut,
            CrashPolicy::Subset
            | CrashPolicy::Sectors
            | CrashPolicy::Pages
            | CrashPolicy::Mixed => self.coin(),
        }
    }

    fn names(&mut self, directory: &Directory) -> (BTreeMap<String, u64>, HashSet<String>) {
        let policy = self.of_next();
        let mut names = directory.durable.clone();
        let mut made = HashSet::new();
        for (stamp, name, change) in &directory.pending {
            if self.keeps_name(policy, *stamp) {
                change.apply(name, &mut names);
                if *change == Change::MakeDir {
                    made.insert(name.clone());
                }
            }
        }
        (names, made)
    }

    fn bytes(&mut self, inode: &Inode) -> Image {
        let mut image = inode.durable.clone();
        if inode.pending.is_empty() {
            return image;
        }
        let policy = self.of_next();
        for change in &inode.pending {
            match policy {
                CrashPolicy::Nothing | CrashPolicy::Names => {}
                CrashPolicy::Everything | CrashPolicy::Bytes => change.apply(&mut image),
                CrashPolicy::Prefix if change.stamp() <= self.cut => change.apply(&mut image),
                CrashPolicy::Prefix => {}
                CrashPolicy::Subset | CrashPolicy::Mixed if self.coin() => {
                    change.apply(&mut image);
                }
                CrashPolicy::Subset | CrashPolicy::Mixed => {}
                CrashPolicy::Sectors => self.tear(change, &mut image, SECTOR),
                CrashPolicy::Pages => self.tear(change, &mut image, PAGE),
                CrashPolicy::Lengths => match change {
                    Pending::Write { offset, bytes, .. } => {
                        image.set_len(image.len().max(offset + bytes.len()));
                    }
                    Pending::Len { .. } => change.apply(&mut image),
                },
            }
        }
        image
    }

    /// Keeps some of the pieces that a write consists of.
    fn tear(&mut self, change: &Pending, image: &mut Image, piece: usize) {
        let Pending::Write { offset, bytes, .. } = change else {
            if self.coin() {
                change.apply(image);
            }
            return;
        };
        let mut at = 0;
        while at < bytes.len() {
            let place = offset + at;
            let len = (piece - place % piece).min(bytes.len() - at);
            if self.coin() {
                image.write(place, &bytes[at..at + len]);
            }
            at += len;
        }
    }
}

impl SimDisk {
    /// The disk as it is found after a power cut now: nothing is pending, no file is open, no call
    /// was counted.
    #[must_use]
    pub fn after_crash(&self, policy: CrashPolicy, seed: u64) -> SimDisk {
        let state = self.state();
        let mut rng = Rng::new(seed);
        let cut = state.cut(&mut rng);
        let mut fate = Fate { policy, cut, rng };
        let mut found = State {
            next_inode: state.next_inode,
            durable_dirs: state.durable_dirs.clone(),
            ..State::default()
        };
        // Parents come before what is in them.
        for (path, directory) in &state.directories {
            // A directory whose own name was lost takes its files with it.
            if !path.is_empty() && !found.durable_dirs.contains(path) {
                continue;
            }
            if !found.directories.contains_key(split(path).0) && !path.is_empty() {
                continue;
            }
            let (names, made) = fate.names(directory);
            let below = if path.is_empty() {
                String::new()
            } else {
                format!("{path}/")
            };
            let made = made.into_iter().map(|name| format!("{below}{name}"));
            found.durable_dirs.extend(made);
            let directory = Directory {
                durable: names.clone(),
                names,
                pending: Vec::new(),
            };
            found.directories.insert(path.clone(), Arc::new(directory));
        }
        let named = found
            .directories
            .values()
            .flat_map(|dir| dir.names.values());
        let named: HashSet<u64> = named.copied().collect();
        for (number, inode) in &state.inodes {
            // Bytes are drawn for files without a name, too, so that a seed means the same bytes
            // whatever became of the names.
            let image = fate.bytes(inode);
            if named.contains(number) {
                let inode = Inode {
                    cached: image.clone(),
                    durable: image,
                    ..Inode::default()
                };
                found.inodes.insert(*number, Arc::new(inode));
            }
        }
        SimDisk::of(found)
    }
}

impl State {
    /// A moment between two changes that are not durable.
    fn cut(&self, rng: &mut Rng) -> u64 {
        let directories = self.directories.values();
        let names = directories.flat_map(|dir| dir.pending.iter().map(|(stamp, _, _)| *stamp));
        let inodes = self.inodes.values();
        let bytes = inodes.flat_map(|inode| inode.pending.iter().map(Pending::stamp));
        let mut stamps: Vec<u64> = names.chain(bytes).collect();
        stamps.sort_unstable();
        stamps.dedup();
        let chosen = rng.below(stamps.len() as u64 + 1);
        let before = usize::try_from(chosen).unwrap_or(0).checked_sub(1);
        before.map_or(0, |place| stamps[place])
    }

    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (path, directory) in &self.directories {
            path.hash(&mut hasher);
            directory.names.len().hash(&mut hasher);
            for (name, inode) in &directory.names {
                name.hash(&mut hasher);
                if let Some(inode) = self.inodes.get(inode) {
                    inode.cached.digest(&mut hasher);
                }
            }
        }
        hasher.finish()
    }
}
