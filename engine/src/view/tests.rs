use std::sync::Arc;

use turnleaf_format::catalogue::Lost;
use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, SegmentId, ThreadChain, ThreadNumber};

use super::{RunRef, SegmentFile, ThreadView};

/// A run: the class of its segment, its first ordinal, the first that is read from it, its end.
type Run = (Class, u64, u64, u64);

/// A view of these runs, numbered as segments in their order, and of what was given up.
fn view(runs: &[Run], given_up: &[(u64, u64)]) -> ThreadView {
    let mut view = ThreadView::new(ThreadNumber(1));
    let lost = |(first, end): &(u64, u64)| Lost {
        thread: ThreadNumber(1),
        first_ordinal: Ordinal(*first),
        ordinal_end: Ordinal(*end),
        chain_after: ThreadChain(*end),
        at_ms: 1,
    };
    view.given_up = given_up.iter().map(lost).collect();
    for (number, (class, first, from, end)) in (1..).zip(runs) {
        let file = Arc::new(SegmentFile {
            segment: SegmentId(number),
            class: *class,
            published: None,
        });
        view.add_run(RunRef {
            file,
            first: Ordinal(*first),
            from: Ordinal(*from),
            end: Ordinal(*end),
            chain_before: ThreadChain(*first),
            chain_after: ThreadChain(*end),
            payload_bytes: 1,
        });
    }
    view
}

/// A later seal absorbs the packs at the end: as many as follow each other, each of them whole.
#[test]
fn packs_that_follow_each_other_are_provisional() {
    let check = |runs: &[Run], given_up: &[(u64, u64)], segments: &[u64]| {
        let view = view(runs, given_up);
        let found = view.provisional().iter().map(|run| run.file.segment.0);
        let found: Vec<u64> = found.collect();
        assert_eq!(found, segments, "{runs:?}, {given_up:?}");
    };
    let (pack, run) = (Class::Pack, Class::Run);
    check(&[], &[], &[]);
    check(&[(run, 0, 0, 5)], &[], &[]);
    check(&[(pack, 0, 0, 5), (pack, 5, 5, 8)], &[], &[1, 2]);
    check(
        &[(pack, 0, 0, 5), (run, 5, 5, 8), (pack, 8, 8, 9)],
        &[],
        &[3],
    );
    // Of one that is read from its middle on, another holds the beginning.
    check(&[(pack, 0, 0, 5), (pack, 3, 5, 8)], &[], &[]);
    check(
        &[(pack, 0, 0, 5), (pack, 3, 5, 8), (pack, 8, 8, 9)],
        &[],
        &[3],
    );
    // What was given up ends them: between two runs, in a run, where one ends.
    check(&[(pack, 0, 0, 5), (pack, 7, 7, 9)], &[(5, 7)], &[2]);
    check(&[(pack, 0, 0, 5), (pack, 5, 5, 9)], &[(6, 7)], &[]);
    check(&[(pack, 0, 0, 5), (pack, 5, 5, 9)], &[(5, 5)], &[2]);
}
