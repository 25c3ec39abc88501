//! Owns what a command does to a thread as a whole: `archive`, `unarchive`, `delete`.

use serde_json::{Value, json};
use turnleaf::{KeptBase, Store};

use crate::args::Global;
use crate::commands::{closing, open_existing, thread_id, whole_id};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{print_json, print_line};

pub(crate) fn archive(global: &Global, thread: &str, archived: bool) -> Result<Outcome, Failure> {
    closing(open_existing(global)?, |store| {
        let thread = &thread_id(store, thread)?;
        if archived {
            store.archive(thread)?;
        } else {
            store.unarchive(thread)?;
        }
        let told = if archived { "archived" } else { "not archived" };
        let shown = described(store, thread);
        tell(global, &shown, &format!("{thread} is {told}"))
    })?;
    Ok(Outcome::Done)
}

pub(crate) fn delete(global: &Global, thread: &str) -> Result<Outcome, Failure> {
    closing(open_existing(global)?, |store| {
        let thread = &whole_id(store, thread)?;
        // What it was, before it is gone; also of a thread that is damaged.
        let shown = described(store, thread);
        store.delete(thread)?;
        tell(global, &shown, &format!("{thread} is deleted"))
    })?;
    Ok(Outcome::Done)
}

pub(crate) fn delete_tree(
    global: &Global,
    thread: &str,
    dry_run: bool,
) -> Result<Outcome, Failure> {
    closing(open_existing(global)?, |store| {
        let thread = &whole_id(store, thread)?;
        let subtree = if dry_run {
            store.subtree(thread)?
        } else {
            store.delete_tree(thread)?
        };
        let threads = &subtree.threads;
        if global.json {
            let base = |base: &KeptBase| json!({ "thread": base.thread, "forks": base.forks });
            let bases: Vec<Value> = subtree.bases.iter().map(base).collect();
            return print_json(&json!({ "threads": threads, "bases": bases }));
        }
        if global.quiet {
            return Ok(());
        }
        let verb = if dry_run { "would be" } else { "is" };
        for thread in threads {
            print_line(&format!("{thread} {verb} deleted"))?;
        }
        for base in &subtree.bases {
            let (thread, forks) = (&base.thread, base.forks.join(", "));
            print_line(&format!(
                "nothing is deleted while others go on from {thread}: {forks}"
            ))?;
        }
        Ok(())
    })?;
    Ok(Outcome::Done)
}

/// The thread's object; of a thread that cannot be described, its id alone.
pub(crate) fn described(store: &Store, thread: &str) -> Value {
    let shown = store.show(thread);
    shown.map_or_else(|_| json!({ "id": thread }), |shown| shown.thread)
}

pub(crate) fn tell(global: &Global, thread: &Value, line: &str) -> Result<(), Failure> {
    if global.json {
        return print_json(thread);
    }
    if global.quiet {
        return Ok(());
    }
    print_line(line)
}
