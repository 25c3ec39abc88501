//! Records over many frames, of which some became durable and the rest did not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::ErrorKind;

use turnleaf::{Options, Store};
use turnleaf_tests::sim_disk::{Fault, SimDisk};
use turnleaf_tests::stores::{log_files, open_store};

/// One journal file has room for the records of a test.
fn options() -> Options {
    Options {
        journal_first_bytes: 64 << 20,
        journal_file_bytes: 64 << 20,
        reserve_bytes: 0,
        tail_cache_bytes: 1 << 20,
        ..Options::default()
    }
}

fn export(store: &Store) -> Vec<u8> {
    let mut out = Vec::new();
    store.export("a", .., &mut out).unwrap();
    assert_eq!(store.damage_seen(), []);
    out
}

/// What the export of the lines is.
fn lines(lines: &[&[u8]]) -> Vec<u8> {
    lines.iter().fold(Vec::new(), |mut all, line| {
        all.extend_from_slice(line);
        all.push(b'\n');
        all
    })
}

/// A store with one short line, and an append of two frames of which the second failed.
fn half_an_append() -> (SimDisk, Store) {
    let disk = SimDisk::new();
    let store = open_store(&disk, &options()).unwrap();
    store.create_thread("a").unwrap();
    store.append("a", None, &[b"before"]).unwrap();
    let large = vec![b'x'; 17 << 20];
    // Write and sync of the first frame are done.
    disk.plan(disk.ops() + 2, Fault::FailForEver(ErrorKind::Other));
    store.append("a", None, &[&large]).unwrap_err();
    disk.heal();
    (disk, store)
}

/// [S:record-7] [R:frame-8] [R:frame-14]
#[test]
fn chunks_of_a_record_that_failed_are_in_no_export_and_no_segment() {
    let (disk, store) = half_an_append();
    assert!(export(&store) == lines(&[b"before"]));
    let other = vec![b'y'; 18 << 20];
    for (line, expect) in [
        (&b"behind"[..], lines(&[b"before", b"behind"])),
        (&other[..], lines(&[b"before", b"behind", &other])),
    ] {
        store.append("a", None, &[line]).unwrap();
        assert!(export(&store) == expect, "from the journal");
    }
    let expect = lines(&[b"before", b"behind", &other]);
    store.seal_all().unwrap();
    assert!(export(&store) == expect, "from a segment");
    store.close().unwrap();
    let store = open_store(&disk, &options()).unwrap();
    assert!(export(&store) == expect, "by the next owner");
}

/// What failed is not sealed either when nothing follows it, and keeps no journal file.
#[test]
fn chunks_of_a_record_that_failed_keep_no_room() {
    let (disk, store) = half_an_append();
    let before = log_files(&disk);
    assert!(before.iter().all(|path| path.starts_with("journal/")));
    store.seal_all().unwrap();
    assert!(export(&store) == lines(&[b"before"]));
    let after = log_files(&disk);
    assert!(before.iter().all(|path| !after.contains(path)), "{after:?}");
    store.close().unwrap();
    let store = open_store(&disk, &options()).unwrap();
    assert!(export(&store) == lines(&[b"before"]));
}
