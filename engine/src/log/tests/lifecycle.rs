//! Threads that are archived and deleted: what is gone, what stays, and what a full disk allows.

use super::*;
use crate::layout::RESERVE;

fn delete(log: &mut Log, thread: ThreadNumber) {
    let ticket = log.stage_deletion(thread).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    log.clean_up(0).unwrap();
}

fn names(home: &Home, dir: &str) -> Vec<String> {
    let entries = home.disk().list(dir).unwrap();
    entries.into_iter().map(|entry| entry.name).collect()
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = blake3::Hasher::new().finalize_xof();
    let mut out = vec![0; bytes];
    noise.fill(&mut out);
    out
}

#[test]
fn a_deleted_thread_is_gone_for_good() {
    let home = home();
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    let full = usize::try_from(home.options.segment_bytes_max).unwrap();
    append(&mut log, a, &[&noise(full)]);
    append(&mut log, b, &[b"stays"]);
    seal(&mut log, SealGoal::Everything);
    append(&mut log, a, &[b"in the journal"]);
    assert_eq!(names(&home, "segments").len(), 2);
    delete(&mut log, a);
    let id = ThreadId::parse("a").unwrap();
    let check = |log: &mut Log| {
        assert_eq!(log.state().thread_number(&id), None);
        assert!(log.state().reader(a).is_none());
        assert_eq!(log.state().deleted().count(), 1);
        assert_eq!(log.stage_thread(&id), Err(AppendError::Deleted));
        let refused = log.stage(a, None, &[line(b"late")]);
        assert_eq!(refused, Err(AppendError::NoThread));
        assert_eq!(log.stage_deletion(a), Err(AppendError::NoThread));
        assert_eq!(log.stage_archive(a, true), Err(AppendError::NoThread));
        assert_eq!(all(&log.state().reader(b).unwrap()), [b"stays"]);
    };
    check(&mut log);
    assert_eq!(names(&home, "segments").len(), 1, "its own file is removed");
    log.close().unwrap();
    let mut log = home.open();
    check(&mut log);
    // What it held in the journal keeps no file.
    seal(&mut log, SealGoal::Everything);
    log.shrink_journal().unwrap();
    assert_eq!(log.journal_size().1, 1);
    log.close().unwrap();
    check(&mut home.open());
}

#[test]
fn a_pack_goes_with_its_last_thread() {
    let home = home();
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    append(&mut log, a, &[b"one"]);
    append(&mut log, b, &[b"two"]);
    seal(&mut log, SealGoal::Everything);
    delete(&mut log, a);
    assert_eq!(names(&home, "segments").len(), 1);
    assert_eq!(all(&log.state().reader(b).unwrap()), [b"two"]);
    let mut damage = Vec::new();
    for info in log.state().segments() {
        log.state()
            .verify_segment(info.segment, &mut |found| damage.push(found.clone()))
            .unwrap();
    }
    assert_eq!(damage, []);
    delete(&mut log, b);
    assert_eq!(names(&home, "segments"), [] as [&str; 0]);
}

/// Its number is new, and so is all that it holds. [S:catalogue-16]
#[test]
fn a_deleted_thread_is_made_again_when_somebody_asks() {
    let home = home();
    let mut log = home.open();
    let (a, id) = (thread(&mut log, "a"), ThreadId::parse("a").unwrap());
    append(&mut log, a, &[b"old", b"older"]);
    seal(&mut log, SealGoal::Everything);
    append(&mut log, a, &[b"in the journal"]);
    let none = ThreadId::parse("never").unwrap();
    for refused in [&id, &none] {
        let staged = log.stage_thread_again(refused, None);
        assert_eq!(staged, Err(AppendError::Exists), "{refused}");
    }
    delete(&mut log, a);
    let (again, ticket) = log.stage_thread_again(&id, None).unwrap();
    let twice = log.stage_thread_again(&id, None);
    assert_eq!(twice, Err(AppendError::Exists));
    assert_eq!(log.stage_thread(&id), Err(AppendError::Exists));
    log.stage(again, Some(Ordinal(0)), &[line(b"new")]).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    let check = |log: &mut Log| {
        assert_ne!(again, a);
        assert_eq!(log.state().thread_number(&id), Some(again));
        assert!(log.state().reader(a).is_none());
        assert_eq!(all(&log.state().reader(again).unwrap()), [b"new"]);
        assert_eq!(log.state().deleted_ids().count(), 0);
        assert_eq!(log.stage_thread(&id), Err(AppendError::Exists));
    };
    check(&mut log);
    seal(&mut log, SealGoal::Everything);
    check(&mut log);
    drop(log);
    // From a checkpoint as from the records.
    for _ in 0..2 {
        let mut log = home.open();
        check(&mut log);
        log.close().unwrap();
        let _ = std::fs::remove_file(home.dir.path().join("store/catalogue/checkpoint"));
    }
    let mut log = home.open();
    delete(&mut log, again);
    assert_eq!(log.stage_thread(&id), Err(AppendError::Deleted));
    assert_eq!(log.state().deleted_ids().collect::<Vec<_>>(), [&id]);
    let (third, _) = log.stage_thread_again(&id, None).unwrap();
    log.commit_all();
    assert_eq!(log.state().thread_number(&id), Some(third));
}

#[test]
fn a_reader_keeps_a_deleted_thread() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[&noise(100_000), b"two"]);
    seal(&mut log, SealGoal::Everything);
    append(&mut log, a, &[b"three"]);
    let reader = log.state().reader(a).unwrap();
    delete(&mut log, a);
    assert_eq!(all(&reader).len(), 3);
    drop(reader);
    log.clean_up(0).unwrap();
    assert_eq!(names(&home, "segments"), [] as [&str; 0]);
}

#[test]
fn a_batch_that_was_staged_before_goes_with_its_thread() {
    let home = home();
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    let before = log.stage(a, None, &[line(b"before")]).unwrap();
    let deletion = log.stage_deletion(a).unwrap();
    // Facts go first, so this batch stands behind the deletion.
    log.commit_all();
    assert!(matches!(log.outcome(before.ticket), Outcome::Durable));
    assert!(matches!(log.outcome(deletion), Outcome::Durable));
    assert!(log.state().reader(a).is_none());
    append(&mut log, b, &[b"two"]);
    log.close().unwrap();
    let log = home.open();
    assert!(log.state().reader(a).is_none());
    assert_eq!(all(&log.state().reader(b).unwrap()), [b"two"]);
}

#[test]
fn a_segment_that_was_being_written_goes_with_its_thread() {
    let home = home();
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    append(&mut log, a, &[b"one"]);
    seal(&mut log, SealGoal::Everything);
    append(&mut log, a, &[&noise(100_000)]);
    let plan = log.plan_seal(SealGoal::Due).unwrap();
    let done = plan.run(&|_, _, _| Vec::new());
    drop(plan);
    delete(&mut log, a);
    let ticket = log.finish_seal(done).unwrap().unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    assert!(log.state().reader(a).is_none());
    log.clean_up(0).unwrap();
    assert_eq!(names(&home, "segments"), [] as [&str; 0]);
    append(&mut log, b, &[b"two"]);
    log.close().unwrap();
    assert_eq!(all(&home.open().state().reader(b).unwrap()), [b"two"]);
}

#[test]
fn an_import_keeps_its_thread_from_being_deleted() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    log.lease(a).unwrap();
    assert_eq!(log.stage_deletion(a), Err(AppendError::Busy));
    log.return_lease(a);
    delete(&mut log, a);
}

#[test]
fn an_archived_thread_comes_back() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    for archived in [true, false, true] {
        let ticket = log.stage_archive(a, archived).unwrap();
        assert!(ticket.is_some());
        log.commit_all();
        assert_eq!(log.stage_archive(a, archived), Ok(None), "it is so already");
        log.close().unwrap();
        log = home.open();
        assert_eq!(log.state().thread(a).unwrap().archived, archived);
    }
    append(&mut log, a, &[b"it takes appends"]);
}

#[test]
fn the_reserve_is_held_and_made_whole_again() {
    let home = home();
    home.open().close().unwrap();
    let len = |home: &Home| Some(home.disk().open(RESERVE, Access::Read).ok()?.len().unwrap());
    assert_eq!(len(&home), Some(home.options.reserve_bytes));
    home.disk().remove(RESERVE).unwrap();
    home.snapshot();
    assert_eq!(len(&home), None, "a reader holds nothing");
    home.open().close().unwrap();
    assert_eq!(len(&home), Some(home.options.reserve_bytes));
    // What somebody else put there stays.
    let path = home.dir.path().join("store").join(RESERVE);
    std::fs::write(&path, b"do not touch").unwrap();
    home.open().close().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"do not touch");
}

/// A lease that is taken while the deletion waits for its commit would outlive the thread.
#[test]
fn an_import_does_not_take_a_thread_whose_deletion_is_staged() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    let ticket = log.stage_deletion(a).unwrap();
    assert_eq!(log.lease(a), Err(AppendError::Busy));
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    assert_eq!(log.lease(a), Err(AppendError::NoThread));
}

/// Two segments must not replace the same run, and the shorter one must not hide the longer one:
/// an import waits for the seal of its thread.
#[test]
fn an_import_does_not_take_a_thread_that_is_being_sealed() {
    let home = home();
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    append(&mut log, a, &[b"in a pack"]);
    seal(&mut log, SealGoal::Everything);
    append(&mut log, a, &[&noise(100_000)]);
    let plan = log.plan_seal(SealGoal::Due).unwrap();
    assert_eq!(log.lease(a), Err(AppendError::Busy));
    append(&mut log, b, &[b"goes on meanwhile"]);
    assert_eq!(log.lease(a), Err(AppendError::Busy), "it is being written");
    let done = plan.run(&|_, _, _| Vec::new());
    drop(plan);
    let ticket = log.finish_seal(done).unwrap().unwrap();
    assert_eq!(
        log.lease(a),
        Err(AppendError::Busy),
        "it is being published"
    );
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    log.lease(a).unwrap();
    assert_eq!(all(&log.state().reader(a).unwrap()).len(), 2);
}

/// A batch that failed is never called durable, however many fail after it.
#[test]
fn a_failure_is_not_forgotten() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    let first = log.stage(a, None, &[line(b"x")]).unwrap();
    home.disk().remove(crate::layout::LOCK).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(first.ticket), Outcome::Failed(_)));
    for _ in 0..1001 {
        log.stage(a, None, &[line(b"x")]).unwrap();
        log.commit_all();
    }
    let outcome = log.outcome(first.ticket);
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
}
