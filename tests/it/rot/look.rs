//! Owns a look at a log of which something was spoilt: everything is read, everything is verified.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use turnleaf_engine::disk::Disk;
use turnleaf_engine::{Damage, Remark, Snapshot, TailVerdict};
use turnleaf_format::{ThreadNumber, journal};
use turnleaf_tests::around::read_around;
use turnleaf_tests::sim_disk::SimDisk;

/// Thread ids and lines, by thread number.
pub(super) type Truth = BTreeMap<ThreadNumber, (String, Vec<Vec<u8>>)>;

/// Bytes that a look calls spoilt.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) bytes: Range<u64>,
}

/// What a look came to.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) panicked: bool,
    /// Something was not read at all.
    pub(super) refused: bool,
    pub(super) places: Vec<Place>,
    /// Records that were not read.
    pub(super) lost: BTreeSet<(ThreadNumber, u64)>,
    /// Records, or threads, that never were.
    pub(super) wrong: usize,
}

impl Seen {
    fn damage(&mut self, damage: &Damage) {
        self.place(&damage.file, damage.offset, damage.length);
    }

    fn place(&mut self, file: &str, start: u64, length: u64) {
        self.places.push(Place {
            file: file.to_owned(),
            bytes: start..start + length,
        });
    }
}

/// Looks at a store. `newest` is its newest journal file, and where that ended.
pub(super) fn look(disk: &SimDisk, truth: &Truth, newest: &(String, u64)) -> Seen {
    let looked = catch_unwind(AssertUnwindSafe(|| {
        let mut seen = Seen::default();
        let done = try_look(disk, truth, newest, &mut seen);
        seen.refused = done.is_none();
        seen
    }));
    looked.unwrap_or_else(|_| Seen {
        panicked: true,
        ..Seen::default()
    })
}

fn try_look(disk: &SimDisk, truth: &Truth, newest: &(String, u64), seen: &mut Seen) -> Option<()> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let snapshot = Snapshot::open(&shared, &super::options()).ok()?;
    let report = snapshot.report();
    report.damage.iter().for_each(|found| seen.damage(found));
    for remark in &report.remarks {
        match remark {
            Remark::HeaderCopy { file, offset, .. } => {
                seen.place(file, *offset, journal::HEADER_BYTES as u64);
            }
            Remark::Orphan { file } => seen.place(file, 0, 0),
            Remark::Unchecked { file, .. } => seen.place(file, 0, 0),
            Remark::UnknownRecord { .. } => seen.wrong += 1,
        }
    }
    // Rot in the last group, with no frame behind it, looks like a write that did not finish.
    if let TailVerdict::Torn { offset } = report.tail {
        seen.place(&newest.0, offset, newest.1.saturating_sub(offset));
    }
    let state = snapshot.state();
    for (number, fact) in state.threads() {
        let known = truth.get(&number);
        if known.is_none_or(|(id, _)| *id != fact.id.to_string()) {
            seen.wrong += 1;
        }
    }
    for (number, (_, lines)) in truth {
        let mut found = vec![false; lines.len()];
        // A thread of which nothing is left has no reader.
        if let Some(reader) = state.reader(*number) {
            let met = read_around(&reader, &mut |record| {
                let at = usize::try_from(record.ordinal.0).unwrap_or(usize::MAX);
                match lines.get(at) {
                    Some(right) if record.bytes() == Some(right) => found[at] = true,
                    _ => seen.wrong += 1,
                }
            });
            met.iter().for_each(|damage| seen.damage(damage));
            let verified = state.verify_thread(*number, &mut |damage| seen.damage(damage));
            verified.ok()?;
        }
        let lost = (0..).zip(&found).filter(|(_, found)| !**found);
        seen.lost.extend(lost.map(|(at, _)| (*number, at)));
    }
    for info in state.segments() {
        let verified = state.verify_segment(info.segment, &mut |damage| seen.damage(damage));
        verified.ok()?;
    }
    let verified = state.verify_catalogue(&mut |damage| seen.damage(damage));
    verified.ok()
}
