//! Files that were written anew: migrated, rewound, changed.

use super::lineage::{File, T, file, import, number, shown, store, text};
use super::*;

/// Bytes of lines that go into a segment of their own.
fn long() -> String {
    "x".repeat(1_500_000)
}

fn imported(store: &Store, file: &File) -> Imported {
    let mut importer = store.importer().unwrap();
    let imported = import(&mut importer, file);
    importer.finish().unwrap();
    imported
}

fn rollouts(store: &Store) -> Vec<Vec<u8>> {
    let thread = number(store, T);
    let all = store
        .source
        .with(|state| state.rollouts_of(thread).collect::<Vec<_>>());
    all.iter().map(|of| text(store, *of, true)).collect()
}

#[test]
fn a_file_that_was_written_anew_is_a_further_rollout() {
    let long = long();
    for (rest, more) in [("b", "c"), (long.as_str(), long.as_str())] {
        let (_dir, store) = store();
        let old = file((T, None), 0, "", &["a", rest]);
        let new = file((T, None), 0, "", &["a", "z", rest]);
        let grown = file((T, None), 0, "", &["a", "z", rest, more]);
        assert_eq!(imported(&store, &old).written_anew, None);
        let done = imported(&store, &new);
        assert_eq!((done.records, done.added_records), (4, 4));
        let anew = done.written_anew.unwrap();
        assert!(anew.is_shown && anew.kept == number(&store, T), "{anew}");
        assert!(shown(&store, T) == new.bytes);
        assert!(rollouts(&store) == [old.bytes.clone(), new.bytes.clone()]);
        let done = imported(&store, &grown);
        assert_eq!((done.added_records, done.written_anew), (1, None));
        assert!(shown(&store, T) == grown.bytes);
        // The file before adds nothing, and shows nothing.
        let done = imported(&store, &old);
        assert_eq!((done.added_records, done.written_anew), (0, None));
        assert!(shown(&store, T) == grown.bytes);
        // Unless it is the one that goes on.
        let back = file((T, None), 0, "", &["a", rest, "y"]);
        let done = imported(&store, &back);
        assert_eq!((done.added_records, done.written_anew), (1, None));
        assert!(shown(&store, T) == back.bytes);
        assert!(rollouts(&store) == [back.bytes, grown.bytes]);
    }
}

/// Where two rollouts were looked at in vain, the third one has all bytes of the source.
#[test]
fn a_source_is_whole_behind_any_comparison() {
    let long = long();
    let texts: [&[&str]; 4] = [
        &["a", &long, "b", "c"],
        &["a", &long, "d"],
        &["a", "e", &long],
        &["a", &long, "b", "f"],
    ];
    let (_dir, store) = store();
    let mut kept = Vec::new();
    for texts in texts {
        let anew = file((T, None), 0, "", texts);
        imported(&store, &anew);
        assert!(shown(&store, T) == anew.bytes);
        kept.push(anew.bytes);
        assert!(rollouts(&store) == kept);
    }
}

#[test]
fn a_file_that_shrank_is_what_the_store_holds() {
    let (_dir, store) = store();
    let whole = file((T, None), 0, "", &["a", "b"]);
    imported(&store, &whole);
    let mut torn = whole.clone();
    for left in [1, 20, 200] {
        torn.bytes.truncate(whole.bytes.len() - left);
        let done = imported(&store, &torn);
        assert_eq!(done.shrank_from, Some(whole.bytes.len() as u64));
        assert_eq!((done.added_records, done.written_anew), (0, None));
    }
    assert!(rollouts(&store) == [whole.bytes]);
}

#[test]
fn the_old_history_stays_when_asked_for() {
    let (_dir, store) = store();
    let old = file((T, None), 0, "", &["a"]);
    let new = file((T, None), 0, "", &["b"]);
    imported(&store, &old);
    let mut importer = store.importer().unwrap().keeping_old(true);
    let done = import(&mut importer, &new);
    importer.finish().unwrap();
    let anew = done.written_anew.unwrap();
    assert!(!anew.is_shown, "{anew}");
    assert!(shown(&store, T) == old.bytes);
    assert!(rollouts(&store) == [old.bytes, new.bytes]);
}

/// Of two files of one import that say they are one rollout, the first is shown.
#[test]
fn another_file_of_the_same_import_is_kept_beside() {
    let one = file((T, None), 0, "", &["a"]);
    let mut other = file((T, None), 0, "", &["b"]);
    other.name = other.name.replace("sessions", "copies");
    let (_dir, store) = store();
    for _ in 0..2 {
        let places = [one.name.as_str(), other.name.as_str()];
        let mut importer = store.importer().unwrap().of_places(places);
        import(&mut importer, &one);
        import(&mut importer, &other);
        importer.finish().unwrap();
        assert!(shown(&store, T) == one.bytes);
        assert!(rollouts(&store) == [one.bytes.clone(), other.bytes.clone()]);
    }
}

/// What somebody chose in the store stays, until another rollout goes on.
#[test]
fn an_import_does_not_change_what_was_chosen() {
    let (_dir, store) = store();
    let (old, new) = (
        file((T, None), 0, "", &["a"]),
        file((T, None), 0, "", &["b"]),
    );
    imported(&store, &old);
    imported(&store, &new);
    let thread = number(&store, T);
    let committer = store.source.owner().unwrap();
    let mut log = committer.lock();
    let ticket = log.stage_current(thread, thread).unwrap().unwrap();
    committer.settle(log, ticket).unwrap();
    imported(&store, &new);
    assert!(shown(&store, T) == old.bytes);
    let grown = file((T, None), 0, "", &["b", "c"]);
    imported(&store, &grown);
    assert!(shown(&store, T) == grown.bytes);
}

/// A file that was changed, and then put back as it was or cut off, is shown as it stands.
#[test]
fn a_file_that_was_put_back_is_shown() {
    // Where the time of a file says nothing, too.
    for (cut, modified_ns) in [(0, 8), (3, 8), (0, 0)] {
        let (_dir, store) = store();
        let old = file((T, None), 0, "", &["a"]);
        imported(&store, &old);
        imported(&store, &file((T, None), 0, "", &["b"]));
        let bytes = &old.bytes[..old.bytes.len() - cut];
        let source = ImportSource {
            path: &old.name,
            thread_hint: None,
            plain: &mut &bytes[..],
            file_bytes: bytes.len() as u64,
            modified_ns,
            archived: false,
        };
        let done = store.import(source, &mut |_| {}).unwrap().done().unwrap();
        assert_eq!((done.added_records, done.written_anew), (0, None));
        assert!(shown(&store, T) == old.bytes);
        let importer = store.importer().unwrap();
        let current = importer.is_current(&old.name, bytes.len() as u64, modified_ns);
        assert_eq!(current.is_some(), modified_ns != 0, "it is not read again");
    }
}
