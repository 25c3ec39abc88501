//! Owns what is leafed through: `threads`, `turns`, `items`, `show`.

use std::path::{Path, PathBuf};

use comfy_table::Table;
use serde_json::{Value, json};
use turnleaf::{
    AnomalyClass, Body, ItemsRequest, ItemsView, Ordinal, ShowThread, SortKey, Store,
    ThreadsRequest, TurnsPage, TurnsRequest, user_title,
};

use crate::args::{Global, ItemsArg, OrderArg, PageArgs, SortArg, ThreadsArgs};
use crate::commands::health::class;
use crate::commands::lineage;
use crate::commands::{met, met_in_any, met_untold, open_log, open_to_read, thread_id};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{
    Times, first_and_last, print_json, print_line, short, size, table, warn, whole,
};

/// Characters of a text in a table.
const TEXT: usize = 60;

pub(crate) fn threads(global: &Global, args: ThreadsArgs) -> Result<Outcome, Failure> {
    let store = open_to_read(global)?;
    let page = store.threads(&ThreadsRequest {
        cursor: args.page.cursor,
        limit: args.page.limit,
        order: args.order.into(),
        sort: match args.sort {
            SortArg::Created => SortKey::Created,
            SortArg::Updated => SortKey::Updated,
            SortArg::Recency => SortKey::Recency,
        },
        archived: args.archived,
        cwds: match &args.cwd {
            None => Vec::new(),
            Some(cwd) => directories(cwd, &store.working_directories()?),
        },
        sources: args.source,
        no_subagents: args.no_subagents,
        parent: id_if_any(&store, args.parent)?,
        ancestor: id_if_any(&store, args.ancestor)?,
        forks_of: id_if_any(&store, args.forks_of)?,
        search: args.search,
    })?;
    if global.json {
        print_json(&json!({
            "threads": page.threads,
            "nextCursor": page.next_cursor,
            "backwardsCursor": page.backwards_cursor,
        }))?;
    } else {
        let times = Times::of(global);
        let mut rows = table(&["updated", "id", "name or preview"]);
        for thread in &page.threads {
            let text = thread["name"]
                .as_str()
                .or(thread["preview"].as_str())
                .unwrap_or_default();
            let id = thread["id"].as_str().unwrap_or_default();
            rows.add_row([
                times.show(thread["updatedAt"].as_i64()),
                id.to_owned(),
                short(text, TEXT),
            ]);
        }
        print_line(&rows.to_string())?;
        print_next(page.next_cursor.as_deref())?;
    }
    Ok(met_in_any(global, &store))
}

/// The id of a thread that is given, if one is.
fn id_if_any(store: &Store, given: Option<String>) -> Result<Option<String>, Failure> {
    given.map(|given| thread_id(store, &given)).transpose()
}

/// What a directory is called, and what threads may call it: those of their directories that lead
/// to the same one here.
fn directories(given: &str, recorded: &[String]) -> Vec<String> {
    let absolute = if is_of_windows(given) {
        PathBuf::from(given)
    } else {
        std::path::absolute(given).unwrap_or_else(|_| PathBuf::from(given))
    };
    let mut names = vec![absolute.to_string_lossy().into_owned()];
    if let Ok(real) = absolute.canonicalize() {
        let leads_there = |name: &&String| {
            let path = Path::new(name);
            path.is_absolute() && path.canonicalize().is_ok_and(|found| found == real)
        };
        names.extend(recorded.iter().filter(leads_there).cloned());
        names.push(real.to_string_lossy().into_owned());
    }
    names
}

/// Whether a path is an absolute one of another host.
fn is_of_windows(path: &str) -> bool {
    let is_drive = matches!(path.as_bytes(), [drive, b':', ..] if drive.is_ascii_alphabetic());
    is_drive || path.starts_with(r"\\")
}

pub(crate) fn turns(
    global: &Global,
    thread: String,
    page: PageArgs,
    order: OrderArg,
    items: ItemsArg,
) -> Result<Outcome, Failure> {
    let store = open_to_read(global)?;
    let page = store.turns(&TurnsRequest {
        thread: thread_id(&store, &thread)?,
        cursor: page.cursor,
        limit: page.limit,
        order: order.into(),
        items: match items {
            ItemsArg::None => ItemsView::NotLoaded,
            ItemsArg::Summary => ItemsView::Summary,
            ItemsArg::Full => ItemsView::Full,
        },
    })?;
    if global.json {
        print_json(&page)?;
    } else {
        let rows = turns_table(&page, &Times::of(global));
        print_line(&rows.to_string())?;
        print_next(page.next_cursor.as_deref())?;
    }
    Ok(met(global, &store))
}

/// A page of turns for people: when each began, what was asked and what was answered.
pub(crate) fn turns_table(page: &TurnsPage, times: &Times) -> Table {
    let mut rows = table(&["started", "status", "turn", "asked", "answered"]);
    for turn in &page.turns {
        let items: Vec<Value> = turn.items.iter().map(Body::to_value).collect();
        let of = |kind: &str| items.iter().find(|item| item["type"] == kind);
        let asked = of("userMessage").and_then(user_title).unwrap_or_default();
        let answered = items.iter().rfind(|item| item["type"] == "agentMessage");
        rows.add_row([
            times.show(turn.began_at_ms.map(|ms| ms.div_euclid(1000))),
            turn.status.to_owned(),
            whole(&turn.id),
            short(&asked, TEXT),
            short(&answered.map(one_line).unwrap_or_default(), TEXT),
        ]);
    }
    rows
}

pub(crate) fn items(
    global: &Global,
    thread: String,
    (turn, all): (Option<String>, bool),
    page: PageArgs,
    order: OrderArg,
) -> Result<Outcome, Failure> {
    let store = open_to_read(global)?;
    let (cursor, limit) = (page.cursor, page.limit);
    let page = store.items(&ItemsRequest {
        thread: thread_id(&store, &thread)?,
        turn,
        all,
        cursor,
        limit,
        order: order.into(),
    })?;
    if global.json {
        print_json(&page)?;
    } else {
        let times = Times::of(global);
        let mut rows = table(&["record", "at", "kind", "what"]);
        for row in &page.items {
            let item = row.item.to_value();
            rows.add_row([
                row.ordinal.to_string(),
                times.show(row.created_at_ms.map(|ms| ms.div_euclid(1000))),
                item["type"].as_str().unwrap_or_default().to_owned(),
                short(&one_line(&item), TEXT + 20),
            ]);
        }
        print_line(&rows.to_string())?;
        print_next(page.next_cursor.as_deref())?;
    }
    Ok(met(global, &store))
}

pub(crate) fn show(global: &Global, thread: &str) -> Result<Outcome, Failure> {
    let store = open_to_read(global)?;
    let thread = &thread_id(&store, thread)?;
    let shown = store.show(thread)?;
    let (rollouts, forks) = (store.rollouts(thread)?, store.forks_of(thread)?);
    if global.json {
        let mut value = shown_json(&shown);
        value["rollouts"] = lineage::rollouts_value(&rollouts);
        value["forks"] = json!(forks);
        lineage::put_tree(&store, thread, &mut value)?;
        print_json(&value)?;
    } else {
        let mut rows = shown_table(&shown, &Times::of(global));
        // A thread that is one file needs no words about it.
        let is_plain = rollouts.len() == 1 && rollouts[0].base.is_none();
        let lines = lineage::rollout_lines(&rollouts).into_iter();
        for (label, told) in lines.filter(|_| !is_plain || rollouts[0].awaits.is_some()) {
            rows.add_row([label, told]);
        }
        let tree = lineage::tree_lines(&store, thread)?;
        if !tree.is_empty() {
            rows.add_row(["lineage".to_owned(), tree.join("\n")]);
        }
        print_line(&rows.to_string())?;
    }
    Ok(met(global, &store))
}

fn shown_json(shown: &ShowThread) -> Value {
    let anomalies: Vec<Value> = shown
        .anomalies
        .iter()
        .map(|found| {
            json!({
                "reason": found.reason,
                "count": found.count,
                "first": found.first.0,
                "class": class(found.class),
            })
        })
        .collect();
    let segments: Vec<Value> = shown
        .segments
        .iter()
        .map(|held| json!({ "file": held.file, "ordinals": first_and_last(&held.ordinals) }))
        .collect();
    json!({
        "thread": shown.thread,
        "archived": shown.archived,
        "records": shown.records,
        "turns": shown.turns,
        "items": shown.items,
        "resumeFrom": shown.resume_from.map(|at| at.0),
        "resumeSegment": shown.resume_segment().map(|(file, begins)| {
            json!({ "file": file, "begins": begins })
        }),
        "journalBytes": shown.journal_bytes,
        "segments": segments,
        "lag": shown.lag,
        "givenUp": shown.given_up.iter().map(first_and_last).collect::<Vec<_>>(),
        "anomalies": anomalies,
        "tokensUsed": shown.tokens_used,
    })
}

fn shown_table(shown: &ShowThread, times: &Times) -> Table {
    let thread = &shown.thread;
    let text = |key: &str| short(thread[key].as_str().unwrap_or("-"), 100);
    let mut rows = table(&["what", "value"]);
    for (label, key) in [
        ("id", "id"),
        ("name", "name"),
        ("preview", "preview"),
        ("directory", "cwd"),
        ("mode", "historyMode"),
        ("forked from", "forkedFromId"),
        ("parent", "parentThreadId"),
        ("imported from", "path"),
    ] {
        if !thread[key].is_null() || !key.ends_with("Id") {
            rows.add_row([label.to_owned(), text(key)]);
        }
    }
    if shown.archived {
        rows.add_row(["archived".to_owned(), "yes".to_owned()]);
    }
    rows.add_row([
        "created".to_owned(),
        times.show(thread["createdAt"].as_i64()),
    ]);
    rows.add_row([
        "updated".to_owned(),
        times.show(thread["updatedAt"].as_i64()),
    ]);
    rows.add_row(["records".to_owned(), shown.records.to_string()]);
    rows.add_row(["turns".to_owned(), shown.turns.to_string()]);
    rows.add_row(["items".to_owned(), shown.items.to_string()]);
    let resume = match (shown.resume_from, shown.resume_segment()) {
        (None, _) => "-".into(),
        (Some(at), None) => format!("record {at}, in the journal"),
        (Some(at), Some((file, true))) => format!("record {at}, where {file} begins"),
        (Some(at), Some((file, false))) => format!("record {at}, within {file}"),
    };
    rows.add_row(["resumes from".to_owned(), resume]);
    rows.add_row(["segments".to_owned(), shown.segments.len().to_string()]);
    rows.add_row(["in the journal only".to_owned(), size(shown.journal_bytes)]);
    for [first, last] in shown.given_up.iter().map(first_and_last) {
        let told = format!("records {first} to {last}, by a repair");
        rows.add_row(["given up".to_owned(), told]);
    }
    for found in &shown.anomalies {
        let (count, first) = (found.count, found.first);
        let told = format!("{} ({count} times, first at record {first})", found.reason);
        let label = match found.class {
            AnomalyClass::Unknown => "unknown kind",
            AnomalyClass::Malformed => "malformed",
            AnomalyClass::OutOfOrder => "out of order",
        };
        rows.add_row([label.to_owned(), told]);
    }
    rows
}

/// The world state at a record; the index is not needed for it.
pub(crate) fn world_state(
    global: &Global,
    thread: &str,
    at: Option<u64>,
) -> Result<Outcome, Failure> {
    let store = open_log(global)?;
    let found = store.world_state(&thread_id(&store, thread)?, at.map(Ordinal))?;
    let (value, changed_at) = match found {
        Some(state) => (state.value, Some(state.changed_at.0)),
        None => (Value::Null, None),
    };
    if global.json {
        print_json(&json!({ "worldState": value, "changedAt": changed_at }))?;
    } else if changed_at.is_some() {
        print_line(&format!("{value:#}"))?;
    } else if !global.quiet {
        warn("no world state was recorded up to there");
    }
    Ok(met_untold(global, &store))
}

fn print_next(cursor: Option<&str>) -> Result<(), Failure> {
    match cursor {
        Some(cursor) => print_line(&format!("\nmore: --cursor {cursor}")),
        None => Ok(()),
    }
}

/// The most telling text of an item.
fn one_line(item: &Value) -> String {
    let texts = |key: &str| {
        let parts = item[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let part = |part: &Value| {
            part["text"]
                .as_str()
                .or(part.as_str())
                .unwrap_or("[..]")
                .to_owned()
        };
        parts.iter().map(part).collect::<Vec<_>>().join(" ")
    };
    let kind = item["type"].as_str().unwrap_or_default();
    match kind {
        "userMessage" => texts("content"),
        "reasoning" => texts("summary"),
        "hookPrompt" => texts("fragments"),
        "fileChange" => {
            let changes = item["changes"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let paths = changes.iter().filter_map(|change| change["path"].as_str());
            paths.collect::<Vec<_>>().join(", ")
        }
        "mcpToolCall" => format!("{} {}", item["server"], item["tool"]),
        _ => {
            let keys = [
                "text",
                "command",
                "query",
                "path",
                "review",
                "tool",
                "agentPath",
                "status",
            ];
            let found = keys.iter().find_map(|key| item[*key].as_str());
            found.unwrap_or_default().to_owned()
        }
    }
}
