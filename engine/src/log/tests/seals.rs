//! Seals that are given up, that fail, and what is chosen for them.

use std::os::unix::fs::FileExt;

use super::*;
use crate::Unsealable;

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    super::held::noise(seed, bytes)
}

pub(super) fn segment_files(home: &Home) -> Vec<String> {
    let files = std::fs::read_dir(home.dir.path().join("store/segments")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Threads of each pack that is in use.
fn packs(log: &Log) -> Vec<Vec<ThreadNumber>> {
    let segments = log.state().segments().into_iter();
    let packs = segments.filter(|info| info.pack && !info.runs.is_empty());
    let threads = packs.map(|info| info.runs.iter().map(|(thread, ..)| *thread).collect());
    threads.collect()
}

/// One seal is under way at a time, from its plan to the commit of its publication.
#[test]
fn nothing_is_planned_beside_a_seal() {
    let home = home();
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    append(&mut log, a, &[b"one"]);
    assert!(!log.is_sealing_now());
    let plan = log.plan_seal(SealGoal::Everything).unwrap();
    append(&mut log, b, &[b"two"]);
    assert!(log.is_sealing_now() && log.is_being_sealed(a) && !log.is_being_sealed(b));
    assert!(
        log.plan_seal(SealGoal::Everything).is_none(),
        "it is written"
    );
    assert_eq!(log.lease(a), Err(AppendError::Busy));
    let done = plan.run(&|_, _, _| Vec::new());
    drop(plan);
    let ticket = log.finish_seal(done).unwrap().unwrap();
    assert!(
        log.plan_seal(SealGoal::Everything).is_none(),
        "it waits for its commit"
    );
    assert_eq!(log.lease(a), Err(AppendError::Busy));
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    assert!(!log.is_sealing_now() && !log.is_being_sealed(a));
    assert_eq!(log.lease(a), Ok(()));
    log.return_lease(a);
    assert!(log.plan_seal(SealGoal::Everything).is_some());
}

#[test]
fn what_a_seal_wrote_that_is_given_up_is_removed() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"one"]);
    let plan = log.plan_seal(SealGoal::Everything).unwrap();
    plan.run(&|_, _, _| Vec::new()).unwrap();
    drop(plan);
    assert_eq!(segment_files(&home).len(), 1, "it is written");
    log.abandon_seal();
    assert_eq!(segment_files(&home), Vec::<String>::new());
    assert!(!log.is_sealing_now() && log.seal_is_due());
    assert_eq!(
        seal(&mut log, SealGoal::Everything),
        2,
        "of it and the catalogue"
    );
    assert_eq!(log.state().journal_bytes(a), 0);
    assert_eq!(all(&log.state().reader(a).unwrap()), [b"one"]);
}

/// An import seals what is closed of its thread before it goes on with the open stretch.
#[test]
fn a_closed_stretch_is_sealed_under_a_lease() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"one"]);
    log.lease(a).unwrap();
    assert!(log.plan_closed(a).is_none(), "nothing is closed");
    log.return_lease(a);
    let large = noise(1, 600 << 10);
    append(&mut log, a, &[&large]);
    log.lease(a).unwrap();
    let plan = log.plan_closed(a).unwrap();
    plan.run(&|_, _, _| Vec::new()).unwrap();
    assert_eq!(segment_files(&home).len(), 1);
    log.abandon_plan(&plan);
    assert_eq!(segment_files(&home), Vec::<String>::new());
    drop(plan);
    let plan = log.plan_closed(a).unwrap();
    let done = plan.run(&|_, _, _| Vec::new()).unwrap();
    drop(plan);
    let ticket = log.stage_segment(&done, &[]);
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    assert!(log.plan_closed(a).is_none());
    log.return_lease(a);
    assert_eq!(log.state().journal_bytes(a), 0);
    assert_eq!(
        all(&log.state().reader(a).unwrap()),
        [b"one".to_vec(), large]
    );
}

/// Whoever closes a store, and some tests, switch sealing off.
#[test]
fn sealing_is_switched_off_and_on() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    assert!(log.is_sealing() && !log.has_no_sealer() && !log.is_stopped());
    log.set_sealing(false);
    assert!(!log.is_sealing() && !log.has_no_sealer());
    append(&mut log, a, &[&noise(1, 600 << 10)]);
    assert!(!log.seal_is_due());
    assert!(log.plan_seal(SealGoal::Due).is_none());
    // It is closed, and without a sealer there is no budget to wait for.
    for seed in 0..20 {
        let staged = log
            .stage(a, None, &[line(&noise(seed, 100 << 10))])
            .unwrap();
        log.commit_all();
        assert!(matches!(log.outcome(staged.ticket), Outcome::Durable));
    }
    assert!(log.journal_size().1 > home.options.journal_files_max);
    log.set_sealing(true);
    assert!(log.is_sealing() && log.seal_is_due());
    assert!(seal(&mut log, SealGoal::Due) > 0);
    log.sealer_died();
    assert!(!log.is_sealing() && log.has_no_sealer());
    assert!(log.plan_seal(SealGoal::Everything).is_none());
}

/// There is room in the journal: no append waits for a seal that is due.
#[test]
fn an_append_that_has_room_waits_for_no_seal() {
    let mut home = home();
    home.options.journal_first_bytes = 4 << 20;
    home.options.journal_file_bytes = 4 << 20;
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[&noise(1, 600 << 10)]);
    assert!(log.seal_is_due(), "a stretch is closed");
    let staged = log.stage(a, None, &[line(b"more")]).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(staged.ticket), Outcome::Durable));
}

/// What cannot be read of one thread is left alone for a while, then closed; the others are sealed.
/// [R:reread] [R:quarantine]
#[test]
fn a_thread_that_cannot_be_read_is_left_alone_and_then_closed() {
    let mut home = home();
    // Nothing stays in memory: a seal reads the files.
    home.options.tail_cache_bytes = 0;
    home.options.journal_first_bytes = 1 << 20;
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    let marked = b"a line that is found again in the file".repeat(40);
    append(&mut log, a, &[&marked]);
    append(&mut log, b, &[b"right"]);
    assert_eq!(log.unsealable(), []);
    let journal = home.dir.path().join("store/journal");
    for file in std::fs::read_dir(journal).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(marked.len()).position(|at| at == marked) {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.write_all_at(b"X", at as u64 + 50).unwrap();
        }
    }
    let fail = |log: &mut Log, segments: usize| {
        let plan = log.plan_seal(SealGoal::Everything).unwrap();
        let done = plan.run(&|_, _, _| Vec::new());
        drop(plan);
        let failure = log.finish_seal(done).unwrap_err();
        assert_eq!(failure.thread, Some(a));
        assert!(!log.is_sealing_now());
        assert_eq!(segment_files(&home).len(), segments);
    };
    fail(&mut log, 0);
    assert_eq!(log.unsealable(), [(a, Unsealable::Unread)]);
    assert!(log.seal_rests());
    // The other one is sealed meanwhile.
    let plan = log.plan_seal(SealGoal::Everything).unwrap();
    assert!(!log.is_being_sealed(a) && log.is_being_sealed(b));
    let done = plan.run(&|_, _, _| Vec::new());
    drop(plan);
    log.finish_seal(done).unwrap();
    log.commit_all();
    while let Some(plan) = log.plan_seal(SealGoal::Everything) {
        assert!(plan.is_of_catalogue());
        let done = plan.run(&|_, _, _| Vec::new());
        drop(plan);
        log.finish_seal(done).unwrap();
    }
    assert_eq!(log.damage(), []);
    assert_eq!(log.state().journal_bytes(b), 0);
    fail(&mut log, 1);
    assert_eq!(log.unsealable(), [(a, Unsealable::Damaged)]);
    assert_eq!(log.damage().len(), 1);
    assert_eq!(
        log.stage(a, None, &[line(b"no")]),
        Err(AppendError::Quarantined)
    );
    assert!(log.plan_seal(SealGoal::Everything).is_none());
    assert_eq!(log.lease(b), Ok(()));
    assert_eq!(log.state().journal_bytes(b), 0);
}

/// After a failure twice as many rests go by as after the one before.
#[test]
fn a_publication_that_fails_is_tried_again_after_some_rests() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[&noise(1, 600 << 10)]);
    for failures in 0..3 {
        assert!(log.seal_is_due() && !log.seal_rests());
        let plan = log.plan_seal(SealGoal::Due).unwrap();
        drop(plan);
        let source = std::io::Error::other("planted");
        let failure = crate::error::failed("write", "segments")(source);
        log.finish_seal(Err(failure.into())).unwrap_err();
        for rest in 0..1 << failures {
            assert!(!log.seal_is_due() && log.seal_rests(), "rest {rest}");
            assert!(log.plan_seal(SealGoal::Due).is_none());
            log.rest_seals();
        }
    }
    assert!(seal(&mut log, SealGoal::Due) > 0);
    assert!(!log.seal_rests());
    // A success ends it: the next failure costs one rest.
    append(&mut log, a, &[&noise(2, 600 << 10)]);
    let plan = log.plan_seal(SealGoal::Due).unwrap();
    drop(plan);
    let source = std::io::Error::other("planted");
    let failure = crate::error::failed("write", "segments")(source);
    log.finish_seal(Err(failure.into())).unwrap_err();
    log.rest_seals();
    assert!(!log.seal_rests() && log.seal_is_due());
}

/// A pack is written anew when less than a half of it is in use, and not before.
#[test]
fn a_pack_that_is_hardly_used_is_written_anew() {
    let mut home = home();
    home.options.seal_bytes_min = 1 << 20;
    home.options.segment_boundary_bytes = 1 << 20;
    home.options.segment_bytes_max = 4 << 20;
    home.options.journal_first_bytes = 1 << 20;
    let mut log = home.open();
    let threads = ["a", "b", "c"].map(|name| thread(&mut log, name));
    let lines: Vec<Vec<u8>> = (0..3).map(|seed| noise(seed, 40 << 10)).collect();
    for (thread, bytes) in threads.iter().zip(&lines) {
        append(&mut log, *thread, &[bytes]);
    }
    seal(&mut log, SealGoal::Everything);
    assert_eq!(packs(&log), [threads.to_vec()]);
    let whole = log.state().segments()[0].segment;
    let is_there = |log: &Log| {
        let segments = log.state().segments();
        segments.iter().any(|info| info.segment == whole)
    };
    delete(&mut log, threads[0]);
    seal(&mut log, SealGoal::Everything);
    assert_eq!(packs(&log), [threads[1..].to_vec()]);
    assert!(is_there(&log), "two thirds are in use");
    delete(&mut log, threads[1]);
    seal(&mut log, SealGoal::Everything);
    assert_eq!(packs(&log), [threads[2..].to_vec()]);
    assert!(!is_there(&log), "one third was");
    assert!(all(&log.state().reader(threads[2]).unwrap()) == [lines[2].clone()]);
    delete(&mut log, threads[2]);
    seal(&mut log, SealGoal::Everything);
    log.clean_up(0).unwrap();
    assert_eq!(
        segment_files(&home),
        Vec::<String>::new(),
        "nothing is in use"
    );
}

fn delete(log: &mut Log, thread: ThreadNumber) {
    let ticket = log.stage_deletion(thread).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
}

/// A pack holds as many threads as a segment takes bytes.
#[test]
fn a_pack_is_no_larger_than_a_segment() {
    let mut home = home();
    home.options.seal_bytes_min = 1 << 20;
    home.options.segment_boundary_bytes = 1 << 20;
    home.options.segment_bytes_max = 100_000;
    home.options.journal_first_bytes = 1 << 20;
    let mut log = home.open();
    let threads = ["a", "b", "c", "d", "e"].map(|name| thread(&mut log, name));
    for (seed, thread) in threads.iter().enumerate() {
        append(&mut log, *thread, &[&noise(seed as u64, 40_000)]);
    }
    seal(&mut log, SealGoal::Everything);
    let expect: Vec<Vec<ThreadNumber>> = threads.chunks(2).map(<[_]>::to_vec).collect();
    assert_eq!(packs(&log), expect);
}

/// A later pack absorbs the runs before it that weigh less than twice what is being written.
#[test]
fn packs_of_one_thread_are_absorbed_by_their_weight() {
    let mut home = home();
    home.options.seal_bytes_min = 1000;
    home.options.segment_boundary_bytes = 1 << 20;
    home.options.segment_bytes_max = 4 << 20;
    home.options.journal_first_bytes = 1 << 20;
    let mut log = home.open();
    let a = thread(&mut log, "a");
    let mut runs = |bytes: usize| {
        append(&mut log, a, &[&noise(bytes as u64, bytes)]);
        seal(&mut log, SealGoal::Due);
        let view = &log.state.threads[&a];
        let runs = view.runs.iter().map(|run| run.end.0 - run.first.0);
        runs.collect::<Vec<u64>>()
    };
    assert_eq!(runs(80_000), [1]);
    assert_eq!(runs(20_000), [1, 1], "the first is four times as large");
    assert_eq!(
        runs(11_000),
        [1, 2],
        "the second is not twice as large, the first is"
    );
    assert_eq!(runs(2_000), [1, 2, 1]);
    assert_eq!(runs(40_000), [5]);
}

/// What shrinks is stored as little, what does not as it is.
#[test]
fn segments_are_as_large_as_their_records_shrink_to() {
    let home = home();
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    let segment_bytes = |log: &mut Log, thread: ThreadNumber, bytes: &[u8]| {
        append(log, thread, &[bytes]);
        let before = segment_files(&home);
        seal(log, SealGoal::Everything);
        let mut new = segment_files(&home);
        new.retain(|name| !before.contains(name));
        let path = home.dir.path().join("store/segments").join(&new[0]);
        (std::fs::metadata(path).unwrap().len(), new.len())
    };
    let (small, files) = segment_bytes(&mut log, a, &[b'x'; 600_000]);
    assert!(small < 20_000 && files == 1, "{small}");
    let (large, files) = segment_bytes(&mut log, b, &noise(1, 600_000));
    assert!((480_000..610_000).contains(&large) && files == 1, "{large}");
    assert_eq!(all(&log.state().reader(a).unwrap()), [[b'x'; 600_000]]);
}

/// A stretch that ends where a batch does takes nothing of the next batch along.
#[test]
fn a_closed_stretch_leaves_the_next_batch_in_the_journal() {
    let mut home = home();
    home.options.journal_first_bytes = 1 << 20;
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[&noise(1, 600 << 10)]);
    append(&mut log, a, &[b"next"]);
    let held = |log: &Log| (packs(log).len(), log.state().journal_bytes(a) > 0);
    assert_eq!(seal(&mut log, SealGoal::Due), 1);
    assert_eq!(held(&log), (0, true));
    // One that ends within a batch takes the rest of the batch along. [S:thread-1]
    append(&mut log, a, &[&noise(2, 600 << 10), b"rest"]);
    assert_eq!(seal(&mut log, SealGoal::Due), 1);
    assert_eq!(held(&log), (1, false));
    assert_eq!(all(&log.state().reader(a).unwrap()).len(), 4);
}

/// What is left of packs that are hardly used goes into few new ones, none larger than a segment.
#[test]
fn what_is_left_of_packs_is_put_together() {
    let check = |packs_of: &[(u64, usize, usize)], expect: &[usize]| {
        let mut home = home();
        home.options.seal_bytes_min = 1 << 20;
        home.options.segment_boundary_bytes = 1 << 20;
        home.options.segment_bytes_max = 100_000;
        home.options.journal_first_bytes = 4 << 20;
        home.options.journal_file_bytes = 4 << 20;
        let mut log = home.open();
        let mut heavy = Vec::new();
        for (number, (kept, bytes, dropped)) in packs_of.iter().enumerate() {
            let threads = (0..*kept).map(|at| format!("t{number}-{at}"));
            for id in threads {
                let id = ThreadId::parse(&id).unwrap();
                let (thread, _) = log.stage_thread(&id).unwrap();
                log.stage(thread, None, &[line(&vec![b'x'; *bytes])])
                    .unwrap();
            }
            let thread = thread(&mut log, &format!("heavy-{number}"));
            append(&mut log, thread, &[&vec![b'x'; *dropped]]);
            heavy.push(thread);
            seal(&mut log, SealGoal::Everything);
        }
        assert_eq!(packs(&log).len(), packs_of.len());
        heavy.iter().for_each(|thread| delete(&mut log, *thread));
        seal(&mut log, SealGoal::Everything);
        let threads: Vec<usize> = packs(&log).iter().map(Vec::len).collect();
        assert_eq!(threads, expect, "{packs_of:?}");
    };
    check(&[(1, 30_000, 50_000), (1, 30_000, 50_000)], &[2]);
    check(&[(1, 40_000, 50_000); 3], &[2, 1]);
    // Many threads with next to nothing.
    check(&[(130, 1, 50_000); 2], &[260]);
}

/// Nothing is sealed of a record before all of it is there, and what was sealed before it stays as
/// it is.
#[test]
fn the_first_frames_of_a_record_are_not_sealed() {
    let mut home = home();
    home.options.journal_file_bytes = 64 << 20;
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"one"]);
    seal(&mut log, SealGoal::Everything);
    assert_eq!(packs(&log), [[a]]);
    log.stage(a, None, &[line(&vec![b'x'; 17 << 20])]).unwrap();
    let Begin::Commit(first) = log.begin_commit() else {
        panic!("it is staged");
    };
    let result = first.run();
    log.finish_commit(first, result);
    assert!(log.state().journal_bytes(a) > 0 && log.has_staged());
    assert!(log.plan_seal(SealGoal::Everything).is_none());
    log.commit_all();
    assert!(seal(&mut log, SealGoal::Everything) > 0);
    assert_eq!(log.state().journal_bytes(a), 0);
}

/// What is to be sealed is known of threads of which the journal holds anything, and of no other.
#[test]
fn nothing_is_known_of_threads_that_are_sealed() {
    let home = home();
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    append(&mut log, a, &[b"one"]);
    append(&mut log, b, &[&noise(1, 600 << 10)]);
    assert_eq!(log.backlog.stretches.len(), 2);
    assert_eq!(seal(&mut log, SealGoal::Due), 1);
    assert_eq!(log.backlog.stretches.keys().collect::<Vec<_>>(), [&a]);
    seal(&mut log, SealGoal::Everything);
    assert!(log.backlog.stretches.is_empty());
    append(&mut log, b, &[b"two"]);
    assert_eq!(log.backlog.stretches.keys().collect::<Vec<_>>(), [&b]);
}

/// The catalogue is sealed where it keeps the oldest file, and not while it rests.
#[test]
fn the_catalogue_is_left_alone_where_it_frees_nothing() {
    let home = home();
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    append(&mut log, a, &[b"kept"]);
    log.quarantine(a);
    for seed in 0..12 {
        append(&mut log, b, &[&noise(seed, 60 << 10)]);
        seal(&mut log, SealGoal::Due);
    }
    // The oldest file holds only what cannot be sealed; the catalogue goes on in others.
    assert!(log.journal_is_at_budget());
    let holds_facts = |log: &Log| {
        !log.state.threads[&ThreadNumber::CATALOGUE]
            .frames
            .is_empty()
    };
    assert!(holds_facts(&log));
    assert!(log.plan_seal(SealGoal::Due).is_none());
    let fail = |log: &mut Log| {
        let mut plan = log.plan_seal(SealGoal::Everything).unwrap();
        while !plan.is_of_catalogue() {
            let done = plan.run(&|_, _, _| Vec::new());
            log.finish_seal(done).unwrap();
            log.commit_all();
            plan = log.plan_seal(SealGoal::Everything).unwrap();
        }
        let source = std::io::Error::other("planted");
        let error = crate::ReadError::Disk(crate::error::failed("read", "catalogue")(source));
        let thread = Some(ThreadNumber::CATALOGUE);
        log.finish_seal(Err(crate::SealError { thread, error }))
            .unwrap_err();
    };
    fail(&mut log);
    assert!(log.plan_seal(SealGoal::Everything).is_none(), "it rests");
    assert!(seal(&mut log, SealGoal::Everything) > 0, "the next round");
    assert!(!holds_facts(&log));
}
