//! Owns a second reader of segment files, written from SPEC.md sections 8 and 4.

use std::collections::{BTreeMap, BTreeSet};

use super::naive::{
    Piece, Walk, crc_of, entries_before_a_bad_one, is_sealed, is_zero, u32_at, u64_at,
};

/// Pieces by thread, ordinal and offset within their record: whatever some block says there.
pub(super) type Candidates = BTreeMap<(u64, u64, u64), BTreeSet<Piece>>;

/// A run's row of the footer. [S:footer-2]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) thread: u64,
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) chain_before: u64,
    pub(super) chain_after: u64,
    pub(super) payload_bytes: u64,
    first_block: usize,
    blocks: usize,
    notes: (u64, u32, u32),
}

struct Block {
    thread: u64,
    first: u64,
    chain: u64,
    stored_len: u32,
    raw_len: u32,
    /// Up to the first bad one.
    pieces: Vec<Piece>,
    complete: bool,
}

/// Who a segment file says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) store: [u8; 16],
    pub(super) segment: u64,
    pub(super) class: u8,
}

/// The identity in the first bytes, believed or not.
pub(super) fn identity(file: &[u8]) -> Option<Identity> {
    Some(Identity {
        store: *file.get(8..)?.first_chunk::<16>()?,
        segment: u64_at(file, 24)?,
        class: *file.get(32)?,
    })
}

/// The runs that the footer names, where trailer and footer are right.
pub(super) fn runs(file: &[u8], id: &Identity) -> Option<Vec<Run>> {
    Some(tables(file, id)?.0)
}

/// All pieces of all blocks of the file that are right but for entries behind them, wherever they
/// stand.
pub(super) fn candidates(file: &[u8], id: &Identity) -> Candidates {
    let mut found = Candidates::new();
    for at in 0..file.len() {
        if !file[at..].starts_with(b"TLBK") {
            continue;
        }
        let Some(block) = block(file, at, id) else {
            continue;
        };
        let mut ordinal = block.first;
        for piece in block.pieces {
            let completes = piece.whole.is_some();
            let key = (block.thread, ordinal, piece.offset);
            found.entry(key).or_default().insert(piece);
            ordinal = ordinal.saturating_add(u64::from(completes));
        }
    }
    found
}

/// Pieces of a file in which all is right, in the order of the file; `None` for any other.
pub(super) fn whole(file: &[u8], id: &Identity) -> Option<Vec<(u64, u64, Piece)>> {
    let head = file.get(..128)?;
    let right = head.starts_with(b"TLSG")
        && head[4..6] == [128, 0]
        && head[7] <= 1
        && identity(file)? == *id
        && id.class <= 2
        && is_zero(&head[33..40])
        && is_zero(&head[48..124])
        && is_sealed(head, 128, &[]);
    let (runs, rows) = tables(file, id).filter(|_| right)?;
    let before = file.get(..file.len() - 96)?;
    let digest = file.get(file.len() - 40..file.len() - 8)?;
    if blake3::hash(before).as_bytes()[..] != *digest {
        return None;
    }
    let mut all = Vec::new();
    for run in &runs {
        let mut walk = Walk::new(run.thread, run.first, run.chain_before);
        let mut payload = 0;
        for row in &rows[run.first_block..run.first_block + run.blocks] {
            let at = usize::try_from(u64_at(row, 0)?).ok()?;
            let block = block(file, at, id)?;
            let first = block.pieces.first()?;
            let agrees = block.complete
                && (block.thread, block.first) == (run.thread, walk.ordinal)
                && block.chain == walk.chain
                && u64_at(row, 8)? == block.first
                && u32_at(row, 16)? == block.stored_len
                && u32_at(row, 20)? == block.raw_len
                && u32_at(row, 24)? as usize == block.pieces.len()
                && u32_at(row, 28)? == u32::from(first.offset > 0);
            if !agrees {
                return None;
            }
            for piece in block.pieces {
                let ordinal = walk.ordinal;
                walk.pass(&piece)?;
                payload += piece.bytes.len() as u64;
                all.push((run.thread, ordinal, piece));
            }
        }
        let (notes_at, notes_len, notes_crc) = run.notes;
        let notes_at = usize::try_from(notes_at).ok()?;
        let notes = file.get(notes_at..notes_at.checked_add(notes_len as usize)?)?;
        let ends = (walk.ordinal, walk.chain, payload)
            == (run.end, run.chain_after, run.payload_bytes)
            && !walk.is_open()
            && crc_of(&[notes]) == notes_crc;
        if !ends {
            return None;
        }
    }
    Some(all)
}

/// Rows of runs and of blocks, where trailer and footer are right and agree. [S:footer-4]
fn tables<'f>(file: &'f [u8], id: &Identity) -> Option<(Vec<Run>, Vec<&'f [u8]>)> {
    let trailer = file.get(file.len().checked_sub(96)?..)?;
    let at = usize::try_from(u64_at(trailer, 32)?).ok()?;
    let len = usize::try_from(u64_at(trailer, 40)?).ok()?;
    let right = trailer.starts_with(b"TLTR")
        && trailer[4..6] == [96, 0]
        && trailer[7] <= 1
        && trailer[8..24] == id.store
        && u64_at(trailer, 24)? == id.segment
        && at.checked_add(len)?.checked_add(96)? == file.len()
        && at >= 128
        && is_zero(&trailer[52..56])
        && is_zero(&trailer[88..92])
        && is_sealed(trailer, 96, &[]);
    let footer = file.get(at..at.checked_add(len)?).filter(|_| right)?;
    let head = footer.get(..16)?;
    let (runs, blocks) = (u32_at(head, 4)? as usize, u32_at(head, 8)? as usize);
    let right = head.starts_with(b"TLFT")
        && is_zero(&head[12..])
        && Some(crc_of(&[footer])) == u32_at(trailer, 48)
        && len == 16 + 80 * runs + 32 * blocks;
    let (run_rows, block_rows) = footer[16..].split_at_checked(80 * runs).filter(|_| right)?;
    let rows: Vec<&[u8]> = block_rows.chunks(32).collect();
    let mut reached = 0;
    for row in &rows {
        let (begin, stored) = (u64_at(row, 0)?, u64::from(u32_at(row, 16)?));
        if begin < reached || u32_at(row, 28)? > 1 {
            return None;
        }
        reached = begin.checked_add(64)?.checked_add(stored)?;
    }
    let mut found: Vec<Run> = Vec::new();
    let mut next = 0;
    for row in run_rows.chunks(80) {
        let run = run(row)?;
        let ascends = found.last().is_none_or(|last| last.thread < run.thread);
        if run.first_block != next || !ascends || !is_zero(&row[72..]) {
            return None;
        }
        next += run.blocks;
        let own = rows.get(run.first_block..next)?;
        let ordinals: Option<Vec<u64>> = own.iter().map(|row| u64_at(row, 8)).collect();
        let ordinals = ordinals?;
        let (begin, notes_len, crc) = run.notes;
        let holds = ordinals.first() == Some(&run.first)
            && u32_at(own[0], 28)? == 0
            && ordinals.is_sorted()
            && ordinals.iter().all(|ordinal| *ordinal < run.end)
            && ((begin, notes_len, crc) == (0, 0, 0) || (notes_len > 0 && begin >= 128));
        if !holds {
            return None;
        }
        found.push(run);
    }
    (next == rows.len()).then_some((found, rows))
}

fn run(row: &[u8]) -> Option<Run> {
    Some(Run {
        thread: u64_at(row, 0)?,
        first: u64_at(row, 8)?,
        end: u64_at(row, 16)?,
        chain_before: u64_at(row, 24)?,
        chain_after: u64_at(row, 32)?,
        first_block: u32_at(row, 40)? as usize,
        blocks: u32_at(row, 44)? as usize,
        payload_bytes: u64_at(row, 48)?,
        notes: (u64_at(row, 56)?, u32_at(row, 64)?, u32_at(row, 68)?),
    })
}

/// The block at a place, whole and right. [S:block-1] [S:block-2] [S:block-3]
fn block(file: &[u8], at: usize, id: &Identity) -> Option<Block> {
    let head = file.get(at..)?.get(..64)?;
    let seed = [&id.store[..], &id.segment.to_le_bytes()].concat();
    let (count, raw_len, stored_len) = (u32_at(head, 32)?, u32_at(head, 36)?, u32_at(head, 40)?);
    let right = head.starts_with(b"TLBK")
        && head[4] <= 1
        && is_zero(&head[5..8])
        && u64_at(head, 8)? == at as u64
        && count > 0
        && raw_len <= 1_114_176
        && u64::from(count) * 20 <= u64::from(raw_len)
        && stored_len <= raw_len
        && (head[4] == 1 || stored_len == raw_len)
        && is_zero(&head[56..60])
        && is_sealed(head, 64, &seed);
    let begin = at + 64;
    let end = begin.checked_add(stored_len as usize)?;
    let stored = file.get(begin..end).filter(|_| right)?;
    if u32_at(head, 44) != Some(crc_of(&[stored])) {
        return None;
    }
    let raw = match head[4] {
        0 => stored.to_vec(),
        _ => inflate(stored, raw_len as usize)?,
    };
    let (pieces, complete) = entries_before_a_bad_one(&raw, count);
    Some(Block {
        thread: u64_at(head, 16)?,
        first: u64_at(head, 24)?,
        chain: u64_at(head, 48)?,
        stored_len,
        raw_len,
        pieces,
        complete,
    })
}

/// Exactly one zstd frame that inflates to exactly so many bytes.
fn inflate(stored: &[u8], raw_len: usize) -> Option<Vec<u8>> {
    let one = zstd::zstd_safe::find_frame_compressed_size(stored);
    let raw = zstd::bulk::decompress(stored, raw_len).ok()?;
    (one == Ok(stored.len()) && raw.len() == raw_len).then_some(raw)
}
