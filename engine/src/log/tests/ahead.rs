//! The journal file that is made ready ahead. [R:set-22]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::*;

impl Home {
    fn next(&self) -> PathBuf {
        self.dir.path().join("store/journal/next.tmp")
    }

    /// Numbers of the journal's files in the file system.
    fn inodes(&self) -> Vec<u64> {
        let files = fs::read_dir(self.dir.path().join("store/journal")).unwrap();
        let files = files.flatten().map(|entry| entry.metadata().unwrap());
        files.map(|file| file.ino()).collect()
    }
}

/// A log that grows: it began a file behind a full one, and that is nearly half full.
fn growing(home: &Home) -> (Log, ThreadNumber) {
    let mut log = home.open();
    let thread = thread(&mut log, "a");
    while log.journal_size().1 < 2 {
        assert!(!log.file_is_due(), "one file may be enough");
        append(&mut log, thread, &[&[b'x'; 9000]]);
    }
    while !log.file_is_due() {
        assert_eq!(log.journal_size().1, 2);
        append(&mut log, thread, &[&[b'x'; 9000]]);
    }
    (log, thread)
}

fn make_ready(log: &mut Log) {
    let plan = log.plan_file().unwrap();
    assert!(log.plan_file().is_none(), "it is being filled");
    let made = plan.run();
    log.finish_file(made);
}

fn fill(log: &mut Log, thread: ThreadNumber, files: usize) {
    while log.journal_size().1 < files {
        append(log, thread, &[&[b'x'; 9000]]);
    }
}

#[test]
fn the_next_file_is_made_ready_and_taken() {
    let home = home();
    let (mut log, thread) = growing(&home);
    make_ready(&mut log);
    let ready = fs::metadata(home.next()).unwrap();
    assert!(log.plan_file().is_none(), "it is ready");
    assert_eq!(log.footprint().journal_files, 3);
    fill(&mut log, thread, 3);
    assert!(!home.next().exists());
    assert!(home.inodes().contains(&ready.ino()));
    assert_eq!(log.footprint().journal_bytes, log.journal_size().0);
    let before = all(&log.state().reader(thread).unwrap());
    drop(log);
    let log = home.open();
    assert!(all(&log.state().reader(thread).unwrap()) == before);
    log.close().unwrap();
}

/// A close gives its room back; what a killed owner leaves is removed by the next, and is no file
/// of the journal for who reads.
#[test]
fn a_file_that_was_made_ready_in_vain_goes() {
    let home = home();
    let (mut log, _) = growing(&home);
    make_ready(&mut log);
    log.close().unwrap();
    assert!(!home.next().exists());
    let mut log = home.open();
    let thread = log.state().thread_number(&ThreadId::parse("a").unwrap());
    fill(&mut log, thread.unwrap(), 3);
    while !log.file_is_due() {
        append(&mut log, thread.unwrap(), &[&[b'x'; 9000]]);
    }
    make_ready(&mut log);
    drop(log);
    assert!(home.next().exists());
    let snapshot = home.snapshot();
    assert_eq!(
        (
            &snapshot.report().damage[..],
            &snapshot.report().foreign[..]
        ),
        (&[][..], &[][..])
    );
    assert!(home.next().exists());
    let log = home.open();
    assert!(!home.next().exists());
    log.close().unwrap();
}

/// Where it cannot be made, an append makes the file itself, and it is tried again for the one
/// after that.
#[test]
fn appends_do_not_depend_on_a_file_that_is_made_ready() {
    let home = home();
    let (mut log, thread) = growing(&home);
    fs::create_dir(home.next()).unwrap();
    make_ready(&mut log);
    assert!(!log.file_is_due(), "not tried again at once");
    fill(&mut log, thread, 3);
    fs::remove_dir(home.next()).unwrap();
    while !log.file_is_due() {
        append(&mut log, thread, &[&[b'x'; 9000]]);
    }
    make_ready(&mut log);
    assert!(home.next().exists());
    // Somebody took it away, or gave its later name to something else.
    fs::remove_file(home.next()).unwrap();
    fill(&mut log, thread, 4);
    log.close().unwrap();
    home.open().close().unwrap();
}

/// A batch that does not fit in it gets a file of its own, and its room is not kept.
#[test]
fn a_file_that_is_too_small_is_given_back() {
    let home = home();
    let (mut log, thread) = growing(&home);
    make_ready(&mut log);
    append(&mut log, thread, &[&vec![b'x'; 900_000]]);
    assert!(log.journal_size().0 > 900_000);
    assert!(!home.next().exists());
    log.close().unwrap();
}
