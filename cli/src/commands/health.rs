//! Owns `doctor` and `repair`: what was found, what can be done about it, and doing it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use turnleaf::{
    AnomalyClass, AnomalyCount, Diagnosis, NamedRepair, Repair, RepairReport, Store, TailVerdict,
    ThreadHealth,
};

use crate::args::Global;
use crate::commands::{
    NOT_OWNED, at, directory, met_untold, open_log, open_what_is_free, thread_id,
};
use crate::damage::{damage_lines, damage_of_store, inherited_line, repair_lines, whose};
use crate::exit::{Outcome, damage_json};
use crate::failure::Failure;
use crate::output::{UNKNOWN, first_and_last, print_json, print_line, size};

/// Lines of one kind that are told one by one.
const ALIKE_MAX: usize = 20;
/// Unknown kinds that are told by name.
const KINDS_MAX: usize = 10;
/// What ends damage that is none of the bytes.
const UNREADABLE: &str = "what the device could not read is not given up: restore the file from \
                          a backup, or copy the store to a good disk and run `turnleaf repair` \
                          there; until then its threads can be read around it and exported";

/// Every anomaly of one thread.
pub(crate) fn doctor_of(global: &Global, thread: &str) -> Result<Outcome, Failure> {
    let store = open_log(global)?;
    let thread = &thread_id(&store, thread)?;
    let mut anomalies = Vec::new();
    store.each_anomaly(thread, &mut |found| anomalies.push(found))?;
    if global.json {
        let shown = anomalies.iter().map(|found| {
            json!({
                "ordinal": found.first.0,
                "reason": found.reason,
                "kind": found.kind,
                "class": class(found.class),
                "meaning": found.meaning,
            })
        });
        let shown: Vec<Value> = shown.collect();
        print_json(&json!({ "thread": thread, "anomalies": shown }))?;
    } else {
        for found in &anomalies {
            let (at, reason, meaning) = (found.first, &found.reason, found.meaning);
            let kind = found.kind.as_ref().map(|kind| format!(" ({kind})"));
            let kind = kind.unwrap_or_default();
            print_line(&format!("record {at}: {reason}{kind}: {meaning}"))?;
        }
        let count = |class| {
            anomalies
                .iter()
                .filter(|found| found.class == class)
                .count()
        };
        print_line(&format!(
            "{} of an unknown kind, {} malformed, {} out of order",
            count(AnomalyClass::Unknown),
            count(AnomalyClass::Malformed),
            count(AnomalyClass::OutOfOrder)
        ))?;
    }
    Ok(met_untold(global, &store))
}

pub(crate) fn doctor(global: &Global) -> Result<Outcome, Failure> {
    // The index belongs to the owner; beside one, the log alone is looked at.
    let store = open_what_is_free(global)?;
    let found = store.diagnosis();
    let threads = store.thread_health()?;
    let sizes = store.stats()?;
    if global.json {
        let mut shown = as_json(&store, &found);
        let as_json = |threads: &Vec<ThreadHealth>| threads.iter().map(thread_json).collect();
        shown["threads"] = threads.as_ref().map_or(Value::Null, as_json);
        shown["sizes"] = json!({
            "threads": sizes.threads,
            "records": sizes.records,
            "journalBytes": sizes.journal_bytes,
            "segmentBytes": sizes.segment_bytes,
            "indexBytes": sizes.index_bytes,
        });
        print_json(&shown)?;
        return Ok(outcome(&found));
    }
    let mut lines = as_lines(&found);
    lines.extend(inherited_line(
        &store,
        found.damage.iter().map(|(_, damage)| damage),
    ));
    match &threads {
        None => lines.push(format!("{NOT_OWNED}: its threads were not looked at")),
        Some(threads) => lines.extend(thread_lines(threads)),
    }
    if lines.is_empty() {
        lines.push("nothing to report; `turnleaf verify` reads every byte".into());
    }
    for line in lines {
        print_line(&line)?;
    }
    let anomalies = threads
        .iter()
        .flatten()
        .flat_map(|thread| &thread.anomalies);
    let unknown = anomalies.filter(|found| found.class == AnomalyClass::Unknown);
    match unknown.map(|found| found.count).sum() {
        0_u64 => {}
        unknown => {
            let kinds = unknown_kinds(threads.iter().flatten());
            print_line(&format!("{unknown} records are {UNKNOWN}{kinds}"))?;
        }
    }
    if !found.deleted_threads.is_empty() {
        let many = found.deleted_threads.len();
        print_line(&format!("{many} deleted threads are hidden"))?;
    }
    print_line(&format!(
        "{} threads, {} records in the log; {} in the journal, {} in segments, {} of index",
        sizes.threads,
        sizes.records,
        size(sizes.journal_bytes),
        size(sizes.segment_bytes),
        size(sizes.index_bytes)
    ))?;
    Ok(outcome(&found))
}

pub(crate) fn repair(
    global: &Global,
    thread: Option<&str>,
    dry_run: bool,
) -> Result<Outcome, Failure> {
    let thread = match thread {
        None => None,
        Some(given) => Some(thread_id(&open_log(global)?, given)?),
    };
    let thread = thread.as_deref();
    let report = if dry_run {
        RepairReport {
            due: open_log(global)?.find_repairs(thread)?,
            done: Vec::new(),
        }
    } else {
        at(&directory(global)?, |dir| Store::repair(dir, thread))?
    };
    let left = open_log(global)?.diagnosis();
    let concerned = |(of, _): &&(Option<String>, turnleaf::Damage)| {
        // What closes the whole store closes this thread, too.
        left.closed || thread.is_none_or(|thread| of.as_deref() == Some(thread))
    };
    let damage: Vec<_> = left.damage.iter().filter(concerned).collect();
    if global.json {
        let shown = |repairs: &[NamedRepair]| repairs.iter().map(repair_json).collect::<Vec<_>>();
        let damage = damage
            .iter()
            .map(|(of, found)| damage_json(of.as_deref(), found));
        print_json(&json!({
            "repaired": shown(&report.done),
            "due": shown(&report.due),
            "damage": damage.collect::<Vec<_>>(),
        }))?;
    } else {
        for line in repair_lines(&report.done) {
            print_line(&line)?;
        }
        for line in repair_lines(&report.due) {
            print_line(&format!("due: {line}"))?;
        }
        if report.done.is_empty() && report.due.is_empty() {
            print_line("nothing that can be repaired")?;
        }
        let left = damage.iter().filter(|_| !dry_run);
        for line in damage_lines(left.map(|(thread, damage)| (thread.as_deref(), damage))) {
            print_line(&format!("not repaired: {line}"))?;
        }
    }
    let costs = |due: &NamedRepair| match due.repair {
        Repair::AcceptLoss { .. } | Repair::AdoptSegment { .. } | Repair::RebuildSegment { .. } => {
            true
        }
        Repair::RewriteHeader { .. } | Repair::Reap { .. } => false,
    };
    Ok(if damage.is_empty() && !report.due.iter().any(costs) {
        Outcome::Done
    } else {
        Outcome::Damaged
    })
}

fn outcome(found: &Diagnosis) -> Outcome {
    if found.damage.is_empty() {
        Outcome::Done
    } else {
        Outcome::Damaged
    }
}

fn as_json(store: &Store, found: &Diagnosis) -> Value {
    let texts = |remarks: &[turnleaf::Remark]| -> Vec<String> {
        remarks.iter().map(ToString::to_string).collect()
    };
    let repairs: Vec<_> = found.repairs.iter().map(repair_json).collect();
    let given_up = found.given_up.iter();
    let given_up = given_up
        .map(|lost| json!({ "thread": lost.thread, "ordinals": first_and_last(&lost.ordinals) }));
    let given_up: Vec<Value> = given_up.collect();
    json!({
        "ok": found.damage.is_empty(),
        "closed": found.closed,
        "closedThreads": found.closed_threads,
        "damage": damage_of(store, found),
        "givenUp": given_up,
        "tail": tail(&found.tail),
        "remarks": texts(&found.remarks),
        "foreign": found.foreign,
        "hidden": found.deleted_threads,
        "repairs": repairs,
    })
}

fn thread_json(thread: &ThreadHealth) -> Value {
    let anomalies = thread.anomalies.iter().map(|found| {
        json!({
            "reason": found.reason,
            "count": found.count,
            "first": found.first.0,
            "class": class(found.class),
            "meaning": found.meaning,
        })
    });
    let anomalies: Vec<Value> = anomalies.collect();
    let kinds = thread.unknown.iter();
    let kinds = kinds.map(|kind| json!({ "kind": kind.name, "count": kind.count }));
    let kinds: Vec<Value> = kinds.collect();
    json!({
        "id": thread.id,
        "lag": thread.lag,
        "anomalies": anomalies,
        "unknownKinds": kinds,
    })
}

/// Which kinds of threads are not known, and how often each came, the most frequent ones first.
fn unknown_kinds<'a>(threads: impl Iterator<Item = &'a ThreadHealth>) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for kind in threads.flat_map(|thread| &thread.unknown) {
        *counts.entry(&kind.name).or_default() += kind.count;
    }
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let more = counts.len().saturating_sub(KINDS_MAX);
    let told = counts.iter().take(KINDS_MAX);
    let mut told: Vec<String> = told
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    if more > 0 {
        told.push(format!("and {more} more kinds"));
    }
    match told.is_empty() {
        true => String::new(),
        false => format!(": {}", told.join(", ")),
    }
}

/// The class of an anomaly, for programs.
pub(super) fn class(class: AnomalyClass) -> &'static str {
    match class {
        AnomalyClass::Unknown => "unknown",
        AnomalyClass::Malformed => "malformed",
        AnomalyClass::OutOfOrder => "outOfOrder",
    }
}

/// What is alike in several threads is told once.
fn thread_lines(threads: &[ThreadHealth]) -> Vec<String> {
    let mut lines = Vec::new();
    let lagging: Vec<_> = threads.iter().filter(|thread| thread.lag > 0).collect();
    let records: u64 = lagging.iter().map(|thread| thread.lag).sum();
    match lagging.as_slice() {
        [] => {}
        [thread] => lines.push(format!(
            "thread {}: the index is {records} records behind; the next read catches up",
            thread.id
        )),
        many => lines.push(format!(
            "the index is {records} records behind in {} threads; the next read of each catches up",
            many.len()
        )),
    }
    let mut alike: Vec<Alike<'_>> = Vec::new();
    for thread in threads {
        for found in thread.wrong() {
            match alike
                .iter_mut()
                .find(|one| one.first.reason == found.reason)
            {
                Some(one) => {
                    one.threads += 1;
                    one.count += found.count;
                }
                None => alike.push(Alike {
                    id: &thread.id,
                    first: found,
                    threads: 1,
                    count: found.count,
                }),
            }
        }
    }
    lines.extend(alike.iter().map(Alike::line));
    lines
}

/// Anomalies of one kind, of any threads.
struct Alike<'a> {
    /// The first thread that has one, and which.
    id: &'a str,
    first: &'a AnomalyCount,
    threads: u64,
    count: u64,
}

impl Alike<'_> {
    fn line(&self) -> String {
        let Alike {
            id,
            first,
            threads,
            count,
        } = self;
        let (reason, at, meaning) = (&first.reason, first.first, first.meaning);
        if *threads == 1 {
            return format!(
                "thread {id}: {reason} ({count} times, first at record {at}): {meaning}"
            );
        }
        format!(
            "{threads} threads: {reason} ({count} times, as at record {at} of thread {id}): \
             {meaning}"
        )
    }
}

fn damage_of(store: &Store, found: &Diagnosis) -> Vec<Value> {
    let shown = found.damage.iter();
    shown
        .map(|(thread, damage)| damage_of_store(store, (thread.as_deref(), damage)))
        .collect()
}

fn as_lines(found: &Diagnosis) -> Vec<String> {
    let mut lines = Vec::new();
    let told = found.damage.iter();
    let told = damage_lines(told.map(|(thread, damage)| (thread.as_deref(), damage)));
    lines.extend(few(told.iter().map(|line| format!("damage: {line}"))));
    let mut damage = found.damage.iter();
    if damage.any(|(_, damage)| damage.is_unreadable()) {
        lines.push(UNREADABLE.to_owned());
    }
    if found.closed {
        lines.push("the store can be read and takes no appends".to_owned());
    }
    let closed: Vec<&str> = found.closed_threads.iter().map(String::as_str).collect();
    if !closed.is_empty() {
        lines.push(format!(
            "{}can be read, no appends are taken",
            whose(&closed)
        ));
    }
    lines.extend(few(found.given_up.iter().map(|lost| {
        let (id, [first, last]) = (&lost.thread, first_and_last(&lost.ordinals));
        format!("thread {id}: records {first} to {last} were given up by a repair")
    })));
    if let TailVerdict::Torn { offset } = found.tail {
        lines.push(format!(
            "the newest journal file has a torn write at byte {offset}: nothing proves that it was \
             acknowledged, and the next writer keeps a copy and goes on before it"
        ));
    }
    lines.extend(few(found.remarks.iter().map(ToString::to_string)));
    let foreign = found.foreign.iter();
    lines.extend(few(foreign.map(|name| {
        format!("{name} does not belong to the store; left alone")
    })));
    let due = repair_lines(&found.repairs);
    lines.extend(few(due.iter().map(|line| format!("due: {line}"))));
    if !found.repairs.is_empty() {
        lines.push("`turnleaf repair` does what is due and keeps a copy".to_owned());
    }
    lines
}

/// The first of lines that are alike, and how many more there are.
fn few(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    let more = lines.len().saturating_sub(ALIKE_MAX);
    if more > 0 {
        lines.truncate(ALIKE_MAX);
        lines.push(format!("and {more} more of these; `--json` lists all"));
    }
    lines
}

fn repair_json(repair: &NamedRepair) -> Value {
    let does = &repair.repair;
    let mut shown = json!({
        "name": does.name(),
        "file": does.file(),
        "does": does.to_string(),
        "threads": repair.threads,
    });
    if let Some(copy) = &repair.copy {
        shown["copy"] = json!(copy);
    }
    shown
}

fn tail(tail: &TailVerdict) -> &'static str {
    match tail {
        TailVerdict::Clean => "clean",
        TailVerdict::Torn { .. } => "torn",
        TailVerdict::Damaged { .. } => "damaged",
    }
}
