//! Owns reading by ordinal, in both directions and by list, over segment runs and journal frames
//! alike. It must not know who asks.
//!
//! Every byte that is returned was checked: a block or frame by its checksum, an entry by its own.

mod assemble;
mod fetch;
mod lineage;
mod repeated;
mod unit;
mod verify;
mod walk;

use std::ops::ControlFlow;
use std::sync::Arc;

use turnleaf_format::catalogue::Lost;
use turnleaf_format::record::Entry;
use turnleaf_format::{Ordinal, ThreadChain};

use assemble::Assembler;
pub use assemble::{PARSED_BYTES_MAX, Payload, Record};
use fetch::listed;
pub use lineage::{GoesOn, Reader};
use unit::Unit;
pub use verify::Totals;
pub(crate) use verify::verify;
use walk::Units;

use crate::error::{Cause, Damage, ReadError};
use crate::segment::Segments;
use crate::view::{ThreadView, ranges_of};

/// The notes of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunNotes {
    /// One past the last record of the run.
    pub end: Ordinal,
    /// Sum of its payload lengths.
    pub payload_bytes: u64,
    /// The notes as they were given when the run was written.
    pub bytes: Vec<u8>,
}

/// What one rollout holds at one moment; cheap to clone, unaffected by later appends and seals.
/// What it goes on from is not here: see [`Reader`].
#[derive(Debug, Clone)]
pub(crate) struct RolloutReader {
    pub(crate) view: Arc<ThreadView>,
    pub(crate) segments: Arc<Segments>,
    pub(crate) store: turnleaf_format::StoreId,
}

impl RolloutReader {
    /// One past the newest record.
    pub(crate) fn end(&self) -> Ordinal {
        self.view.end
    }

    /// The thread chain at [`RolloutReader::end`].
    pub(crate) fn chain(&self) -> ThreadChain {
        self.view.chain
    }

    /// The thread chain before `ordinal`, where it can be told without reading: at the borders of
    /// what is stored.
    pub(crate) fn chain_at(&self, ordinal: Ordinal) -> Option<ThreadChain> {
        let view = &self.view;
        let runs = view
            .runs
            .iter()
            .flat_map(|run| [(run.first, run.chain_before), (run.end, run.chain_after)]);
        let at = view.frames.partition_point(|frame| frame.end < ordinal);
        let frames = view.frames[at..].iter().take(2).flat_map(|frame| {
            let before = (frame.first, frame.chain_before);
            [before, (frame.end, frame.chain_after)]
        });
        let mut known = runs.chain(frames).chain([(view.end, view.chain)]);
        known.find(|(at, _)| *at == ordinal).map(|(_, chain)| chain)
    }

    /// The thread chain before `ordinal`, read from what holds it.
    ///
    /// # Errors
    /// As [`RolloutReader::entries`].
    pub(crate) fn chain_before(&self, ordinal: Ordinal) -> Result<ThreadChain, ReadError> {
        if let Some(chain) = self.chain_at(ordinal) {
            return Ok(chain);
        }
        let thread = self.view.thread;
        let first = listed(self, &[ordinal]).into_iter().next();
        let unit = first.unwrap_or_else(|| Err(self.absent(ordinal).into()))?;
        let mut chain = unit.chain;
        for entry in unit.all_entries() {
            let (at, entry) = entry?;
            if at >= ordinal {
                break;
            }
            if let Some((len, crc)) = entry.whole() {
                chain = chain.after(thread, at, entry.kind, entry.flags, len, crc);
            }
        }
        Ok(chain)
    }

    /// Ordinals that a repair gave up: first and one past the last, ascending. Reading passes them
    /// by in silence.
    pub(crate) fn given_up(&self) -> Vec<(Ordinal, Ordinal)> {
        let lost = ranges_of(&self.view.given_up);
        lost.filter(|(first, end)| first < end).collect()
    }

    /// What was given up as the catalogue states it, ascending; also breaks of the chain, which
    /// have no ordinals.
    pub(crate) fn losses(&self) -> &[Lost] {
        &self.view.given_up
    }

    /// Ordinals that are known to be lost, with the reason.
    pub(crate) fn holes(&self) -> Vec<Damage> {
        self.view
            .holes
            .iter()
            .map(|hole| hole.damage.clone())
            .collect()
    }

    /// Visits the entries of the records `from..end` in order: an inline record is one entry, a
    /// large one several chunks. Nothing larger than a chunk is ever in memory.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] at the first damage; everything before it has been visited, and
    /// reading can go on after the ordinals it names.
    pub(crate) fn entries(
        &self,
        from: Ordinal,
        end: Ordinal,
        visit: &mut dyn FnMut(Ordinal, &Entry<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let end = end.min(self.view.end);
        let mut reached = from;
        let mut before: Option<Unit> = None;
        for unit in Units::forward(self, from, end) {
            let unit = unit?;
            let before_it = before.as_ref().unwrap_or(&unit);
            before_it.leads_to(&self.view, reached, unit.first)?;
            for entry in unit.entries(&self.view) {
                let (ordinal, entry) = entry?;
                if ordinal >= end {
                    return Ok(());
                }
                if ordinal >= from && visit(ordinal, &entry).is_break() {
                    return Ok(());
                }
                reached = ordinal.plus(u64::from(entry.completes()));
            }
            before = Some(unit);
        }
        before.map_or(Ok(()), |last| last.leads_to(&self.view, reached, end))
    }

    /// Visits the records `from..end` in order, each whole; one over [`PARSED_BYTES_MAX`] comes
    /// as [`Payload::Opaque`].
    ///
    /// # Errors
    /// As [`RolloutReader::entries`].
    pub(crate) fn records(
        &self,
        from: Ordinal,
        end: Ordinal,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut assembler = Assembler::default();
        self.entries(from, end, &mut |ordinal, entry| {
            assembler.take(ordinal, entry, visit)
        })
    }

    /// Visits the records before `end`, newest first, each whole.
    ///
    /// # Errors
    /// As [`RolloutReader::entries`], in the other direction.
    pub(crate) fn records_back(
        &self,
        end: Ordinal,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut upper = end.min(self.view.end);
        for unit in Units::backward(self, upper) {
            let unit = unit?;
            let entries = unit.entries(&self.view).collect::<Result<Vec<_>, _>>()?;
            let begins =
                |(ordinal, entry): &&(Ordinal, Entry<'_>)| entry.begins() && *ordinal < upper;
            let here: Vec<_> = entries.iter().filter(begins).collect();
            let Some((lowest, _)) = here.first() else {
                // Only chunks of a record that begins in an earlier unit.
                continue;
            };
            let flow = if here.iter().all(|(_, entry)| entry.chunk.is_none()) {
                here.iter()
                    .rev()
                    .try_for_each(|(at, entry)| visit(&Record::inline(*at, entry)))
            } else {
                self.back_over_chunks(*lowest, upper, visit)?
            };
            if flow.is_break() {
                return Ok(());
            }
            upper = *lowest;
        }
        Ok(())
    }

    /// The records with these ordinals, in the order given; neighbouring ones share their reads.
    ///
    /// # Errors
    /// As [`RolloutReader::entries`]; also when an ordinal is not in the thread.
    pub(crate) fn get(&self, ordinals: &[Ordinal]) -> Result<Vec<Record<'static>>, ReadError> {
        let mut sorted = ordinals.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut found: Vec<Record<'static>> = Vec::with_capacity(sorted.len());
        let mut assembler = Assembler::default();
        let mut keep = |record: &Record<'_>| {
            found.push(record.to_owned_record());
            ControlFlow::Continue(())
        };
        for unit in listed(self, &sorted) {
            for entry in unit?.entries(&self.view) {
                let (ordinal, entry) = entry?;
                if sorted.binary_search(&ordinal).is_ok() {
                    let _ = assembler.take(ordinal, &entry, &mut keep);
                }
            }
        }
        found.sort_by_key(|record| record.ordinal);
        let at = |ordinal: &Ordinal| found.binary_search_by_key(ordinal, |record| record.ordinal);
        ordinals
            .iter()
            .map(|ordinal| match at(ordinal) {
                Ok(index) => Ok(found[index].clone()),
                Err(_) => Err(self.absent(*ordinal).into()),
            })
            .collect()
    }

    /// Notes of the run that begins at `first`; `None` when no run of a segment begins there or it
    /// has none.
    ///
    /// # Errors
    /// As [`RolloutReader::entries`].
    pub(crate) fn notes_at(&self, first: Ordinal) -> Result<Option<RunNotes>, ReadError> {
        let Some(run) = self.view.runs.iter().find(|run| run.first == first) else {
            return Ok(None);
        };
        let segment = self.segments.get(&run.file)?;
        match segment.run(self.view.thread) {
            Some(row) if row.chain_after == run.chain_after && row.notes_len > 0 => {
                let (end, payload_bytes) = (run.end, run.payload_bytes);
                Ok(Some(RunNotes {
                    end,
                    payload_bytes,
                    bytes: segment.notes(row)?,
                }))
            }
            _ => Ok(None),
        }
    }

    /// First ordinal of the next run of a segment after `ordinal`.
    pub(crate) fn next_run(&self, ordinal: Ordinal) -> Option<Ordinal> {
        let runs = &self.view.runs;
        let at = runs.partition_point(|run| run.first <= ordinal);
        runs.get(at).map(|run| run.first)
    }

    pub(crate) fn absent(&self, ordinal: Ordinal) -> Damage {
        let hole = self
            .view
            .holes
            .iter()
            .find(|hole| (hole.first..hole.end).contains(&ordinal));
        hole.map_or_else(
            || Damage {
                file: String::new(),
                offset: 0,
                length: 0,
                thread: Some(self.view.thread),
                ordinals: Some((ordinal, ordinal.plus(1))),
                cause: Cause::Missing,
            },
            |hole| hole.damage.clone(),
        )
    }

    /// Why nothing holds ordinals that the thread has.
    fn hole(&self, first: Ordinal, end: Ordinal) -> Damage {
        let mut holes = self.view.holes.iter();
        let known = holes.find(|hole| hole.first < end && first < hole.end);
        let place = known.map(|hole| hole.damage.clone());
        let unknown = Damage {
            file: crate::layout::JOURNAL.to_owned(),
            offset: 0,
            length: 0,
            thread: Some(self.view.thread),
            ordinals: None,
            cause: Cause::Missing,
        };
        Damage {
            ordinals: Some((first, end)),
            ..place.unwrap_or(unknown)
        }
    }

    /// Records of which some are chunked: read forwards, handed out backwards.
    fn back_over_chunks(
        &self,
        from: Ordinal,
        end: Ordinal,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let mut records = Vec::new();
        self.records(from, end, &mut |record| {
            records.push(record.to_owned_record());
            ControlFlow::Continue(())
        })?;
        Ok(records.iter().rev().try_for_each(visit))
    }
}
