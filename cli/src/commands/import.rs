//! Owns `import`: finding sources, opening them with care, telling what became of each.

mod find;
mod names;

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use turnleaf::{ErrorKind, ImportSource, Imported, Skip, Store};

use crate::args::Global;
use crate::commands::{closing, open};
use crate::exit::{Failure, Outcome};
use crate::output::{print_json, print_line, progress, size, warn};
use find::{Candidate, Found};

/// Largest window of a .zst source, as a power of two: 128 MiB bounds the memory of decoding.
const WINDOW_LOG_MAX: u32 = 27;

/// The directory in which upstream keeps archived threads.
const ARCHIVE: &str = "archived_sessions";

/// What became of all sources.
#[derive(Debug, Default)]
struct Sum {
    threads: std::collections::BTreeSet<String>,
    files: u64,
    records: u64,
    bytes: u64,
    added_records: u64,
    skipped: Vec<(String, String)>,
}

impl Sum {
    fn add(&mut self, imported: Imported) {
        self.records += imported.records;
        self.bytes += imported.bytes;
        self.added_records += imported.added_records;
        self.threads.insert(imported.thread);
    }

    fn skip(&mut self, candidate: &Candidate, why: NotImported) {
        let reason = match why {
            // A list of something else that lies beside rollouts.
            NotImported::NoRollout(_) if candidate.guessed => return,
            NotImported::NoRollout(reason) | NotImported::Refused(reason) => reason,
            NotImported::InPart(part, reason) => {
                self.add(part);
                reason
            }
        };
        let path = candidate.path.display().to_string();
        self.skipped.push((path, reason));
    }
}

/// Why a file was not imported, or not to its end.
#[derive(Debug)]
enum NotImported {
    /// It holds no rollout.
    NoRollout(String),
    Refused(String),
    /// What could be imported of it is stored.
    InPart(Imported, String),
}

pub(crate) fn run(global: &Global, paths: &[PathBuf], dry_run: bool) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let mut found = find::find(paths);
    let mut sum = Sum {
        skipped: std::mem::take(&mut found.skipped),
        ..Sum::default()
    };
    let mut anomalies = 0;
    // Without anything to read no store is created.
    let readable = |candidate: &Candidate| open_source(&candidate.path).is_ok();
    let any = found.rollouts.iter().any(readable) || !found.name_indexes.is_empty();
    if dry_run || !any {
        for candidate in &found.rollouts {
            match open_source(&candidate.path) {
                Ok((_, bytes, _)) => {
                    sum.files += 1;
                    sum.bytes += bytes;
                }
                Err(why) => sum.skip(candidate, why),
            }
        }
    } else {
        anomalies = closing(open(global)?, |store| {
            import_all(global, store, &found, &mut sum)
        })?;
    }
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    report(global, &sum, anomalies, elapsed_ms, dry_run)?;
    Ok(if sum.skipped.is_empty() {
        Outcome::Done
    } else {
        Outcome::Partial
    })
}

fn import_all(
    global: &Global,
    store: &Store,
    found: &Found,
    sum: &mut Sum,
) -> Result<u64, Failure> {
    let length = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let lengths = found.rollouts.iter().map(|found| length(&found.path));
    let bar = progress(lengths.sum(), global.json || global.quiet, "import");
    let mut done = 0;
    for candidate in &found.rollouts {
        let path = &candidate.path;
        match import_one(store, path, &mut |bytes| bar.set_position(done + bytes))? {
            Ok(imported) => {
                sum.files += 1;
                sum.add(imported);
            }
            Err(why) => sum.skip(candidate, why),
        }
        done += length(path);
        bar.set_position(done);
    }
    bar.finish_and_clear();
    names::apply(store, &found.name_indexes, &mut sum.skipped)?;
    if sum.added_records > 0
        && let Err(error) = store.seal_all()
    {
        // All of it is durable in the journal; only its room is not given back.
        warn(format_args!(
            "what was imported is kept, but not sealed: {error}"
        ));
    }
    Ok(count_anomalies(store, sum))
}

/// Counting folds the new records into the index, so that the first page need not.
fn count_anomalies(store: &Store, sum: &Sum) -> u64 {
    let count = |thread: &String| {
        let shown = store.show(thread).ok()?;
        Some(shown.anomalies.iter().map(|odd| odd.count).sum::<u64>())
    };
    sum.threads.iter().filter_map(count).sum()
}

fn import_one(
    store: &Store,
    path: &Path,
    told: &mut dyn FnMut(u64),
) -> Result<Result<Imported, NotImported>, Failure> {
    let (file, file_bytes, modified_ns) = match open_source(path) {
        Ok(opened) => opened,
        Err(why) => return Ok(Err(why)),
    };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let shown = absolute.display().to_string();
    if let Some(current) = store.import_is_current(&shown, file_bytes, modified_ns) {
        return Ok(Ok(current));
    }
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut plain: Box<dyn Read> = if name.ends_with(".zst") {
        match unpack(file) {
            Ok(plain) => plain,
            Err(error) => return Ok(refused(format_args!("not a zstd file: {error}"))),
        }
    } else {
        Box::new(file)
    };
    let hint = find::thread_of_name(&name);
    let source = ImportSource {
        path: &shown,
        thread_hint: hint.as_deref(),
        plain: &mut plain,
        file_bytes,
        modified_ns,
        archived: absolute
            .components()
            .any(|part| part.as_os_str() == ARCHIVE),
    };
    match store.import(source, told) {
        Ok(outcome) => Ok(outcome.map_err(why)),
        // A thread in quarantine, one that another import has, or one that was deleted meanwhile
        // costs this file only.
        Err(error) => match error.kind() {
            ErrorKind::Busy | ErrorKind::Damaged | ErrorKind::NotFound => Ok(refused(error)),
            _ => Err(error.into()),
        },
    }
}

fn why(skip: Skip) -> NotImported {
    let reason = skip.to_string();
    match skip {
        Skip::Empty | Skip::NotARollout => NotImported::NoRollout(reason),
        Skip::HasLost { imported: part, .. }
        | Skip::Broken {
            imported: Some(part),
            ..
        } => NotImported::InPart(part, reason),
        _ => NotImported::Refused(reason),
    }
}

fn refused<T>(reason: impl Display) -> Result<T, NotImported> {
    Err(NotImported::Refused(reason.to_string()))
}

/// Opens a regular file, without waiting for the other end of a pipe; gives its length and time.
fn open_source(path: &Path) -> Result<(File, u64, i64), NotImported> {
    let before = path.metadata().or_else(refused)?;
    let kind = |metadata: &std::fs::Metadata| {
        if metadata.is_dir() {
            "a directory, not a file"
        } else {
            "not a regular file"
        }
    };
    if !before.is_file() {
        return refused(kind(&before));
    }
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = File::options()
        .read(true)
        .custom_flags(nonblocking)
        .open(path);
    let file = file.or_else(refused)?;
    let metadata = file.metadata().or_else(refused)?;
    if !metadata.is_file() {
        return refused(kind(&metadata));
    }
    if metadata.len() == 0 {
        return Err(NotImported::NoRollout(Skip::Empty.to_string()));
    }
    let modified_ns = metadata.mtime().saturating_mul(1_000_000_000) + metadata.mtime_nsec();
    Ok((file, metadata.len(), modified_ns))
}

fn unpack(file: File) -> std::io::Result<Box<dyn Read>> {
    let mut plain = zstd::stream::read::Decoder::new(file)?;
    plain.window_log_max(WINDOW_LOG_MAX)?;
    Ok(Box::new(plain))
}

fn report(
    global: &Global,
    sum: &Sum,
    anomalies: u64,
    elapsed_ms: u64,
    dry_run: bool,
) -> Result<(), Failure> {
    if global.json {
        let skipped: Vec<_> = sum
            .skipped
            .iter()
            .map(|(path, reason)| json!({ "path": path, "reason": reason }))
            .collect();
        return print_json(&json!({
            "threads": sum.threads.len(),
            "files": sum.files,
            "records": sum.records,
            "bytes": sum.bytes,
            "added_records": sum.added_records,
            "anomalies": anomalies,
            "skipped": skipped,
            "elapsed_ms": elapsed_ms,
        }));
    }
    let told = if dry_run { "would skip" } else { "skipped" };
    for (path, reason) in sum.skipped.iter().filter(|_| !global.quiet) {
        warn(format_args!("{told} {path}: {reason}"));
    }
    if dry_run {
        return print_line(&format!(
            "would import {} files, {}",
            sum.files,
            size(sum.bytes)
        ));
    }
    print_line(&format!(
        "imported {} files into {} threads: {} records added, {} records of {} in all, {} ms",
        sum.files,
        sum.threads.len(),
        sum.added_records,
        sum.records,
        size(sum.bytes),
        elapsed_ms
    ))?;
    if anomalies > 0 {
        print_line(&format!(
            "{anomalies} records are odd (kept; `turnleaf show THREAD` says why)"
        ))?;
    }
    for id in sum.threads.iter().take(5) {
        print_line(&format!("  {id}"))?;
    }
    Ok(())
}
