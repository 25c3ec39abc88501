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
use turnleaf_engine::{Options, Snapshot};
use turnleaf_format::Ordinal;
use turnleaf_format::record::payload_crc;
use turnleaf_tests::released::line_of;

/// Format, and a checksum of the names and bytes of all files. A line is added, never changed.
const RELEASED: [(&str, u32); 1] = [("v1", 128066855)];

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

/// What the release was read as, by thread.
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
    for (number, fact) in snapshot.state().threads() {
        let reader = snapshot.state().reader(number).unwrap();
        let mut text = String::new();
        let read = reader.records(Ordinal(0), reader.end(), &mut |record| {
            text.push_str(&line_of(record));
            ControlFlow::Continue(())
        });
        read.unwrap();
        threads.insert(fact.id.to_string(), text);
    }
    (snapshot, threads)
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
        for (number, _) in state.threads() {
            state.verify_thread(number, &mut report).unwrap();
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
        let store = Store::open_log(&stores().join(version).join("store")).unwrap();
        for thread in store.log_threads() {
            let found = &said["per_thread"][&thread.id];
            assert_eq!(found["records"], thread.records, "{version}: {}", thread.id);
            let chain = format!("{:016x}", thread.chain.0);
            assert_eq!(found["chain"], chain, "{version}: {}", thread.id);
        }
    }
}

#[test]
fn every_released_store_takes_appends() {
    for (version, _) in RELEASED {
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
