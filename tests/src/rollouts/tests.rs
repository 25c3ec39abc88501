//! The generator keeps its promises.

use serde_json::Value;

use super::{Rollout, RolloutMode};

fn written(mode: RolloutMode, seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let summary = Rollout::new(mode, seed, 3 << 20).write(&mut out).unwrap();
    assert_eq!(summary.bytes, out.len() as u64);
    assert!(summary.turns > 10 && summary.compactions > 0, "{summary:?}");
    out
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for mode in [RolloutMode::Legacy, RolloutMode::Paginated] {
        assert!(written(mode, 7) == written(mode, 7));
        assert!(written(mode, 7) != written(mode, 8));
    }
}

#[test]
fn every_line_is_a_record_of_its_mode_with_its_ordinal() {
    for mode in [RolloutMode::Legacy, RolloutMode::Paginated] {
        let out = written(mode, 1);
        let lines: Vec<&[u8]> = out
            .strip_suffix(b"\n")
            .unwrap()
            .split(|b| *b == b'\n')
            .collect();
        for (at, line) in lines.iter().enumerate() {
            let record: Value = serde_json::from_slice(line).unwrap();
            let decoded = turnleaf_projector::fold::decode(line);
            assert!(decoded.is_accepted(), "{record}");
            assert!(decoded.timestamp_ms.is_some());
            match mode {
                RolloutMode::Legacy => assert!(record.get("ordinal").is_none()),
                RolloutMode::Paginated => assert_eq!(record["ordinal"], at as u64),
            }
        }
    }
}

#[test]
fn the_mix_is_that_of_real_sessions() {
    let mut out = Vec::new();
    Rollout::new(RolloutMode::Paginated, 3, 12 << 20)
        .write(&mut out)
        .unwrap();
    let mut lengths: Vec<usize> = out.split(|b| *b == b'\n').map(<[u8]>::len).collect();
    lengths.sort_unstable();
    let share = |tag: &[u8]| {
        let lines = out.split(|b| *b == b'\n');
        let tagged = lines.filter(|line| line.windows(tag.len()).take(200).any(|w| w == tag));
        tagged.map(<[u8]>::len).sum::<usize>() * 100 / out.len()
    };
    let median = lengths[lengths.len() / 2];
    assert!((300..3000).contains(&median), "median {median}");
    assert!(
        (20..60).contains(&share(b"\"compacted\"")),
        "{}",
        share(b"\"compacted\"")
    );
    assert!(
        (1..12).contains(&share(b"\"token_count\"")),
        "{}",
        share(b"\"token_count\"")
    );
}
