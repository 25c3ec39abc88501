//! Many short runs of a store one after the other: closed, killed, or ended by a power cut. Nothing
//! acknowledged is lost, and the journal stays small.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use turnleaf::{Error, ImportSource, Options, Store};
use turnleaf_engine::disk::Disk;
use turnleaf_tests::crash_rig::scale;
use turnleaf_tests::parallel::in_parallel;
use turnleaf_tests::rng::Rng;
use turnleaf_tests::rollouts::{Rollout, RolloutMode};
use turnleaf_tests::sim_disk::{CrashPolicy, Fault, SimDisk};
use turnleaf_tests::stores::{STORE, log_files, open_log, owner};

const BYTES_MAX: u64 = 2 << 20;
/// The budget, and some more: an opening that is stopped before it made room leaves one.
const FILES_MAX: usize = 16 + 8;
const RUNS: usize = 1000;

/// With the sizes of the product, and its sealer.
fn open(disk: &SimDisk) -> Result<Store, Error> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open_on(shared, Options::default(), &owner(), true, || 1)
}

/// Bytes and number of the journal files.
fn journal(disk: &SimDisk) -> (u64, usize) {
    let files = log_files(disk).into_iter();
    let journal = files.filter(|path| path.starts_with("journal/"));
    let sizes = journal.map(|path| disk.bytes(&path).map_or(0, |bytes| bytes.len() as u64));
    sizes.fold((0, 0), |(bytes, files), len| (bytes + len, files + 1))
}

fn bounded(disk: &SimDisk) -> Result<(u64, usize), String> {
    let (bytes, files) = journal(disk);
    if bytes <= BYTES_MAX && files <= FILES_MAX {
        return Ok((bytes, files));
    }
    Err(format!("{bytes} bytes in {files} journal files"))
}

fn import(store: &Store, plain: &[u8]) -> u64 {
    let source = ImportSource {
        path: "source",
        thread_hint: None,
        plain: &mut &*plain,
        file_bytes: plain.len() as u64,
        modified_ns: 1,
        archived: false,
    };
    let imported = store.import(source, &mut |_| {}).unwrap().done().unwrap();
    imported.added_records
}

/// Every kind of run that adds little or nothing, a thousand times.
#[test]
fn a_thousand_short_runs_leave_a_small_journal() {
    let rollout = Rollout::new(RolloutMode::Paginated, 3, 4_000);
    let mut plain = Vec::new();
    rollout.write(&mut plain).unwrap();
    let thread = rollout.thread_id();
    let kinds = ["import", "name", "append", "archive", "killed"];
    let runs = |kind: u64| {
        let kind = kinds[usize::try_from(kind).unwrap()];
        let disk = SimDisk::new();
        drop(open_log(&disk, Options::default()).unwrap());
        let store = open(&disk).unwrap();
        import(&store, &plain);
        store.seal_all().unwrap();
        store.close().unwrap();
        for run in 0..RUNS {
            let store = open(&disk).unwrap();
            match kind {
                "import" => assert_eq!(import(&store, &plain), 0),
                "name" => {
                    store.set_name(&thread, &format!("n{run}")).unwrap();
                }
                "archive" if run % 2 == 0 => store.archive(&thread).unwrap(),
                "archive" => store.unarchive(&thread).unwrap(),
                _ => {
                    store.append(&thread, None, &[&[b'x'; 137]]).unwrap();
                }
            }
            if kind == "killed" {
                drop(store);
            } else {
                store.close().unwrap();
            }
            bounded(&disk).unwrap_or_else(|why| panic!("{kind}, run {run}: {why}"));
        }
        (kind, journal(&disk))
    };
    for (kind, (bytes, files)) in in_parallel(0..kinds.len() as u64, &runs) {
        println!("{RUNS} short runs, {kind}: {bytes} bytes in {files} journal files");
    }
}

/// A store with one thread, and what was promised of it.
struct Short {
    disk: SimDisk,
    acknowledged: Vec<Vec<u8>>,
    /// Its outcome was not heard: it is there or not.
    open: Option<Vec<u8>>,
    /// What was done, for the report of a violation.
    story: Vec<String>,
}

impl Short {
    /// Opens, and looks whether everything that was promised is there.
    fn begin(&mut self) -> Result<Store, String> {
        let store = open(&self.disk).map_err(|error| error.to_string())?;
        if let Some(damage) = store.report().damage.first() {
            return Err(format!("a power cut is no damage: {damage}"));
        }
        let (tail, goes_on) = (&store.report().tail, store.report().goes_on);
        self.story
            .push(format!("opens: {tail:?}, goes on: {goes_on}"));
        let mut found = Vec::new();
        if store.log_threads().iter().any(|thread| thread.id == "a") {
            store
                .export("a", .., &mut found)
                .map_err(|error| error.to_string())?;
        }
        let lines: Vec<Vec<u8>> = found
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| line[..line.len() - 1].to_vec())
            .collect();
        let mut promised = self.acknowledged.clone();
        if lines != promised {
            promised.extend(self.open.clone());
        }
        if lines != promised {
            let (is, was) = (lines.len(), self.acknowledged.len());
            let story = &self.story[self.story.len().saturating_sub(12)..];
            return Err(format!("{is} records, {was} acknowledged: {story:#?}"));
        }
        (self.acknowledged, self.open) = (lines, None);
        Ok(store)
    }

    fn append(&mut self, store: &Store, line: Vec<u8>) {
        match store.append("a", None, &[&line]) {
            Ok(_) => self.acknowledged.push(line),
            // It failed because the power is gone: nobody knows.
            Err(error) => {
                self.story.push(format!("append: {error}"));
                self.open = Some(line);
            }
        }
    }

    /// One run; the power may go in the midst of it.
    fn run(&mut self, rng: &mut Rng) -> Result<(), String> {
        let ends = rng.below(3);
        if ends == 2 {
            let at = self.disk.ops() + rng.below(40);
            self.disk.plan(at, Fault::Crash);
        }
        let opened = match self.begin() {
            Err(_) if self.disk.has_crashed() => None,
            opened => Some(opened?),
        };
        if let Some(store) = opened {
            let _ = store.create_thread("a");
            for _ in 0..rng.below(3) {
                let large = if rng.below(20) == 0 { 90_000 } else { 200 };
                let len = 1 + usize::try_from(rng.below(large)).unwrap_or(0);
                if self.open.is_none() {
                    self.append(
                        &store,
                        vec![if rng.below(2) == 0 { b'a' } else { b'b' }; len],
                    );
                }
            }
            if rng.below(4) == 0 {
                let _ = store.archive("a");
                let _ = store.unarchive("a");
            }
            if ends == 0 {
                store.close().map_err(|error| error.to_string())?;
            }
        }
        if ends == 2 {
            let policy = CrashPolicy::by_number(rng.below(10));
            self.story.push(format!("power cut: {policy:?}"));
            self.disk = self.disk.after_crash(policy, rng.number());
        }
        Ok(())
    }
}

/// Runs that end in all ways, from seeds.
#[test]
fn short_runs_lose_nothing_and_leave_a_small_journal() {
    let runs = |seed: u64| -> Result<(u64, usize, u64), String> {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new();
        let (log, _) = open_log(&disk, Options::default()).unwrap();
        assert_eq!(log.state().store(), STORE);
        log.close().unwrap();
        let (acknowledged, open) = (Vec::new(), None);
        let mut short = Short {
            disk,
            acknowledged,
            open,
            story: Vec::new(),
        };
        let (mut bytes_max, mut files_max) = (0, 0);
        for run in 0..120 {
            let fail = |why: String| format!("seed {seed}, run {run}: {why}");
            short.run(&mut rng).map_err(fail)?;
            let (bytes, files) = bounded(&short.disk).map_err(fail)?;
            bytes_max = bytes.max(bytes_max);
            files_max = files.max(files_max);
        }
        Ok((bytes_max, files_max, short.acknowledged.len() as u64))
    };
    let mut most = (0, 0, 0);
    for result in in_parallel(0..16 * scale(), &runs) {
        let (bytes, files, records) = result.unwrap_or_else(|why| panic!("{why}"));
        most = (most.0.max(bytes), most.1.max(files), most.2 + records);
    }
    let (bytes, files, records) = most;
    println!("short runs: {records} records, at most {bytes} bytes in {files} journal files");
    assert!(records > 500, "little was done");
}
