//! Owns what leaves the store as exact bytes: `export` and `context`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::args::Global;
use crate::commands::{met, open_log, open_to_read};
use crate::exit::{Failure, Outcome};
use crate::output::warn;
use turnleaf::Store;

pub(crate) fn run(
    global: &Global,
    thread: &str,
    output: Option<&Path>,
    from: Option<u64>,
    to: Option<u64>,
) -> Result<Outcome, Failure> {
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(Failure::usage("--from must not be greater than --to"));
    }
    let store = open_log(global)?;
    match output {
        None => {
            let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
            store.export(thread, from, to, &mut out)?;
            out.flush()
                .map_err(Failure::io("write to standard output"))?;
        }
        Some(path) => {
            if path.is_dir() {
                let shown = path.display();
                return Err(Failure::Usage(format!(
                    "{shown} is a directory; name a file"
                )));
            }
            // Written beside its place first, so that a failure leaves no half file there.
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{}.tmp", std::process::id()));
            let temporary = Path::new(&name);
            let shown = path.display();
            let file = File::create_new(temporary)
                .map_err(Failure::io(format_args!("create {}", temporary.display())))?;
            let mut out = BufWriter::with_capacity(1 << 20, file);
            let written = store
                .export(thread, from, to, &mut out)
                .map_err(Failure::from);
            let written = written.and_then(|_| {
                out.flush()
                    .map_err(Failure::io(format_args!("write {shown}")))?;
                out.get_ref()
                    .sync_all()
                    .map_err(Failure::io(format_args!("sync {shown}")))?;
                std::fs::rename(temporary, path)
                    .map_err(Failure::io(format_args!("rename to {shown}")))
            });
            if let Err(failure) = written {
                let _ = std::fs::remove_file(temporary);
                return Err(failure);
            }
        }
    }
    warn_of_gaps(global, &store, thread)?;
    Ok(met(global, &store))
}

/// What a repair gave up is missing in the output: that is said, and is no failure.
fn warn_of_gaps(global: &Global, store: &Store, thread: &str) -> Result<(), Failure> {
    for (first, end) in store.given_up(thread)? {
        if !global.quiet {
            let last = end - 1;
            warn(format_args!(
                "records {first} to {last} are missing: a repair gave them up"
            ));
        }
    }
    Ok(())
}

pub(crate) fn context(global: &Global, thread: &str, ordinals: bool) -> Result<Outcome, Failure> {
    let store = open_to_read(global)?;
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    if ordinals {
        for ordinal in store.context_ordinals(thread)? {
            writeln!(out, "{ordinal}").map_err(Failure::io("write to standard output"))?;
        }
    } else {
        store.context(thread, &mut out)?;
    }
    out.flush()
        .map_err(Failure::io("write to standard output"))?;
    Ok(met(global, &store))
}
