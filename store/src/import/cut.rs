//! Owns the place in a rollout that a head means which says how much of it is inherited: in bytes
//! of its file, and in ordinals as the runtime counts them. Each is checked by the other.

use std::ops::ControlFlow;

use turnleaf_engine::format::Ordinal;
use turnleaf_engine::format::catalogue::Awaited;
use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::{ReadError, Reader};
use turnleaf_projector::notes::NotesReader;
use turnleaf_projector::payload::{self, Effect};

use crate::lines::decoded;
use crate::notes;

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
/// Cost: reads up to the place, and nothing of a rollout that has fewer bytes; where bytes do not
/// lead to one, goes through the notes of the rollout, and decodes the records that have none.
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
    // Every record may end in a line feed.
    let bytes_max = own.own_bytes_at_most().saturating_add(own.end().0);
    if bytes == 0 || bytes_max < bytes {
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
    let mut search = Search {
        stated,
        found: None,
        is_first: true,
        otherwise: Cut::Empty,
    };
    let (mut at, mut flow) = (Ordinal(0), ControlFlow::Continue(()));
    while at < own.end() && flow.is_continue() {
        at = match search.through_notes(own, at) {
            Some((end, is_over)) => {
                flow = is_over;
                end
            }
            None => {
                let end = own.next_run(at).unwrap_or(own.end());
                own.records(at, end, &mut |record| {
                    if record.kind == Kind::LINE {
                        let ordinal = record
                            .bytes()
                            .and_then(|bytes| payload::decode(bytes).upstream_ordinal);
                        flow = search.take(record.ordinal, ordinal);
                    }
                    flow
                })?;
                end
            }
        };
    }
    Ok(search.found.map_or(search.otherwise, Cut::ByOrdinals))
}

/// The search for a place by ordinals.
#[derive(Clone, Copy)]
struct Search {
    stated: u64,
    found: Option<Ordinal>,
    is_first: bool,
    otherwise: Cut,
}

impl Search {
    /// Takes the next line; `Break` where the place is known, or that there is none.
    fn take(&mut self, at: Ordinal, ordinal: Option<u64>) -> ControlFlow<()> {
        if self.otherwise == Cut::Empty {
            self.otherwise = Cut::Beyond;
        }
        let Some(ordinal) = ordinal else {
            return ControlFlow::Continue(());
        };
        if ordinal >= self.stated {
            // What begins there inherits the same.
            if self.is_first && ordinal == self.stated {
                self.found = Some(Ordinal(0));
            }
            self.otherwise = Cut::Contradiction;
            return ControlFlow::Break(());
        }
        self.is_first = false;
        self.found = (ordinal + 1 == self.stated).then(|| at.plus(1));
        ControlFlow::Continue(())
    }

    /// Takes the lines of the run that begins at `first` by its notes: where it ends, and whether
    /// the search is over. `None` where it has no notes that can be used, and nothing was taken.
    fn through_notes(
        &mut self,
        own: &Reader,
        first: Ordinal,
    ) -> Option<(Ordinal, ControlFlow<()>)> {
        let (run, bytes) = notes::unpacked(own, first)?;
        let mut notes = NotesReader::open(&bytes, run.end.0 - first.0)?;
        let mut search = *self;
        let mut flow = ControlFlow::Continue(());
        for at in first.0..run.end.0 {
            let record = notes.next_record()?;
            if !matches!(record.effect, Effect::Metadata(_)) {
                flow = search.take(Ordinal(at), record.upstream_ordinal);
            }
            if flow.is_break() {
                break;
            }
        }
        *self = search;
        Some((run.end, flow))
    }
}
