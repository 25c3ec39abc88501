//! Owns the names: what the engine asks of a disk besides the bytes of its files.

use std::io;
use std::sync::Arc;

use turnleaf_engine::disk::{Access, Disk, DiskFile, Entry, EntryKind, FileId};

use super::file::{SimFile, id_of};
use super::{Allowed, Change, SimDisk, crashed, split};

fn below(dir: &str) -> String {
    if dir.is_empty() {
        String::new()
    } else {
        format!("{dir}/")
    }
}

impl SimDisk {
    fn file(&self, path: &str, inode: u64, writable: bool, locked: bool) -> Arc<dyn DiskFile> {
        Arc::new(SimFile {
            disk: self.clone(),
            path: path.to_owned(),
            inode,
            writable,
            locked,
        })
    }
}

impl Disk for SimDisk {
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        let mut state = self.state();
        state.reading("list", dir, 0..0)?;
        let below = below(dir);
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
        let mut state = self.state();
        if state.crashed {
            return Err(crashed());
        }
        if state.directories.contains_key(dir) {
            return Ok(());
        }
        SimDisk::call(&mut state, "create_dir", dir, ()).result()?;
        if !dir.is_empty() {
            state.change(dir, Change::MakeDir)?;
        }
        state.directories.insert(dir.to_owned(), Arc::default());
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state();
        let allowed = SimDisk::call(&mut state, "sync_dir", dir, ());
        let found = state.dir(dir)?;
        match allowed {
            Allowed::Yes | Allowed::Spoilt(_) => {
                let mut made = Vec::new();
                for (_, name, change) in std::mem::take(&mut found.pending) {
                    change.apply(&name, &mut found.durable);
                    if change == Change::MakeDir {
                        made.push(format!("{}{name}", below(dir)));
                    }
                }
                state.durable_dirs.extend(made);
                Ok(())
            }
            Allowed::Stopped(error) | Allowed::Gone(error) => Err(error),
            // Names of files share the fate of bytes. A directory stays pending: nobody could make
            // it anew while the cache shows it.
            Allowed::No(error) | Allowed::Part(error) => {
                let directory = |(_, _, change): &(u64, String, Change)| *change == Change::MakeDir;
                found.pending.retain(directory);
                Err(error)
            }
        }
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        if state.find(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        SimDisk::call(&mut state, "create", path, ()).result()?;
        state.next_inode += 1;
        let inode = state.next_inode;
        state.change(path, Change::Create(inode))?;
        state.inodes.insert(inode, Arc::default());
        Ok(self.file(path, inode, true, false))
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.reading("open", path, 0..0)?;
        if state.directories.contains_key(path) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let inode = state.find(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(path, inode, access == Access::ReadWrite, false))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        SimDisk::call(&mut state, "rename", from, to).result()?;
        let inode = state.find(from).ok_or(io::ErrorKind::NotFound)?;
        let (from_dir, to_dir) = (split(from).0, split(to).0);
        if from_dir == to_dir {
            return state.change(from, Change::Rename(split(to).1.to_owned(), inode));
        }
        // Between two directories a crash may keep either half, as their syncs are two.
        state.change(to, Change::Create(inode))?;
        state.change(from, Change::Remove)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.crashed {
            return Err(crashed());
        }
        if state.find(path).is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        SimDisk::call(&mut state, "remove", path, ()).result()?;
        state.change(path, Change::Remove)
    }

    fn lock(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let found = self.state().find(path);
        if found.is_none() {
            self.create(path)?;
        }
        let mut state = self.state();
        if state.crashed {
            return Err(crashed());
        }
        let inode = state.find(path).ok_or(io::ErrorKind::NotFound)?;
        if !state.locked.insert(inode) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(self.file(path, inode, true, true))
    }

    fn id_at(&self, path: &str) -> io::Result<Option<FileId>> {
        let mut state = self.state();
        state.reading("id_at", path, 0..0)?;
        Ok(state.find(path).map(id_of))
    }

    fn lens(&self, dir: &str, names: &[String]) -> io::Result<Vec<io::Result<Option<u64>>>> {
        let mut state = self.state();
        if !state.directories.contains_key(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let len = |name: &String| {
            let path = format!("{}{name}", below(dir));
            state.reading("len", &path, 0..0)?;
            let inode = state.find(&path).and_then(|inode| state.inodes.get(&inode));
            Ok(inode.map(|inode| inode.cached.len() as u64))
        };
        Ok(names.iter().map(len).collect())
    }
}
