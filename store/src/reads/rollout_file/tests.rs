//! Files for the runtime: what changes in the lines, and what they are when they are imported.

use std::path::{Path, PathBuf};

use crate::*;

const A: &str = "019c0000-0000-7000-8000-00000000000a";
const B: &str = "019c0000-0000-7000-8000-00000000000b";
const TIME: &str = "2026-01-02T03:04:05.678Z";

fn line(ordinal: u64, kind: &str, payload: &str) -> String {
    format!(r#"{{"timestamp":"{TIME}","ordinal":{ordinal},"type":"{kind}","payload":{payload}}}"#)
}

fn head(ordinal: u64, id: &str, more: &str) -> String {
    let payload = format!(
        r#"{{"session_id":"{id}","id":"{id}","timestamp":"{TIME}","cwd":"/w","originator":"t","cli_version":"0","source":"cli","history_mode":"paginated"{more}}}"#
    );
    line(ordinal, "session_meta", &payload)
}

/// The lines of a turn, from an ordinal on.
fn turn(thread: &str, first: u64, id: &str) -> Vec<String> {
    let item = format!(
        r#"{{"type":"item_completed","thread_id":"{thread}","turn_id":"{id}","item":{{"type":"UserMessage","id":"i-{id}","content":[{{"type":"text","text":"said in {id}","text_elements":[]}}]}},"completed_at_ms":1}}"#
    );
    let [begin, end] = ["task_started", "task_complete"]
        .map(|kind| format!(r#"{{"type":"{kind}","turn_id":"{id}"}}"#));
    let payloads = [begin, item, end];
    let lines = (first..).zip(payloads);
    lines
        .map(|(at, payload)| line(at, "event_msg", &payload))
        .collect()
}

fn append(store: &Store, id: &str, lines: &[String]) {
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    store.append(id, None, &lines).unwrap();
}

fn import(store: &Store, id: &str, text: &str) {
    let mut plain = text.as_bytes();
    let source = ImportSource {
        path: &format!("/s/rollout-2026-01-02T03-04-05-{id}.jsonl"),
        thread_hint: Some(id),
        file_bytes: text.len() as u64,
        modified_ns: 1,
        archived: false,
        plain: &mut plain,
    };
    store.import(source, &mut |_| {}).unwrap().done().unwrap();
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

fn written(file: &RolloutFile<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let told = file.write(&mut out).unwrap();
    assert_eq!(told.bytes, out.len() as u64);
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with('\n'));
    assert_eq!(told.lines, text.lines().count() as u64);
    text.lines().map(str::to_owned).collect()
}

/// The turns of a thread, with their items and without their times.
fn turns(store: &Store, id: &str) -> Vec<Value> {
    let request = TurnsRequest {
        thread: id.to_owned(),
        cursor: None,
        limit: 100,
        order: Order::Ascending,
        items: ItemsView::Full,
    };
    store.turns(&request).unwrap().values()
}

/// What a store shows that has nothing but a file.
fn shown_of(id: &str, lines: &[String]) -> (Vec<Value>, Value, Vec<AnomalyCount>) {
    let (_dir, store) = store();
    store.create_thread(id).unwrap();
    append(&store, id, lines);
    let shown = store.show(id).unwrap();
    (turns(&store, id), shown.thread, shown.anomalies)
}

#[test]
fn a_file_of_one_rollout_is_that_rollout() {
    let (_dir, store) = store();
    store.create_thread(A).unwrap();
    let mut lines = vec![head(0, A, "")];
    lines.extend(turn(A, 1, "t1"));
    append(&store, A, &lines);
    store.set_name(A, "a name is no line").unwrap();
    let file = store.rollout_file(A).unwrap();
    let day = "sessions/2026/01/02/rollout-2026-01-02T03-04-05";
    assert_eq!(file.path, format!("{day}-{A}.jsonl"));
    assert_eq!(written(&file), lines);
}

#[test]
fn forks_and_reverts_become_one_file() {
    let (_dir, store) = store();
    store.create_thread(A).unwrap();
    append(&store, A, &[head(0, A, "")]);
    append(&store, A, &turn(A, 1, "t1"));
    append(&store, A, &turn(A, 4, "t2"));
    store
        .fork(A, B, &ForkPoint::ThroughTurn("t1".into()))
        .unwrap();
    // The head that a runtime writes, and one of a revert.
    let base = format!(
        r#","history_base":{{"thread_id":"{A}","end_ordinal_exclusive":4,"end_byte_offset":9}},"forked_from_id":"{A}""#
    );
    append(&store, B, &[head(4, B, &base)]);
    append(&store, B, &turn(B, 5, "t3"));
    store.revert(B, "t3").unwrap();
    append(&store, B, &turn(B, 5, "t4"));
    let lines = written(&store.rollout_file(B).unwrap());
    let forked = format!(r#","forked_from_id":"{A}""#);
    let mut expected = vec![head(0, B, &forked)];
    expected.extend(turn(B, 1, "t1"));
    expected.extend(turn(B, 4, "t4"));
    assert_eq!(lines, expected);
    let (again, thread, anomalies) = shown_of(B, &lines);
    assert_eq!(again, turns(&store, B));
    assert_eq!((&thread["forkedFromId"], anomalies), (&A.into(), vec![]));
}

/// A fork that nobody has written a line of has the head of its origin, which becomes its own.
#[test]
fn a_fork_without_a_head_gets_one() {
    let (_dir, store) = store();
    store.create_thread(A).unwrap();
    append(&store, A, &[head(0, A, r#","parent_thread_id":"p""#)]);
    append(&store, A, &turn(A, 1, "t1"));
    store.fork(A, B, &ForkPoint::Latest).unwrap();
    let lines = written(&store.rollout_file(B).unwrap());
    let (again, thread, _) = shown_of(B, &lines);
    assert_eq!(again, turns(&store, B));
    assert_eq!(thread["forkedFromId"], A);
    assert_eq!(thread["parentThreadId"], Value::Null);
    assert_eq!(thread["sessionId"], B);
}

#[test]
fn a_rescue_begins_with_the_turn_of_the_newest_compaction() {
    let (_dir, store) = store();
    store.create_thread(A).unwrap();
    append(&store, A, &[head(0, A, "")]);
    append(&store, A, &turn(A, 1, "t1"));
    let whole = written(&store.rescue(A, B).unwrap());
    assert_eq!(whole.len(), 4);
    let compaction = r#"{"message":"so far","replacement_history":[],"window_number":1}"#;
    let mut second = turn(A, 4, "t2");
    second.insert(2, line(6, "compacted", compaction));
    append(&store, A, &second);
    append(&store, A, &turn(A, 8, "t3"));
    let before = store.log_threads();
    let file = store.rescue(A, B).unwrap();
    assert_eq!((file.id.as_str(), file.from), (B, Ordinal(4)));
    let lines = written(&file);
    assert_eq!(lines.len(), 8);
    let second = lines.iter().skip(1).map(String::as_str);
    let mut expected = turn(B, 1, "t2");
    expected.insert(2, line(3, "compacted", compaction));
    expected[3] = expected[3].replace("\"ordinal\":3", "\"ordinal\":4");
    expected.extend(turn(B, 5, "t3"));
    assert!(second.eq(expected.iter().map(String::as_str)));
    let (again, thread, anomalies) = shown_of(B, &lines);
    assert_eq!(again, turns(&store, A)[1..]);
    assert_eq!((&thread["forkedFromId"], anomalies), (&A.into(), vec![]));
    assert_eq!(store.log_threads(), before);
    assert!(store.show(B).is_err());
}

/// Whose history begins behind what it was given counts anew, too.
#[test]
fn the_own_history_of_a_subagent_begins_where_it_did() {
    let (_dir, store) = store();
    store.create_thread(A).unwrap();
    append(
        &store,
        A,
        &[head(10, A, r#","subagent_history_start_ordinal":14"#)],
    );
    append(&store, A, &turn("other", 11, "t1"));
    append(&store, A, &turn(A, 14, "t2"));
    let lines = written(&store.rollout_file(A).unwrap());
    assert!(lines[0].contains(r#""subagent_history_start_ordinal":4}"#));
    assert_eq!(lines[4..], turn(A, 4, "t2"));
    assert_eq!(shown_of(A, &lines).0, turns(&store, A));
}

/// What is no ordinal says nothing, and is not made to say that all is the thread's own.
#[test]
fn a_start_that_is_no_ordinal_stays() {
    for start in ["null", "-1", "\"4\"", "1.5"] {
        let (_dir, store) = store();
        store.create_thread(A).unwrap();
        let more = format!(r#","subagent_history_start_ordinal":{start}"#);
        append(&store, A, &[head(0, A, &more)]);
        assert_eq!(
            written(&store.rollout_file(A).unwrap()),
            [head(0, A, &more)]
        );
    }
}

/// Text of that many bytes that does not become small.
fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        format!("{:016x}", state ^ (state >> 33))
    };
    let mut text: String = (0..bytes / 16).map(|_| next()).collect();
    text.truncate(bytes);
    text
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("store/segments")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// One bit of a file, in a tenth of it.
fn flip(path: &Path, tenth: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() * tenth / 10;
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// The lines of A, damaged and then with that loss accepted.
fn written_with_damage(dir: &Path) -> [Vec<String>; 2] {
    let dir = dir.join("store");
    let written = |is_damaged: bool| {
        let store = Store::open_to_read(&dir).unwrap();
        let file = store.rollout_file(A).unwrap();
        let lines = written(&file);
        let told = file.write(&mut std::io::sink()).unwrap();
        assert_eq!(
            (told.damage.is_empty(), told.given_up.is_empty()),
            (!is_damaged, is_damaged)
        );
        lines
    };
    let damaged = written(true);
    Store::repair(&dir, None).unwrap();
    [damaged, written(false)]
}

/// Damage far behind the beginning of a line leaves out all of it.
#[test]
fn no_line_is_cut_by_damage() {
    let (dir, store) = store();
    store.create_thread(A).unwrap();
    let payload = format!(r#"{{"type":"x","message":"{}"}}"#, noise(5 << 20));
    let lines = [
        head(0, A, ""),
        line(1, "event_msg", &payload),
        line(2, "event_msg", r#"{"type":"token_count"}"#),
    ];
    import(&store, A, &(lines.join("\n") + "\n"));
    store.close().unwrap();
    let [segment] = &segments(dir.path())[..] else {
        panic!("one segment")
    };
    flip(segment, 7);
    let expected = [
        lines[0].clone(),
        line(1, "event_msg", r#"{"type":"token_count"}"#),
    ];
    for lines in written_with_damage(dir.path()) {
        assert!(lines == expected, "{} lines", lines.len());
    }
}

/// The rest of a line whose beginning is lost is no line, nor is a beginning without its rest.
#[test]
fn no_part_of_a_line_becomes_one() {
    for tenth in [3, 8] {
        let (dir, store) = store();
        store.create_thread(A).unwrap();
        let payload = format!(r#"{{"type":"x","message":"{}"}}"#, noise(4 << 20));
        let text = [
            head(0, A, ""),
            line(1, "event_msg", &payload),
            line(2, "event_msg", r#"{"type":"token_count"}"#),
        ];
        let text = text.join("\n") + "\n";
        import(&store, A, &text[..2 << 20]);
        import(&store, A, &text);
        store.seal_all().unwrap();
        store.close().unwrap();
        let [segment] = &segments(dir.path())[..] else {
            panic!("one segment")
        };
        flip(segment, tenth);
        let expected = [
            head(0, A, ""),
            line(1, "event_msg", r#"{"type":"token_count"}"#),
        ];
        for lines in written_with_damage(dir.path()) {
            assert!(lines == expected, "{tenth}: {} lines", lines.len());
        }
    }
}

/// A line that is no record, one that came in parts, one that is too long to be held.
#[test]
fn lines_of_every_kind_come_along() {
    let (_dir, store) = store();
    store.create_thread(A).unwrap();
    let long = format!(
        r#"{{"type":"agent_message","message":"{}"}}"#,
        "x".repeat(3 << 20)
    );
    let source = [
        head(0, A, ""),
        "no record".to_owned(),
        "{}".to_owned(),
        line(7, "event_msg", &long),
        r#"{"type":"event_msg","payload":{"type":"x"}}"#.to_owned(),
        line(9, "event_msg", r#"{"type":"token_count"}"#),
    ];
    let text = source.join("\n");
    import(&store, A, &text[..text.len() - 20]);
    import(&store, A, &text);
    let expected = [
        source[0].clone(),
        source[1].clone(),
        source[2].clone(),
        line(1, "event_msg", &long),
        r#"{"ordinal":2,"type":"event_msg","payload":{"type":"x"}}"#.to_owned(),
        line(3, "event_msg", r#"{"type":"token_count"}"#),
    ];
    assert!(written(&store.rollout_file(A).unwrap()) == expected);
}

/// A head that was imported in parts is one: it is left out as a line, and heads the file.
#[test]
fn a_head_that_came_in_parts_is_found() {
    let count = |ordinal| line(ordinal, "event_msg", r#"{"type":"token_count"}"#);
    let mut lines = vec![count(0), head(1, A, "")];
    lines.extend(turn(A, 2, "t1"));
    let text = lines.join("\n") + "\n";
    let mut expected = vec![head(0, A, ""), count(1)];
    expected.extend(turn(A, 2, "t1"));
    let ends = [lines[0].len() + 1, lines[1].len()].iter().sum::<usize>();
    // Within the head, before its last bracket, before its line feed.
    for cut in [lines[0].len() + 40, ends - 1, ends] {
        let (_dir, store) = store();
        store.create_thread(A).unwrap();
        import(&store, A, &text[..cut]);
        store.set_name(A, "between the parts").unwrap();
        import(&store, A, &text);
        assert_eq!(written(&store.rollout_file(A).unwrap()), expected, "{cut}");
        let file = store.rescue(A, B).unwrap();
        assert_eq!(written(&file).len(), expected.len(), "{cut}");
    }
}

/// What a thread goes on from may not be there: the file says so, and begins with what is.
#[test]
fn a_file_without_its_base_says_so() {
    let (_dir, store) = store();
    let base = format!(
        r#","history_base":{{"thread_id":"{B}","end_ordinal_exclusive":9,"end_byte_offset":99}}"#
    );
    let mut lines = vec![head(9, A, &base)];
    lines.extend(turn(A, 10, "t1"));
    import(&store, A, &(lines.join("\n") + "\n"));
    let file = store.rollout_file(A).unwrap();
    assert_eq!(file.awaits.as_deref(), Some(B));
    let mut expected = vec![head(0, A, "")];
    expected.extend(turn(A, 1, "t1"));
    assert_eq!(written(&file), expected);
}

#[test]
fn what_the_runtime_would_not_open_is_refused() {
    let (_dir, store) = store();
    for id in ["no-uuid", A] {
        store.create_thread(id).unwrap();
    }
    append(&store, "no-uuid", &[head(0, "no-uuid", "")]);
    append(&store, A, &turn(A, 0, "t1"));
    for id in ["no-uuid", A] {
        let refused = store.rollout_file(id).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{id}: {refused}");
    }
    let none = store.rollout_file(B).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
}

/// A head that cannot be read is not called one that is not there.
#[test]
fn a_head_that_cannot_be_read_is_damage() {
    let (dir, store) = store();
    store.create_thread(A).unwrap();
    let payload = format!(r#"{{"type":"x","message":"{}"}}"#, noise(2 << 20));
    let text = [head(0, A, ""), line(1, "event_msg", &payload)];
    import(&store, A, &(text.join("\n") + "\n"));
    store.close().unwrap();
    let [segment] = &segments(dir.path())[..] else {
        panic!("one segment")
    };
    let mut bytes = std::fs::read(segment).unwrap();
    // Its first blocks, of which one has the head.
    let half = bytes.len() / 2;
    bytes[..half]
        .iter_mut()
        .step_by(64)
        .for_each(|byte| *byte ^= 1);
    std::fs::write(segment, bytes).unwrap();
    let store = Store::open_to_read(&dir.path().join("store")).unwrap();
    let refused = store.rollout_file(A).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Damaged, "{refused}");
}
