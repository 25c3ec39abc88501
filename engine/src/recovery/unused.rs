//! Owns what an opening makes of files that nothing needs. It must not remove them: an owner does.

use turnleaf_format::SegmentId;
use turnleaf_format::segment::Class;

use super::findings::{Findings, Remark};
use super::survey::Survey;
use super::verdict::segments::{Fate, Named, fate};
use crate::catalogue::Catalogue;
use crate::layout::segment_path;

fn named(catalogue: &Catalogue, segment: SegmentId) -> Named {
    if catalogue.segments.is_retired(segment) {
        Named::Replaced
    } else if catalogue.segments.is_known(segment) {
        Named::InUse
    } else {
        Named::Nowhere
    }
}

/// Reports the segments that no record publishes. [R:seg-10]
pub(super) fn remark_orphans(catalogue: &Catalogue, files: &[SegmentId], findings: &mut Findings) {
    let is_whole = findings.cost_no_record();
    let fate_of = |segment: SegmentId| fate(named(catalogue, segment), is_whole);
    let orphans = files.iter().filter(|id| fate_of(**id) == Fate::Orphan);
    for segment in orphans {
        let file = segment_path(Class::Run, *segment);
        findings.remark(Remark::Orphan { file });
    }
}

/// Segments whose runs were all replaced, and unfinished files of any directory, where an owner
/// may remove them: where nothing that was `found` costs a record. [R:seg-11] [R:seg-13]
pub(crate) fn leftovers(survey: &Survey, catalogue: &Catalogue, found: &Findings) -> Vec<String> {
    let is_whole = found.cost_no_record();
    let is_removed = |named: Named| fate(named, is_whole) == Fate::Removed;
    let segments = survey.segments.iter();
    let segments = segments.filter(|id| is_removed(named(catalogue, **id)));
    let unfinished = survey.temporaries.iter();
    let unfinished = unfinished.filter(|_| is_removed(Named::Unfinished));
    segments
        .map(|id| segment_path(Class::Run, *id))
        .chain(unfinished.cloned())
        .collect()
}
