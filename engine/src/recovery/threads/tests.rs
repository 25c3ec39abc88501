use std::sync::Arc;

use turnleaf_format::catalogue::Run;
use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, SegmentId, ThreadChain, ThreadNumber};

use super::{Growing, PublishedRun, broken_run};
use crate::recovery::Findings;
use crate::view::{RunRef, SegmentFile};

const THREAD: ThreadNumber = ThreadNumber(1);

/// A run of a segment; its chains are its ordinals, so that all runs fit together.
fn run(segment: u64, first: u64, end: u64, is_gone: bool) -> PublishedRun {
    let file = Arc::new(SegmentFile {
        segment: SegmentId(segment),
        class: Class::Pack,
        published: None,
    });
    let row = Run {
        thread: THREAD,
        first_ordinal: Ordinal(first),
        ordinal_end: Ordinal(end),
        chain_before: ThreadChain(first),
        chain_after: ThreadChain(end),
        payload_bytes: 0,
    };
    let run = RunRef::of(&file, &row);
    let gone = is_gone.then(|| broken_run(&run, (Ordinal(first), Ordinal(end))));
    PublishedRun { run, gone }
}

/// A step of the cover: where it begins and ends, and the segment that is read there, if any is.
type Step = (u64, u64, Option<u64>);

fn swept(runs: &[PublishedRun]) -> Vec<Step> {
    let mut findings = Findings::default();
    let view = Growing::cover(THREAD, runs.to_vec(), &[], &mut findings).view;
    let runs = view.runs.iter();
    let runs = runs.map(|run| (run.from.0, run.end.0, Some(run.file.segment.0)));
    let holes = view
        .holes
        .iter()
        .map(|hole| (hole.first.0, hole.end.0, None));
    let mut steps: Vec<Step> = runs.chain(holes).collect();
    steps.sort_unstable();
    steps
}

/// The rule as it is written, ordinal by ordinal. [S:segment-7] [R:seg-14]
fn by_the_rule(runs: &[PublishedRun]) -> Vec<Step> {
    let all = || runs.iter().map(|run| (&run.run, run.gone.is_some()));
    let usable = || all().filter(|(_, is_gone)| !is_gone).map(|(run, _)| run);
    let (mut steps, mut place) = (Vec::new(), 0);
    while all().any(|(run, _)| run.end.0 > place) {
        let here = usable().filter(|run| run.first.0 <= place && place < run.end.0);
        let best = here.max_by_key(|run| (run.end, run.file.segment));
        let end = match best {
            Some(best) => best.end.0,
            None => {
                let begins = all().map(|(run, _)| run.first.0).filter(|at| *at > place);
                let over = all().map(|(run, _)| run);
                let mut over = over.filter(|run| run.first.0 <= place && place < run.end.0);
                let ends = over.next().map(|run| run.end.0);
                begins.chain(ends).min().expect("something follows")
            }
        };
        steps.push((place, end, best.map(|best| best.file.segment.0)));
        place = end;
    }
    steps
}

#[test]
fn the_sweep_covers_as_the_rule_says() {
    let mut seed = 7_u64;
    let mut below = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % bound
    };
    for round in 0..3000 {
        let mut runs: Vec<_> = (0..below(9))
            .map(|segment| {
                let first = below(20);
                run(segment, first, first + 1 + below(9), below(4) == 0)
            })
            .collect();
        runs.sort_by_key(|run| run.run.first);
        assert_eq!(swept(&runs), by_the_rule(&runs), "round {round}: {runs:?}");
    }
}
