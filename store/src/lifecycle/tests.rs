//! Archive and deletion as a caller sees them: lists, pages, imports, the index.

use crate::*;

const A: &str = "019c0000-0000-7000-8000-00000000000a";
const B: &str = "019c0000-0000-7000-8000-00000000000b";

fn rollout(id: &str) -> Vec<u8> {
    let time = "2026-01-01T00:00:00.000Z";
    let meta = format!(
        r#"{{"id":"{id}","timestamp":"{time}","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null}}"#
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
        cursor: None,
        limit: 10,
        order: Order::Ascending,
        sort: SortKey::Created,
        archived,
        cwds: Vec::new(),
        sources: Vec::new(),
        no_subagents: false,
        parent: None,
        ancestor: None,
        forks_of: None,
        search: None,
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
