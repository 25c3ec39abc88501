use std::sync::Arc;

use turnleaf_format::catalogue::{Lost, Run};
use turnleaf_format::frame::{FrameHeader, Position};
use turnleaf_format::segment::Class;
use turnleaf_format::{Format, JournalChain, Ordinal, SegmentId, ThreadChain, ThreadNumber};

use super::sweep::broken_run;
use super::{Growing, PublishedRun};
use crate::journal::ScannedFrame;
use crate::lengths::Lengths;
use crate::recovery::Findings;
use crate::recovery::verdict::frames::Evidence;
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

/// A frame that completes so many records, between two chains.
fn frame(first: u64, records: u64, unfinished: bool, chains: (u64, u64)) -> ScannedFrame {
    let header = FrameHeader {
        readable_by: Format::FIRST,
        place: Position::default(),
        thread: THREAD,
        first_ordinal: Ordinal(first),
        entry_count: 1,
        body_len: 0,
        durable_upto: Position::default(),
        epoch: 1,
        journal_chain: JournalChain(0),
        thread_chain: ThreadChain(chains.0),
        body_crc: 0,
    };
    ScannedFrame {
        header,
        records,
        chain_after: ThreadChain(chains.1),
        unfinished,
        bytes_before: 0,
        bytes_after: 0,
        lengths: Lengths::default(),
        catalogue_body: None,
    }
}

fn given_up(first: u64, end: u64, chain_after: u64) -> Lost {
    Lost {
        thread: THREAD,
        first_ordinal: Ordinal(first),
        ordinal_end: Ordinal(end),
        chain_after: ThreadChain(chain_after),
        at_ms: 0,
    }
}

/// Small threads and small frames in every relation to each other: together they show every
/// pattern of evidence that is called possible, and none that is called impossible.
#[test]
fn frames_show_just_the_possible_patterns() {
    const OTHER: u64 = 99;
    let mut seen = Vec::new();
    for (cover_end, beyond, first, records) in grid(3, 3, 5, 3) {
        let runs = (cover_end > 0).then(|| run(1, 0, cover_end, false));
        let mut findings = Findings::default();
        let runs = runs.into_iter().collect();
        let mut growing = Growing::cover(THREAD, runs, &[], &mut findings);
        let end = cover_end + beyond;
        (growing.view.end, growing.view.chain) = (Ordinal(end), ThreadChain(end));
        let frame_end = first + records;
        for bits in 0..32_u32 {
            let is = |bit: u32| bits & bit > 0;
            if records == 0 && !is(1) {
                continue;
            }
            let before = if is(2) { first } else { OTHER };
            let after = if is(4) { frame_end } else { OTHER };
            let all = is(8).then(|| given_up(first, frame_end.max(first + 1), OTHER));
            let behind = (is(16) && first > 0).then(|| given_up(first - 1, first, first));
            growing.view.given_up = behind.into_iter().chain(all).collect();
            let evidence = growing.evidence(&frame(first, records, is(1), (before, after)));
            let why = evidence.impossible();
            assert_eq!(
                why, None,
                "{evidence:?} of a frame from {first} to {frame_end}"
            );
            seen.push(evidence);
        }
    }
    for pattern in Evidence::every_pattern() {
        let is_possible = pattern.impossible().is_none();
        assert_eq!(seen.contains(&pattern), is_possible, "{pattern:?}");
    }
}

/// All quadruples of numbers below these.
fn grid(a: u64, b: u64, c: u64, d: u64) -> impl Iterator<Item = (u64, u64, u64, u64)> {
    (0..a * b * c * d).map(move |n| (n % a, n / a % b, n / a / b % c, n / a / b / c))
}
