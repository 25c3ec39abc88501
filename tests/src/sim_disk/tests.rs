//! The disk keeps what was synced, and nothing else for certain.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::ErrorKind;

use turnleaf_engine::disk::{Access, Disk};

use super::{CrashPolicy, Fault, ReadFault, SimDisk};

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir("").unwrap();
    disk
}

fn survivor(disk: &SimDisk) -> SimDisk {
    disk.after_crash(CrashPolicy::Nothing, 0)
}

#[test]
fn bytes_need_a_sync_of_the_file_and_names_one_of_the_directory() {
    let disk = disk();
    let file = disk.create("a").unwrap();
    file.write_at(0, b"one").unwrap();
    file.sync().unwrap();
    assert_eq!(survivor(&disk).bytes("a"), None);
    disk.sync_dir("").unwrap();
    file.write_at(3, b"two").unwrap();
    assert_eq!(survivor(&disk).bytes("a").unwrap(), b"one");
    let all = disk.after_crash(CrashPolicy::Everything, 0);
    assert_eq!(all.bytes("a").unwrap(), b"onetwo");
    let lengths = disk.after_crash(CrashPolicy::Lengths, 0);
    assert_eq!(lengths.bytes("a").unwrap(), b"one\0\0\0");
}

#[test]
fn a_failed_sync_loses_the_bytes_although_the_next_one_succeeds() {
    let disk = disk();
    let file = disk.create("a").unwrap();
    disk.sync_dir("").unwrap();
    file.write_at(0, b"one").unwrap();
    disk.plan(disk.ops(), Fault::Fail(ErrorKind::Other));
    file.sync().unwrap_err();
    file.sync().unwrap();
    assert!(disk.synced_after_failure());
    assert_eq!(disk.bytes("a").unwrap(), b"one");
    let after = disk.after_crash(CrashPolicy::Everything, 0);
    assert_eq!(after.bytes("a").unwrap(), b"");
}

#[test]
fn a_rename_is_there_whole_or_not_at_all() {
    let disk = disk();
    for (name, bytes) in [("a", b"old"), ("b", b"new")] {
        let file = disk.create(name).unwrap();
        file.write_at(0, bytes).unwrap();
        file.sync().unwrap();
    }
    disk.sync_dir("").unwrap();
    disk.rename("b", "a").unwrap();
    let mut seen = [false; 2];
    for seed in 0..20 {
        let after = disk.after_crash(CrashPolicy::Subset, seed);
        let renamed = after.bytes("b").is_none();
        let expected = if renamed { b"new" } else { b"old" };
        assert_eq!(after.bytes("a").unwrap(), expected);
        seen[usize::from(renamed)] = true;
    }
    assert_eq!(seen, [true; 2]);
}

#[test]
fn a_handle_keeps_to_its_file_and_a_read_handle_does_not_write() {
    let disk = disk();
    let file = disk.create("a").unwrap();
    disk.rename("a", "b").unwrap();
    file.write_at(0, b"x").unwrap();
    assert_eq!(disk.bytes("b").unwrap(), b"x");
    disk.remove("b").unwrap();
    file.write_at(1, b"y").unwrap();
    assert_eq!(file.len().unwrap(), 2);
    disk.create("c").unwrap();
    let reader = disk.open("c", Access::Read).unwrap();
    assert_eq!(
        reader.write_at(0, b"z").unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
}

#[test]
fn a_crash_stops_everything_and_frees_the_locks() {
    let disk = disk();
    let lock = disk.lock("lock").unwrap();
    assert_eq!(disk.lock("lock").unwrap_err().kind(), ErrorKind::WouldBlock);
    disk.plan(disk.ops(), Fault::Crash);
    lock.write_at(0, b"me").unwrap_err();
    assert!(disk.has_crashed() && lock.len().is_err() && disk.list("").is_err());
    let after = disk.after_crash(CrashPolicy::Everything, 0);
    assert_eq!(after.bytes("lock").unwrap(), b"m");
    after.lock("lock").unwrap();
}

#[test]
fn a_full_disk_takes_what_fits_and_a_fork_is_independent() {
    let disk = disk();
    let file = disk.create("a").unwrap();
    disk.set_capacity(Some(5000));
    let error = file.write_at(0, &[7; 6000]).unwrap_err();
    assert_eq!(
        (error.kind(), file.len().unwrap()),
        (ErrorKind::StorageFull, 5000)
    );
    let fork = disk.fork();
    file.write_at(0, &[8; 10]).unwrap();
    file.set_len(3).unwrap();
    assert_eq!(fork.bytes("a").unwrap(), vec![7; 5000]);
    assert_eq!(survivor(&fork).bytes("a"), None);
    file.set_len(5).unwrap();
    assert_eq!(disk.bytes("a").unwrap(), [8, 8, 8, 0, 0]);
}

#[test]
fn the_same_seed_gives_the_same_survivor() {
    let disk = disk();
    let file = disk.create("a").unwrap();
    disk.sync_dir("").unwrap();
    for round in 0..20_u8 {
        file.write_at(u64::from(round) * 700, &[round; 900])
            .unwrap();
    }
    for policy in CrashPolicy::ALL {
        let once = disk.after_crash(policy, 5).bytes("a");
        assert_eq!(once, disk.after_crash(policy, 5).bytes("a"), "{policy:?}");
    }
    let torn = |seed| disk.after_crash(CrashPolicy::Sectors, seed).bytes("a");
    assert_ne!(torn(5), torn(6));
}

#[test]
fn a_recorded_moment_is_what_a_crash_at_that_call_leaves() {
    let work = |disk: &SimDisk| -> std::io::Result<()> {
        disk.create_dir("")?;
        disk.create_dir("dir")?;
        let file = disk.create("dir/a")?;
        file.write_at(0, &[1; 5000])?;
        disk.sync_dir("")?;
        file.sync()?;
        disk.sync_dir("dir")?;
        file.write_at(3000, &[2; 3000])?;
        file.set_len(4000)?;
        disk.rename("dir/a", "dir/b")?;
        disk.create("dir/a")?.write_at(0, &[3; 700])?;
        disk.remove("dir/b")?;
        disk.sync_dir("dir")
    };
    let whole = SimDisk::new();
    whole.record(1);
    work(&whole).unwrap();
    let moments = whole.recorded();
    assert_eq!(moments.len() as u64, whole.ops());
    for (at, moment) in moments {
        let stopped = SimDisk::new();
        stopped.plan(at, Fault::Crash);
        work(&stopped).unwrap_err();
        for policy in CrashPolicy::ALL {
            let (one, other) = (
                moment.after_crash(policy, at),
                stopped.after_crash(policy, at),
            );
            let kind = whole.kind_of(at);
            assert_eq!(
                one.digest(),
                other.digest(),
                "call {at} ({kind}), {policy:?}"
            );
        }
    }
}

#[test]
fn a_failed_directory_sync_loses_the_names_and_several_plans_hold_at_once() {
    let disk = disk();
    disk.create("a").unwrap();
    disk.plan(disk.ops(), Fault::Fail(ErrorKind::Other));
    disk.plan(disk.ops() + 2, Fault::FailForEver(ErrorKind::StorageFull));
    disk.sync_dir("").unwrap_err();
    disk.sync_dir("").unwrap();
    assert!(disk.bytes("a").is_some() && survivor(&disk).bytes("a").is_none());
    for name in ["b", "c"] {
        let error = disk.create(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
    disk.heal();
    disk.create("b").unwrap();
}

#[test]
fn a_read_may_fail_once_or_for_ever_stop_short_or_show_another_bit() {
    let disk = disk();
    let file = disk.create("a").unwrap();
    file.write_at(0, &[7; 100]).unwrap();
    let read = |offset| {
        let mut bytes = [0; 10];
        file.read_at(offset, &mut bytes)
            .map(|count| bytes[..count].to_vec())
    };
    disk.plan_read(0, ReadFault::Fail(ErrorKind::Other));
    disk.plan_read(2, ReadFault::Short);
    disk.plan_read(3, ReadFault::Flip(8));
    disk.plan_read(4, ReadFault::FailForEver(ErrorKind::Other));
    read(0).unwrap_err();
    assert_eq!(read(0).unwrap(), [7; 10]);
    assert_eq!(read(0).unwrap(), [7; 5]);
    assert_eq!(read(0).unwrap(), [7, 6, 7, 7, 7, 7, 7, 7, 7, 7]);
    read(20).unwrap_err();
    read(29).unwrap_err();
    assert_eq!(read(30).unwrap(), [7; 10]);
    assert_eq!(disk.read_faults_met().len(), 4);
    assert_eq!(disk.reads(), 7);
    disk.heal();
    assert_eq!(read(20).unwrap(), [7; 10]);
}

#[test]
fn equal_runs_have_equal_traces_and_others_have_not() {
    let run = |bytes: &[u8], path: &str, at: u64| {
        let disk = disk();
        disk.trace();
        let file = disk.create(path).unwrap();
        file.write_at(at, bytes).unwrap();
        file.sync().unwrap();
        disk.trace_hash()
    };
    let once = run(b"x", "a", 0);
    assert!(once.is_some());
    assert_eq!(once, run(b"x", "a", 0));
    for other in [run(b"y", "a", 0), run(b"x", "b", 0), run(b"x", "a", 1)] {
        assert_ne!(once, other);
    }
}
