//! Stores of released formats: each is what it was when it was released, and is read, verified and
//! appended to by this version as by every later one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use turnleaf::Store;
use turnleaf_engine::disk::{Disk, OsDisk};
use turnleaf_engine::{Log, Options, Outcome, Snapshot, State};
use turnleaf_format::record::payload_crc;
use turnleaf_format::{Ordinal, ThreadNumber};
use turnleaf_tests::released::line_of;
use turnleaf_tests::stores as rig;

/// Format, and a checksum of the names and bytes of all files. A line is added, never changed.
const RELEASED: [(&str, u32); 2] = [("v1", 128066855), ("v2", 3678712187)];

fn stores() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/stores")
}

/// Every file below a directory.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(dir).unwrap().to_owned();
                files.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

/// A copy of a store, which may be written.
fn copied(version: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, bytes) in files(&stores().join(version).join("store")) {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    home
}

/// What the release was read as, by rollout.
fn expected(version: &str) -> BTreeMap<String, String> {
    let mut threads = BTreeMap::new();
    for (name, bytes) in files(&stores().join(version)) {
        if name.extension().is_some_and(|ending| ending == "txt") {
            let thread = name.file_stem().unwrap().to_string_lossy().into_owned();
            threads.insert(thread, String::from_utf8(bytes).unwrap());
        }
    }
    threads
}

fn read(dir: &Path) -> (Snapshot, BTreeMap<String, String>) {
    let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(dir));
    let snapshot = Snapshot::open(&disk, &Options::default()).unwrap();
    let mut threads = BTreeMap::new();
    for (name, rollout) in rollouts(snapshot.state()) {
        let reader = snapshot.state().reader(rollout).unwrap();
        let mut text = String::new();
        let read = reader.records(Ordinal(0), reader.end(), &mut |record| {
            text.push_str(&line_of(record));
            ControlFlow::Continue(())
        });
        read.unwrap();
        threads.insert(name, text);
    }
    (snapshot, threads)
}

/// All rollouts: the one that a thread shows under the thread's id, others with their numbers.
fn rollouts(state: &State) -> Vec<(String, ThreadNumber)> {
    let named = state.threads().flat_map(|(thread, fact)| {
        state.rollouts_of(thread).map(move |rollout| {
            if state.current(thread) == rollout {
                (fact.id.to_string(), rollout)
            } else {
                (format!("{}.{rollout}", fact.id), rollout)
            }
        })
    });
    named.collect()
}

#[test]
fn a_released_store_is_never_changed() {
    let mut found = Vec::new();
    for (version, _) in RELEASED {
        let mut all = Vec::new();
        for (name, bytes) in files(&stores().join(version)) {
            all.extend_from_slice(name.to_string_lossy().as_bytes());
            all.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            all.extend_from_slice(&bytes);
        }
        found.push((version, payload_crc(&all)));
    }
    assert_eq!(found, RELEASED);
    let versions = fs::read_dir(stores()).unwrap().count();
    assert_eq!(versions, RELEASED.len(), "every released store is listed");
}

#[test]
fn every_released_store_is_read_as_it_was() {
    for (version, _) in RELEASED {
        let home = copied(version);
        let (snapshot, threads) = read(home.path());
        assert_eq!(snapshot.report().damage, [], "{version}");
        assert_eq!(threads, expected(version), "{version}");
        let state = snapshot.state();
        let mut damage = Vec::new();
        let mut report = |found: &turnleaf_engine::Damage| damage.push(found.clone());
        for (_, rollout) in rollouts(state) {
            state.verify_thread(rollout, &mut report).unwrap();
        }
        for info in state.segments() {
            state.verify_segment(info.segment, &mut report).unwrap();
        }
        state.verify_catalogue(&mut report).unwrap();
        assert_eq!(damage, [], "{version}");
    }
}

/// The reader that was written from the specification alone sees the same records and chains.
#[test]
fn the_second_reader_agrees_on_every_released_store() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/reader");
    for (version, _) in RELEASED {
        let output = Command::new("python3")
            .arg("-B")
            .arg(python.join("turnleaf_reader.py"))
            .arg("store")
            .arg(stores().join(version).join("store"))
            .output();
        let Ok(output) = output else {
            println!("skipped, python3 does not start");
            continue;
        };
        let text = String::from_utf8(output.stdout).unwrap();
        let said: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(&stores().join(version).join("store")));
        let snapshot = Snapshot::open(&disk, &Options::default()).unwrap();
        for (name, rollout) in rollouts(snapshot.state()) {
            let found = &said["per_rollout"][rollout.to_string()];
            agree(
                snapshot.state(),
                rollout,
                found,
                &format!("{version}: {name}"),
            );
        }
    }
}

fn agree(state: &State, rollout: ThreadNumber, found: &serde_json::Value, name: &str) {
    let reader = state.reader(rollout).unwrap();
    assert_eq!(found["records"], reader.end().0, "{name}");
    let chain = format!("{:016x}", reader.chain().0);
    assert_eq!(found["chain"], chain, "{name}");
    let mut from = 0;
    let parts = found["parts"].as_array().unwrap().iter().map(|part| {
        let (of, records) = (part[0].as_u64().unwrap(), part[1].as_u64().unwrap());
        from += records;
        (ThreadNumber(of), Ordinal(from - records), Ordinal(from))
    });
    let own: Vec<_> = reader.rollouts().filter(|(_, at, end)| at < end).collect();
    assert_eq!(parts.collect::<Vec<_>>(), own, "{name}");
    let thread = state.thread_of(rollout).unwrap();
    let shown = state.current(thread) == rollout;
    assert_eq!(found["shown"], shown, "{name}");
}

/// Also those that are not shown; and what goes on from one shows the same as before.
#[test]
fn every_rollout_of_a_released_store_takes_appends() {
    for (version, _) in RELEASED {
        let home = copied(version);
        let before = expected(version);
        let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(home.path()));
        let opened = Log::open(disk, Options::default(), &rig::owner(), rig::STORE);
        let (mut log, report) = opened.unwrap();
        assert_eq!(report.damage, [], "{version}");
        for (name, rollout) in rollouts(log.state()) {
            let staged = log.stage(rollout, None, &[rig::line(b"later")]).unwrap();
            log.commit_all();
            let durable = matches!(log.outcome(staged.ticket), Outcome::Durable);
            assert!(durable, "{version}: {name}");
        }
        rig::seal(&mut log, b"");
        log.close().unwrap();
        let (snapshot, after) = read(home.path());
        assert_eq!(snapshot.report().damage, [], "{version}");
        assert_eq!(before.len(), after.len(), "{version}");
        for (name, lines) in &before {
            let more = after[name].strip_prefix(lines.as_str());
            assert_eq!(more.map(|more| more.lines().count()), Some(1), "{name}");
        }
    }
}

/// Of threads with one rollout each: the index knows no other ones yet.
#[test]
fn every_released_store_of_plain_threads_takes_appends() {
    for version in ["v1"] {
        let home = copied(version);
        let before = expected(version);
        let store = Store::open(home.path()).unwrap();
        for thread in before.keys() {
            store.turns(&turns(thread)).unwrap();
            store.append(thread, None, &[b"{\"later\":true}"]).unwrap();
        }
        store.rebuild_index(&mut |_| {}).unwrap();
        assert!(
            store.verify(None, &mut |_| {}).unwrap().is_ok(),
            "{version}"
        );
        store.close().unwrap();
        let (snapshot, after) = read(home.path());
        assert_eq!(snapshot.report().damage, [], "{version}");
        for (thread, lines) in &before {
            let more = after[thread].strip_prefix(lines.as_str());
            assert_eq!(more.map(|more| more.lines().count()), Some(1), "{thread}");
        }
    }
}

fn turns(thread: &str) -> turnleaf::TurnsRequest {
    turnleaf::TurnsRequest {
        thread: thread.to_owned(),
        cursor: None,
        limit: 100,
        order: turnleaf::Order::Ascending,
        items: turnleaf::ItemsView::Full,
    }
}
