//! Owns what an opening concludes about published segments without reading them: whether the file
//! is there and has the length that was published. One that has another is read.

use std::collections::{HashMap, HashSet};
use std::io;

use turnleaf_format::catalogue::Run;
use turnleaf_format::{SegmentId, ThreadNumber};

use super::findings::Findings;
use crate::catalogue::{Catalogue, SegmentFact};
use crate::damage_list::Place;
use crate::disk::Disk;
use crate::error::{Cause, Damage, DiskFailure, ReadError, SystemError, Unreadable};
use crate::layout::{SEGMENTS, segment_name, segment_path};
use crate::segment::Segments;
use crate::view::{RunRef, ThreadView};

/// Published segments of which not all can be right.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Nothing of these can be read, and why. [R:seg-1]
    gone: HashMap<SegmentId, Damage>,
    /// These have another length, and what reading all of them showed. [R:seg-2]
    resized: Vec<(SegmentId, Vec<Damage>)>,
}

/// Asks the disk for the length of every segment in use. `present` are the names that stand there.
pub(super) fn suspects(
    disk: &dyn Disk,
    catalogue: &Catalogue,
    segments: &Segments,
    present: &[SegmentId],
    findings: &mut Findings,
) -> Suspects {
    let present: HashSet<&SegmentId> = present.iter().collect();
    let mut found = Suspects::default();
    let mut asked = Vec::new();
    for (segment, fact) in catalogue.segments.iter() {
        if present.contains(&segment) {
            asked.push((segment, fact));
        } else {
            found.is_gone(segment, fact, Cause::Missing);
        }
    }
    if asked.is_empty() {
        return found;
    }
    let names: Vec<String> = asked.iter().map(|(id, _)| segment_name(*id)).collect();
    let lens = match disk.lens(SEGMENTS, &names) {
        Ok(lens) => lens,
        // The directory was taken away behind the listing.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            asked.iter().map(|_| Ok(None)).collect()
        }
        Err(error) => {
            findings.unreadable(&Unreadable::at(SEGMENTS, 0, SystemError::from(&error)));
            return found;
        }
    };
    for ((segment, fact), len) in asked.into_iter().zip(lens) {
        match len {
            Ok(Some(len)) if len == fact.file_bytes => {}
            Ok(Some(_)) => found.read(segment, fact, segments, findings),
            Ok(None) => found.is_gone(segment, fact, Cause::Missing),
            Err(error) => {
                let path = segment_path(fact.class, segment);
                findings.unreadable(&Unreadable::at(&path, 0, SystemError::from(&error)));
            }
        }
    }
    found
}

impl Suspects {
    /// Why nothing of a segment can be read, if so.
    pub(super) fn gone(&self, segment: SegmentId) -> Option<&Damage> {
        self.gone.get(&segment)
    }

    /// Whether what is wrong with a segment is known without a hint.
    fn has(&self, segment: SegmentId) -> bool {
        let mut resized = self.resized.iter();
        self.gone.contains_key(&segment) || resized.any(|(other, _)| *other == segment)
    }

    fn is_gone(&mut self, segment: SegmentId, fact: &SegmentFact, cause: Cause) {
        let damage = Damage {
            file: segment_path(fact.class, segment),
            offset: 0,
            length: fact.file_bytes,
            thread: None,
            ordinals: None,
            cause,
        };
        self.gone.insert(segment, damage);
    }

    /// Reads all of a segment whose length is another.
    fn read(
        &mut self,
        segment: SegmentId,
        fact: &SegmentFact,
        segments: &Segments,
        findings: &mut Findings,
    ) {
        let mut found: Vec<Damage> = Vec::new();
        let read = segments
            .get(&fact.file(segment))
            .and_then(|open| open.verify(&mut |damage| found.push(damage.clone())));
        if let Some(unreadable) = found.iter().find_map(Damage::unreadable) {
            findings.unreadable(&unreadable);
            return;
        }
        match read {
            Ok(_) => {}
            Err(ReadError::Damaged(damage)) => match damage.unreadable() {
                Some(unreadable) => findings.unreadable(&unreadable),
                // Not even its tables could be made of what is there.
                None if found.is_empty() => self.is_gone(segment, fact, damage.cause),
                None => self.resized.push((segment, found)),
            },
            Err(ReadError::Disk(failure)) => {
                let why = SystemError::from(&failure.source);
                findings.unreadable(&Unreadable::at(&failure.path, 0, why));
            }
        }
    }

    /// Closes the threads that read from a segment of another length: something else than a store
    /// has changed it. A repair that costs nothing ends that. [R:seg-2]
    pub(super) fn close_threads(
        &self,
        catalogue: &Catalogue,
        threads: &HashMap<ThreadNumber, ThreadView>,
        findings: &mut Findings,
    ) {
        for (segment, found) in &self.resized {
            let segment = *segment;
            for damage in found {
                match costs(segment, damage, threads) {
                    Cost::Known => {}
                    Cost::Nothing => findings.costs_nothing(damage.clone()),
                    Cost::Records(thread) => findings.of_thread_alone(thread, damage.clone()),
                }
            }
            let fact = catalogue.segments.get(segment);
            let holders = fact.into_iter().flat_map(|fact| fact.live.keys());
            for thread in holders.filter_map(|thread| threads.get(thread)) {
                if thread.runs.iter().any(|run| run.file.segment == segment) {
                    findings.of_thread_alone(thread.thread, found[0].clone());
                }
            }
        }
    }
}

/// Reads listed places of segments again, and tells what is damaged there still; gives the places
/// where something is. [R:seg-16]
pub(super) fn read_again(
    places: &[Place],
    suspects: &Suspects,
    catalogue: &Catalogue,
    segments: &Segments,
    threads: &HashMap<ThreadNumber, ThreadView>,
    findings: &mut Findings,
) -> Vec<Place> {
    let mut left = Vec::new();
    for place in places {
        let segment = place.segment;
        let in_use = catalogue.segments.get(segment);
        // Of the others an opening knows all that there is to know.
        let Some(fact) = in_use.filter(|_| !suspects.has(segment)) else {
            continue;
        };
        let found = damage_at(*place, fact, segments);
        for damage in &found {
            match costs(segment, damage, threads) {
                Cost::Known => {}
                Cost::Nothing => findings.by_hint(None, damage.clone()),
                Cost::Records(thread) => findings.by_hint(Some(thread), damage.clone()),
            }
        }
        if !found.is_empty() {
            left.push(*place);
        }
    }
    left
}

/// What is damaged at a place, as reads of it say.
fn damage_at(place: Place, fact: &SegmentFact, segments: &Segments) -> Vec<Damage> {
    let opened = segments.get(&fact.file(place.segment));
    let of_runs = |damage: &Damage| {
        let claim = |run: &Run| Damage {
            file: segment_path(fact.class, place.segment),
            thread: Some(run.thread),
            ordinals: Some((run.first_ordinal, run.ordinal_end)),
            ..damage.clone()
        };
        fact.live.values().map(claim).collect()
    };
    let refused = |failure: &DiskFailure| Damage {
        file: failure.path.clone(),
        offset: 0,
        length: 0,
        thread: None,
        ordinals: None,
        cause: Cause::Unreadable((&failure.source).into()),
    };
    match opened {
        Ok(open) => {
            let mut found = open.odd().to_vec();
            let mut note = |damage: &Damage| {
                if !found.contains(damage) {
                    found.push(damage.clone());
                }
            };
            // [R:seg-8]
            if open.digest().is_some_and(|digest| digest != fact.digest) {
                note(&Damage {
                    file: segment_path(fact.class, place.segment),
                    offset: 0,
                    length: fact.file_bytes,
                    thread: None,
                    ordinals: None,
                    cause: Cause::Tables,
                });
            }
            match open.verify_at(place.offset, &mut note) {
                Ok(()) => found,
                Err(failure) => of_runs(&refused(&failure)),
            }
        }
        Err(ReadError::Damaged(damage)) => of_runs(&damage),
        Err(ReadError::Disk(failure)) => of_runs(&refused(&failure)),
    }
}

/// What damage within a segment costs.
enum Cost {
    /// A repair gave it up.
    Known,
    /// No record that is read from there.
    Nothing,
    /// Records of this thread.
    Records(ThreadNumber),
}

fn costs(segment: SegmentId, damage: &Damage, threads: &HashMap<ThreadNumber, ThreadView>) -> Cost {
    let lost = damage.ordinals.filter(|(first, end)| first < end);
    let view = damage.thread.and_then(|thread| threads.get(&thread));
    let (Some((first, end)), Some(view)) = (lost, view) else {
        return Cost::Nothing;
    };
    if view.is_given_up(first, end) {
        return Cost::Known;
    }
    let holds = |run: &&RunRef| run.file.segment == segment && run.from < end && first < run.end;
    match view.runs.iter().find(holds) {
        Some(_) => Cost::Records(view.thread),
        // It is read from elsewhere.
        None => Cost::Nothing,
    }
}
