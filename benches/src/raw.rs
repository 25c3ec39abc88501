//! Owns the raw disk: what one write and one `fdatasync` cost on blocks that were written before,
//! the least that any durable append can cost.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file of written blocks.
#[derive(Debug)]
pub struct RawFile {
    file: File,
    len: u64,
    at: u64,
}

impl RawFile {
    /// Creates a file and fills it with writes of 4 KiB, as the journal is filled.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn create(path: &Path, len: u64) -> io::Result<RawFile> {
        let file = File::create(path)?;
        for at in (0..len).step_by(4096) {
            file.write_all_at(&[0; 4096], at)?;
        }
        file.sync_all()?;
        Ok(RawFile { file, len, at: 0 })
    }

    /// Writes and syncs, going round.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.at + bytes.len() as u64 > self.len {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        self.file.sync_data()
    }
}
