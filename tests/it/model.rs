//! The whole store against a plain model: any sequence of operations, with reopenings, kills, power
//! cuts, lost and flipped indexes, a clock that jumps, and a second owner between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use turnleaf::{ErrorKind, ImportSource, ListedName, Options, Ordinal, Owner, Store};
use turnleaf_tests::rng::Rng;
use turnleaf_tests::sim_disk::{CrashPolicy, SimDisk};
use turnleaf_tests::soup;

const INDEX: &str = "index.redb";

/// What a store should hold: the records of each thread, lines and (`None`) names.
#[derive(Debug, Clone, Default)]
struct Model {
    threads: BTreeMap<u8, Vec<Option<Vec<u8>>>>,
    archived: BTreeSet<u8>,
    imported: BTreeSet<u8>,
    deleted: BTreeSet<u8>,
    /// Threads of which only names came, from a list of names: how many. They are not there.
    announced: BTreeMap<u8, usize>,
}

impl Model {
    /// The thread as it is once it is there: behind the names that waited for it.
    fn arrived(&mut self, thread: u8) -> &mut Vec<Option<Vec<u8>>> {
        let names = self.announced.remove(&thread).unwrap_or_default();
        let waited = || vec![None; names];
        self.threads.entry(thread).or_insert_with(waited)
    }
}

fn of_lines(lines: Vec<Vec<u8>>) -> impl Iterator<Item = Option<Vec<u8>>> {
    lines.into_iter().map(Some)
}

#[derive(Debug, Clone)]
enum Step {
    Create {
        thread: u8,
    },
    Append {
        thread: u8,
        count: u8,
        seed: u64,
    },
    /// The newest lines once more, saying where they belong: nothing is added.
    Retry {
        thread: u8,
        count: u8,
    },
    /// Other lines where something stands already: refused.
    Conflict {
        thread: u8,
        seed: u64,
    },
    /// The thread as a file that grew, or as a new one.
    Import {
        thread: u8,
        count: u8,
        seed: u64,
    },
    Name {
        thread: u8,
        text: String,
    },
    /// A name of a list of names, as an import takes it: the thread need not be there.
    ListName {
        thread: u8,
        text: String,
    },
    Archive {
        thread: u8,
        archived: bool,
    },
    Delete {
        thread: u8,
    },
    Seal,
    Rebuild,
    Reopen,
    Kill,
    PowerCut {
        policy: u64,
        seed: u64,
    },
    LoseIndex,
    FlipIndex {
        at: u64,
        bit: u8,
    },
    SecondOwner,
    /// The clock says something else from now on, as far back or ahead as it can.
    ClockJump {
        to_ms: i64,
    },
}

/// What the clock says, Unix milliseconds. Times are data: no answer depends on them.
static NOW_MS: AtomicI64 = AtomicI64::new(1);

fn now_ms() -> i64 {
    NOW_MS.load(Ordering::Relaxed)
}

fn id(thread: u8) -> String {
    format!("019b0000-0000-7000-8000-0000000000{thread:02x}")
}

fn lines(seed: u64, count: u8) -> Vec<Vec<u8>> {
    let mut rng = Rng::new(seed);
    let line = |_| {
        let mut line = soup::line(&mut rng);
        // A batch takes any bytes; an import ends a line at each line feed.
        line.retain(|byte| *byte != b'\n');
        line
    };
    (0..count).map(line).collect()
}

fn head(thread: u8) -> Vec<u8> {
    let payload = format!(
        r#"{{"id":"{}","timestamp":"2026-01-01T00:00:00Z","cwd":"/w","originator":"o","cli_version":"1","source":"cli","model_provider":null,"history_mode":"paginated"}}"#,
        id(thread)
    );
    let time = "2026-01-01T00:00:00Z";
    format!(r#"{{"timestamp":"{time}","type":"session_meta","payload":{payload}}}"#).into_bytes()
}

/// The lines of a thread as a file that has grown by some.
fn grown(known: Option<&Vec<Option<Vec<u8>>>>, thread: u8, count: u8, seed: u64) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = known.into_iter().flatten().flatten().cloned().collect();
    if all.is_empty() {
        all.push(head(thread));
    }
    all.extend(lines(seed, count));
    all
}

/// Whether an import can tell the thread from the file: its first line says so.
fn is_importable(known: Option<&Vec<Option<Vec<u8>>>>, thread: u8) -> bool {
    let first = known.into_iter().flatten().flatten().next();
    first.is_none_or(|first| *first == head(thread))
}

impl ReferenceStateMachine for Model {
    type State = Model;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Step> {
        // Some are deleted on the way.
        let thread = 0..6_u8;
        prop_oneof![
            3 => thread.clone().prop_map(|thread| Step::Create { thread }),
            8 => (thread.clone(), 1..20_u8, any::<u64>())
                .prop_map(|(thread, count, seed)| Step::Append { thread, count, seed }),
            2 => (thread.clone(), 1..6_u8)
                .prop_map(|(thread, count)| Step::Retry { thread, count }),
            1 => (thread.clone(), any::<u64>())
                .prop_map(|(thread, seed)| Step::Conflict { thread, seed }),
            3 => (thread.clone(), 0..30_u8, any::<u64>())
                .prop_map(|(thread, count, seed)| Step::Import { thread, count, seed }),
            1 => (thread.clone(), "[a-z]{0,8}")
                .prop_map(|(thread, text)| Step::Name { thread, text }),
            2 => (thread.clone(), "[a-z]{0,8}")
                .prop_map(|(thread, text)| Step::ListName { thread, text }),
            1 => (thread.clone(), any::<bool>())
                .prop_map(|(thread, archived)| Step::Archive { thread, archived }),
            1 => thread.prop_map(|thread| Step::Delete { thread }),
            2 => Just(Step::Seal),
            1 => Just(Step::Rebuild),
            2 => Just(Step::Reopen),
            2 => Just(Step::Kill),
            3 => (any::<u64>(), any::<u64>())
                .prop_map(|(policy, seed)| Step::PowerCut { policy, seed }),
            1 => Just(Step::LoseIndex),
            2 => (any::<u64>(), 0..8_u8).prop_map(|(at, bit)| Step::FlipIndex { at, bit }),
            1 => Just(Step::SecondOwner),
            1 => prop_oneof![Just(i64::MIN), Just(0), Just(i64::MAX), any::<i64>()]
                .prop_map(|to_ms| Step::ClockJump { to_ms }),
        ]
        .boxed()
    }

    fn apply(mut model: Model, step: &Step) -> Model {
        match step {
            Step::Create { thread } if !model.deleted.contains(thread) => {
                model.arrived(*thread);
            }
            Step::Append {
                thread,
                count,
                seed,
            } => {
                if let Some(known) = model.threads.get_mut(thread) {
                    known.extend(of_lines(lines(*seed, *count)));
                }
            }
            Step::Import {
                thread,
                count,
                seed,
            } => {
                let known = model.threads.get(thread);
                if is_importable(known, *thread) && !model.deleted.contains(thread) {
                    let lines = known.into_iter().flatten().flatten().count();
                    let added = grown(known, *thread, *count, *seed).split_off(lines);
                    model.arrived(*thread).extend(of_lines(added));
                    // The file lies among those that are not archived.
                    if model.imported.insert(*thread) {
                        model.archived.remove(thread);
                    }
                }
            }
            Step::Name { thread, .. } => {
                if let Some(known) = model.threads.get_mut(thread) {
                    known.push(None);
                }
            }
            Step::ListName { thread, .. } if !model.deleted.contains(thread) => {
                match model.threads.get_mut(thread) {
                    Some(known) => known.push(None),
                    None => *model.announced.entry(*thread).or_default() += 1,
                }
            }
            Step::Archive { thread, archived } if model.threads.contains_key(thread) => {
                if *archived {
                    model.archived.insert(*thread);
                } else {
                    model.archived.remove(thread);
                }
            }
            Step::Delete { thread } if model.threads.remove(thread).is_some() => {
                model.archived.remove(thread);
                model.deleted.insert(*thread);
            }
            _ => {}
        }
        model
    }
}

/// The store under test, on a disk that can lose power.
struct Subject {
    disk: SimDisk,
    store: Option<Store>,
    before: Model,
}

fn open(disk: &SimDisk) -> Result<Store, turnleaf::Error> {
    let owner = Owner {
        pid: 1,
        host: "sim".into(),
        since_ms: now_ms(),
    };
    let options = Options {
        journal_first_bytes: 32 << 10,
        journal_file_bytes: 64 << 10,
        journal_files_max: 4,
        seal_bytes_min: 8 << 10,
        segment_boundary_bytes: 16 << 10,
        segment_bytes_max: 64 << 10,
        reserve_bytes: 8 << 10,
        ..Options::default()
    };
    Store::open_on(Arc::new(disk.clone()), options, &owner, true, now_ms)
}

impl Subject {
    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open between the steps")
    }

    fn reopen(&mut self) {
        self.store = None;
        let store = open(&self.disk).expect("a store that lost nothing opens");
        assert_eq!(store.report().damage, [], "no step is damage");
        self.store = Some(store);
    }

    fn append(&self, thread: u8, at: Option<u64>, lines: &[Vec<u8>]) -> Result<bool, ErrorKind> {
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let appended = self.store().append(&id(thread), at.map(Ordinal), &lines);
        appended
            .map(|appended| appended.duplicate)
            .map_err(|error| error.kind())
    }

    fn import(&self, thread: u8, all: &[Vec<u8>]) {
        let mut bytes = all.join(&b'\n');
        bytes.push(b'\n');
        let mut plain = bytes.as_slice();
        let source = ImportSource {
            path: "model",
            thread_hint: None,
            plain: &mut plain,
            file_bytes: bytes.len() as u64,
            modified_ns: 1,
            archived: false,
        };
        let imported = self.store().import(source, &mut |_| {});
        let imported = imported.expect("memory does not fail");
        let deleted = self.before.deleted.contains(&thread);
        assert_eq!(
            imported.done().err(),
            deleted.then(|| turnleaf::Skip::Deleted(id(thread)))
        );
    }

    fn step(&mut self, step: Step) {
        let known = |thread: u8| self.before.threads.get(&thread);
        match step {
            Step::Create { thread } => {
                let made = self.store().create_thread(&id(thread));
                let free = known(thread).is_none() && !self.before.deleted.contains(&thread);
                assert_eq!(made.is_ok(), free);
            }
            Step::Append {
                thread,
                count,
                seed,
            } => {
                let said = self.append(thread, None, &lines(seed, count));
                let expect = known(thread).map(|_| false).ok_or(ErrorKind::NotFound);
                assert_eq!(said, expect);
            }
            Step::Retry { thread, count } => {
                let Some(all) = known(thread).filter(|all| all.len() >= usize::from(count)) else {
                    return;
                };
                let (before, newest) = all.split_at(all.len() - usize::from(count));
                let newest: Option<Vec<Vec<u8>>> = newest.iter().cloned().collect();
                if let Some(newest) = newest {
                    let said = self.append(thread, Some(before.len() as u64), &newest);
                    assert_eq!(said, Ok(true));
                }
            }
            Step::Conflict { thread, seed } => {
                let Some(all) = known(thread).filter(|all| !all.is_empty()) else {
                    return;
                };
                let mut other = lines(seed, 1);
                other[0].push(b'~');
                if Some(&other[0]) != all[all.len() - 1].as_ref() {
                    let said = self.append(thread, Some(all.len() as u64 - 1), &other);
                    assert_eq!(said, Err(ErrorKind::Invalid));
                }
            }
            Step::Import {
                thread,
                count,
                seed,
            } => {
                let known = known(thread);
                if is_importable(known, thread) {
                    self.import(thread, &grown(known, thread, count, seed));
                }
            }
            Step::Name { thread, text } => {
                let named = self.store().set_name(&id(thread), &text);
                assert_eq!(named.is_ok(), known(thread).is_some());
            }
            Step::ListName { thread, text } => {
                let mut importer = self.store().importer().expect("it is the owner's");
                let named = importer.name(ListedName {
                    thread: &id(thread),
                    name: &text,
                    named_at_ms: now_ms(),
                    list: ("session_index.jsonl", 1),
                });
                assert_eq!(named.is_ok(), !self.before.deleted.contains(&thread));
                importer.finish().expect("memory does not fail");
            }
            Step::Archive { thread, archived } => {
                let done = if archived {
                    self.store().archive(&id(thread))
                } else {
                    self.store().unarchive(&id(thread))
                };
                assert_eq!(done.is_ok(), known(thread).is_some());
            }
            Step::Delete { thread } => {
                let done = self.store().delete(&id(thread));
                let expect = known(thread).map(drop).ok_or(ErrorKind::NotFound);
                assert_eq!(done.map_err(|error| error.kind()), expect);
            }
            Step::Seal => drop(self.store().seal_all().expect("sealed")),
            Step::Rebuild => {
                let rebuilt = self.store().rebuild_index(&mut |_| {}).expect("rebuilt");
                assert_eq!(rebuilt.threads, self.before.threads.len() as u64);
            }
            Step::Reopen => {
                let store = self.store.take().expect("it is open");
                store.close().expect("closed");
                self.reopen();
            }
            Step::Kill => self.reopen(),
            Step::PowerCut { policy, seed } => {
                self.store = None;
                self.disk = self.disk.after_crash(CrashPolicy::by_number(policy), seed);
                self.reopen();
            }
            Step::LoseIndex => {
                self.store = None;
                let _ = turnleaf_engine::disk::Disk::remove(&self.disk, INDEX);
                self.reopen();
            }
            Step::FlipIndex { at, bit } => {
                self.store = None;
                if let Some(len) = self.disk.bytes(INDEX).map(|bytes| bytes.len() as u64) {
                    self.disk.flip(INDEX, at % len.max(1), bit);
                }
                self.reopen();
            }
            Step::ClockJump { to_ms } => NOW_MS.store(to_ms, Ordering::Relaxed),
            Step::SecondOwner => {
                let second = open(&self.disk);
                assert_eq!(
                    second.err().map(|error| error.kind()),
                    Some(ErrorKind::Busy)
                );
            }
        }
    }
}

struct Test;

impl StateMachineTest for Test {
    type SystemUnderTest = Subject;
    type Reference = Model;

    fn init_test(_: &Model) -> Subject {
        let disk = SimDisk::new();
        let store = open(&disk).expect("a new store");
        Subject {
            disk,
            store: Some(store),
            before: Model::default(),
        }
    }

    fn apply(mut subject: Subject, model: &Model, step: Step) -> Subject {
        subject.step(step);
        subject.before = model.clone();
        subject
    }

    /// The log holds the model's lines, and the index what the log makes.
    fn check_invariants(subject: &Subject, model: &Model) {
        let store = subject.store();
        let listed = store.log_threads().into_iter();
        let mut known: Vec<(String, bool)> = listed.map(|t| (t.id, t.archived)).collect();
        known.sort();
        let threads = model.threads.keys();
        let expect = threads.map(|thread| (id(*thread), model.archived.contains(thread)));
        let expect: Vec<_> = expect.collect();
        assert_eq!(known, expect);
        for (thread, records) in &model.threads {
            let lines: Vec<&[u8]> = records.iter().flatten().map(Vec::as_slice).collect();
            let mut out = Vec::new();
            store.export(&id(*thread), .., &mut out).expect("an export");
            let mut whole = lines.join(&b'\n');
            if !lines.is_empty() {
                whole.push(b'\n');
            }
            assert!(
                out == whole,
                "thread {thread}: {} of {}",
                out.len(),
                whole.len()
            );
            store.show(&id(*thread)).expect("the thread is shown");
            assert_eq!(
                store.index_difference(&id(*thread)).expect("compared"),
                None
            );
        }
        assert_eq!(store.damage_seen(), []);
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_of_operations_does_what_the_model_does(sequential 1..40 => Test);
}
