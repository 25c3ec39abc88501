//! Reads a whole journal or segment file in memory, as SPEC.md says; judges as RECOVERY.md says.

use turnleaf_format::frame::{self, FrameHeader, HEADER_BYTES, Position};
use turnleaf_format::journal::{self, FRAMES_OFFSET, HEADER_OFFSETS, JournalHeader};
use turnleaf_format::record::Entries;
use turnleaf_format::segment::{
    BLOCK_HEADER_BYTES, BlockHeader, BlockRow, Codec, Footer, RunRow, SegmentHeader, TRAILER_BYTES,
    Trailer, section_crc,
};
use turnleaf_format::{DecodeError, JournalChain, Problem, SegmentId, ThreadChain};

use crate::build::STORE;
use crate::json::Json;
use crate::vectors::{class, journal_header, position};

fn problem(error: DecodeError) -> Problem {
    error.problem
}

/// A journal file that is the newest of its store.
pub(crate) fn journal(bytes: &[u8]) -> Result<Json, Problem> {
    let copies = HEADER_OFFSETS.map(|offset| {
        let start = usize::try_from(offset).unwrap();
        let end = bytes.len().min(start + journal::HEADER_BYTES);
        JournalHeader::decode(bytes.get(start..end).unwrap_or_default())
    });
    let valid = copies.iter().filter_map(|copy| copy.ok());
    let count = valid.clone().count();
    let Some(header) = valid.max_by_key(|header| header.generation) else {
        return Err(problem(copies[0].unwrap_err()));
    };
    if header.store != STORE {
        return Err(Problem::Place);
    }
    let mut chain = JournalChain::start(STORE, header.generation);
    let mut place = Position {
        generation: header.generation,
        offset: FRAMES_OFFSET,
    };
    let mut frames = Vec::new();
    while let Some((frame, check)) = frame_at(bytes, place, chain) {
        frames.push(Json::Map(vec![
            ("offset", place.offset.into()),
            ("thread", frame.thread.0.into()),
            ("first_ordinal", frame.first_ordinal.0.into()),
            ("entry_count", frame.entry_count.into()),
            ("durable_upto", position(frame.durable_upto)),
        ]));
        chain = chain.after(check, frame.body_crc);
        place.offset += frame.stride();
    }
    Ok(Json::Map(vec![
        ("header", journal_header(&header)),
        ("copies", count.into()),
        ("frames", Json::List(frames)),
        ("end", place.offset.into()),
        ("journal_chain", Json::hex(chain.0)),
        ("verdict", Json::text(tail(bytes, place))),
    ]))
}

fn frame_at(bytes: &[u8], at: Position, chain: JournalChain) -> Option<(FrameHeader, u32)> {
    let rest = bytes.get(usize::try_from(at.offset).ok()?..)?;
    let (header, check) = FrameHeader::decode(rest, STORE, at).ok()?;
    let body = rest.get(HEADER_BYTES..HEADER_BYTES + header.body_len as usize)?;
    let right = frame::body_crc(body) == header.body_crc && header.journal_chain == chain;
    let entries = Entries::new(body, header.entry_count).all(|entry| entry.is_ok());
    (right && entries).then_some((header, check))
}

/// The verdict about what stands at `end`, the first place without a valid frame. [R:tail-1]
fn tail(bytes: &[u8], end: Position) -> &'static str {
    let ours = |offset: u64| {
        let rest = bytes
            .get(usize::try_from(offset).unwrap()..)
            .unwrap_or_default();
        FrameHeader::decode(rest, STORE, Position { offset, ..end }).ok()
    };
    let later = (end.offset..bytes.len() as u64).step_by(8).filter_map(ours);
    let found: Vec<_> = later.map(|(header, _)| header).collect();
    let begun = {
        let rest = bytes
            .get(usize::try_from(end.offset).unwrap()..)
            .unwrap_or_default();
        rest.starts_with(&frame::MAGIC)
            && rest.get(8..16) == Some(&end.generation.0.to_le_bytes()[..])
    };
    if found.iter().any(|header| header.durable_upto > end) {
        "damage"
    } else if begun || !found.is_empty() {
        "torn"
    } else {
        "end"
    }
}

/// A segment file, every block of it.
pub(crate) fn segment(bytes: &[u8], id: SegmentId) -> Result<Json, Problem> {
    let tail = bytes
        .len()
        .checked_sub(TRAILER_BYTES)
        .ok_or(Problem::Short)?;
    let header = SegmentHeader::decode(bytes).map_err(problem)?;
    let trailer = Trailer::decode(&bytes[tail..], bytes.len() as u64).map_err(problem)?;
    if [
        (header.store, header.segment),
        (trailer.store, trailer.segment),
    ] != [(STORE, id); 2]
    {
        return Err(Problem::Place);
    }
    let footer = &bytes[usize::try_from(trailer.footer_offset).unwrap()..tail];
    if section_crc(footer) != trailer.footer_crc {
        return Err(Problem::BodyChecksum);
    }
    let footer = Footer::decode(footer).map_err(problem)?;
    let mut runs = Vec::new();
    for run in &footer.runs {
        let from = run.first_block as usize;
        let blocks = &footer.blocks[from..from + run.block_count as usize];
        runs.push(run_of(bytes, id, run, blocks)?);
    }
    if *blake3::hash(&bytes[..tail]).as_bytes() != trailer.digest {
        return Err(Problem::BodyChecksum);
    }
    Ok(Json::Map(vec![
        ("class", Json::text(class(header.class))),
        ("runs", Json::List(runs)),
        ("blocks", footer.blocks.len().into()),
    ]))
}

fn run_of(bytes: &[u8], id: SegmentId, run: &RunRow, rows: &[BlockRow]) -> Result<Json, Problem> {
    let mut chain = run.chain_before;
    let mut next = run.first_ordinal;
    let mut payload_bytes = 0;
    for row in rows {
        let (block, raw) = block_of(bytes, id, row)?;
        if (block.thread, block.first_ordinal, block.chain) != (run.thread, next, chain) {
            return Err(Problem::Place);
        }
        for entry in Entries::new(&raw, block.entry_count) {
            let entry = entry.map_err(problem)?;
            if let Some((len, crc)) = entry.whole() {
                chain = chain.after(run.thread, next, entry.kind, entry.flags, len, crc);
                next = next.plus(1);
                payload_bytes += len;
            }
        }
    }
    let notes_from = usize::try_from(run.notes_offset).unwrap();
    let notes = &bytes[notes_from..notes_from + run.notes_len as usize];
    if section_crc(notes) != run.notes_crc {
        return Err(Problem::BodyChecksum);
    }
    let reached: (_, ThreadChain, _) = (next, chain, payload_bytes);
    if reached != (run.ordinal_end, run.chain_after, run.payload_bytes) {
        return Err(Problem::Place);
    }
    Ok(Json::Map(vec![
        ("thread", run.thread.0.into()),
        ("first_ordinal", run.first_ordinal.0.into()),
        ("ordinal_end", next.0.into()),
        ("payload_bytes", payload_bytes.into()),
        ("chain_after", Json::hex(chain.0)),
        ("notes", Json::bytes(notes)),
    ]))
}

fn block_of(
    bytes: &[u8],
    id: SegmentId,
    row: &BlockRow,
) -> Result<(BlockHeader, Vec<u8>), Problem> {
    let rest = &bytes[usize::try_from(row.offset).unwrap()..];
    let block = BlockHeader::decode(rest, STORE, id, row.offset).map_err(problem)?;
    let end = BLOCK_HEADER_BYTES + block.stored_len as usize;
    let stored = rest.get(BLOCK_HEADER_BYTES..end).ok_or(Problem::Short)?;
    if section_crc(stored) != block.stored_crc {
        return Err(Problem::BodyChecksum);
    }
    let raw = match block.codec {
        Codec::Raw => stored.to_vec(),
        Codec::Zstd => zstd::bulk::decompress(stored, block.raw_len as usize)
            .map_err(|_| Problem::BodyChecksum)?,
    };
    if raw.len() == block.raw_len as usize {
        Ok((block, raw))
    } else {
        Err(Problem::Length)
    }
}
