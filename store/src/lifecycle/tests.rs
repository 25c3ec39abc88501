//! Archive and deletion as a caller sees them: lists, pages, imports, the index.

use crate::tests::all_threads;
use crate::*;

const A: &str = "019c0000-0000-7000-8000-00000000000a";
const B: &str = "019c0000-0000-7000-8000-00000000000b";

fn rollout(id: &str) -> Vec<u8> {
    rollout_from(id, r#""cli""#)
}

fn rollout_from(id: &str, source: &str) -> Vec<u8> {
    let time = "2026-01-01T00:00:00.000Z";
    let meta = format!(
        r#"{{"id":"{id}","timestamp":"{time}","cwd":"/w","originator":"t","cli_version":"0","source":{source},"model_provider":null}}"#
    );
    let said = r#"{"type":"user_message","message":"secret","local_images":[]}"#;
    format!(
        "{{\"timestamp\":\"{time}\",\"type\":\"session_meta\",\"payload\":{meta}}}\n\
         {{\"timestamp\":\"{time}\",\"type\":\"event_msg\",\"payload\":{said}}}\n"
    )
    .into_bytes()
}

/// Imports a thread's file from a place that is archived or not.
fn import(store: &Store, id: &str, archived: bool) -> Result<Imported, Skip> {
    let bytes = rollout(id);
    let mut plain = bytes.as_slice();
    let source = ImportSource {
        path: if archived { "old.jsonl" } else { "new.jsonl" },
        thread_hint: None,
        plain: &mut plain,
        file_bytes: bytes.len() as u64,
        modified_ns: 1,
        archived,
    };
    store.import(source, &mut |_| {}).unwrap().done()
}

fn listed(store: &Store, archived: bool) -> Vec<String> {
    let page = store.threads(&ThreadsRequest {
        archived,
        ..all_threads()
    });
    let ids = page.unwrap().threads.into_iter();
    ids.map(|thread| thread["id"].as_str().unwrap().to_owned())
        .collect()
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    for id in [A, B] {
        import(&store, id, false).unwrap();
    }
    (dir, store)
}

fn index_rows(store: &Store) -> usize {
    let rows = store
        .index
        .with(|index| Ok(index.reader()?.threads(None, 10)?.len()));
    rows.unwrap()
}

#[test]
fn an_archived_thread_is_listed_apart() {
    let (_dir, store) = store();
    store.archive(A).unwrap();
    store.archive(A).unwrap();
    assert_eq!(
        (listed(&store, false), listed(&store, true)),
        (vec![B.into()], vec![A.into()])
    );
    assert!(store.show(A).unwrap().archived);
    store.append(A, None, &[b"{}"]).unwrap();
    store.unarchive(A).unwrap();
    assert_eq!(listed(&store, true), [] as [&str; 0]);
    let missing = store.archive("nobody").unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[test]
fn a_deleted_thread_is_nowhere() {
    let (dir, store) = store();
    assert_eq!(listed(&store, false).len(), 2);
    store.delete(A).unwrap();
    let check = |store: &Store| {
        assert_eq!(listed(store, false), [B]);
        assert_eq!(listed(store, true), [] as [&str; 0]);
        let kinds = [
            store.show(A).map(drop),
            store.export(A, .., &mut Vec::new()).map(drop),
            store.append(A, None, &[b"{}"]).map(drop),
            store.set_name(A, "x").map(drop),
            store.archive(A),
            store.delete(A),
        ];
        for done in kinds {
            assert_eq!(done.unwrap_err().kind(), ErrorKind::NotFound);
        }
        let taken = store.create_thread(A).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::Invalid);
        assert!(taken.to_string().contains("deleted"), "{taken}");
        assert_eq!(import(store, A, false), Err(Skip::Deleted(A.into())));
        assert_eq!(store.diagnosis().deleted_threads, [A]);
        assert!(store.verify(None, &mut |_| {}).unwrap().is_ok());
        assert_eq!(index_rows(store), 1);
    };
    check(&store);
    store.seal_all().unwrap();
    check(&store);
    store.close().unwrap();
    check(&Store::open(&dir.path().join("store")).unwrap());
}

/// A crash between the deletion and the removal of its rows leaves the rows.
#[test]
fn rows_of_a_deleted_thread_go_when_threads_are_listed() {
    let (dir, store) = store();
    assert_eq!(listed(&store, false).len(), 2);
    let committer = store.source.owner().unwrap();
    let mut log = committer.lock();
    let number = log
        .state()
        .thread_number(&turnleaf_engine::format::ThreadId::parse(A).unwrap());
    let ticket = log.stage_deletion(number.unwrap()).unwrap();
    committer.settle(log, ticket).unwrap();
    store.close().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    assert_eq!(index_rows(&store), 2);
    assert_eq!(listed(&store, false), [B]);
    assert_eq!(index_rows(&store), 1);
}

/// Upstream archives a thread by moving its file: an import follows. What was done here since the
/// file was last seen there stands.
#[test]
fn an_import_archives_as_the_files_are() {
    let (_dir, store) = store();
    import(&store, A, true).unwrap();
    assert_eq!(listed(&store, true), [A]);
    store.unarchive(A).unwrap();
    import(&store, A, true).unwrap();
    assert_eq!(listed(&store, true), [] as [&str; 0]);
    import(&store, B, false).unwrap();
    store.archive(B).unwrap();
    import(&store, B, false).unwrap();
    assert_eq!(listed(&store, true), [B]);
    let c = "019c0000-0000-7000-8000-00000000000c";
    import(&store, c, true).unwrap();
    assert_eq!(listed(&store, true), [B, c]);
}

/// A thread that was created and named is there, without a line; one of which a list of names alone
/// tells is not, until it is created.
#[test]
fn a_created_thread_with_a_name_is_there() {
    let (dir, store) = store();
    let (made, told) = ("made", "told");
    store.create_thread(made).unwrap();
    store.set_name(made, "M").unwrap();
    let mut importer = store.importer().unwrap();
    let listed_name = |thread, name, named_at_ms| ListedName {
        thread,
        name,
        named_at_ms,
        list: ("session_index.jsonl", 9),
    };
    importer.name(listed_name(told, "T", 1)).unwrap();
    importer.name(listed_name(told, "T2", 2)).unwrap();
    importer.finish().unwrap();
    store.close().unwrap();
    let open = || Store::open(&dir.path().join("store")).unwrap();
    let store = open();
    assert_eq!(listed(&store, false), [A, B, made]);
    let refused = [
        store.set_name(told, "x").map(drop),
        store.append(told, None, &[b"{}"]).map(drop),
        store.show(told).map(drop),
        store.delete(told),
    ];
    for done in refused {
        assert_eq!(done.unwrap_err().kind(), ErrorKind::NotFound);
    }
    store.create_thread(told).unwrap();
    let again = store.create_thread(told).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Invalid);
    let check = |store: &Store| {
        assert_eq!(listed(store, false), [A, B, made, told]);
        let shown = store.show(told).unwrap();
        assert_eq!((&shown.thread["name"], shown.records), (&"T2".into(), 0));
        assert_eq!(shown.thread["path"], serde_json::Value::Null);
    };
    check(&store);
    store.close().unwrap();
    check(&open());
}

fn id(number: u8) -> String {
    format!("019c0000-0000-7000-8000-0000000001{number:02x}")
}

/// A thread that another one spawned.
fn spawn(store: &Store, thread: &str, parent: &str) {
    let source =
        format!(r#"{{"subagent":{{"thread_spawn":{{"parent_thread_id":"{parent}","depth":1}}}}}}"#);
    let bytes = rollout_from(thread, &source);
    let lines: Vec<&[u8]> = bytes
        .trim_ascii_end()
        .split(|byte| *byte == b'\n')
        .collect();
    store.create_thread(thread).unwrap();
    store.append(thread, None, &lines).unwrap();
}

fn all(store: &Store) -> Vec<String> {
    let mut ids: Vec<String> = store.log_threads().into_iter().map(|of| of.id).collect();
    ids.sort();
    ids
}

#[test]
fn a_thread_goes_with_those_that_it_spawned_or_stays_with_them() {
    let (_dir, store) = store();
    let [child, grandchild, brother, fork, own_fork] = [1, 2, 3, 4, 5].map(id);
    spawn(&store, &child, A);
    spawn(&store, &grandchild, &child);
    spawn(&store, &brother, A);
    store.archive(&brother).unwrap();
    spawn(&store, &own_fork, &grandchild);
    // A spawned thread goes on from one of the others, and so does one that nobody spawned.
    let goes_on = store.fork(&brother, &id(6), &ForkPoint::Latest).unwrap();
    store.fork(&child, &fork, &ForkPoint::Latest).unwrap();
    let before = all(&store);

    let told = store.subtree(A).unwrap();
    assert_eq!(told.threads.last().map(String::as_str), Some(A));
    let place = |id: &String| told.threads.iter().position(|of| of == id);
    assert!(place(&own_fork) < place(&grandchild) && place(&grandchild) < place(&child));
    assert!(!told.threads.contains(&B.to_owned()) && !told.threads.contains(&fork));
    let mut bases: Vec<_> = told
        .bases
        .iter()
        .map(|base| (&base.thread, &base.forks))
        .collect();
    bases.sort();
    assert_eq!(
        bases,
        [
            (&child, &vec![fork.clone()]),
            (&brother, &vec![goes_on.thread.clone()])
        ]
    );
    let refused = store.delete_tree(A).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(matches!(refused, Error::IsBase { .. }), "{refused}");
    assert_eq!(all(&store), before, "nothing went");

    store.delete(&fork).unwrap();
    store.delete(&goes_on.thread).unwrap();
    let gone = store.delete_tree(A).unwrap();
    assert_eq!(gone.threads, told.threads);
    assert_eq!(all(&store), [B]);
    assert_eq!(
        store.delete_tree(A).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    for thread in &gone.threads {
        assert_eq!(store.show(thread).unwrap_err().kind(), ErrorKind::NotFound);
    }
    let report = store.verify(None, &mut |_| {}).unwrap();
    assert!(report.is_ok(), "{report:?}");
    // One without others goes alone.
    assert_eq!(store.delete_tree(B).unwrap().threads, [B]);
}

/// A fork goes on from its parent: both are of the tree, in whatever order.
#[test]
fn a_spawned_fork_goes_with_what_it_goes_on_from() {
    let (_dir, store) = store();
    let [child, fork] = [1, 2].map(id);
    spawn(&store, &child, A);
    store.fork(&child, &fork, &ForkPoint::Latest).unwrap();
    let source =
        format!(r#"{{"subagent":{{"thread_spawn":{{"parent_thread_id":"{A}","depth":1}}}}}}"#);
    let head = rollout_from(&fork, &source);
    let head = head.split(|byte| *byte == b'\n').next().unwrap();
    store.append(&fork, None, &[head]).unwrap();
    let gone = store.delete_tree(A).unwrap().threads;
    assert_eq!(gone.len(), 3, "{gone:?}");
    assert_eq!(all(&store), [B]);
}

/// Whoever is first: a fork never goes on from a thread that is not there.
#[test]
fn a_fork_beside_the_deletion_of_what_it_goes_on_from_has_it_or_is_refused() {
    let (_dir, store) = store();
    let mut forked = 0;
    for round in 0..60_u8 {
        let (base, fork) = (id(2 * round), id(2 * round + 1));
        spawn(&store, &base, B);
        let (made, gone) = std::thread::scope(|scope| {
            let made = scope.spawn(|| store.fork(&base, &fork, &ForkPoint::Latest));
            let gone = scope.spawn(|| {
                if round % 2 == 0 {
                    store.delete(&base)
                } else {
                    store.delete_tree(&base).map(drop)
                }
            });
            (made.join().unwrap(), gone.join().unwrap())
        });
        assert!(made.is_ok() != gone.is_ok(), "{made:?}, {gone:?}");
        let ids = all(&store);
        assert_eq!(ids.contains(&base), made.is_ok());
        assert_eq!(ids.contains(&fork), made.is_ok());
        if made.is_ok() {
            forked += 1;
            let mut out = Vec::new();
            store.export(&fork, Ordinal(0).., &mut out).unwrap();
            assert!(!out.is_empty());
        }
    }
    println!("{forked} of 60 forks were first");
    let report = store.verify(None, &mut |_| {}).unwrap();
    assert!(report.is_ok(), "{report:?}");
}
