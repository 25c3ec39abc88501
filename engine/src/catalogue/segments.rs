//! Owns what is known of published segments: of those in use everything, of the others that they
//! were. It must not know files.

use std::collections::{BTreeMap, BTreeSet};

use turnleaf_format::catalogue::Run;
use turnleaf_format::segment::Class;
use turnleaf_format::{SegmentId, ThreadNumber};

use super::ids::Ranges;
use crate::stretch::weight;
use crate::view::{Published, SegmentFile};

/// One published segment in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentFact {
    pub(crate) class: Class,
    pub(crate) file_bytes: u64,
    pub(crate) digest: [u8; 32],
    /// What its runs weighed when it was published.
    pub(super) bytes: u64,
    /// What those weigh that are in use.
    pub(super) live_bytes: u64,
    /// Runs that no newer segment has taken over.
    pub(crate) live: LiveRuns,
}

/// Runs in use of one segment, each of another thread, by its number. Most segments hold one, for
/// which a tree takes some 600 bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LiveRuns(Vec<Run>);

impl LiveRuns {
    fn of<'r>(runs: impl Iterator<Item = &'r Run>) -> LiveRuns {
        let mut live = LiveRuns::default();
        for run in runs {
            match live.place_of(run.thread) {
                Ok(at) => live.0[at] = *run,
                Err(at) => live.0.insert(at, *run),
            }
        }
        live.0.shrink_to_fit();
        live
    }

    fn place_of(&self, thread: ThreadNumber) -> Result<usize, usize> {
        self.0.binary_search_by_key(&thread, |run| run.thread)
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Run> {
        self.0.iter()
    }

    /// Whose runs they are.
    pub(crate) fn threads(&self) -> impl Iterator<Item = ThreadNumber> {
        self.0.iter().map(|run| run.thread)
    }

    /// The run of a thread.
    pub(crate) fn get(&self, thread: ThreadNumber) -> Option<&Run> {
        self.place_of(thread).ok().map(|at| &self.0[at])
    }

    /// How many it has room for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.0.capacity()
    }

    fn remove(&mut self, thread: ThreadNumber) -> Option<Run> {
        let run = self.place_of(thread).ok().map(|at| self.0.remove(at));
        // A pack may lose its runs one by one, and keep the last of thousands for long.
        if self.0.len() < self.0.capacity() / 2 {
            self.0.shrink_to_fit();
        }
        run
    }
}

impl SegmentFact {
    /// A segment with these runs, of which those in use are to be named.
    pub(crate) fn new(
        (class, file_bytes, digest): (Class, u64, [u8; 32]),
        runs: &[Run],
        is_in_use: impl Fn(&Run) -> bool,
    ) -> SegmentFact {
        let live = LiveRuns::of(runs.iter().filter(|run| is_in_use(run)));
        SegmentFact {
            class,
            file_bytes,
            digest,
            bytes: runs.iter().map(weight_of_run).sum(),
            live_bytes: live.iter().map(weight_of_run).sum(),
            live,
        }
    }

    /// Whether it is a pack of which less than a half is in use.
    fn is_sparse(&self) -> bool {
        self.class == Class::Pack && 2 * self.live_bytes < self.bytes
    }

    /// The segment's file as its publication says it is.
    pub(crate) fn file(&self, segment: SegmentId) -> SegmentFile {
        SegmentFile {
            segment,
            class: self.class,
            published: Some(Published {
                file_bytes: self.file_bytes,
                runs: self.live.0.clone(),
            }),
        }
    }
}

fn weight_of_run(run: &Run) -> u64 {
    weight(run.payload_bytes, run.ordinal_end.0 - run.first_ordinal.0)
}

/// All published segments. What is kept of one that is in use no more does not grow with their
/// number: ids are given upwards, and most neighbours retire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SegmentFacts {
    in_use: BTreeMap<SegmentId, SegmentFact>,
    /// Published, and none of its runs is in use.
    retired: Ranges,
    /// Every run in use.
    runs: BTreeSet<(ThreadNumber, SegmentId)>,
    /// Packs in use of which less than a half is in use.
    sparse: BTreeSet<SegmentId>,
}

impl SegmentFacts {
    /// A segment in use.
    pub(crate) fn get(&self, segment: SegmentId) -> Option<&SegmentFact> {
        self.in_use.get(&segment)
    }

    /// The fact of one segment alone, to look it up.
    pub(super) fn only(&self, segment: SegmentId) -> SegmentFacts {
        let fact = self.get(segment).cloned();
        SegmentFacts {
            in_use: fact.map(|fact| (segment, fact)).into_iter().collect(),
            ..SegmentFacts::default()
        }
    }

    /// Segments in use, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SegmentId, &SegmentFact)> {
        self.in_use.iter().map(|(segment, fact)| (*segment, fact))
    }

    /// How many are in use.
    pub(crate) fn len(&self) -> usize {
        self.in_use.len()
    }

    /// Whether it was published.
    pub(crate) fn is_known(&self, segment: SegmentId) -> bool {
        self.in_use.contains_key(&segment) || self.is_retired(segment)
    }

    /// Whether it was published, and none of its runs is in use any more.
    pub(crate) fn is_retired(&self, segment: SegmentId) -> bool {
        self.retired.contains(segment.0)
    }

    /// Packs in use of which less than a half is in use, by number.
    pub(crate) fn sparse(&self) -> impl Iterator<Item = (SegmentId, &SegmentFact)> {
        let sparse = self.sparse.iter();
        sparse.filter_map(|segment| Some((*segment, self.in_use.get(segment)?)))
    }

    /// The run of a thread in a segment, while it is in use.
    pub(crate) fn run_of(&self, segment: SegmentId, thread: ThreadNumber) -> Option<Run> {
        self.in_use.get(&segment)?.live.get(thread).copied()
    }

    /// Segments that hold runs in use of a thread, by number.
    pub(crate) fn of_thread(&self, thread: ThreadNumber) -> impl Iterator<Item = SegmentId> {
        let runs = (thread, SegmentId(0))..=(thread, SegmentId(u64::MAX));
        self.runs.range(runs).map(|(_, segment)| *segment)
    }

    /// What is kept of segments that are in use no more.
    pub(crate) fn retired_ranges(&self) -> usize {
        self.retired.len()
    }

    /// Ranges of segments that are in use no more: first and last, ascending.
    pub(super) fn retired(&self) -> impl Iterator<Item = (SegmentId, SegmentId)> {
        let ranges = self.retired.iter();
        ranges.map(|(first, last)| (SegmentId(first), SegmentId(last)))
    }

    /// Adds segments that are in use no more, behind those that are known. Returns `false` when
    /// they are not behind them.
    pub(super) fn retire(&mut self, first: u64, last: u64) -> bool {
        self.in_use.is_empty() && self.retired.push(first, last)
    }

    /// Says what a segment in use weighed when it was published. Returns `false` when that cannot
    /// be.
    pub(super) fn weighed(&mut self, segment: SegmentId, bytes: u64) -> bool {
        let fact = self.in_use.get_mut(&segment);
        let fits = fact
            .filter(|fact| fact.live_bytes < bytes)
            .map(|fact| fact.bytes = bytes);
        self.judge(segment);
        fits.is_some()
    }

    /// Adds a segment that is not known.
    pub(super) fn publish(&mut self, segment: SegmentId, fact: SegmentFact) {
        let threads = fact.live.threads();
        self.runs.extend(threads.map(|thread| (thread, segment)));
        self.in_use.insert(segment, fact);
        self.judge(segment);
    }

    /// A run is in use no more.
    pub(super) fn release(&mut self, segment: SegmentId, thread: ThreadNumber) {
        let Some(fact) = self.in_use.get_mut(&segment) else {
            return;
        };
        if let Some(run) = fact.live.remove(thread) {
            fact.live_bytes -= weight_of_run(&run);
            self.runs.remove(&(thread, segment));
            self.judge(segment);
        }
    }

    fn judge(&mut self, segment: SegmentId) {
        let fact = self.in_use.get(&segment);
        let is_retired = fact.is_some_and(|fact| fact.live.0.is_empty());
        let is_sparse = !is_retired && fact.is_some_and(SegmentFact::is_sparse);
        if is_retired {
            self.in_use.remove(&segment);
            self.retired.insert(segment.0);
        }
        if is_sparse {
            self.sparse.insert(segment);
        } else {
            self.sparse.remove(&segment);
        }
    }
}
