//! Owns what makes a thread go on from a part of one: `fork`, `revert`, `rollback`.

use serde_json::Value;
use turnleaf::{ForkPoint, Ordinal, Reverted, RolloutInfo, Store};

use crate::args::{ForkArgs, Global};
use crate::commands::lifecycle::{described, tell};
use crate::commands::{closing, open_existing, thread_id};
use crate::exit::Outcome;
use crate::failure::Failure;

/// The point of a fork; the arguments exclude each other.
fn point(args: &ForkArgs) -> ForkPoint {
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
        let forked = store.fork(thread, &id, &point(args))?;
        let line = format!(
            "{} goes on behind {} records of {thread}",
            forked.thread, forked.inherited
        );
        tell(global, &described(store, &forked.thread), &line)
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
