//! What the log knows of what is staged, what it holds in memory, and what it says of its sizes.

use super::*;

/// A batch and a fact of one thread are settled one after the other, and then forgotten.
#[test]
fn what_is_settled_is_staged_no_more() {
    let home = home();
    let mut log = home.open();
    let id = ThreadId::parse("a").unwrap();
    assert_eq!(log.staged_creation(&id), None);
    let (a, created) = log.stage_thread(&id).unwrap();
    assert_eq!(log.staged_creation(&id), Some(created));
    assert_eq!(log.staged_of(a), Some(created));
    log.commit_all();
    assert_eq!((log.staged_creation(&id), log.staged_of(a)), (None, None));
    assert_eq!(log.footprint().staged_threads, 0);
    // Facts of one thread beside batches of another.
    let b = thread(&mut log, "b");
    for round in 0..4 {
        let batch = log.stage(b, None, &[line(b"x")]).unwrap().ticket;
        let id = ThreadId::parse(&format!("c{round}")).unwrap();
        let (created, fact) = log.stage_thread(&id).unwrap();
        assert_eq!(log.staged_of(created), Some(fact));
        assert_eq!(log.staged_of(b), Some(batch));
        assert_eq!(log.footprint().staged_threads, 3, "and the catalogue");
        log.commit_all();
        assert_eq!(log.footprint().staged_threads, 0, "round {round}");
        assert_eq!((log.staged_of(created), log.staged_of(b)), (None, None));
    }
    // What is staged while a group is in flight stays.
    let first = log.stage(b, None, &[line(b"y")]).unwrap().ticket;
    let Begin::Commit(commit) = log.begin_commit() else {
        panic!("something is staged");
    };
    let second = log.stage(b, None, &[line(b"z")]).unwrap().ticket;
    let (created, fact) = log.stage_thread(&ThreadId::parse("d").unwrap()).unwrap();
    assert!(matches!(log.begin_commit(), Begin::Idle), "one at a time");
    let result = commit.run();
    log.finish_commit(commit, result);
    assert!(matches!(log.outcome(first), Outcome::Durable));
    assert_eq!(log.staged_of(b), Some(second));
    assert_eq!(log.staged_of(created), Some(fact));
    log.commit_all();
    assert_eq!(log.footprint().staged_threads, 0);
}

/// The newest bodies stay in memory, within their bound; all are read all the same.
#[test]
fn bodies_in_memory_stay_within_their_bound() {
    let mut home = home();
    home.options.tail_cache_bytes = 10_000;
    home.options.journal_first_bytes = 1 << 20;
    let mut log = home.open();
    let threads = ["a", "b"].map(|name| thread(&mut log, name));
    for round in 0..30 {
        append(&mut log, threads[round % 2], &[&[b'x'; 2000]]);
        let held = log.footprint();
        assert!(held.body_bytes <= 10_000, "{held:?}");
        assert!(held.body_bytes <= held.tail_bytes, "{held:?}");
        assert!(held.tail_bytes <= 10_000, "{held:?}");
    }
    assert!(log.footprint().body_bytes > 6000, "what fits is held");
    for thread in threads {
        assert_eq!(all(&log.state().reader(thread).unwrap()).len(), 15);
    }
}

/// A record of which the first frames are durable and the others failed is not there, and nothing of
/// it is held. [S:record-7] [R:frame-14]
#[test]
fn nothing_is_held_of_a_record_that_failed_halfway() {
    let mut home = home();
    home.options.journal_file_bytes = 64 << 20;
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"one"]);
    let before = log.footprint().frames;
    let bytes = log.state().journal_bytes(a);
    let large = vec![b'x'; 40 << 20];
    let staged = log.stage(a, None, &[line(&large)]).unwrap();
    let Begin::Commit(first) = log.begin_commit() else {
        panic!("it is staged");
    };
    let result = first.run();
    log.finish_commit(first, result);
    assert!(matches!(log.outcome(staged.ticket), Outcome::Pending));
    assert!(
        log.footprint().frames > before,
        "its first frames are there"
    );
    let store = home.dir.path().join("store");
    std::fs::rename(&store, home.dir.path().join("away")).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(staged.ticket), Outcome::Failed(_)));
    assert_eq!(log.footprint().frames, before);
    assert_eq!(log.state().journal_bytes(a), bytes);
    assert_eq!(all(&log.state().reader(a).unwrap()), [b"one"]);
    drop(log);
    std::fs::rename(home.dir.path().join("away"), &store).unwrap();
    let mut log = home.open();
    append(&mut log, a, &[b"two"]);
    let reader = log.state().reader(a).unwrap();
    assert_eq!(all(&reader), [&b"one"[..], b"two"]);
}

/// What the journal takes up, beside what only it holds.
#[test]
fn a_journal_is_oversized_beyond_twice_what_it_holds() {
    let mut home = home();
    home.options.journal_spare_bytes = 130 << 10;
    let mut log = home.open();
    let a = thread(&mut log, "a");
    assert_eq!(log.state().journal_bytes(a), 0);
    append(&mut log, a, &[b"one"]);
    assert!(log.state().journal_bytes(a) > 0);
    assert_eq!(log.journal_size(), (64 << 10, 1));
    assert!(!log.journal_is_oversized(), "it is within what is spare");
    for _ in 0..6 {
        append(&mut log, a, &[&vec![b'x'; 60 << 10]]);
    }
    assert!(!log.journal_is_oversized(), "most of it is needed");
    seal(&mut log, SealGoal::Everything);
    log.clean_up(usize::MAX).unwrap();
    assert!(log.journal_size().0 > 200 << 10);
    assert!(log.journal_is_oversized(), "nothing of it is needed");
    assert_eq!(log.state().journal_bytes(a), 0);
    log.shrink_journal().unwrap();
    assert!(!log.journal_is_oversized());
    assert_eq!(log.journal_size(), (128 << 10, 1));
}

/// Everything before the end is durable: it moves with each commit, and with nothing else.
#[test]
fn the_end_of_the_journal_moves_with_each_commit() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    let mut before = log.journal_end();
    assert!(before.offset > 0);
    for _ in 0..3 {
        log.stage(a, None, &[line(b"x")]).unwrap();
        assert_eq!(log.journal_end(), before);
        log.commit_all();
        assert!(log.journal_end() > before);
        before = log.journal_end();
    }
    // What begins before this place is sealed by whoever asks for it, and nothing later.
    let (records, facts) = (before, before);
    let b = thread(&mut log, "b");
    append(&mut log, b, &[b"later"]);
    seal(&mut log, SealGoal::Before { records, facts });
    assert_eq!(log.state().journal_bytes(a), 0);
    assert!(log.state().journal_bytes(b) > 0);
}

/// Files grow with what only the journal holds, and fourfold where one owner fills one after the
/// other.
#[test]
fn journal_files_grow_with_what_is_appended() {
    let mut home = home();
    home.options.journal_first_bytes = 64 << 10;
    home.options.journal_file_bytes = 1 << 20;
    home.options.journal_files_max = 100;
    home.options.seal_bytes_min = 1 << 30;
    home.options.segment_bytes_max = 1 << 30;
    home.options.segment_boundary_bytes = 1 << 30;
    let mut log = home.open();
    let a = thread(&mut log, "a");
    let mut sizes = vec![log.journal_size().0];
    for _ in 0..80 {
        append(&mut log, a, &[&vec![b'x'; 40 << 10]]);
        let size = log.journal_size().0;
        if size != sizes.iter().sum::<u64>() {
            sizes.push(size - sizes.iter().sum::<u64>());
        }
    }
    assert_eq!(
        sizes,
        [64 << 10, 64 << 10, 256 << 10, 1 << 20, 1 << 20, 1 << 20]
    );
}

/// A log that is stopped while a group is in flight has failed the group: what comes of the write
/// changes nothing, and nothing that is staged later is taken for it.
#[test]
fn nothing_is_acknowledged_once_the_log_was_stopped() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"one"]);
    let staged = log.stage(a, None, &[line(b"two")]).unwrap();
    let Begin::Commit(commit) = log.begin_commit() else {
        panic!("something is staged");
    };
    log.stop();
    let result = commit.run();
    log.finish_commit(commit, result);
    assert!(matches!(log.outcome(staged.ticket), Outcome::Failed(_)));
    let staged = log.stage(a, None, &[line(b"three")]).unwrap();
    assert!(matches!(log.outcome(staged.ticket), Outcome::Pending));
    log.commit_all();
    assert!(matches!(log.outcome(staged.ticket), Outcome::Failed(_)));
    assert_eq!(all(&log.state().reader(a).unwrap()), [b"one"]);
}

/// A home in which nothing is sealed, with files from 64 KiB to 1 MiB.
fn unsealed() -> Home {
    let mut home = home();
    home.options.journal_first_bytes = 64 << 10;
    home.options.journal_file_bytes = 1 << 20;
    home.options.journal_files_max = 100;
    home.options.seal_bytes_min = 1 << 30;
    home.options.segment_bytes_max = 1 << 30;
    home.options.segment_boundary_bytes = 1 << 30;
    home
}

/// Appends until one file more is in use; returns how many bytes the journal took up for it.
fn next_file(log: &mut Log, thread: ThreadNumber) -> u64 {
    let (bytes, files) = log.journal_size();
    while log.journal_size().1 == files {
        append(log, thread, &[&vec![b'x'; 40 << 10]]);
    }
    log.journal_size().0 - bytes
}

/// A free file is used again where it is at least half as large as the one that is wanted.
#[test]
fn a_growing_journal_takes_no_small_file() {
    let home = unsealed();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    assert_eq!(next_file(&mut log, a), 64 << 10);
    assert_eq!(next_file(&mut log, a), 256 << 10);
    seal(&mut log, SealGoal::Everything);
    log.clean_up(usize::MAX).unwrap();
    assert_eq!(log.journal_size(), (384 << 10, 1), "two are free");
    // The header of the next one does without them.
    assert_eq!(next_file(&mut log, a), 1 << 20);
    assert_eq!(next_file(&mut log, a), 1 << 20);
    seal(&mut log, SealGoal::Everything);
    log.clean_up(usize::MAX).unwrap();
    assert_eq!(next_file(&mut log, a), 1 << 20);
    assert_eq!(next_file(&mut log, a), 0, "the first large one is free");
}

/// The first file behind an opening is small, the next as large as what the journal holds.
#[test]
fn an_owner_that_finds_much_in_the_journal_begins_a_large_file() {
    let home = unsealed();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    for expect in [64 << 10, 256 << 10] {
        assert_eq!(next_file(&mut log, a), expect);
    }
    for _ in 0..4 {
        append(&mut log, a, &[&vec![b'x'; 40 << 10]]);
    }
    drop(log);
    let mut log = home.open();
    assert_eq!(log.journal_size(), (448 << 10, 4));
    assert_eq!(next_file(&mut log, a), 256 << 10);
}

/// A journal is made smaller where that takes no more files than it needs.
#[test]
fn a_journal_shrinks_to_two_small_files() {
    let mut home = unsealed();
    let mut log = home.open();
    thread(&mut log, "a");
    let end = log.journal_end();
    seal(&mut log, SealGoal::Everything);
    log.shrink_journal().unwrap();
    assert_eq!(log.journal_size(), (64 << 10, 1), "it is small");
    assert_eq!(log.journal_end(), end);
    drop(log);
    // The one file of a store whose owner had others in mind.
    home.dir = tempfile::tempdir().unwrap();
    home.options.journal_first_bytes = 256 << 10;
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"one"]);
    seal(&mut log, SealGoal::Everything);
    log.close().unwrap();
    home.options.journal_first_bytes = 64 << 10;
    let mut log = home.open();
    assert_eq!(log.journal_size(), (256 << 10, 1));
    seal(&mut log, SealGoal::Everything);
    log.shrink_journal().unwrap();
    assert_eq!(log.journal_size(), (128 << 10, 1));
    assert_eq!(all(&log.state().reader(a).unwrap()), [b"one"]);
}

/// What an owner that was killed leaves free the next one uses again.
#[test]
fn free_files_are_used_again_behind_a_kill() {
    use std::os::unix::fs::MetadataExt;
    let home = unsealed();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    next_file(&mut log, a);
    next_file(&mut log, a);
    seal(&mut log, SealGoal::Everything);
    next_file(&mut log, a);
    drop(log);
    let files = || {
        let files = std::fs::read_dir(home.dir.path().join("store/journal")).unwrap();
        let files = files.map(|file| file.unwrap().metadata().unwrap().ino());
        files.collect::<std::collections::BTreeSet<u64>>()
    };
    let before = files();
    assert_eq!(before.len(), 4);
    let log = home.open();
    assert!(files().is_subset(&before));
    assert_eq!(log.journal_size().1, 3, "two are in use, and one begun");
    drop(log);
}
