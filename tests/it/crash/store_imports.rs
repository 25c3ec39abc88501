//! Imports of many small files, which share a sync: a power cut at every call leaves each of them
//! whole, or to be read again.

use turnleaf::{ErrorKind, ImportSource, Importer, ListedName, Options, Store};
use turnleaf_format::{Ordinal, ThreadId};
use turnleaf_tests::sim_disk::{CrashPolicy, SimDisk};
use turnleaf_tests::stores::{open_log, open_store};

/// Unix nanoseconds.
const CHANGED_NS: i64 = 7;

fn options() -> Options {
    Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 64 << 10,
        reserve_bytes: 0,
        ..Options::default()
    }
}

/// A file of a few lines, which is larger than a page every now and then.
fn source(number: usize) -> (String, Vec<u8>) {
    let time = "2026-01-01T00:00:00.000Z";
    let payload = format!(
        r#"{{"id":"thread-{number}","timestamp":"{time}","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null}}"#
    );
    let head = format!(r#"{{"timestamp":"{time}","type":"session_meta","payload":{payload}}}"#);
    let rest = "x".repeat(40 + number % 3 * 3000);
    (
        format!("thread-{number}"),
        format!("{head}\n{rest}\n{number}\n").into_bytes(),
    )
}

fn listed(thread: &str) -> ListedName<'_> {
    ListedName {
        thread,
        name: "n",
        named_at_ms: 1,
        list: ("session_index.jsonl", 100),
    }
}

fn import_all(store: &Store, count: usize, named: bool) -> Option<()> {
    import_with(store.importer().ok()?, count, named)
}

fn import_with(mut importer: Importer<'_>, count: usize, named: bool) -> Option<()> {
    for number in 0..count {
        let (id, bytes) = source(number);
        let imported = importer.import(
            ImportSource {
                path: &id,
                thread_hint: None,
                plain: &mut bytes.as_slice(),
                file_bytes: bytes.len() as u64,
                modified_ns: CHANGED_NS,
                archived: number % 2 == 1,
            },
            &mut |_| {},
        );
        imported.ok()?.done().ok()?;
        // A name that comes before its file.
        if named && number.is_multiple_of(4) {
            let next = format!("thread-{}", number + 1);
            importer.name(listed(&next)).ok()?;
        }
    }
    importer.finish().ok().map(drop)
}

fn is_current(store: &Store, number: usize) -> bool {
    let (id, bytes) = source(number);
    let importer = store.importer().expect("it is the owner's");
    let known = importer.is_current(&id, bytes.len() as u64, CHANGED_NS);
    known.is_some()
}

fn export(store: &Store, number: usize) -> Vec<u8> {
    let (id, _) = source(number);
    let mut out = Vec::new();
    match store.export(&id, .., &mut out) {
        Ok(_) => out,
        Err(_) => Vec::new(),
    }
}

/// What is called imported is there; what is there is a beginning; and another import has it all.
fn judge(disk: &SimDisk, count: usize, when: &str) {
    judge_with(disk, count, when, &|store| import_all(store, count, true));
}

/// As [`judge`], by another way to import.
fn judge_with(disk: &SimDisk, count: usize, when: &str, import: &dyn Fn(&Store) -> Option<()>) {
    let store = open_store(disk, &options()).unwrap_or_else(|why| panic!("{when}: {why}"));
    for number in 0..count {
        let (_, bytes) = source(number);
        let found = export(&store, number);
        if is_current(&store, number) {
            assert!(found == bytes, "{when}: file {number} is called imported");
        }
        assert!(bytes.starts_with(&found), "{when}: file {number}");
    }
    import(&store).unwrap_or_else(|| panic!("{when}: another import"));
    let archived = store.log_threads();
    for number in 0..count {
        let (id, bytes) = source(number);
        assert!(export(&store, number) == bytes, "{when}: file {number}");
        assert!(is_current(&store, number), "{when}: file {number}");
        let thread = archived.iter().find(|thread| thread.id == id);
        let is_archived = thread.is_some_and(|thread| thread.archived);
        assert_eq!(is_archived, number % 2 == 1, "{when}: file {number}");
    }
}

#[test]
fn files_that_share_a_sync_are_whole_or_read_again() {
    const COUNT: usize = 12;
    let whole = SimDisk::new();
    whole.record(1);
    let store = open_store(&whole, &options()).expect("memory");
    import_all(&store, COUNT, true).expect("memory");
    drop(store);
    let mut states = 0;
    for (at, moment) in whole.recorded() {
        for policy in CrashPolicy::ALL {
            judge(
                &moment.after_crash(policy, at),
                COUNT,
                &format!("call {at}, {policy:?}"),
            );
            states += 1;
        }
    }
    println!("store, small imports: {states} states");
    assert!(states > 100, "{states} states");
}

/// Threads that were deleted come back whole, or are still deleted, or have a beginning of the new
/// file; and nothing of the old one, which another file held.
#[test]
fn deleted_threads_that_are_imported_again_are_whole_or_read_again() {
    const COUNT: usize = 3;
    let again = |store: &Store| import_with(store.importer().ok()?.again(true), COUNT, false);
    let whole = SimDisk::new();
    let store = open_store(&whole, &options()).expect("memory");
    for number in 0..COUNT {
        let id = source(number).0;
        store.create_thread(&id).expect("memory");
        store
            .append(&id, None, &[b"of the old one"])
            .expect("memory");
        store.set_name(&id, "the old one").expect("memory");
    }
    store.seal_all().expect("memory");
    for number in 0..COUNT {
        store.delete(&source(number).0).expect("memory");
    }
    whole.record(1);
    again(&store).expect("memory");
    drop(store);
    let mut states = 0;
    for (at, moment) in whole.recorded() {
        for policy in CrashPolicy::ALL {
            let when = format!("call {at}, {policy:?}");
            judge_with(&moment.after_crash(policy, at), COUNT, &when, &again);
            states += 1;
        }
    }
    println!("store, imports of deleted threads: {states} states");
    assert!(states > 20, "{states} states");
}

/// Many files cost no more syncs than few.
#[test]
fn small_files_share_a_sync() {
    let syncs = |count: usize| {
        let disk = SimDisk::new();
        let store = open_store(&disk, &options()).expect("memory");
        let before = disk.kinds().len();
        import_all(&store, count, false).expect("memory");
        let kinds = disk.kinds();
        let of_files = kinds[before..].iter().filter(|kind| kind.contains("sync"));
        of_files.count()
    };
    let (few, many) = (syncs(2), syncs(12));
    assert!(few > 0 && few <= 6, "{few} syncs for two files");
    assert_eq!(many, few, "syncs for twelve files");
}

/// A power cut while names of threads come that are not there shows none of them, and each gets its
/// name when it is created.
#[test]
fn a_name_alone_shows_no_thread() {
    let whole = SimDisk::new();
    whole.record(1);
    let name_all = |store: &Store| {
        let mut importer = store.importer()?;
        ["a", "b", "a"]
            .iter()
            .try_for_each(|id| importer.name(listed(id)))?;
        importer.finish()
    };
    let store = open_store(&whole, &options()).expect("memory");
    name_all(&store).expect("memory");
    drop(store);
    let mut states = 0;
    for (at, moment) in whole.recorded() {
        for policy in CrashPolicy::ALL {
            let when = format!("call {at}, {policy:?}");
            let disk = moment.after_crash(policy, at);
            let store = open_store(&disk, &options()).unwrap_or_else(|why| panic!("{when}: {why}"));
            assert_eq!(store.log_threads(), [], "{when}");
            let shown = store.show("a").map_err(|error| error.kind());
            assert_eq!(shown.err(), Some(ErrorKind::NotFound), "{when}");
            name_all(&store).unwrap_or_else(|why| panic!("{when}: {why}"));
            assert_eq!(store.log_threads(), [], "{when}");
            store
                .create_thread("a")
                .unwrap_or_else(|why| panic!("{when}: {why}"));
            let threads = store.log_threads();
            let ids: Vec<&str> = threads.iter().map(|thread| thread.id.as_str()).collect();
            assert_eq!(ids, ["a"], "{when}");
            let shown = store
                .show("a")
                .unwrap_or_else(|why| panic!("{when}: {why}"));
            assert_eq!(shown.thread["name"], "n", "{when}");
            states += 1;
        }
    }
    assert!(states > 20, "{states} states");
}

/// A power cut while a list of names comes may leave a thread announced without its name. Another
/// one while the only line of that thread comes: once the line is durable the thread is shown, also
/// where the catalogue does not say yet what was imported.
#[test]
fn a_line_of_an_announced_thread_is_never_hidden() {
    let whole = SimDisk::new();
    let store = open_store(&whole, &options()).expect("memory");
    whole.record(1);
    // So long that a write may be torn within it.
    let name = ListedName {
        name: &"n".repeat(10_000),
        ..listed("a")
    };
    let mut importer = store.importer().expect("it is the owner's");
    importer.name(name).expect("memory");
    importer.finish().expect("memory");
    drop(store);
    let line = b"{\"timestamp\":\"2026-01-01T00:00:00Z\",\"type\":\"event_msg\",\"payload\":{}}\n";
    let id = ThreadId::parse("a").expect("it is one");
    let end_in = |disk: &SimDisk| {
        let (log, _) = open_log(disk, options()).expect("memory");
        let state = log.state();
        let number = state.thread_number(&id)?;
        let import = state.thread(number).and_then(|fact| fact.import.as_ref());
        let is_noted = import.is_some_and(|import| import.path == "a.jsonl");
        let end = state.reader(number).expect("it has an id").end();
        Some((end, state.is_announced(number), is_noted))
    };
    let cuts = whole.recorded().into_iter().flat_map(|(at, moment)| {
        CrashPolicy::ALL.map(|policy| {
            (
                format!("call {at}, {policy:?}"),
                moment.after_crash(policy, at),
            )
        })
    });
    let nameless = |disk: &SimDisk| end_in(&disk.fork()) == Some((Ordinal(0), true, false));
    let Some((first, disk)) = cuts.into_iter().find(|(_, disk)| nameless(disk)) else {
        panic!("no cut leaves the announcement alone");
    };
    let store = open_store(&disk, &options()).expect("memory");
    disk.record(1);
    let source = ImportSource {
        path: "a.jsonl",
        thread_hint: Some("a"),
        plain: &mut line.as_slice(),
        file_bytes: line.len() as u64,
        modified_ns: CHANGED_NS,
        archived: false,
    };
    let imported = store.import(source, &mut |_| {}).expect("memory").done();
    assert_eq!(imported.map(|imported| imported.added_records), Ok(1));
    drop(store);
    let mut between = 0;
    for (at, moment) in disk.recorded() {
        for policy in CrashPolicy::ALL {
            let when = format!("{first}, then call {at}, {policy:?}");
            let (end, is_hidden, is_noted) = end_in(&moment.after_crash(policy, at)).expect(&when);
            if end > Ordinal(0) {
                assert!(!is_hidden, "{when}: hidden up to {end}");
                between += usize::from(!is_noted);
            }
        }
    }
    assert!(between > 0, "no cut between the two commits");
}
