//! A disk that refuses some calls, or counts them: what the log keeps, what it gives back, and what
//! it does not do again and again.

use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use turnleaf_format::journal::Begun;

use super::held::noise;
use super::seals::segment_files;
use super::*;
use crate::disk::tests::hooked::{Call, hooked};
use crate::journal::{Header, read_header};

/// What a disk refuses from now on.
#[derive(Clone, Default)]
struct Switch(Arc<AtomicBool>);

impl Switch {
    fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Home {
    /// Opens on a disk that refuses what `refuses` says, while the switch is on.
    fn open_refusing(
        &self,
        kind: ErrorKind,
        refuses: impl Fn(&Call<'_>) -> bool + Send + Sync + 'static,
    ) -> (Log, Switch) {
        let switch = Switch::default();
        let told = switch.clone();
        let disk = hooked(self.disk(), move |call, _| {
            if told.is_on() && refuses(&call) {
                return Err(kind.into());
            }
            Ok(())
        });
        (self.open_on(&disk), switch)
    }

    fn open_on(&self, disk: &Arc<dyn Disk>) -> Log {
        let (options, id) = (self.options.clone(), StoreId([7; 16]));
        let (log, report) = Log::open(Arc::clone(disk), options, &owner(), id).unwrap();
        assert_eq!(report.damage, []);
        log
    }
}

fn sealed(log: &mut Log) -> Ticket {
    let plan = log.plan_seal(SealGoal::Everything).unwrap();
    let done = plan.run(&|_, _, _| Vec::new());
    drop(plan);
    log.finish_seal(done).unwrap().unwrap()
}

/// Where nothing can be written a segment goes whose publication was not even tried; one that was
/// published stays, whatever was committed beside its publication.
#[test]
fn only_segments_that_were_not_published_go_where_nothing_can_be_written() {
    let home = home();
    let (mut log, full) = home.open_refusing(ErrorKind::StorageFull, |call| {
        call.name == "create" && call.path.starts_with("journal/")
    });
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    let too_large = noise(9, 100 << 10);
    let fail = |log: &mut Log| {
        full.set(true);
        let staged = log.stage(b, None, &[line(&too_large)]).unwrap();
        log.commit_all();
        assert!(matches!(log.outcome(staged.ticket), Outcome::Failed(_)));
        full.set(false);
    };
    // Published beside another fact, then alone.
    append(&mut log, a, &[b"one"]);
    let published = sealed(&mut log);
    log.stage_thread(&ThreadId::parse("c").unwrap()).unwrap();
    log.commit_all();
    assert!(matches!(log.outcome(published), Outcome::Durable));
    fail(&mut log);
    assert_eq!(log.footprint().failures, 1);
    assert_eq!(segment_files(&home).len(), 1);
    append(&mut log, b, &[b"two"]);
    sealed(&mut log);
    log.commit_all();
    fail(&mut log);
    assert_eq!(segment_files(&home).len(), 2);
    // Staged while a group is in flight that leaves no room for the publication.
    append(&mut log, a, &[b"three"]);
    let left = home.options.journal_first_bytes - log.journal_end().offset;
    let filling = usize::try_from(left).unwrap() - 2 * 96 - 2 * 21 - 8;
    log.stage(b, None, &[line(&noise(1, filling))]).unwrap();
    let Begin::Commit(commit) = log.begin_commit() else {
        panic!("something is staged");
    };
    let unpublished = sealed(&mut log);
    let result = commit.run();
    log.finish_commit(commit, result);
    assert_eq!(segment_files(&home).len(), 3);
    full.set(true);
    log.commit_all();
    assert!(matches!(log.outcome(unpublished), Outcome::Failed(_)));
    assert_eq!(segment_files(&home).len(), 2);
    full.set(false);
    let lines = [b"one".to_vec(), b"three".to_vec()];
    assert_eq!(all(&log.state().reader(a).unwrap()), lines);
    drop(log);
    assert_eq!(all(&home.open().state().reader(a).unwrap()), lines);
}

/// The reserve is filled where room came back, not by appends and not again and again.
#[test]
fn the_reserve_is_held_again_where_room_came_back() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    let reserve = home.dir.path().join("store").join(crate::layout::RESERVE);
    std::fs::remove_file(&reserve).unwrap();
    let before = log.journal_size().1;
    for seed in 0..3 {
        append(&mut log, a, &[&noise(seed, 50 << 10)]);
    }
    assert!(log.journal_size().1 > before, "files were begun");
    log.clean_up(1).unwrap();
    assert!(!reserve.exists(), "nothing was given back");
    seal(&mut log, SealGoal::Everything);
    log.shrink_journal().unwrap();
    assert!(reserve.exists());
}

/// Where there is no room for a file as large as wanted one of the first size is begun. [R:full-2]
#[test]
fn a_smaller_file_will_do_where_there_is_no_room_for_a_large_one() {
    let mut home = home();
    home.options.journal_files_max = 100;
    let room = home.options.journal_first_bytes;
    let (mut log, full) = home.open_refusing(ErrorKind::StorageFull, move |call| {
        let is_journal = call.path.starts_with("journal/");
        call.name == "write" && is_journal && call.offset + call.len > room
    });
    log.set_sealing(false);
    let a = thread(&mut log, "a");
    full.set(true);
    for round in 0..8 {
        append(&mut log, a, &[&[b'x'; 40 << 10]]);
        let (bytes, files) = log.journal_size();
        assert_eq!(bytes, files as u64 * room, "round {round}");
    }
    full.set(false);
    append(&mut log, a, &[&[b'x'; 40 << 10]]);
    assert_eq!(log.journal_size().0, 8 * room + (256 << 10));
    assert_eq!(all(&log.state().reader(a).unwrap()).len(), 9);
}

/// The header of a journal file says why it was begun. [S:journal-6]
#[test]
fn a_file_says_that_the_one_before_failed() {
    let home = home();
    let (mut log, fails) = home.open_refusing(ErrorKind::Other, |call| {
        call.name == "sync" && call.path.starts_with("journal/")
    });
    let begun = |slot: u32| {
        let path = crate::layout::journal_path(slot);
        let file = home.disk().open(&path, Access::Read).unwrap();
        match read_header(&*file, file.len().unwrap()).header {
            Header::Valid(header) => header.begun,
            other => panic!("{other:?}"),
        }
    };
    let a = thread(&mut log, "a");
    append(&mut log, a, &[&[b'x'; 40 << 10]]);
    append(&mut log, a, &[&[b'x'; 40 << 10]]);
    fails.set(true);
    log.mark().unwrap_err();
    fails.set(false);
    append(&mut log, a, &[b"more"]);
    let all: Vec<_> = (0..3).map(begun).collect();
    assert_eq!(all, [Begun::First, Begun::Full, Begun::Failed]);
}

/// An opening of a whole store makes no directories.
#[test]
fn directories_are_made_where_one_is_missing() {
    let home = home();
    let made = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&made);
    let disk = hooked(home.disk(), move |call, _| {
        if call.name == "create_dir" && !call.path.is_empty() {
            told.lock().unwrap().push(call.path.to_owned());
        }
        Ok(())
    });
    let open = || {
        home.open_on(&disk).close().unwrap();
        std::mem::take(&mut *made.lock().unwrap())
    };
    let first = open();
    assert!(first.len() > 2, "{first:?}");
    assert_eq!(open(), Vec::<String>::new());
    std::fs::remove_dir(home.dir.path().join("store/quarantine")).unwrap();
    assert_eq!(open(), first);
    assert!(home.dir.path().join("store/quarantine").is_dir());
}

/// A few unfinished files that cannot be removed keep nothing from being sealed; with more of them
/// sealing rests, and asking again prolongs no rest.
#[test]
fn sealing_rests_when_many_unfinished_files_stay() {
    let home = home();
    let (mut log, refuses) = home.open_refusing(ErrorKind::PermissionDenied, |call| {
        call.name == "remove" && call.path.starts_with("segments/") && call.path.ends_with(".tls")
    });
    let a = thread(&mut log, "a");
    append(&mut log, a, &[&noise(1, 600 << 10)]);
    refuses.set(true);
    for round in 0..4 {
        let plan = log.plan_seal(SealGoal::Due);
        let plan = plan.unwrap_or_else(|| panic!("only {round} files stay"));
        plan.run(&|_, _, _| Vec::new()).unwrap();
        drop(plan);
        log.abandon_seal();
        assert!(!log.seal_rests());
    }
    for _ in 0..3 {
        assert!(log.plan_seal(SealGoal::Due).is_none());
        assert!(log.seal_rests());
    }
    log.rest_seals();
    assert!(!log.seal_rests());
    refuses.set(false);
    assert!(seal(&mut log, SealGoal::Due) > 0);
    assert_eq!(segment_files(&home).len(), 1);
}
