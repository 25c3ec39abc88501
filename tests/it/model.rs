//! The whole store against a plain model: any sequence of operations, with reopenings, kills, power
//! cuts, lost and flipped indexes, a clock that jumps, and a second owner between them.

mod plain;
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use plain::{Model, Step, grown, head, id, lines, turn_line};
use proptest::prelude::ProptestConfig;
use proptest_state_machine::{StateMachineTest, prop_state_machine};
use threads::Record;
use turnleaf::{ErrorKind, ForkPoint, ImportSource, ListedName, Options, Ordinal, Owner, Store};
use turnleaf_tests::sim_disk::{CrashPolicy, SimDisk};

const INDEX: &str = "index.redb";

/// Whether an export is these lines.
#[track_caller]
fn assert_lines(what: &str, out: &[u8], records: &[Record]) {
    let lines: Vec<&[u8]> = records.iter().flatten().map(Vec::as_slice).collect();
    let mut whole = lines.join(&b'\n');
    if !lines.is_empty() {
        whole.push(b'\n');
    }
    assert!(out == whole, "{what}: {} of {}", out.len(), whole.len());
}

/// What the clock says, Unix milliseconds. Times are data: no answer depends on them.
static NOW_MS: AtomicI64 = AtomicI64::new(1);

fn now_ms() -> i64 {
    NOW_MS.load(Ordering::Relaxed)
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

    fn import(&self, thread: u8, mut all: Vec<Vec<u8>>, added: Vec<Vec<u8>>, again: bool) {
        all.extend(added);
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
        let importer = self.store().importer().expect("it is the owner's");
        let mut importer = importer.again(again);
        let imported = importer.import(source, &mut |_| {});
        let imported = imported.expect("memory does not fail");
        importer.finish().expect("memory does not fail");
        let deleted = self.before.deleted.contains(&thread) && !again;
        assert_eq!(
            imported.done().err(),
            deleted.then(|| turnleaf::Skip::Deleted(id(thread)))
        );
    }

    fn step(&mut self, step: Step) {
        let known = |thread: u8| self.before.threads.shown(thread);
        match step {
            Step::Create { thread } => {
                let made = self.store().create_thread(&id(thread));
                let threads = &self.before.threads;
                let free = !threads.has(thread) && !self.before.deleted.contains(&thread);
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
                let inherited = self.before.threads.inherited(thread);
                let least = inherited + usize::from(count);
                let Some(all) = known(thread).filter(|all| all.len() >= least) else {
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
                let inherited = self.before.threads.inherited(thread);
                let Some(all) = known(thread).filter(|all| all.len() > inherited) else {
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
                again,
            } => {
                if let Some(file) = self.before.file_of(thread) {
                    let added = grown(&file, head(thread, None), count, seed);
                    self.import(thread, file, added, again);
                }
            }
            Step::ImportFork {
                thread,
                base,
                count,
                seed,
            } => {
                if !self.before.threads.has(thread) {
                    let all = grown(&[], head(thread, Some(base)), count, seed);
                    self.import(thread, all, Vec::new(), false);
                }
            }
            Step::Turn { thread, turn } => {
                let said = self.append(thread, None, &[turn_line(turn)]);
                let expect = known(thread).map(|_| false).ok_or(ErrorKind::NotFound);
                assert_eq!(said, expect);
            }
            Step::Fork { of, thread, at } => {
                let shown = known(of).map_or(0, |shown| shown.len());
                let point = ForkPoint::AtOrdinal(Ordinal((usize::from(at) % (shown + 1)) as u64));
                let forked = self.store().fork(&id(of), &id(thread), &point);
                let cut = self.before.cut(of, thread, at);
                let inherited = forked.ok().map(|forked| forked.inherited);
                assert_eq!(inherited, cut.map(|cut| Ordinal(cut as u64)));
            }
            Step::Revert { thread, turn } => {
                let reverted = self.store().revert(&id(thread), &format!("turn-{turn}"));
                let cut = self.before.turn_at(thread, turn);
                let inherited = reverted.map(|reverted| reverted.inherited);
                let expect = cut.map(|cut| Ordinal(cut as u64));
                let expect = expect.ok_or(ErrorKind::NotFound);
                assert_eq!(inherited.map_err(|error| error.kind()), expect);
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
                let forks = self.before.threads.forks_of(thread);
                let expect = match known(thread) {
                    None => Err(ErrorKind::NotFound),
                    Some(_) if !forks.is_empty() => Err(ErrorKind::Invalid),
                    Some(_) => Ok(()),
                };
                assert_eq!(done.map_err(|error| error.kind()), expect);
            }
            Step::Seal => drop(self.store().seal_all().expect("sealed")),
            Step::Rebuild => {
                let rebuilt = self.store().rebuild_index(&mut |_| {}).expect("rebuilt");
                assert_eq!(rebuilt.threads, self.before.threads.0.len() as u64);
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
        let threads = model.threads.0.keys();
        let expect = threads.map(|thread| (id(*thread), model.archived.contains(thread)));
        let expect: Vec<_> = expect.collect();
        assert_eq!(known, expect);
        for (thread, rollouts) in &model.threads.0 {
            let shown = model.threads.shown(*thread).expect("it is there");
            let mut out = Vec::new();
            let written = store.export(&id(*thread), Ordinal(0).., &mut out);
            written.expect("an export");
            assert_lines(&format!("thread {thread}"), &out, &shown);
            let infos = store.rollouts(&id(*thread)).expect("it is there");
            assert_eq!(infos.len(), rollouts.len());
            for (rollout, info) in rollouts.iter().zip(&infos) {
                let mut out = Vec::new();
                let written = store.export_rollout(&id(*thread), info.number, &mut out);
                written.expect("an export");
                assert_lines(&format!("a rollout of {thread}"), &out, &rollout.own);
                assert_eq!(info.awaits, rollout.awaits.map(id));
                let base = rollout
                    .base
                    .map(|((of, _), end)| (id(of), Ordinal(end as u64)));
                let told = info
                    .base
                    .as_ref()
                    .map(|base| (base.thread.clone(), base.end));
                assert_eq!(told, base);
            }
            let forks: Vec<String> = model
                .threads
                .forks_of(*thread)
                .into_iter()
                .map(id)
                .collect();
            let mut told = store.forks_of(&id(*thread)).expect("it is there");
            told.sort();
            assert_eq!(told, forks);
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
