//! Homes that a released runtime wrote, with its own answers: what is served of their threads
//! equals what the runtime served.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use turnleaf::{
    ImportSource, ItemsRequest, ItemsView, Order, SortKey, Store, ThreadsRequest, TurnsRequest,
};
use turnleaf_format::Ordinal;
use turnleaf_projector::fold::{self, AnomalyClass, AnomalyKind, MemRows, ThreadState};
use turnleaf_projector::payload::{self, Rejection};

const HOMES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../shared/conformance/runtime-0.171"
);

/// Keys of a thread that depend on the home's place and on databases beside it, or that the
/// runtime's list loses.
const NOT_COMPARED: [&str; 10] = [
    "path",
    "status",
    "turns",
    "canAcceptDirectInput",
    "environments",
    "extra",
    "updatedAt",
    "recencyAt",
    "gitInfo",
    "forkedFromId",
];

/// Folders of the homes; none, with a message, where they are not at hand.
fn homes() -> Vec<PathBuf> {
    let Ok(entries) = Path::new(HOMES).read_dir() else {
        assert!(std::env::var("CI").is_err(), "{HOMES} is missing");
        println!("skipped: {HOMES} is missing");
        return Vec::new();
    };
    let folders = entries.map(|entry| entry.unwrap().path());
    let mut homes: Vec<PathBuf> = folders.filter(|path| path.is_dir()).collect();
    homes.sort();
    homes
}

/// A rollout of a home.
struct Rollout {
    path: PathBuf,
    head: Value,
}

impl Rollout {
    fn thread(&self) -> &str {
        self.head["id"].as_str().unwrap()
    }
}

fn rollouts(home: &Path) -> Vec<Rollout> {
    let mut found = Vec::new();
    let mut open = vec![home.join("sessions"), home.join("archived_sessions")];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
            let head = line["payload"].clone();
            found.push(Rollout { path, head });
        }
    }
    found
}

/// The newest name of each thread.
fn names(home: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(home.join("session_index.jsonl")).unwrap_or_default();
    let rows = text.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        (text("id"), text("thread_name"))
    });
    rows.collect()
}

fn import(store: &Store, rollout: &Rollout, archived: bool) {
    let mut file = File::open(&rollout.path).unwrap();
    let source = ImportSource {
        path: &rollout.path.display().to_string(),
        thread_hint: None,
        file_bytes: file.metadata().unwrap().len(),
        modified_ns: 1,
        archived,
        plain: &mut file,
    };
    store.import(source, &mut |_| {}).unwrap().done().unwrap();
}

/// The value without nulls and empty arrays, which are the same as missing keys.
fn plain(value: &Value) -> Value {
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !is_empty(value));
            let plain = kept.map(|(key, value)| (key.clone(), plain(value)));
            Value::Object(plain.collect::<Map<_, _>>())
        }
        Value::Array(values) => values.iter().map(plain).collect(),
        other => other.clone(),
    }
}

fn without(mut value: Value, keys: &[&str]) -> Value {
    let fields = value.as_object_mut().unwrap();
    fields.retain(|key, _| !keys.contains(&key.as_str()));
    plain(&value)
}

fn threads(store: &Store, archived: bool) -> BTreeMap<String, Value> {
    let page = store.threads(&ThreadsRequest {
        cursor: None,
        limit: 1000,
        order: Order::Descending,
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
    by_id(&page.unwrap().threads)
}

fn by_id(threads: &[Value]) -> BTreeMap<String, Value> {
    let id = |thread: &Value| thread["id"].as_str().unwrap().to_owned();
    let named = threads.iter().map(|thread| (id(thread), thread.clone()));
    named.collect()
}

fn turns(store: &Store, thread: &str, items: ItemsView) -> Value {
    let page = store.turns(&TurnsRequest {
        thread: thread.to_owned(),
        cursor: None,
        limit: 1000,
        order: Order::Ascending,
        items,
    });
    plain(&json!(page.unwrap().turns))
}

fn items(store: &Store, thread: &str) -> Value {
    let page = store.items(&ItemsRequest {
        thread: thread.to_owned(),
        turn: None,
        all: false,
        cursor: None,
        limit: 1000,
        order: Order::Ascending,
    });
    let ours = ["itemId", "createdAtMs", "ordinal"];
    let rows = page.unwrap().values().into_iter();
    rows.map(|row| without(row, &ours)).collect()
}

/// What is odd about a rollout, its lines by themselves.
fn oddities(rollout: &Path) -> Vec<AnomalyKind> {
    let text = fs::read_to_string(rollout).unwrap();
    let (mut rows, mut state) = (MemRows::default(), ThreadState::default());
    for (at, line) in (0..).zip(text.lines()) {
        let Ok(()) = fold::apply(
            &mut rows,
            &mut state,
            Ordinal(at),
            &payload::decode(line.as_bytes()),
        );
    }
    state.anomalies.iter().map(|odd| odd.kind).collect()
}

#[test]
fn a_healthy_home_raises_no_alarm() {
    for folder in homes() {
        for rollout in rollouts(&folder.join("home")) {
            let path = &rollout.path;
            assert_eq!(oddities(path), [], "{}", path.display());
        }
        let recent = folder.join("../../../field/24-recent-shapes/recent.jsonl");
        let unknown = AnomalyKind::Rejected(Rejection::UnknownItem);
        assert_eq!(oddities(&recent), [unknown]);
        assert_eq!(unknown.class(), AnomalyClass::Unknown);
    }
}

/// Threads of one file or several: reverted ones, forks, forks of forks, whichever file comes first.
#[test]
fn threads_are_served_as_the_runtime_served_them() {
    let mut compared = 0;
    for folder in homes() {
        let home = folder.join("home");
        let answers = fs::read(folder.join("expected.json")).unwrap();
        let answers: Value = serde_json::from_slice(&answers).unwrap();
        let mut rollouts = rollouts(&home);
        rollouts.sort_by(|a, b| a.path.cmp(&b.path));
        for _ in ["oldest first", "newest first"] {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            // Some copies of a home hold what the runtime had archived among the other rollouts.
            let archived = by_id(answers["archived"].as_array().unwrap());
            for rollout in &rollouts {
                import(&store, rollout, archived.contains_key(rollout.thread()));
            }
            for (thread, name) in names(&home) {
                if rollouts.iter().any(|rollout| rollout.thread() == thread) {
                    store.set_name(&thread, &name).unwrap();
                }
            }
            compare(&store, &answers);
            compared += store.log_threads().len();
            store.close().unwrap();
            rollouts.reverse();
        }
    }
    println!("{compared} threads are equal");
}

fn compare(store: &Store, answers: &Value) {
    for (list, archived) in [("threads", false), ("archived", true)] {
        let theirs = answers[list].as_array().unwrap();
        let ours = threads(store, archived);
        let ids: Vec<&String> = ours.keys().collect();
        assert_eq!(ids, by_id(theirs).keys().collect::<Vec<_>>());
        for (id, thread) in ours {
            let ours = without(thread, &NOT_COMPARED);
            // A thread of several files stands in the list of the runtime once for each.
            let rows = theirs.iter().filter(|row| row["id"] == id.as_str());
            let rows: Vec<Value> = rows
                .map(|row| without(row.clone(), &NOT_COMPARED))
                .collect();
            assert!(rows.contains(&ours), "{id}: {ours:#}\nis none of {rows:#?}");
        }
    }
    for thread in store.log_threads() {
        let id = &thread.id;
        for (view, items) in [
            ("notLoaded", ItemsView::NotLoaded),
            ("summary", ItemsView::Summary),
            ("full", ItemsView::Full),
        ] {
            let theirs = plain(&answers["turns"][id][view]);
            let ours = shown_there(store, id, turns(store, id, items), &theirs, "id");
            assert_eq!(ours, theirs, "{id}: turns, {view}");
        }
        // Of legacy threads the runtime serves no list of items.
        if answers["items"][id].is_array() {
            let theirs = plain(&answers["items"][id]);
            let ours = shown_there(store, id, items(store, id), &theirs, "turnId");
            assert_eq!(ours, theirs, "{id}: items");
        }
    }
}

/// What the runtime shows of our rows. It had lost its projection of the older files of a thread,
/// and showed nothing, or not all, of what was inherited from those; the rest must be the same.
fn shown_there(store: &Store, id: &str, ours: Value, theirs: &Value, turn_key: &str) -> Value {
    let turns_of = |rows: &Value| -> BTreeSet<String> {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row[turn_key].as_str().unwrap().to_owned())
            .collect()
    };
    let rollouts = store.rollouts(id).unwrap();
    let has_base = |info: &turnleaf::RolloutInfo| info.is_current && info.base.is_some();
    if !rollouts.iter().any(has_base) {
        return ours;
    }
    let mut own = Vec::new();
    store.export(id, .., &mut own).unwrap();
    let own = String::from_utf8(own).unwrap();
    let begins: Vec<&str> = own
        .lines()
        .filter(|line| line.contains("task_started"))
        .collect();
    let missing = &turns_of(&ours) - &turns_of(theirs);
    for turn in &missing {
        let is_own = begins.iter().any(|line| line.contains(turn));
        assert!(!is_own, "{id}: {turn} is its own");
    }
    let rows = ours.as_array().unwrap().iter();
    let is_shown = |row: &&Value| !missing.contains(row[turn_key].as_str().unwrap());
    rows.filter(is_shown).cloned().collect()
}
