//! Imports of many small files: for the first time, with nothing changed, and with a line more in
//! each. Time on the clock and CPU time of this process, and how many syncs' worth of waiting is
//! between the two.
//!
//! `cargo bench -p turnleaf-benches --bench imports -- [FILES]`

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use turnleaf::{ImportSource, Importer, Store};
use turnleaf_benches::measure::{Cost, measure, peak_kib};

const FILES: usize = 10_000;
const FILE_BYTES: usize = 1024;

fn line(kind: &str, payload: &str) -> String {
    let time = "2026-01-01T00:00:00.000Z";
    format!("{{\"timestamp\":\"{time}\",\"type\":\"{kind}\",\"payload\":{payload}}}\n")
}

fn message(text: &str) -> String {
    let payload = format!(
        "{{\"type\":\"user_message\",\"message\":\"{text}\",\"local_images\":[],\
         \"text_elements\":[]}}"
    );
    line("event_msg", &payload)
}

/// A rollout of about [`FILE_BYTES`].
fn write(dir: &Path, number: usize) -> PathBuf {
    let head = format!(
        "{{\"id\":\"thread-{number}\",\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"cwd\":\"/w\",\
         \"originator\":\"t\",\"cli_version\":\"0\",\"source\":\"cli\",\"model_provider\":null}}"
    );
    let mut text = line("session_meta", &head) + &message(&format!("Question {number}"));
    let rest = FILE_BYTES.saturating_sub(text.len() + message("").len());
    text += &message(&"y".repeat(rest));
    let path = dir.join(format!("{number}.jsonl"));
    fs::write(&path, text).expect("a file");
    path
}

/// Imports a file unless it is what was imported before.
fn import(importer: &mut Importer<'_>, path: &Path) -> u64 {
    let mut file = File::open(path).expect("a file");
    let found = file.metadata().expect("its length");
    let changed_ns = found.ctime() * 1_000_000_000 + found.ctime_nsec();
    let path = path.display().to_string();
    if importer
        .is_current(&path, found.len(), changed_ns)
        .is_some()
    {
        return 0;
    }
    let source = ImportSource {
        path: &path,
        thread_hint: None,
        plain: &mut file,
        file_bytes: found.len(),
        modified_ns: changed_ns,
        archived: false,
    };
    let imported = importer.import(source, &mut |_| {}).expect("a store");
    imported.done().expect("a rollout").added_records
}

/// What the command does: open, import, seal, count, close.
fn import_all(dir: &Path, files: &[PathBuf]) -> u64 {
    let store = Store::open(dir).expect("a store");
    let mut importer = store.importer().expect("an owner");
    let added = files.iter().map(|path| import(&mut importer, path)).sum();
    importer.finish().expect("it is durable");
    if added > 0 {
        store.seal_all().expect("it is sealed");
    }
    let ids: Vec<String> = (0..files.len())
        .map(|number| format!("thread-{number}"))
        .collect();
    assert_eq!(store.counts(&ids).counted.len(), files.len());
    store.close().expect("a clean close");
    added
}

fn main() {
    let number = std::env::args().filter_map(|arg| arg.parse().ok()).next();
    let number = number.unwrap_or(FILES);
    let dir = tempfile::tempdir().expect("a directory");
    let (sources, store) = (dir.path().join("sources"), dir.path().join("store"));
    fs::create_dir(&sources).expect("a directory");
    let files: Vec<PathBuf> = (0..number).map(|number| write(&sources, number)).collect();
    println!("{number} files of 1 KB");
    let tell = |what: &str, (added, cost): (u64, Cost)| {
        let ms = |time: std::time::Duration| time.as_millis();
        let (wall, cpu) = (ms(cost.wall), ms(cost.cpu));
        println!("  {what:<22} {added:>7} records added {wall:>7} ms, {cpu:>6} ms of CPU");
    };
    tell("first import", measure(|| import_all(&store, &files)));
    tell("nothing changed", measure(|| import_all(&store, &files)));
    for path in &files {
        let mut file = File::options().append(true).open(path).expect("a file");
        file.write_all(message("more").as_bytes()).expect("room");
    }
    tell(
        "a line more in each",
        measure(|| import_all(&store, &files)),
    );
    println!("  peak memory {} MiB", peak_kib() >> 10);
}
