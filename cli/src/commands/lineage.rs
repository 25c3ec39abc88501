//! Owns what makes a thread go on from a part of one: `fork`, `revert`, `rollback`.

use std::collections::HashSet;

use serde_json::Value;
use turnleaf::{ForkPoint, Ordinal, Reverted, RolloutInfo, Store};

use crate::args::{ForkArgs, Global, PointArgs};
use crate::commands::lifecycle::{described, tell};
use crate::commands::{closing, open_existing, thread_id};
use crate::exit::Outcome;
use crate::failure::Failure;

/// The point that arguments name; they exclude each other.
pub(crate) fn point(args: &PointArgs) -> ForkPoint {
    let turn = args.before_turn.clone().map(ForkPoint::BeforeTurn);
    let turn = turn.or(args.through_turn.clone().map(ForkPoint::ThroughTurn));
    let point = turn.or(args.at.map(|at| ForkPoint::AtOrdinal(Ordinal(at))));
    point.unwrap_or(ForkPoint::Latest)
}

pub(crate) fn fork(global: &Global, args: &ForkArgs) -> Result<Outcome, Failure> {
    closing(open_existing(global)?, |store| {
        let thread = &thread_id(store, &args.thread)?;
        let id = match &args.id {
            Some(id) => id.clone(),
            None => store.new_thread_id()?,
        };
        let forked = store.fork(thread, &id, &point(&args.point))?;
        let line = format!(
            "{} goes on behind {} records of {thread}",
            forked.thread, forked.inherited
        );
        // Nothing of the history is read to tell of it.
        let told = serde_json::json!({
            "id": forked.thread,
            "forkedFromId": thread,
            "inherited": forked.inherited.0,
        });
        tell(global, &told, &line)
    })?;
    Ok(Outcome::Done)
}

pub(crate) fn revert(global: &Global, thread: &str, turn: &str) -> Result<Outcome, Failure> {
    taking_back(global, thread, |store, thread| {
        Ok(store.revert(thread, turn)?)
    })
}

pub(crate) fn rollback(global: &Global, thread: &str, turns: usize) -> Result<Outcome, Failure> {
    taking_back(global, thread, |store, thread| {
        Ok(store.rollback(thread, turns)?)
    })
}

fn taking_back(
    global: &Global,
    thread: &str,
    take: impl FnOnce(&Store, &str) -> Result<Reverted, Failure>,
) -> Result<Outcome, Failure> {
    closing(open_existing(global)?, |store| {
        let thread = &thread_id(store, thread)?;
        let reverted = take(store, thread)?;
        let line = format!(
            "{thread} is back behind its first {} records; what came after them is kept",
            reverted.inherited
        );
        tell(global, &described(store, thread), &line)
    })?;
    Ok(Outcome::Done)
}

/// The rollouts of a thread for machines.
pub(crate) fn rollouts_value(rollouts: &[RolloutInfo]) -> Value {
    let rollouts = rollouts.iter().map(|info| {
        serde_json::json!({
            "number": info.number.0,
            "id": info.id,
            "isCurrent": info.is_current,
            "records": info.records,
            "base": info.base.as_ref().map(|base| serde_json::json!({
                "thread": base.thread,
                "id": base.id,
                "number": base.number.0,
                "records": base.end.0,
            })),
            "awaits": info.awaits,
            "path": info.imported_from,
        })
    });
    rollouts.collect()
}

/// The same for people: a line for each, the current one marked.
pub(crate) fn rollout_lines(rollouts: &[RolloutInfo]) -> Vec<(String, String)> {
    let line = |info: &RolloutInfo| {
        let label = if info.is_current {
            "shows rollout"
        } else {
            "kept rollout"
        };
        let base = match (&info.base, &info.awaits) {
            (Some(base), _) => {
                format!(", behind {} records of rollout {}", base.end, base.number)
            }
            (None, Some(id)) => format!(", behind rollout {id}, which is not in the store"),
            (None, None) => String::new(),
        };
        let told = format!(
            "{} ({}): {} records{base}",
            info.number, info.id, info.records
        );
        (label.to_owned(), told)
    };
    rollouts.iter().map(line).collect()
}

/// Forks of a tree that are told; of more it is said how many there are.
const TREE_MAX: usize = 100;

/// Forks below a thread: how deep each stands, and its id; and how many more there are.
type Forks = (Vec<(usize, String)>, usize);

/// The forks of a thread, and those of each, every one once: how deep it stands, and its id.
fn forks_below(store: &Store, thread: &str) -> Result<Forks, Failure> {
    let (mut told, mut more) = (Vec::new(), 0);
    let mut seen = HashSet::from([thread.to_owned()]);
    let mut open = vec![(0, thread.to_owned())];
    while let Some((depth, id)) = open.pop() {
        if told.len() == TREE_MAX {
            more += 1;
        } else if depth > 0 {
            told.push((depth, id.clone()));
        }
        let mut forks = store.forks_of(&id)?;
        forks.retain(|fork| seen.insert(fork.clone()));
        forks.reverse();
        open.extend(forks.into_iter().map(|fork| (depth + 1, fork)));
    }
    Ok((told, more))
}

/// The threads that a thread goes on from, the nearest first, each with the records that are
/// inherited of its rollout.
fn bases_above(store: &Store, thread: &str) -> Result<Vec<(String, u64)>, Failure> {
    let (mut told, mut id) = (Vec::new(), thread.to_owned());
    let mut rollouts = store.rollouts(&id)?;
    let current = rollouts.iter().find(|info| info.is_current);
    let mut base = current.and_then(|info| info.base.clone());
    while let Some(on) = base {
        // A revert goes on from another rollout of the same thread.
        if on.thread != id {
            told.push((on.thread.clone(), on.end.0));
            rollouts = store.rollouts(&on.thread)?;
            id = on.thread;
        }
        let next = rollouts.iter().find(|info| info.number == on.number);
        base = next.and_then(|info| info.base.clone());
    }
    Ok(told)
}

/// The tree for machines: the bases from the nearest on, the forks with those of their own, and how
/// many more of these there are.
pub(crate) fn put_tree(store: &Store, thread: &str, told: &mut Value) -> Result<(), Failure> {
    let bases = bases_above(store, thread)?.into_iter();
    told["bases"] = bases
        .map(|(id, records)| serde_json::json!({ "thread": id, "records": records }))
        .collect();
    let (forks, more) = forks_below(store, thread)?;
    let forks = forks.into_iter();
    told["forksBelow"] = forks
        .map(|(depth, id)| serde_json::json!({ "thread": id, "depth": depth }))
        .collect();
    told["moreForksBelow"] = more.into();
    Ok(())
}

/// The same for people: bases above, forks below, each farther in than what it goes on from. None
/// of a thread that is alone.
pub(crate) fn tree_lines(store: &Store, thread: &str) -> Result<Vec<String>, Failure> {
    let bases = bases_above(store, thread)?;
    let (forks, more) = forks_below(store, thread)?;
    if bases.is_empty() && forks.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines: Vec<String> = Vec::new();
    let mut push = |depth: usize, text: String| lines.push(format!("{}{text}", "  ".repeat(depth)));
    for (depth, (id, _)) in bases.iter().rev().enumerate() {
        push(depth, id.clone());
    }
    let own = bases.len();
    push(own, format!("{thread} (this one)"));
    for (depth, id) in &forks {
        push(own + depth, id.clone());
    }
    if more > 0 {
        push(own + 1, format!("and {more} more"));
    }
    Ok(lines)
}
