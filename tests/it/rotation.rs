//! The same records end in the same segments, whichever way they came and whatever interrupted it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use turnleaf::{ImportSource, Store};
use turnleaf_engine::{Log, NewRecord, Options, Outcome, SealGoal, State};
use turnleaf_format::record::{Entry, Flags, Kind};
use turnleaf_format::{ThreadId, ThreadNumber};
use turnleaf_tests::crash_rig::scale;
use turnleaf_tests::rng::Rng;
use turnleaf_tests::rollouts::{Rollout, RolloutMode};
use turnleaf_tests::sim_disk::{CrashPolicy, SimDisk};
use turnleaf_tests::stores::{open_log, open_store};
use turnleaf_tests::traffic::{self, Traffic};

const BOUNDARY: u64 = 16 << 10;
const MAX: u64 = 64 << 10;

fn options() -> Options {
    Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 64 << 10,
        journal_files_max: 3,
        seal_bytes_min: 24 << 10,
        segment_boundary_bytes: BOUNDARY,
        segment_bytes_max: MAX,
        reserve_bytes: 0,
        ..Options::default()
    }
}

#[derive(Debug, Clone)]
struct Record {
    kind: Kind,
    boundary: bool,
    bytes: Vec<u8>,
}

impl Record {
    fn flags(&self) -> Flags {
        if self.boundary {
            Flags::BOUNDARY
        } else {
            Flags::NONE
        }
    }

    fn as_new(&self) -> NewRecord<'_> {
        NewRecord {
            kind: self.kind,
            flags: self.flags(),
            timestamp_ms: 1,
            bytes: &self.bytes,
        }
    }
}

/// A run of a segment: first ordinal, one past the last, whether it stands in a pack.
type Run = (u64, u64, bool);

/// The rule, written down a second time.
fn expected(records: &[Record]) -> Vec<Run> {
    let mut runs = Vec::new();
    let (mut first, mut weight) = (0, 0);
    for (at, record) in (0..).zip(records) {
        if weight >= MAX || (record.boundary && weight >= BOUNDARY) {
            runs.push((first, at, false));
            (first, weight) = (at, 0);
        }
        weight += record.bytes.len() as u64 + 20;
    }
    let end = records.len() as u64;
    if first < end {
        runs.push((first, end, weight < MAX));
    }
    runs
}

fn runs(state: &State, thread: ThreadNumber) -> Vec<Run> {
    let segments = state.segments().into_iter();
    let runs = segments.flat_map(|info| info.runs.into_iter().map(move |run| (run, info.pack)));
    let mine = runs.filter(|((of, _, _), _)| *of == thread);
    let mut runs: Vec<Run> = mine
        .map(|((_, first, end), pack)| (first.0, end.0, pack))
        .collect();
    runs.sort_unstable();
    runs
}

fn record(rng: &mut Rng, number: u64) -> Record {
    let below = |rng: &mut Rng, most: u64| usize::try_from(rng.below(most)).unwrap();
    let near = |rng: &mut Rng, size: u64| usize::try_from(size - 25 + rng.below(8)).unwrap();
    let size = match rng.below(40) {
        0..6 => 0,
        6..20 => below(rng, 60),
        20..34 => below(rng, 6000),
        34 | 35 => near(rng, BOUNDARY),
        36 | 37 => near(rng, MAX),
        38 => below(rng, 3 * MAX),
        _ => (below(rng, 40) << 16) * usize::from(number.is_multiple_of(7)),
    };
    let mut bytes = vec![0; size];
    bytes
        .iter_mut()
        .for_each(|byte| *byte = b'a' + (rng.number() % 23) as u8);
    Record {
        kind: [Kind::LINE, Kind::LINE, Kind::METADATA][below(rng, 3)],
        boundary: rng.below(3) == 0,
        bytes,
    }
}

/// One way that records come into a log.
struct Way {
    disk: SimDisk,
    log: Option<Log>,
    rng: Rng,
}

impl Way {
    fn log(&mut self) -> &mut Log {
        let disk = &self.disk;
        self.log.get_or_insert_with(|| {
            let (log, report) = open_log(disk, options()).unwrap();
            assert_eq!(report.damage, []);
            log
        })
    }

    fn thread(&mut self, name: &str) -> ThreadNumber {
        let id = ThreadId::parse(name).unwrap();
        let log = self.log();
        if let Some(thread) = log.state().thread_number(&id) {
            return thread;
        }
        let (thread, ticket) = log.stage_thread(&id).unwrap();
        log.commit_all();
        assert!(matches!(log.outcome(ticket), Outcome::Durable));
        thread
    }

    fn append(&mut self, thread: ThreadNumber, records: &[Record]) {
        let batch: Vec<_> = records.iter().map(Record::as_new).collect();
        let staged = self.log().stage(thread, None, &batch).unwrap();
        self.log().commit_all();
        while matches!(self.log().outcome(staged.ticket), Outcome::Pending) {
            assert!(self.seal(SealGoal::Due), "there is room");
            self.log().commit_all();
        }
        let outcome = self.log().outcome(staged.ticket);
        assert!(matches!(outcome, Outcome::Durable));
    }

    /// Seals once; says whether there was anything to do.
    fn seal(&mut self, goal: SealGoal) -> bool {
        let log = self.log();
        let Some(plan) = log.plan_seal(goal) else {
            return false;
        };
        let done = plan.run(&|_, _, _| b"notes".to_vec());
        drop(plan);
        log.finish_seal(done).unwrap();
        log.commit_all();
        log.clean_up(1).unwrap();
        true
    }

    /// A seal that something happens to: records come meanwhile, the owner ends behind any step.
    fn interrupted_seal(&mut self, thread: ThreadNumber, meanwhile: &[Record]) {
        let goal = [SealGoal::Due, SealGoal::Everything][self.below(2)];
        let stop = self.below(5);
        let Some(plan) = self.log().plan_seal(goal) else {
            return self.append_all(thread, meanwhile);
        };
        let staged = (!meanwhile.is_empty()).then(|| {
            let batch: Vec<_> = meanwhile.iter().map(Record::as_new).collect();
            let staged = self.log().stage(thread, None, &batch).unwrap();
            self.log().commit_all();
            staged
        });
        let done = plan.run(&|_, _, _| Vec::new());
        drop(plan);
        let durable = |log: &mut Log| {
            let ticket = staged.as_ref().map(|staged| staged.ticket);
            ticket.is_none_or(|ticket| matches!(log.outcome(ticket), Outcome::Durable))
        };
        // What is not acknowledged would be another history: the owner ends only behind it.
        if stop < 2 && durable(self.log()) {
            if stop == 1 {
                self.log().finish_seal(done).unwrap();
            }
            return self.end();
        }
        self.log().finish_seal(done).unwrap();
        self.log().commit_all();
        while !durable(self.log()) {
            self.seal(SealGoal::Due);
            self.log().commit_all();
        }
        if stop == 3 {
            self.end();
        }
    }

    fn append_all(&mut self, thread: ThreadNumber, records: &[Record]) {
        if !records.is_empty() {
            self.append(thread, records);
        }
    }

    fn import(&mut self, thread: ThreadNumber, records: &[Record]) {
        self.log().lease(thread).unwrap();
        let stop = self.below(6);
        while let Some(plan) = self.log().plan_closed(thread) {
            let done = plan.run(&|_, _, _| Vec::new()).unwrap();
            drop(plan);
            self.publish(&done);
        }
        let mut run = self.log().begin_run(thread).unwrap();
        for record in records {
            if run.ends_before(record.boundary) {
                let done = run.finish(&[], true).unwrap();
                self.publish(&done);
                run = self.log().begin_run(thread).unwrap();
            }
            push(record, &mut |entry| run.push(entry).unwrap());
        }
        let done = run.finish(b"notes", false).unwrap();
        self.publish(&done);
        self.log().return_lease(thread);
        if stop == 0 {
            self.end();
        }
    }

    fn publish(&mut self, done: &turnleaf_engine::SealedSegments) {
        let log = self.log();
        let ticket = log.stage_segment(done, &[]);
        log.commit_all();
        assert!(matches!(log.outcome(ticket), Outcome::Durable));
    }

    /// The owner closes, is killed, or loses power.
    fn end(&mut self) {
        let how = self.below(3);
        let log = self.log.take();
        if how == 0 {
            log.map(Log::close);
        } else if how == 1 {
            drop(log);
        } else {
            let policy = CrashPolicy::by_number(self.rng.number());
            let survivor = self.disk.after_crash(policy, self.rng.number());
            drop(log);
            self.disk = survivor;
        }
    }

    fn below(&mut self, most: u64) -> usize {
        usize::try_from(self.rng.below(most)).unwrap()
    }

    fn step(&mut self, records: &[Record], done: usize) -> usize {
        let thread = self.thread("a");
        let left = records.len() - done;
        let many = |way: &mut Way, most: u64| way.below(most).min(left);
        let count = match self.below(20) {
            0..7 => {
                self.append(thread, &records[done..=done]);
                1
            }
            7..12 => {
                let count = many(self, 12);
                self.append_all(thread, &records[done..done + count]);
                count
            }
            12 | 13 => {
                let count = many(self, 40).max(1);
                self.import(thread, &records[done..done + count]);
                count
            }
            14 | 15 => {
                let count = many(self, 3);
                self.interrupted_seal(thread, &records[done..done + count]);
                count
            }
            16 => {
                self.seal(SealGoal::Due);
                0
            }
            17 if self.below(3) == 0 => {
                while self.seal(SealGoal::Everything) {}
                0
            }
            18 => {
                self.end();
                0
            }
            _ => {
                // Others fill the journal.
                let other = ["b", "c", "d"][self.below(3)];
                let (other, size) = (self.thread(other), self.below(30_000));
                let record = Record {
                    kind: Kind::LINE,
                    boundary: self.below(2) == 0,
                    bytes: vec![b'x'; size],
                };
                self.append(other, &[record]);
                0
            }
        };
        done + count
    }
}

/// A record as entries, chunked where it is too long for one.
fn push(record: &Record, take: &mut dyn FnMut(&Entry<'_>)) {
    use turnleaf_format::record::{Chunk, INLINE_BYTES_MAX, payload_crc};
    let (kind, flags) = (record.kind, record.flags());
    if record.bytes.len() <= INLINE_BYTES_MAX {
        return take(&Entry::inline(kind, flags, 1, &record.bytes));
    }
    let parts = record.bytes.chunks(INLINE_BYTES_MAX);
    let count = parts.len();
    for (index, bytes) in parts.enumerate() {
        let offset = (index * INLINE_BYTES_MAX) as u64;
        let last = (index + 1 == count).then(|| payload_crc(&record.bytes));
        take(&Entry {
            kind,
            flags,
            timestamp_ms: 1,
            chunk: Some(Chunk { offset, last }),
            crc: payload_crc(bytes),
            bytes,
        });
    }
}

fn check(seed: u64) {
    let mut rng = Rng::new(seed);
    let count = 1 + rng.below(120);
    let records: Vec<Record> = (0..count).map(|number| record(&mut rng, number)).collect();
    let expect = expected(&records);
    for way in 0..3 {
        let mut way = Way {
            disk: SimDisk::new(),
            log: None,
            rng: Rng::new(seed * 3 + way),
        };
        let mut done = 0;
        while done < records.len() {
            done = way.step(&records, done);
            let thread = way.thread("a");
            let end = way.log().state().reader(thread).unwrap().end();
            assert_eq!(end.0, done as u64, "seed {seed}");
        }
        while way.seal(SealGoal::Everything) {}
        let thread = way.thread("a");
        assert_eq!(runs(way.log().state(), thread), expect, "seed {seed}");
        way.end();
        assert_eq!(
            runs(way.log().state(), thread),
            expect,
            "seed {seed}, reopened"
        );
        let mut read = Vec::new();
        let reader = way.log().state().reader(thread).unwrap();
        let end = reader.end();
        reader
            .records(turnleaf_format::Ordinal(0), end, &mut |record| {
                read.push((record.kind, record.flags, record.bytes().unwrap().to_vec()));
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        let same = |(read, record): (&(Kind, Flags, Vec<u8>), &Record)| {
            *read == (record.kind, record.flags(), record.bytes.clone())
        };
        assert!(read.len() == records.len() && read.iter().zip(&records).all(same));
    }
}

#[test]
fn the_same_records_end_in_the_same_segments() {
    for seed in 0..60 * scale() {
        check(seed);
    }
}

/// The pack that is being written is not the segment of the stretch that is closed meanwhile.
#[test]
fn a_stretch_that_is_closed_while_it_is_packed_gets_its_segment() {
    let mut way = Way {
        disk: SimDisk::new(),
        log: None,
        rng: Rng::new(1),
    };
    let record = |boundary, size| Record {
        kind: Kind::LINE,
        boundary,
        bytes: vec![b'x'; size],
    };
    let thread = way.thread("a");
    way.append(thread, &[record(false, 20_000)]);
    let plan = way.log().plan_seal(SealGoal::Everything).unwrap();
    way.append(thread, &[record(true, 10)]);
    let done = plan.run(&|_, _, _| Vec::new());
    drop(plan);
    way.log().finish_seal(done).unwrap();
    way.log().commit_all();
    while way.seal(SealGoal::Everything) {}
    let expect = [(0, 1, false), (1, 2, true)];
    assert_eq!(runs(way.log().state(), thread), expect);
}

/// What journal pressure seals early is absorbed in sizes that double, so neither the runs of a
/// thread nor the packs grow with the traffic.
#[test]
fn many_slow_threads_have_few_runs_and_packs() {
    let options = Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 128 << 10,
        journal_files_max: 4,
        seal_bytes_min: 256 << 10,
        segment_boundary_bytes: 256 << 10,
        segment_bytes_max: 1 << 20,
        reserve_bytes: 0,
        ..Options::default()
    };
    for (boundary_every, skewed) in [(0, false), (0, true), (30, true)] {
        let disk: std::sync::Arc<dyn turnleaf_engine::disk::Disk> =
            std::sync::Arc::new(SimDisk::new());
        let traffic = Traffic {
            threads: 300,
            bytes: 24 << 20,
            record_bytes_max: 4 << 10,
            boundary_every,
            skewed,
        };
        let left = traffic::run(&disk, &options, traffic);
        println!("{left}");
        assert!(left.runs_max <= 8, "{left}");
        // Packs are files of the journal, at least half in use.
        let packs = traffic.bytes / options.journal_file_bytes;
        assert!(left.packs_max as u64 <= packs, "{left}");
    }
}

/// Where the segments of a thread begin and end.
fn places(store: &Store, thread: &str) -> Vec<(u64, u64)> {
    let segments = store.show(thread).unwrap().segments.into_iter();
    let mut places: Vec<_> = segments
        .map(|held| (held.ordinals.start.0, held.ordinals.end.0))
        .collect();
    places.sort_unstable();
    places
}

fn import(store: &Store, lines: &[Vec<u8>]) {
    let plain = lines.concat();
    let source = ImportSource {
        path: "rollout.jsonl",
        thread_hint: None,
        plain: &mut plain.as_slice(),
        file_bytes: plain.len() as u64,
        modified_ns: plain.len() as i64,
        archived: false,
    };
    store.import(source, &mut |_| {}).unwrap().done().unwrap();
}

fn append(store: &Store, thread: &str, lines: &[Vec<u8>], batch: usize) {
    if !store.log_threads().iter().any(|known| known.id == thread) {
        store.create_thread(thread).unwrap();
    }
    for lines in lines.chunks(batch) {
        let bare: Vec<&[u8]> = lines.iter().map(|line| &line[..line.len() - 1]).collect();
        store.append(thread, None, &bare).unwrap();
    }
}

/// Lines of a real kind through the store: imported, in captures, appended, and mixed.
fn ways_agree(options: &Options, bytes: u64, batches: &[usize]) {
    let rollout = Rollout::new(RolloutMode::Paginated, 11, bytes);
    let mut plain = Vec::new();
    rollout.write(&mut plain).unwrap();
    let lines: Vec<Vec<u8>> = plain
        .split_inclusive(|byte| *byte == b'\n')
        .map(Vec::from)
        .collect();
    let thread = rollout.thread_id();
    let half = lines.len() / 2;
    let mut expect = None;
    for way in 0..4 + batches.len() {
        let store = open_store(&SimDisk::new(), options).unwrap();
        match way {
            0 => import(&store, &lines),
            1 => {
                import(&store, &lines[..half]);
                import(&store, &lines);
            }
            2 => {
                append(&store, &thread, &lines[..half], 5);
                import(&store, &lines);
            }
            3 => {
                import(&store, &lines[..half]);
                store.seal_all().unwrap();
                append(&store, &thread, &lines[half..], 3);
            }
            _ => append(&store, &thread, &lines, batches[way - 4]),
        }
        store.seal_all().unwrap();
        // What the model needs to resume begins where the newest closed segment ended.
        let shown = store.show(&thread).unwrap();
        let segments = shown.segments.iter();
        let newest = segments.max_by_key(|held| held.ordinals.start);
        let file = newest.map(|held| held.file.as_str());
        assert_eq!(shown.resume_segment(), file.map(|file| (file, true)));
        let places = places(&store, &thread);
        assert!(places.len() > 4, "{places:?}");
        assert_eq!(
            expect.get_or_insert_with(|| places.clone()),
            &places,
            "way {way}"
        );
        store.close().unwrap();
    }
}

#[test]
fn imported_and_appended_lines_end_in_the_same_segments() {
    let options = Options {
        journal_first_bytes: 64 << 10,
        journal_file_bytes: 256 << 10,
        journal_files_max: 4,
        seal_bytes_min: 192 << 10,
        segment_boundary_bytes: 128 << 10,
        segment_bytes_max: 1 << 20,
        reserve_bytes: 0,
        ..Options::default()
    };
    ways_agree(&options, 3 << 20, &[1, 10, 200]);
}
