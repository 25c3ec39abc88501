//! Owns the bytes of one line: whether it is a boundary, and the joining of a line whose records
//! came one by one or that is too large for memory.

use std::ops::ControlFlow;

use turnleaf_engine::format::Ordinal;
use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::{Payload, ReadError, Reader, Record};
use turnleaf_projector::payload::{self, Decoded, Effect, LargeLine, OPAQUE_BYTES, Part};

/// Lines up to this length are held whole; a longer one comes in pieces and is never parsed as it
/// comes.
pub(crate) const LINE_BYTES_MAX: usize = 16 << 20;

/// The flag of a usable compaction, so that a segment can begin there: the same whichever way the
/// line comes. One that is too long for an import to hold it whole has none.
pub(crate) fn boundary_flag(line: &[u8]) -> Flags {
    if line.len() <= LINE_BYTES_MAX && payload::is_boundary(line) {
        Flags::BOUNDARY
    } else {
        Flags::NONE
    }
}

/// Decodes a record of any kind and hands it on. A record that continues the line before it is
/// decoded together with what it continues; a line that is too large to be held is read in pieces.
pub(crate) fn decoded<T>(
    reader: &Reader,
    record: &Record<'_>,
    take: impl FnOnce(&Decoded<'_>) -> T,
) -> Result<T, ReadError> {
    match record.kind {
        Kind::LINE => {}
        Kind::METADATA => {
            let bytes = record.bytes().unwrap_or_default();
            return Ok(take(&payload::decode_metadata(bytes, record.timestamp_ms)));
        }
        // Other kinds say nothing to the fold.
        _ => return Ok(take(&payload::decode(b""))),
    }
    let unterminated = record.flags.has(Flags::NO_LINE_FEED);
    let continues = record.flags.has(Flags::CONTINUES);
    let take = |mut decoded: Decoded<'_>| {
        decoded.continues = continues;
        take(&decoded)
    };
    if let Some(bytes) = record.bytes() {
        let before = if continues {
            line_before(reader, record.ordinal, OPAQUE_BYTES - bytes.len())?
        } else {
            Some(Vec::new())
        };
        if let Some(mut joined) = before {
            let head_bytes = joined.len();
            let part = Part {
                unterminated,
                head_bytes,
            };
            if head_bytes == 0 {
                return Ok(take(payload::decode_part(bytes, part)));
            }
            joined.extend_from_slice(bytes);
            return Ok(take(payload::decode_part(&joined, part)));
        }
    }
    let first = if continues {
        line_start(reader, record.ordinal)?
    } else {
        record.ordinal
    };
    let line = large_line(reader, first, record.ordinal, unterminated)?;
    Ok(take(line))
}

/// Decodes the line that begins with the record `first`, up to and with the record `last`: what
/// [`payload::decode_part`] says of a line that is held.
fn large_line(
    reader: &Reader,
    first: Ordinal,
    last: Ordinal,
    unterminated: bool,
) -> Result<Decoded<'static>, ReadError> {
    let mut line = LargeLine::new();
    let (mut was_complete, mut is_blank) = (false, true);
    reader.entries(first, last.plus(1), &mut |ordinal, entry| {
        if entry.kind == Kind::LINE {
            if ordinal == last && entry.begins() {
                // What stands before it; nothing does before the line's first record.
                was_complete = line.clone().finish().is_accepted();
            }
            is_blank &= ordinal < last || entry.bytes.iter().all(u8::is_ascii_whitespace);
            line.push(entry.bytes);
        }
        ControlFlow::Continue(())
    })?;
    let mut decoded = line.finish();
    let is_no_record = matches!(decoded.effect, Effect::Rejected(_));
    if was_complete {
        let effect = if is_blank {
            Effect::Blank
        } else {
            Effect::Continued
        };
        decoded = Decoded {
            effect,
            ..payload::decode(b"")
        };
    } else if unterminated && is_no_record {
        let effect = Effect::Pending;
        decoded = Decoded {
            effect,
            ..payload::decode(b"")
        };
    }
    Ok(decoded)
}

/// The bytes of a line whose last record is this one: its own, behind those it continues. None of a
/// line that is too large to be held.
pub(crate) fn whole_line(reader: &Reader, record: Record<'static>) -> Result<Vec<u8>, ReadError> {
    let (at, continues) = (record.ordinal, record.flags.has(Flags::CONTINUES));
    let Payload::Whole(bytes) = record.payload else {
        return Ok(Vec::new());
    };
    if !continues {
        return Ok(bytes.into_owned());
    }
    let before = line_before(reader, at, OPAQUE_BYTES - bytes.len())?;
    Ok(before.map_or_else(Vec::new, |mut line| {
        line.extend_from_slice(&bytes);
        line
    }))
}

/// The record that begins the line which the record `ordinal` goes on with. What was given up ends
/// it: nobody knows what of the line stood there.
pub(crate) fn line_start(reader: &Reader, ordinal: Ordinal) -> Result<Ordinal, ReadError> {
    let (mut first, mut reached) = (ordinal, ordinal);
    reader.records_back(ordinal, &mut |record| {
        if record.ordinal.plus(1) < reached {
            return ControlFlow::Break(());
        }
        reached = record.ordinal;
        if record.kind != Kind::LINE {
            return ControlFlow::Continue(());
        }
        first = record.ordinal;
        if record.flags.has(Flags::CONTINUES) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok(first)
}

/// The bytes of the records that `ordinal` continues, as [`line_start`] has them; `None` when they
/// are more than `bytes_max`.
fn line_before(
    reader: &Reader,
    ordinal: Ordinal,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, ReadError> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let (mut room, mut reached) = (Some(bytes_max), ordinal);
    reader.records_back(ordinal, &mut |record| {
        if record.ordinal.plus(1) < reached {
            return ControlFlow::Break(());
        }
        reached = record.ordinal;
        if record.kind != Kind::LINE {
            return ControlFlow::Continue(());
        }
        let bytes = record.bytes();
        room = room.and_then(|room| room.checked_sub(bytes?.len()));
        pieces.push(bytes.unwrap_or_default().to_vec());
        if room.is_some() && record.flags.has(Flags::CONTINUES) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok(room.map(|_| pieces.into_iter().rev().flatten().collect()))
}

#[cfg(test)]
mod tests;
