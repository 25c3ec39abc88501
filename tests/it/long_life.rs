//! A process that is never opened anew: what it holds does not grow with what was appended. The long
//! run is `examples/long_life.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use turnleaf::Store;
use turnleaf_engine::disk::OsDisk;
use turnleaf_tests::long_life::{Life, options};
use turnleaf_tests::stores::owner;

/// Files below a directory that this process has open.
fn open_below(dir: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    open.filter(|path| path.starts_with(dir)).count()
}

/// One reader stays all the time: it keeps the journal files that it began with and no others.
#[test]
fn what_a_process_holds_does_not_grow_with_what_it_appends() {
    let life = Life {
        appends: 20_000,
        writers: 4,
        threads: 64,
        step: 500,
        seed: 1,
    };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let options = options();
    let disk = Arc::new(OsDisk::new(&root));
    let store = Store::open_on(disk, options.clone(), &owner(), true, || 1).unwrap();
    life.live(&store, &|moment| {
        let held = moment.held;
        // In use, held by the reader, free.
        let files = options.journal_files_max + 8;
        assert!(held.journal_files <= files, "{moment:?}");
        assert!(open_below(&root.join("journal")) <= files, "{moment:?}");
        // One that is being read or written is open beside those that are kept.
        let segments = options.descriptors_max + 16;
        assert!(open_below(&root.join("segments")) <= segments, "{moment:?}");
        assert!(held.segment_files <= options.descriptors_max, "{moment:?}");
        assert!(held.frames <= options.journal_frames_max * 4, "{moment:?}");
        assert!(held.tail_bytes <= options.tail_cache_bytes, "{moment:?}");
        assert!(held.body_bytes <= held.tail_bytes, "{moment:?}");
        assert!(held.block_bytes <= options.block_cache_bytes, "{moment:?}");
        assert!(held.staged_threads <= 8, "{moment:?}");
        // Of what was sealed and replaced nothing stays but the gaps between what is in use and the
        // segments of the catalogue, one for each turn of the journal.
        assert!(held.segments <= 64 + 64, "{moment:?}");
        assert!(held.retired <= held.segments + 16, "{moment:?}");
        assert_eq!(held.failures, 0, "{moment:?}");
    });
    store.seal_all().unwrap();
    store.close().unwrap();
}
