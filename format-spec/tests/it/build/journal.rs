//! Builds journal headers and whole journal files.

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::frame::{FrameHeader, Position};
use turnleaf_format::journal::{Begun, FRAMES_OFFSET, JournalHeader};
use turnleaf_format::record::{Entry, Flags, Kind};
use turnleaf_format::{
    Generation, JournalChain, Ordinal, Problem, ThreadChain, ThreadId, ThreadNumber, Version,
};

use super::frame::{batch, frame, marker_at};
use super::{NOW_MS, STORE, V1, Vector, What, bad, encoded, good, reseal};

const CAPACITY: usize = 12_288;

pub(super) fn journal_header() -> JournalHeader {
    JournalHeader {
        version: V1,
        store: STORE,
        generation: Generation(2),
        capacity: CAPACITY as u64,
        epoch: 2,
        oldest_live: Generation(1),
        previous_end: Position {
            generation: Generation(1),
            offset: 8_304,
        },
        previous_chain: JournalChain(0x0102_0304_0506_0708),
        begun: Begun::Opened,
        catalogue_sealed_end: Ordinal(0),
        catalogue_chain: ThreadChain::START,
        created_ms: NOW_MS,
    }
}

fn first_header() -> JournalHeader {
    JournalHeader {
        generation: Generation(1),
        epoch: 1,
        previous_end: Position::default(),
        previous_chain: JournalChain(0),
        begun: Begun::First,
        ..journal_header()
    }
}

pub(super) fn headers() -> Vec<Vector> {
    let what = What::JournalHeader;
    let first = good(
        "journal-header-first",
        "of a new store",
        what,
        first_header().encode(),
    );
    let opened = good(
        "journal-header-opened",
        "after an open",
        what,
        journal_header().encode(),
    );
    let full = JournalHeader {
        generation: Generation(u64::MAX),
        capacity: 32 << 20,
        epoch: u64::MAX - 1,
        oldest_live: Generation(77),
        previous_end: Position {
            generation: Generation(u64::MAX - 1),
            offset: 33_554_424,
        },
        begun: Begun::Full,
        catalogue_sealed_end: Ordinal(1_000),
        catalogue_chain: ThreadChain(0x1112_1314_1516_1718),
        created_ms: -1,
        ..journal_header()
    };
    let full = good(
        "journal-header-full",
        "large numbers, time before 1970",
        what,
        full.encode(),
    );
    let failed = JournalHeader {
        generation: Generation(9),
        previous_end: Position {
            generation: Generation(7),
            offset: FRAMES_OFFSET,
        },
        begun: Begun::Failed,
        ..journal_header()
    };
    let failed = good(
        "journal-header-failed",
        "generation 8 was skipped",
        what,
        failed.encode(),
    );
    let edited = |name, about, refused, at: usize, value: u8| {
        bad(name, about, &opened, refused, |bytes| {
            bytes[at] = value;
            reseal(bytes, &[], 512);
        })
    };
    vec![
        bad(
            "journal-header-flip",
            "a flipped bit",
            &opened,
            Problem::HeaderChecksum,
            |bytes| {
                bytes[33] ^= 4;
            },
        ),
        bad(
            "journal-header-cut",
            "one byte short",
            &opened,
            Problem::Short,
            |bytes| {
                bytes.pop();
            },
        ),
        bad(
            "journal-header-magic",
            "other magic",
            &opened,
            Problem::Magic,
            |bytes| bytes[3] = 0,
        ),
        edited(
            "journal-header-newer",
            "for readers of format 2",
            Problem::Version,
            7,
            2,
        ),
        edited(
            "journal-header-reserved",
            "last reserved byte",
            Problem::Reserved,
            507,
            1,
        ),
        edited(
            "journal-header-begun",
            "unknown reason",
            Problem::Reserved,
            80,
            4,
        ),
        edited(
            "journal-header-live",
            "oldest live is ahead",
            Problem::Length,
            48,
            3,
        ),
        first,
        opened,
        full,
        failed,
    ]
}

/// A journal file of generation 2 with three batches and a marker; the offsets of its frames and
/// its end.
struct Journal {
    bytes: Vec<u8>,
    offsets: Vec<usize>,
    chain: JournalChain,
}

/// A file without frames.
fn begun(header: &JournalHeader) -> Journal {
    let copy = header.encode();
    let mut bytes = vec![0; CAPACITY];
    bytes[..512].copy_from_slice(&copy);
    bytes[4_096..4_608].copy_from_slice(&copy);
    Journal {
        bytes,
        offsets: vec![8_192],
        chain: JournalChain::start(STORE, header.generation),
    }
}

/// A file of a header of that version: a frame of thread 0 with these entries, which asks for what
/// the header asks for, one that asks for format 1, a marker.
pub(super) fn of_lineages(version: Version, facts: &[Entry<'_>]) -> Vec<u8> {
    let mut file = begun(&JournalHeader {
        version,
        begun: Begun::Full,
        ..journal_header()
    });
    let place = |file: &Journal| Position {
        generation: Generation(2),
        offset: file.end() as u64,
    };
    let mut header = FrameHeader {
        readable_by: version.readable_by,
        place: place(&file),
        thread: ThreadNumber::CATALOGUE,
        entry_count: u32::try_from(facts.len()).unwrap(),
        durable_upto: place(&file),
        epoch: 2,
        journal_chain: file.chain,
        ..batch()
    };
    file.put(&mut header, &encoded(facts));
    let line = Entry::inline(Kind::LINE, Flags::NONE, NOW_MS, b"{}");
    let at = place(&file);
    file.push(5, 0, ThreadChain::START, at, &[line]);
    let marker = marker_at(place(&file), file.chain);
    file.put(&mut marker.clone(), &[]);
    file.bytes
}

fn journal() -> Journal {
    let generation = Generation(2);
    let mut file = begun(&journal_header());
    let created = CatalogueRecord::StoreCreated {
        store: STORE,
        at_ms: NOW_MS,
    };
    let id = ThreadId::parse("0199a2c4-77f1-7d30-9c56-0b6f0a1d2e3f").unwrap();
    let thread = CatalogueRecord::ThreadCreated {
        thread: ThreadNumber(1),
        id,
        at_ms: NOW_MS,
    };
    let (created, thread) = (created.encode(), thread.encode());
    let begin = Position {
        generation,
        offset: 8_192,
    };
    let catalogue = [
        Entry::inline(Kind::STORE_CREATED, Flags::NONE, NOW_MS, &created),
        Entry::inline(Kind::THREAD_CREATED, Flags::NONE, NOW_MS, &thread),
    ];
    let lines = [
        Entry::inline(
            Kind::LINE,
            Flags::NONE,
            NOW_MS,
            b"{\"type\":\"session_meta\"}",
        ),
        Entry::inline(Kind::LINE, Flags::NONE, NOW_MS, b"{\"type\":\"event_msg\"}"),
    ];
    let more = [
        Entry::inline(
            Kind::LINE,
            Flags::BOUNDARY,
            NOW_MS,
            b"{\"type\":\"compacted\"}",
        ),
        Entry::inline(Kind::METADATA, Flags::NONE, NOW_MS, b"{}"),
        Entry::inline(Kind::LINE, Flags::NO_LINE_FEED, NOW_MS, b"half a li"),
    ];
    let mut thread_chain = ThreadChain::START;
    file.push(0, 0, ThreadChain::START, begin, &catalogue);
    // Catalogue and first lines are one group.
    file.push(1, 0, thread_chain, begin, &lines);
    for (ordinal, line) in lines.iter().enumerate() {
        let (len, crc) = line.whole().unwrap();
        let ordinal = Ordinal(ordinal as u64);
        thread_chain =
            thread_chain.after(ThreadNumber(1), ordinal, line.kind, line.flags, len, crc);
    }
    let second = Position {
        generation,
        offset: file.end() as u64,
    };
    file.push(1, 2, thread_chain, second, &more);
    let end = file.end();
    let marker = marker_at(
        Position {
            generation,
            offset: end as u64,
        },
        file.chain,
    );
    file.put(&mut marker.clone(), &[]);
    file
}

impl Journal {
    fn end(&self) -> usize {
        *self.offsets.last().unwrap()
    }

    fn push(
        &mut self,
        thread: u64,
        first: u64,
        thread_chain: ThreadChain,
        durable_upto: Position,
        entries: &[Entry<'_>],
    ) {
        let mut header = FrameHeader {
            place: Position {
                generation: Generation(2),
                offset: self.end() as u64,
            },
            thread: ThreadNumber(thread),
            first_ordinal: Ordinal(first),
            entry_count: u32::try_from(entries.len()).unwrap(),
            durable_upto,
            epoch: 2,
            journal_chain: self.chain,
            thread_chain,
            ..batch()
        };
        self.put(&mut header, &encoded(entries));
    }

    fn put(&mut self, header: &mut FrameHeader, body: &[u8]) {
        let (bytes, chain) = frame(header, body);
        let at = self.end();
        self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
        self.chain = chain;
        self.offsets
            .push(at + usize::try_from(header.stride()).unwrap());
    }
}

pub(super) fn files() -> Vec<Vector> {
    let file = journal();
    let (first, second, third) = (file.offsets[0], file.offsets[1], file.offsets[2]);
    let (marker, end) = (file.offsets[3], file.end());
    let what = What::JournalFile;
    let clean = good(
        "journal-clean",
        "three batches, a marker, zeros",
        what,
        file.bytes.clone(),
    );
    let with = |name, about, edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = file.bytes.clone();
        edit(&mut bytes);
        good(name, about, what, bytes)
    };
    let mut next = FrameHeader {
        place: Position {
            generation: Generation(2),
            offset: end as u64,
        },
        entry_count: 1,
        thread: ThreadNumber(1),
        first_ordinal: Ordinal(5),
        durable_upto: Position {
            generation: Generation(2),
            offset: end as u64,
        },
        journal_chain: file.chain,
        ..batch()
    };
    let body = encoded(&[Entry::inline(Kind::LINE, Flags::NONE, NOW_MS, &[b'x'; 300])]);
    let torn = frame(&mut next, &body).0;
    let mut old = FrameHeader {
        place: Position {
            generation: Generation(1),
            offset: end as u64,
        },
        durable_upto: Position {
            generation: Generation(1),
            offset: 8_192,
        },
        ..next
    };
    let old = frame(&mut old, &body).0;
    vec![
        with("journal-torn", "then a torn batch", &|bytes| {
            bytes[end..end + 200].copy_from_slice(&torn[..200]);
        }),
        with(
            "journal-recycled",
            "then a frame of an older generation",
            &|bytes| {
                bytes[end..end + old.len()].copy_from_slice(&old);
            },
        ),
        with(
            "journal-reordered",
            "first batch missing, second of its group there",
            &|bytes| {
                bytes[first..second].fill(0);
                bytes[third..].fill(0);
            },
        ),
        with(
            "journal-damaged",
            "second batch rotten, later frames prove it",
            &|bytes| {
                bytes[second + 120] ^= 1;
            },
        ),
        with(
            "journal-proved",
            "last batch rotten, only the marker proves it",
            &|bytes| {
                bytes[third + 100] ^= 1;
            },
        ),
        with(
            "journal-unproved",
            "last batch rotten, no marker",
            &|bytes| {
                bytes[third + 100] ^= 1;
                bytes[marker..].fill(0);
            },
        ),
        with("journal-one-copy", "first header copy rotten", &|bytes| {
            bytes[100] ^= 1
        }),
        with("journal-empty", "headers, no frames", &|bytes| {
            bytes[first..].fill(0)
        }),
        bad(
            "journal-no-copy",
            "both header copies rotten",
            &clean,
            Problem::HeaderChecksum,
            |file| {
                file[100] ^= 1;
                file[4_196] ^= 1;
            },
        ),
        clean,
    ]
}
