//! Owns the directory that a tour works in: one that the user names and keeps, or one that is made
//! for it and removed.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::output::warn;

/// A directory with nothing in it but the tour's thread and store.
#[derive(Debug)]
pub(super) struct Place {
    dir: PathBuf,
    is_kept: bool,
}

impl Place {
    /// The directory `keep`, which must be empty or absent, or a new one that only this user reads.
    pub(super) fn new(keep: Option<&Path>) -> Result<Place, Failure> {
        let refused = |dir: &Path| Failure::io(format!("create {}", dir.display()));
        if let Some(dir) = keep {
            fs::create_dir_all(dir).map_err(refused(dir))?;
            let mut inside = fs::read_dir(dir).map_err(Failure::io("list the directory"))?;
            if inside.next().is_some() {
                let dir = dir.display();
                return Err(Failure::Usage(format!("{dir} is not empty")));
            }
            return Ok(Place {
                dir: dir.to_owned(),
                is_kept: true,
            });
        }
        let base = std::env::temp_dir();
        let process = std::process::id();
        for number in 0_u32.. {
            let dir = base.join(format!("turnleaf-tour-{process}-{number}"));
            // Nothing that is there already is used: somebody else may have made it.
            match DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => {
                    return Ok(Place {
                        dir,
                        is_kept: false,
                    });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(refused(&dir)(error)),
            }
        }
        Err(Failure::usage("no name is free for a temporary directory"))
    }

    /// The file of the thread.
    pub(super) fn thread(&self) -> PathBuf {
        self.dir.join("thread.jsonl")
    }

    /// The directory of the store.
    pub(super) fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// Removes what is not kept.
    pub(super) fn leave(mut self) -> Result<(), Failure> {
        if std::mem::replace(&mut self.is_kept, true) {
            return Ok(());
        }
        let refused = Failure::io(format!("remove {}", self.dir.display()));
        fs::remove_dir_all(&self.dir).map_err(refused)
    }
}

impl Drop for Place {
    /// A tour that fails leaves nothing behind either.
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = fs::remove_dir_all(&self.dir)
        {
            warn(format_args!(
                "cannot remove {}: {error}",
                self.dir.display()
            ));
        }
    }
}
