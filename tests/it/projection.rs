//! The laws of the projection, over the shared cases, generated rollouts and soups.

use std::path::Path;
use std::process::Command;

use turnleaf_projector::fold::{Mode, ThreadState};
use turnleaf_tests::projection::{check_index, check_suffix, fold, render};
use turnleaf_tests::rollouts::{Rollout, RolloutMode};
use turnleaf_tests::soup;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance/dev");

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    if bytes.ends_with(b"\n") {
        lines.pop();
    }
    lines
}

/// The threads of the shared cases; none, with a message, where they are not at hand.
fn cases() -> Vec<(String, Vec<Vec<u8>>)> {
    let Ok(entries) = Path::new(CASES).read_dir() else {
        assert!(std::env::var("CI").is_err(), "{CASES} is missing");
        println!("skipped: {CASES} is missing");
        return Vec::new();
    };
    let mut cases = Vec::new();
    for entry in entries {
        let dir = entry.expect("a folder is read").path();
        let bytes = std::fs::read(dir.join("rollout.jsonl")).unwrap_or_else(|_| {
            let packed = dir.join("rollout.jsonl.gz");
            Command::new("gzip")
                .arg("-dc")
                .arg(packed)
                .output()
                .expect("gzip is at hand")
                .stdout
        });
        cases.push((dir.display().to_string(), lines(&bytes)));
    }
    cases.sort();
    cases
}

/// All laws over one thread; `cuts` says how far the cut points are apart.
fn check(name: &str, lines: &[Vec<u8>], seed: u64, cuts: usize) -> [usize; 3] {
    println!("{name}");
    let whole = fold(lines, ThreadState::default());
    render(lines, &whole.rows);
    check_index(lines, seed, &whole);
    let paginated = fold(lines, ThreadState::forced(Mode::Paginated));
    render(lines, &paginated.rows);
    for cut in (0..=lines.len()).step_by(cuts) {
        check_suffix(lines, cut, &paginated);
    }
    [&whole, &paginated].into_iter().fold([0; 3], |sum, one| {
        let anomalies = one.state.anomalies.len();
        let counts = [
            one.rows.turns().count(),
            one.rows.items().count(),
            anomalies,
        ];
        [0, 1, 2].map(|at| sum[at] + counts[at])
    })
}

#[test]
fn the_shared_cases_obey_at_every_cut() {
    for (seed, (name, lines)) in (0..).zip(cases()) {
        // Folding every suffix of a long thread takes its length squared.
        check(&name, &lines, seed, lines.len() / 2000 + 1);
    }
}

#[test]
fn generated_rollouts_obey_at_every_cut() {
    for mode in [RolloutMode::Legacy, RolloutMode::Paginated] {
        for seed in 0..4 {
            let mut bytes = Vec::new();
            Rollout::new(mode, seed, 256 << 10)
                .write(&mut bytes)
                .expect("memory does not fail");
            check(&format!("{mode:?} {seed}"), &lines(&bytes), seed, 1);
        }
    }
}

#[test]
fn soups_obey_at_every_cut() {
    let mut sum = [0; 3];
    for seed in 0..600 {
        let counts = check(&format!("soup {seed}"), &soup::thread(seed, 80), seed, 1);
        sum = [0, 1, 2].map(|at| sum[at] + counts[at]);
    }
    println!("turns, items and kinds of anomalies: {sum:?}");
    assert!(
        sum.iter().all(|count| *count > 2000),
        "soups have something in them: {sum:?}"
    );
}
