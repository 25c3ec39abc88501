//! Lists beside what a look at every thread finds, whatever was done to threads before.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::reads::show::created_ms;
use crate::tests::all_threads;
use crate::*;

const THREADS: usize = 6;
const DIRECTORIES: [&str; 3] = ["/w", "/w/", "/other"];
const SOURCES: [&str; 3] = [
    r#""cli""#,
    r#"{"subagent":"review"}"#,
    r#"{"subagent":{"other":"x"}}"#,
];

fn id(thread: usize) -> String {
    format!("019c0000-0000-7000-8000-00000000000{thread}")
}

fn line(second: u8, kind: &str, payload: &Value) -> String {
    json!({
        "timestamp": format!("2026-01-01T00:00:{second:02}.000Z"),
        "type": kind,
        "payload": payload,
    })
    .to_string()
}

#[derive(Debug, Clone)]
enum Op {
    /// A thread begins: in which directory, of which source, begun by which other thread.
    Begin(usize, usize, usize, Option<usize>),
    Create(usize),
    Say(usize, u8),
    Name(usize),
    Archive(usize, bool),
    Delete(usize),
    Fork(usize, usize),
    Revert(usize),
    /// All of it is taken back: what is shown has no base.
    RevertAll(usize),
    /// The store is closed and opened again, with or without its index.
    Open(bool),
    List(Box<ThreadsRequest>),
}

fn request() -> impl Strategy<Value = ThreadsRequest> {
    let sort = prop_oneof![
        Just(SortKey::Created),
        Just(SortKey::Updated),
        Just(SortKey::Recency)
    ];
    let cwds = prop::collection::vec((0..3_usize).prop_map(|at| DIRECTORIES[at].to_owned()), 0..3);
    let kinds = [
        SourceKind::Cli,
        SourceKind::SubAgent,
        SourceKind::SubAgentReview,
    ];
    let sources = prop::collection::vec(prop::sample::select(kinds.to_vec()), 0..2);
    let thread = || prop::option::weighted(0.2, (0..THREADS).prop_map(id));
    let search =
        prop::option::weighted(0.2, prop_oneof![Just("SAID".to_owned()), Just("é".into())]);
    let basics = (1..4_usize, any::<bool>(), sort, prop::bool::weighted(0.2));
    let related = (thread(), thread(), thread());
    let filters = (cwds, sources, prop::bool::weighted(0.3), related, search);
    (basics, filters).prop_map(|((limit, up, sort, archived), filters)| {
        let (cwds, sources, no_subagents, (parent, ancestor, forks_of), search) = filters;
        let order = if up {
            Order::Ascending
        } else {
            Order::Descending
        };
        ThreadsRequest {
            cursor: None,
            limit,
            order,
            sort,
            archived,
            cwds,
            sources,
            no_subagents,
            parent,
            ancestor,
            forks_of,
            search,
        }
    })
}

fn op() -> impl Strategy<Value = Op> {
    let thread = || 0..THREADS;
    prop_oneof![
        4 => (thread(), 0..3_usize, 0..3_usize, prop::option::of(thread()))
            .prop_map(|(thread, cwd, source, parent)| Op::Begin(thread, cwd, source, parent)),
        1 => thread().prop_map(Op::Create),
        4 => (thread(), 0..60_u8).prop_map(|(thread, second)| Op::Say(thread, second)),
        1 => thread().prop_map(Op::Name),
        2 => (thread(), any::<bool>()).prop_map(|(thread, archived)| Op::Archive(thread, archived)),
        1 => thread().prop_map(Op::Delete),
        1 => (thread(), thread()).prop_map(|(of, new)| Op::Fork(of, new)),
        1 => thread().prop_map(Op::Revert),
        1 => thread().prop_map(Op::RevertAll),
        1 => any::<bool>().prop_map(Op::Open),
        6 => request().prop_map(|request| Op::List(Box::new(request))),
    ]
}

fn append(store: &Store, thread: usize, lines: &[String]) {
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    // Threads that are not there take nothing.
    let _ = store.append(&id(thread), None, &lines);
}

fn act(store: &Store, op: &Op) {
    match op {
        Op::Begin(thread, cwd, source, parent) => {
            let _ = store.create_thread(&id(*thread));
            let source: Value = serde_json::from_str(SOURCES[*source]).unwrap();
            let head = json!({
                "id": id(*thread), "timestamp": "2026-01-01T00:00:00.000Z",
                "cwd": DIRECTORIES[*cwd], "originator": "t", "cli_version": "0",
                "source": source, "model_provider": null, "history_mode": "paginated",
                "parent_thread_id": parent.map(id),
            });
            append(store, *thread, &[line(0, "session_meta", &head)]);
        }
        Op::Create(thread) => drop(store.create_thread(&id(*thread))),
        Op::Say(thread, second) => {
            let turn = format!("t{second}");
            let event = |kind: &str| json!({"type": kind, "turn_id": turn});
            let item = json!({
                "type": "item_completed", "thread_id": id(*thread), "turn_id": turn,
                "completed_at_ms": 1,
                "item": {"type": "UserMessage", "id": format!("i{second}"),
                    "content": [{"type": "text", "text": format!("said {second}")}]},
            });
            let lines = [event("task_started"), item, event("task_complete")];
            append(
                store,
                *thread,
                &lines.map(|event| line(*second, "event_msg", &event)),
            );
        }
        Op::Name(thread) => drop(store.set_name(&id(*thread), "Café É")),
        Op::Archive(thread, true) => drop(store.archive(&id(*thread))),
        Op::Archive(thread, false) => drop(store.unarchive(&id(*thread))),
        Op::Delete(thread) => drop(store.delete(&id(*thread))),
        Op::Fork(of, new) => drop(store.fork(&id(*of), &id(*new), &ForkPoint::Latest)),
        Op::Revert(thread) => drop(store.rollback(&id(*thread), 1)),
        Op::RevertAll(thread) => drop(store.rollback(&id(*thread), 100)),
        Op::Open(_) | Op::List(_) => {}
    }
}

/// All pages of a request, one behind the other.
fn listed(store: &Store, request: &ThreadsRequest) -> Vec<String> {
    let (mut request, mut ids) = (request.clone(), Vec::new());
    loop {
        let page = store.threads(&request).unwrap();
        assert!(page.threads.len() <= request.limit);
        let of_page = page.threads.iter();
        ids.extend(of_page.map(|thread| thread["id"].as_str().unwrap().to_owned()));
        request.cursor = page.next_cursor;
        if request.cursor.is_none() {
            return ids;
        }
    }
}

/// The same by a look at every thread.
fn looked_up(store: &Store, request: &ThreadsRequest) -> Vec<String> {
    let all: Vec<(ThreadSummary, Value)> = store
        .log_threads()
        .into_iter()
        .map(|summary| {
            let shown = store.show(&summary.id).unwrap().thread;
            (summary, shown)
        })
        .collect();
    let mut family = vec![request.ancestor.clone().unwrap_or_default()];
    for at in 0.. {
        let Some(parent) = family.get(at).cloned() else {
            break;
        };
        for (summary, shown) in &all {
            if shown["parentThreadId"] == *parent && !family.contains(&summary.id) {
                family.push(summary.id.clone());
            }
        }
    }
    let form = |cwd: &Value| same_directory(cwd.as_str().unwrap_or_default());
    let cwds: Vec<String> = request.cwds.iter().map(|cwd| same_directory(cwd)).collect();
    let kind = |source: &Value| match source {
        Value::String(name) => SourceKind::parse(name).unwrap(),
        source if source["subAgent"] == "review" => SourceKind::SubAgentReview,
        _ => SourceKind::SubAgentOther,
    };
    let holds = |shown: &Value, needle: &str| {
        let texts = [&shown["name"], &shown["preview"]];
        let mut texts = texts.into_iter().filter_map(Value::as_str);
        texts.any(|text| text.to_lowercase().contains(&needle.to_lowercase()))
    };
    let mut passed: Vec<(i64, ThreadNumber, String)> = all
        .iter()
        .filter(|(summary, shown)| {
            let kind = kind(&shown["source"]);
            summary.archived == request.archived
                && (cwds.is_empty() || cwds.contains(&form(&shown["cwd"])))
                && (request.sources.is_empty()
                    || request.sources.iter().any(|wanted| wanted.covers(kind)))
                && !(request.no_subagents && kind.is_of_subagent())
                && request
                    .parent
                    .as_ref()
                    .is_none_or(|of| shown["parentThreadId"] == **of)
                && request
                    .forks_of
                    .as_ref()
                    .is_none_or(|of| shown["forkedFromId"] == **of)
                && (request.ancestor.is_none() || family[1..].contains(&summary.id))
                && request
                    .search
                    .as_ref()
                    .is_none_or(|needle| holds(shown, needle))
        })
        .map(|(summary, _)| {
            // Served times are whole seconds.
            let meta = store.index.with(|index| {
                let now = store.catch_up(index, &summary.id)?;
                Ok(thread_state(&now.rows, now.number)?.meta)
            });
            let meta = meta.unwrap();
            let from = summary.imported_from.as_deref();
            let created = created_ms(&meta, &summary.id, from, summary.created_ms);
            let updated = meta.updated_at_ms.unwrap_or(created);
            let key = match request.sort {
                SortKey::Created => created,
                SortKey::Updated => updated,
                SortKey::Recency => meta.recency_at_ms.unwrap_or(updated),
            };
            (key, summary.number, summary.id.clone())
        })
        .collect();
    passed.sort();
    if request.order == Order::Descending {
        passed.reverse();
    }
    passed.into_iter().map(|(.., id)| id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_list_is_what_a_look_at_every_thread_finds(
        ops in prop::collection::vec(op(), 1..40),
        last in request(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let mut store = Store::open(&path).unwrap();
        for op in ops.into_iter().chain([Op::List(Box::new(last.clone()))]) {
            match &op {
                Op::Open(keeps_index) => {
                    drop(store);
                    if !keeps_index {
                        let _ = std::fs::remove_file(path.join("index.redb"));
                    }
                    store = Store::open(&path).unwrap();
                }
                Op::List(request) => {
                    prop_assert_eq!(listed(&store, request), looked_up(&store, request));
                }
                op => act(&store, op),
            }
        }
        let verified = store.verify(None, &mut |_| {}).unwrap();
        prop_assert_eq!(verified.index, IndexState::Right);
        drop(store);
        let reader = Store::open_to_read(&path).unwrap();
        prop_assert_eq!(listed(&reader, &last), looked_up(&reader, &last));
    }
}

/// The first list behind an opening looks at deleted threads, too: within its use of the index, and
/// whatever becomes of that.
#[test]
fn a_list_meets_a_deleted_thread_and_a_bad_index() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    for thread in 0..3 {
        act(&store, &Op::Begin(thread, 0, 0, None));
        act(&store, &Op::Say(thread, 1));
    }
    let all = all_threads();
    assert_eq!(listed(&store, &all).len(), 3);
    let index = std::fs::read(path.join("index.redb")).unwrap();
    store.delete(&id(1)).unwrap();
    store.close().unwrap();
    // As it was before the deletion, whole and with damage anywhere.
    for spoilt in (0..index.len()).step_by(index.len() / 24 + 1) {
        let mut bytes = index.clone();
        bytes[spoilt] ^= u8::from(spoilt > 0);
        std::fs::write(path.join("index.redb"), bytes).unwrap();
        let store = Store::open(&path).unwrap();
        assert_eq!(listed(&store, &all), [id(0), id(2)]);
        assert_eq!(store.working_directories().unwrap(), ["/w"]);
        store.close().unwrap();
    }
}
