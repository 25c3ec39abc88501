//! Builds stores from the encoders of the format, and checks what opening them comes to.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::frame::{FrameHeader, HEADER_BYTES, Position, body_crc};
use turnleaf_format::journal::{Begun, FRAMES_OFFSET, HEADER_OFFSETS, JournalHeader};
use turnleaf_format::record::{Chunk, Entry, Flags, Kind, payload_crc};
use turnleaf_format::segment::section_crc;
use turnleaf_format::{
    Format, Generation, JournalChain, Ordinal, StoreId, ThreadChain, ThreadId, ThreadNumber,
    Version,
};

use crate::disk::{Disk, OsDisk};
use crate::error::{Cause, ReadError};
use crate::log::{AppendError, NewRecord, OpenError, Snapshot};
use crate::recovery::Refusal;
use crate::repair::{Repair, Repaired, repair};
use crate::state::State;
use crate::{Log, Options, Owner};

pub(super) const STORE: StoreId = StoreId([7; 16]);
const CAPACITY: u64 = 64 << 10;

/// A thread as it is written, frame by frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thread {
    pub(super) number: u64,
    pub(super) next: u64,
    pub(super) chain: ThreadChain,
}

impl Thread {
    pub(super) fn new(number: u64) -> Thread {
        Thread {
            number,
            next: 0,
            chain: ThreadChain::START,
        }
    }

    /// Moves past an entry.
    pub(super) fn pass(&mut self, entry: &Entry<'_>) {
        if let Some((len, crc)) = entry.whole() {
            let (thread, ordinal) = (ThreadNumber(self.number), Ordinal(self.next));
            let (kind, flags) = (entry.kind, entry.flags);
            self.chain = self.chain.after(thread, ordinal, kind, flags, len, crc);
            self.next += 1;
        }
    }
}

pub(super) fn line(text: &str) -> Entry<'_> {
    Entry::inline(Kind::LINE, Flags::NONE, 1, text.as_bytes())
}

/// A chunk of a record.
pub(super) fn chunk(bytes: &[u8], offset: u64, whole: Option<&[u8]>) -> Entry<'static> {
    let last = whole.map(payload_crc);
    Entry {
        kind: Kind::LINE,
        flags: Flags::NONE,
        timestamp_ms: 1,
        chunk: Some(Chunk { offset, last }),
        crc: payload_crc(bytes),
        bytes: Box::leak(bytes.to_vec().into_boxed_slice()),
    }
}

pub(super) fn body_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    entries.iter().for_each(|entry| entry.encode(&mut body));
    body
}

/// A journal file.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) header: JournalHeader,
    pub(super) bytes: Vec<u8>,
    /// Where its frames begin.
    pub(super) places: Vec<u64>,
    pub(super) end: u64,
    pub(super) chain: JournalChain,
    /// What the next frame says was durable.
    pub(super) durable: u64,
    pub(super) epoch: u64,
}

impl File {
    pub(super) fn new(generation: u64, before: Option<&File>) -> File {
        let previous = before.map(|file| Position {
            generation: file.header.generation,
            offset: file.end,
        });
        let generation = Generation(generation);
        let header = JournalHeader {
            version: Version::asking_for(Format::FIRST),
            store: STORE,
            generation,
            capacity: CAPACITY,
            epoch: 1,
            oldest_live: before.map_or(generation, |file| file.header.oldest_live),
            previous_end: previous.unwrap_or_default(),
            previous_chain: before.map_or(JournalChain(0), |file| file.chain),
            begun: before.map_or(Begun::First, |_| Begun::Full),
            catalogue_sealed_end: Ordinal(0),
            catalogue_chain: ThreadChain::START,
            created_ms: 1,
        };
        let mut file = File {
            header,
            bytes: vec![0; usize::try_from(CAPACITY).unwrap()],
            places: Vec::new(),
            end: FRAMES_OFFSET,
            chain: JournalChain::start(STORE, generation),
            durable: FRAMES_OFFSET,
            epoch: 1,
        };
        file.state();
        file
    }

    /// Writes both header copies.
    pub(super) fn state(&mut self) {
        for at in HEADER_OFFSETS {
            self.put(at, &self.header.encode());
        }
    }

    pub(super) fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = usize::try_from(at).unwrap();
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(super) fn flip(&mut self, at: u64) {
        self.bytes[usize::try_from(at).unwrap()] ^= 0x40;
    }

    /// The header of the next frame of a thread.
    pub(super) fn next(&self, thread: &Thread, entries: u32) -> FrameHeader {
        FrameHeader {
            readable_by: Format::FIRST,
            place: Position {
                generation: self.header.generation,
                offset: self.end,
            },
            thread: ThreadNumber(thread.number),
            first_ordinal: Ordinal(thread.next),
            entry_count: entries,
            body_len: 0,
            durable_upto: Position {
                generation: self.header.generation,
                offset: self.durable,
            },
            epoch: self.epoch,
            journal_chain: self.chain,
            thread_chain: thread.chain,
            body_crc: 0,
        }
    }

    /// Adds a frame of a group of its own.
    pub(super) fn append(&mut self, thread: &mut Thread, entries: &[Entry<'_>]) {
        self.durable = self.end;
        self.append_in_group(thread, entries);
    }

    /// Adds a frame of the same group as the one before.
    pub(super) fn append_in_group(&mut self, thread: &mut Thread, entries: &[Entry<'_>]) {
        let header = self.next(thread, u32::try_from(entries.len()).unwrap());
        entries.iter().for_each(|entry| thread.pass(entry));
        self.raw(header, &body_of(entries), |_| {});
    }

    pub(super) fn marker(&mut self) {
        self.durable = self.end;
        let mut header = self.next(&Thread::new(0), 0);
        header.thread_chain = ThreadChain::START;
        self.raw(header, &[], |_| {});
    }

    /// Adds a frame whose header is changed after it was encoded; its checksum is right again.
    pub(super) fn raw(
        &mut self,
        header: FrameHeader,
        body: &[u8],
        change: impl Fn(&mut [u8; HEADER_BYTES]),
    ) {
        let header = FrameHeader {
            body_len: u32::try_from(body.len()).unwrap(),
            body_crc: body_crc(body),
            ..header
        };
        let mut bytes = header.encode(STORE).0;
        change(&mut bytes);
        let check = section_crc(&[&STORE.0[..], &bytes[..HEADER_BYTES - 4]].concat());
        bytes[HEADER_BYTES - 4..].copy_from_slice(&check.to_le_bytes());
        self.put(self.end, &bytes);
        self.put(self.end + HEADER_BYTES as u64, body);
        self.places.push(self.end);
        self.end += header.stride();
        self.chain = self.chain.after(check, header.body_crc);
    }
}

/// The catalogue records that begin the store of all tests: threads 1 (`a`) and 2 (`b`).
pub(super) fn founding() -> Vec<CatalogueRecord> {
    let created = |number: u64, id: &str| CatalogueRecord::ThreadCreated {
        thread: ThreadNumber(number),
        id: ThreadId::parse(id).unwrap(),
        at_ms: 1,
    };
    vec![
        CatalogueRecord::StoreCreated {
            store: STORE,
            at_ms: 1,
        },
        created(1, "a"),
        created(2, "b"),
        epoch(1),
    ]
}

pub(super) fn epoch(epoch: u64) -> CatalogueRecord {
    CatalogueRecord::Epoch {
        epoch,
        at_ms: 1,
        pid: 1,
        host: "here".into(),
    }
}

/// A journal file and the three threads that are written to it.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    pub(super) file: File,
    pub(super) catalogue: Thread,
    pub(super) a: Thread,
    pub(super) b: Thread,
}

impl Journal {
    pub(super) fn facts(&mut self, facts: &[CatalogueRecord]) {
        let payloads: Vec<_> = facts
            .iter()
            .map(|fact| (fact.kind(), fact.encode()))
            .collect();
        let entry = |(kind, bytes): &'_ (Kind, Vec<u8>)| {
            let bytes: &'static [u8] = Box::leak(bytes.clone().into_boxed_slice());
            Entry::inline(*kind, Flags::NONE, 1, bytes)
        };
        let entries: Vec<_> = payloads.iter().map(entry).collect();
        self.file.append(&mut self.catalogue, &entries);
    }

    pub(super) fn a(&mut self, text: &str) {
        self.file.append(&mut self.a, &[line(text)]);
    }

    pub(super) fn b(&mut self, text: &str) {
        self.file.append(&mut self.b, &[line(text)]);
    }

    /// Begins the next file and hands back the one before.
    pub(super) fn turn(&mut self) -> File {
        let next = File::new(self.file.header.generation.0 + 1, Some(&self.file));
        std::mem::replace(&mut self.file, next)
    }

    pub(super) fn place(&self, index: usize) -> u64 {
        self.file.places[index]
    }
}

/// Generation 1 with the founding facts (frame 0) and nothing else.
pub(super) fn founded() -> Journal {
    let mut journal = Journal {
        file: File::new(1, None),
        catalogue: Thread::new(0),
        a: Thread::new(1),
        b: Thread::new(2),
    };
    journal.facts(&founding());
    journal
}

/// Frames 1 to 4: a0, b0, a1, b1; each a group of its own.
pub(super) fn four() -> Journal {
    let mut journal = founded();
    journal.a("a0");
    journal.b("b0");
    journal.a("a1");
    journal.b("b1");
    journal
}

/// A store in a directory.
pub(super) struct Home {
    pub(super) dir: tempfile::TempDir,
    options: Options,
}

pub(super) fn owner() -> Owner {
    Owner {
        pid: 1,
        host: "here".into(),
        since_ms: 1,
    }
}

pub(super) fn home(files: &[&File]) -> Home {
    let home = empty_home();
    for (slot, file) in files.iter().enumerate() {
        home.write(&format!("journal/{slot:08x}.tlj"), &file.bytes);
    }
    home
}

pub(super) fn empty_home() -> Home {
    let dir = tempfile::tempdir().unwrap();
    for name in ["journal", "segments", "catalogue", "quarantine"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let options = Options {
        journal_first_bytes: 16 << 10,
        journal_file_bytes: 16 << 10,
        reserve_bytes: 0,
        ..Options::default()
    };
    Home { dir, options }
}

/// What a verdict comes to: causes of damage by name, threads that are closed (0: the store), and
/// what is read of the threads `a` and `b`.
pub(super) struct Verdict<'v> {
    pub(super) damage: &'v [&'v str],
    pub(super) closed: &'v [u64],
    pub(super) a: &'v [&'v str],
    pub(super) b: &'v [&'v str],
}

fn name(cause: &Cause) -> String {
    let text = format!("{cause:?}");
    text.split([' ', '(']).next().unwrap().to_owned()
}

/// What a first record of these tests says.
fn named(record: &[u8]) -> Option<ThreadId> {
    let text = std::str::from_utf8(record).ok()?;
    ThreadId::parse(text.strip_prefix("I am ")?).ok()
}

impl Home {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(super) fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(OsDisk::new(self.dir.path()))
    }

    pub(super) fn snapshot(&self) -> Result<Snapshot, OpenError> {
        Snapshot::open(&self.disk(), &self.options)
    }

    pub(super) fn open(&self) -> Result<Log, OpenError> {
        Log::open(self.disk(), self.options.clone(), &owner(), STORE).map(|(log, _)| log)
    }

    pub(super) fn repair(&self, wanted: &[Repair]) -> Vec<Repaired> {
        repair(
            &self.disk(),
            &self.options,
            &owner(),
            wanted,
            &no_notes,
            &named,
        )
        .unwrap()
    }

    /// Another store with the same files.
    pub(super) fn copied(&self) -> Home {
        let copy = empty_home();
        for (name, bytes) in self.files() {
            copy.write(&name, &bytes);
        }
        copy
    }

    /// Every file of the store but the lock.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for dir in ["journal", "segments", "catalogue", "quarantine"] {
            for entry in fs::read_dir(self.path(dir)).unwrap().flatten() {
                let name = format!("{dir}/{}", entry.file_name().to_string_lossy());
                files.insert(name, fs::read(entry.path()).unwrap());
            }
        }
        files
    }

    /// The store is refused, and nothing is written.
    pub(super) fn check_refused(&self, expect: &dyn Fn(&Refusal) -> bool) {
        let before = self.files();
        for refused in [self.snapshot().map(drop), self.open().map(drop)] {
            match refused {
                Err(OpenError::Refused(refusal)) => assert!(expect(&refusal), "{refusal:?}"),
                other => panic!("{other:?}"),
            }
        }
        assert!(self.files() == before, "a refused store is not written");
    }

    /// No store is there; an owner creates one, which is then found.
    pub(super) fn check_no_store(&self) {
        match self.snapshot() {
            Err(OpenError::Refused(Refusal::NoStore)) => {}
            other => panic!("{:?}", other.map(drop)),
        }
        self.open().unwrap().close().unwrap();
        assert_eq!(self.snapshot().unwrap().report().damage, []);
        drop(self.open().unwrap());
    }

    /// The verdict is the expected one: for a reader; again; for an owner, who is refused by what
    /// is closed and by nothing else, and without a byte written where the store is; and once more
    /// after what the owner wrote. [R:read-only] [R:idempotent] [R:quarantine] [R:located]
    pub(super) fn check(&self, row: &str, expect: &Verdict<'_>) {
        self.copied().check_repaired(row, expect);
        let before = self.files();
        let read = |a: &[&str], b: &[&str]| {
            let snapshot = self
                .snapshot()
                .unwrap_or_else(|error| panic!("{row}: {error}"));
            let report = snapshot.report();
            let causes: Vec<_> = report
                .damage
                .iter()
                .map(|found| name(&found.cause))
                .collect();
            assert_eq!(causes, expect.damage, "{row}: {:?}", report.damage);
            let closed: Vec<u64> = report.closed.iter().map(|thread| thread.0).collect();
            assert_eq!(closed, expect.closed, "{row}: closed");
            assert_eq!(texts(snapshot.state(), "a"), a, "{row}: a");
            assert_eq!(texts(snapshot.state(), "b"), b, "{row}: b");
        };
        read(expect.a, expect.b);
        read(expect.a, expect.b);
        assert!(self.files() == before, "{row}: reading wrote");
        if expect.closed.contains(&0) {
            match self.open() {
                Err(OpenError::Damaged(_)) => {}
                other => panic!("{row}: {:?}", other.map(drop)),
            }
            assert!(self.files() == before, "{row}: a closed store was written");
            return;
        }
        let mut log = self.open().unwrap_or_else(|error| panic!("{row}: {error}"));
        let mut after = [expect.a.to_vec(), expect.b.to_vec()];
        for (at, id) in ["a", "b"].into_iter().enumerate() {
            let Some(thread) = log.state().thread_number(&ThreadId::parse(id).unwrap()) else {
                continue;
            };
            let record = NewRecord {
                kind: Kind::LINE,
                flags: Flags::NONE,
                timestamp_ms: 1,
                bytes: b"more",
            };
            let staged = log.stage(thread, None, &[record]);
            if expect.closed.contains(&thread.0) {
                assert_eq!(staged.err(), Some(AppendError::Quarantined), "{row}: {id}");
            } else {
                assert!(staged.is_ok(), "{row}: {id}");
                after[at].push("more");
            }
        }
        log.commit_all();
        drop(log);
        read(&after[0], &after[1]);
    }
}

pub(super) fn no_notes(_: &crate::Reader, _: Ordinal, _: Ordinal) -> Vec<u8> {
    Vec::new()
}

/// The records of a thread that can be read, around what is damaged.
pub(super) fn texts(state: &State, id: &str) -> Vec<String> {
    let Some(thread) = state.thread_number(&ThreadId::parse(id).unwrap()) else {
        return Vec::new();
    };
    let reader = state.reader(thread).unwrap();
    let mut found = Vec::new();
    let mut from = Ordinal(0);
    while from < reader.end() {
        let read = reader.records(from, reader.end(), &mut |record| {
            let bytes = record.bytes().unwrap();
            let short = &bytes[..bytes.len().min(40)];
            found.push(String::from_utf8_lossy(short).into_owned());
            from = record.ordinal.plus(1);
            ControlFlow::Continue(())
        });
        match read {
            Ok(()) => break,
            Err(ReadError::Damaged(damage)) => {
                let (first, end) = damage.ordinals.expect("damage of a thread names ordinals");
                assert!(first <= from && from < end, "{damage}");
                from = end;
            }
            Err(error) => panic!("{error}"),
        }
    }
    found
}
