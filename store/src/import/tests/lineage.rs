//! Files of one thread, and of forks, in any order.

use std::ops::ControlFlow;

use turnleaf_engine::Origin;
use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::format::{ThreadId, ThreadNumber};

use super::*;
use crate::import::cut::Cut;

pub(super) const T: &str = "019d0000-0000-7000-8000-000000000001";
const B1: &str = "019d0000-0001-7000-8000-0000000000b1";
/// Made in the same millisecond.
const B2: &str = "019d0000-0001-7000-8000-0000000000b2";
pub(super) const CHILD: &str = "019d0003-0000-7000-8000-000000000003";
const TIME: &str = "2026-01-01T00:00:00.000Z";

/// A file under its name.
#[derive(Clone)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) archived: bool,
}

fn line(ordinal: u64, kind: &str, payload: &str) -> String {
    format!(r#"{{"timestamp":"{TIME}","ordinal":{ordinal},"type":"{kind}","payload":{payload}}}"#)
        + "\n"
}

/// A file of a thread whose lines count from `first` on: its head and one line for each text.
pub(super) fn file(id: (&str, Option<&str>), first: u64, base: &str, texts: &[&str]) -> File {
    let (thread, rollout) = id;
    let rollout = rollout.map_or(String::new(), |rollout| format!("_{rollout}"));
    let head = format!(
        r#"{{"id":"{thread}","timestamp":"{TIME}","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null,"history_mode":"paginated"{base}}}"#
    );
    let mut text = line(first, "session_meta", &head);
    for (at, said) in texts.iter().enumerate() {
        let payload = format!(r#"{{"type":"said","text":"{said}"}}"#);
        text += &line(first + 1 + at as u64, "event_msg", &payload);
    }
    File {
        name: format!("/home/sessions/rollout-2026-01-01T00-00-00-{thread}{rollout}.jsonl"),
        bytes: text.into_bytes(),
        archived: false,
    }
}

pub(super) fn base(rollout: &str, end: u64, bytes: u64) -> String {
    format!(
        r#","history_base":{{"thread_id":"{rollout}","end_ordinal_exclusive":{end},"end_byte_offset":{bytes}}}"#
    )
}

/// The bytes of the first lines of a file.
fn lines(file: &File, count: usize) -> Vec<u8> {
    let lines = file.bytes.split_inclusive(|byte| *byte == b'\n');
    lines.take(count).collect::<Vec<_>>().concat()
}

/// A thread that was reverted twice, and a fork of what came of it; and what each shows.
pub(super) fn family() -> Vec<File> {
    let first = file((T, None), 0, "", &["one", "two", "three"]);
    // "two" and "three" were reverted.
    let cut = lines(&first, 2).len() as u64;
    let second = file((T, Some(B1)), 2, &base(T, 2, cut), &["four", "five"]);
    let cut = second.bytes.len() as u64;
    let third = file((T, Some(B2)), 5, &base(B1, 5, cut), &["six"]);
    let cut = lines(&third, 1).len() as u64;
    let child = file((CHILD, None), 6, &base(B2, 6, cut), &["seven"]);
    vec![first, second, third, child]
}

pub(super) fn shown_of_thread(files: &[File]) -> Vec<u8> {
    let [first, second, third, _] = files else {
        panic!("four files");
    };
    [lines(first, 2), second.bytes.clone(), third.bytes.clone()].concat()
}

pub(super) fn shown_of_child(files: &[File]) -> Vec<u8> {
    let [first, second, third, child] = files else {
        panic!("four files");
    };
    let parts = [lines(first, 2), second.bytes.clone(), lines(third, 1)];
    [parts.concat(), child.bytes.clone()].concat()
}

/// Imports a file, which may be skipped.
pub(super) fn bring(importer: &mut Importer<'_>, file: &File) -> ImportOutcome {
    let source = ImportSource {
        path: &file.name,
        thread_hint: None,
        plain: &mut file.bytes.as_slice(),
        file_bytes: file.bytes.len() as u64,
        modified_ns: 7,
        archived: file.archived,
    };
    importer.import(source, &mut |_| {}).unwrap()
}

pub(super) fn import(importer: &mut Importer<'_>, file: &File) -> Imported {
    bring(importer, file).done().unwrap()
}

/// Imports files one after the other, which share syncs or not.
pub(super) fn import_all(store: &Store, files: &[File], is_shared: bool) -> Vec<AwaitedBase> {
    let mut awaited = Vec::new();
    let mut importer = store.importer().unwrap();
    for file in files {
        import(&mut importer, file);
        if !is_shared {
            awaited = importer.finish().unwrap().awaited;
            importer = store.importer().unwrap();
        }
    }
    let last = importer.finish().unwrap().awaited;
    if is_shared { last } else { awaited }
}

pub(super) fn number(store: &Store, id: &str) -> ThreadNumber {
    let id = ThreadId::parse(id).unwrap();
    store
        .source
        .with(|state| state.thread_number(&id))
        .expect("it is there")
}

/// The lines that a rollout shows, or of those that it holds itself.
pub(super) fn text(store: &Store, rollout: ThreadNumber, own: bool) -> Vec<u8> {
    let reader = store.source.with(|state| match own {
        true => state.own_records(rollout),
        false => state.reader(rollout),
    });
    let reader = reader.unwrap();
    let mut bytes = Vec::new();
    let read = reader.entries(
        turnleaf_engine::format::Ordinal(0),
        reader.end(),
        &mut |_, entry| {
            if entry.kind == Kind::LINE {
                bytes.extend_from_slice(entry.bytes);
                if entry.completes() && !entry.flags.has(Flags::NO_LINE_FEED) {
                    bytes.push(b'\n');
                }
            }
            ControlFlow::Continue(())
        },
    );
    read.unwrap();
    bytes
}

/// What a thread shows.
pub(super) fn shown(store: &Store, id: &str) -> Vec<u8> {
    let thread = number(store, id);
    text(
        store,
        store.source.with(|state| state.current(thread)),
        false,
    )
}

pub(super) fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

pub(super) fn permutations(of: usize) -> Vec<Vec<usize>> {
    let Some(last) = of.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let shorter = permutations(last).into_iter();
    shorter
        .flat_map(|order| {
            (0..=last).map(move |at| {
                let mut order = order.clone();
                order.insert(at, last);
                order
            })
        })
        .collect()
}

/// Every rollout is one of the files, byte for byte.
pub(super) fn check_own(store: &Store, files: &[File]) {
    let rollouts = store.source.with(|state| {
        let all = state.rollout_ids();
        all.map(|(rollout, _)| rollout).collect::<Vec<_>>()
    });
    let mut own: Vec<_> = rollouts.iter().map(|of| text(store, *of, true)).collect();
    let mut expect: Vec<_> = files.iter().map(|file| file.bytes.clone()).collect();
    own.sort();
    expect.sort();
    assert!(own == expect);
}

#[test]
fn files_come_in_any_order() {
    let files = family();
    for (at, order) in permutations(4).into_iter().enumerate() {
        let (_dir, store) = store();
        let ordered: Vec<_> = order.iter().map(|at| files[*at].clone()).collect();
        let awaited = import_all(&store, &ordered, at % 2 == 0);
        assert_eq!(awaited, [], "{order:?}");
        assert!(shown(&store, T) == shown_of_thread(&files), "{order:?}");
        assert!(shown(&store, CHILD) == shown_of_child(&files), "{order:?}");
        check_own(&store, &files);
        assert_eq!(store.source.with(|state| state.threads().count()), 2);
        // What did not change adds nothing, and nobody says anything of it.
        let before = store.log_threads();
        let mut importer = store.importer().unwrap();
        for file in &files {
            let known = importer.is_current(&file.name, file.bytes.len() as u64, 7);
            assert!(known.is_some(), "{order:?}");
            let again = import(&mut importer, file);
            assert_eq!((again.added_records, again.written_anew), (0, None));
        }
        assert_eq!(importer.finish().unwrap(), Imports::default());
        assert_eq!(store.log_threads(), before);
    }
}

#[test]
fn a_base_that_never_comes_is_said_plainly() {
    let files = family();
    let (_dir, store) = store();
    let awaited = import_all(&store, &files[1..2], true);
    let [only] = awaited.as_slice() else {
        panic!("{awaited:?}");
    };
    assert_eq!((only.thread.as_str(), only.rollout.as_str()), (T, B1));
    assert_eq!((only.base.as_str(), &only.why), (T, &NoBase::Absent));
    assert_eq!(only.path.as_deref(), Some(files[1].name.as_str()));
    assert!(only.to_string().contains("not in the store"), "{only}");
    assert!(shown(&store, T) == files[1].bytes);
    // Another file has nothing to do with it.
    let other = file((CHILD, None), 0, "", &["other"]);
    assert_eq!(import_all(&store, &[other], true), []);
}

/// What the heads say of a base, and what an import makes of it.
#[test]
fn a_cut_is_checked_by_bytes_and_ordinals() {
    let first = &family()[0];
    let two = lines(first, 2);
    let bytes = two.len() as u64;
    let at_two = Ok(two.clone());
    let check = |stated: String, expect: Result<Vec<u8>, NoBase>| {
        let child = file((CHILD, None), 2, &stated, &["x"]);
        // By its records, and by the notes of its segment.
        for is_sealed in [false, true] {
            let (_dir, store) = store();
            if is_sealed {
                import_all(&store, std::slice::from_ref(first), true);
                store.seal_all().unwrap();
            }
            let awaited = import_all(&store, &[child.clone(), first.clone()], true);
            let why = awaited.into_iter().next().map(|awaited| awaited.why);
            let own = shown(&store, CHILD);
            let inherited = own.strip_suffix(child.bytes.as_slice()).unwrap();
            let found = why.map_or(Ok(inherited.to_vec()), Err);
            assert!(found == expect, "{stated}, sealed: {is_sealed}");
        }
    };
    check(base(T, 2, bytes), at_two.clone());
    // No bytes, or within a line, or beyond the end: the ordinals say it.
    let no_bytes = base(T, 2, 0).replace(r#","end_byte_offset":0"#, "");
    check(no_bytes, at_two.clone());
    check(base(T, 2, 0), at_two.clone());
    check(base(T, 2, bytes - 1), at_two.clone());
    check(base(T, 2, 1 << 20), at_two);
    check(
        base(T, 4, first.bytes.len() as u64),
        Ok(first.bytes.clone()),
    );
    check(base(T, 3, bytes), Err(NoBase::Contradiction));
    check(base(T, 1, bytes), Err(NoBase::Contradiction));
    check(base(T, 5, 1 << 20), Err(NoBase::Beyond));
    check(base(CHILD, 2, bytes), Err(NoBase::Cycle));
    // Who says nothing usable goes on from nothing.
    for stated in [
        r#","history_base":{"thread_id":7,"end_ordinal_exclusive":2}"#,
        r#","history_base":{"thread_id":"a b","end_ordinal_exclusive":2}"#,
        r#","history_base":{}"#,
        r#","history_base":null"#,
    ] {
        check(stated.to_owned(), Ok(Vec::new()));
    }
}

/// What was found of a base is believed as long as that is as it was.
#[test]
fn a_base_that_does_not_fit_is_not_looked_at_again() {
    let files = family();
    let (_dir, store) = store();
    let mut short = files[0].clone();
    short.bytes = lines(&short, 1);
    let importing = |files: &[File]| {
        let awaited = import_all(&store, files, true);
        awaited
            .into_iter()
            .map(|awaited| awaited.why)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        importing(&[files[1].clone(), short.clone()]),
        [NoBase::Beyond]
    );
    let base = number(&store, T);
    let waiting = store.source.with(|state| {
        let waiting = state
            .awaiting()
            .map(|(rollout, awaited)| (rollout, awaited.clone()));
        waiting.collect::<Vec<_>>()
    });
    let [(rollout, awaited)] = waiting.as_slice() else {
        panic!("{waiting:?}");
    };
    let as_it_is = store.source.with(|state| {
        let own = state.own_records(base).unwrap();
        (own.end(), own.chain(), awaited.clone())
    });
    let of = (*rollout, base);
    assert_eq!(store.unfit_bases.known(of, &as_it_is), Some(Cut::Beyond));
    // What is noted is told: nobody looked.
    store.unfit_bases.note(of, as_it_is, Cut::Contradiction);
    assert_eq!(importing(&[short]), [NoBase::Contradiction]);
    assert_eq!(importing(&files[..1]), []);
    let expect = [lines(&files[0], 2), files[1].bytes.clone()].concat();
    assert!(shown(&store, T) == expect);
}

#[test]
fn a_base_that_is_too_short_may_grow() {
    let files = family();
    let (_dir, store) = store();
    let mut short = files[0].clone();
    short.bytes = lines(&short, 1);
    let awaited = import_all(&store, &[files[1].clone(), short], true);
    assert_eq!(awaited[0].why, NoBase::Beyond);
    assert_eq!(import_all(&store, &files[..1], true), []);
    let expect = [lines(&files[0], 2), files[1].bytes.clone()].concat();
    assert!(shown(&store, T) == expect);
}

/// Two rollouts that name each other: one of them goes on from the other.
#[test]
fn a_cycle_is_refused() {
    for is_shared in [false, true] {
        let (_dir, store) = store();
        let one = file((T, None), 1, &base(CHILD, 2, 0), &["x", "y"]);
        let other = file((CHILD, None), 1, &base(T, 2, 0), &["x", "y"]);
        let awaited = import_all(&store, &[one.clone(), other.clone()], is_shared);
        let why: Vec<_> = awaited.iter().map(|awaited| &awaited.why).collect();
        assert_eq!(why, [&NoBase::Cycle]);
        check_own(&store, &[one, other]);
    }
}

/// Names are records of ours in the rollout that was shown when they were given.
#[test]
fn a_name_outlives_a_change_of_what_is_shown() {
    let files = family();
    let name = |store: &Store| {
        let thread = number(store, T);
        let reader = store
            .source
            .with(|state| state.reader(state.current(thread)))
            .unwrap();
        let record = crate::import::current::newest_name(&reader).unwrap();
        record.map(|record| String::from_utf8(record.bytes).unwrap())
    };
    let listed = |store: &Store, given: &str| {
        let mut importer = store.importer().unwrap();
        let listed = ListedName {
            thread: T,
            name: given,
            named_at_ms: 5,
            list: ("session_index.jsonl", 100),
        };
        importer.name(listed).unwrap();
        importer.finish().unwrap();
    };
    // Named before any file came, and before each of the others.
    for named_at in 0..3 {
        for order in permutations(3) {
            let (_dir, store) = store();
            for (at, file) in order.iter().enumerate() {
                if at == named_at {
                    listed(&store, "teapot");
                }
                import_all(&store, &files[*file..=*file], true);
                if at >= named_at {
                    let found = name(&store);
                    let has = found.as_ref().is_some_and(|name| name.contains("teapot"));
                    assert!(has, "{order:?}, named before {named_at}: {found:?}");
                }
            }
            assert!(shown(&store, T) == shown_of_thread(&files), "{order:?}");
            // A name that comes later goes where the thread goes on.
            listed(&store, "kettle");
            assert!(name(&store).unwrap().contains("kettle"), "{order:?}");
        }
    }
}

#[test]
fn a_thread_is_archived_as_the_file_that_it_shows() {
    for order in permutations(3) {
        for archived in 0..3 {
            let mut files = family();
            files[archived].archived = true;
            let (_dir, store) = store();
            let ordered: Vec<_> = order.iter().map(|at| files[*at].clone()).collect();
            import_all(&store, &ordered, false);
            let is_archived = store.log_threads()[0].archived;
            assert_eq!(is_archived, archived == 2, "{order:?}, {archived}");
        }
    }
}

/// A thread that was imported before anybody read what its head says of a base.
#[test]
fn a_head_that_is_read_again_says_what_it_goes_on_from() {
    let files = family();
    let (_dir, store) = store();
    store.create_thread(CHILD).unwrap();
    let first = lines(&files[3], 1);
    store
        .append(CHILD, None, &[&first[..first.len() - 1]])
        .unwrap();
    assert_eq!(import_all(&store, &files, true), []);
    assert!(shown(&store, CHILD) == shown_of_child(&files));
    let child = number(&store, CHILD);
    let origin = store.source.with(|state| state.origin(child).cloned());
    assert!(matches!(origin, Some(Origin::Base(_))), "{origin:?}");
}

/// The file of a thread that was taken back to before anybody spoke may come before its first one.
#[test]
fn a_thread_is_called_by_its_first_file_whenever_that_comes() {
    let spoken = |text: &str| {
        let content = format!(r#"[{{"type":"text","text":"{text}"}}]"#);
        let item = format!(r#"{{"type":"UserMessage","id":"i","content":{content}}}"#);
        line(
            1,
            "event_msg",
            &format!(
                r#"{{"type":"item_completed","thread_id":"{T}","turn_id":"t","item":{item}}}"#
            ),
        )
    };
    let mut files = [file((T, None), 0, "", &[]), file((T, Some(B1)), 0, "", &[])];
    for (file, text) in files.iter_mut().zip(["at first", "anew"]) {
        file.bytes.extend_from_slice(spoken(text).as_bytes());
    }
    let preview = |store: &Store| store.show(T).unwrap().thread["preview"].clone();
    for order in permutations(2) {
        let (_dir, store) = store();
        import_all(&store, &[files[order[0]].clone()], false);
        assert_eq!(preview(&store), ["at first", "anew"][order[0]]);
        import_all(&store, &[files[order[1]].clone()], false);
        assert_eq!(preview(&store), "at first", "{order:?}");
        assert_eq!(store.index_difference(T).unwrap(), None);
    }
}

/// Whoever began a thread began it, also where what is shown now does not say so.
#[test]
fn a_spawned_thread_that_is_taken_back_keeps_its_parent() {
    let parent = format!(r#","parent_thread_id":"{CHILD}""#);
    let first = file((T, None), 0, &parent, &["one"]);
    let anew = file((T, Some(B1)), 0, "", &[]);
    let parent = |store: &Store| store.show(T).unwrap().thread["parentThreadId"].clone();
    for order in permutations(2) {
        let (_dir, store) = store();
        let files = [first.clone(), anew.clone()];
        let ordered: Vec<_> = order.iter().map(|at| files[*at].clone()).collect();
        import_all(&store, &ordered, false);
        assert!(shown(&store, T) == anew.bytes);
        assert_eq!(parent(&store), CHILD, "{order:?}");
        // A fork of it was not spawned.
        store.fork(T, B2, &ForkPoint::Latest).unwrap();
        let fork = store.show(B2).unwrap().thread;
        assert_eq!(fork["parentThreadId"], Value::Null);
        assert_eq!(store.index_difference(T).unwrap(), None);
    }
}
