//! Owns what a power cut leaves behind.

use std::collections::BTreeMap;

use super::file::{Inode, Pending};
use super::{Change, Directory, SimDisk, State};
use crate::rng::Rng;

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
    /// Lengths, with zeros for bytes.
    Lengths,
    /// Names, but no bytes.
    Names,
    /// Bytes, but no names.
    Bytes,
}

impl CrashPolicy {
    /// All policies.
    pub const ALL: [CrashPolicy; 8] = [
        CrashPolicy::Nothing,
        CrashPolicy::Everything,
        CrashPolicy::Prefix,
        CrashPolicy::Subset,
        CrashPolicy::Sectors,
        CrashPolicy::Lengths,
        CrashPolicy::Names,
        CrashPolicy::Bytes,
    ];

    /// Whether the seed matters.
    #[must_use]
    pub fn is_random(self) -> bool {
        matches!(
            self,
            CrashPolicy::Prefix | CrashPolicy::Subset | CrashPolicy::Sectors
        )
    }
}

impl SimDisk {
    /// The disk as it is found after a power cut now.
    #[must_use]
    pub fn after_crash(&self, policy: CrashPolicy, seed: u64) -> SimDisk {
        let state = self.lock();
        let mut rng = Rng::new(seed);
        let cut = rng.below(state.ops + 2);
        let mut found = State {
            next_inode: state.next_inode,
            ..State::default()
        };
        for (path, directory) in &state.directories {
            // A directory whose own name was lost takes its files with it.
            let kept = state.durable_dirs.contains(path)
                || !matches!(policy, CrashPolicy::Nothing | CrashPolicy::Bytes);
            if kept {
                let names = names_after(directory, policy, cut, &mut rng);
                let directory = Directory {
                    durable: names.clone(),
                    names,
                    pending: Vec::new(),
                };
                found.directories.insert(path.clone(), directory);
                found.durable_dirs.insert(path.clone());
            }
        }
        for (number, inode) in &state.inodes {
            let image = bytes_after(inode, policy, cut, &mut rng);
            let inode = Inode {
                cached: image.clone(),
                durable: image,
                pending: Vec::new(),
            };
            found.inodes.insert(*number, inode);
        }
        SimDisk {
            state: std::sync::Arc::new(std::sync::Mutex::new(found)),
        }
    }

    /// An independent copy of the disk as the cache shows it, nothing pending.
    #[must_use]
    pub fn fork(&self) -> SimDisk {
        self.after_crash(CrashPolicy::Everything, 0)
    }
}

fn names_after(
    directory: &Directory,
    policy: CrashPolicy,
    cut: u64,
    rng: &mut Rng,
) -> BTreeMap<String, u64> {
    let mut names = directory.durable.clone();
    for (stamp, name, change) in &directory.pending {
        let kept = match policy {
            CrashPolicy::Nothing | CrashPolicy::Bytes => false,
            CrashPolicy::Everything | CrashPolicy::Names | CrashPolicy::Lengths => true,
            CrashPolicy::Prefix => *stamp <= cut,
            CrashPolicy::Subset | CrashPolicy::Sectors => rng.below(2) == 0,
        };
        match change {
            Change::Create(inode) if kept => drop(names.insert(name.clone(), *inode)),
            Change::Remove if kept => drop(names.remove(name)),
            _ => {}
        }
    }
    names
}

fn bytes_after(inode: &Inode, policy: CrashPolicy, cut: u64, rng: &mut Rng) -> Vec<u8> {
    let mut image = inode.durable.clone();
    for change in &inode.pending {
        match policy {
            CrashPolicy::Nothing | CrashPolicy::Names => {}
            CrashPolicy::Everything | CrashPolicy::Bytes => change.apply(&mut image),
            CrashPolicy::Prefix if change.stamp() <= cut => change.apply(&mut image),
            CrashPolicy::Prefix => {}
            CrashPolicy::Subset if rng.below(2) == 0 => change.apply(&mut image),
            CrashPolicy::Subset => {}
            CrashPolicy::Sectors => tear(change, &mut image, rng),
            CrashPolicy::Lengths => {
                if let Pending::Write { offset, bytes, .. } = change {
                    let end = usize::try_from(*offset).unwrap_or(0) + bytes.len();
                    let longer = image.len().max(end);
                    image.resize(longer, 0);
                } else {
                    change.apply(&mut image);
                }
            }
        }
    }
    image
}

fn tear(change: &Pending, image: &mut Vec<u8>, rng: &mut Rng) {
    let Pending::Write { offset, bytes, .. } = change else {
        return change.apply(image);
    };
    let mut at = 0;
    while at < bytes.len() {
        let place = usize::try_from(*offset).unwrap_or(0) + at;
        let len = (512 - place % 512).min(bytes.len() - at);
        if rng.below(2) == 0 {
            super::file::write(image, place as u64, &bytes[at..at + len]);
        }
        at += len;
    }
}
