//! Owns the dispatch of commands and the ways in which they open a store.

mod append;
mod export;
mod health;
mod import;
mod lifecycle;
mod lineage;
mod pages;
mod rollout_file;
mod tour;
mod upkeep;

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use turnleaf::{Damage, ErrorKind, Store};

use crate::args::{Cli, Command, Global};
use crate::damage::damage_lines;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{print_bytes, warn};

/// Why the index of a store is not looked at.
const NOT_OWNED: &str = "the store belongs to another process, or cannot be written";

/// Runs the command.
pub(crate) fn run(cli: Cli) -> Result<Outcome, Failure> {
    let Cli { global, command } = cli;
    match command {
        Command::Import(args) => import::run(&global, &args),
        Command::Append {
            thread,
            batch,
            create,
        } => append::run(&global, &thread, batch, create),
        Command::Export(args) => match &args.as_rollout {
            Some(home) => rollout_file::export(&global, &args.thread, home),
            None => export::run(&global, &args),
        },
        Command::Verify { thread } => upkeep::verify(&global, thread.as_deref()),
        Command::Doctor { thread: None } => health::doctor(&global),
        Command::Doctor {
            thread: Some(thread),
        } => health::doctor_of(&global, &thread),
        Command::Repair { thread, dry_run } => health::repair(&global, thread.as_deref(), dry_run),
        Command::Stats => upkeep::stats(&global),
        Command::Threads(args) => pages::threads(&global, args),
        Command::Turns {
            thread,
            page,
            order,
            items,
        } => pages::turns(&global, thread, page, order, items),
        Command::Items {
            thread,
            turn,
            all,
            page,
            order,
        } => pages::items(&global, thread, (turn, all), page, order),
        Command::Show {
            thread,
            world_state: true,
            at,
        } => pages::world_state(&global, &thread, at),
        Command::Show { thread, .. } => pages::show(&global, &thread),
        Command::Context {
            thread,
            point,
            ordinals,
        } => export::context(&global, &thread, &lineage::point(&point), ordinals),
        Command::Name { thread, text } => upkeep::name(&global, &thread, &text),
        Command::Fork(args) => lineage::fork(&global, &args),
        Command::Revert {
            thread,
            before_turn,
        } => lineage::revert(&global, &thread, &before_turn),
        Command::Rollback { thread, turns } => lineage::rollback(&global, &thread, turns),
        Command::Rescue { thread, into } => rollout_file::rescue(&global, &thread, &into),
        Command::Archive { thread } => lifecycle::archive(&global, &thread, true),
        Command::Unarchive { thread } => lifecycle::archive(&global, &thread, false),
        Command::Delete {
            thread,
            with_children: false,
            ..
        } => lifecycle::delete(&global, &thread),
        Command::Delete {
            thread, dry_run, ..
        } => lifecycle::delete_tree(&global, &thread, dry_run),
        Command::Tour(args) => tour::run(&global, &args),
        Command::RebuildIndex => upkeep::rebuild_index(&global),
        Command::Completions { shell } => completions(shell),
        Command::Man => man(),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "turnleaf", &mut script);
    print_bytes(&script)?;
    Ok(Outcome::Done)
}

fn man() -> Result<Outcome, Failure> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(Failure::io("render the page"))?;
    print_bytes(&page)?;
    Ok(Outcome::Done)
}

/// The store's directory.
pub(crate) fn directory(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(dir) = &global.store {
        return Ok(dir.clone());
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let data = variable("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".local/share")));
    data.map(|data| data.join("turnleaf"))
        .ok_or_else(|| Failure::usage("no --store, no TURNLEAF_STORE and no home directory"))
}

/// Opens for writing; creates the store.
pub(crate) fn open(global: &Global) -> Result<Store, Failure> {
    at(&directory(global)?, Store::open)
}

/// Opens for writing what exists.
pub(crate) fn open_existing(global: &Global) -> Result<Store, Failure> {
    at(&directory(global)?, Store::open_existing)
}

/// Works on a store and closes it, also after a failure: the next owner then goes on in the same
/// journal file.
pub(crate) fn closing<T>(
    store: Store,
    work: impl FnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let done = work(&store);
    let closed = store.close();
    let done = done?;
    closed?;
    Ok(done)
}

/// Opens for reading with the index.
pub(crate) fn open_to_read(global: &Global) -> Result<Store, Failure> {
    let store = at(&directory(global)?, Store::open_to_read)?;
    warn_of_opening(global, &store);
    Ok(store)
}

/// Opens the log alone, whoever owns the store. Nothing is told of damage then: who reads a thread
/// tells what costs it records by [`met_untold`].
pub(crate) fn open_log(global: &Global) -> Result<Store, Failure> {
    at(&directory(global)?, Store::open_log)
}

/// Opens for reading; the log alone where another process owns the store.
pub(crate) fn open_what_is_free(global: &Global) -> Result<Store, Failure> {
    let dir = directory(global)?;
    match Store::open_to_read(&dir) {
        Err(error) if error.kind() == ErrorKind::Busy => open_log(global),
        opened => at(&dir, |_| opened),
    }
}

/// Threads that are named where a beginning is that of several.
const ALIKE_MAX: usize = 10;

/// The id of a thread that is given by it, or by a beginning that no other thread has. What is no
/// thread's is handed on: what needs it says so.
pub(crate) fn thread_id(store: &Store, given: &str) -> Result<String, Failure> {
    let mut found = store.thread_ids(given, ALIKE_MAX + 1);
    match found.len() {
        0 => Ok(given.to_owned()),
        1 => Ok(found.remove(0)),
        many => {
            found.truncate(ALIKE_MAX);
            let more = if many > ALIKE_MAX { ", ..." } else { "" };
            Err(Failure::Usage(format!(
                "{given:?} is the beginning of several threads: {}{more}",
                found.join(", ")
            )))
        }
    }
}

/// The id of a thread that is given by nothing less: what is done to it is for good.
pub(crate) fn whole_id(store: &Store, given: &str) -> Result<String, Failure> {
    let id = thread_id(store, given)?;
    if id.eq_ignore_ascii_case(given) {
        return Ok(id);
    }
    Err(Failure::Usage(format!(
        "{given:?} is the beginning of {id}; a deletion is for good: give the whole id"
    )))
}

/// Does something to the store in a directory; where it cannot be opened, the directory is named.
pub(crate) fn at<T>(
    dir: &Path,
    work: impl FnOnce(&Path) -> Result<T, turnleaf::Error>,
) -> Result<T, Failure> {
    work(dir).map_err(|error| match error {
        turnleaf::Error::Open(_) => Failure::Opening {
            dir: dir.to_owned(),
            error,
        },
        error => Failure::Store(error),
    })
}

/// Tells the damage that the opening met, each kind of it once.
fn warn_of_opening(global: &Global, store: &Store) {
    if !global.quiet {
        warn_of(store, &store.report().damage);
    }
}

fn warn_of(store: &Store, damage: &[Damage]) {
    let ids = store.damaged_threads(damage);
    let ids = ids.iter().map(Option::as_deref);
    for line in damage_lines(ids.zip(damage)) {
        warn(line);
    }
}

/// What reads met on their way: warned of, unless the opening told it before, and told by the exit
/// code.
pub(crate) fn met(global: &Global, store: &Store) -> Outcome {
    met_beside(global, store, &store.report().damage)
}

/// As [`met`], for a store whose opening told nothing, as that of [`open_log`].
pub(crate) fn met_untold(global: &Global, store: &Store) -> Outcome {
    met_beside(global, store, &[])
}

fn met_beside(global: &Global, store: &Store, told: &[Damage]) -> Outcome {
    let seen = store.damage_seen();
    if !global.quiet {
        for older in store.older_log_seen() {
            warn(older);
        }
        let new: Vec<Damage> = seen
            .iter()
            .filter(|one| !told.contains(one))
            .cloned()
            .collect();
        warn_of(store, &new);
    }
    if seen.is_empty() {
        Outcome::Done
    } else {
        Outcome::Damaged
    }
}

/// As [`met`], for what is about all threads: damage that the opening met is damage met, whether
/// the index could answer without what is lost or not.
pub(crate) fn met_in_any(global: &Global, store: &Store) -> Outcome {
    let met = met(global, store);
    if store.report().damage.is_empty() {
        met
    } else {
        Outcome::Damaged
    }
}
