//! Owns the laws of the projection, as checks of one thread: the rows do not depend on how the
//! records came, and any suffix of canonical records stands for itself.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use turnleaf_format::{Ordinal, StoreId, ThreadChain, ThreadNumber};
use turnleaf_projector::codec;
use turnleaf_projector::fold::{MemRows, Mode, ThreadState, apply};
use turnleaf_projector::index::{Index, Order, PageRequest, StorageBackend};
use turnleaf_projector::notes::{Notes, NotesReader};
use turnleaf_projector::payload::{Decoded, decode, is_boundary};
use turnleaf_projector::render;
use turnleaf_projector::rows::{ItemRow, TurnRow};

use crate::rng::Rng;

const THREAD: ThreadNumber = ThreadNumber(1);

/// What a thread's records come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// Turns and items.
    pub rows: MemRows,
    /// What the fold remembers at the end.
    pub state: ThreadState,
}

/// Folds all lines, and at every record stores the state and reads it again: then the records
/// before and the records after it may be folded at different times.
///
/// # Panics
/// When a state does not survive.
#[must_use]
pub fn fold(lines: &[Vec<u8>], start: ThreadState) -> Projection {
    let (mut rows, mut state) = (MemRows::default(), start);
    for (at, line) in lines.iter().enumerate() {
        let decoded = decode(line);
        let _ = is_boundary(line);
        let Ok(()) = apply(&mut rows, &mut state, Ordinal(at as u64), &decoded);
        let bytes = codec::encode(&state).expect("a small state");
        let read: ThreadState = codec::decode(&bytes).expect("a state comes back");
        assert_eq!(read, state, "the state after record {at}");
    }
    Projection { rows, state }
}

/// Renders every item from the lines that its row names.
///
/// # Panics
/// When a row names lines that the thread does not have.
pub fn render(lines: &[Vec<u8>], rows: &MemRows) {
    for (key, row) in rows.items() {
        let sources: Vec<&[u8]> = row
            .sources
            .iter()
            .map(|at| lines[usize::try_from(at.0).expect("a small thread")].as_slice())
            .collect();
        assert!(!sources.is_empty(), "item {key} has a source");
        let _ = render::render(&row.id, &sources);
    }
}

/// Feeds the thread to an index in batches of random lengths, each from the lines or from notes,
/// and compares it with rows in memory and with an index that was fed at once.
///
/// # Panics
/// When they differ.
pub fn check_index(lines: &[Vec<u8>], seed: u64, expect: &Projection) {
    let mut rng = Rng::new(seed);
    let whole = index(lines, &mut || lines.len());
    let split = index(lines, &mut || {
        usize::try_from(rng.below(9)).unwrap_or(0) + 1
    });
    let (whole, split) = (
        whole.reader().expect("memory does not fail"),
        split.reader().expect("memory does not fail"),
    );
    let row = split.thread(THREAD).expect("memory does not fail");
    assert_eq!(
        row,
        whole.thread(THREAD).expect("memory does not fail"),
        "counts and digest do not depend on the batches"
    );
    let row = row.unwrap_or_default();
    let state: ThreadState = row.fold_state(THREAD).unwrap_or_default();
    assert_eq!(state, expect.state);
    assert!(split.verify_thread(THREAD).expect("memory does not fail"));
    let all = PageRequest {
        anchor: None,
        order: Order::Ascending,
        limit: std::num::NonZeroUsize::MAX,
    };
    let turns = split
        .turns_page(THREAD, &all)
        .expect("memory does not fail");
    let expected: Vec<(Ordinal, TurnRow)> = expect
        .rows
        .turns()
        .map(|(key, row)| (key, row.clone()))
        .collect();
    assert_eq!(turns.rows, expected);
    let items = split
        .items_page(THREAD, None, &all)
        .expect("memory does not fail");
    let expected: Vec<(Ordinal, ItemRow)> = expect
        .rows
        .items()
        .map(|(key, row)| (key, row.clone()))
        .collect();
    assert_eq!(items.rows, expected);
    let calls = split
        .calls_page(THREAD, None, &all)
        .expect("memory does not fail");
    let expected: Vec<(Ordinal, ItemRow)> = expect
        .rows
        .calls()
        .map(|(key, row)| (key, row.clone()))
        .collect();
    assert_eq!(calls.rows, expected);
    for (_, turn) in &turns.rows {
        let items = split
            .items_of(THREAD, turn.turn)
            .expect("memory does not fail");
        let expected: Vec<(Ordinal, ItemRow)> = expect
            .rows
            .items_of(turn.turn)
            .map(|(key, row)| (key, row.clone()))
            .collect();
        assert_eq!(items, expected);
        let of_turn = split
            .calls_page(THREAD, Some(turn.turn), &all)
            .expect("memory does not fail");
        let is_of_turn = |(_, row): &&(Ordinal, ItemRow)| row.turn == turn.turn;
        let expected: Vec<_> = calls.rows.iter().filter(is_of_turn).cloned().collect();
        assert_eq!(of_turn.rows, expected);
    }
}

fn index(lines: &[Vec<u8>], next: &mut dyn FnMut() -> usize) -> Index {
    let index = Index::create_or_open(Memory::default(), StoreId([1; 16]), 1 << 20)
        .expect("memory does not fail");
    let mut first = 0;
    while first < lines.len() {
        let end = lines.len().min(first + next());
        let mut notes = Notes::default();
        lines[first..end]
            .iter()
            .for_each(|line| notes.push(&decode(line)));
        let notes = notes.finish();
        let mut reader = NotesReader::open(&notes, (end - first) as u64).expect("its own notes");
        let mut batch = index.writer().expect("memory does not fail");
        let mut rows = batch.thread(THREAD).expect("memory does not fail");
        let mut state: ThreadState = rows
            .state()
            .expect("memory does not fail")
            .unwrap_or_default();
        for (at, line) in (first..end).zip(&lines[first..end]) {
            let noted = reader.next_record().expect("a note for every record");
            let decoded: Decoded<'_> = if at % 2 == 0 { decode(line) } else { noted };
            apply(&mut rows, &mut state, Ordinal(at as u64), &decoded).expect("small rows");
        }
        rows.put_watermark(Ordinal(end as u64), ThreadChain(end as u64), &state)
            .expect("a small state");
        batch
            .commit(end.is_multiple_of(3))
            .expect("memory does not fail");
        first = end;
    }
    index
}

/// Folds only the lines from `cut` on as a paginated thread, knowing nothing but what the head of
/// the thread says: what the suffix says of a turn or an item is what the whole thread says.
///
/// # Panics
/// When they differ.
pub fn check_suffix(lines: &[Vec<u8>], cut: usize, whole: &Projection) {
    let (mut rows, mut state) = (MemRows::default(), ThreadState::forced(Mode::Paginated));
    if whole
        .state
        .head_at
        .is_some_and(|head| head.0.0 < cut as u64)
    {
        (state.head_at, state.declared) = (whole.state.head_at, whole.state.declared);
        state.own_history_start = whole.state.own_history_start;
    }
    let whole = &whole.rows;
    for (at, line) in lines.iter().enumerate().skip(cut) {
        let Ok(()) = apply(&mut rows, &mut state, Ordinal(at as u64), &decode(line));
    }
    let known = snapshots(whole);
    for ((turn, id), row) in snapshots(&rows) {
        let expect = known[&(turn, id)];
        assert_eq!(
            (row.kind, row.phase, &row.sources),
            (expect.kind, expect.phase, &expect.sources),
            "item {id} of turn {turn} from record {cut} on"
        );
    }
    let ended: BTreeMap<&str, &TurnRow> = whole
        .turns()
        .map(|(_, row)| (row.id.as_str(), row))
        .collect();
    for (_, row) in rows.turns() {
        let expect = ended[row.id.as_str()];
        let what = |row: &TurnRow| (row.status, row.error_at, row.completed_at, row.duration_ms);
        assert_eq!(
            what(row),
            what(expect),
            "turn {} from record {cut} on",
            row.id
        );
    }
}

/// Items by turn id and item id; items of turns without a row are left out.
fn snapshots(rows: &MemRows) -> BTreeMap<(&str, &str), &ItemRow> {
    let ids: BTreeMap<u32, &str> = rows
        .turns()
        .map(|(_, row)| (row.turn.0, row.id.as_str()))
        .collect();
    rows.items()
        .filter_map(|(_, row)| Some(((*ids.get(&row.turn.0)?, row.id.as_str()), row)))
        .collect()
}

/// An index file in memory.
#[derive(Debug, Default)]
struct Memory(Mutex<Vec<u8>>);

impl Memory {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(offset: u64, len: usize) -> std::ops::Range<usize> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    start..start.saturating_add(len)
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes();
        let part = bytes.get(place(offset, out.len()));
        out.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.bytes().resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes();
        let part = bytes.get_mut(place(offset, data.len()));
        part.ok_or(io::ErrorKind::UnexpectedEof)?
            .copy_from_slice(data);
        Ok(())
    }
}
