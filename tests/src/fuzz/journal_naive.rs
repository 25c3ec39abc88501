//! Owns a second reader of one journal file, written from SPEC.md sections 6, 7 and 9.

use std::collections::BTreeMap;

use super::naive::{Piece, Walk, crc_of, entries, is_sealed, is_zero, u32_at, u64_at};
use super::segment_naive::Candidates;

pub(super) const FRAMES: usize = 8192;
const MIB_24: u32 = 24 << 20;

/// A frame whose checksums, place and entries are right.
struct Frame {
    thread: u64,
    first: u64,
    epoch: u64,
    journal_chain: u64,
    thread_chain: u64,
    /// Its two checksums.
    checks: (u32, u32),
    pieces: Vec<Piece>,
    /// Where the next one begins.
    end: usize,
    /// The bytes up to there are zero.
    gap: bool,
}

/// What a file says, read to the first place without a valid frame.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Complete records by thread: ordinal of the record, and its pieces.
    pub(super) threads: BTreeMap<u64, Vec<(u64, Piece)>>,
    /// Something beside the end is not as a writer leaves it.
    pub(super) odd: bool,
}

/// Generation of the header that counts: the right copy of the highest generation. [S:journal-2]
pub(super) fn generation(file: &[u8]) -> Option<(u64, [u8; 16])> {
    let copies = [0, 4096].map(|at| file.get(at..at + 512));
    let right = copies.into_iter().flatten().filter(|copy| is_header(copy));
    right
        .filter_map(|copy| Some((u64_at(copy, 24)?, *copy[8..].first_chunk::<16>()?)))
        .max_by_key(|(generation, _)| *generation)
}

fn is_header(copy: &[u8]) -> bool {
    let number = |at| u64_at(copy, at).unwrap_or(0);
    let (generation, begun) = (number(24), copy[80]);
    let before = match begun {
        0 => (number(56), number(64), number(72)) == (0, 0, 0),
        1..=3 => {
            let offset = number(64);
            (1..generation).contains(&number(56)) && offset >= 8192 && offset.is_multiple_of(8)
        }
        _ => false,
    };
    copy.starts_with(b"TLJH")
        && copy[4..6] == [0, 2]
        && copy[7] <= 1
        && number(32) >= 8192
        && (1..=generation).contains(&number(48))
        && before
        && is_zero(&copy[81..88])
        && is_zero(&copy[112..508])
        && is_sealed(copy, 512, &[])
}

/// Pieces of all frames of the file that are right by themselves, wherever they stand.
pub(super) fn candidates(file: &[u8], store: [u8; 16], generation: u64) -> Candidates {
    let mut found = Candidates::new();
    for at in (FRAMES..file.len()).step_by(8) {
        if !file[at..].starts_with(b"TLFR") {
            continue;
        }
        let Some(frame) = frame(file, at, store, generation) else {
            continue;
        };
        let mut ordinal = frame.first;
        for piece in frame.pieces {
            let completes = piece.whole.is_some();
            let key = (frame.thread, ordinal, piece.offset);
            found.entry(key).or_default().insert(piece);
            ordinal = ordinal.saturating_add(u64::from(completes));
        }
    }
    found
}

/// The frames in order up to the first place without a valid one, thread by thread; `None` when
/// they contradict each other.
pub(super) fn read(file: &[u8], store: [u8; 16], generation: u64) -> Option<Journal> {
    let mut journal = Journal::default();
    let mut walks: BTreeMap<u64, (Walk, Vec<(u64, Piece)>)> = BTreeMap::new();
    let mut chain = chain_start(store, generation);
    let (mut at, mut epoch) = (FRAMES, 0);
    while let Some(frame) = frame(file, at, store, generation) {
        if frame.journal_chain != chain {
            break;
        }
        let (header, body) = frame.checks;
        chain = chain_after(chain, header, body);
        journal.odd |= !frame.gap || frame.epoch < epoch;
        epoch = epoch.max(frame.epoch);
        at = frame.end;
        if frame.pieces.is_empty() {
            continue;
        }
        let fresh = || (Walk::new(frame.thread, 0, 0), Vec::new());
        let (walk, pieces) = walks.entry(frame.thread).or_insert_with(fresh);
        if (walk.ordinal, walk.chain) != (frame.first, frame.thread_chain) {
            return None;
        }
        for piece in frame.pieces {
            if piece.offset == 0 {
                // [S:record-7]
                walk.void();
                let ordinal = walk.ordinal;
                pieces.retain(|(of, _)| *of < ordinal);
            }
            let ordinal = walk.ordinal;
            walk.pass(&piece)?;
            pieces.push((ordinal, piece));
        }
    }
    for (thread, (walk, mut pieces)) in walks {
        pieces.retain(|(ordinal, _)| *ordinal < walk.ordinal);
        journal.threads.insert(thread, pieces);
    }
    Some(journal)
}

/// [S:chain-2]
pub(super) fn chain_start(store: [u8; 16], generation: u64) -> u64 {
    let number = generation.to_le_bytes();
    let high = crc_of(&[&store, &number]);
    u64::from(high) << 32 | u64::from(crc_of(&[&number, &store]))
}

pub(super) fn chain_after(before: u64, header: u32, body: u32) -> u64 {
    let covered = [
        &before.to_le_bytes()[..],
        &header.to_le_bytes(),
        &body.to_le_bytes(),
    ];
    u64::from(crc_of(&covered)) << 32 | u64::from(header)
}

/// [S:frame-1] [S:frame-2] [S:frame-4]
fn frame(file: &[u8], at: usize, store: [u8; 16], generation: u64) -> Option<Frame> {
    let head = file.get(at..)?.get(..96)?;
    let number = |at| u64_at(head, at);
    let (count, body_len) = (u32_at(head, 40)?, u32_at(head, 44)?);
    let place = (number(8)?, number(16)?);
    let marker = count == 0;
    let empty = number(24)? == 0
        && number(32)? == 0
        && body_len == 0
        && number(80)? == 0
        && u32_at(head, 88)? == 0;
    let right = head.starts_with(b"TLFR")
        && head[4..6] == [96, 0]
        && head[6] <= 1
        && head[7] == u8::from(marker)
        && place == (generation, at as u64)
        && (!marker || empty)
        && u64::from(count) * 20 <= u64::from(body_len)
        && body_len <= MIB_24
        && (number(48)?, number(56)?) <= place
        && is_sealed(head, 96, &store);
    let begin = at + 96;
    let behind = begin.checked_add(body_len as usize)?;
    let end = behind.next_multiple_of(8);
    let body = file.get(begin..behind).filter(|_| right)?;
    if u32_at(head, 88) != Some(crc_of(&[body])) {
        return None;
    }
    Some(Frame {
        thread: number(24)?,
        first: number(32)?,
        epoch: number(64)?,
        journal_chain: number(72)?,
        thread_chain: number(80)?,
        checks: (u32_at(head, 92)?, u32_at(head, 88)?),
        pieces: entries(body, count)?,
        end,
        gap: file.get(behind..end).is_some_and(is_zero),
    })
}
