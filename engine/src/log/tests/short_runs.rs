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
