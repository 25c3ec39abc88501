//! Owns the second look at places of segments that somebody read and found damaged: what an opening
//! concludes is what it reads there now. [R:seg-16]

use std::collections::{BTreeMap, HashMap};

use turnleaf_format::catalogue::Run;
use turnleaf_format::{SegmentId, ThreadNumber};

use super::findings::{Findings, Remark};
use super::segments::{Budget, Suspects, tell, whole_file};
use crate::catalogue::{Catalogue, SegmentFact};
use crate::damage_list::Place;
use crate::error::{Cause, Damage, DiskFailure, ReadError};
use crate::layout::segment_path;
use crate::segment::{OpenSegment, Segments};
use crate::view::ThreadView;

/// What is known of the store without the list.
pub(super) struct Known<'k> {
    pub(super) suspects: &'k Suspects,
    pub(super) catalogue: &'k Catalogue,
    pub(super) segments: &'k Segments,
    pub(super) threads: &'k HashMap<ThreadNumber, ThreadView>,
}

/// What one segment came to.
#[derive(Default)]
struct Look {
    found: Vec<Damage>,
    /// Places that were read, and at which nothing is wrong.
    good: Vec<Place>,
    /// Why others were not read: nothing is concluded of those.
    failure: Option<DiskFailure>,
    is_cut_short: bool,
}

/// Reads listed places again, and tells what is damaged there still. Gives the places that need not
/// be listed any more: nothing is wrong there, or nobody reads from the segment.
pub(super) fn read_again(
    places: &[Place],
    known: &Known<'_>,
    budget: &mut Budget,
    findings: &mut Findings,
) -> Vec<Place> {
    let mut of_segment: BTreeMap<SegmentId, Vec<Place>> = BTreeMap::new();
    for place in places {
        of_segment.entry(place.segment).or_default().push(*place);
    }
    let mut groups: Vec<_> = of_segment.into_iter().collect();
    // What closes a thread is looked at before the budget is spent.
    groups.sort_by_key(|(_, places)| places.iter().all(|place| place.thread.is_none()));
    let mut good = Vec::new();
    for (segment, places) in groups {
        let Some(fact) = known.catalogue.segments.get(segment) else {
            good.extend(places);
            continue;
        };
        // Of these an opening knows enough.
        if known.suspects.has(segment) {
            continue;
        }
        let mut look = Look::default();
        look.at(segment, &places, fact, known.segments, budget);
        for damage in &look.found {
            tell(segment, damage, known.threads, findings);
        }
        if look.failure.is_some() || look.is_cut_short {
            findings.remark(Remark::Unchecked {
                file: segment_path(fact.class, segment),
                why: look.failure.map(|failure| (&failure.source).into()),
            });
        }
        good.append(&mut look.good);
    }
    good
}

impl Look {
    fn at(
        &mut self,
        segment: SegmentId,
        places: &[Place],
        fact: &SegmentFact,
        segments: &Segments,
        budget: &mut Budget,
    ) {
        if budget.is_spent() {
            self.is_cut_short = true;
            return;
        }
        let open = match segments.get(&fact.file(segment)) {
            Ok(open) => open,
            Err(ReadError::Damaged(damage)) => {
                budget.spend(fact.file_bytes);
                let of_run = |run: &Run| Damage {
                    file: segment_path(fact.class, segment),
                    thread: Some(run.thread),
                    ordinals: Some((run.first_ordinal, run.ordinal_end)),
                    ..Damage::clone(&damage)
                };
                self.found.extend(fact.live.iter().map(of_run));
                return;
            }
            // Too many open files, no permission, no memory: that says nothing about the bytes.
            Err(ReadError::Disk(failure)) => {
                self.failure = Some(failure);
                return;
            }
        };
        budget.spend(open.bytes_to_open(fact.file_bytes));
        self.found.extend_from_slice(open.invalid());
        self.found.extend(open.lost_blocks());
        // [R:seg-8]
        if open.digest().is_some_and(|digest| digest != fact.digest) {
            self.found.push(whole_file(segment, fact, Cause::Tables));
        }
        let has_good_tables = self.found.is_empty();
        for place in places {
            if budget.is_spent() {
                self.is_cut_short = true;
                return;
            }
            match self.place(place, &open) {
                Ok((is_good, bytes)) => {
                    budget.spend(bytes);
                    self.good
                        .extend((is_good && has_good_tables).then_some(*place));
                }
                Err(failure) => self.failure = Some(failure),
            }
        }
    }

    /// Whether nothing is wrong at a place, and how many bytes were read for it.
    fn place(&mut self, place: &Place, open: &OpenSegment) -> Result<(bool, u64), DiskFailure> {
        let (mut is_good, found) = (true, &mut self.found);
        let bytes = open.verify_at(place.offset, &mut |damage| {
            is_good = false;
            if !found.contains(damage) {
                found.push(damage.clone());
            }
        })?;
        Ok((is_good, bytes))
    }
}
