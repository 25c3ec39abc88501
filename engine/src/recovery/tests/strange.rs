//! Names and lengths that no writer makes: nothing panics, nothing is reserved for them, nothing
//! needed goes, and the store goes on. [S:names-3] [S:names-8]

use std::fs::{self, File};

use turnleaf_format::record::Entry;
use turnleaf_format::segment::{BlockHeader, Class};
use turnleaf_format::{Generation, ThreadId, ThreadNumber};

use super::build::{File as JournalFile, Home, STORE, founded, four, home, line, texts};
use super::sealed::Segment;
use crate::recovery::Refusal;
use crate::repair::find_repairs;
use crate::{NewRecord, OpenError, Outcome, SealGoal};

/// Opens, appends, seals and closes twice; all records are there.
fn goes_on(home: &Home, what: &str) {
    let mut more = vec!["a0".to_owned(), "a1".to_owned()];
    for _ in 0..2 {
        let mut log = home
            .open()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(texts(log.state(), "a"), more, "{what}");
        let thread = log.state().thread_number(&ThreadId::parse("a").unwrap());
        let record = NewRecord {
            kind: turnleaf_format::record::Kind::LINE,
            flags: turnleaf_format::record::Flags::NONE,
            timestamp_ms: 1,
            bytes: b"more",
        };
        let staged = log.stage(thread.unwrap(), None, &[record]).unwrap();
        log.commit_all();
        let outcome = log.outcome(staged.ticket);
        assert!(matches!(outcome, Outcome::Durable), "{what}: {outcome:?}");
        more.push("more".to_owned());
        while let Some(plan) = log.plan_seal(SealGoal::Everything) {
            let done = plan.run(&super::build::no_notes);
            drop(plan);
            log.finish_seal(done).unwrap();
            log.commit_all();
            log.clean_up(1).unwrap();
        }
        assert_eq!(texts(log.state(), "a"), more, "{what}");
        log.close().unwrap();
    }
    let snapshot = home.snapshot().unwrap();
    assert_eq!(texts(snapshot.state(), "a"), more, "{what}");
}

#[test]
fn names_that_no_writer_gives_are_left_alone() {
    for name in [
        "journal/+000000f.tlj",
        "journal/0000000F.tlj",
        "journal/-0000001.tlj",
        "journal/00000000f.tlj",
        "journal/0000001.tlj",
        "journal/fffffffff.tlj",
        "journal/0000000\u{661}.tlj",
        "segments/+00000000000000f.tls",
        "segments/000000000000000F.tls",
        "segments/fffffffffffffffff.tls",
        "segments/f.tls",
        "catalogue/+00000000000000f.tls",
        "catalogue/00000000000000AB.tls",
        "quarantine/+00000000000000f.tls",
    ] {
        let home = home(&[&four().file]);
        home.write(name, b"somebody's");
        goes_on(&home, name);
        assert_eq!(fs::read(home.path(name)).unwrap(), b"somebody's", "{name}");
        let foreign = home.snapshot().unwrap().report().foreign.clone();
        let quarantined = name.starts_with("quarantine");
        assert!(
            quarantined || foreign.iter().any(|found| found == name),
            "{name}"
        );
    }
}

#[test]
fn the_last_numbers_that_there_are_end_nothing() {
    for name in [
        "journal/ffffffff.tlj",
        "journal/fffffffe.tlj",
        "journal/7fffffff.tlj",
        "segments/ffffffffffffffff.tls",
        "segments/fffffffffffffffe.tls",
        "segments/7fffffffffffffff.tls",
        "segments/0000000000000000.tls",
        "catalogue/ffffffffffffffff.tls",
        "quarantine/ffffffffffffffff.tls",
    ] {
        for len in [0, 100, 20_000] {
            let home = home(&[&four().file]);
            home.write(name, &vec![b'x'; len]);
            goes_on(&home, &format!("{name} of {len} bytes"));
        }
    }
    // The name behind the last one may be in use, too, and by something that is needed.
    let home = home(&[&four().file]);
    fs::rename(
        home.path("journal/00000000.tlj"),
        home.path("journal/ffffffff.tlj"),
    )
    .unwrap();
    home.write("journal/00000001.tlj", b"");
    goes_on(&home, "the journal in the last slot");
}

#[test]
fn the_last_generations_close_the_store() {
    // [R:set-21]
    let first = four().file;
    for generation in [1 << 63, u64::MAX] {
        let mut last = JournalFile::new(generation, Some(&first));
        last.header.oldest_live = Generation(1);
        last.state();
        let home = home(&[&first, &last]);
        match home.open() {
            Err(OpenError::Damaged(_)) => {}
            other => panic!("{generation}: {:?}", other.map(drop)),
        }
        assert_eq!(texts(home.snapshot().unwrap().state(), "a"), ["a0", "a1"]);
    }
}

/// What a repair would do is done until there is nothing left to do.
fn repaired(home: &Home, what: &str) {
    for _ in 0..4 {
        let snapshot = match home.snapshot() {
            Ok(snapshot) => snapshot,
            Err(OpenError::Refused(Refusal::NoStore | Refusal::Headless { .. })) => return,
            Err(error) => panic!("{what}: {error}"),
        };
        let due = find_repairs(&snapshot, None).unwrap_or_else(|error| panic!("{what}: {error}"));
        drop(snapshot);
        if due.is_empty() {
            return;
        }
        home.repair(&due);
    }
    panic!("{what}: there is always something to repair");
}

#[test]
fn files_of_every_length_are_opened_and_repaired() {
    let model = home(&[&four().file]);
    goes_on(&model, "sealed");
    let names = |home: &Home| {
        let dirs = ["journal", "segments", "catalogue"].into_iter();
        let files = dirs.flat_map(|dir| {
            let entries = fs::read_dir(home.path(dir)).unwrap().flatten();
            entries.map(move |entry| format!("{dir}/{}", entry.file_name().to_string_lossy()))
        });
        files.collect::<Vec<_>>()
    };
    for name in names(&model) {
        let whole = fs::metadata(model.path(&name)).unwrap().len();
        for len in [0, 300, 5000, 8300, whole - 1, 2 << 30] {
            let home = model.copied();
            let file = File::options().write(true).open(home.path(&name)).unwrap();
            file.set_len(len).unwrap();
            let what = format!("{name} of {len} bytes");
            repaired(&home, &what);
            if home.snapshot().is_ok() {
                match home.open() {
                    Ok(log) => log.close().unwrap(),
                    Err(OpenError::Damaged(_)) => {}
                    Err(error) => panic!("{what}: {error}"),
                }
            }
        }
    }
}

#[test]
fn a_sparse_file_without_a_header_costs_no_memory() {
    for name in [
        "journal/00000007.tlj",
        "segments/0000000000000007.tls",
        "catalogue/0000000000000007.tls",
    ] {
        let home = home(&[&four().file]);
        let file = File::create(home.path(name)).unwrap();
        file.set_len(64 << 30).unwrap();
        goes_on(&home, name);
    }
}

/// A header may state any capacity, and a file of holes have it.
#[test]
fn a_sparse_file_with_a_large_capacity_costs_no_memory() {
    let mut journal = four();
    journal.file.header.capacity = 64 << 30;
    journal.file.state();
    let home = home(&[&journal.file]);
    let path = home.path("journal/00000000.tlj");
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(64 << 30).unwrap();
    let snapshot = home.snapshot().unwrap();
    assert_eq!(snapshot.report().damage, []);
    assert_eq!(texts(snapshot.state(), "a"), ["a0", "a1"]);
    assert_eq!(texts(snapshot.state(), "b"), ["b0", "b1"]);
    // What is torn in it is copied without its holes.
    let mut torn = journal.clone();
    torn.a("a2");
    let place = usize::try_from(*torn.file.places.last().unwrap()).unwrap();
    torn.file.bytes[place + 100] ^= 1;
    home.write("journal/00000000.tlj", &torn.file.bytes);
    let path = home.path("journal/00000000.tlj");
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(64 << 30).unwrap();
    drop(home.open().unwrap());
    assert_eq!(texts(home.snapshot().unwrap().state(), "a"), ["a0", "a1"]);
}

/// Blocks are looked for in a file of another length, and may stand anywhere in it.
#[test]
fn blocks_that_stand_far_apart_cost_no_memory() {
    let mut journal = founded();
    let lines = ["a0", "a1", "a2", "a3"].map(line);
    let parts: Vec<&[Entry<'_>]> = lines.chunks(2).collect();
    let parts = &mut [(&mut journal.a, &parts[..])];
    let segment = Segment::build(1, Class::Run, parts, &|_, _| {});
    journal.facts(&[segment.published()]);
    let home = home(&[&journal.file]);
    let far = (64_u64 << 30) - 4096;
    let (at, end) = (segment.stored_at(1), segment.footer_at);
    let offset = at as u64 - 64;
    let mut header =
        BlockHeader::decode(&segment.bytes[at - 64..], STORE, segment.id, offset).unwrap();
    header.offset = far;
    let mut block = header.encode(STORE, segment.id).to_vec();
    block.extend_from_slice(&segment.bytes[at..end]);
    home.write(&segment.name(), &segment.bytes[..at - 64]);
    let path = home.path(&segment.name());
    let file = File::options().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &block, far).unwrap();
    file.set_len(64 << 30).unwrap();
    let snapshot = home.snapshot().unwrap();
    assert_eq!(texts(snapshot.state(), "a"), ["a0", "a1", "a2", "a3"]);
    assert_eq!(snapshot.report().closed, [ThreadNumber(1)]);
}
