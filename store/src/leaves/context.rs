//! Owns what leaves the store as lines: the model's context, and exports.

use std::io::{self, Write};
use std::ops::ControlFlow;

use turnleaf_engine::format::Ordinal;
use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::{ReadError, Reader};
use turnleaf_projector::context::{ContextRange, ContextScan};
use turnleaf_projector::fold::ThreadState;
use turnleaf_projector::index::Index;

use super::catch_up::{decoded, whole_line};
use crate::error::Error;
use crate::open::Store;

impl Store {
    /// The ordinals of the records that the model needs to resume a thread, ascending: the newest
    /// usable compaction and one complete turn at least, else everything.
    ///
    /// # Errors
    /// As [`Store::turns`]; also damage within the records that are needed.
    pub fn context_ordinals(&self, id: &str) -> Result<Vec<u64>, Error> {
        self.with_thread(id, |index, number, reader| {
            let state = thread_state(index, number)?;
            let range = resume_range(id, reader, &state)?;
            let Some(start) = range.start else {
                return Ok(Vec::new());
            };
            let head = state
                .head_at
                .filter(|_| range.head_in_front)
                .map(|at| at.0.0);
            let rest = (start.0..reader.end().0)
                .filter(|at| range.skipped.binary_search(&Ordinal(*at)).is_err());
            Ok(head.into_iter().chain(rest).collect())
        })
    }

    /// Writes the records that the model needs to resume a thread, exact bytes, one per line.
    ///
    /// # Errors
    /// As [`Store::context_ordinals`]; also when `out` refuses.
    pub fn context(&self, id: &str, out: &mut dyn Write) -> Result<(), Error> {
        let ordinals: Vec<Ordinal> = self
            .context_ordinals(id)?
            .into_iter()
            .map(Ordinal)
            .collect();
        let (_, reader) = self.source.find(id)?;
        let written = |source| Error::Source {
            path: "the output".into(),
            source,
        };
        for part in ordinals.chunks(256) {
            for record in reader.get(part).map_err(Error::of_read(id))? {
                let line = whole_line(&reader, record).map_err(Error::of_read(id))?;
                out.write_all(&line)
                    .and_then(|()| out.write_all(b"\n"))
                    .map_err(written)?;
            }
        }
        Ok(())
    }

    /// Writes the exact bytes that were imported or appended, `from..end` of a thread's records.
    /// Records of our own are left out. Damage is passed by and noted in [`Store::damage_seen`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`]; failures of the system, of `out` too.
    pub fn export(
        &self,
        id: &str,
        from: Option<u64>,
        end: Option<u64>,
        out: &mut dyn Write,
    ) -> Result<u64, Error> {
        let (_, reader) = self.source.find(id)?;
        let end = end.map_or(reader.end(), Ordinal).min(reader.end());
        let mut from = Ordinal(from.unwrap_or(0));
        let mut bytes = 0;
        while from < end {
            let mut refused: Option<io::Error> = None;
            let read = write_entries(&reader, from, end, &mut |part| {
                bytes += part.len() as u64;
                out.write_all(part)
                    .map_err(|error| refused = Some(error))
                    .is_ok()
            });
            if let Some(source) = refused {
                return Err(Error::Source {
                    path: "the output".into(),
                    source,
                });
            }
            match read {
                Ok(()) => break,
                Err(ReadError::Disk(failure)) => return Err(Error::Disk(failure)),
                Err(ReadError::Damaged(damage)) => {
                    self.saw_damage(&damage);
                    let resume = damage.ordinals.map_or(end, |(_, after)| after);
                    from = resume.max(from.plus(1));
                }
            }
        }
        Ok(bytes)
    }
}

/// Hands on the bytes of lines with their line feeds; `take` says whether to go on.
pub(crate) fn write_entries(
    reader: &Reader,
    from: Ordinal,
    end: Ordinal,
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), ReadError> {
    reader.entries(from, end, &mut |_, entry| {
        if entry.kind != Kind::LINE {
            return ControlFlow::Continue(());
        }
        let feed = entry.completes() && !entry.flags.has(Flags::NO_LINE_FEED);
        if take(entry.bytes) && (!feed || take(b"\n")) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })
}

/// What the fold knows of a thread that has caught up.
pub(crate) fn thread_state(
    index: &Index,
    number: turnleaf_engine::format::ThreadNumber,
) -> Result<ThreadState, Error> {
    match index.reader()?.thread(number)? {
        Some(row) if !row.state.is_empty() => Ok(row.fold_state(number)?),
        _ => Ok(ThreadState::default()),
    }
}

/// Walks back from the newest record as far as resuming needs.
pub(crate) fn resume_range(
    id: &str,
    reader: &Reader,
    state: &ThreadState,
) -> Result<ContextRange, Error> {
    let mut scan = ContextScan::new(state);
    let mut failed = None;
    reader
        .records_back(
            reader.end(),
            &mut |record| match decoded(reader, record, |decoded| {
                scan.feed(record.ordinal, decoded)
            }) {
                Ok(flow) => flow,
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            },
        )
        .map_err(Error::of_read(id))?;
    failed.map_or(Ok(()), Err).map_err(Error::of_read(id))?;
    Ok(scan.finish())
}
