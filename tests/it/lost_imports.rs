//! Imports into a thread of which a repair gave records up: what is lost stays lost, and nobody is
//! told that all is there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use turnleaf::{ImportSource, Imported, Options, Ordinal, Skip, Store};
use turnleaf_engine::disk::Disk;
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::stores::{open_store, owner};

/// One segment, of several blocks.
fn options() -> Options {
    Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 1 << 20,
        reserve_bytes: 0,
        ..Options::default()
    }
}

const PATH: &str = "rollout.jsonl";
const THREAD: &str = "019c0000-0000-7000-8000-0000000000cc";
const LINES: usize = 400;

fn line(at: usize) -> String {
    // Long enough that half of the thread is written as a segment and never stands in the journal.
    let noise = (0..400).map(|part: u64| {
        let seed = at as u64 * 1_000 + part;
        format!("{:016x}", seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    });
    let noise: String = noise.collect();
    let payload = format!(
        r#"{{"type":"user_message","message":"{noise}","local_images":[],"text_elements":[]}}"#
    );
    let time = "2026-01-01T00:00:01.000Z";
    format!(r#"{{"timestamp":"{time}","type":"event_msg","payload":{payload}}}"#)
}

fn lines() -> Vec<String> {
    let payload = format!(
        r#"{{"id":"{THREAD}","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null}}"#
    );
    let time = "2026-01-01T00:00:00.000Z";
    let mut lines = vec![format!(
        r#"{{"timestamp":"{time}","type":"session_meta","payload":{payload}}}"#
    )];
    lines.extend((1..LINES).map(line));
    // A boundary is a property of its record, which the chain covers.
    let boundary = r#"{"message":"","replacement_history":[],"window_number":1}"#;
    for at in (10..LINES).step_by(20) {
        lines[at] = format!(r#"{{"timestamp":"{time}","type":"compacted","payload":{boundary}}}"#);
    }
    lines
}

fn plain(lines: &[String]) -> Vec<u8> {
    let lines = lines.iter().map(|line| format!("{line}\n"));
    lines.collect::<String>().into_bytes()
}

fn import(disk: &SimDisk, lines: &[String]) -> Result<Imported, Skip> {
    let store = open_store(disk, &options()).unwrap();
    let imported = import_into(&store, lines);
    store.seal_all().unwrap();
    store.close().unwrap();
    imported
}

fn import_into(store: &Store, lines: &[String]) -> Result<Imported, Skip> {
    let bytes = plain(lines);
    let source = ImportSource {
        path: PATH,
        thread_hint: None,
        plain: &mut bytes.as_slice(),
        file_bytes: bytes.len() as u64,
        modified_ns: 1,
        archived: false,
    };
    store.import(source, &mut |_| {}).unwrap().done()
}

fn export(disk: &SimDisk) -> Vec<u8> {
    let store = open_store(disk, &options()).unwrap();
    let mut out = Vec::new();
    store.export(THREAD, .., &mut out).unwrap();
    assert_eq!(store.damage_seen(), []);
    let report = store.verify(None, &mut |_| {}).unwrap();
    assert!(report.is_ok(), "{:?}", report.damage);
    out
}

/// A thread of which a repair gave records up, because a byte of a segment changed; which ones is
/// for `wanted` to say.
fn damaged(
    prepare: &dyn Fn(&Store),
    segment: &str,
    wanted: &dyn Fn(u64, u64) -> bool,
) -> (SimDisk, (u64, u64)) {
    let whole = SimDisk::new();
    let store = open_store(&whole, &options()).unwrap();
    prepare(&store);
    store.seal_all().unwrap();
    store.close().unwrap();
    let mut seen = Vec::new();
    let len = whole.bytes(segment).unwrap().len() as u64;
    for at in (0..len).step_by(place(len / 100)) {
        let disk = whole.fork();
        disk.flip(segment, at, 3);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        Store::repair_on(&shared, &options(), &owner(), None).unwrap();
        let store = open_store(&disk, &options()).unwrap();
        let given_up = store.given_up(THREAD).unwrap();
        store.close().unwrap();
        seen.push(given_up.clone());
        if let [lost] = &given_up[..]
            && wanted(lost.start.0, lost.end.0)
        {
            return (disk, (lost.start.0, lost.end.0));
        }
    }
    panic!("no place costs what is wanted: {seen:?}");
}

fn with_loss(wanted: &dyn Fn(u64, u64) -> bool) -> (SimDisk, (u64, u64)) {
    let prepare = |store: &Store| {
        import_into(store, &lines()).unwrap();
    };
    damaged(&prepare, "segments/0000000000000001.tls", wanted)
}

fn in_the_middle(first: u64, end: u64) -> bool {
    0 < first && end < LINES as u64
}

fn place(at: u64) -> usize {
    usize::try_from(at).unwrap()
}

/// The lines that are left.
fn left((first, end): (u64, u64)) -> Vec<String> {
    let mut lines = lines();
    lines.drain(place(first)..place(end));
    lines
}

#[test]
fn the_intact_original_is_recognised_and_what_is_new_in_it_is_added() {
    let at_the_beginning = |first, _| first == 0;
    let at_the_end = |_, end| end == LINES as u64;
    let places: [&dyn Fn(u64, u64) -> bool; 3] = [&at_the_beginning, &in_the_middle, &at_the_end];
    for wanted in places {
        let (disk, range) = with_loss(wanted);
        let lost = |added_records: u64, bytes: &[u8]| {
            let imported = Imported {
                thread: THREAD.to_owned(),
                records: LINES as u64 + added_records,
                bytes: bytes.len() as u64,
                added_records,
                rollout: THREAD.to_owned(),
                ..Imported::default()
            };
            Err(Skip::HasLost {
                thread: THREAD.to_owned(),
                ordinals: vec![Ordinal(range.0)..Ordinal(range.1)],
                imported: Box::new(imported),
            })
        };
        let (mut source, mut rest) = (lines(), left(range));
        // Twice: that it was imported makes nothing whole.
        for _ in 0..2 {
            assert_eq!(
                import(&disk, &source),
                lost(0, &plain(&source)),
                "{range:?}"
            );
            assert!(export(&disk) == plain(&rest));
        }
        for more in [&mut source, &mut rest] {
            more.extend((LINES..LINES + 3).map(line));
        }
        assert_eq!(
            import(&disk, &source),
            lost(3, &plain(&source)),
            "{range:?}"
        );
        assert!(export(&disk) == plain(&rest));
        let store = open_store(&disk, &options()).unwrap();
        let bytes = plain(&source).len() as u64;
        let importer = store.importer().unwrap();
        assert_eq!(importer.is_current(PATH, bytes, 1), None);
    }
}

/// What was given up stands there no more, whoever appends it again.
#[test]
fn a_retry_of_what_a_repair_gave_up_is_a_conflict() {
    for wanted in [&in_the_middle as &dyn Fn(u64, u64) -> bool, &|first, _| {
        first == 0
    }] {
        let (disk, (first, end)) = with_loss(wanted);
        let store = open_store(&disk, &options()).unwrap();
        let all = lines();
        let batch = |from: u64, to: u64| -> Vec<&[u8]> {
            let lines = all[place(from)..place(to)].iter();
            lines.map(|line| line.as_bytes()).collect()
        };
        for (from, to) in [(first, end), (first, end + 2)] {
            let again = store.append(THREAD, Some(Ordinal(from)), &batch(from, to));
            assert!(again.is_err(), "{from}..{to}: {again:?}");
        }
        let kept = store
            .append(THREAD, Some(Ordinal(end)), &batch(end, end + 2))
            .unwrap();
        assert!(kept.duplicate);
    }
}

#[test]
fn what_is_not_proven_changes_nothing() {
    let (disk, (first, end)) = with_loss(&in_the_middle);
    let check = |what: &str, source: &[String], expect: &Skip| {
        assert_eq!(import(&disk, source).as_ref(), Err(expect), "{what}");
        assert!(export(&disk) == plain(&left((first, end))), "{what}");
    };
    let may_have = Skip::MayHaveLost {
        thread: THREAD.to_owned(),
        ordinals: Ordinal(first)..Ordinal(end),
    };
    let middle = place(first + end) / 2;
    let mut changed = lines();
    changed[middle].push(' ');
    changed.push(line(LINES));
    check("another line", &changed, &may_have);
    changed = lines();
    changed.remove(middle);
    check("a line less", &changed, &may_have);
    check("only the beginning", &lines()[..middle], &may_have);
    // A file that goes on with what stands behind the loss has none of it.
    let same = import(&disk, &left((first, end))).unwrap();
    assert_eq!(same.added_records, 0);
    changed = lines();
    changed.last_mut().unwrap().insert(5, 'x');
    let before = plain(&lines()[..LINES - 1]).len() as u64;
    let differs = Skip::Differs {
        thread: THREAD.to_owned(),
        at: before + 5,
    };
    check("another line behind the loss", &changed, &differs);
    changed = lines();
    changed[place(first) - 1].insert(5, 'x');
    let before = plain(&lines()[..place(first) - 1]).len() as u64;
    let differs = Skip::Differs {
        thread: THREAD.to_owned(),
        at: before + 5,
    };
    check("another line before the loss", &changed, &differs);
}

#[test]
fn an_earlier_capture_lacks_nothing_that_was_lost_behind_its_end() {
    let (disk, (first, end)) = with_loss(&in_the_middle);
    for kept in [first - 1, first] {
        let capture = &lines()[..place(kept)];
        let imported = import(&disk, capture).unwrap();
        assert_eq!(
            (imported.records, imported.added_records),
            (LINES as u64, 0)
        );
    }
    assert!(export(&disk) == plain(&left((first, end))));
}

/// A name is a record of our own: where it is among the lost ones, nobody knows what it said.
#[test]
fn lines_are_not_proven_where_a_name_was_lost_with_them() {
    const MIDDLE: usize = LINES / 2;
    let named = |store: &Store| {
        import_into(store, &lines()[..MIDDLE]).unwrap();
        store.set_name(THREAD, "a name").unwrap();
        import_into(store, &lines()).unwrap();
    };
    let has_name = |first, end| (first..end).contains(&(MIDDLE as u64));
    let (disk, range) = damaged(&named, "segments/0000000000000002.tls", &has_name);
    let before = export(&disk);
    let expect = Skip::MayHaveLost {
        thread: THREAD.to_owned(),
        ordinals: Ordinal(range.0)..Ordinal(range.1),
    };
    assert_eq!(import(&disk, &lines()), Err(expect));
    assert!(export(&disk) == before);
}
