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
    store.import(source, &mut |_| {}).unwrap().done().unwrap()
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
            let items = store.items(&request).unwrap().values();
            assert!(items[12].to_string().contains("cut here"), "cut at {cut}");
        }
    }
}

/// What is told of a thread, wherever its source was cut.
#[derive(Debug, PartialEq)]
struct Told {
    counts: ThreadCounts,
    shown: u64,
    anomalies: Vec<(String, u64)>,
    turns: String,
    items: String,
    export: String,
}

fn told(store: &Store, thread: &str) -> Told {
    let plain = |text: String| text.replace(thread, "T");
    let mut counts = store.counts(&[thread.to_owned()]).counted.remove(0);
    counts.id = "T".to_owned();
    let shown = store.show(thread).unwrap();
    let anomalies = shown.anomalies.into_iter();
    let turns = store.turns(&TurnsRequest {
        thread: thread.to_owned(),
        cursor: None,
        limit: 100,
        order: Order::Ascending,
        items: ItemsView::Full,
    });
    let items = store.items(&ItemsRequest {
        thread: thread.to_owned(),
        turn: None,
        all: true,
        cursor: None,
        limit: 100,
        order: Order::Ascending,
    });
    let mut items = items.unwrap().values();
    for item in &mut items {
        // Records have a place each, those of one line too.
        item["ordinal"].take();
    }
    let mut export = Vec::new();
    store.export(thread, .., &mut export).unwrap();
    Told {
        counts,
        shown: shown.records,
        anomalies: anomalies.map(|found| (found.reason, found.count)).collect(),
        turns: plain(format!("{:?}", turns.unwrap().values())),
        items: plain(format!("{items:?}")),
        export: plain(String::from_utf8(export).unwrap()),
    }
}

/// A writer was within a line when its file was imported. The line is one record all the same, also
/// where only its end was missing, and also in a dry run.
#[test]
fn a_source_that_was_cut_anywhere_counts_as_one_that_was_not() {
    let head = format!(
        r#"{{"timestamp":"{TIME}","type":"session_meta","payload":{{"id":"thread-XXXX","timestamp":"{TIME}","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null}}}}"#
    );
    let started = format!(
        r#"{{"timestamp":"{TIME}","type":"event_msg","payload":{{"type":"task_started","turn_id":"t1","model_context_window":null}}}}"#
    );
    let lines = [
        &head,
        &started,
        &message("one"),
        "no record",
        "",
        &message("two"),
        "\r",
        "",
    ];
    let text = lines.join("\n");
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let source_of = |at: usize| (format!("thread-{at:04}"), format!("{at}.jsonl"));
    let (mut threads, mut cut_once) = (Vec::new(), 0);
    for cut in 0..=text.len() {
        let (thread, path) = source_of(cut);
        let text = text.replace("thread-XXXX", &thread);
        let mut records = 0;
        for end in [cut, text.len(), text.len()] {
            let mut plain = &text.as_bytes()[..end];
            let mut again = plain;
            let source = |plain| ImportSource {
                path: &path,
                thread_hint: None,
                plain,
                file_bytes: end as u64,
                modified_ns: 0,
                archived: false,
            };
            let foreseen = Previewer::new(Some(&store)).preview(source(&mut plain), &mut |_| {});
            let foreseen = foreseen.unwrap();
            let imported = store.import(source(&mut again), &mut |_| {}).unwrap();
            let (Ok(foreseen), Ok(imported)) = (foreseen.done(), imported.done()) else {
                assert!(end < text.len(), "the whole source is refused");
                continue;
            };
            cut_once += u64::from(end < text.len());
            let counted = store
                .counts(std::slice::from_ref(&thread))
                .counted
                .remove(0);
            let added = counted.records - records;
            records = counted.records;
            let said = [
                foreseen.added_records,
                imported.added_records,
                foreseen.records,
            ];
            assert_eq!(said, [added, added, records], "cut at {cut}, read to {end}");
        }
        threads.push(thread);
    }
    assert!(
        cut_once > 300,
        "{cut_once} sources were imported in two parts"
    );
    let whole = threads.pop().unwrap();
    for step in ["as imported", "sealed", "rebuilt"] {
        match step {
            "sealed" => drop(store.seal_all().unwrap()),
            "rebuilt" => drop(store.rebuild_index(&mut |_| {}).unwrap()),
            _ => {}
        }
        let expected = told(&store, &whole);
        assert_eq!(expected.counts.records, 7);
        for thread in &threads {
            assert_eq!(told(&store, thread), expected, "{thread}, {step}");
        }
    }
}

/// The same of a line that is too long to be held whole, whose rest comes in pieces.
#[test]
fn a_long_line_that_was_cut_is_added_once() {
    let head = format!(
        r#"{{"timestamp":"{TIME}","type":"session_meta","payload":{{"id":"a","timestamp":"{TIME}","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null}}}}"#
    );
    let whole = format!(
        "{head}\n{}\n{}\n",
        message(&"y".repeat(17 << 20)),
        message("end")
    );
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let counted = || store.counts(&["a".to_owned()]).counted.remove(0).records;
    assert_eq!(import(&store, &whole[..head.len() + 40]).added_records, 2);
    assert_eq!(counted(), 2);
    let source = ImportSource {
        path: "b.jsonl",
        thread_hint: None,
        plain: &mut whole.as_bytes(),
        file_bytes: 1,
        modified_ns: 0,
        archived: false,
    };
    let foreseen = Previewer::new(Some(&store)).preview(source, &mut |_| {});
    let foreseen = foreseen.unwrap().done().unwrap();
    assert_eq!((foreseen.added_records, foreseen.records), (1, 3));
    assert_eq!(import(&store, &whole).added_records, 1);
    assert_eq!((counted(), store.show("a").unwrap().items), (3, 2));
}
