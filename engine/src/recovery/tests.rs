//! The verdict tables, row by row, on evidence made by hand; and the last group damaged in every
//! way that the tables tell apart, on a real file.

use std::sync::Arc;

use turnleaf_format::frame::Position;
use turnleaf_format::journal::{Begun, FRAMES_OFFSET, HEADER_BYTES, JournalHeader};
use turnleaf_format::{
    DecodeError, Generation, JournalChain, Ordinal, Problem, StoreId, ThreadChain,
};

use super::survey::FileEvidence;
use super::verdict::{choose_files, judge_end, judge_tail};
use super::{Refusal, TailVerdict};
use crate::disk::{Disk, OsDisk};
use crate::error::Cause;
use crate::journal::{Ending, Header, Scan};

const STORE: StoreId = StoreId([1; 16]);

fn header(generation: u64, previous: u64, oldest_live: u64) -> Header {
    Header::Valid(JournalHeader {
        store: STORE,
        generation: Generation(generation),
        capacity: 65_536,
        epoch: 1,
        oldest_live: Generation(oldest_live),
        previous_end: Position {
            generation: Generation(previous),
            offset: if previous == 0 { 0 } else { FRAMES_OFFSET },
        },
        previous_chain: JournalChain(0),
        begun: Begun::Full,
        catalogue_sealed_end: Ordinal(0),
        catalogue_chain: ThreadChain(0),
        created_ms: 0,
    })
}

fn bad(problem: Problem) -> Header {
    Header::Bad(DecodeError {
        what: "journal header",
        at: 4,
        problem,
    })
}

fn evidence(headers: &[(Header, Option<u64>)]) -> Vec<FileEvidence> {
    let dir = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(dir.path());
    let file = |(slot, (header, frame)): (usize, &(Header, Option<u64>))| FileEvidence {
        slot: u32::try_from(slot).unwrap(),
        path: format!("journal/{slot}"),
        file: disk.create(&format!("{slot}")).unwrap(),
        header: header.clone(),
        len: 65_536,
        highest_frame: frame.map(Generation),
    };
    headers.iter().enumerate().map(file).collect()
}

/// What the set of files comes to: chain of generations, free files, causes of damage.
fn check(headers: &[(Header, Option<u64>)], chain: &[u64], free: &[usize], damage: &[Cause]) {
    let set = choose_files(&evidence(headers)).unwrap();
    let found: Vec<u64> = set
        .chain
        .iter()
        .map(|(_, header)| header.generation.0)
        .collect();
    let causes: Vec<Cause> = set.damage.iter().map(|damage| damage.cause).collect();
    let mut freed = set.free.clone();
    freed.sort_unstable();
    assert_eq!((found, freed), (chain.to_vec(), free.to_vec()));
    assert_eq!(causes, damage);
}

#[test]
fn the_set_of_files_is_the_chain_of_links_from_the_newest() {
    let none = |header| (header, None);
    let checksum = Problem::HeaderChecksum;
    let rotten = Cause::Decode(DecodeError {
        what: "journal header",
        at: 4,
        problem: checksum,
    });
    // [R:set-14] below the oldest live; [R:set-3] blank.
    check(
        &[
            none(header(3, 2, 2)),
            none(header(1, 0, 1)),
            none(header(2, 1, 1)),
            none(Header::Blank),
        ],
        &[2, 3],
        &[1, 3],
        &[],
    );
    // [R:set-15] a beginning that no link leads to.
    check(
        &[
            none(header(1, 0, 1)),
            none(header(2, 1, 1)),
            none(header(3, 1, 1)),
        ],
        &[1, 3],
        &[1],
        &[],
    );
    // [R:set-12] a link that leads nowhere.
    check(&[none(header(3, 2, 1))], &[3], &[], &[Cause::Missing]);
    // [R:set-7] with a file whose header rotted beside it, that is the one.
    check(
        &[none(header(3, 2, 1)), none(bad(checksum))],
        &[3],
        &[],
        &[Cause::Missing, rotten],
    );
    // [R:set-6], [R:set-9] no frame, or only frames nobody needs.
    check(
        &[none(header(3, 2, 3)), none(bad(checksum))],
        &[3],
        &[1],
        &[],
    );
    check(
        &[none(header(3, 2, 3)), (bad(checksum), Some(2))],
        &[3],
        &[1],
        &[],
    );
    // [R:set-8] frames that somebody needs.
    check(
        &[none(header(3, 2, 3)), (bad(checksum), Some(4))],
        &[3],
        &[],
        &[rotten],
    );
    // [R:set-13] two files of one generation.
    let set = choose_files(&evidence(&[none(header(1, 0, 1)), none(header(1, 0, 1))])).unwrap();
    assert_eq!(set.damage[0].cause, Cause::Doubled);
}

#[test]
fn some_directories_are_refused() {
    let refused = |headers: &[(Header, Option<u64>)]| choose_files(&evidence(headers)).unwrap_err();
    assert_eq!(refused(&[]), Refusal::NoStore);
    assert_eq!(refused(&[(Header::Blank, None)]), Refusal::NoStore);
    let newer = refused(&[(header(1, 0, 1), None), (bad(Problem::Version), None)]);
    assert!(matches!(newer, Refusal::Newer { .. }));
    let Header::Valid(mut other) = header(2, 1, 1) else {
        unreachable!()
    };
    other.store = StoreId([2; 16]);
    let mixed = refused(&[(header(1, 0, 1), None), (Header::Valid(other), None)]);
    assert!(matches!(mixed, Refusal::Mixed { .. }));
}

fn scan(end: u64, ending: Ending, proven_durable: u64) -> Scan {
    let (frames, chain) = (Vec::new(), JournalChain(0));
    Scan {
        frames,
        end,
        chain,
        ending,
        file_len: 65_536,
        proven_durable,
    }
}

#[test]
fn the_end_of_the_newest_file_is_clean_torn_or_damaged() {
    let odd = || {
        Ending::Invalid(DecodeError {
            what: "frame",
            at: 0,
            problem: Problem::Magic,
        })
    };
    // [R:tail-1], [R:tail-2]
    assert_eq!(
        judge_tail(&scan(9000, Ending::Clean, 0)),
        TailVerdict::Clean
    );
    // [R:tail-3], also with later frames of the same group, which say "durable up to here".
    assert_eq!(
        judge_tail(&scan(9000, odd(), 0)),
        TailVerdict::Torn { offset: 9000 }
    );
    assert_eq!(
        judge_tail(&scan(9000, odd(), 9000)),
        TailVerdict::Torn { offset: 9000 }
    );
    // [R:tail-4], whatever stands at the place itself.
    for ending in [odd(), Ending::Clean] {
        let damaged = TailVerdict::Damaged {
            offset: 9000,
            durable_end: 9001,
        };
        assert_eq!(judge_tail(&scan(9000, ending, 9001)), damaged);
    }
}

#[test]
fn an_older_file_must_reach_the_end_that_its_successor_names() {
    assert_eq!(judge_end(&scan(9000, Ending::Clean, 0), "x", 9000), None);
    let damage = judge_end(&scan(9000, Ending::Clean, 0), "x", 9100).unwrap();
    assert_eq!(
        (damage.offset, damage.length, damage.cause),
        (9000, 100, Cause::Missing)
    );
}

mod on_a_file {
    //! Three appended groups, then bytes changed from outside.

    use std::ops::ControlFlow;

    use turnleaf_format::ThreadId;
    use turnleaf_format::record::{Flags, Kind};

    use super::*;
    use crate::disk::Access;
    use crate::{Log, NewRecord, OpenReport, Options, Owner};

    fn owner() -> Owner {
        Owner {
            pid: 1,
            host: "here".into(),
            since_ms: 1,
        }
    }

    fn open(disk: &Arc<dyn Disk>) -> (Log, OpenReport) {
        Log::open(Arc::clone(disk), Options::default(), &owner(), STORE).unwrap()
    }

    fn records(log: &Log) -> Vec<Vec<u8>> {
        let id = ThreadId::parse("a").unwrap();
        let reader = log
            .state()
            .reader(log.state().thread_number(&id).unwrap())
            .unwrap();
        let mut found = Vec::new();
        let _ = reader.records(Ordinal(0), reader.end(), &mut |record| {
            found.push(record.bytes().unwrap().to_vec());
            ControlFlow::Continue(())
        });
        found
    }

    /// Where each of three frames begins, on a disk that was not closed.
    fn three_groups(disk: &Arc<dyn Disk>) -> Vec<u64> {
        let (mut log, _) = open(disk);
        let (thread, _) = log.stage_thread(&ThreadId::parse("a").unwrap()).unwrap();
        log.commit_all();
        for text in ["one", "two", "three"] {
            let bytes = text.as_bytes();
            let (kind, flags) = (Kind::LINE, Flags::NONE);
            log.stage(
                thread,
                None,
                &[NewRecord {
                    kind,
                    flags,
                    timestamp_ms: 1,
                    bytes,
                }],
            )
            .unwrap();
            log.commit_all();
        }
        let view = &log.state().threads[&thread];
        view.frames.iter().map(|frame| frame.offset).collect()
    }

    fn change(disk: &Arc<dyn Disk>, offset: u64, bytes: &[u8]) {
        let file = disk
            .open("journal/00000000.tlj", Access::ReadWrite)
            .unwrap();
        file.write_at(offset, bytes).unwrap();
    }

    #[test]
    fn the_last_group_may_be_torn_an_earlier_one_is_damaged() {
        for (broken, torn) in [(2, true), (1, false), (0, false)] {
            let dir = tempfile::tempdir().unwrap();
            let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(dir.path()));
            let frames = three_groups(&disk);
            change(&disk, frames[broken] + 100, b"XX");
            let (log, report) = open(&disk);
            if torn {
                assert_eq!(report.damage, []);
                assert_eq!(report.tail, TailVerdict::Torn { offset: frames[2] });
                assert!(disk.open(&report.torn_copy.unwrap(), Access::Read).is_ok());
                assert_eq!(records(&log), [b"one".to_vec(), b"two".to_vec()]);
            } else {
                assert!(
                    matches!(report.tail, TailVerdict::Damaged { .. }),
                    "{report:?}"
                );
                assert_eq!(report.torn_copy, None, "nothing is cut");
                let holes = log
                    .damage()
                    .iter()
                    .filter_map(|damage| damage.ordinals)
                    .count();
                assert!(holes > 0, "the lost record is named: {:?}", log.damage());
            }
            drop(log);
            let (_, again) = open(&disk);
            assert_eq!(
                again.damage.is_empty(),
                torn,
                "the same answer at the second opening"
            );
        }
    }

    #[test]
    fn one_header_copy_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(dir.path()));
        three_groups(&disk);
        change(&disk, 0, &[0xff; HEADER_BYTES]);
        let (log, report) = open(&disk);
        assert_eq!((records(&log).len(), report.damage.len()), (3, 0));
    }

    #[test]
    fn a_lost_header_over_needed_frames_is_refused_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(dir.path()));
        three_groups(&disk);
        for offset in turnleaf_format::journal::HEADER_OFFSETS {
            change(&disk, offset, &[0xff; HEADER_BYTES]);
        }
        let refused = Log::open(Arc::clone(&disk), Options::default(), &owner(), STORE);
        assert!(refused.is_err(), "a store is not created over frames");
    }
}
