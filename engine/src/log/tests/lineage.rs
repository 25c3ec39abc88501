//! Forks, further rollouts of a thread and bases that are found later.

use turnleaf_format::catalogue::Awaited;

use super::*;
use crate::{Origin, ReadError, Record};

fn id(name: &str) -> ThreadId {
    ThreadId::parse(name).unwrap()
}

fn durable<T>(log: &mut Log, staged: Result<(T, Ticket), AppendError>) -> T {
    let (staged, ticket) = staged.unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    staged
}

fn base(log: &Log, rollout: ThreadNumber, end: u64) -> turnleaf_format::catalogue::Base {
    let reader = log.state().reader(rollout).unwrap();
    reader.base_at(Ordinal(end)).unwrap().unwrap()
}

fn fork(log: &mut Log, name: &str, of: ThreadNumber, end: u64) -> ThreadNumber {
    let base = base(log, of, end);
    let staged = log.stage_fork(&id(name), base);
    durable(log, staged)
}

fn revert(log: &mut Log, thread: ThreadNumber, name: &str, end: u64) -> ThreadNumber {
    let reader = log.state().reader(log.state().current(thread)).unwrap();
    let origin = reader.base_at(Ordinal(end)).unwrap().map(Origin::Base);
    let staged = log.stage_rollout(thread, &id(name), origin, true);
    durable(log, staged)
}

fn lines(log: &Log, rollout: ThreadNumber) -> String {
    let lines = all(&log.state().reader(rollout).unwrap());
    let lines: Vec<_> = lines
        .iter()
        .map(|line| String::from_utf8(line.clone()).unwrap())
        .collect();
    lines.join(" ")
}

/// What every reader of a lineage must agree on, at every border and within.
fn check(log: &Log, rollout: ThreadNumber, expected: &str) {
    assert_eq!(lines(log, rollout), expected);
    let reader = log.state().reader(rollout).unwrap();
    let words: Vec<&str> = expected.split(' ').collect();
    assert_eq!(reader.end(), Ordinal(words.len() as u64));
    for from in 0..=words.len() {
        let mut found = Vec::new();
        let from_here = Ordinal(from as u64);
        let read = reader.entries(from_here, reader.end(), &mut |at, entry| {
            assert_eq!(at, Ordinal((from + found.len()) as u64));
            found.push(entry.bytes.to_vec());
            ControlFlow::Continue(())
        });
        read.unwrap();
        assert_eq!(found.len(), words.len() - from);
        let base = reader.base_at(from_here).unwrap();
        let chain = base.map(|base| base.chain);
        if let (Some(told), Some(chain)) = (reader.chain_at(from_here), chain) {
            assert_eq!(told, chain, "{from}");
        }
    }
    assert_eq!(reader.chain_at(reader.end()), Some(reader.chain()));
}

#[test]
fn a_fork_and_a_revert_show_a_prefix_and_what_came_behind_it() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"a0", b"a1", b"a2", b"a3"]);
    let b = fork(&mut log, "b", a, 3);
    append(&mut log, b, &[b"b3", b"b4"]);
    append(&mut log, a, &[b"a4"]);
    let c = fork(&mut log, "c", b, 4);
    let r = revert(&mut log, a, "r", 2);
    append(&mut log, r, &[b"r2"]);
    // Back beyond the base.
    let s = revert(&mut log, b, "s", 1);
    append(&mut log, s, &[b"s1"]);
    let t = revert(&mut log, c, "t", 0);
    append(&mut log, t, &[b"t0"]);
    let check_all = |log: &Log| {
        check(log, a, "a0 a1 a2 a3 a4");
        check(log, b, "a0 a1 a2 b3 b4");
        check(log, c, "a0 a1 a2 b3");
        check(log, r, "a0 a1 r2");
        check(log, s, "a0 s1");
        check(log, t, "t0");
        let state = log.state();
        let current = [a, b, c].map(|thread| state.current(thread));
        assert_eq!(current, [r, s, t]);
        assert_eq!(state.threads().count(), 3);
        assert_eq!(state.thread_of(r), Some(a));
        for rollout in [a, b, c, r, s, t] {
            let verified = state.verify_thread(rollout, &mut |damage| panic!("{damage}"));
            verified.unwrap();
        }
    };
    check_all(&log);
    seal(&mut log, SealGoal::Everything);
    check_all(&log);
    log.close().unwrap();
    let mut log = home.open();
    check_all(&log);
    append(&mut log, r, &[b"r3"]);
    assert_eq!(lines(&log, r), "a0 a1 r2 r3");
    log.close().unwrap();
    let snapshot = home.snapshot();
    let reader = snapshot.state().reader(r).unwrap();
    assert_eq!(all(&reader).len(), 4);
    let rollouts: Vec<_> = reader.rollouts().collect();
    assert_eq!(
        rollouts,
        [(a, Ordinal(0), Ordinal(2)), (r, Ordinal(2), Ordinal(4))]
    );
    assert_eq!(reader.inherited_end(), Ordinal(2));
}

#[test]
fn a_thread_that_others_go_on_from_is_not_deleted() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"a0", b"a1"]);
    let r = revert(&mut log, a, "r", 1);
    append(&mut log, r, &[b"r1"]);
    let based = base(&log, r, 2);
    // Staged, not durable yet: neither goes before the other.
    let (b, ticket) = log.stage_fork(&id("b"), based).unwrap();
    assert_eq!(log.stage_deletion(a), Err(AppendError::Busy));
    log.commit_all();
    assert!(matches!(log.outcome(ticket), Outcome::Durable));
    assert_eq!(log.stage_deletion(a), Err(AppendError::IsBase));
    let referrers: Vec<_> = log.state().referrers_of(a).collect();
    assert_eq!(referrers, [b]);
    let ticket = log.stage_deletion(b).unwrap();
    assert_eq!(
        log.stage_fork(&id("c"), based),
        Ok((ThreadNumber(4), ticket_after(ticket)))
    );
    log.commit_all();
    let ticket = log.stage_deletion(log.state().thread_number(&id("c")).unwrap());
    ticket.unwrap();
    log.commit_all();
    let based = base(&log, a, 1);
    log.stage_deletion(a).unwrap();
    assert_eq!(log.stage_fork(&id("d"), based), Err(AppendError::Busy));
    log.commit_all();
    assert_eq!(log.stage_fork(&id("d"), based), Err(AppendError::NoThread));
    assert!(log.state().reader(a).is_none());
    assert!(log.state().reader(r).is_none());
    assert_eq!(
        log.stage(r, None, &[line(b"late")]),
        Err(AppendError::NoThread)
    );
    log.close().unwrap();
    let log = home.open();
    assert!(log.state().reader(r).is_none());
    assert_eq!(log.state().threads().count(), 0);
}

fn ticket_after(ticket: Ticket) -> Ticket {
    Ticket {
        count: ticket.count + 1,
        ..ticket
    }
}

#[test]
fn a_base_is_found_later() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    let awaited = Awaited {
        id: id("far"),
        stated_end: 2,
        stated_bytes: 6,
    };
    let staged = log.stage_rollout(a, &id("r"), Some(Origin::Awaited(awaited.clone())), true);
    let r = durable(&mut log, staged);
    append(&mut log, r, &[b"r2"]);
    assert_eq!(lines(&log, r), "r2");
    assert_eq!(log.state().awaiting().collect::<Vec<_>>(), [(r, &awaited)]);
    let far = thread(&mut log, "far");
    append(&mut log, far, &[b"f0", b"f1", b"f2"]);
    let based = base(&log, far, 2);
    log.stage_origin(r, Origin::Base(based)).unwrap();
    log.commit_all();
    check(&log, r, "f0 f1 r2");
    assert_eq!(log.state().awaiting().count(), 0);
    let again = log.stage_origin(r, Origin::Base(based));
    assert_eq!(again, Err(AppendError::Exists));
    // Not behind what is there, and never in a circle.
    let beyond = turnleaf_format::catalogue::Base {
        end: Ordinal(4),
        ..based
    };
    let refused = log.stage_origin(a, Origin::Base(beyond));
    assert_eq!(refused, Err(AppendError::NoThread));
    let circle = base(&log, r, 3);
    let refused = log.stage_origin(far, Origin::Base(circle));
    assert_eq!(refused, Err(AppendError::NoThread));
    log.close().unwrap();
    check(&home.open(), r, "f0 f1 r2");
}

/// A fact about a thread is staged while a segment is being published that takes it further: what is
/// appended next stands behind the segment.
#[test]
fn a_fact_holds_no_old_end_of_a_thread() {
    use turnleaf_format::record::Entry;
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"a0"]);
    log.lease(a).unwrap();
    let mut run = log.begin_run(a).unwrap();
    for bytes in [b"a1", b"a2"] {
        let entry = Entry::inline(Kind::LINE, Flags::NONE, 0, bytes);
        run.push(&entry).unwrap();
    }
    let done = run.finish(&[], true).unwrap();
    log.stage_segment(&done, &[]);
    let Begin::Commit(commit) = log.begin_commit() else {
        panic!("nothing to commit")
    };
    let (b, _) = log.stage_fork(&id("b"), base(&log, a, 1)).unwrap();
    let written = commit.run();
    log.finish_commit(commit, written);
    log.return_lease(a);
    assert_eq!(log.staged_end(a), Some(Ordinal(3)));
    let staged = log.stage(a, None, &[line(b"a3")]).unwrap();
    assert_eq!(staged.first, Ordinal(3));
    log.commit_all();
    let check = |log: &Log| {
        check(log, a, "a0 a1 a2 a3");
        check(log, b, "a0");
        let verified = log
            .state()
            .verify_thread(a, &mut |damage| panic!("{damage}"));
        verified.unwrap();
    };
    check(&log);
    log.close().unwrap();
    check(&home.open());
}

/// What is staged may be of another caller: neither becomes durable together with what contradicts
/// it.
#[test]
fn origins_that_are_staged_together_agree() {
    let home = home();
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    append(&mut log, a, &[b"a0"]);
    append(&mut log, b, &[b"b0"]);
    let mut rollouts = Vec::new();
    for of in [a, b] {
        let staged = log.stage_rollout(of, &id("r"), None, false);
        let rollout = durable(&mut log, staged);
        append(&mut log, rollout, &[b"r0"]);
        rollouts.push(rollout);
    }
    let [first, second] = rollouts[..] else {
        panic!("two")
    };
    let (on_first, on_second) = (base(&log, first, 1), base(&log, second, 1));
    let (on_a, on_b) = (base(&log, a, 1), base(&log, b, 1));
    log.stage_origin(first, Origin::Base(on_b)).unwrap();
    let again = log.stage_origin(first, Origin::Base(on_a));
    assert_eq!(again, Err(AppendError::Busy));
    log.commit_all();
    // A circle of two, of which neither is durable yet.
    let staged = log.stage_origin(second, Origin::Base(on_first));
    staged.unwrap();
    let circle = log.stage_origin(a, Origin::Base(on_second));
    assert_ne!(circle.map(drop), Ok(()));
    log.commit_all();
    assert!(!log.is_stopped());
    assert_eq!(lines(&log, second), "b0 r0 r0");
}

/// A fork of a revert, of which it shows nothing but what that inherits.
#[test]
fn a_fork_is_one_also_behind_a_rollout_without_records() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"a0", b"a1"]);
    let r = revert(&mut log, a, "r", 1);
    let nothing = turnleaf_format::catalogue::Base {
        rollout: r,
        end: Ordinal(0),
        chain: turnleaf_format::ThreadChain::START,
    };
    let staged = log.stage_fork(&id("b"), nothing);
    let b = durable(&mut log, staged);
    append(&mut log, b, &[b"b1"]);
    check(&log, b, "a0 b1");
    let reader = log.state().reader(b).unwrap();
    assert_eq!(
        reader.goes_on_at(Ordinal(1)),
        Some(crate::GoesOn::OtherThread)
    );
    assert_eq!(reader.goes_on_at(Ordinal(0)), None);
}

#[test]
fn an_older_rollout_is_shown_again() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"a0"]);
    let r = revert(&mut log, a, "r", 0);
    assert_eq!(log.state().current(a), r);
    log.stage_current(a, a).unwrap().unwrap();
    log.commit_all();
    assert_eq!(log.state().current(a), a);
    assert_eq!(log.stage_current(a, a), Ok(None));
    let b = thread(&mut log, "b");
    assert_eq!(log.stage_current(b, r), Err(AppendError::NoThread));
}

/// No writer deletes what others go on from; where the catalogue says so all the same, what is
/// inherited is told to be missing, and what the fork has itself is read. [R:lineage-3]
#[test]
fn what_is_inherited_of_a_deleted_thread_is_missing_and_the_rest_is_read() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"a0", b"a1"]);
    let b = fork(&mut log, "b", a, 2);
    append(&mut log, b, &[b"b2", b"b3"]);
    let mut state = log.state().clone();
    state.threads.remove(&a);
    let reader = state.reader(b).unwrap();
    let missing = |read: Result<(), ReadError>| match read {
        Err(ReadError::Damaged(damage)) => {
            assert_eq!(damage.thread, Some(a));
            assert_eq!(damage.ordinals, Some((Ordinal(0), Ordinal(2))));
            assert_eq!(reader.behind(&damage), Ordinal(2));
            assert_eq!(reader.visible(&damage), Some((Ordinal(0), Ordinal(2))));
        }
        other => panic!("{other:?}"),
    };
    let mut nothing = |_: &Record<'_>| ControlFlow::Continue(());
    missing(reader.records(Ordinal(0), reader.end(), &mut nothing));
    missing(reader.entries(Ordinal(1), reader.end(), &mut |_, _| {
        ControlFlow::Continue(())
    }));
    let mut back = Vec::new();
    missing(reader.records_back(reader.end(), &mut |record| {
        back.push(record.ordinal.0);
        ControlFlow::Continue(())
    }));
    assert_eq!(back, [3, 2]);
    let mut own = Vec::new();
    let read = reader.records(Ordinal(2), reader.end(), &mut |record| {
        own.push(record.bytes().unwrap().to_vec());
        ControlFlow::Continue(())
    });
    read.unwrap();
    assert_eq!(own, [b"b2", b"b3"]);
    assert!(reader.get(&[Ordinal(1)]).is_err());
    assert_eq!(reader.get(&[Ordinal(3)]).unwrap().len(), 1);
    let mut told = Vec::new();
    reader
        .verify_base(&mut |damage| told.push(damage.clone()))
        .unwrap();
    assert_eq!(told.len(), 1);
}
