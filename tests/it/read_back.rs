//! A device that takes other bytes than it was given, and says nothing: whatever segment is written,
//! of whatever kind, it is noticed while the journal still holds the records. [S:segment-4]

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use turnleaf_engine::disk::Disk;
use turnleaf_engine::{Log, NewRecord, Options, SealGoal};
use turnleaf_format::ThreadId;
use turnleaf_format::record::{Flags, Kind};
use turnleaf_tests::rng::Rng;
use turnleaf_tests::sim_disk::{Fault, SimDisk};
use turnleaf_tests::stores::open_log;

fn options() -> Options {
    Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 64 << 10,
        journal_files_max: 4,
        seal_bytes_min: 48 << 10,
        reserve_bytes: 0,
        ..Options::default()
    }
}

fn append(log: &mut Log, id: &str, seed: u64, len: usize) {
    let id = ThreadId::parse(id).unwrap();
    let thread = log
        .state()
        .thread_number(&id)
        .unwrap_or_else(|| log.stage_thread(&id).unwrap().0);
    let mut rng = Rng::new(seed);
    let words = (0..len / 8).flat_map(|_| rng.number().to_le_bytes());
    let bytes: Vec<u8> = words.map(|byte| byte | 0x40).collect();
    let record = NewRecord {
        kind: Kind::LINE,
        flags: Flags::NONE,
        timestamp_ms: 1,
        bytes: &bytes,
    };
    log.stage(thread, None, &[record]).unwrap();
    log.commit_all();
}

/// One thread that fills a segment of its own, and small ones that share one. Nothing is sealed.
fn journal() -> SimDisk {
    let disk = SimDisk::new();
    let (mut log, _) = open_log(&disk, options()).unwrap();
    for seed in 0..12 {
        append(&mut log, "large", seed, 5_000);
    }
    for seed in 0..9 {
        append(&mut log, &format!("small-{}", seed % 3), seed, 3_000);
    }
    log.close().unwrap();
    disk
}

/// Seals one segment after the other, as far as that succeeds; says how many.
fn seal(disk: &SimDisk) -> usize {
    let (mut log, report) = open_log(disk, options()).unwrap();
    assert_eq!(report.damage, []);
    let mut sealed = 0;
    while let Some(plan) = log.plan_seal(SealGoal::Everything) {
        let done = plan.run(&|_, _, _| b"notes".to_vec());
        drop(plan);
        let Ok(_) = log.finish_seal(done) else {
            break;
        };
        log.commit_all();
        sealed += 1;
    }
    let _ = log.close();
    sealed
}

fn segments(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for dir in ["segments", "catalogue"] {
        for entry in disk.list(dir).unwrap() {
            let path = format!("{dir}/{}", entry.name);
            if !path.ends_with(".tmp") {
                found.insert(path.clone(), disk.bytes(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn no_segment_is_published_that_holds_other_bytes_than_were_written() {
    let whole = journal();
    let sealed = whole.fork();
    let first = sealed.ops();
    let count = seal(&sealed);
    let calls = sealed.ops();
    let right = segments(&sealed);
    assert!(count >= 2, "a segment of one thread, and one of several");
    assert!(right.keys().any(|path| path.starts_with("catalogue/")));
    let mut refused = 0;
    for at in first..calls {
        for byte in [0, 300, 700, 4_200, 9_000, 30_000] {
            let place = format!("call {at}, byte {byte}");
            let disk = whole.fork();
            disk.plan(at, Fault::Spoil(byte));
            // Of calls that write nothing, nothing is spoilt.
            let all = seal(&disk) == count;
            assert!(
                !all || segments(&disk) == right,
                "{place}: sealed all the same"
            );
            refused += usize::from(!all);
            for (path, bytes) in segments(&disk) {
                assert!(right[&path] == bytes, "{place}: {path} is published");
            }
        }
    }
    assert!(refused > 10, "{refused} writes of segments were spoilt");
}
