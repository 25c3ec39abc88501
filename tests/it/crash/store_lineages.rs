//! Imports of a thread in several files and of a fork: a power cut at every call leaves beginnings of
//! the files, and another import has it all, each file once.

use turnleaf::{ImportSource, Options, Ordinal, Store};
use turnleaf_tests::sim_disk::{CrashPolicy, SimDisk};
use turnleaf_tests::stores::open_store;

const T: &str = "019d0000-0000-7000-8000-000000000001";
const B1: &str = "019d0001-0000-7000-8000-0000000000b1";
const B2: &str = "019d0002-0000-7000-8000-0000000000b2";
const CHILD: &str = "019d0003-0000-7000-8000-000000000003";

fn options() -> Options {
    Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 64 << 10,
        reserve_bytes: 0,
        ..Options::default()
    }
}

struct File {
    name: String,
    bytes: Vec<u8>,
}

/// How much is said in each file: so often, a text of so many bytes more.
#[derive(Clone, Copy)]
struct Size(u64, usize);

/// All goes through the journal.
const SMALL: Size = Size(1, 0);
/// More than 1 MiB each: straight into segments.
const LARGE: Size = Size(20, 64 << 10);

/// A file whose lines count from `first` on; it goes on from the rollout `base` up to there.
fn file(
    (thread, rollout): (&str, Option<&str>),
    first: u64,
    base: Option<&str>,
    said: &str,
    size: Size,
) -> File {
    let time = "2026-01-01T00:00:00.000Z";
    let base = base.map_or(String::new(), |base| {
        format!(r#","history_base":{{"thread_id":"{base}","end_ordinal_exclusive":{first}}}"#)
    });
    let head = format!(
        r#"{{"id":"{thread}","timestamp":"{time}","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null,"history_mode":"paginated"{base}}}"#
    );
    let line = |ordinal: u64, kind: &str, payload: &str| {
        format!(
            r#"{{"timestamp":"{time}","ordinal":{ordinal},"type":"{kind}","payload":{payload}}}"#
        ) + "\n"
    };
    let said = (1..=size.0).map(|number| {
        let more = "x".repeat(size.1);
        let said = format!(r#"{{"type":"said","text":"{said} {number}{more}"}}"#);
        line(first + number, "event_msg", &said)
    });
    let said: String = said.collect();
    let head = line(first, "session_meta", &head);
    let rollout = rollout.map_or(String::new(), |rollout| format!("_{rollout}"));
    File {
        name: format!("rollout-2026-01-01T00-00-00-{thread}{rollout}.jsonl"),
        bytes: (head + &said).into_bytes(),
    }
}

/// The files as they come: the newest revert first, and the first file twice, written anew between.
fn files(size: Size) -> Vec<File> {
    let end = 2 + size.0;
    vec![
        file((T, Some(B2)), end, Some(B1), "two", size),
        file((T, None), 0, None, "zero", size),
        file((CHILD, None), end, Some(B1), "child", size),
        file((T, Some(B1)), 1, Some(T), "one", size),
        file((CHILD, None), end, Some(B1), "child, written anew", size),
    ]
}

fn head_of(file: &File) -> &[u8] {
    let end = file.bytes.iter().position(|byte| *byte == b'\n');
    &file.bytes[..=end.expect("two lines")]
}

fn import_all(store: &Store, size: Size) -> Option<()> {
    let mut importer = store.importer().ok()?;
    for file in files(size) {
        let source = ImportSource {
            path: &file.name,
            thread_hint: None,
            plain: &mut file.bytes.as_slice(),
            file_bytes: file.bytes.len() as u64,
            modified_ns: 7,
            archived: false,
        };
        importer.import(source, &mut |_| {}).ok()?.done().ok()?;
    }
    importer.finish().ok().map(drop)
}

/// What each rollout holds itself.
fn own(store: &Store) -> Vec<Vec<u8>> {
    let threads = [T, CHILD].into_iter();
    let rollouts = threads.flat_map(|thread| {
        let rollouts = store.rollouts(thread).unwrap_or_default();
        rollouts.into_iter().map(move |of| (thread, of.number))
    });
    let own = rollouts.map(|(thread, number)| {
        let mut out = Vec::new();
        let written = store.export_rollout(thread, number, &mut out);
        written.expect("it is there");
        out
    });
    own.collect()
}

fn shown(store: &Store, thread: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let written = store.export(thread, Ordinal(0).., &mut out);
    written.expect("it is there");
    out
}

fn judge(disk: &SimDisk, size: Size, when: &str) {
    let files = files(size);
    let store = open_store(disk, &options()).unwrap_or_else(|why| panic!("{when}: {why}"));
    for own in own(&store) {
        let is_begun = files.iter().any(|file| file.bytes.starts_with(&own));
        assert!(
            is_begun,
            "{when}: {}",
            String::from_utf8_lossy(&own[..own.len().min(1000)])
        );
    }
    import_all(&store, size).unwrap_or_else(|| panic!("{when}: another import"));
    let mut found = own(&store);
    let mut expect: Vec<_> = files.iter().map(|file| file.bytes.clone()).collect();
    found.sort();
    expect.sort();
    assert!(found == expect, "{when}: {} rollouts", found.len());
    let [two, zero, _, one, child] = files.as_slice() else {
        panic!("five files");
    };
    let one = [head_of(zero), &one.bytes].concat();
    assert!(
        shown(&store, T) == [&one[..], &two.bytes].concat(),
        "{when}"
    );
    assert!(
        shown(&store, CHILD) == [&one[..], &child.bytes].concat(),
        "{when}"
    );
    let report = store.verify(None, &mut |_| {}).expect("memory");
    assert!(report.is_ok(), "{when}: {:?}", report.damage);
}

fn stopped(size: Size, step: u64) -> u64 {
    let whole = SimDisk::new();
    whole.record(step);
    let store = open_store(&whole, &options()).expect("memory");
    import_all(&store, size).expect("memory");
    drop(store);
    let mut states = 0;
    for (at, moment) in whole.recorded() {
        for policy in CrashPolicy::ALL {
            let disk = moment.after_crash(policy, at);
            judge(&disk, size, &format!("call {at}, {policy:?}"));
            states += 1;
        }
    }
    states
}

#[test]
fn files_of_a_lineage_are_whole_or_read_again() {
    let states = stopped(SMALL, 1);
    println!("store, import of a lineage: {states} states");
    assert!(states > 100, "{states} states");
}

#[test]
fn large_files_of_a_lineage_are_whole_or_read_again() {
    let states = stopped(LARGE, 3);
    println!("store, import of a large lineage: {states} states");
    assert!(states > 100, "{states} states");
}
