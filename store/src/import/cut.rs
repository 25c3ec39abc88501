//! Owns the place in a rollout that a head means which says how much of it is inherited: in bytes
//! of its file, and in ordinals as the runtime counts them. Each is checked by the other.

use std::ops::ControlFlow;

use turnleaf_engine::format::Ordinal;
use turnleaf_engine::format::catalogue::Awaited;
use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::{ReadError, Reader};
use turnleaf_projector::payload;

use crate::lines::decoded;

/// A place in a rollout, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Bytes lead to it, and ordinals say nothing else.
    ByBytes(Ordinal),
    /// Ordinals lead to it, and bytes do not lead to any.
    ByOrdinals(Ordinal),
    /// The rollout has no lines: its file has not come.
    Empty,
    /// The rollout ends before it.
    Beyond,
    /// Bytes and ordinals contradict each other, or neither leads to a place.
    Contradiction,
}

/// Finds the place in what a rollout holds itself. Lines alone count: records of our own stand in
/// no file.
///
/// Cost: reads up to the place; where bytes do not lead to one, decodes all of the rollout.
pub(super) fn find(own: &Reader, stated: &Awaited) -> Result<Cut, ReadError> {
    match by_bytes(own, stated.stated_bytes)? {
        Some(end) if fits(own, end, stated.stated_end)? => Ok(Cut::ByBytes(end)),
        Some(_) => Ok(Cut::Contradiction),
        None => by_ordinals(own, stated.stated_end),
    }
}

/// The place behind the line at which the file has so many bytes.
fn by_bytes(own: &Reader, bytes: u64) -> Result<Option<Ordinal>, ReadError> {
    let (mut at, mut found) = (0, None);
    if bytes == 0 {
        return Ok(None);
    }
    own.entries(Ordinal(0), own.end(), &mut |ordinal, entry| {
        if entry.kind == Kind::LINE {
            at += entry.bytes.len() as u64;
            let ends = entry.completes() && !entry.flags.has(Flags::NO_LINE_FEED);
            at += u64::from(ends);
            if ends && at == bytes {
                found = Some(ordinal.plus(1));
            }
        }
        if at < bytes {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok(found)
}

/// Whether the lines around a place have ordinals on their side of `stated`, if they have any.
fn fits(own: &Reader, end: Ordinal, stated: u64) -> Result<bool, ReadError> {
    let mut before = None;
    own.records_back(end, &mut |record| {
        if record.kind == Kind::LINE {
            before = Some(record.ordinal);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    let mut behind = None;
    own.entries(end, own.end(), &mut |ordinal, entry| {
        if entry.kind == Kind::LINE {
            behind = Some(ordinal);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    let before = ordinal_at(own, before)?;
    let behind = ordinal_at(own, behind)?;
    Ok(before.is_none_or(|before| before < stated) && behind.is_none_or(|behind| behind >= stated))
}

fn ordinal_at(own: &Reader, at: Option<Ordinal>) -> Result<Option<u64>, ReadError> {
    let Some(at) = at else {
        return Ok(None);
    };
    let records = own.get(&[at])?;
    let mut records = records.iter();
    records.next().map_or(Ok(None), |record| {
        decoded(own, record, |decoded| decoded.upstream_ordinal)
    })
}

/// The place between the last line of an ordinal below `stated`, which must be the one before it,
/// and what comes behind.
fn by_ordinals(own: &Reader, stated: u64) -> Result<Cut, ReadError> {
    let (mut found, mut is_first) = (None, true);
    let mut otherwise = Cut::Empty;
    own.records(Ordinal(0), own.end(), &mut |record| {
        if record.kind != Kind::LINE {
            return ControlFlow::Continue(());
        }
        otherwise = Cut::Beyond;
        let bytes = record.bytes();
        let ordinal = bytes.and_then(|bytes| payload::decode(bytes).upstream_ordinal);
        let Some(ordinal) = ordinal else {
            return ControlFlow::Continue(());
        };
        if ordinal >= stated {
            // What begins there inherits the same.
            if is_first && ordinal == stated {
                found = Some(Ordinal(0));
            }
            otherwise = Cut::Contradiction;
            return ControlFlow::Break(());
        }
        is_first = false;
        found = (ordinal + 1 == stated).then(|| record.ordinal.plus(1));
        ControlFlow::Continue(())
    })?;
    Ok(found.map_or(otherwise, Cut::ByOrdinals))
}
