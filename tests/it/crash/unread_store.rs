//! The whole store while files of it cannot be read: whoever opens it, an append, an import, an
//! archive, a deletion, a verification, a repair, is refused or told, and loses nothing. [R:set-20]

use std::sync::Arc;

use turnleaf::{Error, ErrorKind, ImportSource, Store};
use turnleaf_engine::disk::Disk;
use turnleaf_tests::crash_rig::{Found, scale};
use turnleaf_tests::oracle::{Expectation, Rec};
use turnleaf_tests::parallel::in_parallel;
use turnleaf_tests::rollouts::RolloutMode;
use turnleaf_tests::sim_disk::{SimDisk, Unread};
use turnleaf_tests::stores::{log_files, open_store, owner};

use super::store::{answers, lines_of, options, recover, rollout, run, working_day};

/// What somebody opens a store for.
type Opener = (&'static str, fn(&SimDisk) -> Result<bool, Error>);

fn owned(disk: &SimDisk) -> Result<Store, Error> {
    open_store(disk, &options())
}

fn first_thread(store: &Store) -> Result<String, Error> {
    let first = store.log_threads().into_iter().next();
    Ok(first.ok_or(Error::NoThread("any".into()))?.id)
}

fn append(disk: &SimDisk) -> Result<bool, Error> {
    let store = owned(disk)?;
    let thread = first_thread(&store)?;
    store.append(&thread, None, &[b"{\"one\":\"more\"}"])?;
    store.close()?;
    Ok(true)
}

/// More than a mebibyte, which goes straight into a segment.
fn import(disk: &SimDisk) -> Result<bool, Error> {
    let store = owned(disk)?;
    let (_, lines) = rollout(RolloutMode::Legacy, 6, 1300 << 10);
    let plain: Vec<u8> = lines.concat();
    let source = ImportSource {
        path: "rollout.jsonl",
        thread_hint: None,
        plain: &mut plain.as_slice(),
        file_bytes: plain.len() as u64,
        modified_ns: 1,
        archived: false,
    };
    let done = store.import(source, &mut |_| {})?;
    store.close()?;
    Ok(done.done().is_ok())
}

fn archive(disk: &SimDisk) -> Result<bool, Error> {
    let store = owned(disk)?;
    store.archive(&first_thread(&store)?)?;
    store.close()?;
    Ok(true)
}

fn delete(disk: &SimDisk) -> Result<bool, Error> {
    let store = owned(disk)?;
    store.delete(&first_thread(&store)?)?;
    store.close()?;
    Ok(true)
}

fn reading(disk: &SimDisk) -> Result<Store, Error> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open_to_read_on(shared, &options(), &owner())
}

fn read(disk: &SimDisk) -> Result<bool, Error> {
    let store = reading(disk)?;
    let mut whole = true;
    for thread in store.log_threads() {
        whole &= lines_of(&store, &thread.id).is_ok() && answers(&store, &thread.id).is_ok();
    }
    let told = store.report().damage.len() + store.damage_seen().len();
    Ok(whole && told == 0)
}

fn verify(disk: &SimDisk) -> Result<bool, Error> {
    Ok(reading(disk)?.verify(None, &mut |_| {})?.is_ok())
}

fn repair(disk: &SimDisk) -> Result<bool, Error> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let report = Store::repair_on(&shared, &options(), &owner(), None)?;
    assert!(report.done.is_empty(), "repaired: {report:?}");
    Ok(true)
}

const OPENERS: [Opener; 7] = [
    ("append", append),
    ("import", import),
    ("archive", archive),
    ("delete", delete),
    ("read", read),
    ("verify", verify),
    ("repair", repair),
];

fn bytes_of(disk: &SimDisk) -> Vec<(String, Option<Vec<u8>>)> {
    let files = log_files(disk).into_iter();
    files
        .map(|path| (path.clone(), disk.bytes(&path)))
        .collect()
}

fn check(base: &SimDisk, truth: &Found, (name, open): Opener, unread: &Unread) -> bool {
    let disk = base.fork();
    disk.fail_reads(unread.clone());
    let place = format!("{name}, {unread:?}");
    let done = open(&disk);
    let met = !disk.read_faults_met().is_empty();
    disk.heal();
    let owns = matches!(name, "append" | "import" | "archive" | "delete");
    let forever = unread.times == u64::MAX && met;
    if let Err(error) = &done {
        let kind = error.kind();
        let said = matches!(kind, ErrorKind::Io | ErrorKind::Damaged);
        assert!(said, "{place}: {kind:?}, {error}");
    }
    assert!(
        !(forever && name == "verify" && done.is_ok_and(|ok| ok)),
        "{place}: ok"
    );
    let is_journal = unread.path.starts_with("journal");
    if !owns || (forever && is_journal && unread.kind == "read_at") {
        assert!(bytes_of(base) == bytes_of(&disk), "{place}: files changed");
    }
    let found = match recover(&disk) {
        Ok(found) => found,
        Err(why) => panic!("{place}: {why}"),
    };
    for (thread, lines) in truth {
        match found.get(thread) {
            // Only that was asked for.
            None => assert!(name == "delete", "{place}: {thread} is gone"),
            Some(all) => assert!(all.starts_with(lines), "{place}: {thread} lost records"),
        }
    }
    met
}

/// A store with one journal file, nothing sealed.
fn young() -> SimDisk {
    let disk = SimDisk::new();
    let store = owned(&disk).unwrap();
    store.create_thread("aa").unwrap();
    store
        .append("aa", None, &[b"{\"n\":1}", b"{\"n\":2}"])
        .unwrap();
    store.close().unwrap();
    disk.fork()
}

fn full() -> SimDisk {
    let disk = SimDisk::new();
    run(&disk, &mut Expectation::default(), |work| {
        working_day(work)?;
        let thread = first_thread(&work.store).ok()?;
        let line: &[u8] = b"{\"one\":\"more\"}";
        work.store.append(&thread, None, &[line]).ok().map(drop)
    });
    disk.fork()
}

#[test]
fn a_store_that_cannot_be_read_whole_loses_nothing() {
    for (what, base) in [("young", young()), ("full", full())] {
        let truth: Found = recover(&base.fork()).unwrap();
        let records: Vec<&Rec> = truth.values().flatten().collect();
        assert!(!records.is_empty());
        let mut tries = Vec::new();
        for path in log_files(&base) {
            let whole = Unread::always("read_at", &path);
            let mut kinds = vec![whole.clone(), Unread::always("open", &path)];
            if path.starts_with("journal") {
                for bytes in [0..512, 0..8192, 8192..8292, 8192..u64::MAX] {
                    let whole = whole.clone();
                    kinds.push(Unread { bytes, ..whole });
                }
            }
            for after in 1..=2 * scale() {
                kinds.push(Unread {
                    after,
                    ..whole.clone()
                });
            }
            for unread in kinds {
                tries.extend(OPENERS.iter().map(|opener| (*opener, unread.clone())));
            }
        }
        let done = in_parallel(0..tries.len() as u64, &|number| {
            let (opener, unread) = &tries[usize::try_from(number).unwrap()];
            check(&base, &truth, *opener, unread)
        });
        let met = done.iter().filter(|met| **met).count();
        println!(
            "store, unread, {what}: {} openings, {met} met it",
            done.len()
        );
        assert!(met > 20, "{what}: only {met}");
    }
}
