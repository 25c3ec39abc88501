//! Owns what an opening concludes about published segments without reading them: whether the file
//! is there and has the length that was published. One that has another is read.

use std::collections::HashMap;
use std::io;

use turnleaf_format::{Ordinal, SegmentId, ThreadNumber};

use super::findings::Findings;
use super::verdict::segments::{Length, Presence, Shown, Told, Within, presence, told};
use crate::catalogue::{Catalogue, SegmentFact};
use crate::disk::Disk;
use crate::error::{Cause, Damage, ReadError, SystemError, Unreadable};
use crate::layout::{SEGMENTS, segment_name, segment_path};
use crate::segment::Segments;
use crate::view::{RunRef, ThreadView};

/// Bytes that one opening reads of segments that are suspected, besides the last of them.
const BYTES_MAX: u64 = 64 << 20;

/// How much an opening may still read of segments: it must not take longer the more is damaged.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Default for Budget {
    fn default() -> Budget {
        Budget(BYTES_MAX)
    }
}

impl Budget {
    #[cfg(test)]
    pub(super) fn of(bytes: u64) -> Budget {
        Budget(bytes)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }

    pub(super) fn spend(&mut self, bytes: u64) {
        self.0 = self.0.saturating_sub(bytes);
    }
}

/// Published segments of which not all can be right.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Nothing of these can be read, and why. [R:seg-1]
    gone: HashMap<SegmentId, Damage>,
    /// These have another length, or the system does not say which, and what is damaged of them: at
    /// least one thing each. [R:seg-2] [R:seg-17]
    damaged: Vec<(SegmentId, Vec<Damage>)>,
}

/// Asks the disk for the length of every segment in use.
pub(super) fn suspects(
    disk: &dyn Disk,
    catalogue: &Catalogue,
    segments: &Segments,
    budget: &mut Budget,
    findings: &mut Findings,
) -> Suspects {
    let mut found = Suspects::default();
    let asked: Vec<_> = catalogue.segments.iter().collect();
    if asked.is_empty() {
        return found;
    }
    let names: Vec<String> = asked.iter().map(|(id, _)| segment_name(*id)).collect();
    let lens = match disk.lens(SEGMENTS, &names) {
        Ok(lens) => lens,
        // The directory is not there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            asked.iter().map(|_| Ok(None)).collect()
        }
        Err(error) => {
            findings.unreadable(&Unreadable::at(SEGMENTS, 0, SystemError::from(&error)));
            return found;
        }
    };
    for (((segment, fact), name), len) in asked.into_iter().zip(&names).zip(lens) {
        let len = len.or_else(|error| {
            // [R:unreadable]
            let again = disk.lens(SEGMENTS, std::slice::from_ref(name))?.pop();
            again.unwrap_or(Err(error))
        });
        let length = match len {
            Ok(Some(len)) if len == fact.file_bytes => Length::Published,
            Ok(Some(_)) => Length::Other,
            Ok(None) => Length::NoFile,
            Err(_) => Length::NotTold,
        };
        let (shown, places) = match length {
            Length::Other => read(segment, fact, segments, budget),
            _ => (Shown::NotRead, Vec::new()),
        };
        let whole = |cause| whole_file(segment, fact, cause);
        match presence(length, shown) {
            Presence::Whole => {}
            Presence::Gone => {
                let cause = places.first().map_or(Cause::Missing, |damage| damage.cause);
                found.gone.insert(segment, whole(cause));
            }
            // What else is wrong with it is met by reads.
            Presence::OtherLength => found.damaged.push((segment, vec![whole(Cause::Length)])),
            Presence::Damaged => found.damaged.push((segment, places)),
            Presence::Unread => {
                let why = len.err().map(|error| Cause::Unreadable((&error).into()));
                let places = why.map_or(places, |why| vec![whole(why)]);
                found.damaged.push((segment, places));
            }
        }
    }
    found
}

/// Damage of a published segment as a whole.
pub(super) fn whole_file(segment: SegmentId, fact: &SegmentFact, cause: Cause) -> Damage {
    Damage {
        file: segment_path(fact.class, segment),
        offset: 0,
        length: fact.file_bytes,
        thread: None,
        ordinals: None,
        cause,
    }
}

/// Reads all of a segment whose length is another, if the opening may read as much; gives what is
/// damaged of it.
fn read(
    segment: SegmentId,
    fact: &SegmentFact,
    segments: &Segments,
    budget: &mut Budget,
) -> (Shown, Vec<Damage>) {
    if budget.is_spent() {
        return (Shown::NotRead, Vec::new());
    }
    budget.spend(fact.file_bytes);
    let mut found: Vec<Damage> = Vec::new();
    let read = segments
        .get(&fact.file(segment))
        .and_then(|open| open.verify(&mut |damage| found.push(damage.clone())));
    match read {
        Err(ReadError::Damaged(damage)) if found.is_empty() => {
            let is_unreadable = damage.unreadable().is_some();
            let shown = match is_unreadable {
                true => Shown::NotReadable,
                false => Shown::NoTables,
            };
            (shown, vec![*damage])
        }
        _ if found.is_empty() => (Shown::Nothing, found),
        _ => (Shown::Places, found),
    }
}

impl Suspects {
    /// Why nothing of a segment can be read, if so.
    pub(super) fn gone(&self, segment: SegmentId) -> Option<&Damage> {
        self.gone.get(&segment)
    }

    /// Whether what is wrong with a segment is known without a hint.
    pub(super) fn has(&self, segment: SegmentId) -> bool {
        let mut damaged = self.damaged.iter();
        self.gone.contains_key(&segment) || damaged.any(|(other, _)| *other == segment)
    }

    /// Closes the threads that read from a segment of another length: something else than a store
    /// has changed it, and a repair that costs nothing ends that. [R:seg-2] Where the device does
    /// not say its length, or not what stands there, nobody knows whether it is whole. [R:seg-17]
    pub(super) fn close_threads(
        &self,
        catalogue: &Catalogue,
        threads: &HashMap<ThreadNumber, ThreadView>,
        findings: &mut Findings,
    ) {
        for (segment, found) in &self.damaged {
            let segment = *segment;
            for damage in found {
                tell(segment, damage, threads, findings);
            }
            let fact = catalogue.segments.get(segment);
            let holders = fact.into_iter().flat_map(|fact| fact.live.threads());
            for thread in holders.filter_map(|thread| threads.get(&thread)) {
                if thread.runs.iter().any(|run| run.file.segment == segment) {
                    findings.of_segment(Some(thread.thread), found[0].clone());
                }
            }
        }
    }
}

/// Tells damage within a segment, and closes the thread whose records it costs.
pub(super) fn tell(
    segment: SegmentId,
    damage: &Damage,
    threads: &HashMap<ThreadNumber, ThreadView>,
    findings: &mut Findings,
) {
    let lost = damage.ordinals.filter(|(first, end)| first < end);
    let view = damage.thread.and_then(|thread| threads.get(&thread));
    let cost = lost.zip(view);
    let holds = |((first, end), view): ((Ordinal, Ordinal), &ThreadView)| {
        let holds = |run: &RunRef| run.file.segment == segment && run.from < end && first < run.end;
        view.runs.iter().any(holds)
    };
    let verdict = told(Within {
        costs: cost.is_some(),
        given_up: cost.is_some_and(|((first, end), view)| view.is_given_up(first, end)),
        holds: cost.is_some_and(holds),
    });
    match verdict {
        Told::Accepted => {}
        Told::CostsNothing => findings.of_segment(None, damage.clone()),
        Told::ClosesThread => findings.of_segment(damage.thread, damage.clone()),
    }
}
