//! Owns what leaves the store as lines: the model's context, and exports.

use std::io::{self, Write};
use std::ops::ControlFlow;

use turnleaf_engine::format::Ordinal;
use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::{Options, ReadError, Reader, Snapshot};
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
        let (number, mut reader) = self.source.find(id)?;
        let end = end.map_or(reader.end(), Ordinal).min(reader.end());
        let mut written = Written {
            out,
            bytes: 0,
            next: Ordinal(from.unwrap_or(0)),
            part: 0,
        };
        let mut looked_again_at = None;
        while written.next < end {
            match written.go_on(&reader, end)? {
                Ok(()) => break,
                Err(ReadError::Disk(failure)) => return Err(Error::Disk(failure)),
                Err(ReadError::Damaged(damage)) => {
                    // The owner may have sealed the records and recycled their file meanwhile: what
                    // is really damaged still is when it is looked up anew.
                    if !self.is_owned && looked_again_at != Some(written.next) {
                        looked_again_at = Some(written.next);
                        let now = Snapshot::open(&self.disk, &Options::default());
                        if let Some(found) = now.ok().and_then(|now| now.state().reader(number)) {
                            reader = found;
                            continue;
                        }
                    }
                    self.saw_damage(&damage);
                    let resume = damage.ordinals.map_or(end, |(_, after)| after);
                    written.next = resume.max(written.next.plus(1));
                    written.part = 0;
                }
            }
        }
        Ok(written.bytes)
    }
}

/// How far an export came.
struct Written<'o> {
    out: &'o mut dyn Write,
    bytes: u64,
    /// The first record that is not written as a whole.
    next: Ordinal,
    /// Bytes of it that are.
    part: usize,
}

impl Written<'_> {
    /// Writes on from where it stands.
    fn go_on(&mut self, reader: &Reader, end: Ordinal) -> Result<Result<(), ReadError>, Error> {
        let mut refused: Option<io::Error> = None;
        let mut skip = std::mem::take(&mut self.part);
        let read = write_entries(reader, self.next, end, &mut |ordinal, part, completes| {
            let (before, part) = part.split_at(skip.min(part.len()));
            self.part += before.len();
            skip -= before.len();
            if let Err(error) = self.out.write_all(part) {
                refused = Some(error);
                return false;
            }
            self.bytes += part.len() as u64;
            self.part += part.len();
            if completes {
                (self.next, self.part) = (ordinal.plus(1), 0);
            }
            true
        });
        match refused {
            Some(source) => Err(Error::Source {
                path: "the output".into(),
                source,
            }),
            None => Ok(read),
        }
    }
}

/// Hands on the bytes of lines, record by record or chunk by chunk, and whether they complete their
/// record; its line feed comes with the last of them. `take` says whether to go on.
fn write_entries(
    reader: &Reader,
    from: Ordinal,
    end: Ordinal,
    take: &mut dyn FnMut(Ordinal, &[u8], bool) -> bool,
) -> Result<(), ReadError> {
    reader.entries(from, end, &mut |ordinal, entry| {
        let completes = entry.completes();
        if entry.kind != Kind::LINE {
            return flow(take(ordinal, b"", completes));
        }
        let feed = completes && !entry.flags.has(Flags::NO_LINE_FEED);
        #[cfg(turnleaf_bugs)]
        let feed = feed || completes && crate::bugs::LineFeedAdded.planted();
        flow(
            take(ordinal, entry.bytes, completes && !feed) && (!feed || take(ordinal, b"\n", true)),
        )
    })
}

fn flow(goes_on: bool) -> ControlFlow<()> {
    if goes_on {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use turnleaf_engine::disk::OsDisk;

    use crate::{Options, Store, system_owner};

    /// Journal files are recycled under a reader that does not own the store: it looks again.
    #[test]
    fn an_export_beside_an_owner_follows_records_into_segments() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            journal_first_bytes: 1 << 20,
            journal_file_bytes: 1 << 20,
            journal_files_max: 3,
            seal_bytes_min: 64 << 10,
            ..Options::default()
        };
        let disk = Arc::new(OsDisk::new(dir.path()));
        let store = Store::open_on(disk, options, &system_owner(), true, || 1).unwrap();
        store.create_thread("a").unwrap();
        let line = |at: usize| format!("{at} {}", "x".repeat(60_000));
        let append = |from: usize, end: usize| {
            for at in from..end {
                store.append("a", None, &[line(at).as_bytes()]).unwrap();
            }
        };
        append(0, 10);
        let reader = Store::open_log(dir.path()).unwrap();
        // Enough to write over every journal file that the reader knows.
        append(10, 300);
        let mut out = Vec::new();
        reader.export("a", None, None, &mut out).unwrap();
        let expect: String = (0..10).map(|at| format!("{}\n", line(at))).collect();
        assert!(out == expect.as_bytes(), "{} bytes", out.len());
        assert_eq!(reader.damage_seen(), []);
    }
}
