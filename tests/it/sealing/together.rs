//! The sealer beside appends, imports, deletions, archives and readers in one process: with real
//! OS threads and a power cut or a kill at any moment; and on one thread, with something
//! done at every point of a seal.
//!
//! What is judged: every acknowledged line is there, in the order of its writer, once; nothing is
//! there that nobody wrote; who was deleted stays away.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;

use turnleaf::{ErrorKind, ImportSource, Ordinal, Store};
use turnleaf_tests::hooked::is_segment;
use turnleaf_tests::rng::Rng;
use turnleaf_tests::sim_disk::{CrashPolicy, SimDisk};
use turnleaf_tests::stores::open_store;

use super::{exported, head, options, store_with, watched};

/// What one thread was given by its one writer: lines are its numbers from 0.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    staged: u64,
    acknowledged: u64,
    /// Its deletion was asked for, and acknowledged.
    deletion: (bool, bool),
}

type Book = Mutex<BTreeMap<String, Told>>;

fn told(book: &Book, thread: &str, change: impl FnOnce(&mut Told)) {
    let mut book = book.lock().unwrap();
    change(book.entry(thread.to_owned()).or_default());
}

/// Line `number` of a thread; of a rollout when it is the first.
fn line(thread: &str, number: u64, bytes: u64) -> String {
    if number == 0 {
        return head(thread);
    }
    let text = "x".repeat(usize::try_from(bytes).unwrap());
    format!("{{\"thread\":\"{thread}\",\"number\":{number},\"text\":\"{text}\"}}")
}

/// Whether a line is the one with this number, whatever its length.
fn is_line(found: &str, thread: &str, number: u64) -> bool {
    let begin = line(thread, number, 0);
    let begin = begin
        .strip_suffix("\"}")
        .filter(|_| number > 0)
        .unwrap_or(&begin);
    found.starts_with(begin)
}

/// Compares a store with what was told before and after the moment that it shows.
fn judge(store: &Store, before: &BTreeMap<String, Told>, after: &BTreeMap<String, Told>, at: &str) {
    assert_eq!(store.report().damage, [], "{at}");
    for (thread, late) in after {
        let early = before.get(thread).copied().unwrap_or_default();
        let mut out = Vec::new();
        match store.export(thread, .., &mut out) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let excused = late.deletion.0 || early.acknowledged == 0;
                assert!(excused, "{at}: {thread} is gone, {early:?}");
                continue;
            }
            Err(error) => panic!("{at}: {thread}: {error}"),
        }
        assert!(!early.deletion.1, "{at}: {thread} is back");
        let text = String::from_utf8(out).unwrap();
        let mut count = 0;
        for found in text.lines() {
            let right = is_line(found, thread, count);
            assert!(right, "{at}: {thread} has {found:.80} as {count}");
            count += 1;
        }
        let range = early.acknowledged..=late.staged;
        assert!(
            range.contains(&count),
            "{at}: {thread} has {count} of {range:?}"
        );
    }
    assert_eq!(store.damage_seen(), [], "{at}");
}

fn append(store: &Store, book: &Book, thread: &str, count: u64, bytes: u64) {
    let mut from = 0;
    told(book, thread, |told| {
        from = told.staged;
        told.staged += count;
    });
    let lines: Vec<String> = (from..from + count)
        .map(|at| line(thread, at, bytes))
        .collect();
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let appended = store.append(thread, Some(Ordinal(from)), &lines).unwrap();
    assert_eq!(appended.first.0, from, "{thread}");
    told(book, thread, |told| told.acknowledged = from + count);
}

/// Imports a rollout that goes on where the thread ends, in one or more segments.
fn import(store: &Store, book: &Book, thread: &str, lines: u64) {
    let mut source = exported(store, thread);
    let mut end = 0;
    told(book, thread, |told| {
        end = told.staged + lines;
        for number in told.staged..end {
            source.extend_from_slice(line(thread, number, 30_000).as_bytes());
            source.push(b'\n');
        }
        told.staged = end;
    });
    let imported = store.import(
        ImportSource {
            path: &format!("{thread}.jsonl"),
            thread_hint: Some(thread),
            plain: &mut &source[..],
            file_bytes: source.len() as u64,
            modified_ns: 1,
            archived: false,
        },
        &mut |_| {},
    );
    assert_eq!(imported.unwrap().done().unwrap().records, end, "{thread}");
    told(book, thread, |told| told.acknowledged = end);
}

fn delete(store: &Store, book: &Book, thread: &str) {
    told(book, thread, |told| told.deletion.0 = true);
    store.delete(thread).unwrap();
    told(book, thread, |told| told.deletion.1 = true);
}

/// One writer with threads of its own.
fn write(store: &Store, book: &Book, writer: u64, seed: u64, steps: u64) {
    let mut rng = Rng::new(seed << 8 | writer);
    let mut threads: Vec<String> = Vec::new();
    for step in 0..steps {
        if threads.len() < 3 {
            let thread = format!("w{writer}-{step}");
            store.create_thread(&thread).unwrap();
            append(store, book, &thread, 1, 0);
            threads.push(thread);
        }
        let at = usize::try_from(rng.below(threads.len() as u64)).unwrap();
        let thread = threads[at].clone();
        match rng.below(40) {
            0 => {
                delete(store, book, &thread);
                threads.swap_remove(at);
            }
            1 => store.archive(&thread).unwrap(),
            2 => store.unarchive(&thread).unwrap(),
            3 if writer == 0 => import(store, book, &thread, 45),
            4 => drop(exported(store, &thread)),
            5 => drop(store.seal_all().unwrap()),
            many => append(store, book, &thread, 1 + many % 3, 100 * many),
        }
    }
}

/// Looks at the disk as a kill or a power cut leaves it, again and again until all is over.
fn crash(disk: &SimDisk, book: &Book, seed: u64, is_over: &AtomicBool) -> u64 {
    let mut rng = Rng::new(seed);
    let mut judged = 0;
    while !is_over.load(Ordering::SeqCst) || judged == 0 {
        let before = book.lock().unwrap().clone();
        // What a kill leaves is all that the cache shows.
        let left = disk.fork();
        let after = book.lock().unwrap().clone();
        let policy = CrashPolicy::by_number(rng.number());
        let number = rng.number();
        for (what, disk) in [
            ("kill", left.fork()),
            ("cut", left.after_crash(policy, number)),
        ] {
            let at = format!("seed {seed}, {what} {judged}, {policy:?} {number}");
            let store = open_store(&disk, &options()).expect(&at);
            judge(&store, &before, &after, &at);
        }
        judged += 1;
    }
    judged
}

#[test]
fn a_process_in_which_all_happens_at_once_loses_nothing() {
    let mut judged = 0;
    for seed in 0..3 {
        let disk = SimDisk::new();
        let store = store_with(&disk, true, |_, _| Ok(()));
        let (book, is_over) = (Book::default(), AtomicBool::new(false));
        judged += watched(|| {
            thread::scope(|scope| {
                let (store, book) = (&store, &book);
                let writers: Vec<_> = (0..3)
                    .map(|writer| scope.spawn(move || write(store, book, writer, seed, 80)))
                    .collect();
                let crashes = scope.spawn(|| crash(&disk, book, seed, &is_over));
                let ends: Vec<_> = writers
                    .into_iter()
                    .map(thread::ScopedJoinHandle::join)
                    .collect();
                is_over.store(true, Ordering::SeqCst);
                assert!(ends.iter().all(Result::is_ok), "seed {seed}");
                crashes.join().unwrap()
            })
        });
        let book = book.into_inner().unwrap();
        judge(&store, &book, &book, &format!("seed {seed}"));
        assert!(
            store.verify(None, &mut |_| {}).unwrap().is_ok(),
            "seed {seed}"
        );
        store.close().unwrap();
        let store = open_store(&disk, &options()).unwrap();
        judge(&store, &book, &book, &format!("seed {seed}, opened again"));
        assert!(
            store.verify(None, &mut |_| {}).unwrap().is_ok(),
            "seed {seed}"
        );
    }
    println!("all at once: {judged} moments");
}

/// What may happen between two calls of a seal.
const BETWEEN: [fn(&Store, &Book); 6] = [
    |store, book| append(store, book, "sealed", 2, 50),
    |store, book| delete(store, book, "sealed"),
    |store, book| append(store, book, "other", 2, 50),
    |store, book| delete(store, book, "other"),
    |store, _| store.archive("sealed").unwrap(),
    |store, book| {
        store.create_thread("new").unwrap();
        append(store, book, "new", 1, 0);
        import(store, book, "new", 45);
    },
];

/// Seals with the given thing done before call number `at` of the segments; returns how many calls
/// there were.
fn seal_with(between: fn(&Store, &Book), at: u64) -> u64 {
    let disk = SimDisk::new();
    let (calls, slot) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(OnceLock::<Weak<Store>>::new()),
    );
    let book = Arc::new(Book::default());
    let armed = Arc::new(AtomicBool::new(false));
    let (count, inside, noted, on) = (
        Arc::clone(&calls),
        Arc::clone(&slot),
        Arc::clone(&book),
        Arc::clone(&armed),
    );
    let store = store_with(&disk, false, move |call, path| {
        // A removal is made under the lock of the log.
        let of_seal = is_segment(path) || path == "segments";
        if !of_seal || call == "remove" || !on.load(Ordering::SeqCst) {
            return Ok(());
        }
        if count.fetch_add(1, Ordering::SeqCst) == at {
            on.store(false, Ordering::SeqCst);
            between(&inside.get().unwrap().upgrade().unwrap(), &noted);
        }
        Ok(())
    });
    let store = Arc::new(store);
    slot.set(Arc::downgrade(&store)).unwrap();
    for thread in ["sealed", "other"] {
        store.create_thread(thread).unwrap();
        append(&store, &book, thread, 1, 0);
    }
    append(&store, &book, "sealed", 9, 1000);
    let state = store.seal_by_turns().unwrap();
    armed.store(true, Ordering::SeqCst);
    let mut state = watched(|| store.sealer_turn(state, turnleaf::Woken::ByWork).unwrap());
    armed.store(false, Ordering::SeqCst);
    let told = book.lock().unwrap().clone();
    judge(&store, &told, &told, &format!("call {at}"));
    for policy in CrashPolicy::ALL {
        let left = open_store(&disk.after_crash(policy, at), &options()).unwrap();
        judge(&left, &told, &told, &format!("call {at}, {policy:?}"));
    }
    while state == turnleaf::SealerState::Ready {
        state = store.sealer_turn(state, turnleaf::Woken::ByWork).unwrap();
    }
    store.seal_all().unwrap();
    judge(&store, &told, &told, &format!("call {at}, all sealed"));
    assert!(
        store.verify(None, &mut |_| {}).unwrap().is_ok(),
        "call {at}"
    );
    calls.load(Ordering::SeqCst)
}

#[test]
fn something_happens_at_every_call_of_a_seal() {
    for between in BETWEEN {
        let calls = seal_with(between, u64::MAX);
        assert!(calls > 6, "{calls} calls");
        for at in 0..calls {
            seal_with(between, at);
        }
    }
}
