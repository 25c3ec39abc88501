//! Threads that were deleted and are imported again.

use super::lineage::{
    CHILD, T, check_own, family, permutations, shown, shown_of_child, shown_of_thread, store,
};
use super::*;

/// What became of files that are imported one after the other.
fn bring(store: &Store, files: &[lineage::File], again: bool) -> Vec<Result<Imported, Skip>> {
    let mut importer = store.importer().unwrap().again(again);
    let mut all = Vec::new();
    for file in files {
        all.push(lineage::bring(&mut importer, file).done());
    }
    importer.finish().unwrap();
    all
}

/// Without being asked for, no file of a deleted thread is taken; with it all of them are, in any
/// order, as if the thread had never been.
#[test]
fn a_deleted_thread_comes_back_by_its_files_when_somebody_asks() {
    let files = family();
    for order in permutations(4) {
        let (_dir, store) = store();
        let ordered: Vec<_> = order.iter().map(|at| files[*at].clone()).collect();
        assert!(bring(&store, &files, false).iter().all(Result::is_ok));
        store.set_name(T, "a teapot").unwrap();
        store.archive(CHILD).unwrap();
        store.threads(&crate::tests::all_threads()).unwrap();
        store.delete(CHILD).unwrap();
        store.delete(T).unwrap();
        for told in bring(&store, &ordered, false) {
            assert!(matches!(told, Err(Skip::Deleted(_))), "{told:?}");
        }
        assert_eq!(store.log_threads(), []);
        let told = bring(&store, &ordered, true);
        let added = told.iter().map(|told| told.as_ref().unwrap().added_records);
        let lines: Vec<&[u8]> = files.iter().map(|file| file.bytes.as_slice()).collect();
        let lines = lines.concat().iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(added.sum::<u64>(), lines as u64, "{order:?}");
        assert!(shown(&store, T) == shown_of_thread(&files), "{order:?}");
        assert!(shown(&store, CHILD) == shown_of_child(&files), "{order:?}");
        check_own(&store, &files);
        let thread = store.show(T).unwrap().thread;
        assert_eq!(thread.get("name").filter(|name| !name.is_null()), None);
        assert!(store.log_threads().iter().all(|thread| !thread.archived));
        for id in [T, CHILD] {
            assert_eq!(store.index_difference(id).unwrap(), None, "{order:?}");
        }
        // From now on they are threads like others.
        let again = bring(&store, &ordered, false);
        assert!(
            again
                .iter()
                .all(|told| told.as_ref().unwrap().added_records == 0)
        );
    }
}
