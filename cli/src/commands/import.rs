//! Owns `import`: from what the arguments name to what became of each source.

mod find;
mod home;
mod names;
mod source;
mod sum;

use std::path::{Path, PathBuf};
use std::time::Instant;

use turnleaf::{
    Error, ErrorKind, ImportOutcome, ImportSource, Imported, Importer, Previewer, Skip, Store,
};

use crate::args::{Global, ImportArgs};
use crate::commands::{closing, open, open_log};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{progress, warn};
use find::{Candidate, Found};
use source::Holds;
use sum::Sum;

/// What is said of a file without a byte of a record.
const NOTHING: &str = "the file holds nothing: white space, NUL bytes or a byte-order mark, as a \
                       power cut may leave them";
/// What is said of a file that ends within the line that says whose it is.
const TORN: &str = "the file ends within its first line, so that nobody knows whose it is: put a \
                    whole copy in its place and import that, or leave it out";

/// Why a file was not imported, or not to its end.
#[derive(Debug)]
enum NotImported {
    /// It holds nothing.
    Nothing(String),
    /// It holds no rollout.
    NoRollout(String),
    /// Its thread was deleted from the store.
    Deleted(String),
    Refused(String),
    /// What could be imported of it is stored.
    InPart(Box<Imported>, String),
}

pub(crate) fn run(global: &Global, args: &ImportArgs) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let mut found = sources(args)?;
    // Where a thread lies in both, the live one is imported first, and the thread is live.
    found.rollouts.sort_by_key(|found| is_archived(&found.path));
    let mut sum = Sum {
        skipped: std::mem::take(&mut found.skipped),
        remarks: std::mem::take(&mut found.remarks),
        ..Sum::default()
    };
    // Without anything to read no store is created.
    let readable = |candidate: &Candidate| source::open(&candidate.path).is_ok();
    let any = found.rollouts.iter().any(readable) || !found.name_indexes.is_empty();
    if args.dry_run {
        look_at_all(global, args, &found, &mut sum)?;
    } else if !any {
        for candidate in &found.rollouts {
            if let Err(why) = source::open(&candidate.path) {
                sum.skip(candidate, why);
            }
        }
    } else {
        closing(open(global)?, |store| {
            import_all(global, args, store, &found, &mut sum)
        })?;
    }
    sum.remark_homes(&found.homes);
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    sum.tell(global, elapsed_ms, args.dry_run)?;
    Ok(if sum.skipped.is_empty() {
        Outcome::Done
    } else {
        Outcome::Partial
    })
}

/// Finds what the arguments name; without a path that is the home of this user's agent.
fn sources(args: &ImportArgs) -> Result<Found, Failure> {
    if args.paths.is_empty() {
        return Ok(find::find_in_homes(&[home::of_user()?]));
    }
    if args.home {
        let homes: Result<Vec<PathBuf>, Failure> =
            args.paths.iter().map(|path| home::around(path)).collect();
        return Ok(find::find_in_homes(&homes?));
    }
    Ok(find::find(&args.paths))
}

/// Says what an import would come to, and writes nothing.
fn look_at_all(
    global: &Global,
    args: &ImportArgs,
    found: &Found,
    sum: &mut Sum,
) -> Result<(), Failure> {
    let store = match open_log(global) {
        Err(failure) if failure.is_not_found() => None,
        opened => Some(opened?),
    };
    let previewer = Previewer::new(store.as_ref()).again(args.again);
    for candidate in &found.rollouts {
        let preview = |source: ImportSource<'_>| previewer.preview(source, &mut |_| {});
        match with_source(&candidate.path, preview)? {
            Ok(preview) => {
                sum.files += 1;
                sum.foresee(candidate, preview);
            }
            Err(why) => sum.skip(candidate, why),
        }
    }
    let (indexes, skipped) = (&found.name_indexes, &mut sum.skipped);
    sum.names = names::foresee(store.as_ref(), indexes, &sum.threads, skipped);
    Ok(())
}

fn import_all(
    global: &Global,
    args: &ImportArgs,
    store: &Store,
    found: &Found,
    sum: &mut Sum,
) -> Result<(), Failure> {
    let is_hidden = global.json || global.quiet;
    let length = |path: &Path| match is_hidden {
        true => 0,
        false => path.metadata().map_or(0, |metadata| metadata.len()),
    };
    let lengths = found.rollouts.iter().map(|found| length(&found.path));
    let bar = progress(lengths.sum(), is_hidden, "import");
    let places: Vec<String> = found.rollouts.iter().map(|f| shown(&f.path)).collect();
    let places = places.iter().map(String::as_str);
    let importer = store.importer()?.of_places(places);
    let mut importer = importer.keeping_old(args.keep_old).again(args.again);
    let mut done = 0;
    for candidate in &found.rollouts {
        let path = &candidate.path;
        let mut told = |bytes| bar.set_position(done + bytes);
        match import_one(&mut importer, path, &mut told)? {
            Ok(imported) => {
                sum.files += 1;
                sum.add(candidate, imported);
            }
            Err(why) => sum.skip(candidate, why),
        }
        done += length(path);
        bar.set_position(done);
    }
    sum.awaits(importer.finish()?.awaited);
    bar.finish_and_clear();
    sum.names = names::apply(store, &found.name_indexes, &mut sum.skipped);
    if sum.added_records > 0
        && let Err(error) = store.seal_all()
    {
        // All of it is durable in the journal; only its room is not given back.
        warn(format_args!(
            "what was imported is kept, but not sealed: {error}"
        ));
    }
    // Counting folds the new records into the index, so that the first page need not.
    let threads: Vec<String> = sum.threads.iter().cloned().collect();
    sum.count(&store.counts(&threads));
    Ok(())
}

/// Imports one file, seals it and makes the index follow.
pub(super) fn file(
    store: &Store,
    path: &Path,
    told: &mut dyn FnMut(u64),
) -> Result<Imported, Failure> {
    let mut importer = store.importer()?;
    let imported = import_one(&mut importer, path, told)?;
    importer.finish()?;
    let imported = imported.map_err(|why| match why {
        NotImported::Nothing(why)
        | NotImported::NoRollout(why)
        | NotImported::Refused(why)
        | NotImported::Deleted(why)
        | NotImported::InPart(_, why) => Failure::Usage(format!("{}: {why}", path.display())),
    })?;
    store.seal_all()?;
    store.counts(std::slice::from_ref(&imported.thread));
    Ok(imported)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The name of a source in the store.
fn shown(path: &Path) -> String {
    absolute(path).display().to_string()
}

/// Whether a source lies among archived ones.
fn is_archived(path: &Path) -> bool {
    let absolute = absolute(path);
    let mut parts = absolute.components();
    parts.any(|part| part.as_os_str() == home::ARCHIVE)
}

fn import_one(
    importer: &mut Importer<'_>,
    path: &Path,
    told: &mut dyn FnMut(u64),
) -> Result<Result<Imported, NotImported>, Failure> {
    with_source(path, |source| {
        let current = importer.is_current(source.path, source.file_bytes, source.modified_ns);
        match current {
            Some(current) => Ok(ImportOutcome::Done(current)),
            None => importer.import(source, told),
        }
    })
}

/// Opens a source and hands it on.
fn with_source<T>(
    path: &Path,
    take: impl FnOnce(ImportSource<'_>) -> Result<ImportOutcome<T>, Error>,
) -> Result<Result<T, NotImported>, Failure> {
    let opened = match source::open(path) {
        Ok(opened) => opened,
        Err(why) => return Ok(Err(why)),
    };
    let shown = shown(path);
    let (file_bytes, modified_ns) = (opened.bytes, opened.changed_ns);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut plain = match source::plain(opened.file, name.ends_with(".zst")) {
        Ok(plain) => plain,
        Err(why) => return Ok(Err(why)),
    };
    let hint = find::thread_of_name(&name);
    let source = ImportSource {
        path: &shown,
        thread_hint: hint.as_deref(),
        plain: &mut plain,
        file_bytes,
        modified_ns,
        archived: is_archived(path),
    };
    match take(source) {
        Ok(outcome) => Ok(outcome
            .done()
            .map_err(|skip| why(skip, path, name.ends_with(".zst")))),
        // A thread in quarantine, one that another import has, or one that was deleted meanwhile
        // costs this file only.
        Err(error) => match error.kind() {
            ErrorKind::Busy | ErrorKind::Damaged | ErrorKind::NotFound => {
                Ok(source::refused(error))
            }
            _ => Err(error.into()),
        },
    }
}

fn why(skip: Skip, path: &Path, is_packed: bool) -> NotImported {
    let reason = skip.to_string();
    match skip {
        // Only the beginning of the file was looked at.
        Skip::Empty | Skip::NotARollout => match source::look(path, is_packed) {
            Holds::Nothing => NotImported::Nothing(NOTHING.to_owned()),
            Holds::TornLine => NotImported::NoRollout(TORN.to_owned()),
            Holds::Something => NotImported::NoRollout(Skip::NotARollout.to_string()),
        },
        Skip::Deleted(_) => NotImported::Deleted(reason),
        Skip::HasLost { imported: part, .. }
        | Skip::Broken {
            imported: Some(part),
            ..
        } => NotImported::InPart(part, reason),
        _ => NotImported::Refused(reason),
    }
}
