//! Owns the figures about a store: what it holds, on disk and in memory.

use turnleaf_engine::{Footprint, SegmentInfo};

use crate::error::Error;
use crate::index::file;
use crate::open::Store;
use crate::source::{Source, shown};

/// Sizes of a store, in bytes unless it says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Threads.
    pub threads: u64,
    /// Records in the log: also our own (names), and each part of a line that came in parts, which
    /// the totals of threads leave out.
    pub records: u64,
    /// Journal files, recycled ones included.
    pub journal_bytes: u64,
    /// Record bytes that only the journal holds.
    pub unsealed_bytes: u64,
    /// Segment files.
    pub segment_bytes: u64,
    /// Payloads in segments.
    pub payload_bytes: u64,
    /// The index file.
    pub index_bytes: u64,
    /// Segments in use.
    pub segments: Vec<SegmentInfo>,
}

impl Store {
    /// What the log of an owner holds in memory and in open files.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] for a store open for reading.
    pub fn footprint(&self) -> Result<Footprint, Error> {
        Ok(self.source.owner()?.lock().footprint())
    }

    /// Sizes of what is stored, in bytes. Reads one length from the disk, that of the index.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let stats = store.stats()?;
    /// println!("{} of {}", stats.segment_bytes, stats.payload_bytes);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// For failures of the system.
    pub fn stats(&self) -> Result<Stats, Error> {
        let mut stats = match &self.source {
            Source::Reader(snapshot) => {
                let journal_bytes = snapshot.journal_bytes();
                Stats {
                    journal_bytes,
                    ..stats_of(snapshot.state())
                }
            }
            Source::Owner(committer) => {
                let log = committer.lock();
                Stats {
                    journal_bytes: log.journal_size().0,
                    ..stats_of(log.state())
                }
            }
        };
        stats.index_bytes = file::bytes(&*self.disk)?;
        Ok(stats)
    }
}

fn stats_of(state: &turnleaf_engine::State) -> Stats {
    let mut stats = Stats {
        segments: state.segments(),
        ..Stats::default()
    };
    for (number, _) in shown(state) {
        stats.threads += 1;
        for rollout in state.rollouts_of(number) {
            let own = state.own_records(rollout);
            stats.records += own.map_or(0, |own| own.end().0);
            stats.unsealed_bytes += state.journal_bytes(rollout);
        }
    }
    stats.segment_bytes = stats
        .segments
        .iter()
        .map(|segment| segment.file_bytes)
        .sum();
    stats.payload_bytes = stats
        .segments
        .iter()
        .map(|segment| segment.payload_bytes)
        .sum();
    stats
}
