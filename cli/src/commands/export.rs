//! Owns what leaves the store as exact bytes: `export` and `context`.

use std::io::{BufWriter, Write};
use std::ops::{Bound, Range};

use turnleaf::{ForkPoint, Ordinal, Store, ThreadNumber};

use crate::args::{ExportArgs, Global};
use crate::commands::{directory, met, met_untold, open_log, open_to_read, thread_id};
use crate::destination::Destination;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::warn;

pub(crate) fn run(global: &Global, args: &ExportArgs) -> Result<Outcome, Failure> {
    let (from, to) = (args.from, args.to);
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(Failure::usage("--from must not be greater than --to"));
    }
    let store = open_log(global)?;
    let thread = &thread_id(&store, &args.thread)?;
    let destination = match &args.output {
        None => Destination::StandardOutput,
        Some(path) => Destination::find(path, &directory(global)?)?,
    };
    let range = (
        from.map_or(Bound::Unbounded, |from| Bound::Included(Ordinal(from))),
        to.map_or(Bound::Unbounded, |to| Bound::Excluded(Ordinal(to))),
    );
    let rollout = args.rollout.as_deref();
    let rollout = rollout
        .map(|rollout| rollout_of(&store, thread, rollout))
        .transpose()?;
    destination.write(|out| {
        match rollout {
            Some(rollout) => store.export_rollout(thread, rollout, out)?,
            None => store.export(thread, range, out)?,
        };
        Ok(())
    })?;
    let given_up = store.given_up(thread)?;
    warn_of_gaps(global, &given_up);
    Ok(met_untold(global, &store))
}

/// A rollout by its number, or by its id: the newest that has it.
fn rollout_of(store: &Store, thread: &str, text: &str) -> Result<ThreadNumber, Failure> {
    let rollouts = store.rollouts(thread)?;
    let has_id = rollouts.iter().rev().find(|info| info.id == text);
    match (has_id, text.parse()) {
        (Some(info), _) => Ok(info.number),
        (None, Ok(number)) => Ok(ThreadNumber(number)),
        (None, Err(_)) => Err(Failure::usage(
            "no rollout of the thread has that id; `turnleaf show` lists those that it has",
        )),
    }
}

/// What a repair gave up is missing in the output: that is said, and is no failure.
pub(super) fn warn_of_gaps(global: &Global, given_up: &[Range<Ordinal>]) {
    for lost in given_up.iter().filter(|_| !global.quiet) {
        let (first, last) = (lost.start, lost.end.0 - 1);
        warn(format_args!(
            "records {first} to {last} are missing: a repair gave them up"
        ));
    }
}

pub(crate) fn context(
    global: &Global,
    thread: &str,
    upto: &ForkPoint,
    ordinals: bool,
) -> Result<Outcome, Failure> {
    let store = open_to_read(global)?;
    let thread = &thread_id(&store, thread)?;
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    if ordinals {
        for ordinal in store.context_ordinals(thread, upto)? {
            writeln!(out, "{ordinal}").map_err(Failure::io("write to standard output"))?;
        }
    } else {
        let written = store.context(thread, upto, &mut out)?;
        warn_of_gaps(global, &written.given_up);
    }
    out.flush()
        .map_err(Failure::io("write to standard output"))?;
    Ok(met(global, &store))
}
