//! The rig itself is tested: toys that are right pass, and toys with one bug each are caught.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use turnleaf_engine::disk::{Access, Disk};
use turnleaf_tests::crash_rig::{Found, Rig};
use turnleaf_tests::oracle::Expectation;
use turnleaf_tests::sim_disk::{Fault, SimDisk};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    NoSync,
    NoDirectorySync,
    NoChecksum,
    RetriedSync,
    NoDirectorySyncAfterRename,
}

const LINES: usize = 8;

fn checksum(text: &[u8]) -> u32 {
    let mix = |sum: u32, byte: &u8| (sum ^ u32::from(*byte)).wrapping_mul(16_777_619);
    text.iter().fold(2_166_136_261, mix)
}

fn frame(number: usize) -> (Vec<u8>, Vec<u8>) {
    let text = format!("record {number} {}", "x".repeat(700)).into_bytes();
    let len = u16::try_from(text.len()).unwrap_or(0);
    let mut frame = len.to_le_bytes().to_vec();
    frame.extend_from_slice(&checksum(&text).to_le_bytes());
    frame.extend_from_slice(&text);
    (text, frame)
}

/// Appends frames to one file.
fn append(disk: &SimDisk, expectation: &mut Expectation, bug: Bug) -> Option<()> {
    disk.create_dir("").ok()?;
    expectation.stage("log", Vec::new());
    let file = disk.create("log").ok()?;
    if bug != Bug::NoDirectorySync {
        disk.sync_dir("").ok()?;
    }
    let mut at = 0;
    for number in 0..LINES {
        let (text, frame) = frame(number);
        expectation.stage("log", vec![text]);
        file.write_at(at, &frame).ok()?;
        at += frame.len() as u64;
        if bug != Bug::NoSync && file.sync().is_err() {
            // A toy that is right stops here for ever.
            (bug == Bug::RetriedSync).then_some(())?;
            file.sync().ok()?;
        }
        expectation.acknowledge();
    }
    Some(())
}

/// Writes all frames anew into another file each time and renames it over the log.
fn replace(disk: &SimDisk, expectation: &mut Expectation, bug: Bug) -> Option<()> {
    disk.create_dir("").ok()?;
    let mut all = Vec::new();
    for number in 0..LINES {
        let (text, frame) = frame(number);
        all.extend_from_slice(&frame);
        expectation.stage("log", vec![text]);
        let file = disk.create("log.tmp").ok()?;
        file.write_at(0, &all).ok()?;
        file.sync().ok()?;
        disk.rename("log.tmp", "log").ok()?;
        if bug != Bug::NoDirectorySyncAfterRename {
            disk.sync_dir("").ok()?;
        }
        expectation.acknowledge();
    }
    Some(())
}

fn read(disk: &SimDisk, bug: Bug) -> Found {
    let mut found = BTreeMap::new();
    let Ok(file) = disk.open("log", Access::Read) else {
        return found;
    };
    let mut bytes = vec![0; usize::try_from(file.len().unwrap_or(0)).unwrap_or(0)];
    let _ = file.read_at(0, &mut bytes);
    let mut records = Vec::new();
    let mut rest = bytes.as_slice();
    while rest.len() > 6 {
        let len = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
        let Some(text) = rest.get(6..6 + len).filter(|text| !text.is_empty()) else {
            break;
        };
        if bug != Bug::NoChecksum && checksum(text).to_le_bytes() != rest[2..6] {
            break;
        }
        records.push(text.to_vec());
        rest = &rest[6 + len..];
    }
    found.insert("log".into(), records);
    found
}

type Toy = fn(&SimDisk, &mut Expectation, Bug) -> Option<()>;

/// Runs a toy; `fails` is a call that fails once, besides the crash.
fn outcome(toy: Toy, bug: Bug, fails: Option<u64>) -> Result<u64, String> {
    let rig = Rig {
        on: SimDisk::new(),
        workload: &|disk, expectation| {
            if let Some(at) = fails {
                disk.plan(at, Fault::Fail(ErrorKind::Other));
            }
            let _ = toy(disk, expectation, bug);
        },
        recover: &|disk| Ok(read(disk, bug)),
        reopen: &|disk| Ok(read(disk, bug)),
        step: 1,
        seeds: 3,
        seconds: 0,
        kills: 0,
    };
    rig.run().map(|coverage| coverage.states + coverage.repeats)
}

#[test]
fn what_is_right_passes() {
    for toy in [append as Toy, replace] {
        for fails in [None, Some(4), Some(6), Some(8)] {
            let states = outcome(toy, Bug::None, fails);
            assert!(states.as_ref().is_ok_and(|n| *n > 50), "{states:?}");
        }
    }
}

#[test]
fn every_planted_bug_is_caught() {
    let planted: [(Toy, Bug, Option<u64>); 5] = [
        (append, Bug::NoSync, None),
        (append, Bug::NoDirectorySync, None),
        (append, Bug::NoChecksum, None),
        // Call 6 is a sync: root, create, directory sync, then write and sync in turns.
        (append, Bug::RetriedSync, Some(6)),
        (replace, Bug::NoDirectorySyncAfterRename, None),
    ];
    for (toy, bug, fails) in planted {
        let caught = outcome(toy, bug, fails);
        assert!(caught.is_err(), "{bug:?} goes unnoticed");
        println!("{bug:?}: {}", caught.err().unwrap_or_default());
    }
}
