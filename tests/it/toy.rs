//! The rig itself is tested: a toy log that is right passes, and toys with one bug each are caught.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use turnleaf_engine::disk::{Access, Disk};
use turnleaf_tests::crash_rig::{Found, Rig};
use turnleaf_tests::oracle::Expectation;
use turnleaf_tests::sim_disk::SimDisk;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    NoSync,
    NoDirectorySync,
    NoChecksum,
}

const LINES: usize = 8;

fn checksum(text: &[u8]) -> u32 {
    let mix = |sum: u32, byte: &u8| (sum ^ u32::from(*byte)).wrapping_mul(16_777_619);
    text.iter().fold(2_166_136_261, mix)
}

fn write(disk: &SimDisk, expectation: &mut Expectation, bug: Bug) -> Option<()> {
    disk.create_dir("").ok()?;
    let file = disk.create("log").ok()?;
    if bug != Bug::NoDirectorySync {
        disk.sync_dir("").ok()?;
    }
    let mut at = 0;
    for number in 0..LINES {
        let text = format!("record {number} {}", "x".repeat(700)).into_bytes();
        let len = u16::try_from(text.len()).ok()?;
        let mut frame = len.to_le_bytes().to_vec();
        frame.extend_from_slice(&checksum(&text).to_le_bytes());
        frame.extend_from_slice(&text);
        expectation.pending.push(("log".into(), vec![text]));
        file.write_at(at, &frame).ok()?;
        at += frame.len() as u64;
        if bug != Bug::NoSync {
            file.sync().ok()?;
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

fn passes(bug: Bug) -> bool {
    catch_unwind(|| {
        Rig {
            workload: &|disk, expectation| {
                let _ = write(disk, expectation, bug);
            },
            recover: &|disk| Ok(read(disk, bug)),
            step: 1,
            seeds: 3,
        }
        .run()
    })
    .is_ok()
}

#[test]
fn the_rig_passes_what_is_right_and_catches_what_is_not() {
    assert!(passes(Bug::None));
    for bug in [Bug::NoSync, Bug::NoDirectorySync, Bug::NoChecksum] {
        assert!(!passes(bug), "{bug:?} goes unnoticed");
    }
}
