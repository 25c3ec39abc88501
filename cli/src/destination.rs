//! Owns where `export --output` writes: what a name leads to, and how a file there is replaced.

use std::ffi::OsStr;
use std::fs::{self, File, FileType, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::failure::Failure;

const BUFFER_BYTES: usize = 1 << 20;
/// Links are followed by the system; these are only those that lead to no file yet.
const LINKS_MAX: u32 = 40;
/// Names that other exports, or killed ones, may have left to this process id.
const TRIES_MAX: u32 = 100;

/// What a name leads to, links followed.
#[derive(Debug)]
pub(crate) enum Destination {
    /// The file that standard output is, whatever it is.
    StandardOutput,
    /// A pipe or a character device: never replaced, written into.
    Stream(PathBuf),
    /// A regular file, or nothing yet.
    File {
        dir: PathBuf,
        path: PathBuf,
        /// Those of the file that is replaced.
        permissions: Option<Permissions>,
    },
}

impl Destination {
    /// Finds what `path` leads to and writes nothing. A name below the directory of the store, by
    /// whatever way it leads there, is refused, and so is what is no file.
    pub(crate) fn find(path: &Path, store: &Path) -> Result<Destination, Failure> {
        let shown = path.display();
        let refused = |why: &str| Err(Failure::Usage(format!("{shown} {why}; name a file")));
        let found = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            found => Some(found.map_err(Failure::io(format_args!("look at {shown}")))?),
        };
        if let Some(found) = &found {
            if is_standard_output(found) {
                return Ok(Destination::StandardOutput);
            }
            let kind = found.file_type();
            if is_stream(kind) {
                return Ok(Destination::Stream(path.to_owned()));
            }
            if kind.is_dir() {
                return refused("is a directory");
            }
            if !kind.is_file() {
                return refused("cannot be replaced");
            }
        } else if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return refused("names a directory");
        }
        let path = follow(path).map_err(Failure::io(format_args!("find {shown}")))?;
        let Some(dir) = path.parent().map(Path::to_owned) else {
            return refused("is a directory");
        };
        if is_inside(&dir, store).map_err(Failure::io(format_args!("find {shown}")))? {
            return refused("lies in a store");
        }
        let permissions = found.map(|found| found.permissions());
        Ok(Destination::File {
            dir,
            path,
            permissions,
        })
    }

    /// Lets `work` write. A file is written beside its place, made durable and renamed, so that a
    /// failure leaves the old one.
    pub(crate) fn write(
        &self,
        work: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Destination::StandardOutput => {
                let mut out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
                work(&mut out)?;
                out.flush().map_err(Failure::io("write to standard output"))
            }
            Destination::Stream(path) => {
                let shown = path.display();
                let file = OpenOptions::new().write(true).open(path);
                let file = file.map_err(Failure::io(format_args!("open {shown}")))?;
                let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
                work(&mut out)?;
                out.flush()
                    .map_err(Failure::io(format_args!("write {shown}")))
            }
            Destination::File {
                dir,
                path,
                permissions,
            } => {
                let mut temporary = Temporary::create(dir, permissions.as_ref())?;
                let mut out = BufWriter::with_capacity(BUFFER_BYTES, &temporary.file);
                work(&mut out)?;
                let shown = path.display();
                out.flush()
                    .map_err(Failure::io(format_args!("write {shown}")))?;
                drop(out);
                temporary.put(dir, path)
            }
        }
    }
}

/// Lets `work` write a file below a directory, which is made, with the folders between, where they
/// are not there. Nothing is replaced, and nothing is written within the directory of the store.
/// The file has its name when all of it is durable.
pub(crate) fn write_new(
    below: &Path,
    path: &Path,
    store: &Path,
    work: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let shown = path.display();
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Failure::Usage(format!("{shown} names no file")));
    };
    let (there, missing) = existing(dir).map_err(Failure::io(format_args!("find {shown}")))?;
    refuse_inside(&there, store, below)?;
    if !missing
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return Err(Failure::Usage(format!(
            "{shown} leads out of a directory that is not there; name another directory"
        )));
    }
    if path.symlink_metadata().is_ok() {
        return Err(Failure::Usage(format!("{shown} is there already")));
    }
    // What stands there now may be a link that came meanwhile.
    let dir = make(there, missing)?
        .canonicalize()
        .map_err(Failure::io(format_args!("find {shown}")))?;
    refuse_inside(&dir, store, below)?;
    let mut temporary = Temporary::create(&dir, None)?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, &temporary.file);
    work(&mut out)?;
    let flushed = out.flush();
    flushed.map_err(Failure::io(format_args!("write {shown}")))?;
    drop(out);
    temporary.put_new(&dir, name)
}

/// Makes the folders below a directory that are not there. The name of each is durable.
fn make(mut dir: PathBuf, missing: &Path) -> Result<PathBuf, Failure> {
    for name in missing {
        let above = dir.clone();
        dir.push(name);
        match fs::create_dir(&dir) {
            // Another export made it, and may not have come to the sync.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => {}
            made => made.map_err(Failure::io(format_args!("create {}", dir.display())))?,
        }
        sync(&above)?;
    }
    Ok(dir)
}

fn refuse_inside(dir: &Path, store: &Path, named: &Path) -> Result<(), Failure> {
    let shown = named.display();
    let inside = is_inside(dir, store).map_err(Failure::io(format_args!("find {shown}")))?;
    if inside {
        return Err(Failure::Usage(format!(
            "{shown} lies in a store; name another directory"
        )));
    }
    Ok(())
}

/// The part of a path that is there, without links, and the rest of it.
fn existing(path: &Path) -> io::Result<(PathBuf, &Path)> {
    let mut at = path;
    loop {
        let here = if at.as_os_str().is_empty() {
            Path::new(".")
        } else {
            at
        };
        match (here.canonicalize(), at.parent()) {
            (Err(error), Some(above)) if error.kind() == ErrorKind::NotFound => at = above,
            (found, _) => {
                let rest = path.strip_prefix(at).unwrap_or(Path::new(""));
                return found.map(|found| (found, rest));
            }
        }
    }
}

/// A file without its name yet; it goes when it never gets one.
struct Temporary {
    path: PathBuf,
    file: File,
    is_renamed: bool,
}

impl Temporary {
    fn create(dir: &Path, permissions: Option<&Permissions>) -> Result<Temporary, Failure> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        if permissions.is_some() {
            // Nobody reads in the meantime what he could not read in the end.
            options.mode(0o600);
        }
        let mut number = 0;
        let (path, file) = loop {
            // The name does not grow with the name of the file, which may be as long as one can be.
            let name = format!(".turnleaf-{}-{number}.tmp", std::process::id());
            let path = dir.join(name);
            match options.open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && number < TRIES_MAX => {
                    number += 1;
                }
                file => {
                    let shown = path.display();
                    break (
                        path.clone(),
                        file.map_err(Failure::io(format_args!("create {shown}")))?,
                    );
                }
            }
        };
        let temporary = Temporary {
            path,
            file,
            is_renamed: false,
        };
        if let Some(permissions) = permissions {
            let shown = temporary.path.display();
            let set = temporary.file.set_permissions(permissions.clone());
            set.map_err(Failure::io(format_args!("set permissions of {shown}")))?;
        }
        Ok(temporary)
    }

    /// Makes the bytes durable, then the name.
    fn put(&mut self, dir: &Path, path: &Path) -> Result<(), Failure> {
        let shown = path.display();
        let synced = self.file.sync_all();
        synced.map_err(Failure::io(format_args!("sync {shown}")))?;
        let renamed = fs::rename(&self.path, path);
        renamed.map_err(Failure::io(format_args!("rename to {shown}")))?;
        self.is_renamed = true;
        sync(dir)
    }

    /// As [`Temporary::put`], where nothing may be replaced: a name that came meanwhile stays, also
    /// on a file system that cannot give a name only where there is none.
    fn put_new(&mut self, dir: &Path, name: &OsStr) -> Result<(), Failure> {
        let path = dir.join(name);
        let shown = path.display();
        let synced = self.file.sync_all();
        synced.map_err(Failure::io(format_args!("sync {shown}")))?;
        let named = match renameat_with(CWD, &self.path, CWD, &path, RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.is_renamed = true;
                Ok(())
            }
            // The file system does not know the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::hard_link(&self.path, &path),
            Err(error) => Err(error.into()),
        };
        match named {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Failure::Usage(format!("{shown} is there already")))
            }
            named => {
                named.map_err(Failure::io(format_args!("rename to {shown}")))?;
                sync(dir)
            }
        }
    }
}

fn sync(dir: &Path) -> Result<(), Failure> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(Failure::io(format_args!("sync {}", dir.display())))
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_stream(kind: FileType) -> bool {
    kind.is_fifo() || kind.is_char_device()
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// A file that standard output goes to is not replaced under the eyes of whoever reads it.
fn is_standard_output(found: &Metadata) -> bool {
    let output = io::stdout().as_fd().try_clone_to_owned();
    let output = output.and_then(|output| File::from(output).metadata());
    output.is_ok_and(|output| is_same(found, &output))
}

/// The path without links, also where its last name is a link to nothing or nothing itself.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match path.canonicalize() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            found => return found,
        }
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        match (path.read_link(), path.file_name()) {
            (Ok(target), _) => path = dir.join(target),
            (Err(_), Some(name)) => return Ok(dir.canonicalize()?.join(name)),
            (Err(error), None) => return Err(error),
        }
    }
    Err(ErrorKind::NotFound.into())
}

/// Whether a directory without links is that of the store or lies below it. The directories are
/// compared, not their names: the store's may be mounted twice.
fn is_inside(dir: &Path, store: &Path) -> io::Result<bool> {
    let store = store.metadata()?;
    for above in dir.ancestors() {
        if is_same(&above.metadata()?, &store) {
            return Ok(true);
        }
    }
    Ok(false)
}
