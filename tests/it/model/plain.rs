//! Owns the plain model of a store, the steps that change both, and what each does to the model. It
//! must not know the store.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;
use turnleaf_projector::payload;
use turnleaf_tests::rng::Rng;
use turnleaf_tests::soup;

use super::threads::{Record, Rollout, Threads};

/// What a store should hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) threads: Threads,
    pub(super) archived: BTreeSet<u8>,
    pub(super) imported: BTreeSet<u8>,
    pub(super) deleted: BTreeSet<u8>,
    /// Threads of which only names came, from a list of names: how many. They are not there.
    pub(super) announced: BTreeMap<u8, usize>,
}

impl Model {
    /// The first rollout of a thread as it is once it is there: behind the names that waited for it.
    fn arrived(&mut self, thread: u8) -> &mut Rollout {
        let names = self.announced.remove(&thread).unwrap_or_default();
        let waited = || {
            vec![Rollout {
                own: vec![None; names],
                ..Rollout::default()
            }]
        };
        let rollouts = self.threads.0.entry(thread).or_insert_with(waited);
        &mut rollouts[0]
    }

    /// Whether a thread of that id can be forked from another one.
    pub(super) fn is_free(&self, thread: u8) -> bool {
        let is_taken = self.threads.has(thread) || self.announced.contains_key(&thread);
        !is_taken && !self.deleted.contains(&thread)
    }

    /// The file that a thread was imported from as it may be next time: with its lines so far.
    /// `None` where an import would not know it for that file.
    pub(super) fn file_of(&self, thread: u8) -> Option<Vec<Vec<u8>>> {
        if self.deleted.contains(&thread) {
            return Some(Vec::new());
        }
        let Some(rollouts) = self.threads.0.get(&thread) else {
            return Some(Vec::new());
        };
        let [only] = rollouts.as_slice() else {
            return None;
        };
        let lines: Vec<Vec<u8>> = only.own.iter().flatten().cloned().collect();
        let is_of_file = match lines.first() {
            Some(first) => first.starts_with(&beginning(thread)),
            None => only.base.is_none(),
        };
        is_of_file.then_some(lines)
    }

    /// An import into the first rollout of a thread, which is the only one.
    fn import(&mut self, thread: u8, added: Vec<Vec<u8>>) {
        self.arrived(thread).own.extend(of_lines(added));
        // The file lies among those that are not archived.
        if self.imported.insert(thread) {
            self.archived.remove(&thread);
        }
    }

    /// What the end of an import does.
    fn bind(&mut self) {
        self.threads.bind(&|base, lines| {
            // Bytes lead to the first line; no ordinal is before or behind what the head says.
            let behind = lines
                .get(1)
                .map(|line| payload::decode(line).upstream_ordinal);
            lines.first() == Some(&head(base, None).as_slice()) && behind.flatten().is_none()
        });
    }
}

impl Model {
    /// How many records a fork shows, where it is made.
    pub(super) fn cut(&self, of: u8, thread: u8, at: u16) -> Option<usize> {
        let cut = usize::from(at) % (self.threads.shown(of)?.len() + 1);
        let is_free = self.is_free(thread);
        // Without a record it is an empty thread.
        let is_created = cut == 0 && self.announced.contains_key(&thread);
        (is_free || is_created).then_some(cut)
    }

    fn fork(&mut self, of: u8, thread: u8, at: u16) {
        let Some(cut) = self.cut(of, thread, at) else {
            return;
        };
        let base = self.threads.base_at(of, cut);
        self.arrived(thread).base = base;
    }

    /// Where a turn begins that the thread shows.
    pub(super) fn turn_at(&self, thread: u8, turn: u8) -> Option<usize> {
        let line = Some(turn_line(turn));
        let shown = self.threads.shown(thread)?;
        shown.iter().position(|record| *record == line)
    }

    fn delete(&mut self, thread: u8) {
        let is_base = !self.threads.forks_of(thread).is_empty();
        if !is_base && self.threads.0.remove(&thread).is_some() {
            self.archived.remove(&thread);
            self.deleted.insert(thread);
        }
    }

    fn revert(&mut self, thread: u8, turn: u8) {
        let Some(cut) = self.turn_at(thread, turn) else {
            return;
        };
        let base = self.threads.base_at(thread, cut);
        let own: Vec<Record> = self
            .threads
            .is_named(thread)
            .then_some(None)
            .into_iter()
            .collect();
        let rollouts = self.threads.0.get_mut(&thread);
        rollouts.expect("it is shown").push(Rollout {
            base,
            awaits: None,
            own,
        });
    }
}

fn of_lines(lines: Vec<Vec<u8>>) -> impl Iterator<Item = Option<Vec<u8>>> {
    lines.into_iter().map(Some)
}

#[derive(Debug, Clone)]
pub(super) enum Step {
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
    /// The thread as a file that grew, or as a new one; also one that was deleted, where asked.
    Import {
        thread: u8,
        count: u8,
        seed: u64,
        again: bool,
    },
    /// A file whose head says that it goes on from the first line of another one, which may come
    /// later or never.
    ImportFork {
        thread: u8,
        base: u8,
        count: u8,
        seed: u64,
    },
    /// The begin of a turn that no other thread has.
    Turn {
        thread: u8,
        turn: u8,
    },
    Fork {
        of: u8,
        thread: u8,
        at: u16,
    },
    /// To where one of the turns begins that the thread shows.
    Revert {
        thread: u8,
        turn: u8,
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

pub(super) fn id(thread: u8) -> String {
    format!("019b0000-0000-7000-8000-0000000000{thread:02x}")
}

pub(super) fn lines(seed: u64, count: u8) -> Vec<Vec<u8>> {
    let mut rng = Rng::new(seed);
    let line = |_| {
        let mut line = soup::line(&mut rng);
        // A batch takes any bytes; an import ends a line at each line feed.
        line.retain(|byte| *byte != b'\n');
        // A record that takes turns back would hide one that a revert names.
        if line.windows(11).any(|part| part == b"rolled_back") {
            line = b"{}".to_vec();
        }
        line
    };
    (0..count).map(line).collect()
}

/// How the head of a thread begins.
pub(super) fn beginning(thread: u8) -> Vec<u8> {
    let time = "2026-01-01T00:00:00Z";
    let id = id(thread);
    format!(r#"{{"timestamp":"{time}","type":"session_meta","payload":{{"id":"{id}""#).into_bytes()
}

/// The head of a file, which may go on from the first line of another thread's.
pub(super) fn head(thread: u8, base: Option<u8>) -> Vec<u8> {
    let base = base.map_or(String::new(), |base| {
        let (id, bytes) = (id(base), head(base, None).len() + 1);
        let end = u64::MAX;
        format!(
            r#","history_base":{{"thread_id":"{id}","end_ordinal_exclusive":{end},"end_byte_offset":{bytes}}}"#
        )
    });
    let rest = format!(
        r#","timestamp":"2026-01-01T00:00:00Z","cwd":"/w","originator":"o","cli_version":"1","source":"cli","model_provider":null,"history_mode":"paginated"{base}}}}}"#
    );
    [beginning(thread), rest.into_bytes()].concat()
}

pub(super) fn turn_line(turn: u8) -> Vec<u8> {
    let payload = format!(r#"{{"type":"task_started","turn_id":"turn-{turn}"}}"#);
    let time = "2026-01-01T00:00:00Z";
    format!(r#"{{"timestamp":"{time}","type":"event_msg","payload":{payload}}}"#).into_bytes()
}

/// Lines that a file has grown by: with its head, where it is new.
pub(super) fn grown(file: &[Vec<u8>], head: Vec<u8>, count: u8, seed: u64) -> Vec<Vec<u8>> {
    let head = file.is_empty().then_some(head);
    head.into_iter().chain(lines(seed, count)).collect()
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
            3 => (thread.clone(), 0..30_u8, any::<u64>(), any::<bool>())
                .prop_map(|(thread, count, seed, again)| {
                    Step::Import { thread, count, seed, again }
                }),
            2 => (thread.clone(), thread.clone(), 0..6_u8, any::<u64>())
                .prop_map(|(thread, base, count, seed)| {
                    Step::ImportFork { thread, base, count, seed }
                }),
            4 => (thread.clone(), 0..4_u8).prop_map(|(thread, turn)| Step::Turn { thread, turn }),
            4 => (thread.clone(), thread.clone(), any::<u16>())
                .prop_map(|(of, thread, at)| Step::Fork { of, thread, at }),
            4 => (thread.clone(), 0..4_u8).prop_map(|(thread, turn)| Step::Revert { thread, turn }),
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
                if let Some(own) = model.threads.end_of(*thread) {
                    own.extend(of_lines(lines(*seed, *count)));
                }
            }
            Step::Turn { thread, turn } => {
                if let Some(own) = model.threads.end_of(*thread) {
                    own.push(Some(turn_line(*turn)));
                }
            }
            Step::Import {
                thread,
                count,
                seed,
                again,
            } => {
                if let Some(file) = model.file_of(*thread) {
                    if *again {
                        model.deleted.remove(thread);
                    }
                    if !model.deleted.contains(thread) {
                        let added = grown(&file, head(*thread, None), *count, *seed);
                        model.import(*thread, added);
                    }
                    model.bind();
                }
            }
            Step::ImportFork {
                thread,
                base,
                count,
                seed,
            } if !model.threads.has(*thread) => {
                if !model.deleted.contains(thread) {
                    let lines = grown(&[], head(*thread, Some(*base)), *count, *seed);
                    model.import(*thread, lines);
                    model.arrived(*thread).awaits = Some(*base);
                }
                model.bind();
            }
            Step::Fork { of, thread, at } => model.fork(*of, *thread, *at),
            Step::Revert { thread, turn } => model.revert(*thread, *turn),
            Step::Name { thread, .. } => {
                if let Some(own) = model.threads.end_of(*thread) {
                    own.push(None);
                }
            }
            Step::ListName { thread, .. } => {
                if !model.deleted.contains(thread) {
                    match model.threads.end_of(*thread) {
                        Some(own) => own.push(None),
                        None => *model.announced.entry(*thread).or_default() += 1,
                    }
                }
                model.bind();
            }
            Step::Archive { thread, archived } if model.threads.has(*thread) => {
                if *archived {
                    model.archived.insert(*thread);
                } else {
                    model.archived.remove(thread);
                }
            }
            Step::Delete { thread } => model.delete(*thread),
            _ => {}
        }
        model
    }
}
