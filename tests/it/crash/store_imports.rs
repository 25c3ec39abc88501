//! Imports of many small files, which share a sync: a power cut at every call leaves each of them
//! whole, or to be read again.

use turnleaf::{ErrorKind, ImportSource, ListedName, Options, Store};
use turnleaf_tests::sim_disk::{CrashPolicy, SimDisk};
use turnleaf_tests::stores::open_store;

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
    let mut importer = store.importer().ok()?;
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
        imported.ok()?.ok()?;
        // A name that comes before its file.
        if named && number.is_multiple_of(4) {
            let next = format!("thread-{}", number + 1);
            importer.name(listed(&next)).ok()?;
        }
    }
    importer.finish().ok()
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
    match store.export(&id, None, None, &mut out) {
        Ok(_) => out,
        Err(_) => Vec::new(),
    }
}

/// What is called imported is there; what is there is a beginning; and another import has it all.
fn judge(disk: &SimDisk, count: usize, when: &str) {
    let store = open_store(disk, &options()).unwrap_or_else(|why| panic!("{when}: {why}"));
    for number in 0..count {
        let (_, bytes) = source(number);
        let found = export(&store, number);
        if is_current(&store, number) {
            assert!(found == bytes, "{when}: file {number} is called imported");
        }
        assert!(bytes.starts_with(&found), "{when}: file {number}");
    }
    import_all(&store, count, true).unwrap_or_else(|| panic!("{when}: another import"));
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
