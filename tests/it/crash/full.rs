//! Disks without room.

use turnleaf_engine::{Begin, Log, Options, Outcome, SealGoal};
use turnleaf_format::{Ordinal, ThreadId, ThreadNumber};
use turnleaf_tests::sim_disk::{CrashPolicy, Fault, SimDisk};
use turnleaf_tests::stores::open_log;

use super::{line, open, options, recover};

fn append(log: &mut Log, thread: ThreadNumber, bytes: &[u8]) -> Outcome {
    let staged = log.stage(thread, None, &[line(bytes)]).unwrap();
    if let Begin::Commit(commit) = log.begin_commit() {
        let result = commit.run();
        log.finish_commit(commit, result);
    }
    log.outcome(staged.ticket)
}

/// At every bound in steps of 2 KiB: what is acknowledged stays, what is refused is not there, and
/// once there is room the next append succeeds without a reopening.
#[test]
fn a_full_disk_takes_appends_again_once_there_is_room() {
    let mut refusals = 0;
    for capacity in (20 << 10..120 << 10).step_by(2 << 10) {
        let disk = SimDisk::new();
        let mut log = open(&disk).unwrap();
        let (a, _) = log.stage_thread(&ThreadId::parse("a").unwrap()).unwrap();
        log.commit_all();
        disk.set_capacity(Some(capacity));
        let mut expected = Vec::new();
        let mut refused = 0;
        for round in 0..40_u8 {
            let bytes = vec![round; 3000];
            match append(&mut log, a, &bytes) {
                Outcome::Durable => expected.push(bytes),
                Outcome::Failed(_) | Outcome::Refused => refused += 1,
                // The budget is used up before the room is.
                Outcome::Pending => break,
            }
            if refused == 3 {
                break;
            }
        }
        assert_eq!(
            log.state().reader(a).unwrap().end().0,
            expected.len() as u64
        );
        refusals += refused;
        if refused == 0 {
            continue;
        }
        let full = disk.after_crash(CrashPolicy::Everything, 0);
        full.set_capacity(None);
        assert_eq!(recover(&full).unwrap()["a"], expected, "{capacity}");
        disk.set_capacity(None);
        let last = vec![0xff; 3000];
        let outcome = append(&mut log, a, &last);
        assert!(
            matches!(outcome, Outcome::Durable),
            "{capacity}: {outcome:?}"
        );
        expected.push(last);
        assert_eq!(
            log.state().reader(a).unwrap().end(),
            Ordinal(expected.len() as u64)
        );
        drop(log);
        let found = recover(&disk.after_crash(CrashPolicy::Nothing, 0)).unwrap();
        assert_eq!(found["a"], expected, "{capacity}");
    }
    assert!(refusals > 0, "no bound was reached");
    println!("full disk: {refusals} refused appends");
}

fn seal(log: &mut Log) -> bool {
    let Some(plan) = log.plan_seal(SealGoal::Due) else {
        return false;
    };
    let done = plan.run(&|_, _, _| Vec::new());
    drop(plan);
    let sealed = log.finish_seal(done).is_ok();
    log.commit_all();
    let _ = log.clean_up(9);
    sealed
}

/// [R:full-1] [R:full-4] Nobody waits for a segment that the disk has no room for.
#[test]
fn appends_do_not_wait_for_a_seal_that_a_full_disk_refuses() {
    let disk = SimDisk::new();
    let mut log = open(&disk).unwrap();
    let (a, _) = log.stage_thread(&ThreadId::parse("a").unwrap()).unwrap();
    log.commit_all();
    let line = [b'x'; 3000];
    // The budget of files is used up; until somebody has tried to seal, an append waits.
    while matches!(append(&mut log, a, &line), Outcome::Durable) {}
    let used = disk.used();
    disk.set_capacity(Some(used));
    assert!(!seal(&mut log));
    disk.set_capacity(Some(used + (10 << 10)));
    let refused = append(&mut log, a, &line);
    assert_eq!(disk.used(), used, "half a file is given back");
    assert!(matches!(refused, Outcome::Failed(_)), "{refused:?}");
    // What was waiting is settled as well, and room is all that is missing.
    disk.set_capacity(None);
    assert!(!seal(&mut log), "it is not tried again at once");
    log.rest_seals();
    assert!(seal(&mut log));
    while seal(&mut log) {}
    assert!(matches!(append(&mut log, a, &line), Outcome::Durable));
}

/// [R:full-2] A free file that is smaller than a new one would be takes what fits.
#[test]
fn a_full_disk_uses_the_journal_files_that_are_free() {
    let disk = SimDisk::new();
    let mut log = open(&disk).unwrap();
    let (a, _) = log.stage_thread(&ThreadId::parse("a").unwrap()).unwrap();
    log.commit_all();
    let line = [b'x'; 3000];
    // The first, smaller file is left and sealed; the file that is begun now does without it.
    for _ in 0..20 {
        append(&mut log, a, &line);
        while seal(&mut log) {}
    }
    disk.set_capacity(Some(disk.used()));
    let before = log.state().reader(a).unwrap().end();
    let mut taken = 0;
    while matches!(append(&mut log, a, &line), Outcome::Durable) {
        taken += 1;
    }
    assert!(taken > 8, "{taken} appends");
    drop(log);
    let found = recover(&disk.after_crash(CrashPolicy::Nothing, 0)).unwrap();
    assert_eq!(found["a"].len() as u64, before.0 + taken);
}

/// A segment that could not be published is not left behind, try after try, until the disk is full.
#[test]
fn a_segment_that_is_not_published_gives_its_room_back() {
    let disk = SimDisk::new();
    let mut log = open(&disk).unwrap();
    let (a, _) = log.stage_thread(&ThreadId::parse("a").unwrap()).unwrap();
    log.commit_all();
    let full = disk.used();
    disk.set_capacity(Some(full));
    // The active file is filled to its last bytes.
    for bytes in [3000, 300, 30, 1] {
        while matches!(append(&mut log, a, &vec![b'x'; bytes]), Outcome::Durable) {}
    }
    disk.set_capacity(Some(full + (10 << 10)));
    for _ in 0..3 {
        let plan = log.plan_seal(SealGoal::Everything).unwrap();
        let done = plan.run(&|_, _, _| Vec::new());
        drop(plan);
        let ticket = log.finish_seal(done).unwrap().unwrap();
        log.commit_all();
        assert!(matches!(log.outcome(ticket), Outcome::Failed(_)));
        let _ = log.clean_up(9);
        assert_eq!(disk.used(), full);
    }
}

/// A torn tail is copied out of the reserve, and then the file of the next owner is begun out of
/// what is left of it. [R:full-3] [R:tail-3]
#[test]
fn a_torn_tail_on_a_full_disk_is_copied_and_the_store_opened() {
    let with_reserve = Options {
        reserve_bytes: 128 << 10,
        journal_first_bytes: 256 << 10,
        ..options()
    };
    let disk = SimDisk::new();
    let (mut log, _) = open_log(&disk, with_reserve.clone()).unwrap();
    let (a, _) = log.stage_thread(&ThreadId::parse("a").unwrap()).unwrap();
    log.commit_all();
    append(&mut log, a, b"kept");
    log.stage(a, None, &[line(&[b'x'; 3000])]).unwrap();
    let Begin::Commit(commit) = log.begin_commit() else {
        panic!("a group to be written")
    };
    // The power goes between the write and its sync.
    disk.plan(disk.ops() + 1, Fault::Crash);
    assert!(commit.run().is_err());
    drop((commit, log));
    let mut torn = 0;
    for seed in 0..20 {
        let disk = disk.after_crash(CrashPolicy::Sectors, seed);
        disk.set_capacity(Some(disk.used()));
        let opened = open_log(&disk, with_reserve.clone());
        let (log, report) = opened.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        torn += usize::from(report.torn_copy.is_some());
        assert!(log.state().reader(a).unwrap().end() >= Ordinal(1));
    }
    assert!(torn > 0, "no tail was torn");
}

/// Room for a file of the first size is room: an append does not ask for more than that.
#[test]
fn an_append_takes_a_small_file_where_there_is_no_room_for_a_large_one() {
    let disk = SimDisk::new();
    let mut log = open(&disk).unwrap();
    let (a, _) = log.stage_thread(&ThreadId::parse("a").unwrap()).unwrap();
    log.commit_all();
    let full = disk.used();
    disk.set_capacity(Some(full));
    let line = [b'x'; 3000];
    while matches!(append(&mut log, a, &line), Outcome::Durable) {}
    disk.set_capacity(Some(full + (20 << 10)));
    let outcome = append(&mut log, a, &line);
    assert!(matches!(outcome, Outcome::Durable), "{outcome:?}");
}
