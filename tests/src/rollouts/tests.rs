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
            let decoded = turnleaf_projector::payload::decode(line);
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

#[test]
fn the_size_is_near_the_target_and_compactions_near_the_window() {
    for mode in [RolloutMode::Legacy, RolloutMode::Paginated] {
        let mut rollout = Rollout::new(mode, 5, 16 << 20);
        rollout.thread_id = Some("019b0000-0000-7000-8000-000000000001".to_owned());
        let mut out = Vec::new();
        let summary = rollout.write(&mut out).unwrap();
        assert!(summary.bytes >= rollout.bytes_target, "{summary:?}");
        assert!(
            summary.bytes < rollout.bytes_target + (4 << 20),
            "{summary:?}"
        );
        let first = out.split(|b| *b == b'\n').next().unwrap();
        let head: Value = serde_json::from_slice(first).unwrap();
        assert_eq!(head["payload"]["id"], rollout.thread_id());
        let window = &head["payload"]["context_window"]["window_id"];
        let lines = out.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let records = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
        let mut numbers = Vec::new();
        for record in records.filter(|record| record["type"] == "compacted") {
            assert_eq!(&record["payload"]["first_window_id"], window);
            numbers.push(record["payload"]["window_number"].as_u64().unwrap());
        }
        assert_eq!(numbers, (1..=summary.compactions).collect::<Vec<u64>>());
    }
}
