//! Many owners one after the other, each of which does next to nothing.

use super::*;

/// Bytes of all journal files, and their number.
fn journal(home: &Home) -> (u64, usize) {
    let dir = home.dir.path().join("store/journal");
    let files = std::fs::read_dir(dir).unwrap();
    let sizes = files.map(|file| file.unwrap().metadata().unwrap().len());
    sizes.fold((0, 0), |(bytes, files), len| (bytes + len, files + 1))
}

/// A home with the sizes of the product.
fn product() -> Home {
    Home {
        options: Options::default(),
        ..home()
    }
}

/// [R:tail-7] [S:journal-14]
#[test]
fn an_owner_goes_on_behind_a_clean_close_in_the_same_file() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"first"]);
    log.close().unwrap();
    for run in 0..5 {
        let mut log = home.open();
        append(&mut log, a, &[b"more"]);
        assert_eq!(log.journal_size().1, 1, "run {run}");
        log.close().unwrap();
    }
    assert_eq!(journal(&home), (home.options.journal_first_bytes, 1));
    let log = home.open();
    assert_eq!(all(&log.state().reader(a).unwrap()).len(), 6);
}

/// [S:journal-14]
#[test]
fn an_owner_begins_a_file_behind_one_that_was_killed() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"first"]);
    drop(log);
    let log = home.open();
    assert_eq!(log.journal_size().1, 2);
    assert_eq!(all(&log.state().reader(a).unwrap()).len(), 1);
}

/// A hundred here, because each waits for the device; the rig of short runs has a thousand.
#[test]
fn a_hundred_short_runs_leave_a_small_journal() {
    let home = product();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    log.close().unwrap();
    for run in 0..100 {
        let mut log = home.open();
        match run % 3 {
            0 => append(&mut log, a, &[&[b'x'; 137]]),
            1 => {
                log.stage_archive(a, run % 2 == 0).unwrap();
            }
            _ => {}
        }
        log.close().unwrap();
    }
    let (bytes, files) = journal(&home);
    println!("after 100 short runs: {bytes} bytes in {files} journal files");
    assert!(bytes <= 64 << 10 && files == 1, "{bytes} in {files}");
    assert_eq!(all(&home.open().state().reader(a).unwrap()).len(), 34);
}

/// One marker after each idle second that had news, and none where it had none. [S:frame-6]
#[test]
fn what_was_written_since_the_last_marker_is_marked() {
    let home = home();
    let path = home.dir.path().join("store/journal/00000000.tlj");
    let markers = || {
        let bytes = std::fs::read(&path).unwrap();
        let frames = bytes.chunks_exact(8).enumerate();
        let begins = frames.filter(|(_, chunk)| chunk.starts_with(b"TLFR") && chunk[7] == 1);
        begins.count()
    };
    let mut log = home.open();
    let a = thread(&mut log, "a");
    for second in 1..4 {
        append(&mut log, a, &[b"news"]);
        for _ in 0..3 {
            log.mark().unwrap();
            assert_eq!(markers(), second);
        }
    }
    log.close().unwrap();
    assert_eq!(markers(), 3, "the last one is enough for a clean close");
    let log = home.open();
    assert_eq!(log.journal_size().1, 1);
}

/// [R:owner-2] What has the names of an owner's files in another directory is not its own.
#[test]
fn an_owner_whose_directory_was_taken_removes_nothing() {
    let home = home();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    for _ in 0..8 {
        append(&mut log, a, &[&[b'x'; 60_000]]);
    }
    assert!(seal(&mut log, SealGoal::Everything) > 0);
    append(&mut log, a, &[b"more"]);
    let (store, old) = (home.dir.path().join("store"), home.dir.path().join("old"));
    std::fs::rename(&store, &old).unwrap();
    let copy = Command::new("cp").arg("-r").args([&old, &store]).status();
    assert!(copy.unwrap().success());
    let is_unchanged = || {
        let same = Command::new("diff").arg("-r").args([&old, &store]).status();
        assert!(same.unwrap().success());
    };
    assert!(log.clean_up(0).is_err());
    is_unchanged();
    assert!(log.shrink_journal().is_err());
    is_unchanged();
    log.close().unwrap();
    is_unchanged();
}

/// A thread that cannot be sealed keeps its journal file and all behind it: no further file helps.
#[test]
fn a_journal_that_cannot_shrink_does_not_grow() {
    let home = home();
    let mut log = home.open();
    let (a, b) = (thread(&mut log, "a"), thread(&mut log, "b"));
    append(&mut log, a, &[b"kept"]);
    log.quarantine(a);
    for _ in 0..8 {
        append(&mut log, b, &[&[b'x'; 60_000]]);
    }
    let mut before = None;
    for _ in 0..4 {
        seal(&mut log, SealGoal::Everything);
        log.shrink_journal().unwrap();
        let now = journal(&home);
        assert!(
            before.is_none_or(|before| now <= before),
            "{before:?} {now:?}"
        );
        before = Some(now);
    }
}

/// The publication of a pack is one record that a reader takes.
#[test]
fn a_pack_has_a_bounded_number_of_threads() {
    let home = product();
    let mut log = home.open();
    let ids = (0..22_000).map(|number| ThreadId::parse(&format!("t{number}")).unwrap());
    let threads: Vec<_> = ids.map(|id| log.stage_thread(&id).unwrap().0).collect();
    for thread in &threads {
        log.stage(*thread, None, &[line(b"x")]).unwrap();
    }
    log.commit_all();
    assert!(seal(&mut log, SealGoal::Everything) >= 2);
    log.close().unwrap();
    let log = home.open();
    assert_eq!(log.state().threads().count(), threads.len());
    assert_eq!(all(&log.state().reader(threads[21_999]).unwrap()), [b"x"]);
}
