//! A segment that the system does not open: what else a thread has is given, and nothing that
//! cannot be read is given up.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use turnleaf::{ErrorKind, ForkPoint, RolloutFile, Store};
use turnleaf_engine::disk::Disk;
use turnleaf_tests::answers::{all_threads, ask, options, small_store};
use turnleaf_tests::hooked::{HookedDisk, is_journal, is_segment};
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::{log_files, open_store, owner};

/// What the system says of a file that may not be opened.
const EACCES: i32 = 13;
/// What it says where too many files are open.
const EMFILE: i32 = 24;

/// The store as an owner and as a reader, on disks that from then on do not open segments.
fn on_closed_segments(disk: &SimDisk) -> [Store; 2] {
    on_failing(disk, "open", is_segment, EACCES)
}

/// The same for other calls on files that are told by their path, with what the system says.
fn on_failing(
    disk: &SimDisk,
    failing: &'static str,
    is_meant: impl Fn(&str) -> bool + Clone + Send + Sync + 'static,
    code: i32,
) -> [Store; 2] {
    let is_closed = Arc::new(AtomicBool::new(false));
    let hooked = || -> Arc<dyn Disk> {
        let disk: Arc<dyn Disk> = Arc::new(disk.fork());
        let is_closed = Arc::clone(&is_closed);
        let is_meant = is_meant.clone();
        let fails = move |call: &'static str, path: &str| -> io::Result<()> {
            match call == failing && is_meant(path) && is_closed.load(Ordering::Relaxed) {
                true => Err(io::Error::from_raw_os_error(code)),
                false => Ok(()),
            }
        };
        Arc::new(HookedDisk::new(disk, fails))
    };
    let stores = [
        Store::open_on(hooked(), options(), &owner(), false, || 1).unwrap(),
        Store::open_to_read_on(hooked(), &options(), &owner()).unwrap(),
    ];
    is_closed.store(true, Ordering::Relaxed);
    stores
}

#[test]
fn what_is_not_in_a_segment_that_is_not_opened_is_exported() {
    let (disk, ids) = small_store(2, 3).unwrap();
    let line = concat!(
        r#"{"timestamp":"2026-01-01T00:00:00.000Z","type":"response_item","payload":{"#,
        r#""type":"message","role":"user","content":[{"type":"input_text","text":"go on"}]}}"#
    );
    let line = line.as_bytes();
    let store = open_store(&disk, &options()).unwrap();
    store.seal_all().unwrap();
    for id in &ids {
        store.append(id, None, &[line]).unwrap();
    }
    ask(&store, &ids).unwrap();
    let mut whole = Vec::new();
    store.export(&ids[0], .., &mut whole).unwrap();
    let (mut all, report) = (
        Vec::new(),
        store
            .context(&ids[0], &ForkPoint::Latest, &mut Vec::new())
            .unwrap(),
    );
    store
        .context(&ids[0], &ForkPoint::Latest, &mut all)
        .unwrap();
    assert!(report.damage.is_empty() && report.records > 1);
    drop(store);
    for store in on_closed_segments(&disk) {
        for id in &ids {
            let mut left = Vec::new();
            store.export(id, .., &mut left).unwrap();
            assert_eq!(left, [line, b"\n"].concat());
        }
        let seen = store.damage_seen();
        assert_eq!(seen.len(), ids.len(), "told once for each thread");
        assert!(seen.iter().all(|damage| damage.is_unreadable()));
        let mut left = Vec::new();
        let report = store
            .context(&ids[0], &ForkPoint::Latest, &mut left)
            .unwrap();
        assert_eq!(report.records, 1);
        assert!(left.ends_with(&[line, b"\n"].concat()));
        assert_eq!(report.damage, [seen[0].clone()]);
        assert_eq!(store.damage_seen(), seen, "it is the same damage");
    }
    // Nobody wrote down that anything is lost or damaged: it was not read.
    let store = open_store(&disk, &options()).unwrap();
    let mut again = Vec::new();
    store.export(&ids[0], .., &mut again).unwrap();
    assert!(again == whole && store.damage_seen().is_empty());
    let mut context = Vec::new();
    store
        .context(&ids[0], &ForkPoint::Latest, &mut context)
        .unwrap();
    assert!(context == all);
}

/// Who owns the store may go on appending: nothing says that bytes are damaged.
#[test]
fn a_thread_with_a_segment_that_is_not_opened_stays_open() {
    let (disk, ids) = small_store(1, 3).unwrap();
    let store = open_store(&disk, &options()).unwrap();
    store.seal_all().unwrap();
    drop(store);
    let [owner, _] = on_closed_segments(&disk);
    owner.export(&ids[0], .., &mut Vec::new()).unwrap();
    assert_eq!(owner.damage_seen().len(), 1);
    let line = b"{}".as_slice();
    owner.append(&ids[0], None, &[line]).unwrap();
}

/// What the system says when it has too much to do says nothing about the file: nothing is left
/// out for it.
#[test]
fn a_failure_that_passes_leaves_nothing_out() {
    let (disk, ids) = small_store(1, 3).unwrap();
    let store = open_store(&disk, &options()).unwrap();
    store.seal_all().unwrap();
    let mut whole = Vec::new();
    store.export(&ids[0], .., &mut whole).unwrap();
    drop(store);
    // ENOMEM, ENFILE, EMFILE; an EINTR of a read is tried again by who reads.
    for (call, code) in ["open", "read"]
        .into_iter()
        .flat_map(|call| [12, 23, 24].map(|code| (call, code)))
    {
        for store in on_failing(&disk, call, is_segment, code) {
            fails_whole(&store, &ids[0], code);
            assert_eq!(store.damage_seen(), [], "{call} {code}");
        }
    }
    // EPERM, EIO, EACCES, ENODATA, EBADMSG, EUCLEAN
    for code in [1, 5, EACCES, 61, 74, 117] {
        for call in ["open", "read"] {
            for store in on_failing(&disk, call, is_segment, code) {
                let mut out = Vec::new();
                store.export(&ids[0], .., &mut out).unwrap();
                let seen = store.damage_seen();
                assert!(!seen.is_empty() || out == whole, "{call} {code}");
                assert!(seen.iter().all(|damage| damage.is_unreadable()));
            }
        }
    }
}

/// An export and a context of a thread fail with what the system said, and give nothing up.
fn fails_whole(store: &Store, id: &str, code: i32) {
    let exported = store.export(id, .., &mut Vec::new()).map(drop);
    let context = store.context(id, &ForkPoint::Latest, &mut Vec::new());
    let context = context.map(drop);
    for error in [exported.unwrap_err(), context.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Io, "{code}: {error}");
    }
}

/// The same of records in the journal: an append goes on behind them, since nobody said that they
/// are lost.
#[test]
fn a_journal_that_cannot_be_read_now_closes_no_thread() {
    let (disk, ids) = small_store(1, 3).unwrap();
    let hooked_to_forget = turnleaf::Options {
        tail_cache_bytes: 0,
        ..options()
    };
    let fails_now = Arc::new(AtomicBool::new(false));
    let fails = {
        let fails_now = Arc::clone(&fails_now);
        move |call: &'static str, path: &str| -> io::Result<()> {
            match call == "read" && is_journal(path) && fails_now.load(Ordering::Relaxed) {
                true => Err(io::Error::from_raw_os_error(12)),
                false => Ok(()),
            }
        }
    };
    let hooked: Arc<dyn Disk> = Arc::new(HookedDisk::new(Arc::new(disk.fork()), fails));
    let store = Store::open_on(hooked, hooked_to_forget, &owner(), false, || 1).unwrap();
    let mut whole = Vec::new();
    store.export(&ids[0], .., &mut whole).unwrap();
    fails_now.store(true, Ordering::Relaxed);
    fails_whole(&store, &ids[0], 12);
    store.append(&ids[0], None, &[b"{}".as_slice()]).unwrap();
    fails_now.store(false, Ordering::Relaxed);
    let mut all = Vec::new();
    store.export(&ids[0], .., &mut all).unwrap();
    assert!(all == [whole.as_slice(), b"{}\n"].concat() && store.damage_seen().is_empty());
}

/// A segment holds what was sealed at one time, of whichever threads: so a lineage may meet it
/// twice, with another one between.
#[test]
fn what_stands_between_two_runs_of_a_segment_is_given() {
    let (disk, ids) = small_store(1, 3).unwrap();
    let [first, between, last] = [ids[0].as_str(), "between", "last"];
    let store = open_store(&disk, &options()).unwrap();
    let said = |text: &str| {
        format!(
            concat!(
                r#"{{"timestamp":"2026-01-01T00:00:00.000Z","type":"response_item","#,
                r#""payload":{{"type":"message","role":"user","#,
                r#""content":[{{"type":"input_text","text":"{}"}}]}}}}"#
            ),
            text
        )
    };
    let append = |id: &str, text: &str| {
        store.append(id, None, &[said(text).as_bytes()]).unwrap();
    };
    store.fork(first, between, &ForkPoint::Latest).unwrap();
    append(between, "between");
    store.seal_all().unwrap();
    store.fork(between, last, &ForkPoint::Latest).unwrap();
    append(last, "last");
    // What a pack holds of a thread moves into the next one with what was added.
    append(first, "first");
    store.seal_all().unwrap();
    append(last, "in the journal");
    store
        .context(last, &ForkPoint::Latest, &mut Vec::new())
        .unwrap();
    ask(&store, &[last.to_owned()]).unwrap();
    drop(store);
    let expected = [said("between"), said("in the journal"), String::new()].join("\n");
    let mut with_two_runs = 0;
    for segment in log_files(&disk).into_iter().filter(|path| is_segment(path)) {
        for store in on_failing(&disk, "open", move |path| path == segment, EACCES) {
            let mut context = Vec::new();
            let report = store
                .context(last, &ForkPoint::Latest, &mut context)
                .unwrap();
            assert_eq!(report.damage, store.damage_seen());
            let threads: Vec<_> = report
                .damage
                .iter()
                .filter_map(|lost| lost.thread)
                .collect();
            if threads.len() == 2 {
                with_two_runs += 1;
                assert!(threads[0] > threads[1], "it goes back");
                assert_eq!(String::from_utf8(context).unwrap(), expected);
            }
        }
    }
    assert_eq!(with_two_runs, 2, "one segment holds runs on both sides");
}

/// A file for the runtime has what is not in such a segment, and it is said what it lacks.
#[test]
fn a_file_for_the_runtime_lacks_what_is_not_opened_and_no_more() {
    const TIME: &str = "2026-01-01T00:00:00.000Z";
    let [base, fork, new] =
        ["a", "b", "c"].map(|last| format!("019c0000-0000-7000-8000-00000000000{last}"));
    let line = |kind: &str, payload: &str| {
        format!(r#"{{"timestamp":"{TIME}","type":"{kind}","payload":{payload}}}"#)
    };
    let head = |id: &str| {
        let more = r#""cwd":"/w","originator":"t","cli_version":"0","source":"cli""#;
        let payload = format!(r#"{{"id":"{id}","timestamp":"{TIME}",{more}}}"#);
        line("session_meta", &payload)
    };
    let said = |text: &str| {
        let content = format!(r#"[{{"type":"input_text","text":"{text}"}}]"#);
        let payload = format!(r#"{{"type":"message","role":"user","content":{content}}}"#);
        line("response_item", &payload)
    };
    let compaction = line("compacted", r#"{"message":"m","replacement_history":[]}"#);
    let disk = SimDisk::new();
    let store = open_store(&disk, &options()).unwrap();
    store.create_thread(&base).unwrap();
    let append = |id: &str, lines: &[String]| {
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        store.append(id, None, &lines).unwrap();
        store.seal_all().unwrap();
    };
    append(&base, &[head(&base), said("first")]);
    store.fork(&base, &fork, &ForkPoint::Latest).unwrap();
    append(&fork, &[head(&fork), compaction.clone(), said("last")]);
    let last = said("in the journal");
    store.append(&fork, None, &[last.as_bytes()]).unwrap();
    ask(&store, &[base, fork.clone()]).unwrap();
    store.close().unwrap();
    // Behind the head, by the segment that is not opened: of the base, and of the fork.
    let of_fork = [compaction, said("last"), last.clone()].to_vec();
    let of_base = [said("first"), last.clone()].to_vec();
    let left = [of_fork, of_base];
    let segments = log_files(&disk).into_iter();
    let segments: Vec<String> = segments.filter(|path| is_segment(path)).collect();
    assert_eq!(segments.len(), 2);
    for (at, segment) in segments.iter().enumerate() {
        let closed = |code| {
            let segment = segment.clone();
            on_failing(&disk, "open", move |path| path == segment, code)
        };
        for store in closed(EACCES) {
            let file = store.rollout_file(&fork).unwrap();
            assert_eq!(lines_of(&file, 1), left[at], "{at}");
            assert_eq!(store.damage_seen().len(), 1);
        }
        let [store, _] = closed(EACCES);
        let file = store.rescue(&fork, &new).unwrap();
        assert_eq!(lines_of(&file, 1), left[at], "{at}");
        for store in closed(EMFILE) {
            let failed = store.rollout_file(&fork);
            let failed = failed.and_then(|file| file.write(&mut io::sink()).map(drop));
            assert_eq!(failed.unwrap_err().kind(), ErrorKind::Io, "{at}");
        }
    }
    // Without any head there is no file, and it is not said that there never was one; what is
    // rescued has one of what the index knows.
    let [store, _] = on_closed_segments(&disk);
    let refused = store.rollout_file(&fork).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Damaged, "{refused}");
    let file = store.rescue(&fork, &new).unwrap();
    assert!(file.has_made_head);
    assert_eq!(lines_of(&file, 2), [last]);
    let mut out = Vec::new();
    file.write(&mut out).unwrap();
    let made: Value =
        serde_json::from_slice(out.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    let made = &made["payload"];
    for (key, expected) in [
        ("id", new.as_str()),
        ("forked_from_id", &fork),
        ("cwd", "/w"),
    ] {
        assert_eq!(made[key], expected, "{made}");
    }
    for (key, expected) in [
        ("originator", "t"),
        ("source", "cli"),
        ("history_mode", "legacy"),
    ] {
        assert_eq!(made[key], expected, "{made}");
    }
}

/// The lines of a file behind its head, which says that it lacks so many ranges.
fn lines_of(file: &RolloutFile<'_>, damage: usize) -> Vec<String> {
    let mut out = Vec::new();
    let told = file.write(&mut out).unwrap();
    assert_eq!(told.damage.len(), damage);
    let text = String::from_utf8(out).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

/// A thread that the index lacks, and that cannot be read now, is listed by what is known of it,
/// and costs the others nothing; once it can be read it stands where it belongs.
#[test]
fn a_thread_that_cannot_be_read_costs_lists_nothing() {
    let (disk, ids) = small_store(3, 4).unwrap();
    let store = open_store(&disk, &options()).unwrap();
    store.seal_all().unwrap();
    let listed = |store: &Store| {
        let page = store.threads(&all_threads()).unwrap();
        let of = |thread: &Value| (thread["id"].to_string(), thread["preview"].to_string());
        page.threads.iter().map(of).collect::<BTreeMap<_, _>>()
    };
    let right = listed(&store);
    assert_eq!(right.len(), ids.len());
    store.close().unwrap();
    disk.remove("index.redb").unwrap();
    for code in [EACCES, EMFILE] {
        let is_closed = Arc::new(AtomicBool::new(false));
        let fails = {
            let is_closed = Arc::clone(&is_closed);
            move |call: &'static str, path: &str| -> io::Result<()> {
                match call == "open" && is_segment(path) && is_closed.load(Ordering::Relaxed) {
                    true => Err(io::Error::from_raw_os_error(code)),
                    false => Ok(()),
                }
            }
        };
        let hooked: Arc<dyn Disk> = Arc::new(HookedDisk::new(Arc::new(disk.fork()), fails));
        let store = Store::open_to_read_on(hooked, &options(), &owner()).unwrap();
        is_closed.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            let found = listed(&store);
            assert!(found.keys().eq(right.keys()), "{code}: {found:?}");
        }
        // Any of them may have been spawned by it.
        store.subtree(&ids[0]).unwrap_err();
        is_closed.store(false, Ordering::Relaxed);
        store.subtree(&ids[0]).unwrap();
        assert_eq!(listed(&store), right, "{code}");
    }
}
