//! Owns what is written for the agent runtime to open: `export --as-rollout`, `rescue`.

use std::path::Path;

use serde_json::json;
use turnleaf::RolloutFile;

use crate::args::Global;
use crate::commands::export::warn_of_gaps;
use crate::commands::{closing, directory, met, met_untold, open_existing, open_log, thread_id};
use crate::destination::write_new;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{print_json, print_line, warn};

pub(crate) fn export(global: &Global, thread: &str, home: &Path) -> Result<Outcome, Failure> {
    let store = open_log(global)?;
    let thread = &thread_id(&store, thread)?;
    let file = store.rollout_file(thread)?;
    write(global, &file, home, None)?;
    Ok(met_untold(global, &store))
}

pub(crate) fn rescue(global: &Global, thread: &str, home: &Path) -> Result<Outcome, Failure> {
    closing(open_existing(global)?, |store| {
        let thread = &thread_id(store, thread)?;
        let file = store.rescue(thread, &store.new_thread_id()?)?;
        write(global, &file, home, Some(thread))?;
        Ok(met(global, store))
    })
}

fn write(
    global: &Global,
    file: &RolloutFile<'_>,
    home: &Path,
    rescued: Option<&str>,
) -> Result<(), Failure> {
    let (mut written, path) = (None, home.join(&file.path));
    write_new(home, &path, &directory(global)?, |out| {
        written = Some(file.write(out)?);
        Ok(())
    })?;
    let Some(written) = written else {
        return Ok(());
    };
    warn_of_gaps(global, &written.given_up);
    if let Some(id) = file.awaits.as_ref().filter(|_| !global.quiet) {
        warn(format_args!(
            "the file begins behind rollout {id}, which is not in the store"
        ));
    }
    if file.has_made_head && !global.quiet {
        warn(
            "no head of the thread can be read: the file has one of what the index knows, without \
             the instructions of the model",
        );
    }
    if global.json {
        return print_json(&json!({
            "id": file.id,
            "path": path.display().to_string(),
            "lines": written.lines,
            "bytes": written.bytes,
            "from": file.from.0,
            "rescued": rescued,
            "awaits": file.awaits,
            "hasMadeHead": file.has_made_head,
        }));
    }
    if global.quiet {
        return Ok(());
    }
    let shown = path.display();
    match rescued {
        Some(thread) => print_line(&format!(
            "{} goes on from record {} of {thread}: {shown}",
            file.id, file.from
        )),
        None => print_line(&format!("{shown}")),
    }
}
