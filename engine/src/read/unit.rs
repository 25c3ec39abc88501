//! Owns one unit of stored bytes, a block of a segment or a frame of the journal: checked against
//! its checksum, with the entries that are read from it.

use std::sync::Arc;

use turnleaf_format::frame::{self, FrameHeader, HEADER_BYTES, Position};
use turnleaf_format::record::{Entries, Entry};
use turnleaf_format::{DecodeError, Ordinal, Problem, ThreadChain, ThreadNumber};

use super::RolloutReader;
use crate::disk::read_exact_at;
use crate::error::{Cause, Damage, ReadError, failed};
use crate::segment::{Block, OpenSegment};
use crate::view::{FrameRef, ThreadView};

/// One block or frame body, checked against its checksum.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) first: Ordinal,
    /// Records before this one are read from elsewhere.
    from: Ordinal,
    /// And so are those from this one on.
    until: Ordinal,
    /// One past the last record with an entry in the unit; for damage reports.
    end: Ordinal,
    pub(super) entry_count: u32,
    /// The thread chain before the first.
    pub(super) chain: ThreadChain,
    thread: ThreadNumber,
    bytes: UnitBytes,
    file: String,
    offset: u64,
    length: u64,
}

#[derive(Debug)]
enum UnitBytes {
    Block(Arc<Block>),
    Body(Arc<Vec<u8>>),
}

impl Unit {
    fn raw(&self) -> &[u8] {
        match &self.bytes {
            UnitBytes::Block(block) => &block.raw,
            UnitBytes::Body(body) => body,
        }
    }

    /// Only the records from the first to before the end.
    pub(super) fn between(self, from: Ordinal, until: Ordinal) -> Unit {
        Unit {
            from,
            until,
            ..self
        }
    }

    fn damage(&self, cause: Cause) -> Damage {
        Damage {
            file: self.file.clone(),
            offset: self.offset,
            length: self.length,
            thread: Some(self.thread),
            ordinals: Some((self.first, self.end)),
            cause,
        }
    }

    /// Whether the records up to `reached`, which end in this unit, lead to `next`: what tables
    /// state and no unit holds must not be passed by in silence, unless it was given up.
    /// [S:footer-5]
    pub(super) fn leads_to(
        &self,
        view: &ThreadView,
        reached: Ordinal,
        next: Ordinal,
    ) -> Result<(), ReadError> {
        if next <= reached || view.is_given_up(reached, next) {
            return Ok(());
        }
        Err(Damage {
            ordinals: Some((reached, next)),
            ..self.damage(Cause::Tables)
        }
        .into())
    }

    /// The unit's entries that are to be read from it, each with the ordinal of its record.
    pub(super) fn entries<'u>(
        &'u self,
        view: &'u ThreadView,
    ) -> impl Iterator<Item = Result<(Ordinal, Entry<'u>), ReadError>> {
        let wanted = |entry: &Result<(Ordinal, _), _>| match entry {
            Ok((at, _)) => {
                (self.from..self.until).contains(at) && view.next_given_up(*at) != Some(*at)
            }
            Err(_) => true,
        };
        self.all_entries().filter(wanted)
    }

    /// All entries, also those that are read from elsewhere or were given up.
    pub(super) fn all_entries(
        &self,
    ) -> impl Iterator<Item = Result<(Ordinal, Entry<'_>), ReadError>> {
        let mut ordinal = self.first;
        Entries::new(self.raw(), self.entry_count).map(move |entry| {
            let entry = entry.map_err(|error| self.damage(Cause::Decode(error)))?;
            let at = ordinal;
            ordinal = ordinal.plus(u64::from(entry.completes()));
            Ok((at, entry))
        })
    }
}

pub(super) fn block_unit(
    segment: &OpenSegment,
    index: usize,
    from: Ordinal,
    block: Arc<Block>,
) -> Unit {
    let place = segment.block_damage(index, Cause::Missing);
    Unit {
        first: block.header.first_ordinal,
        chain: block.header.chain,
        until: Ordinal(u64::MAX),
        from,
        end: place
            .ordinals
            .map_or(block.header.first_ordinal, |(_, end)| end),
        entry_count: block.header.entry_count,
        thread: block.header.thread,
        bytes: UnitBytes::Block(block),
        file: place.file,
        offset: place.offset,
        length: place.length,
    }
}

pub(super) fn frame_unit(
    reader: &RolloutReader,
    frame: &FrameRef,
    span_offset: u64,
    span: Option<&[u8]>,
) -> Result<Unit, ReadError> {
    let length = HEADER_BYTES as u64 + u64::from(frame.body_len);
    let unit = |body| Unit {
        first: frame.first,
        chain: frame.chain_before,
        from: frame.first,
        until: Ordinal(u64::MAX),
        end: frame.end.plus(u64::from(frame.unfinished)),
        entry_count: frame.entry_count,
        thread: reader.view.thread,
        bytes: UnitBytes::Body(body),
        file: frame.file.path.clone(),
        offset: frame.offset,
        length,
    };
    if let Some(body) = &frame.body {
        return Ok(unit(Arc::clone(body)));
    }
    let len = usize::try_from(length).unwrap_or(usize::MAX);
    // A span is read only over frames of one file, in order.
    let within = |span: &'_ [u8]| {
        let start = usize::try_from(frame.offset.checked_sub(span_offset)?).ok()?;
        span.get(start..start.checked_add(len)?).map(<[u8]>::to_vec)
    };
    let bytes = match span.and_then(within) {
        Some(bytes) => bytes,
        None => read_exact_at(&*frame.file.file, frame.offset, len).map_err(|source| {
            let failure = failed("read", &frame.file.path)(source);
            match failure.of_bytes() {
                Ok(why) => unit(Arc::default()).damage(Cause::Unreadable(why)).into(),
                Err(failure) => ReadError::Disk(failure),
            }
        })?,
    };
    let place = Position {
        generation: frame.file.generation,
        offset: frame.offset,
    };
    let checked = FrameHeader::decode(&bytes, reader.store, place).map_err(Cause::Decode);
    let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
    let intact = match checked {
        Ok(_) if frame::body_crc(body) == frame.body_crc => Ok(()),
        Ok(_) => {
            let what = DecodeError {
                what: "frame",
                at: 0,
                problem: Problem::BodyChecksum,
            };
            Err(Cause::Decode(what))
        }
        Err(cause) => Err(cause),
    };
    match intact {
        Ok(()) => {
            let mut bytes = bytes;
            bytes.drain(..HEADER_BYTES);
            Ok(unit(Arc::new(bytes)))
        }
        Err(cause) => Err(unit(Arc::default()).damage(cause).into()),
    }
}
