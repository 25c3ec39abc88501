//! What moves under a reader or a seal: the log goes on, and what was taken before stays whole.

use turnleaf_format::record::Entry;
use turnleaf_format::segment::Class;

use super::*;
use crate::ReadError;

/// Lines that do not shrink, so that their segments have the length that is asked for.
pub(super) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b' ' + (state % 90) as u8
    };
    (0..bytes).map(byte).collect()
}

#[test]
fn a_reader_keeps_its_journal_files() {
    let mut home = home();
    // Nothing stays in memory: the reader has what its files say.
    home.options.tail_cache_bytes = 0;
    // The file could be used again.
    home.options.journal_first_bytes = home.options.journal_file_bytes;
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    append(&mut log, a, &[b"one", b"two"]);
    let reader = log.state().reader(a).unwrap();
    // Appends do not wait for the room that the reader has.
    assert!(home.options.journal_files_max < 20);
    for round in 0..20 {
        append(&mut log, b, &[&noise(round, 60 << 10)]);
        while let Some(plan) = log.plan_seal(SealGoal::Everything) {
            let done = plan.run(&|_, _, _| Vec::new());
            drop(plan);
            log.finish_seal(done).unwrap();
            log.commit_all();
        }
        // What is free is kept, and used again.
        log.clean_up(usize::MAX).unwrap();
    }
    assert_eq!(all(&reader), [b"one", b"two"]);
    drop(reader);
    seal(&mut log, SealGoal::Everything);
    log.shrink_journal().unwrap();
    assert_eq!(log.journal_size().1, 1, "held no longer, it goes");
}

#[test]
fn a_reader_keeps_its_segments() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"one", b"two"]);
    seal(&mut log, SealGoal::Everything);
    let before = log.state().segments();
    let reader = log.state().reader(a).unwrap();
    append(&mut log, a, &[&noise(1, 100 << 10)]);
    seal(&mut log, SealGoal::Everything);
    assert_ne!(log.state().segments(), before, "the pack was absorbed");
    assert_eq!(all(&reader), [b"one", b"two"]);
    let files = || std::fs::read_dir(home.dir.path().join("store/segments")).unwrap();
    assert_eq!(files().count(), 2);
    drop(reader);
    log.clean_up(1).unwrap();
    assert_eq!(files().count(), 1, "held no longer, it goes");
}

#[test]
fn what_is_appended_during_a_seal_stays() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"one"]);
    let plan = log.plan_seal(SealGoal::Everything).unwrap();
    append(&mut log, a, &[b"two"]);
    append(&mut log, a, &[b"three"]);
    let done = plan.run(&|_, _, _| Vec::new());
    drop(plan);
    log.finish_seal(done).unwrap();
    log.commit_all();
    let expected = [&b"one"[..], b"two", b"three"];
    assert_eq!(all(&log.state().reader(a).unwrap()), expected);
    drop(log);
    assert_eq!(all(&home.open().state().reader(a).unwrap()), expected);
}

/// What the device took and does not give back is noticed while the journal still holds it.
#[test]
fn a_segment_that_reads_otherwise_is_not_published() {
    use std::os::unix::fs::FileExt;
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"one"]);
    log.lease(a).unwrap();
    let mut run = log.begin_run(a).unwrap();
    for seed in 0..3 {
        let bytes = noise(seed, 1 << 20);
        let entry = Entry::inline(Kind::LINE, Flags::NONE, 0, &bytes);
        run.push(&entry).unwrap();
    }
    let path = crate::layout::segment_path(Class::Run, run.segment());
    let path = home.dir.path().join("store").join(path + ".tmp");
    let mut options = std::fs::File::options();
    let file = options.read(true).write(true).open(path).unwrap();
    assert!(file.metadata().unwrap().len() > 1 << 20, "it is written");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 5000).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 5000).unwrap();
    assert!(matches!(run.finish(&[], false), Err(ReadError::Damaged(_))));
}

#[test]
fn few_segments_are_open_at_once() {
    few_are_open_at_once(1);
    few_are_open_at_once(2);
}

fn few_are_open_at_once(max: usize) {
    let mut home = home();
    home.options.descriptors_max = max;
    // Each record fills a stretch, and so a segment.
    home.options.segment_bytes_max = 64 << 10;
    let mut log = home.open();
    let a = thread(&mut log, "a");
    for seed in 0..6 {
        append(&mut log, a, &[&noise(seed, 70 << 10)]);
        seal(&mut log, SealGoal::Everything);
    }
    assert_eq!(all(&log.state().reader(a).unwrap()).len(), 6);
    let segments = home.dir.path().join("store/segments");
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let open = open.filter(|path| path.starts_with(&segments)).count();
    assert!((1..=max).contains(&open), "{open} are open");
    let held = log.footprint();
    assert_eq!(held.segment_files, open);
    assert!(held.block_bytes > 0, "blocks stay, too: {held:?}");
}

/// A reader that stays costs the files that it began with, however much is appended meanwhile.
#[test]
fn a_reader_keeps_no_other_journal_files() {
    let mut home = home();
    home.options.tail_cache_bytes = 0;
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    append(&mut log, a, &[b"one", b"two"]);
    let reader = log.state().reader(a).unwrap();
    for round in 0..60 {
        append(&mut log, b, &[&noise(round, 60 << 10)]);
        seal(&mut log, SealGoal::Due);
        let held = log.footprint();
        let files = home.options.journal_files_max + 2;
        assert!(held.journal_files <= files, "round {round}: {held:?}");
    }
    assert_eq!(all(&reader), [b"one", b"two"]);
    drop(reader);
    assert_eq!(all(&log.state().reader(b).unwrap()).len(), 60);
    drop(log);
    assert_eq!(all(&home.open().state().reader(b).unwrap()).len(), 60);
}

/// What is known of each batch costs memory: many small ones are sealed although there is room.
#[test]
fn small_batches_are_sealed_when_they_are_many() {
    let mut home = home();
    home.options.journal_frames_max = 100;
    home.options.journal_first_bytes = 1 << 20;
    let mut log = home.open();
    let threads = ["a", "b", "c"].map(|name| thread(&mut log, name));
    for round in 0..600 {
        append(&mut log, threads[round % 3], &[b"x"]);
        seal(&mut log, SealGoal::Due);
        let held = log.footprint();
        assert!(held.frames <= 110, "round {round}: {held:?}");
        assert_eq!(held.journal_files, 1, "there is room");
    }
    for thread in threads {
        assert_eq!(all(&log.state().reader(thread).unwrap()).len(), 200);
    }
}
