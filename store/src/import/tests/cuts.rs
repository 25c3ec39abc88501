//! Sources that were cut within a line when they were imported, and are imported again when they
//! have grown: what their segments note, and what is shown.

use crate::*;

const TIME: &str = "2026-01-01T00:00:00.000Z";

fn message(text: &str) -> String {
    format!(
        r#"{{"timestamp":"{TIME}","type":"event_msg","payload":{{"type":"user_message","message":"{text}","images":[]}}}}"#
    )
}

fn import(store: &Store, text: &str) -> Imported {
    let source = ImportSource {
        path: "a.jsonl",
        thread_hint: None,
        plain: &mut text.as_bytes(),
        file_bytes: text.len() as u64,
        modified_ns: 7,
        archived: false,
    };
    store.import(source, &mut |_| {}).unwrap().unwrap()
}

/// Both parts are so long that they are written into segments at once. A part of a line is no line,
/// and its notes must not say so.
#[test]
fn a_line_that_was_cut_at_the_end_of_a_segment_is_shown_whole() {
    let head = format!(
        r#"{{"timestamp":"{TIME}","type":"session_meta","payload":{{"id":"a","timestamp":"{TIME}","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null}}}}"#
    );
    let long = vec![message(&"y".repeat(100_000)); 12].join("\n");
    let line = message("cut here");
    for (cut, is_sealed) in [(0, false), (40, false), (line.len(), false), (40, true)] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let before = format!("{head}\n{long}\n{}", &line[..cut]);
        import(&store, &before);
        if is_sealed {
            store.seal_all().unwrap();
        }
        let whole = format!("{before}{}\n{long}\n", &line[cut..]);
        import(&store, &whole);
        for is_new in [false, true] {
            if is_new {
                store.rebuild_index(&mut |_| {}).unwrap();
            }
            let shown = store.show("a").unwrap();
            assert_eq!((shown.items, shown.anomalies), (25, vec![]), "cut at {cut}");
            let request = ItemsRequest {
                thread: "a".into(),
                turn: None,
                all: false,
                cursor: None,
                limit: 100,
                order: Order::Ascending,
            };
            let items = store.items(&request).unwrap().items;
            assert!(items[12].to_string().contains("cut here"), "cut at {cut}");
        }
    }
}
