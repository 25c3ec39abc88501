//! Owns the sizes that shape a log; plain data.

/// Largest journal file that is written, bytes; one that holds more is not read.
pub(crate) const JOURNAL_FILE_BYTES_MAX: u64 = 1 << 30;

/// Sizes of a log. The defaults are the product's; tests make them small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Size of the smallest journal file in bytes: that of the first one, and of every one that an
    /// owner begins behind another that did not end cleanly.
    pub journal_first_bytes: u64,
    /// Size of the largest journal file in bytes. A further file is as large as what only the
    /// journal holds, and four times the one before where the same owner began and filled that.
    pub journal_file_bytes: u64,
    /// Bytes of journal files that a clean close leaves at most, besides twice what only the
    /// journal holds; where there are more, everything is sealed.
    pub journal_spare_bytes: u64,
    /// Bytes held back, so that a full disk can be opened and threads of it deleted. 0: none.
    pub reserve_bytes: u64,
    /// Journal files in use before what is left in the oldest is packed, and appends wait. They are
    /// counted, not their bytes, because each is open: a burst that begins with the smallest file
    /// fills some 370 MiB before that happens for the first time, and 16 x 32 MiB from then on.
    pub journal_files_max: usize,
    /// Batches in the journal above which the oldest file is sealed although there is room: what is
    /// known of each takes up memory (some 100 bytes). No append waits for that.
    pub journal_frames_max: usize,
    /// Bytes of one thread's open stretch in the journal that are put into a pack before the
    /// journal is at its budget: they would be read by every open.
    pub seal_bytes_min: u64,
    /// What a stretch weighs (payload, and 20 bytes for each record) before a boundary ends it.
    pub segment_boundary_bytes: u64,
    /// What a stretch weighs before any record ends it.
    pub segment_bytes_max: u64,
    /// Records of the catalogue behind its checkpoint below which no new one is written: what an
    /// opening reads of them costs less than a file.
    pub checkpoint_records_min: u64,
    /// Segment files kept open.
    pub descriptors_max: usize,
    /// Inflated blocks kept in memory, bytes.
    pub block_cache_bytes: usize,
    /// Newest journal bytes kept in memory for readers.
    pub tail_cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            journal_first_bytes: 64 << 10,
            journal_file_bytes: 32 << 20,
            journal_spare_bytes: 1 << 20,
            reserve_bytes: 1 << 20,
            journal_files_max: 16,
            journal_frames_max: 1 << 18,
            seal_bytes_min: 16 << 20,
            segment_boundary_bytes: 8 << 20,
            segment_bytes_max: 64 << 20,
            checkpoint_records_min: 1024,
            descriptors_max: 32,
            block_cache_bytes: 16 << 20,
            tail_cache_bytes: 8 << 20,
        }
    }
}

impl Options {
    /// Refuses sizes that could not work.
    ///
    /// # Errors
    /// A sentence that names the option.
    pub fn validate(&self) -> Result<(), &'static str> {
        let smallest = turnleaf_format::journal::FRAMES_OFFSET + 4096;
        if self.journal_first_bytes < smallest || self.journal_file_bytes < smallest {
            return Err("a journal file needs room for its header and some frames (12 KiB)");
        }
        if self.journal_first_bytes.max(self.journal_file_bytes) > JOURNAL_FILE_BYTES_MAX {
            return Err("a journal file has 1 GiB at most");
        }
        if self.journal_files_max < 2 {
            return Err("journal_files_max must be at least 2");
        }
        if self.descriptors_max == 0 {
            return Err("descriptors_max must be at least 1");
        }
        Ok(())
    }
}
